//! The oracle: the contract in plain Rust, for any processor. Every other kernel gives the same bytes.

use super::{Call, Kernel, MAX_BLOCK, finish};

/// Plain loops.
#[derive(Debug)]
pub(super) struct Scalar;

impl Kernel for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn group(&self) -> usize {
        1
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        vec![16; channels.div_ceil(16)]
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        let width = call.block.width;
        for pixel in 0..pixels {
            let (mut acc, mut codes) = ([0i32; MAX_BLOCK], [0u8; MAX_BLOCK]);
            acc[..width].copy_from_slice(&call.block.bias);
            let mut weights = call.block.weights.as_ptr().cast::<i8>();
            for run in call.runs {
                for at in 0..run.bytes {
                    // SAFETY: the caller promised the input; the weights were packed for these runs and this width.
                    let (code, row) = unsafe {
                        let code = *input.add(pixel * call.step + run.offset + at);
                        (i32::from(code), std::slice::from_raw_parts(weights, width))
                    };
                    acc[..width].iter_mut().zip(row).for_each(|(a, &w)| *a += code * i32::from(w));
                    // SAFETY: as above; after the last row it points one past the end.
                    weights = unsafe { weights.add(width) };
                }
            }
            for ((code, &acc), &scale) in codes.iter_mut().zip(&acc).zip(&call.block.scale) {
                *code = requantise(acc, scale, call.zero);
            }
            // SAFETY: one pixel of `width` codes; destinations as promised.
            unsafe { finish::write(codes.as_ptr(), width, pixel, 1, call.dests) };
        }
    }
}

/// The one rounding of the engine.
#[inline(always)]
pub(super) fn requantise(acc: i32, scale: f32, zero: u8) -> u8 {
    let rounded = (acc as f32 * scale).round_ties_even() as i32;
    rounded.saturating_add(i32::from(zero)).clamp(0, 255) as u8
}
