//! aarch64 with 8-bit matrix products (`usmmla`): Neoverse V1 and N2, Cortex-A510, A710 and later.
//!
//! One instruction multiplies eight codes of two pixels with eight weights of two channels: 32 products. It takes codes without a sign as they are.
//! The intrinsics are not stable yet; hence the assembly, one instruction at a time, which leaves registers and order to the compiler.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, uint8x16_t, vcombine_s32, vcombine_u8, vdupq_n_s32, vget_high_s32, vget_low_s32, vld1_s32,
    vld1_u8, vld1q_s8,
};
use std::arch::{asm, is_aarch64_feature_detected};

use super::{Call, Kernel, Split, neon_out};

/// Codes of one pixel that an instruction takes.
const GROUP: usize = 8;
/// Pixels of a full tile: with sixteen channels, 24 registers of sums.
const MOST_PIXELS: usize = 6;

#[derive(Debug)]
struct I8mm;

/// The kernel, if this processor has what it needs.
pub(super) fn kernels() -> Option<&'static dyn Kernel> {
    is_aarch64_feature_detected!("i8mm").then_some(&I8mm as &dyn Kernel)
}

impl Kernel for I8mm {
    fn name(&self) -> &'static str {
        "i8mm"
    }

    fn group(&self) -> usize {
        GROUP
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        neon_out::widths(channels)
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        // SAFETY: the processor was asked when the kernel was listed; the rest is the caller's promise.
        unsafe {
            match call.block.width / 4 {
                1 => row::<2>(call, input, pixels),
                2 => row::<4>(call, input, pixels),
                _ => row::<8>(call, input, pixels),
            }
        }
    }
}

/// `N` pairs of channels.
#[target_feature(enable = "neon,i8mm")]
unsafe fn row<const N: usize>(call: &Call<'_>, input: *const u8, pixels: usize) {
    for (first, count) in Split::of(pixels, MOST_PIXELS).tiles() {
        // SAFETY: the caller's promise; `first + count` is at most `pixels`.
        unsafe {
            let input = input.add(first * call.step);
            match count {
                1 => tile::<1, 1, N>(call, input, first),
                2 => tile::<2, 1, N>(call, input, first),
                3 => tile::<3, 2, N>(call, input, first),
                4 => tile::<4, 2, N>(call, input, first),
                5 => tile::<5, 3, N>(call, input, first),
                _ => tile::<6, 3, N>(call, input, first),
            }
        }
    }
}

/// `P` pixels as `H` pairs; the last has one pixel twice where `P` is odd.
#[target_feature(enable = "neon,i8mm")]
#[allow(clippy::needless_range_loop, reason = "the number of a register counts sums and weights alike")]
unsafe fn tile<const P: usize, const H: usize, const N: usize>(call: &Call<'_>, input: *const u8, first: usize) {
    // SAFETY: weights and bias were packed for this width; the rest is the caller's promise.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); N]; H];
        for j in 0..N {
            let bias = vld1_s32(call.block.bias.as_ptr().add(j * 2));
            acc.iter_mut().for_each(|a| a[j] = vcombine_s32(bias, bias));
        }
        let mut weights = call.block.weights.as_ptr().cast::<i8>();
        for run in call.runs {
            let mut from = input.add(run.offset);
            for _ in 0..run.bytes.div_ceil(GROUP) {
                let codes: [uint8x16_t; H] = std::array::from_fn(|h| {
                    let pixel = |p: usize| vld1_u8(from.add(p.min(P - 1) * call.step));
                    vcombine_u8(pixel(2 * h), pixel(2 * h + 1))
                });
                for j in 0..N {
                    let w = vld1q_s8(weights.add(j * 16));
                    for h in 0..H {
                        acc[h][j] = usmmla(acc[h][j], codes[h], w);
                    }
                }
                weights = weights.add(N * 16);
                from = from.add(GROUP);
            }
        }
        let mut sums = [[vdupq_n_s32(0); 4]; P];
        for (p, sums) in sums.iter_mut().enumerate() {
            for (j, pair) in acc[p / 2].chunks_exact(2).enumerate() {
                sums[j] = if p % 2 == 0 {
                    vcombine_s32(vget_low_s32(pair[0]), vget_low_s32(pair[1]))
                } else {
                    vcombine_s32(vget_high_s32(pair[0]), vget_high_s32(pair[1]))
                };
            }
        }
        neon_out::write::<P>(&sums, first, call);
    }
}

/// Adds the products of two pixels' codes with two channels' weights, the channels side by side.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn usmmla(mut acc: int32x4_t, codes: uint8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: registers alone; the feature is enabled.
    unsafe {
        asm!("usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc, in(vreg) codes, in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags));
    }
    acc
}
