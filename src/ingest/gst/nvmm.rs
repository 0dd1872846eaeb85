//! Frames that stay in NVIDIA's memory (NVMM), where TensorRT reads them: whether they are offered, and what keeps them and their images
//! alive.
//!
//! Belongs here: a decoder's buffers, their EGLImages, the way to the processor for those who need it. Does not: the library (`library`),
//! what a GPU makes of an image (see `infer/tensorrt`), which elements give such frames (see `decoders`).
//!
//! A decoder has some twenty buffers and uses them in turn. An image is made of each once and is kept with it in the session's
//! [`Buffers`], which forget them before the decoder does: before it hears of another size, and before the pipeline is taken down. A frame
//! that is still out holds its buffer by itself, and lets go of the image first.

#![allow(unsafe_code, reason = "memory and functions of a C library, found at run time")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use gstreamer as gst;

use super::frame::Layout;
use crate::ingest::elements::Elements;
use crate::types::{EglImage, ImageView, Kept, PixelFormat, Pixels, Plane, Surface, SurfaceGate};

mod library;
#[cfg(test)]
mod tests;

use library::{Library, NvBufSurface, Params};

/// A frame in the appsink, one on its way to the ring, one in the engine, and one to spare: so many beside the ring's a decoder needs
/// beyond its own.
const HELD_BESIDE_RING: usize = 4;
/// The most that nvv4l2decoder takes for `num-extra-surfaces`.
const MAX_EXTRA: usize = 24;
/// More buffers than any decoder has. One that makes new ones for each frame would be slower than a copy.
const MAX_BUFFERS: usize = 64;

/// NVBUF_MEM_DEFAULT and NVBUF_MEM_SURFACE_ARRAY: what there are images of.
const MEMORY: [u32; 2] = [0, 4];
/// NVBUF_COLOR_FORMAT_NV12 and its variants _ER, _709, _709_ER, _2020.
const NV12: [u32; 5] = [6, 7, 33, 34, 36];
/// NVBUF_LAYOUT_PITCH.
const PITCH: u32 = 0;

/// How many buffers a decoder is to have beyond its own; None where its frames are to be copied to the processor's memory. The reason is
/// told once.
pub(super) fn offered(elements: &Elements, gate: &SurfaceGate, ring_capacity: usize) -> Option<u32> {
    // Who has no such decoder does not want to hear of it.
    if !elements.has("nvv4l2decoder") {
        return None;
    }
    let extra = ring_capacity + HELD_BESIDE_RING;
    if extra > MAX_EXTRA {
        let most = MAX_EXTRA - HELD_BESIDE_RING;
        gate.close(&format!(
            "a decoder has too few buffers for ingest.ring_capacity = {ring_capacity}; {most} would do"
        ));
    }
    if gate.is_open()
        && let Err(why) = Library::get()
    {
        gate.close(&why);
    }
    tell(gate);
    gate.is_open().then_some(extra as u32)
}

/// Says why there are no frames in NVMM, once for all cameras.
pub(super) fn tell(gate: &SurfaceGate) {
    if let Some(why) = gate.news() {
        log::info!(stage = "ingest"; "decoded frames are copied to the processor's memory: {why}");
    }
}

/// The buffers of one decoder that were seen in a session, by their address; None once the decoder may give them back.
pub(super) struct Buffers {
    known: Mutex<Option<HashMap<usize, Arc<Buffer>>>>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { known: Mutex::new(Some(HashMap::new())) }
    }
}

impl Buffers {
    /// Forgets all of them, while they are still there, and remembers none any more: what still comes may be of those that go.
    pub(super) fn close(&self) {
        let known = self.lock().take();
        drop(known);
    }

    /// A sample's frame.
    pub(super) fn frame(
        &self,
        sample: &gst::Sample,
        layout: &Layout,
        gate: &Arc<SurfaceGate>,
    ) -> Result<InNvmm, String> {
        let buffer = sample.buffer_owned().ok_or("a frame without pixels came")?;
        self.frame_of(Library::get()?, buffer, layout.outline(), gate)
    }

