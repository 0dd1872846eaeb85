//! TensorRT on NVIDIA GPUs, reached through a shim of our own (see docs/decisions/0002).

#![allow(dead_code, unused_imports, reason = "the parts stand; the engine that uses them is not here yet")]

mod cuda;
mod failure;
mod letterbox;
mod library;
mod network;
mod nvinfer;
mod said;
mod table;
#[cfg(test)]
mod tests;
mod whole;
