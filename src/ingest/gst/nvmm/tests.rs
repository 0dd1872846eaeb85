//! Buffers of a decoder that stands in: descriptions as NVIDIA's elements hand them out, and a library of Rust functions.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use super::library::{NvBufSurface, Params, PlaneParams};
use super::*;
use crate::ingest::launch::SINK_CAPS_NVMM;
use crate::types::{ColorMatrix, ColorRange};

thread_local! {
    /// What the library was asked to do: images made and given back, planes brought over.
    static ASKED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn asked() -> Vec<&'static str> {
    ASKED.take()
}

unsafe extern "C" fn map_egl_image(surface: *mut NvBufSurface, index: c_int) -> c_int {
    assert_eq!(index, 0);
    ASKED.with_borrow_mut(|asked| asked.push("map"));
    // SAFETY: the tests' descriptions are whole.
    let params = unsafe { &mut *(*surface).list };
    params.egl_image = params.descriptor as *mut c_void;
    // A buffer without a descriptor has no image.
    if params.descriptor == 0 { -1 } else { 0 }
}

unsafe extern "C" fn unmap_egl_image(surface: *mut NvBufSurface, _: c_int) -> c_int {
    ASKED.with_borrow_mut(|asked| asked.push("unmap"));
    // SAFETY: as above: whoever gives an image back too late reads freed memory here.
    unsafe { (*(*surface).list).egl_image = null_mut() };
    0
}

unsafe extern "C" fn to_raw(
    _: *mut NvBufSurface,
    _: c_uint,
    plane: c_uint,
    width: c_uint,
    height: c_uint,
    out: *mut u8,
) -> c_int {
    ASKED.with_borrow_mut(|asked| asked.push("raw"));
    let bytes = (width * height) as usize * if plane == 0 { 1 } else { 2 };
    // SAFETY: so many bytes is what the real function writes.
    unsafe { std::slice::from_raw_parts_mut(out, bytes) }.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
    0
}

static LIBRARY: Library = Library { map_egl_image, unmap_egl_image, to_raw };

/// A buffer's description, as GStreamer's memory.
struct Described {
    surface: Box<NvBufSurface>,
    _params: Box<Params>,
}

// SAFETY: the pointers lead to what the value owns.
unsafe impl Send for Described {}

impl AsRef<[u8]> for Described {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes of the description; those between its fields are zero, as it was made of zeros.
        unsafe { std::slice::from_raw_parts((&raw const *self.surface).cast(), size_of::<NvBufSurface>()) }
    }
}

fn zeroed<T>() -> Box<T> {
    // SAFETY: numbers and pointers, for which zeros are values.
    unsafe { Box::new_zeroed().assume_init() }
}

/// A decoder's buffer of 40x30 pixels in its own order, wider in memory; `change` spoils it.
fn described(descriptor: u64, change: impl FnOnce(&mut NvBufSurface, &mut Params)) -> gst::Buffer {
    gst::init().expect("GStreamer starts");
    let (mut surface, mut params) = (zeroed::<NvBufSurface>(), zeroed::<Params>());
    (surface.batch_size, surface.filled, surface.memory) = (1, 1, 4);
    (params.width, params.height, params.color, params.layout, params.descriptor) = (40, 30, 6, 1, descriptor);
    let planes: &mut PlaneParams = &mut params.planes;
    planes.count = 2;
    planes.width[..2].copy_from_slice(&[48, 24]);
    planes.height[..2].copy_from_slice(&[32, 16]);
    planes.pitch[..2].copy_from_slice(&[256, 256]);
    planes.bytes_per_pixel[..2].copy_from_slice(&[1, 2]);
    surface.list = &raw mut *params;
    change(&mut surface, &mut params);
    gst::Buffer::from_slice(Described { surface, _params: params })
}

fn outline() -> ImageView<'static> {
    let (matrix, range) = (ColorMatrix::Bt709, ColorRange::Limited);
    let planes = [Plane::NONE; 3];
    ImageView { format: PixelFormat::Nv12, width_px: 40, height_px: 30, planes, matrix, range }
}

fn gate() -> Arc<SurfaceGate> {
    SurfaceGate::new(|| Ok(()))
}

fn frame(buffers: &Buffers, buffer: &gst::Buffer, gate: &Arc<SurfaceGate>) -> Result<InNvmm, String> {
    buffers.frame_of(&LIBRARY, buffer.clone(), outline(), gate)
}