    fn frame_of(
        &self,
        library: &'static Library,
        buffer: gst::Buffer,
        outline: ImageView<'static>,
        gate: &Arc<SurfaceGate>,
    ) -> Result<InNvmm, String> {
        let mapped = buffer.into_mapped_buffer_readable().map_err(|_| "a frame in NVMM cannot be looked at")?;
        let bytes = mapped.as_slice();
        let address = bytes.as_ptr().cast::<NvBufSurface>().cast_mut();
        // JetPack 4 describes a buffer in another form, of another size.
        if bytes.len() != size_of::<NvBufSurface>() || !address.is_aligned() {
            return Err(format!("a frame in NVMM is described in {} bytes, in no form that is known", bytes.len()));
        }
        // SAFETY: an NVMM buffer of this size holds an NvBufSurface, and the mapping is held by the frame.
        let params = unsafe { params(&*address) }.ok_or("a frame in NVMM is none, or several")?;
        check(params, &outline)?;
        let buffer = self.known(library, address, params.descriptor, gate)?;
        let shot = Shot { buffer, outline, gate: Arc::clone(gate), raw: OnceLock::new(), _mapped: mapped };
        Ok(InNvmm { shot: Arc::new(shot) })
    }

    fn known(
        &self,
        library: &'static Library,
        address: *mut NvBufSurface,
        descriptor: u64,
        gate: &SurfaceGate,
    ) -> Result<Arc<Buffer>, String> {
        let made = Buffer { library, address, descriptor, image: Mutex::default(), kept: Kept::default() };
        let mut known = self.lock();
        let Some(known) = known.as_mut() else { return Ok(Arc::new(made)) };
        if let Some(buffer) = known.get(&(address as usize)) {
            if buffer.descriptor == descriptor {
                return Ok(Arc::clone(buffer));
            }
            // Another one at the address of one that is gone; its image went with it.
            buffer.forget_image();
        }
        if known.len() >= MAX_BUFFERS {
            known.values().for_each(|buffer| buffer.forget_image());
            known.clear();
            gate.close("the decoder makes new buffers all the time");
            return Err("the decoder makes new buffers all the time".to_owned());
        }
        let made = Arc::new(made);
        known.insert(address as usize, Arc::clone(&made));
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<usize, Arc<Buffer>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one buffer of a batch.
fn params(surface: &NvBufSurface) -> Option<&Params> {
    if surface.batch_size != 1 || !MEMORY.contains(&surface.memory) {
        return None;
    }
    // SAFETY: a batch of one has a list of one, or none.
    unsafe { surface.list.as_ref() }
}

/// Whether a buffer is what its caps say, and what there is a way to read.
fn check(params: &Params, outline: &ImageView<'_>) -> Result<(), String> {
    let planes = &params.planes;
    let (w, h) = (outline.width_px, outline.height_px);
    let is_nv12 = outline.format == PixelFormat::Nv12
        && NV12.contains(&params.color)
        && planes.count == 2
        && planes.bytes_per_pixel[..2] == [1, 2];
    if !is_nv12 {
        return Err(format!("a frame in NVMM is of colour format {}; needed is NV12", params.color));
    }
    let is_large = planes.width[0] >= w
        && planes.height[0] >= h
        && planes.width[1] >= w.div_ceil(2)
        && planes.height[1] >= h.div_ceil(2);
    let (width, height) = (planes.width[0], planes.height[0]);
    // Large sizes are wrong ones, and their product would not fit.
    if !is_large || width.max(planes.width[1]) > 1 << 15 || height.max(planes.height[1]) > 1 << 15 {
        return Err(format!("a frame in NVMM has {width}x{height} pixels where its caps say {w}x{h}"));
    }
    if params.layout == PITCH && planes.pitch[0] != planes.pitch[1] {
        return Err(format!("a frame's rows in NVMM are {} and {} bytes apart", planes.pitch[0], planes.pitch[1]));
    }
    Ok(())
}

/// One of a decoder's buffers.
struct Buffer {
    library: &'static Library,
    /// Valid as long as the session's [`Buffers`] or a frame of it hold this.
    address: *mut NvBufSurface,
    descriptor: u64,
    /// Also held while the library works on the buffer's description.
    image: Mutex<Option<EglImage>>,
    kept: Kept,
}

// SAFETY: the library's functions may be called from any thread; those that write into the description are called under the lock.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn image(&self) -> Result<EglImage, String> {
        let mut image = self.lock();
        if let Some(image) = *image {
            return Ok(image);
        }
        // SAFETY: the description is valid while somebody holds this buffer; 0 is its only index.
        let code = unsafe { (self.library.map_egl_image)(self.address, 0) };
        // SAFETY: as above; nobody else writes there, since we have the lock.
        let made = unsafe { params(&*self.address) }.map_or(0, |p| p.egl_image as usize);
        if code != 0 || made == 0 {
            return Err(format!("NvBufSurfaceMapEglImage gave no image ({code})"));
        }
        Ok(*image.insert(EglImage(made)))
    }

