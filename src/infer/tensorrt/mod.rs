//! TensorRT on NVIDIA GPUs, reached through a shim of our own (see docs/decisions/0002).

#[allow(dead_code, unused_imports, reason = "all that engines need of a GPU; not each build uses all of it")]
mod cuda;
mod failure;
#[allow(dead_code, reason = "as above")]
mod letterbox;
