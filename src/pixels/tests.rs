//! Letterbox and crop against a slow, obvious reference in 64-bit floats, over random sizes, formats, strides and regions.

use proptest::prelude::*;

use super::axis::Span;
use super::color::{Factors, YuvToRgb};
use super::simd::Simd;
use super::*;
use crate::types::{ColorMatrix, ColorRange, PixelFormat, Plane};

pub(super) const PLAIN: Normalise = Normalise { scale: [1.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };

/// Levels of 255 by which the fixed point may miss: half for rounding to a byte, the rest for five truncated products.
const TOLERANCE: f64 = 0.75;

/// An image that owns its planes.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    format: PixelFormat,
    pub(super) size: (u32, u32),
    planes: [(Vec<u8>, usize); 3],
    matrix: ColorMatrix,
    range: ColorRange,
}

impl Picture {
    /// Noise from `seed`, with `slack` unused bytes after each row but the last.
    fn noise(
        format: PixelFormat,
        size: (u32, u32),
        slack: usize,
        seed: u64,
        matrix: ColorMatrix,
        range: ColorRange,
    ) -> Self {
        let mut state = seed | 1;
        let mut byte = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
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
        Self { format, size, planes, matrix, range }
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

    /// One channel's sample between its neighbours; `at` counts samples of a full-size plane, centres at half numbers.
    fn channel(&self, c: usize, at: (f64, f64)) -> f64 {
        let (w, h) = (self.size.0 as usize, self.size.1 as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let (plane, offset, every, size, scale) = match (self.format, c) {
            (PixelFormat::Rgb, c) => (0, c, 3, (w, h), 1.0),
            (_, 0) => (0, 0, 1, (w, h), 1.0),
            (PixelFormat::Nv12, c) => (1, c - 1, 2, (cw, ch), 0.5),
            (PixelFormat::I420, c) => (c, 0, 1, (cw, ch), 0.5),
        };
        let (data, stride) = &self.planes[plane];
        let x = (at.0 * scale - 0.5).clamp(0.0, (size.0 - 1) as f64);
        let y = (at.1 * scale - 0.5).clamp(0.0, (size.1 - 1) as f64);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(size.0 - 1), (y0 + 1).min(size.1 - 1));
        let px = |x: usize, y: usize| f64::from(data[y * stride + x * every + offset]);
        let (fx, fy) = (x.fract(), y.fract());
        let row = |y: usize| px(x0, y) * (1.0 - fx) + px(x1, y) * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    }

    fn rgb(&self, at: (f64, f64)) -> [f64; 3] {
        let [a, b, c] = [0, 1, 2].map(|c| self.channel(c, at));
        if self.format == PixelFormat::Rgb {
            return [a, b, c];
        }
        let f = Factors::of(self.matrix, self.range);
        let (y, u, v) = ((a - f.black) * f.luma, b - 128.0, c - 128.0);
        [y + f.red_v * v, y - f.green_u * u - f.green_v * v, y + f.blue_u * u].map(|x| x.clamp(0.0, 255.0))
    }

    /// The greatest difference of `out` from the region stretched over `place` (left, top, width, height) of a `dst` tensor.
    fn greatest_error(
        &self,
        out: &[f32],
        region: Rect,
        place: (usize, usize, usize, usize),
        dst: (usize, usize),
    ) -> f64 {
        let (left, top, width, height) = place;
        let (w, h) = (f64::from(region.x2) - f64::from(region.x1), f64::from(region.y2) - f64::from(region.y1));
        let mut worst = 0.0_f64;
        for y in 0..height {
            for x in 0..width {
                let at_x = f64::from(region.x1) + (x as f64 + 0.5) * w / width as f64;
                let at_y = f64::from(region.y1) + (y as f64 + 0.5) * h / height as f64;
                for (c, want) in self.rgb((at_x, at_y)).into_iter().enumerate() {
                    let have = f64::from(out[c * dst.0 * dst.1 + (top + y) * dst.0 + left + x]);
                    worst = worst.max((have - want).abs());
                }
            }
        }
        worst
    }
}

pub(super) fn pictures() -> impl Strategy<Value = Picture> {
    let formats = prop_oneof![Just(PixelFormat::Nv12), Just(PixelFormat::I420), Just(PixelFormat::Rgb)];
    let matrices = prop_oneof![Just(ColorMatrix::Bt601), Just(ColorMatrix::Bt709)];
    let ranges = prop_oneof![Just(ColorRange::Limited), Just(ColorRange::Full)];
    (formats, (1_u32..150, 1_u32..90), 0_usize..20, any::<u64>(), matrices, ranges)
        .prop_map(|(format, size, slack, seed, matrix, range)| Picture::noise(format, size, slack, seed, matrix, range))
}

pub(super) fn nv12(size: (u32, u32)) -> Picture {
    Picture::noise(PixelFormat::Nv12, size, 0, 7, ColorMatrix::Bt709, ColorRange::Limited)
}

proptest! {
    #[test]
    fn letterbox_is_the_reference_within_rounding(picture in pictures(), dst in (1_usize..120, 1_usize..120), centered: bool) {
        let placement = if centered { Placement::Centered } else { Placement::TopLeft };
        let geometry = Letterbox::new(picture.size, dst, placement);
        let mut out = vec![f32::NAN; 3 * dst.0 * dst.1];
        letterbox_f32_nchw(&geometry, &PLAIN, &picture.view(), &mut out).expect("a sound picture");
        let i = geometry.inner();
        let whole = Rect::new(0.0, 0.0, picture.size.0 as f32, picture.size.1 as f32);
        let worst = picture.greatest_error(&out, whole, (i.left, i.top, i.width, i.height), dst);
        prop_assert!(worst <= TOLERANCE, "{worst} levels");
        for (n, &value) in out.iter().enumerate() {
            let (x, y) = (n % dst.0, n / dst.0 % dst.1);
            let within = (i.left..i.left + i.width).contains(&x) && (i.top..i.top + i.height).contains(&y);
            prop_assert!(within || value == 114.0, "padding at {x},{y} is {value}");
        }
    }

    #[test]
    fn a_crop_is_the_reference_within_rounding(
        picture in pictures(), dst in (1_usize..50, 1_usize..50), corners in prop::array::uniform4(-0.3_f32..1.3),
    ) {
        let (w, h) = (picture.size.0 as f32, picture.size.1 as f32);
        let region = Rect::new(corners[0] * w, corners[1] * h, corners[2] * w, corners[3] * h);
        let mut out = vec![f32::NAN; 3 * dst.0 * dst.1];
        crop_f32_nchw(region, dst, &PLAIN, &picture.view(), &mut out).expect("a sound picture");
        let visible = region.clipped(picture.size.0, picture.size.1);
        if visible.is_sane() {
            let worst = picture.greatest_error(&out, visible, (0, 0, dst.0, dst.1), dst);
            prop_assert!(worst <= TOLERANCE, "{worst} levels");
        } else {
            prop_assert!(out.iter().all(|&v| v == 114.0));
        }
    }

    #[test]
    fn a_damaged_view_gives_padding_and_an_error(picture in pictures(), plane in 0_usize..3, cut in 1_usize..100) {
        let mut damaged = picture;
        let plane = if damaged.planes[plane].0.is_empty() { 0 } else { plane };
        let data = &mut damaged.planes[plane].0;
        data.truncate(data.len().saturating_sub(cut));
        let geometry = Letterbox::new(damaged.size, (32, 32), Placement::Centered);
        let mut out = vec![f32::NAN; 3 * 32 * 32];
        let e = letterbox_f32_nchw(&geometry, &PLAIN, &damaged.view(), &mut out).expect_err("a plane is too short");
        let is_named = matches!(e, PixelError::ShortPlane { plane: p, .. } if p == plane);
        prop_assert!(is_named, "{e}");
        prop_assert!(out.iter().all(|&v| v == 114.0));
    }

    #[test]
    fn any_region_at_all_is_survived(
        picture in pictures(), corners in prop::array::uniform4(prop_oneof![prop::num::f32::ANY, -1e3_f32..1e3]),
    ) {
        let region = Rect::new(corners[0], corners[1], corners[2], corners[3]);
        let mut out = vec![f32::NAN; 3 * 9 * 5];
        crop_f32_nchw(region, (9, 5), &PLAIN, &picture.view(), &mut out).expect("a sound picture");
        prop_assert!(out.iter().all(|v| (0.0..=255.0).contains(v)));
    }

    #[test]
    fn every_form_of_the_kernels_gives_the_same_bits(
        bytes in prop::collection::vec(any::<[u8; 3]>(), 0..300), weight in 0..=i16::MAX,
        scale in 0.001_f32..2.0, offset in -200.0_f32..200.0,
    ) {
        let fast = Simd::detect();
        let n = bytes.len();
        let column = |c: usize| bytes.iter().map(|b| b[c]).collect::<Vec<u8>>();
        let (top, bottom, third) = (column(0), column(1), column(2));
        let blended = |simd: Simd| {
            let (mut one, mut two) = (vec![0_i16; n], [vec![0_i16; n / 2], vec![0_i16; n / 2]]);
            simd.blend_rows(&top, &bottom, weight, &mut one);
            let [a, b] = &mut two;
            simd.blend_rows_of_two(&top, &bottom, weight, [a, b]);
            (one, two)
        };
        prop_assert_eq!(blended(fast), blended(Simd::BASELINE));

        let weights: Vec<[i16; 2]> =
            bytes.iter().map(|b| i16::from_le_bytes([b[0], b[1] & 0x7f])).map(|w| [i16::MAX - w, w]).collect();
        let pairs: Vec<[i16; 2]> = bytes.iter().map(|b| [i16::from(b[2]) << 6, i16::from(b[0]) << 6]).collect();
        let mixed = |simd: Simd| {
            let mut out = vec![0_i16; n];
            simd.mix_pairs(&pairs, &weights, &mut out);
            out
        };
        prop_assert_eq!(mixed(fast), mixed(Simd::BASELINE));

        let yuv = [&top, &bottom, &third].map(|c| c.iter().map(|&b| i16::from(b) << 6).collect::<Vec<i16>>());
        let colors = |simd: Simd| {
            let [mut r, mut g, mut b] = [vec![0_u8; n], vec![0_u8; n], vec![0_u8; n]];
            let k = YuvToRgb::of(ColorMatrix::Bt709, ColorRange::Limited);
            simd.yuv_to_rgb(&k, [&yuv[0], &yuv[1], &yuv[2]], [&mut r, &mut g, &mut b]);
            [r, g, b]
        };
        prop_assert_eq!(colors(fast), colors(Simd::BASELINE));

        let scaled = |simd: Simd| {
            let mut out = vec![0.0_f32; n];
            simd.scale_row(&top, scale, offset, &mut out);
            out.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        prop_assert_eq!(scaled(fast), scaled(Simd::BASELINE));

        for pixel_bytes in 3..6 {
            let woven = |simd: Simd| {
                let mut out = vec![0_u8; n * pixel_bytes];
                simd.interleave([&top, &bottom, &third], pixel_bytes, 77, &mut out);
                out
            };
            let pixels = bytes.iter().flat_map(|p| p.iter().copied().chain([77; 2]).take(pixel_bytes));
            prop_assert_eq!(woven(Simd::BASELINE), pixels.collect::<Vec<u8>>());
            prop_assert_eq!(woven(fast), woven(Simd::BASELINE));
        }
    }
}

#[test]
fn blue_comes_first_where_the_model_wants_it_and_values_are_scaled() {
    let image = crate::types::RgbImage { width_px: 1, height_px: 1, data: vec![10, 20, 30] };
    let norm = Normalise { scale: [1.0, 2.0, 3.0], offset: [0.5, 0.0, -1.0], order: ChannelOrder::Bgr, pad: 0 };
    let mut out = [0.0; 3];
    crop_f32_nchw(Rect::new(0.0, 0.0, 1.0, 1.0), (1, 1), &norm, &crate::types::Pixels::view(&image), &mut out)
        .expect("sound");
    assert_eq!(out, [30.5, 40.0, 29.0]);
}

#[test]
fn a_picture_of_the_models_own_size_is_unchanged() {
    let picture = Picture::noise(PixelFormat::Rgb, (33, 17), 5, 3, ColorMatrix::Bt601, ColorRange::Full);
    let geometry = Letterbox::new((33, 17), (33, 17), Placement::Centered);
    let mut out = vec![0.0; 3 * 33 * 17];
    letterbox_f32_nchw(&geometry, &PLAIN, &picture.view(), &mut out).expect("sound");
    for (n, &value) in out.iter().enumerate() {
        let (c, y, x) = (n / (33 * 17), n / 33 % 17, n % 33);
        assert_eq!(value, f32::from(picture.planes[0].0[y * picture.planes[0].1 + x * 3 + c]), "at {x},{y}");
    }
}

#[test]
fn sizes_strides_and_tensors_that_make_no_sense_are_errors() {
    let picture = nv12((8, 6));
    let geometry = Letterbox::new((8, 6), (4, 4), Placement::Centered);
    let mut out = vec![0.0; 48];
    let mut view = picture.view();
    view.width_px = 0;
    let e = letterbox_f32_nchw(&geometry, &PLAIN, &view, &mut out).expect_err("no width");
    assert_eq!(e, PixelError::Empty { width_px: 0, height_px: 6 });
    let mut view = picture.view();
    view.planes[1].stride = 7;
    let e = letterbox_f32_nchw(&geometry, &PLAIN, &view, &mut out).expect_err("rows overlap");
    assert_eq!(e, PixelError::ShortStride { plane: 1, stride: 7, row: 8 });
    view.planes[1].stride = usize::MAX;
    assert!(letterbox_f32_nchw(&geometry, &PLAIN, &view, &mut out).is_err());
    let e = letterbox_f32_nchw(&geometry, &PLAIN, &picture.view(), &mut out[..47]).expect_err("a value is missing");
    assert_eq!(e, PixelError::WrongTensor { have: 47, need: 48 });
}

#[test]
fn a_frame_whose_size_changed_still_fills_its_place() {
    let geometry = Letterbox::new((64, 36), (32, 32), Placement::Centered);
    let picture = nv12((20, 50));
    let mut out = vec![0.0; 3 * 32 * 32];
    letterbox_f32_nchw(&geometry, &PLAIN, &picture.view(), &mut out).expect("sound");
    let worst = picture.greatest_error(&out, Rect::new(0.0, 0.0, 20.0, 50.0), (0, 7, 32, 18), (32, 32));
    assert!(worst <= TOLERANCE, "{worst} levels");
}

#[test]
fn weights_never_reach_one() {
    let (before, weight) = Span { origin: 0.999_999_9, step: 1.0 }.at(0, 2);
    assert_eq!((before, weight), (0, 32767));
}
