//! aarch64 without an 8-bit dot product: Cortex-A72 (Raspberry Pi 4), Cortex-A53.
//!
//! Sixteen codes of one pixel meet sixteen weights of one channel: `smull` multiplies the low eight, `smlal2` adds the products of the high eight in
//! 16 bits, `sadalp` adds neighbours to four sums of 32 bits. Two products fit 16 bits because codes are shifted to -128..=127 and weights lie within
//! ±127: 2 · 128 · 127 = 32512. The multiplier of a Cortex-A72 takes one such instruction a cycle, so that eight products a cycle are the wall;
//! everything else (loads, `sadalp`, the shift of the codes) finds room beside it.

use std::arch::aarch64::{
    int16x8_t, int32x4_t, uint8x16_t, vcombine_u8, vcreate_u8, vdupq_n_s32, vdupq_n_u8, veorq_u8, vget_low_s8,
    vgetq_lane_u64, vld1q_f32, vld1q_s8, vld1q_u8, vmlal_high_s8, vmull_s8, vpadalq_s16, vpaddq_s32,
    vreinterpretq_s8_u8, vreinterpretq_u64_u8, vsetq_lane_s32, vst1q_u8,
};
use std::arch::asm;

use super::{Call, Dest, Kernel, Split, neon_out};

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

/// All channels of the block for `P` pixels, four by four: while one four are brought to their destinations, the next are multiplied.
unsafe fn tile<const P: usize>(call: &Call<'_>, input: *const u8, first: usize) {
    let zero = i16::from(call.zero);
    for channel in (0..call.block.width).step_by(QUAD) {
        // SAFETY: weights, bias and scale were packed for this width, a multiple of four; the rest is the caller's promise.
        unsafe {
            let weights = call.block.weights.as_ptr().add(channel * GROUP).cast();
            let sums = quad_of_channels::<P>(call, input, weights, call.block.bias.as_ptr().add(channel));
            let scale = vld1q_f32(call.block.scale.as_ptr().add(channel));
            let codes = neon_out::requantised(std::array::from_fn(|p| sums[p.min(P - 1)]), [scale; 4], zero);
            for dest in call.dests {
                write::<P>(codes, first, channel, dest);
            }
        }
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

/// Brings four channels of `P` pixels, pixel after pixel in `codes`, to one destination.
#[inline(always)]
unsafe fn write<const P: usize>(codes: uint8x16_t, first: usize, channel: usize, dest: &Dest) {
    if dest.from > channel || dest.to < channel + QUAD || dest.residual.is_some() {
        // SAFETY: the caller's promise.
        return unsafe { write_some::<P>(codes, first, channel, dest) };
    }
    // SAFETY: the caller's promise; the destination takes all four channels.
    unsafe {
        let mut halves = split(codes);
        if !dest.table.is_null() {
            halves = halves.map(|half| looked_up(dest.table, half));
        }
        let out = dest.out.add(first * dest.step + channel - dest.from);
        for p in 0..P {
            let four = (halves[p / 2] >> (32 * (p % 2))) as u32;
            out.add(p * dest.step).cast::<u32>().write_unaligned(four);
        }
    }
}

/// As [`write`], with a residual, or where the destination ends or begins amid the four channels.
#[inline(never)]
unsafe fn write_some<const P: usize>(mut codes: uint8x16_t, first: usize, channel: usize, dest: &Dest) {
    let (from, to) = (dest.from.max(channel), dest.to.min(channel + QUAD));
    if from >= to {
        return;
    }
    // SAFETY: the caller's promise; `from..to` is what the destination takes of these four channels.
    unsafe {
        if let Some(r) = &dest.residual {
            let mut others = [[0u8; QUAD]; 4];
            for (p, others) in others.iter_mut().enumerate().take(P) {
                let other = r.codes.add((first + p) * r.step + from - dest.from);
                copy(other, others.as_mut_ptr().add(from - channel), to - from);
            }
            codes = neon_out::mixed(codes, vld1q_u8(others.as_ptr().cast()), &*r.mix);
        }
        if !dest.table.is_null() {
            let halves = split(codes).map(|half| vcreate_u8(looked_up(dest.table, half)));
            codes = vcombine_u8(halves[0], halves[1]);
        }
        let mut lanes = [[0u8; QUAD]; 4];
        vst1q_u8(lanes.as_mut_ptr().cast(), codes);
        for (p, lanes) in lanes.iter().enumerate().take(P) {
            let out = dest.out.add((first + p) * dest.step + from - dest.from);
            copy(lanes.as_ptr().add(from - channel), out, to - from);
        }
    }
}

/// Copies at most four bytes. Volatile, lest the compiler make a call of the few bytes.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: both have `len` bytes, for which the caller vouches.
    unsafe {
        if len == QUAD {
            to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned());
        } else {
            (0..len).for_each(|i| to.add(i).write_volatile(*from.add(i)));
        }
    }
}

#[inline(always)]
fn split(codes: uint8x16_t) -> [u64; 2] {
    // SAFETY: arithmetic alone, and every aarch64 processor has NEON.
    unsafe {
        let halves = vreinterpretq_u64_u8(codes);
        [vgetq_lane_u64::<0>(halves), vgetq_lane_u64::<1>(halves)]
    }
}

/// Eight codes through the table, one load each: `tbl` of four registers is slow on these processors and would stand in the multiplier's way.
#[inline(always)]
unsafe fn looked_up(table: *const [u8; 256], codes: u64) -> u64 {
    // SAFETY: the caller vouches for the table.
    unsafe {
        let low = one::<0>(table, codes)
            | one::<8>(table, codes) << 8
            | one::<16>(table, codes) << 16
            | one::<24>(table, codes) << 24;
        let high = one::<32>(table, codes)
            | one::<40>(table, codes) << 8
            | one::<48>(table, codes) << 16
            | one::<56>(table, codes) << 24;
        low | high << 32
    }
}

/// The byte of the table for the code at the bit `AT`. In assembly, since the compiler would rather load into the lanes of a vector.
#[inline(always)]
unsafe fn one<const AT: u32>(table: *const [u8; 256], codes: u64) -> u64 {
    let byte;
    // SAFETY: an index of eight bits lies in the table, which the caller vouches for.
    unsafe {
        asm!("ubfx {0:x}, {2:x}, {at}, #8", "ldrb {0:w}, [{1}, {0}]", out(reg) byte, in(reg) table, in(reg) codes, at = const AT,
            options(pure, readonly, nostack, preserves_flags));
    }
    byte
}