#[test]
fn an_image_is_made_once_a_buffer_and_given_back_before_the_buffer_goes() {
    let (buffers, gate) = (Buffers::default(), gate());
    let pool = [3, 4].map(|descriptor| described(descriptor, |_, _| {}));
    for _ in 0..3 {
        for (buffer, descriptor) in pool.iter().zip([3, 4]) {
            let surface = frame(&buffers, buffer, &gate).expect("a frame").surface().expect("a surface");
            assert_eq!(surface.image(), Ok(EglImage(descriptor)));
        }
    }
    assert_eq!(asked(), ["map", "map"], "nothing else was asked, and nothing was brought to the processor");
    // A frame that is still out when its pipeline goes keeps its own buffer.
    let late = frame(&buffers, &pool[0], &gate).expect("a frame");
    buffers.close();
    drop(pool);
    assert_eq!(asked(), ["unmap"]);
    assert_eq!(late.surface().expect("a surface").image(), Ok(EglImage(3)));
    drop(late);
    assert_eq!(asked(), ["unmap"]);
    // What comes after that has its image for itself: nobody knows how long the decoder keeps the buffer.
    let straggler = described(5, |_, _| {});
    let pixels = frame(&buffers, &straggler, &gate).expect("a frame");
    assert_eq!(pixels.surface().expect("a surface").image(), Ok(EglImage(5)));
    drop(pixels);
    assert_eq!(asked(), ["map", "unmap"]);
}

#[test]
fn what_was_made_of_an_image_goes_before_it() {
    struct Registration;
    impl Drop for Registration {
        fn drop(&mut self) {
            ASKED.with_borrow_mut(|asked| asked.push("unregister"));
        }
    }
    let (buffers, buffer) = (Buffers::default(), described(3, |_, _| {}));
    let surface = frame(&buffers, &buffer, &gate()).expect("a frame").surface().expect("a surface");
    surface.image().expect("an image");
    surface.kept().find_or_make(|_: &Registration| true, |_| true, || Ok::<_, ()>(Registration)).expect("made");
    drop(surface);
    assert_eq!(asked(), ["map"]);
    buffers.close();
    assert_eq!(asked(), ["unregister", "unmap"]);
}

#[test]
fn a_sample_of_such_a_decoder_is_told_from_others_by_its_caps() {
    gst::init().expect("GStreamer starts");
    let taken: gst::Caps = SINK_CAPS_NVMM.parse().expect("caps");
    let layout = |memory: &str| {
        let caps: gst::Caps = format!(
            "video/x-raw{memory},format=(string)NV12,width=(int)40,height=(int)30,framerate=(fraction)25/1,colorimetry=(string)bt709"
        )
        .parse()
        .expect("caps");
        assert!(caps.can_intersect(&taken));
        let sample = gst::Sample::builder().caps(&caps).buffer(&described(3, |_, _| {})).build();
        Layout::of(&sample, None, false).expect("a layout").0
    };
    let here = layout("(memory:NVMM)");
    assert!(here.is_in_nvmm() && !layout("").is_in_nvmm());
    let (a, b) = (here.outline(), outline());
    assert_eq!((a.format, a.width_px, a.height_px, a.matrix, a.range), (b.format, 40, 30, b.matrix, b.range));
    let other: gst::Caps =
        "video/x-raw(memory:NVMM),format=(string)P010_10LE,width=(int)40,height=(int)30".parse().expect("caps");
    assert!(!other.can_intersect(&taken), "10 bits are copied, and converted by that");
}

#[test]
fn the_processor_sees_the_pixels_when_it_asks_for_them_and_pays_then() {
    let (buffers, buffer) = (Buffers::default(), described(3, |_, _| {}));
    let pixels = frame(&buffers, &buffer, &gate()).expect("a frame");
    assert_eq!((pixels.size_px(), asked()), ((40, 30), vec![]));
    for _ in 0..2 {
        let view = pixels.view();
        let [luma, chroma, none] = view.planes;
        assert_eq!((luma.stride, luma.data.len(), chroma.stride, chroma.data.len()), (48, 48 * 32, 48, 48 * 16));
        assert_eq!((luma.data[1], chroma.data[7], none.data.len()), (1, 7, 0));
        assert_eq!((view.matrix, view.width_px, view.height_px), (ColorMatrix::Bt709, 40, 30));
    }
    assert_eq!(asked(), ["raw", "raw"], "each plane once");
}

