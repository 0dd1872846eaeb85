//! From sums to bytes on aarch64: requantisation, tables, residuals and stores, shared by its kernels.
//!
//! Belongs here: what happens to a tile once its sums are complete. Does not: how they come about.

use std::arch::aarch64::{
    float32x4_t, int32x4_t, uint8x16_t, uint8x16x4_t, vaddq_f32, vcombine_s16, vcombine_u8, vcvtnq_s32_f32,
    vcvtq_f32_s32, vcvtq_f32_u32, vdupq_n_f32, vdupq_n_s16, vdupq_n_u8, veorq_u8, vfmaq_n_f32, vfmsq_n_f32,
    vget_high_u8, vget_high_u16, vget_low_u8, vget_low_u16, vld1q_f32, vld1q_u8, vld1q_u8_x4, vmovl_u8, vmovl_u16,
    vmulq_f32, vmulq_n_f32, vorrq_u8, vqaddq_s16, vqmovn_s32, vqmovun_s16, vqtbl4q_u8, vst1q_u8, vsubq_f32,
};

use super::{Call, Dest, Mix, Residual};

/// Channels of one vector of codes, and the widest block.
pub(super) const LANES: usize = 16;

/// Blocks of sixteen channels, then of eight and of four, the last perhaps wider than what is left.
pub(super) fn widths(channels: usize) -> Vec<usize> {
    let rest = channels % LANES;
    let mut widths = vec![LANES; channels / LANES];
    match rest.div_ceil(4) {
        0 => {}
        3 => widths.extend([8, 4]),
        quads => widths.push(quads * 4),
    }
    widths
}

/// Four vectors of sums as codes.
#[inline(always)]
pub(super) fn requantised(sums: [int32x4_t; 4], scale: [float32x4_t; 4], zero: i16) -> uint8x16_t {
    // SAFETY: arithmetic alone, and every aarch64 processor has NEON.
    unsafe {
        let rounded = |j: usize| vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[j]), scale[j])));
        let half = |j: usize| vqmovun_s16(vqaddq_s16(vcombine_s16(rounded(j), rounded(j + 1)), vdupq_n_s16(zero)));
        vcombine_u8(half(0), half(2))
    }
}

/// The table in sixteen registers.
#[inline(always)]
unsafe fn loaded(table: *const [u8; 256]) -> [uint8x16x4_t; 4] {
    // SAFETY: four times 64 of 256 bytes.
    unsafe { std::array::from_fn(|i| vld1q_u8_x4(table.cast::<u8>().add(i * 64))) }
}

#[inline(always)]
fn looked_up(table: [uint8x16x4_t; 4], codes: uint8x16_t) -> uint8x16_t {
    // SAFETY: arithmetic. `tbl` gives zero for an index of 64 or more, so exactly one of the four has the byte.
    unsafe {
        let part = |i: usize| vqtbl4q_u8(table[i], veorq_u8(codes, vdupq_n_u8(64 * i as u8)));
        vorrq_u8(vorrq_u8(part(0), part(1)), vorrq_u8(part(2), part(3)))
    }
}

/// Requantises the sums of `P` pixels, bias included, and brings them to all destinations; the tile begins at the row's pixel `first`.
///
/// # Safety
/// As [`super::Kernel::row`]; block widths are multiples of four.
#[inline(always)]
pub(super) unsafe fn write<const P: usize>(sums: &[[int32x4_t; 4]; P], first: usize, call: &Call<'_>) {
    // SAFETY: scales were packed for the block's width; the rest is the caller's promise.
    unsafe {
        // A block of fewer channels repeats its last scales in lanes that nobody looks at.
        let scale: [_; 4] =
            std::array::from_fn(|j| vld1q_f32(call.block.scale.as_ptr().add((4 * j).min(call.block.width - 4))));
        let codes: [uint8x16_t; P] = sums.map(|sums| requantised(sums, scale, i16::from(call.zero)));
        for dest in call.dests {
            write_to::<P>(&codes, first, dest);
        }
    }
}

