//! Frames that are read where a decoder wrote them, against the same pixels drawn by the processor.

use std::sync::{Arc, Mutex};

use super::*;
use crate::types::{EglImage, Kept, Surface};

/// A decoder's buffer with a picture, as the stand-in driver has it.
struct Buffer {
    standin: Arc<Standin>,
    image: Result<EglImage, String>,
    outline: ImageView<'static>,
    kept: Kept,
    refused: Mutex<Vec<String>>,
}

/// How the stand-in's planes lie.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Arrays = 0,
    Rows = 1,
}

/// CU_EGL_COLOR_FORMAT_YUV420_SEMIPLANAR.
const NV12: u32 = 1;

impl Buffer {
    fn new(easel: &Easel, picture: &Picture, lie: Lie) -> Arc<Self> {
        let pitch = (picture.size.0 + 1).next_multiple_of(256);
        let image = easel.standin.image(lie as u32, picture.size, pitch, NV12);
        let buffer = Self::of(easel, picture, Ok(image));
        buffer.show(picture);
        buffer
    }

    fn of(easel: &Easel, picture: &Picture, image: Result<EglImage, String>) -> Arc<Self> {
        let Picture { format, size: (width_px, height_px), matrix, range, .. } = *picture;
        let outline = ImageView { format, width_px, height_px, planes: [Plane::NONE; 3], matrix, range };
        let standin = Arc::clone(&easel.standin);
        Arc::new(Self { standin, image, outline, kept: Kept::default(), refused: Mutex::default() })
    }

    /// The decoder writes another picture of the same size into it.
    fn show(&self, picture: &Picture) {
        let (w, h) = (picture.size.0 as usize, picture.size.1 as usize);
        let pitch = (w + 1).next_multiple_of(256);
        for (number, row, rows) in [(0, w, h), (1, w.div_ceil(2) * 2, h.div_ceil(2))] {
            let (data, stride) = &picture.planes[number];
            let mut plane = vec![0; pitch * rows];
            for y in 0..rows {
                plane[y * pitch..][..row].copy_from_slice(&data[y * stride..][..row]);
            }
            self.standin.write_plane(self.image.clone().unwrap(), number, &plane);
        }
    }
}

impl Surface for Buffer {
    fn outline(&self) -> ImageView<'static> {
        self.outline
    }

    fn image(&self) -> Result<EglImage, String> {
        self.image.clone()
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn refuse(&self, why: &str) {
        self.refused.lock().unwrap().push(why.to_owned());
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // As ingest has it: what was made of an image goes first.
        self.kept.clear();
        if let Ok(image) = self.image {
            self.standin.free_image(image);
        }
    }
}

impl Easel {
    fn draw_surface(
        &mut self,
        buffer: &Arc<Buffer>,
        place: Place,
        dst_wh: (usize, usize),
    ) -> (Result<(), InferError>, Vec<f32>) {
        let surface = Arc::clone(buffer) as Arc<dyn Surface>;
        let prepared = self.painter.prepare_surface(surface, (place, &PLAIN), dst_wh);
        let painted = self.paint(dst_wh);
        self.painter.release();
        (prepared, painted)
    }

