//! The integration tests: one binary, one module for each thing that a user relies on.

mod parity; // accuracy and command line of detect, bench and model, over every engine
