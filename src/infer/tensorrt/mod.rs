//! TensorRT on NVIDIA GPUs, reached through a shim of our own (see docs/decisions/0002).

mod cache;
mod failure;
mod forms;
