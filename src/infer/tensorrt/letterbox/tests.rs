//! The kernel, compiled for the processor, against `pixels`: every bit of every float, over random pictures, places and models.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::infer::tensorrt::cuda::standin::Standin;
use crate::infer::tensorrt::cuda::{DeviceBuffer, PinnedBuffer};
use crate::pixels::{Letterbox, Normalise, PixelError, Place, Placement};
use crate::runtime::Clock;
use crate::types::{ColorMatrix, ColorRange, Plane, Rect};

mod surface;

/// A picture that owns its planes.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    format: PixelFormat,
    pub(super) size: (u32, u32),
    planes: [(Vec<u8>, usize); 3],
    matrix: ColorMatrix,
    range: ColorRange,
}

impl Picture {
    /// Noise; `slack` bytes after each row but the last.
    pub(super) fn noise(format: PixelFormat, size: (u32, u32), slack: usize, seed: u64) -> Self {
        let mut state = seed | 1;
        let mut byte = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Black and white more often than noise has them: they are where sums overflow.
            match state >> 61 {
                0 => 0,
                1 => 255,
                _ => (state >> 50) as u8,
            }
        };
        let (w, h) = (size.0 as usize, size.1 as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let shapes = match format {
            PixelFormat::Rgb => [(w * 3, h), (0, 0), (0, 0)],
            PixelFormat::Nv12 => [(w, h), (cw * 2, ch), (0, 0)],
            PixelFormat::I420 => [(w, h), (cw, ch), (cw, ch)],
        };
        let planes = shapes.map(|(row, rows)| match rows {
            0 => (Vec::new(), 0),
            _ => ((0..(row + slack) * (rows - 1) + row).map(|_| byte()).collect(), row + slack),
        });
        Self { format, size, planes, matrix: ColorMatrix::Bt601, range: ColorRange::Limited }
    }

    pub(super) fn view(&self) -> ImageView<'_> {
        let plane = |i: usize| Plane { data: &self.planes[i].0, stride: self.planes[i].1 };
        ImageView {
            format: self.format,
            width_px: self.size.0,
            height_px: self.size.1,
            planes: [plane(0), plane(1), plane(2)],
            matrix: self.matrix,
            range: self.range,
        }
    }
}

/// A painter with a GPU that stands in.
struct Easel {
    standin: Arc<Standin>,
    stream: Stream,
    painter: Painter,
    clock: Clock,
}

impl Easel {
    fn new(settings: &[(&str, i64)]) -> Option<Self> {
        Some(Self::on(Standin::new()?, settings))
    }

    /// With a driver that reads EGLImages.
    fn with_images(settings: &[(&str, i64)]) -> Option<Self> {
        Some(Self::on(Standin::with_images()?, settings))
    }

    fn on(standin: Standin, settings: &[(&str, i64)]) -> Self {
        for &(name, value) in settings {
            standin.set(name, value);
        }
        let device = standin.device();
        let (stream, painter) = (Stream::new(&device).unwrap(), Painter::new(&device).unwrap());
        Self { standin: Arc::new(standin), stream, painter, clock: Clock::start() }
    }

    /// Draws, and gives what the GPU's memory holds then.
    fn draw(&mut self, drawing: &Drawing<'_>, dst_wh: (usize, usize)) -> (Result<(), InferError>, Vec<f32>) {
        let prepared = self.painter.prepare(drawing, dst_wh);
        (prepared, self.paint(dst_wh))
    }

    fn paint(&mut self, dst_wh: (usize, usize)) -> Vec<f32> {
        let bytes = dst_wh.0 * dst_wh.1 * 3 * size_of::<f32>();
        let device = self.stream.device();
        let out = DeviceBuffer::new(device, bytes).unwrap();
        let mut back = PinnedBuffer::new(device, bytes).unwrap();
        self.painter.enqueue(&self.stream, out.address()).unwrap();
        self.stream.copy_to_host(&out, 0..bytes, &mut back, 0).unwrap();
        self.stream.wait(Duration::from_secs(60), &self.clock).unwrap();
        assert_eq!(self.standin.get("violations"), 0);
        back.floats().to_vec()
    }
}

pub(super) fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|f| f.to_bits()).collect()
}

pub(super) fn on_cpu(drawing: &Drawing<'_>, dst_wh: (usize, usize)) -> (Result<(), PixelError>, Vec<f32>) {
    let mut out = vec![f32::NAN; dst_wh.0 * dst_wh.1 * 3];
    (drawing.f32_nchw(&mut out), out)
}