#[inline(always)]
unsafe fn write_to<const P: usize>(codes: &[uint8x16_t; P], first: usize, dest: &Dest) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut codes = *codes;
        let channels = dest.to - dest.from;
        if let Some(r) = &dest.residual {
            for (p, codes) in codes.iter_mut().enumerate() {
                *codes = mixed(*codes, other(r, first + p, dest.from, channels), &*r.mix);
            }
        }
        if !dest.table.is_null() {
            let table = loaded(dest.table);
            codes.iter_mut().for_each(|c| *c = looked_up(table, *c));
        }
        for (p, codes) in codes.into_iter().enumerate() {
            let out = dest.out.add((first + p) * dest.step);
            if channels == LANES {
                vst1q_u8(out, codes);
            } else {
                store_some(codes, dest.from, channels, out);
            }
        }
    }
}

/// A pixel of the tensor that is added, each channel in the lane of its partner.
#[inline(always)]
unsafe fn other(residual: &Residual, pixel: usize, from: usize, channels: usize) -> uint8x16_t {
    // SAFETY: the caller's promise; `from + channels` is at most 16.
    unsafe {
        let codes = residual.codes.add(pixel * residual.step);
        if channels == LANES {
            return vld1q_u8(codes);
        }
        let mut lanes = [0u8; LANES];
        copy(codes, lanes.as_mut_ptr().add(from), channels);
        vld1q_u8(lanes.as_ptr())
    }
}

/// Lanes `from..from + channels`.
#[inline(always)]
unsafe fn store_some(codes: uint8x16_t, from: usize, channels: usize, out: *mut u8) {
    let mut lanes = [0u8; LANES];
    // SAFETY: the caller's promise; `from + channels` is at most 16.
    unsafe {
        vst1q_u8(lanes.as_mut_ptr(), codes);
        copy(lanes.as_ptr().add(from), out, channels);
    }
}

/// Copies up to 16 bytes with two loads and two stores, which overlap where the number is not a power of two.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: every access lies within `len` bytes of both, for which the caller vouches.
    unsafe {
        if len >= 8 {
            let (head, tail) = (from.cast::<u64>().read_unaligned(), from.add(len - 8).cast::<u64>().read_unaligned());
            to.cast::<u64>().write_unaligned(head);
            to.add(len - 8).cast::<u64>().write_unaligned(tail);
        } else if len >= 4 {
            let (head, tail) = (from.cast::<u32>().read_unaligned(), from.add(len - 4).cast::<u32>().read_unaligned());
            to.cast::<u32>().write_unaligned(head);
            to.add(len - 4).cast::<u32>().write_unaligned(tail);
        } else {
            for i in 0..len {
                *to.add(i) = *from.add(i);
            }
        }
    }
}

/// [`Mix::apply`] on 16 pairs of codes. Floats are looked up one by one: four planes of bytes would take more registers than there are.
#[inline(always)]
pub(super) fn mixed(own: uint8x16_t, other: uint8x16_t, mix: &Mix) -> uint8x16_t {
    // SAFETY: arithmetic and arrays of our own; every aarch64 processor has NEON.
    unsafe {
        let mut codes = [0u8; LANES];
        vst1q_u8(codes.as_mut_ptr(), own);
        let own: [f32; LANES] = codes.map(|code| mix.own[usize::from(code)]);
        let (low, high) = (vmovl_u8(vget_low_u8(other)), vmovl_u8(vget_high_u8(other)));
        let other = [
            vmovl_u16(vget_low_u16(low)),
            vmovl_u16(vget_high_u16(low)),
            vmovl_u16(vget_low_u16(high)),
            vmovl_u16(vget_high_u16(high)),
        ];
        let zero = vdupq_n_f32(mix.other_zero);
        let sum = |j: usize| {
            let other = vmulq_n_f32(vsubq_f32(vcvtq_f32_u32(other[j]), zero), mix.other_scale);
            let sum = vaddq_f32(vld1q_f32(own.as_ptr().add(4 * j)), other);
            let near = vmulq_n_f32(sum, mix.inverse);
            let left = vfmsq_n_f32(sum, near, mix.scale);
            vqmovn_s32(vcvtnq_s32_f32(vfmaq_n_f32(near, left, mix.inverse)))
        };
        let zero = vdupq_n_s16(i16::from(mix.zero));
        let half = |j: usize| vqmovun_s16(vqaddq_s16(vcombine_s16(sum(j), sum(j + 1)), zero));
        vcombine_u8(half(0), half(2))
    }
}
