//! Models of convolutions, sums, pools and so on that the bytes decide about: most of them are valid, so that the fuzzer comes further than the reader.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peregrine_fuzz::survive(&peregrine_fuzz::drawn(bytes)));
