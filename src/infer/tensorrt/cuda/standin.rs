//! The stand-in driver for tests (tests/tensorrt/driver.cpp): compiled once a process, copied for each test, so that no test sees the
//! faults that another one asked for.

#![allow(unsafe_code, reason = "calls the stand-in's own functions")]

use std::ffi::{CString, c_char, c_longlong};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use libloading::Library;

use super::{Device, Driver, Failure};
use crate::types::EglImage;

/// A driver of a test's own.
pub(in crate::infer::tensorrt) struct Standin {
    library: Library,
    file: tempfile::TempPath,
}

impl Standin {
    /// None, with a line, where there is no C++ compiler.
    pub(in crate::infer::tensorrt) fn new() -> Option<Self> {
        static BUILT: OnceLock<Option<Vec<u8>>> = OnceLock::new();
        Self::of(BUILT.get_or_init(|| compile("driver.cpp", &[])).as_deref()?)
    }

    /// One as old as CUDA 10.2.
    pub(in crate::infer::tensorrt) fn of_cuda_10_2() -> Option<Self> {
        static BUILT: OnceLock<Option<Vec<u8>>> = OnceLock::new();
        let standin = Self::of(BUILT.get_or_init(|| compile("driver.cpp", &["-DCUDA_10_2"])).as_deref()?)?;
        standin.set("version", 10020);
        Some(standin)
    }

    /// One that reads EGLImages, which it also makes.
    pub(in crate::infer::tensorrt) fn with_images() -> Option<Self> {
        static BUILT: OnceLock<Option<Vec<u8>>> = OnceLock::new();
        Self::of(BUILT.get_or_init(|| compile("egl.cpp", &[])).as_deref()?)
    }

    /// An image of a picture of this size; of arrays (0) or rows (1) so many bytes apart.
    pub(in crate::infer::tensorrt) fn image(&self, kind: u32, size: (u32, u32), pitch: u32, color: u32) -> EglImage {
        type Make = unsafe extern "C" fn(u32, u32, u32, u32, u32) -> usize;
        // SAFETY: the function has this signature.
        EglImage(unsafe { self.library.get::<Make>(b"standin_image").unwrap()(kind, size.0, size.1, pitch, color) })
    }

    /// Writes a plane from its beginning.
    pub(in crate::infer::tensorrt) fn write_plane(&self, image: EglImage, plane: usize, bytes: &[u8]) {
        type Plane = unsafe extern "C" fn(usize, i32) -> *mut u8;
        // SAFETY: the function has this signature, and gives memory of as many bytes as the image's pitch and rows make.
        unsafe {
            let plane = self.library.get::<Plane>(b"standin_plane").unwrap()(image.0, plane as i32);
            plane.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// The image goes.
    pub(in crate::infer::tensorrt) fn free_image(&self, image: EglImage) {
        // SAFETY: the function has this signature.
        unsafe { self.library.get::<unsafe extern "C" fn(usize)>(b"standin_free_image").unwrap()(image.0) }
    }

    fn of(built: &[u8]) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, built).unwrap();
        // SAFETY: the stand-in's initialisers fill tables of its own.
        let library = unsafe { Library::new(&*file) }.unwrap();
        Some(Self { library, file })
    }

    /// Changes a setting.
    pub(in crate::infer::tensorrt) fn set(&self, name: &str, value: i64) -> &Self {
        let name = CString::new(name).unwrap();
        // SAFETY: the function has this signature, and copies the name.
        unsafe {
            let set = self.library.get::<unsafe extern "C" fn(*const c_char, c_longlong)>(b"standin_set").unwrap();
            set(name.as_ptr(), value);
        }
        self
    }

    /// A setting or a count.
    pub(in crate::infer::tensorrt) fn get(&self, name: &str) -> i64 {
        let name = CString::new(name).unwrap();
        // SAFETY: the function has this signature.
        unsafe {
            let get = self.library.get::<unsafe extern "C" fn(*const c_char) -> c_longlong>(b"standin_get").unwrap();
            get(name.as_ptr())
        }
    }

    /// The driver, each time one that knows nothing of the others.
    pub(in crate::infer::tensorrt) fn open(&self) -> Result<&'static Driver, Failure> {
        Driver::open_at(&self.file)
    }

    /// Its first GPU.
    pub(in crate::infer::tensorrt) fn device(&self) -> Arc<Device> {
        Device::open_with(self.open().unwrap(), 0).unwrap()
    }

    /// Nothing is left, and nothing was done that a real driver would not forgive.
    pub(in crate::infer::tensorrt) fn assert_clean(&self) {
        assert_eq!((self.get("objects"), self.get("violations")), (0, 0), "objects left, violations");
    }
}

fn compile(source: &str, flags: &[&str]) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let kernel = format!("-I{}", root.join("src/infer/tensorrt/letterbox").display());
    let compiled = Command::new("c++")
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", &kernel])
        .args(flags)
        .arg("-o")
        .arg(&out)
        .arg(root.join("tests/tensorrt").join(source))
        .output();
    match compiled {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Some(std::fs::read(&out).unwrap())
        }
        Err(e) => {
            eprintln!("skipped: the stand-in driver needs a C++ compiler: c++: {e}");
            None
        }
    }
}
