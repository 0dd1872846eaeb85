//! CUDA by the driver's own interface, made safe: one GPU's primary context, streams, memory, recorded work, kernels.
//!
//! Belongs here: everything that calls libcuda. Does not: what is computed (see `letterbox`, `nvinfer`).
//!
//! A GPU that reported a sticky error is lost: its context answers every later call with the same error, and some with a crash. From
//! then on nobody calls into it (nor into TensorRT's objects, which do so when they are destroyed): what is dropped is leaked, and
//! [`Device::recover`] clears all of it at once.

mod device;
mod driver;
mod egl;
mod graph;
mod memory;
mod module;
mod stream;
#[cfg(test)]
pub(super) mod standin;
#[cfg(test)]
mod tests;

pub(super) use device::Device;
pub(super) use driver::Driver;
pub(super) use egl::{Patch, Planes, Registered};
pub(super) use graph::Graph;
pub(super) use memory::{DeviceBuffer, Direction, PinnedBuffer, Transfer};
pub(super) use module::{Function, Module};
pub(super) use stream::Stream;

use super::failure::Failure;

/// A call that the driver answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CUDA: {call}: {name} ({code}): {text}")]
pub(in crate::infer) struct CudaError {
    /// Which call.
    pub(in crate::infer) call: &'static str,
    /// The driver's number.
    pub(in crate::infer) code: i32,
    /// Its name for it.
    pub(in crate::infer) name: String,
    /// What it says about it.
    pub(in crate::infer) text: String,
}

impl CudaError {
    /// Whether the context is broken for good: a fault on the GPU, or a GPU that is gone.
    pub(in crate::infer::tensorrt) fn is_sticky(&self) -> bool {
        matches!(
            self.code,
            // Taken down or destroyed under us; ECC; NVLink.
            4 | 46 | 201 | 214 | 220 | 226 | 709
            // Illegal address, time-out, assertion, hardware stack, instruction, alignment, address space, program counter, launch.
            | 700 | 702 | 710 | 714
                ..=719 | 721
            // "Unknown", which the driver says when the GPU has fallen off the bus.
            | 999
        )
    }

    /// Whether less would have worked.
    pub(in crate::infer::tensorrt) fn is_out_of_memory(&self) -> bool {
        self.code == 2
    }
}
