//! TensorRT where there is none: libraries that stand in for NVIDIA's, compiled here from the real headers, and the test's own thread that
//! computes what they are asked for.
//!
//! Needs the headers as the build does (`PEREGRINE_TENSORRT_INCLUDE_10`, `_11`) and a C++ compiler; without them a test says so and passes.

mod compile;
mod computing; // the stand-in computes what tract does
mod protocol;
pub(crate) mod rtx;
mod server;
pub(crate) mod support;
mod surface; // an engine reads frames where a decoder wrote them
mod table; // the shim's table, driven by a program without Rust
mod whole; // the whole program on a GPU that stands in
