//! Codes against the float tensor, quantised afterwards: they are the same, since both round the same value in the same way.

use proptest::prelude::*;

use super::*;
use crate::pixels::tests::{PLAIN, nv12, pictures};
use crate::pixels::{Letterbox, Placement, crop_f32_nchw, crop_u8_nhwc, letterbox_f32_nchw, letterbox_u8_nhwc};
use crate::types::{Pixels, Rect, RgbImage};

/// What the memory holds before, so that a test sees what was not to be touched.
const BEFORE: u8 = 0xa5;

/// How a tensor of codes lies: bytes of a pixel, bytes between rows, bytes behind the last one.
type Layout = (usize, usize, usize);

fn layouts() -> impl Strategy<Value = Layout> {
    (prop_oneof![Just(3_usize), Just(4), Just(5), Just(16)], 0_usize..9, 0_usize..9)
}

/// A scale and a zero.
fn quantisations() -> impl Strategy<Value = (f32, u8)> {
    (prop_oneof![2 => Just(1.0_f32 / 255.0), 1 => Just(1.0), 1 => Just(0.5), 4 => 0.001_f32..2.0], any::<u8>())
}

fn normalisations() -> impl Strategy<Value = Normalise> {
    let yolo = Just(([1.0 / 255.0; 3], [0.0; 3]));
    let random = (prop::array::uniform3(0.001_f32..1.5), prop::array::uniform3(-130.0_f32..3.0));
    (prop_oneof![1 => yolo, 2 => random], any::<bool>(), any::<u8>()).prop_map(|((scale, offset), is_rgb, pad)| {
        let order = if is_rgb { ChannelOrder::Rgb } else { ChannelOrder::Bgr };
        Normalise { scale, offset, order, pad }
    })
}

