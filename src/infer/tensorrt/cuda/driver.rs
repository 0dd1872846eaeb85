//! The CUDA driver, reached by dlopen: its functions under the names that cuda.h maps them to, from CUDA 10.2 (JetPack 4.6) on.
//!
//! Belongs here: finding the library, its functions, cuInit, its version. Does not: contexts and memory (see `device`, `memory`).

#![allow(unsafe_code, reason = "the driver is a C library that is found at run time")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use libloading::Library;

use super::device::Entry;
use super::{CudaError, Failure, egl};

/// Where Linux finds the driver on a desktop and on a Jetson alike.
const LIBRARY: &str = "libcuda.so.1";
/// A library without a driver's content, as container images have it for linking.
const STUB_LIBRARY: c_int = 34;
const INSUFFICIENT_DRIVER: c_int = 35;
const DEVICES_UNAVAILABLE: c_int = 46;
const NO_DEVICE: c_int = 100;
const INVALID_DEVICE: c_int = 101;
const SYSTEM_NOT_READY: c_int = 802;
const DRIVER_MISMATCH: c_int = 803;
const COMPAT_NOT_SUPPORTED: c_int = 804;
const UNKNOWN: c_int = 999;

/// A handle of the driver's: context, stream, event, module, function, graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle(pub(super) *mut c_void);

// SAFETY: the driver's handles belong to no thread; every function that takes one may be called from any thread with the context
// made current there, which `Device::enter` does before each call.
unsafe impl Send for Handle {}
// SAFETY: as above; the driver locks for itself.
unsafe impl Sync for Handle {}

impl Handle {
    pub(super) const NULL: Self = Self(std::ptr::null_mut());
}

