//! What must not be destroyed on a GPU that is lost: TensorRT's objects call into CUDA when they go, and a broken context answers with a
//! crash. What is left of them is leaked; the GPU's memory comes back when it is recovered.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::cuda::Device;

/// Something of TensorRT's on a GPU.
pub(super) struct OnDevice<T> {
    value: ManuallyDrop<T>,
    device: Arc<Device>,
}

impl<T> OnDevice<T> {
    /// Takes it into custody.
    pub(super) fn new(value: T, device: &Arc<Device>) -> Self {
        Self { value: ManuallyDrop::new(value), device: Arc::clone(device) }
    }
}

impl<T> Deref for OnDevice<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for OnDevice<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for OnDevice<T> {
    #[allow(unsafe_code, reason = "a value that is dropped or leaked as the GPU allows")]
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: dropped here or never, and not used afterwards: this is its owner's own end.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