/// Writes codes by `write` and says what differs from the float tensor quantised.
fn differing(
    floats: &[f32],
    dst: (usize, usize),
    layout: Layout,
    (scale, zero): (f32, u8),
    write: impl FnOnce(&mut CodesMut<'_>),
) -> Option<String> {
    let (pixel_bytes, between, behind) = layout;
    let row_bytes = dst.0 * pixel_bytes + between;
    let mut memory = vec![BEFORE; row_bytes * dst.1 + behind];
    let mut out = CodesMut { codes: &mut memory, row_bytes, pixel_bytes, scale, zero };
    write(&mut out);
    for (i, &have) in out.codes.iter().enumerate() {
        let (y, byte) = (i / row_bytes, i % row_bytes);
        let (x, c) = (byte / pixel_bytes, byte % pixel_bytes);
        let want = match () {
            () if y >= dst.1 || x >= dst.0 => BEFORE,
            () if c >= 3 => zero,
            () => {
                // As QuantizeLinear is written down, in 64 bits: the quotient of two floats is the one thing that is rounded to 32.
                let value = floats[(c * dst.1 + y) * dst.0 + x];
                (f64::from(value / scale).round_ties_even() + f64::from(zero)).clamp(0.0, 255.0) as u8
            }
        };
        if have != want {
            return Some(format!("byte {c} of the pixel {x},{y} is {have}, not {want}"));
        }
    }
    None
}

proptest! {
    #[test]
    fn letterboxed_codes_are_the_float_tensor_quantised(
        picture in pictures(), dst in (1_usize..120, 1_usize..80), layout in layouts(), quantisation in quantisations(),
        norm in normalisations(), centered: bool,
    ) {
        let placement = if centered { Placement::Centered } else { Placement::TopLeft };
        let geometry = Letterbox::new(picture.size, dst, placement);
        let mut floats = vec![0.0; 3 * dst.0 * dst.1];
        letterbox_f32_nchw(&geometry, &norm, &picture.view(), &mut floats).expect("a sound picture");
        let told = differing(&floats, dst, layout, quantisation, |out| {
            letterbox_u8_nhwc(&geometry, &norm, &picture.view(), out).expect("a sound picture");
        });
        prop_assert_eq!(told, None);
    }

    #[test]
    fn cropped_codes_are_the_float_tensor_quantised(
        picture in pictures(), dst in (1_usize..50, 1_usize..50), corners in prop::array::uniform4(-0.3_f32..1.3),
        layout in layouts(), quantisation in quantisations(), norm in normalisations(),
    ) {
        let (w, h) = (picture.size.0 as f32, picture.size.1 as f32);
        let region = Rect::new(corners[0] * w, corners[1] * h, corners[2] * w, corners[3] * h);
        let mut floats = vec![0.0; 3 * dst.0 * dst.1];
        crop_f32_nchw(region, dst, &norm, &picture.view(), &mut floats).expect("a sound picture");
        let told = differing(&floats, dst, layout, quantisation, |out| {
            crop_u8_nhwc(region, dst, &norm, &picture.view(), out).expect("a sound picture");
        });
        prop_assert_eq!(told, None);
    }
}

#[test]
fn a_tie_goes_to_the_even_code_and_what_lies_beyond_takes_the_last_one() {
    let out = CodesMut { codes: &mut [], row_bytes: 0, pixel_bytes: 3, scale: 2.0, zero: 10 };
    let codes = [1.0, 3.0, 5.0, -1.0, -3.0, -1e9, 1e9, 0.0].map(|value| out.code(value));
    assert_eq!(codes, [10, 12, 12, 10, 8, 0, 255, 10]);
}

#[test]
fn yolos_bytes_are_their_own_codes() {
    let image = RgbImage { width_px: 256, height_px: 1, data: (0..=255).flat_map(|v| [v, 255 - v, 7]).collect() };
    let norm = Normalise { scale: [1.0 / 255.0; 3], ..PLAIN };
    let mut codes = vec![BEFORE; 256 * 4];
    let mut out = CodesMut { codes: &mut codes, row_bytes: 1024, pixel_bytes: 4, scale: 1.0 / 255.0, zero: 0 };
    crop_u8_nhwc(Rect::new(0.0, 0.0, 256.0, 1.0), (256, 1), &norm, &image.view(), &mut out).expect("sound");
    assert_eq!(codes, (0..=255).flat_map(|v| [v, 255 - v, 7, 0]).collect::<Vec<u8>>());
}

#[test]
fn layouts_that_cannot_hold_the_picture_are_errors_and_short_planes_give_padding() {
    let picture = nv12((8, 6));
    let geometry = Letterbox::new((8, 6), (4, 4), Placement::Centered);
    let attempt = |view: &crate::types::ImageView<'_>, bytes: usize, row_bytes: usize, pixel_bytes: usize| {
        let mut codes = vec![BEFORE; bytes];
        let mut out = CodesMut { codes: &mut codes, row_bytes, pixel_bytes, scale: 1.0, zero: 5 };
        let told = letterbox_u8_nhwc(&geometry, &PLAIN, view, &mut out).expect_err("refused");
        (told, codes)
    };
    let (told, codes) = attempt(&picture.view(), 63, 16, 4);
    assert_eq!(told, PixelError::WrongTensor { have: 63, need: 64 });
    assert!(codes.iter().all(|&c| c == 5));
    for (row_bytes, pixel_bytes) in [(15, 4), (64, 2), (64, 0), (64, usize::MAX)] {
        let told = attempt(&picture.view(), 256, row_bytes, pixel_bytes).0;
        assert_eq!(told, PixelError::WrongLayout { pixel_bytes, row_bytes, width_px: 4 });
    }
    assert!(matches!(attempt(&picture.view(), 64, usize::MAX, 4).0, PixelError::WrongTensor { .. }));
    let mut view = picture.view();
    view.planes[1].data = &view.planes[1].data[1..];
    let (told, codes) = attempt(&view, 64, 16, 4);
    assert!(matches!(told, PixelError::ShortPlane { plane: 1, .. }), "{told}");
    assert_eq!(codes, [119, 119, 119, 5].repeat(16));
}

#[test]
fn a_tensor_without_pixels_takes_nothing() {
    let picture = nv12((8, 6));
    for dst in [(0, 3), (3, 0)] {
        let mut out = CodesMut { codes: &mut [], row_bytes: 12, pixel_bytes: 4, scale: 1.0, zero: 0 };
        crop_u8_nhwc(Rect::new(0.0, 0.0, 8.0, 6.0), dst, &PLAIN, &picture.view(), &mut out).expect("nothing to do");
    }
}
