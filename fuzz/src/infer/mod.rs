//! The part of the daemon's `infer` that reads hostile bytes, with what the fuzzer asks of it.

#[path = "../../../src/infer/int8/mod.rs"]
pub mod int8;
#[path = "../../../src/infer/onnx/mod.rs"]
pub mod onnx;

#[path = "../../../src/infer/int8/tests/drawn.rs"]
pub mod drawn;
#[path = "../../../src/infer/int8/tests/written.rs"]
pub mod written;

pub mod survive;