    /// The planes' samples without gaps.
    fn to_raw(&self) -> Result<[Raw; 2], String> {
        let _alone = self.lock();
        // SAFETY: as in `image`.
        let planes = &unsafe { params(&*self.address) }.ok_or("it is gone")?.planes;
        let mut raw = [Raw::default(), Raw::default()];
        for (plane, out) in raw.iter_mut().enumerate() {
            let (width, height) = (planes.width[plane], planes.height[plane]);
            out.stride = (width * planes.bytes_per_pixel[plane]) as usize;
            out.data = vec![0; out.stride * height as usize];
            // SAFETY: as in `image`; the target is as large as so many samples of this plane are.
            let code =
                unsafe { (self.library.to_raw)(self.address, 0, plane as u32, width, height, out.data.as_mut_ptr()) };
            if code != 0 {
                return Err(format!("NvBufSurface2Raw refused plane {plane} ({code})"));
            }
        }
        Ok(raw)
    }

    /// The buffer is gone, and must not be touched.
    fn forget_image(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<EglImage>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // What was made of the image goes before the image does.
        self.kept.clear();
        if self.lock().take().is_some() {
            // SAFETY: the buffer is still there, as the head of the file says; the image was made by `image` and goes once.
            let code = unsafe { (self.library.unmap_egl_image)(self.address, 0) };
            if code != 0 {
                log::warn!(stage = "ingest"; "an image of a decoder's buffer could not be given back ({code})");
            }
        }
    }
}

/// A plane in the processor's memory.
#[derive(Default)]
struct Raw {
    data: Vec<u8>,
    stride: usize,
}

/// A frame in NVMM. Fields are dropped in this order: the image before what it is of.
struct Shot {
    buffer: Arc<Buffer>,
    outline: ImageView<'static>,
    gate: Arc<SurfaceGate>,
    /// The planes, once the processor was to see them.
    raw: OnceLock<[Raw; 2]>,
    _mapped: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Shot {
    fn view(&self) -> ImageView<'_> {
        let raw = self.raw.get_or_init(|| {
            self.buffer.to_raw().unwrap_or_else(|why| {
                log::warn!(stage = "ingest"; "a frame in NVMM cannot be brought to the processor: {why}");
                [Raw::default(), Raw::default()]
            })
        });
        let [luma, chroma] = raw.each_ref().map(|r| Plane { data: &r.data, stride: r.stride });
        ImageView { planes: [luma, chroma, Plane::NONE], ..self.outline }
    }
}

impl Surface for Shot {
    fn outline(&self) -> ImageView<'static> {
        self.outline
    }

    fn image(&self) -> Result<EglImage, String> {
        self.buffer.image()
    }

    fn kept(&self) -> &Kept {
        &self.buffer.kept
    }

    fn refuse(&self, why: &str) {
        self.gate.close(why);
    }
}

/// A frame's pixels in NVMM.
pub(super) struct InNvmm {
    shot: Arc<Shot>,
}

impl Pixels for InNvmm {
    fn view(&self) -> ImageView<'_> {
        self.shot.view()
    }

    fn size_px(&self) -> (u32, u32) {
        (self.shot.outline.width_px, self.shot.outline.height_px)
    }

    fn surface(&self) -> Option<Arc<dyn Surface>> {
        Some(Arc::clone(&self.shot) as Arc<dyn Surface>)
    }
}
