//! aarch64 with the 8-bit dot product (`sdot`): Cortex-A76 (Raspberry Pi 5), Cortex-A78AE (Jetson Orin) and later.
//!
//! `sdot` by element takes four codes of one pixel and four weights of each of four channels: 16 products, two such instructions a cycle.
//! Codes become signed on their way through a general register, so that the vector units do nothing but multiply.
//! The intrinsics are not stable yet; hence the assembly, one instruction at a time, which leaves registers and order to the compiler.

use std::arch::aarch64::{int8x8_t, int8x16_t, int32x4_t, vdupq_n_s32, vld1q_s8, vld1q_s32};
use std::arch::{asm, is_aarch64_feature_detected};

use super::{Call, Kernel, Split, neon_out};

/// Channels of one register.
const QUAD: usize = 4;
/// Codes that one element holds.
const GROUP: usize = 4;

#[derive(Debug)]
struct NeonDot;

/// The kernel, if this processor has what it needs.
pub(super) fn kernels() -> Option<&'static dyn Kernel> {
    is_aarch64_feature_detected!("dotprod").then_some(&NeonDot as &dyn Kernel)
}

impl Kernel for NeonDot {
    fn name(&self) -> &'static str {
        "neon-dot"
    }

    fn group(&self) -> usize {
        GROUP
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        neon_out::widths(channels)
    }

    fn shift(&self) -> i32 {
        128
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        // SAFETY: the processor was asked when the kernel was listed; the rest is the caller's promise.
        unsafe {
            match call.block.width / QUAD {
                1 => row::<1>(call, input, pixels),
                2 => row::<2>(call, input, pixels),
                _ => row::<4>(call, input, pixels),
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn row<const N: usize>(call: &Call<'_>, input: *const u8, pixels: usize) {
    for (first, count) in Split::of(pixels, 6).tiles() {
        // SAFETY: the caller's promise; `first + count` is at most `pixels`.
        unsafe {
            let input = input.add(first * call.step);
            match count {
                1 => tile::<1, N>(call, input, first),
                2 => tile::<2, N>(call, input, first),
                3 => tile::<3, N>(call, input, first),
                4 => tile::<4, N>(call, input, first),
                5 => tile::<5, N>(call, input, first),
                _ => tile::<6, N>(call, input, first),
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
#[allow(clippy::needless_range_loop, reason = "the number of a register counts sums and weights alike")]
unsafe fn tile<const P: usize, const N: usize>(call: &Call<'_>, input: *const u8, first: usize) {
    // SAFETY: weights and bias were packed for this width; the rest is the caller's promise.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); 4]; P];
        for j in 0..N {
            let bias = vld1q_s32(call.block.bias.as_ptr().add(j * QUAD));
            acc.iter_mut().for_each(|a| a[j] = bias);
        }
        let mut weights = call.block.weights.as_ptr().cast::<i8>();
        for run in call.runs {
            let mut from = input.add(run.offset);
            let groups = run.bytes.div_ceil(GROUP);
            for _ in 0..groups / 2 {
                let codes: [int8x8_t; P] = std::array::from_fn(|p| eight(from.add(p * call.step)));
                for j in 0..N {
                    let w = vld1q_s8(weights.add(j * 16));
                    for p in 0..P {
                        acc[p][j] = sdot::<0>(acc[p][j], w, codes[p]);
                    }
                }
                for j in 0..N {
                    let w = vld1q_s8(weights.add((N + j) * 16));
                    for p in 0..P {
                        acc[p][j] = sdot::<1>(acc[p][j], w, codes[p]);
                    }
                }
                weights = weights.add(2 * N * 16);
                from = from.add(2 * GROUP);
            }
            if groups % 2 == 1 {
                let codes: [int8x8_t; P] = std::array::from_fn(|p| four(from.add(p * call.step)));
                for j in 0..N {
                    let w = vld1q_s8(weights.add(j * 16));
                    for p in 0..P {
                        acc[p][j] = sdot::<0>(acc[p][j], w, codes[p]);
                    }
                }
                weights = weights.add(N * 16);
            }
        }
        neon_out::write::<P>(&acc, first, call);
    }
}

/// Eight codes, signed. The assembly keeps the shift out of the vector units, which have more to do.
#[inline(always)]
unsafe fn eight(from: *const u8) -> int8x8_t {
    // SAFETY: the caller's promise; the move touches registers alone.
    unsafe {
        let signed = from.cast::<u64>().read_unaligned() ^ 0x8080_8080_8080_8080;
        let codes;
        asm!("fmov {0:d}, {1:x}", out(vreg) codes, in(reg) signed, options(pure, nomem, nostack, preserves_flags));
        codes
    }
}

/// Four codes, signed, in the first element.
#[inline(always)]
unsafe fn four(from: *const u8) -> int8x8_t {
    // SAFETY: the caller's promise; the move touches registers alone.
    unsafe {
        let signed = from.cast::<u32>().read_unaligned() ^ 0x8080_8080;
        let codes;
        asm!("fmov {0:s}, {1:w}", out(vreg) codes, in(reg) signed, options(pure, nomem, nostack, preserves_flags));
        codes
    }
}

/// Adds the products of four codes, element `AT`, with the weights of four channels.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn sdot<const AT: usize>(mut acc: int32x4_t, weights: int8x16_t, codes: int8x8_t) -> int32x4_t {
    // SAFETY: registers alone; the feature is enabled.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{at}]", inout(vreg) acc, in(vreg) weights, in(vreg) codes, at = const AT,
            options(pure, nomem, nostack, preserves_flags));
    }
    acc
}