pub(super) const PLAIN: Normalise = Normalise { scale: [1.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };

fn formats() -> impl Strategy<Value = PixelFormat> {
    prop_oneof![Just(PixelFormat::Nv12), Just(PixelFormat::I420), Just(PixelFormat::Rgb)]
}

fn pictures() -> impl Strategy<Value = Picture> {
    let size = (1_u32..90, 1_u32..90);
    (formats(), size, 0_usize..9, any::<u64>(), any::<[bool; 2]>()).prop_map(
        |(format, size, slack, seed, [hd, full])| {
            let mut picture = Picture::noise(format, size, slack, seed);
            picture.matrix = if hd { ColorMatrix::Bt709 } else { ColorMatrix::Bt601 };
            picture.range = if full { ColorRange::Full } else { ColorRange::Limited };
            picture
        },
    )
}

fn norms() -> impl Strategy<Value = Normalise> {
    let three = |range: std::ops::Range<f32>| prop::array::uniform3(range);
    (three(-0.1..0.1), three(-3.0..3.0), any::<bool>(), any::<u8>()).prop_map(|(scale, offset, bgr, pad)| {
        let order = if bgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
        Normalise { scale, offset, order, pad }
    })
}

/// A letterbox in either place, or a crop, which may lie beside the picture.
fn places() -> impl Strategy<Value = (Option<[f32; 4]>, bool)> {
    (prop::option::of(prop::array::uniform4(-30.0_f32..120.0)), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_kernel_draws_what_the_processor_draws_to_the_last_bit(
        all in prop::collection::vec((pictures(), norms(), places()), 1..4), dst_wh in (1_usize..70, 1_usize..70), in_place: bool,
    ) {
        let Some(mut easel) = Easel::new(&[("integrated", in_place.into())]) else { return Ok(()) };
        // One painter for pictures of several kinds: what one leaves behind must not reach the next.
        for (picture, norm, (crop, centered)) in &all {
            let placement = if *centered { Placement::Centered } else { Placement::TopLeft };
            let place = match crop {
                Some([x1, y1, x2, y2]) => Place::Crop(Rect::new(*x1, *y1, *x2, *y2), dst_wh),
                None => Place::Letterbox(Letterbox::new(picture.size, dst_wh, placement)),
            };
            let view = picture.view();
            let drawing = Drawing { view: &view, place, norm };
            let (want, want_floats) = on_cpu(&drawing, dst_wh);
            let (have, have_floats) = easel.draw(&drawing, dst_wh);
            prop_assert!(want.is_ok() && have.is_ok());
            prop_assert_eq!(bits(&have_floats), bits(&want_floats));
        }
        let Easel { standin, stream, painter, .. } = easel;
        drop((stream, painter));
        standin.assert_clean();
    }
}

#[test]
fn full_size_video_is_drawn_alike() {
    let Some(mut easel) = Easel::new(&[]) else { return };
    for format in [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::Rgb] {
        let picture = Picture::noise(format, (1920, 1080), 64, 7);
        let (view, dst_wh) = (picture.view(), (640, 640));
        let place = Place::Letterbox(Letterbox::new(picture.size, dst_wh, Placement::Centered));
        let drawing = Drawing { view: &view, place, norm: &PLAIN };
        assert_eq!(bits(&easel.draw(&drawing, dst_wh).1), bits(&on_cpu(&drawing, dst_wh).1), "{format:?}");
    }
}

#[test]
fn a_picture_that_cannot_be_read_gives_padding_and_the_same_error() {
    let Some(mut easel) = Easel::new(&[]) else { return };
    let dst_wh = (20, 10);
    let good = Picture::noise(PixelFormat::Nv12, (16, 16), 0, 1);
    let place = Place::Letterbox(Letterbox::new(good.size, dst_wh, Placement::Centered));
    for (plane, stride, bytes) in [(0, 15, 256), (1, 16, 127), (0, 16, 0)] {
        let view = good.view();
        assert!(easel.draw(&Drawing { view: &view, place, norm: &PLAIN }, dst_wh).0.is_ok());
        let mut bad = good.clone();
        bad.planes[plane].0.truncate(bytes);
        bad.planes[plane].1 = stride;
        let view = bad.view();
        let drawing = Drawing { view: &view, place, norm: &PLAIN };
        let (want, want_floats) = on_cpu(&drawing, dst_wh);
        let (have, have_floats) = easel.draw(&drawing, dst_wh);
        assert!(matches!(have, Err(InferError::Pixels(e)) if Err(e) == want));
        assert_eq!(bits(&have_floats), bits(&want_floats));
    }
    let view = good.view();
    let elsewhere = easel.painter.prepare(&Drawing { view: &view, place, norm: &PLAIN }, (20, 11));
    assert!(matches!(elsewhere, Err(InferError::Pixels(PixelError::WrongTensor { have: 660, need: 600 }))));
}

#[test]
fn a_graph_draws_the_next_picture_of_the_same_kind_and_is_void_for_another() {
    let Some(mut easel) = Easel::new(&[]) else { return };
    let dst_wh = (24, 24);
    let place = Place::Letterbox(Letterbox::new((40, 30), dst_wh, Placement::Centered));
    let pictures = [1, 2].map(|seed| Picture::noise(PixelFormat::Nv12, (40, 30), 0, seed));
    let views = pictures.each_ref().map(Picture::view);
    let drawings = views.each_ref().map(|view| Drawing { view, place, norm: &PLAIN });
    easel.painter.prepare(&drawings[0], dst_wh).unwrap();
    let first = easel.painter.kind();
    let bytes = 24 * 24 * 3 * 4;
    let out = DeviceBuffer::new(easel.stream.device(), bytes).unwrap();
    let mut back = PinnedBuffer::new(easel.stream.device(), bytes).unwrap();
    let Easel { standin, stream, painter, clock } = &mut easel;
    // Recorded before anything ran: the tables have to come with the graph, and once more with what runs outside of it.
    let graph = stream.capture(&mut || painter.enqueue(stream, out.address())).unwrap();
    for drawing in &drawings {
        painter.prepare(drawing, dst_wh).unwrap();
        stream.launch(&graph).unwrap();
        stream.copy_to_host(&out, 0..bytes, &mut back, 0).unwrap();
        stream.wait(Duration::from_secs(60), clock).unwrap();
        assert_eq!(bits(back.floats()), bits(&on_cpu(drawing, dst_wh).1));
    }
    assert_eq!(painter.kind(), first, "nothing but the pixels is new");
    let copies = standin.get("copies");
    painter.enqueue(stream, out.address()).unwrap();
    painter.enqueue(stream, out.address()).unwrap();
    assert_eq!(standin.get("copies") - copies, 3, "tables once, planes twice");
    let norm = Normalise { pad: 0, ..PLAIN };
    painter.prepare(&Drawing { norm: &norm, ..drawings[0] }, dst_wh).unwrap();
    assert_ne!(painter.kind(), first, "other padding");
    let small = Letterbox::new((40, 30), dst_wh, Placement::TopLeft);
    let moved = Drawing { place: Place::Letterbox(small), ..drawings[0] };
    painter.prepare(&moved, dst_wh).unwrap();
    assert_ne!(painter.kind(), first, "another place");
    painter.prepare(&drawings[0], dst_wh).unwrap();
    assert_eq!(painter.kind(), first, "as at first, and in the same memory");
    let large = Picture::noise(PixelFormat::Nv12, (400, 300), 0, 3);
    let place = Place::Letterbox(Letterbox::new(large.size, dst_wh, Placement::Centered));
    painter.prepare(&Drawing { view: &large.view(), place, norm: &PLAIN }, dst_wh).unwrap();
    painter.prepare(&drawings[0], dst_wh).unwrap();
    assert_ne!(painter.kind(), first, "the memory has moved");
    drop((graph, out, back));
    let Easel { standin, stream, painter, .. } = easel;
    drop((stream, painter));
    standin.assert_clean();
}

#[test]
fn a_graph_draws_another_place_of_the_same_size() {
    let Some(mut easel) = Easel::new(&[]) else { return };
    let (dst_wh, bytes) = ((24, 24), 24 * 24 * 3 * 4);
    let picture = Picture::noise(PixelFormat::Nv12, (64, 64), 0, 5);
    let view = picture.view();
    // Of luma and colour the same rows and columns of the picture, between which other points are taken.
    let places = [10.5, 10.8].map(|x1| Place::Crop(Rect::new(x1, 12.0, 40.0, 44.0), dst_wh));
    let out = DeviceBuffer::new(easel.stream.device(), bytes).unwrap();
    let mut back = PinnedBuffer::new(easel.stream.device(), bytes).unwrap();
    let first = Drawing { view: &view, place: places[0], norm: &PLAIN };
    // The tables are there before the recording.
    easel.draw(&first, dst_wh).0.unwrap();
    let kind = easel.painter.kind();
    let Easel { stream, painter, clock, .. } = &mut easel;
    let graph = stream.capture(&mut || painter.enqueue(stream, out.address())).unwrap();
    for place in [places[1], places[0], places[1]] {
        let drawing = Drawing { view: &view, place, norm: &PLAIN };
        painter.prepare(&drawing, dst_wh).unwrap();
        assert_eq!(painter.kind(), kind, "the graph serves both places");
        stream.launch(&graph).unwrap();
        stream.copy_to_host(&out, 0..bytes, &mut back, 0).unwrap();
        stream.wait(Duration::from_secs(60), clock).unwrap();
        assert_eq!(bits(back.floats()), bits(&on_cpu(&drawing, dst_wh).1), "{place:?}");
    }
    assert_ne!(bits(&on_cpu(&first, dst_wh).1), bits(back.floats()), "the places differ");
}

#[test]
fn painters_of_one_gpu_share_the_kernel() {
    let Some(easel) = Easel::new(&[]) else { return };
    let before = easel.standin.get("objects");
    let second = Painter::new(easel.stream.device()).unwrap();
    // Two pairs of pinned memory and the GPU's, and no module.
    assert_eq!(easel.standin.get("objects") - before, 4);
    drop(second);
}

#[test]
fn the_text_is_made_for_the_oldest_board_and_rounds_each_step() {
    assert!(PTX.contains(".target sm_53"));
    assert!(!PTX.contains("fma."), "product and sum are rounded one after the other");
    assert_eq!(PTX.matches("add.rn.f32").count(), 9);
}
