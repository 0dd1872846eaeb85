//! Kernels: PTX text that the driver compiles for the GPU that is there, and how its entry points are started.

#![allow(unsafe_code, reason = "calls into the driver")]

use std::ffi::{CString, c_int, c_void};
use std::sync::{Arc, PoisonError};

use super::driver::Handle;
use super::{Device, Failure, Stream};

const JIT_ERROR_LOG: c_int = 5;
const JIT_ERROR_LOG_BYTES: c_int = 6;

/// A module on a GPU, unloaded with its last user.
#[derive(Debug)]
pub(super) struct Loaded {
    device: Arc<Device>,
    raw: Handle,
}

/// Compiled kernels.
#[derive(Debug, Clone)]
pub(in crate::infer::tensorrt) struct Module {
    loaded: Arc<Loaded>,
}

/// An entry point of a module, which it keeps loaded.
#[derive(Debug, Clone)]
pub(in crate::infer::tensorrt) struct Function {
    raw: Handle,
    _module: Arc<Loaded>,
}

impl Module {
    /// Compiles PTX for this GPU.
    ///
    /// # Errors
    /// When the driver does not take it, with what its compiler said.
    pub(in crate::infer::tensorrt) fn load(device: &Arc<Device>, ptx: &str) -> Result<Self, Failure> {
        let text = CString::new(ptx).expect("PTX is text without zeros");
        let mut loaded = Loaded { device: Arc::clone(device), raw: Handle::NULL };
        let mut said = vec![0_u8; 4096];
        let mut options = [JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES];
        // An option's value stands in the pointer itself where it is a number.
        let mut values = [said.as_mut_ptr().cast::<c_void>(), std::ptr::without_provenance_mut(said.len() - 1)];
        let (count, options, values) = (options.len() as u32, options.as_mut_ptr(), values.as_mut_ptr());
        let answer = device.call("cuModuleLoadDataEx", |f| {
            // SAFETY: the text ends in a zero; there are as many options as values, and the log's buffer is as long as it is said to be.
            unsafe { (f.module_load_data_ex)(&mut loaded.raw.0, text.as_ptr().cast(), count, options, values) }
        });
        match answer {
            Ok(()) => Ok(Self { loaded: Arc::new(loaded) }),
            Err(Failure::Cuda(mut e)) => {
                let said = String::from_utf8_lossy(&said);
                let said = said.split('\0').next().unwrap_or_default().trim();
                if !said.is_empty() {
                    e.text = format!("{}: {said}", e.text);
                }
                Err(e.into())
            }
            Err(e) => Err(e),
        }
    }

    /// As [`Module::load`], once for all who ask for the same text on the same GPU.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub(in crate::infer::tensorrt) fn shared(device: &Arc<Device>, ptx: &'static str) -> Result<Self, Failure> {
        let mut modules = device.modules.lock().unwrap_or_else(PoisonError::into_inner);
        modules.retain(|(_, loaded)| loaded.strong_count() > 0);
        if let Some(loaded) = modules.iter().find(|(text, _)| *text == ptx).and_then(|(_, loaded)| loaded.upgrade()) {
            return Ok(Self { loaded });
        }
        let module = Self::load(device, ptx)?;
        modules.push((ptx, Arc::downgrade(&module.loaded)));
        Ok(module)
    }

    /// An entry point by its name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(in crate::infer::tensorrt) fn function(&self, name: &str) -> Result<Function, Failure> {
        let text = CString::new(name).expect("names of entry points hold no zeros");
        let mut raw = Handle::NULL;
        // SAFETY: the module is alive; the name ends in a zero.
        self.loaded.device.call("cuModuleGetFunction", |f| unsafe {
            (f.module_get_function)(&mut raw.0, self.loaded.raw.0, text.as_ptr())
        })?;
        Ok(Function { raw, _module: Arc::clone(&self.loaded) })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let raw = self.raw;
        if raw != Handle::NULL {
            // SAFETY: made by `load`, unloaded once; every function holds the module.
            self.device.discard("cuModuleUnload", |f| unsafe { (f.module_unload)(raw.0) });
        }
    }
}

impl Stream {
    /// Enqueues a kernel.
    ///
    /// # Safety
    /// `args` point to values of the types that the kernel takes, in its order, and the addresses among them stay valid until the
    /// stream was waited for.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    pub(in crate::infer::tensorrt) unsafe fn launch_kernel(
        &self,
        function: &Function,
        grid: [u32; 3],
        block: [u32; 3],
        args: &mut [*mut c_void],
    ) -> Result<(), Failure> {
        let ([gx, gy, gz], [bx, by, bz]) = (grid, block);
        let (raw, args) = (function.raw.0, args.as_mut_ptr());
        self.device.call("cuLaunchKernel", |f| {
            // SAFETY: the caller vouches for the arguments; no shared memory and no further options are asked for.
            unsafe { (f.launch_kernel)(raw, gx, gy, gz, bx, by, bz, 0, self.raw.0, args, std::ptr::null_mut()) }
        })
    }
}