    fn assert_clean(self) {
        let Self { standin, stream, painter, .. } = self;
        drop((stream, painter));
        standin.assert_clean();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_frame_is_drawn_where_it_lies_to_the_last_bit(
        size in (1_u32..90, 1_u32..90), seed: u64, [rows, hd, full, centered]: [bool; 4],
        crop in prop::option::of(prop::array::uniform4(-30.0_f32..120.0)), dst_wh in (1_usize..70, 1_usize..70),
    ) {
        let Some(mut easel) = Easel::with_images(&[]) else { return Ok(()) };
        let mut picture = Picture::noise(PixelFormat::Nv12, size, 3, seed);
        picture.matrix = if hd { ColorMatrix::Bt709 } else { ColorMatrix::Bt601 };
        picture.range = if full { ColorRange::Full } else { ColorRange::Limited };
        let placement = if centered { Placement::Centered } else { Placement::TopLeft };
        let place = match crop {
            Some([x1, y1, x2, y2]) => Place::Crop(Rect::new(x1, y1, x2, y2), dst_wh),
            None => Place::Letterbox(Letterbox::new(size, dst_wh, placement)),
        };
        let buffer = Buffer::new(&easel, &picture, if rows { Lie::Rows } else { Lie::Arrays });
        let view = picture.view();
        let (want, want_floats) = on_cpu(&Drawing { view: &view, place, norm: &PLAIN }, dst_wh);
        let (have, have_floats) = easel.draw_surface(&buffer, place, dst_wh);
        prop_assert!(want.is_ok() && have.is_ok());
        prop_assert_eq!(bits(&have_floats), bits(&want_floats));
        prop_assert_eq!(Arc::strong_count(&buffer), 1, "nobody holds the decoder's buffer any more");
        drop(buffer);
        easel.assert_clean();
    }
}

#[test]
fn full_size_video_is_drawn_alike_and_rows_are_not_copied() {
    let Some(mut easel) = Easel::with_images(&[("integrated", 1)]) else { return };
    let (picture, dst_wh) = (Picture::noise(PixelFormat::Nv12, (1920, 1080), 0, 7), (640, 640));
    let place = Place::Letterbox(Letterbox::new(picture.size, dst_wh, Placement::Centered));
    let want = on_cpu(&Drawing { view: &picture.view(), place, norm: &PLAIN }, dst_wh).1;
    for (lie, copies) in [(Lie::Rows, 0), (Lie::Arrays, 2)] {
        let before = easel.standin.get("arrays_copied");
        let buffer = Buffer::new(&easel, &picture, lie);
        assert_eq!(bits(&easel.draw_surface(&buffer, place, dst_wh).1), bits(&want), "{lie:?}");
        assert_eq!(easel.standin.get("arrays_copied") - before, copies, "{lie:?}");
    }
    easel.assert_clean();
}

#[test]
fn a_buffer_is_registered_once_and_given_back_when_it_goes() {
    let Some(mut easel) = Easel::with_images(&[]) else { return };
    let dst_wh = (24, 24);
    let place = Place::Letterbox(Letterbox::new((40, 30), dst_wh, Placement::Centered));
    let pictures = [1, 2, 3, 4].map(|seed| Picture::noise(PixelFormat::Nv12, (40, 30), 0, seed));
    let buffers = [Lie::Rows, Lie::Arrays].map(|lie| Buffer::new(&easel, &pictures[0], lie));
    let objects = easel.standin.get("objects");
    // A decoder's two buffers in turn, and a second engine's painter on the same GPU.
    let mut second = Painter::new(easel.stream.device()).unwrap();
    for (turn, picture) in pictures.iter().enumerate() {
        let buffer = &buffers[turn % 2];
        buffer.show(picture);
        let want = on_cpu(&Drawing { view: &picture.view(), place, norm: &PLAIN }, dst_wh).1;
        assert_eq!(bits(&easel.draw_surface(buffer, place, dst_wh).1), bits(&want), "turn {turn}");
        second.prepare_surface(Arc::clone(buffer) as Arc<dyn Surface>, (place, &PLAIN), dst_wh).unwrap();
        second.release();
    }
    assert_eq!(easel.standin.get("registered"), 2);
    drop((buffers, second));
    // What the painter keeps for tables and copies stays; no registration does.
    assert!(easel.standin.get("objects") <= objects + 1, "registrations are left");
    easel.assert_clean();
}

#[test]
fn a_frame_that_the_gpu_cannot_read_is_refused_in_words_and_another_way_is_open() {
    let Some(mut easel) = Easel::with_images(&[]) else { return };
    let (picture, dst_wh) = (Picture::noise(PixelFormat::Nv12, (40, 30), 0, 1), (24, 24));
    let place = Place::Letterbox(Letterbox::new((40, 30), dst_wh, Placement::Centered));
    let odd = [
        // YUV420_PLANAR; rows that are shorter than the picture; a smaller picture.
        (easel.standin.image(1, (40, 30), 256, 0), "colour format 0x0"),
        (easel.standin.image(1, (40, 30), 30, NV12), "rows of 40 pixels in 30 bytes"),
        (easel.standin.image(1, (38, 30), 256, NV12), "38x30 where the frame has 40x30"),
    ];
    let none = Err("NvBufSurfaceMapEglImage gave no image".to_owned());
    let all = odd.into_iter().map(|(image, words)| (Ok(image), words)).chain([(none, "gave no image")]);
    for (image, words) in all {
        let buffer = Buffer::of(&easel, &picture, image);
        let surface = Arc::clone(&buffer) as Arc<dyn Surface>;
        let refused = easel.painter.prepare_surface(surface, (place, &PLAIN), dst_wh).unwrap_err();
        assert!(matches!(&refused, InferError::Run { reason, .. } if reason.contains(words)), "{refused}");
        assert_eq!(Arc::strong_count(&buffer), 1);
    }
    let view = picture.view();
    let drawing = Drawing { view: &view, place, norm: &PLAIN };
    let (prepared, floats) = easel.draw(&drawing, dst_wh);
    assert!(prepared.is_ok());
    assert_eq!(bits(&floats), bits(&on_cpu(&drawing, dst_wh).1));
    easel.assert_clean();
}

#[test]
fn registrations_of_a_lost_gpu_are_made_anew_on_the_next_one() {
    let Some(mut easel) = Easel::with_images(&[]) else { return };
    let (picture, dst_wh) = (Picture::noise(PixelFormat::Nv12, (40, 30), 0, 1), (24, 24));
    let place = Place::Letterbox(Letterbox::new((40, 30), dst_wh, Placement::Centered));
    let buffer = Buffer::new(&easel, &picture, Lie::Rows);
    easel.draw_surface(&buffer, place, dst_wh).0.unwrap();
    let lost = Arc::clone(easel.stream.device());
    lost.set_lost();
    let driver = lost.driver();
    let Easel { standin, stream, painter, clock } = easel;
    drop((stream, painter));
    Device::recover_with(driver, 0).unwrap();
    let device = Device::open_with(driver, 0).unwrap();
    let (stream, painter) = (Stream::new(&device).unwrap(), Painter::new(&device).unwrap());
    let mut easel = Easel { standin, stream, painter, clock };
    let want = on_cpu(&Drawing { view: &picture.view(), place, norm: &PLAIN }, dst_wh).1;
    assert_eq!(bits(&easel.draw_surface(&buffer, place, dst_wh).1), bits(&want));
    assert_eq!(easel.standin.get("registered"), 2);
    assert_eq!(Arc::strong_count(&lost), 1, "the lost one's registration was let go of");
}

#[test]
fn a_driver_without_egl_is_found_out_before_a_frame_comes() {
    let (Some(without), Some(with)) = (Standin::new(), Standin::with_images()) else { return };
    assert!(!without.open().unwrap().reads_images());
    assert!(with.open().unwrap().reads_images());
    let refused = crate::infer::tensorrt::cuda::Registered::new(&without.device(), EglImage(1), (2, 2)).unwrap_err();
    assert!(refused.to_string().contains("does not read EGLImages"), "{refused}");
}
