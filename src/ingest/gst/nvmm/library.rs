//! NVIDIA's libnvbufsurface, found when the program runs: the three of its functions that are used, and its structures.
//!
//! The structures have kept their size and the offsets used here from JetPack 5 (L4T 34) to DeepStream 6.3's header of 2023; what was
//! added since the first one (`paramex`) took the place of reserved words. JetPack 4 has its frames in another form (nvbuf_utils), and
//! its library has no NvBufSurface2Raw: there nothing is offered.

use std::ffi::{c_int, c_uint, c_void};
use std::path::Path;
use std::sync::OnceLock;

/// Where JetPack has it in the library path.
const NAMES: [&str; 2] = ["libnvbufsurface.so", "libnvbufsurface.so.1.0.0"];
/// NVBUF_MAX_PLANES.
const MAX_PLANES: usize = 4;
/// STRUCTURE_PADDING.
const PADDING: usize = 4;

/// NvBufSurface: a batch of buffers; a decoder's batch has one.
#[repr(C)]
pub(super) struct NvBufSurface {
    pub(super) gpu: u32,
    pub(super) batch_size: u32,
    pub(super) filled: u32,
    pub(super) is_contiguous: u8,
    pub(super) memory: c_uint,
    pub(super) list: *mut Params,
    pub(super) reserved: [*mut c_void; PADDING],
}

/// NvBufSurfaceParams, up to what is used. Those behind the first one in a batch cannot be reached by this.
#[repr(C)]
pub(super) struct Params {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pitch: u32,
    pub(super) color: c_uint,
    pub(super) layout: c_uint,
    /// The file descriptor of the DMA buffer.
    pub(super) descriptor: u64,
    pub(super) data_bytes: u32,
    pub(super) data: *mut c_void,
    pub(super) planes: PlaneParams,
    pub(super) mapped: [*mut c_void; MAX_PLANES],
    pub(super) egl_image: *mut c_void,
}

/// NvBufSurfacePlaneParams.
#[repr(C)]
pub(super) struct PlaneParams {
    pub(super) count: u32,
    pub(super) width: [u32; MAX_PLANES],
    pub(super) height: [u32; MAX_PLANES],
    pub(super) pitch: [u32; MAX_PLANES],
    pub(super) offset: [u32; MAX_PLANES],
    pub(super) bytes: [u32; MAX_PLANES],
    pub(super) bytes_per_pixel: [u32; MAX_PLANES],
    pub(super) reserved: [*mut c_void; PADDING * MAX_PLANES],
}

const _: () = {
    assert!(size_of::<NvBufSurface>() == 64 && std::mem::offset_of!(NvBufSurface, list) == 24);
    assert!(size_of::<PlaneParams>() == 232);
    assert!(std::mem::offset_of!(Params, descriptor) == 24 && std::mem::offset_of!(Params, planes) == 48);
    assert!(std::mem::offset_of!(Params, egl_image) == 312);
};

/// The functions.
pub(super) struct Library {
    /// Makes an EGLImage and leaves it in the buffer's `egl_image`; 0 on success.
    pub(super) map_egl_image: unsafe extern "C" fn(*mut NvBufSurface, c_int) -> c_int,
    pub(super) unmap_egl_image: unsafe extern "C" fn(*mut NvBufSurface, c_int) -> c_int,
    /// Writes a plane's samples row after row, whatever its layout: buffer, plane, width and height in samples, target.
    pub(super) to_raw: unsafe extern "C" fn(*mut NvBufSurface, c_uint, c_uint, c_uint, c_uint, *mut u8) -> c_int,
}

impl Library {
    /// The system's; it is never unloaded.
    pub(super) fn get() -> Result<&'static Self, String> {
        static SYSTEM: OnceLock<Result<Library, String>> = OnceLock::new();
        let open = || {
            let [first, other] = NAMES.map(|name| Self::open(Path::new(name)));
            first.or(other)
        };
        SYSTEM.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// One of this name.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: NVIDIA's own elements load it in the same way; its initialisers ask nothing of the program.
        let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
            let said = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            format!("no libnvbufsurface: {said}")
        })?;
        let lacks = |name: &str| format!("{} has no {name}: it is older than JetPack 5", path.display());
        // SAFETY: nvbufsurface.h gives these names these signatures in every version that has them.
        let found = unsafe {
            Self {
                map_egl_image: *library
                    .get(b"NvBufSurfaceMapEglImage")
                    .map_err(|_| lacks("NvBufSurfaceMapEglImage"))?,
                unmap_egl_image: *library
                    .get(b"NvBufSurfaceUnMapEglImage")
                    .map_err(|_| lacks("NvBufSurfaceUnMapEglImage"))?,
                to_raw: *library.get(b"NvBufSurface2Raw").map_err(|_| lacks("NvBufSurface2Raw"))?,
            }
        };
        std::mem::forget(library);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_or_lacks_a_function_is_refused_in_words() {
        let reason = |name: &str| Library::open(Path::new(name)).err().expect("refused");
        assert!(reason("/nowhere/libnvbufsurface.so").contains("no libnvbufsurface: /nowhere"));
        let lacking = reason("libm.so.6");
        assert!(lacking.contains("NvBufSurfaceMapEglImage") && lacking.contains("JetPack 5"), "{lacking}");
    }
}