/// Declares the table of functions and how each is found: the first of its names that the library has.
macro_rules! functions {
    ($(#[$meta:meta])* $table:ident {
        $($field:ident: [$($name:literal),+] ($($arg:ty),*);)*
    }) => {
        $(#[$meta])*
        pub(super) struct $table {
            $(pub(super) $field: unsafe extern "C" fn($($arg),*) -> c_int,)*
        }

        impl $table {
            fn find(library: &Library) -> Result<Self, String> {
                Ok(Self { $($field: {
                    // SAFETY: cuda.h of every version since 10.2 declares the function with this signature under each of these names.
                    unsafe { symbol(library, &[$($name),+])? }
                },)* })
            }
        }
    };
}

type Out = *mut *mut c_void;

functions! {
    /// What every driver since CUDA 10.2 has.
    Functions {
        init: ["cuInit"](c_uint);
        driver_get_version: ["cuDriverGetVersion"](*mut c_int);
        get_error_name: ["cuGetErrorName"](c_int, *mut *const c_char);
        get_error_string: ["cuGetErrorString"](c_int, *mut *const c_char);
        device_get_count: ["cuDeviceGetCount"](*mut c_int);
        device_get: ["cuDeviceGet"](*mut c_int, c_int);
        device_get_name: ["cuDeviceGetName"](*mut c_char, c_int, c_int);
        device_total_mem: ["cuDeviceTotalMem_v2"](*mut usize, c_int);
        device_get_attribute: ["cuDeviceGetAttribute"](*mut c_int, c_int, c_int);
        primary_ctx_retain: ["cuDevicePrimaryCtxRetain"](Out, c_int);
        // CUDA 11.0 gave these two a second version; the first has the same signature.
        primary_ctx_release: ["cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRelease"](c_int);
        primary_ctx_reset: ["cuDevicePrimaryCtxReset_v2", "cuDevicePrimaryCtxReset"](c_int);
        ctx_set_current: ["cuCtxSetCurrent"](*mut c_void);
        mem_get_info: ["cuMemGetInfo_v2"](*mut usize, *mut usize);
        mem_alloc: ["cuMemAlloc_v2"](*mut u64, usize);
        mem_free: ["cuMemFree_v2"](u64);
        mem_host_alloc: ["cuMemHostAlloc"](Out, usize, c_uint);
        mem_free_host: ["cuMemFreeHost"](*mut c_void);
        mem_host_get_device_pointer: ["cuMemHostGetDevicePointer_v2"](*mut u64, *mut c_void, c_uint);
        memcpy_htod_async: ["cuMemcpyHtoDAsync_v2"](u64, *const c_void, usize, *mut c_void);
        memcpy_dtoh_async: ["cuMemcpyDtoHAsync_v2"](*mut c_void, u64, usize, *mut c_void);
        stream_create: ["cuStreamCreate"](Out, c_uint);
        stream_destroy: ["cuStreamDestroy_v2"](*mut c_void);
        stream_is_capturing: ["cuStreamIsCapturing"](*mut c_void, *mut c_int);
        event_create: ["cuEventCreate"](Out, c_uint);
        event_destroy: ["cuEventDestroy_v2"](*mut c_void);
        event_record: ["cuEventRecord"](*mut c_void, *mut c_void);
        event_query: ["cuEventQuery"](*mut c_void);
        module_load_data_ex: ["cuModuleLoadDataEx"](Out, *const c_void, c_uint, *mut c_int, Out);
        module_unload: ["cuModuleUnload"](*mut c_void);
        module_get_function: ["cuModuleGetFunction"](Out, *mut c_void, *const c_char);
        launch_kernel: ["cuLaunchKernel"](
            *mut c_void, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, *mut c_void, Out, Out
        );
    }
}

functions! {
    /// Recorded work that is started with one call: from CUDA 11.4 on.
    GraphFunctions {
        begin_capture: ["cuStreamBeginCapture_v2"](*mut c_void, c_int);
        end_capture: ["cuStreamEndCapture"](*mut c_void, Out);
        instantiate: ["cuGraphInstantiateWithFlags"](Out, *mut c_void, u64);
        launch: ["cuGraphLaunch"](*mut c_void, *mut c_void);
        exec_destroy: ["cuGraphExecDestroy"](*mut c_void);
        destroy: ["cuGraphDestroy"](*mut c_void);
    }
}

functions! {
    /// Pictures of other libraries, read where they lie. Drivers of every Jetson have them; a container's may not.
    EglFunctions {
        register_image: ["cuGraphicsEGLRegisterImage"](Out, *mut c_void, c_uint);
        mapped_frame: ["cuGraphicsResourceGetMappedEglFrame"](*mut egl::Frame, *mut c_void, c_uint, c_uint);
        unregister: ["cuGraphicsUnregisterResource"](*mut c_void);
        memcpy_2d_async: ["cuMemcpy2DAsync_v2"](*const egl::Copy2d, *mut c_void);
    }
}

/// # Safety
/// `F` is the type of the function that the library has under each of these names.
unsafe fn symbol<F: Copy>(library: &Library, names: &[&str]) -> Result<F, String> {
    for name in names {
        // SAFETY: the caller vouches for the type.
        if let Ok(found) = unsafe { library.get::<F>(name.as_bytes()) } {
            return Ok(*found);
        }
    }
    Err(format!("it has no {}: a driver older than CUDA 10.2", names.join(" or ")))
}

/// The driver, once cuInit has succeeded. It is never closed: TensorRT holds on to it too.
pub(in crate::infer::tensorrt) struct Driver {
    pub(super) functions: Functions,
    pub(super) graphs: Option<GraphFunctions>,
    pub(super) egl: Option<EglFunctions>,
    version: (u32, u32),
    /// The GPUs that are open, by number.
    pub(super) open: Mutex<HashMap<u32, Entry>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CUDA driver {}.{}", self.version.0, self.version.1)
    }
}

// SAFETY: a driver is only there after cuInit succeeded.
unsafe impl super::super::nvinfer::CudaIsUp for Driver {}

