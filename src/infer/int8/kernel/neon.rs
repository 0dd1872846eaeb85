//! aarch64 without an 8-bit dot product: Cortex-A72 (Raspberry Pi 4), Cortex-A53.
//!
//! Sixteen codes of one pixel meet sixteen weights of one channel: `smull` multiplies the low eight, `smlal2` adds the products of the high eight in
//! 16 bits, `sadalp` adds neighbours to four sums of 32 bits. Two products fit 16 bits because codes are shifted to -128..=127 and weights lie within
//! ±127: 2 · 128 · 127 = 32512. The multiplier of a Cortex-A72 takes one such instruction a cycle, so that eight products a cycle are the wall;
//! everything else (loads, `sadalp`, the shift of the codes) finds room beside it.

use std::arch::aarch64::{
    int16x8_t, int32x4_t, vdupq_n_s32, vdupq_n_u8, veorq_u8, vget_low_s8, vld1q_s8, vld1q_u8, vmlal_high_s8, vmull_s8,
    vpadalq_s16, vpaddq_s32, vreinterpretq_s8_u8, vsetq_lane_s32,
};

use super::neon_out::{self, OneByOne};
use super::{Call, Kernel, Split};

/// Bytes of one register, and thus of a group.
const GROUP: usize = 16;
/// Channels whose sums one register holds once its lanes are added up; a tile of 4 × 4 keeps 16 registers of sums.
const QUAD: usize = 4;
/// Pixels of a full tile.
const MOST_PIXELS: usize = 4;

#[derive(Debug)]
pub(super) struct Neon;

impl Kernel for Neon {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn group(&self) -> usize {
        GROUP
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        let (full, rest) = (channels / neon_out::LANES, channels % neon_out::LANES);
        let mut widths = vec![neon_out::LANES; full];
        widths.extend((rest > 0).then(|| rest.next_multiple_of(QUAD)));
        widths
    }

    fn order(&self, width: usize) -> Vec<usize> {
        (0..width).collect()
    }

    fn shift(&self) -> i32 {
        128
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        for (first, count) in Split::of(pixels, MOST_PIXELS).tiles() {
            // SAFETY: the caller's promise; `first + count` is at most `pixels`. Every aarch64 processor has NEON.
            unsafe {
                let input = input.add(first * call.step);
                match count {
                    1 => tile::<1>(call, input, first),
                    2 => tile::<2>(call, input, first),
                    3 => tile::<3>(call, input, first),
                    _ => tile::<4>(call, input, first),
                }
            }
        }
    }
}

/// All channels of the block for `P` pixels.
unsafe fn tile<const P: usize>(call: &Call<'_>, input: *const u8, first: usize) {
    // SAFETY: weights and bias were packed for this width, a multiple of four; the rest is the caller's promise.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); 4]; P];
        for quad in 0..call.block.width / QUAD {
            let weights = call.block.weights.as_ptr().add(quad * QUAD * GROUP).cast();
            let bias = call.block.bias.as_ptr().add(quad * QUAD);
            let here = quad_of_channels::<P>(call, input, weights, bias);
            for (sums, here) in sums.iter_mut().zip(here) {
                sums[quad] = here;
            }
        }
        neon_out::write::<P, OneByOne>(&sums, first, call);
    }
}

/// The sums of four channels for `P` pixels, bias included; `weights` and `bias` are those of the first channel.
#[inline(always)]
unsafe fn quad_of_channels<const P: usize>(
    call: &Call<'_>,
    input: *const u8,
    mut weights: *const i8,
    bias: *const i32,
) -> [int32x4_t; P] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc: [[int32x4_t; QUAD]; P] =
            [std::array::from_fn(|j| vsetq_lane_s32::<0>(*bias.add(j), vdupq_n_s32(0))); P];
        for run in call.runs {
            let mut from = input.add(run.offset);
            for _ in 0..run.bytes.div_ceil(GROUP) {
                let w: [_; QUAD] = std::array::from_fn(|j| vld1q_s8(weights.add(j * GROUP)));
                for (p, acc) in acc.iter_mut().enumerate() {
                    let codes = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from.add(p * call.step)), vdupq_n_u8(0x80)));
                    for (acc, w) in acc.iter_mut().zip(w) {
                        let low: int16x8_t = vmull_s8(vget_low_s8(codes), vget_low_s8(w));
                        *acc = vpadalq_s16(*acc, vmlal_high_s8(low, codes, w));
                    }
                }
                weights = weights.add(call.block.width * GROUP);
                from = from.add(GROUP);
            }
        }
        acc.map(|a: [int32x4_t; QUAD]| vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3])))
    }
}
