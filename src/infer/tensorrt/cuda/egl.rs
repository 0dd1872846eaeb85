//! Pictures that another library made, read where they lie: an EGLImage is registered once, and tells then where its planes are.
//!
//! Belongs here: registering, what a driver says of an image, copies out of it. Does not: whose image it is (see `types::Surface`), what
//! is drawn from it (see `letterbox`).

#![allow(unsafe_code, reason = "calls into the driver")]

use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;

use super::driver::{EglFunctions, Handle};
use super::{CudaError, Device, DeviceBuffer, Failure, Stream};
use crate::types::EglImage;

/// CU_GRAPHICS_REGISTER_FLAGS_READ_ONLY.
const READ_ONLY: c_uint = 1;
/// CU_EGL_FRAME_TYPE_ARRAY and CU_EGL_FRAME_TYPE_PITCH.
const ARRAYS: c_uint = 0;
const PITCH: c_uint = 1;
/// CU_AD_FORMAT_UNSIGNED_INT8.
const BYTES: c_uint = 1;
/// What CUDA calls YUV420_SEMIPLANAR and YVU420_SEMIPLANAR, each plain, ER, 2020 and 709: 8 bits, Y in one plane, U and V in the other.
/// The names and cudaEGL.h's own remarks on them disagree about which of U and V comes first, so that is the decoder's word.
const SEMIPLANAR: [c_uint; 8] = [0x01, 0x15, 0x26, 0x2c, 0x53, 0x54, 0x57, 0x58];
/// CU_MEMORYTYPE_DEVICE and CU_MEMORYTYPE_ARRAY.
const DEVICE: c_uint = 2;
const ARRAY: c_uint = 3;
/// CUDA_ERROR_NOT_SUPPORTED.
const NOT_SUPPORTED: c_int = 801;

/// CUeglFrame of cudaEGL.h, the same since CUDA 7.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Arrays or addresses.
    planes: [u64; 3],
    width: c_uint,
    height: c_uint,
    depth: c_uint,
    pitch: c_uint,
    plane_count: c_uint,
    channels: c_uint,
    kind: c_uint,
    color: c_uint,
    element: c_uint,
}

const _: () = assert!(size_of::<Frame>() == 64 && size_of::<usize>() == 8, "as cudaEGL.h has it");

/// CUDA_MEMCPY2D of cuda.h (the second version, with 64-bit sizes).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy2d {
    src_x_bytes: usize,
    src_y: usize,
    src_kind: c_uint,
    src_host: *const c_void,
    src_device: u64,
    src_array: u64,
    src_pitch: usize,
    dst_x_bytes: usize,
    dst_y: usize,
    dst_kind: c_uint,
    dst_host: *mut c_void,
    dst_device: u64,
    dst_array: u64,
    dst_pitch: usize,
    width_bytes: usize,
    height: usize,
}

const _: () = assert!(size_of::<Copy2d>() == 128, "as cuda.h has it");

/// Where the planes of an NV12 picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer::tensorrt) enum Planes {
    /// At these addresses, row after row.
    Linear {
        /// Of Y, and of U and V.
        addresses: [u64; 2],
        /// Bytes from one row to the next, in both.
        pitch: u32,
    },
    /// In an order of the hardware's own, to be copied out of.
    Arrays,
}

/// A rectangle of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer::tensorrt) struct Patch {
    /// Of its first byte, within the plane's rows.
    pub left_bytes: usize,
    /// Of its first row.
    pub top: usize,
    /// Bytes in a row.
    pub row_bytes: usize,
    /// Rows.
    pub rows: usize,
}

/// An EGLImage with an NV12 picture, registered with one GPU. Work that reads it is over before it is dropped.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Registered {
    device: Arc<Device>,
    raw: Handle,
    image: EglImage,
    frame: Frame,
}

impl Registered {
    /// Registers an image of a picture of at least this size.
    ///
    /// # Errors
    /// When the driver has no functions for it or refuses the image, and when the picture is not NV12.
    pub(in crate::infer::tensorrt) fn new(
        device: &Arc<Device>,
        image: EglImage,
        (width, height): (u32, u32),
    ) -> Result<Self, Failure> {
        let f = functions(device, "cuGraphicsEGLRegisterImage")?;
        // SAFETY: every field is a number, for which 0 is a value.
        let frame = unsafe { std::mem::zeroed() };
        let mut made = Self { device: Arc::clone(device), raw: Handle::NULL, image, frame };
        device.call("cuGraphicsEGLRegisterImage", |_| {
            // SAFETY: the image is one that `Surface::image` vouches for; the handle is given back by `drop`.
            unsafe { (f.register_image)(&mut made.raw.0, image.0 as *mut c_void, READ_ONLY) }
        })?;
        device.call("cuGraphicsResourceGetMappedEglFrame", |_| {
            // SAFETY: the resource was just registered, the frame is ours and as large as the driver's.
            unsafe { (f.mapped_frame)(&raw mut made.frame, made.raw.0, 0, 0) }
        })?;
        match made.frame.strangeness(width, height) {
            None => Ok(made),
            Some(what) => Err(Failure::Surface(what)),
        }
    }

