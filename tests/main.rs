//! The integration tests, in one binary: linking is what takes time.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test tells what it measured, or why it was skipped")]

mod parity; // accuracy and command line of detect, bench and model, over every engine
mod track; // SORT beside the original's answers on seven sequences
