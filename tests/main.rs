//! The integration tests, in one binary: linking is what takes time.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod track; // SORT beside the original's answers on seven sequences