#[test]
fn a_description_in_a_form_that_is_not_known_is_refused_in_words() {
    let (buffers, gate) = (Buffers::default(), gate());
    let refused = |buffer: gst::Buffer, words: &str| {
        let why = frame(&buffers, &buffer, &gate).err().expect("refused");
        assert!(why.contains(words), "{why}");
    };
    gst::init().expect("GStreamer starts");
    refused(gst::Buffer::from_slice(vec![0_u8; 1008]), "1008 bytes");
    refused(described(3, |s, _| s.batch_size = 2), "none, or several");
    refused(described(3, |s, _| s.list = null_mut()), "none, or several");
    refused(described(3, |s, _| s.memory = 2), "none, or several");
    refused(described(3, |_, p| p.color = 29), "colour format 29");
    refused(described(3, |_, p| p.planes.count = 3), "needed is NV12");
    refused(described(3, |_, p| p.planes.height[1] = 14), "48x32 pixels where its caps say 40x30");
    refused(described(3, |_, p| p.planes.width[0] = 1 << 30), "where its caps say 40x30");
    refused(described(3, |_, p| (p.layout, p.planes.pitch[1]) = (0, 512)), "256 and 512 bytes apart");
    assert!(asked().is_empty());
    let without_image = frame(&buffers, &described(0, |_, _| {}), &gate).expect("a frame").surface().expect("one");
    assert!(without_image.image().expect_err("none").contains("NvBufSurfaceMapEglImage"));
}

#[test]
fn another_buffer_at_the_address_of_one_that_is_gone_gets_an_image_of_its_own() {
    let (buffers, gate) = (Buffers::default(), gate());
    let image = |pixels: InNvmm| pixels.surface().expect("a surface").image();
    let buffer = described(3, |_, _| {});
    assert_eq!(image(frame(&buffers, &buffer, &gate).expect("a frame")), Ok(EglImage(3)));
    let bytes = buffer.map_readable().expect("mapped");
    // SAFETY: the description made above; nobody else looks at it now.
    unsafe { (*(*bytes.as_ptr().cast::<NvBufSurface>()).list).descriptor = 9 };
    drop(bytes);
    assert_eq!(image(frame(&buffers, &buffer, &gate).expect("a frame")), Ok(EglImage(9)));
    assert_eq!(asked(), ["map", "map"], "the first one's image went with it");
}

#[test]
fn a_gpu_that_refuses_or_a_decoder_that_makes_ever_new_buffers_closes_the_gate() {
    let (buffers, first) = (Buffers::default(), gate());
    let buffer = described(3, |_, _| {});
    frame(&buffers, &buffer, &first).expect("a frame").surface().expect("a surface").refuse("the GPU says no");
    assert!(!first.is_open());
    assert_eq!(first.news().as_deref(), Some("the GPU says no"));

    let second = gate();
    let many: Vec<_> = (1..=MAX_BUFFERS as u64).map(|d| described(d, |_, _| {})).collect();
    let buffers = Buffers::default();
    assert!(many.iter().all(|b| frame(&buffers, b, &second).is_ok()));
    assert!(frame(&buffers, &buffer, &second).is_err() && !second.is_open());
}

#[test]
fn frames_in_nvmm_are_offered_only_where_everything_is_there_and_the_reason_is_told_once() {
    let (jetson, pc) =
        (Elements::new(["nvv4l2decoder", "nvvidconv"], "1.20.3"), Elements::new(["vah264dec"], "1.22.0"));
    let never_asked = SurfaceGate::new(|| panic!("who has no such decoder is not asked"));
    assert_eq!(offered(&pc, &never_asked, 1), None);
    // This machine has no libnvbufsurface, or it has: either way one answer, once.
    let gate = gate();
    let extra = offered(&jetson, &gate, 1);
    assert_eq!(extra, Library::get().is_ok().then_some(5));
    assert_eq!(gate.news(), None, "it was told already");
    let full = SurfaceGate::new(|| Ok(()));
    assert_eq!(offered(&jetson, &full, 21), None, "a ring that would hold all of a decoder's buffers");
    assert!(!full.is_open());
    let off = SurfaceGate::closed("ingest.nvmm is \"off\"");
    assert_eq!(offered(&jetson, &off, 1), None);
}
