//! A still: a part of a frame as packed RGB of its own size, masks burnt in. Pure.
//!
//! Belongs here: the one way in which a frame's pixels become a picture that may be kept. The masks are painted here and not later, so that
//! no picture is ever held in which they are missing. Does not: JPEG and files (see `maker.rs`).

use crate::pixels::{ChannelOrder, CodesMut, Cover, Normalise, PixelError, SCALED_REACH_PX, Window, crop_u8_nhwc};
use crate::types::{ImageView, Rect, RgbImage};

/// Bytes as they are: no scaling, red first; what lies outside the frame is black.
const PLAIN: Normalise = Normalise { scale: [1.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 0 };
/// The longer side of a picture of one object: enough to know a face or to read a plate that the camera could read.
const CROP_MOST_PX: u32 = 400;
/// How much of its surroundings a picture of one object shows on each side, as a share of the box.
const CROP_MARGIN: f32 = 0.15;
/// Yellow stands out of most scenes.
const BOX_RGB: [u8; 3] = [255, 214, 0];

/// The whole frame, at most so wide.
///
/// # Errors
/// When the frame's planes are shorter than its size says.
pub(super) fn full(view: &ImageView<'_>, cover: &Cover, most_width_px: u32) -> Result<RgbImage, PixelError> {
    let (w, h) = (view.width_px, view.height_px);
    let width = w.min(most_width_px).max(1);
    let height = (f64::from(h) * f64::from(width) / f64::from(w.max(1))).round().max(1.0) as u32;
    taken(view, cover, Window::whole((w, h)).region, (width, height))
}

/// A box with a little of its surroundings. None where the box lies outside the frame.
///
/// # Errors
/// As [`full`].
pub(super) fn crop(view: &ImageView<'_>, cover: &Cover, bbox: Rect) -> Result<Option<RgbImage>, PixelError> {
    let (dx, dy) = (bbox.width() * CROP_MARGIN, bbox.height() * CROP_MARGIN);
    let wide = Rect::new(bbox.x1 - dx, bbox.y1 - dy, bbox.x2 + dx, bbox.y2 + dy);
    let seen = wide.clipped(view.width_px, view.height_px);
    if !seen.is_sane() || seen.width() < 1.0 || seen.height() < 1.0 {
        return Ok(None);
    }
    let shrink = (CROP_MOST_PX as f32 / seen.width().max(seen.height())).min(1.0);
    let side = |length: f32| ((length * shrink).round() as u32).max(1);
    taken(view, cover, seen, (side(seen.width()), side(seen.height()))).map(Some)
}

fn taken(view: &ImageView<'_>, cover: &Cover, region: Rect, (w, h): (u32, u32)) -> Result<RgbImage, PixelError> {
    let size_px = (w as usize, h as usize);
    let row_bytes = size_px.0 * 3;
    let mut data = vec![0; row_bytes * size_px.1];
    let mut out = CodesMut { codes: &mut data, row_bytes, pixel_bytes: 3, scale: 1.0, zero: 0 };
    crop_u8_nhwc(region, size_px, &PLAIN, view, &mut out)?;
    let window = Window { frame_px: (view.width_px, view.height_px), region, size_px };
    for run in cover.runs(&window, SCALED_REACH_PX) {
        data[run.y * row_bytes + 3 * run.from..run.y * row_bytes + 3 * run.to].fill(0);
    }
    Ok(RgbImage { width_px: w, height_px: h, data })
}

/// A copy with a box drawn in; the box is in pixels of a frame of this size.
pub(super) fn with_box(still: &RgbImage, bbox: Rect, frame_px: (u32, u32)) -> RgbImage {
    let mut drawn = still.clone();
    let (sx, sy) =
        (still.width_px as f32 / frame_px.0.max(1) as f32, still.height_px as f32 / frame_px.1.max(1) as f32);
    let at = Rect::new(bbox.x1 * sx, bbox.y1 * sy, bbox.x2 * sx, bbox.y2 * sy).clipped(still.width_px, still.height_px);
    if !at.is_sane() {
        return drawn;
    }
    let (x1, y1, x2, y2) = (at.x1 as u32, at.y1 as u32, at.x2.ceil() as u32, at.y2.ceil() as u32);
    let thick = (still.height_px / 240).max(2).min((x2 - x1).min(y2 - y1));
    paint(&mut drawn, (x1, y1), (x2, y1 + thick));
    paint(&mut drawn, (x1, y2 - thick), (x2, y2));
    paint(&mut drawn, (x1, y1), (x1 + thick, y2));
    paint(&mut drawn, (x2 - thick, y1), (x2, y2));
    drawn
}

fn paint(still: &mut RgbImage, from: (u32, u32), to: (u32, u32)) {
    let row_px = still.width_px as usize;
    for y in from.1..to.1.min(still.height_px) {
        let first = y as usize * row_px;
        let span = first + from.0 as usize..first + to.0.min(still.width_px) as usize;
        still.data[span.start * 3..span.end * 3].as_chunks_mut::<3>().0.fill(BOX_RGB);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::types::{ColorMatrix, ColorRange, PixelFormat, Pixels, Plane};
    use proptest::prelude::*;

    /// A picture whose planes a test can write into.
    #[derive(Clone)]
    pub(in crate::pictures) struct Drawn {
        pub(in crate::pictures) format: PixelFormat,
        pub(in crate::pictures) size_px: (u32, u32),
        pub(in crate::pictures) planes: [Vec<u8>; 3],
        strides: [usize; 3],
    }

    impl Drawn {
        pub(in crate::pictures) fn new(
            format: PixelFormat,
            size_px: (u32, u32),
            byte: impl Fn(usize, usize) -> u8,
        ) -> Self {
            let (w, h) = (size_px.0 as usize, size_px.1 as usize);
            let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
            let (strides, rows) = match format {
                PixelFormat::Rgb => ([w * 3, 0, 0], [h, 0, 0]),
                PixelFormat::Nv12 => ([w + 3, cw * 2 + 1, 0], [h, ch, 0]),
                PixelFormat::I420 => ([w + 3, cw + 1, cw + 2], [h, ch, ch]),
            };
            let planes = std::array::from_fn(|p| (0..strides[p] * rows[p]).map(|i| byte(p, i)).collect());
            Self { format, size_px, planes, strides }
        }

        /// The same with something else under the mask, and nowhere else.
        pub(in crate::pictures) fn with_another_secret(&self, cover: &Cover) -> Self {
            let mut other = self.clone();
            for run in cover.runs(&Window::whole(self.size_px), 0.0) {
                for x in run.from..run.to {
                    let mut flip = |plane: usize, at: usize| {
                        let byte = other.planes[plane][at];
                        other.planes[plane][at] = if byte < 128 { byte + 100 } else { byte - 100 };
                    };
                    // A chroma sample is flipped once at most: where it would be flipped back, the secret would not differ.
                    let first = x % 2 == 0 && run.y % 2 == 0;
                    match self.format {
                        PixelFormat::Rgb => (0..3).for_each(|c| flip(0, run.y * self.strides[0] + 3 * x + c)),
                        PixelFormat::Nv12 => {
                            flip(0, run.y * self.strides[0] + x);
                            if first {
                                (0..2).for_each(|c| flip(1, run.y / 2 * self.strides[1] + x + c));
                            }
                        }
                        PixelFormat::I420 => {
                            flip(0, run.y * self.strides[0] + x);
                            if first {
                                (1..3).for_each(|p| flip(p, run.y / 2 * self.strides[p] + x / 2));
                            }
                        }
                    }
                }
            }
            other
        }
    }

    impl Pixels for Drawn {
        fn view(&self) -> ImageView<'_> {
            ImageView {
                format: self.format,
                width_px: self.size_px.0,
                height_px: self.size_px.1,
                planes: std::array::from_fn(|p| Plane { data: &self.planes[p], stride: self.strides[p] }),
                matrix: ColorMatrix::Bt601,
                range: ColorRange::Limited,
            }
        }
    }

    pub(in crate::pictures) fn formats() -> impl Strategy<Value = PixelFormat> {
        prop_oneof![Just(PixelFormat::Nv12), Just(PixelFormat::I420), Just(PixelFormat::Rgb)]
    }

    pub(in crate::pictures) fn masks() -> impl Strategy<Value = Cover> {
        let polygon = proptest::collection::vec((0.0_f32..=1.0, 0.0_f32..=1.0), 3..7);
        proptest::collection::vec(polygon, 1..3).prop_map(Cover::new)
    }

    proptest! {
        #[test]
        fn no_still_depends_on_what_lies_under_a_mask(
            format in formats(), size_px in (8_u32..120, 8_u32..120), cover in masks(), most in 4_u32..200, seed: u8,
            at in (0.0_f32..1.0, 0.0_f32..1.0), extent in (0.05_f32..1.0, 0.05_f32..1.0),
        ) {
            let image = Drawn::new(format, size_px, |p, i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (p as u8) << 4);
            let other = image.with_another_secret(&cover);
            let (w, h) = (size_px.0 as f32, size_px.1 as f32);
            let bbox = Rect::from_xywh(at.0 * w, at.1 * h, extent.0 * w, extent.1 * h);
            let stills = |image: &Drawn| (full(&image.view(), &cover, most), crop(&image.view(), &cover, bbox));
            let ((full_a, crop_a), (full_b, crop_b)) = (stills(&image), stills(&other));
            prop_assert_eq!(full_a.expect("sound").data, full_b.expect("sound").data);
            prop_assert_eq!(crop_a.expect("sound").map(|s| s.data), crop_b.expect("sound").map(|s| s.data));
        }

        #[test]
        fn every_pixel_under_a_mask_is_black(size_px in (8_u32..120, 8_u32..120), cover in masks(), most in 4_u32..200) {
            let white = RgbImage { width_px: size_px.0, height_px: size_px.1, data: vec![255; (size_px.0 * size_px.1 * 3) as usize] };
            let still = full(&white.view(), &cover, most).expect("sound");
            let size = (still.width_px as usize, still.height_px as usize);
            let window = Window { size_px: size, ..Window::whole(size_px) };
            for run in cover.runs(&window, 0.0) {
                let first = run.y * size.0;
                prop_assert!(still.data[3 * (first + run.from)..3 * (first + run.to)].iter().all(|b| *b == 0));
            }
        }
    }

    #[test]
    fn a_full_picture_keeps_its_proportions_and_is_never_enlarged() {
        let image = Drawn::new(PixelFormat::Nv12, (640, 360), |_, _| 128);
        let size =
            |most| full(&image.view(), &Cover::default(), most).map(|s| (s.width_px, s.height_px)).expect("sound");
        assert_eq!((size(320), size(2000)), ((320, 180), (640, 360)));
    }

    #[test]
    fn a_crop_shows_the_box_with_its_surroundings_and_a_box_outside_shows_nothing() {
        let image = Drawn::new(PixelFormat::Nv12, (640, 360), |_, _| 128);
        let size =
            |bbox| crop(&image.view(), &Cover::default(), bbox).expect("sound").map(|s| (s.width_px, s.height_px));
        assert_eq!(size(Rect::new(100.0, 100.0, 140.0, 200.0)), Some((52, 130)));
        assert_eq!(size(Rect::new(-10.0, -10.0, 640.0, 360.0)), Some((400, 225)));
        assert_eq!(size(Rect::new(700.0, 10.0, 800.0, 20.0)), None);
        assert_eq!(size(Rect::new(f32::NAN, 10.0, 800.0, 20.0)), None);
    }

    #[test]
    fn a_box_is_drawn_where_it_was_in_the_frame_and_clipped() {
        let still = RgbImage { width_px: 100, height_px: 50, data: vec![9; 100 * 50 * 3] };
        let at = |image: &RgbImage, x: usize, y: usize| image.data[3 * (y * 100 + x)..][..3].to_vec();
        let drawn = with_box(&still, Rect::new(40.0, 20.0, 120.0, 80.0), (200, 100));
        assert_eq!((at(&drawn, 20, 10), at(&drawn, 59, 39)), (BOX_RGB.to_vec(), BOX_RGB.to_vec()));
        assert_eq!((at(&drawn, 40, 25), at(&drawn, 19, 10), at(&drawn, 60, 25)), (vec![9; 3], vec![9; 3], vec![9; 3]));
        for odd in [
            Rect::new(-9.0, -9.0, 999.0, 999.0),
            Rect::new(199.0, 99.0, 200.0, 100.0),
            Rect::new(f32::NAN, 0.0, 1.0, 1.0),
        ] {
            with_box(&still, odd, (200, 100));
        }
    }
}
