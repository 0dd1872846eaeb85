//! Files: real ones to begin with, then whatever the fuzzer makes of them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peregrine_fuzz::survive(bytes));