    /// Whether it is this image on this GPU.
    pub(in crate::infer::tensorrt) fn is_of(&self, device: &Arc<Device>, image: EglImage) -> bool {
        Arc::ptr_eq(&self.device, device) && self.image == image
    }

    /// Whether the GPU that it is registered with still works.
    pub(in crate::infer::tensorrt) fn lives(&self) -> bool {
        !self.device.is_lost()
    }

    /// Where the planes are.
    pub(in crate::infer::tensorrt) fn planes(&self) -> Planes {
        let Frame { planes: [luma, chroma, _], pitch, kind, .. } = self.frame;
        if kind == PITCH { Planes::Linear { addresses: [luma, chroma], pitch } } else { Planes::Arrays }
    }
}

impl Frame {
    /// What keeps the kernel from drawing it.
    fn strangeness(&self, width: u32, height: u32) -> Option<String> {
        if self.plane_count != 2 || self.element != BYTES || !SEMIPLANAR.contains(&self.color) {
            let Self { plane_count, element, color, .. } = self;
            return Some(format!("{plane_count} planes, colour format {color:#x}, elements {element}; needed is NV12"));
        }
        if self.kind != ARRAYS && self.kind != PITCH {
            return Some(format!("frame type {}", self.kind));
        }
        if self.width < width || self.height < height {
            return Some(format!("{}x{} where the frame has {width}x{height}", self.width, self.height));
        }
        if self.kind == PITCH && self.pitch < self.width.next_multiple_of(2) {
            return Some(format!("rows of {} pixels in {} bytes", self.width, self.pitch));
        }
        None
    }
}

impl Stream {
    /// Enqueues a copy of a part of plane `number` (0 or 1) of an image in [`Planes::Arrays`], to rows `pitch` bytes apart.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    ///
    /// # Panics
    /// When the copy does not end within the buffer, or there is no such plane.
    pub(in crate::infer::tensorrt) fn copy_plane(
        &self,
        from: (&Registered, usize, Patch),
        to: (&DeviceBuffer, usize, usize),
    ) -> Result<(), Failure> {
        let ((image, number, patch), (buffer, offset, pitch)) = (from, to);
        let f = functions(&self.device, "cuMemcpy2DAsync")?;
        assert!(number < 2 && image.planes() == Planes::Arrays, "the image has such a plane");
        let bytes = patch.rows.saturating_sub(1) * pitch + patch.row_bytes;
        assert!(patch.row_bytes <= pitch && offset + bytes <= buffer.len(), "the copy ends within the buffer");
        if patch.row_bytes == 0 || patch.rows == 0 {
            return Ok(());
        }
        let copy = Copy2d {
            src_x_bytes: patch.left_bytes,
            src_y: patch.top,
            src_kind: ARRAY,
            src_host: std::ptr::null(),
            src_device: 0,
            src_array: image.frame.planes[number],
            src_pitch: 0,
            dst_x_bytes: 0,
            dst_y: 0,
            dst_kind: DEVICE,
            dst_host: std::ptr::null_mut(),
            dst_device: buffer.address() + offset as u64,
            dst_array: 0,
            dst_pitch: pitch,
            width_bytes: patch.row_bytes,
            height: patch.rows,
        };
        // SAFETY: the driver checks the source against its array; the target was checked above. The driver reads the structure at once.
        self.device.call("cuMemcpy2DAsync", |_| unsafe { (f.memcpy_2d_async)(&raw const copy, self.raw.0) })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let raw = self.raw;
        if let Some(f) = self.device.driver.egl.as_ref().filter(|_| raw != Handle::NULL) {
            // SAFETY: registered by `new`, given back once.
            self.device.discard("cuGraphicsUnregisterResource", |_| unsafe { (f.unregister)(raw.0) });
        }
    }
}

fn functions(device: &Device, call: &'static str) -> Result<&'static EglFunctions, Failure> {
    device.driver.egl.as_ref().ok_or_else(|| {
        let text = "this driver does not read EGLImages".to_owned();
        CudaError { call, code: NOT_SUPPORTED, name: "CUDA_ERROR_NOT_SUPPORTED".to_owned(), text }.into()
    })
}
