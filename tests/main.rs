//! The integration tests, in one binary: linking is what takes time.

mod track; // SORT beside the original's answers on seven sequences
