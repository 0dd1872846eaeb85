//! One letterbox, to be counted: a frame of a camera into a model's input, as the daemon does it for the int8 engine and for tract.
//!
//! Belongs here: a frame that is made, and how often it is drawn. Does not: tests of what is drawn, which lie beside the code.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::pixels::{
    ChannelOrder, CodesMut, Letterbox, Normalise, Placement, letterbox_f32_nchw, letterbox_u8_nhwc,
};
use crate::types::{ColorMatrix, ColorRange, ImageView, PixelFormat, Plane};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const SIDE: usize = 320;

/// Draws `times` times, as floats or as codes, and prints a hash of the last.
#[allow(clippy::print_stdout, reason = "a program's output")]
pub(crate) fn run(kind: &str, times: &str) -> Result<(), String> {
    let times: usize = times.parse().map_err(|_| format!("{times} is no number"))?;
    // Not noise: slopes, as pictures have them.
    let frame: Vec<u8> = (0..WIDTH * HEIGHT * 3 / 2).map(|i| ((i % WIDTH) / 8 + i / WIDTH / 5) as u8).collect();
    let view = nv12(&frame);
    let geometry = Letterbox::new((view.width_px, view.height_px), (SIDE, SIDE), Placement::Centered);
    let norm = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };
    let mut hasher = DefaultHasher::new();
    match kind {
        "f32" => {
            let mut out = vec![0.0_f32; 3 * SIDE * SIDE];
            for _ in 0..times {
                letterbox_f32_nchw(&geometry, &norm, &view, &mut out).map_err(|e| e.to_string())?;
            }
            out.iter().for_each(|v| v.to_bits().hash(&mut hasher));
        }
        "u8" => {
            let mut codes = vec![0_u8; 4 * SIDE * SIDE];
            for _ in 0..times {
                let mut out =
                    CodesMut { codes: &mut codes, row_bytes: 4 * SIDE, pixel_bytes: 4, scale: 1.0 / 255.0, zero: 0 };
                letterbox_u8_nhwc(&geometry, &norm, &view, &mut out).map_err(|e| e.to_string())?;
            }
            codes.hash(&mut hasher);
        }
        _ => return Err(format!("{kind} is neither f32 nor u8")),
    }
    println!("{:016x}", hasher.finish());
    Ok(())
}

fn nv12(frame: &[u8]) -> ImageView<'_> {
    let (luma, chroma) = frame.split_at(WIDTH * HEIGHT);
    let planes = [Plane { data: luma, stride: WIDTH }, Plane { data: chroma, stride: WIDTH }, Plane::NONE];
    ImageView {
        format: PixelFormat::Nv12,
        width_px: WIDTH as u32,
        height_px: HEIGHT as u32,
        planes,
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Limited,
    }
}