impl Driver {
    /// The system's driver. A failure is not kept: a driver that is installed or loaded later is found by the next call.
    ///
    /// # Errors
    /// [`Failure::NoDriver`], [`Failure::NoGpu`], [`Failure::Library`].
    pub(in crate::infer::tensorrt) fn open() -> Result<&'static Self, Failure> {
        static SYSTEM: OnceLock<&'static Driver> = OnceLock::new();
        static OPENING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = OPENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(driver) = SYSTEM.get() {
            return Ok(driver);
        }
        let driver = Self::open_at(Path::new(LIBRARY))?;
        Ok(SYSTEM.get_or_init(|| driver))
    }

    /// A driver of this name or at this place; each call makes one that knows nothing of the others.
    ///
    /// # Errors
    /// As [`Driver::open`].
    pub(in crate::infer::tensorrt) fn open_at(path: &Path) -> Result<&'static Self, Failure> {
        let broken = |problem: String| Failure::Library { library: path.to_owned(), problem };
        // SAFETY: the driver's initialisers are made to be run at any time; nothing of it is called before cuInit below.
        let library = unsafe { Library::new(path) }.map_err(|e| {
            // The error itself says only that dlopen failed; its source has the linker's words.
            let reason = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Failure::NoDriver { reason }
        })?;
        let functions = Functions::find(&library).map_err(broken)?;
        let graphs = GraphFunctions::find(&library).ok();
        let egl = EglFunctions::find(&library).ok();
        // Unloading the driver while its threads run is not supported by it.
        std::mem::forget(library);
        // SAFETY: the one argument has to be 0.
        let code = unsafe { (functions.init)(0) };
        let mut driver = Self { functions, graphs, egl, version: (0, 0), open: Mutex::default() };
        if code != 0 {
            return Err(refused(driver.error("cuInit", code)));
        }
        let mut number: c_int = 0;
        // SAFETY: the pointer leads to an int of ours.
        driver.check("cuDriverGetVersion", unsafe { (driver.functions.driver_get_version)(&mut number) })?;
        let number = number.unsigned_abs();
        driver.version = (number / 1000, number % 1000 / 10);
        // A 10.2 driver has some of the graph functions, with which graphs could be recorded and not made.
        driver.graphs = driver.graphs.filter(|_| driver.version >= (11, 4));
        Ok(Box::leak(Box::new(driver)))
    }

    /// The CUDA version that the driver was made for: (12, 6).
    pub(in crate::infer::tensorrt) fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Whether it reads EGLImages.
    pub(in crate::infer::tensorrt) fn reads_images(&self) -> bool {
        self.egl.is_some()
    }

    /// How many GPUs there are.
    ///
    /// # Errors
    /// When the driver cannot say.
    pub(in crate::infer::tensorrt) fn device_count(&self) -> Result<u32, Failure> {
        let mut count: c_int = 0;
        // SAFETY: the pointer leads to an int of ours.
        self.check("cuDeviceGetCount", unsafe { (self.functions.device_get_count)(&mut count) })?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// Turns a code into an error with the driver's own words.
    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == 0 { Ok(()) } else { Err(self.error(call, code)) }
    }

    fn error(&self, call: &'static str, code: c_int) -> CudaError {
        let words = |ask: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int| {
            let mut text: *const c_char = std::ptr::null();
            // SAFETY: the pointer leads to a pointer of ours; both functions may be called before and after a failure of cuInit.
            let known = unsafe { ask(code, &mut text) } == 0 && !text.is_null();
            // SAFETY: the driver gives strings that live as long as it does and end in a zero.
            if known { unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned() } else { "unknown".to_owned() }
        };
        CudaError {
            call,
            code,
            name: words(self.functions.get_error_name),
            text: words(self.functions.get_error_string),
        }
    }
}

/// Why cuInit did not succeed, with the words that help.
fn refused(error: CudaError) -> Failure {
    let help = match error.code {
        NO_DEVICE | INVALID_DEVICE => return Failure::NoGpu { reason: error.to_string() },
        DEVICES_UNAVAILABLE => {
            return Failure::NoGpu { reason: format!("{error}; another process has it for itself (nvidia-smi -c 0)") };
        }
        INSUFFICIENT_DRIVER => "the driver is older than the libraries beside it: install a newer one",
        STUB_LIBRARY => "this libcuda is a stub for linking: the container was started without --runtime nvidia",
        SYSTEM_NOT_READY => {
            "the system is not ready yet: nvidia-fabricmanager or nvidia-persistenced has to start first"
        }
        DRIVER_MISMATCH => "the kernel's module and libcuda are of different versions: restart after the update",
        COMPAT_NOT_SUPPORTED => "the compatibility libcuda is not for this GPU: remove it from the library path",
        UNKNOWN => {
            "the device files may be out of reach: /dev/nvidia*, on a Jetson /dev/nvhost* and /dev/nvmap (groups video, render)"
        }
        _ => return Failure::NoDriver { reason: error.to_string() },
    };
    Failure::NoDriver { reason: format!("{error}; {help}") }
}
