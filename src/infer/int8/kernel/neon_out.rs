//! From sums to bytes on aarch64: requantisation, tables, residuals and stores, shared by its kernels.
//!
//! Belongs here: what happens to a tile once its sums are complete. Does not: how they come about.

use std::arch::aarch64::{
    float32x4_t, int32x4_t, uint8x16_t, uint8x16x4_t, vaddq_s32, vcombine_s16, vcombine_u8, vcombine_u16, vcreate_u8,
    vcvtnq_s32_f32, vcvtq_f32_s32, vdupq_n_s16, vdupq_n_s32, vdupq_n_u8, veorq_u8, vget_high_s16, vget_high_u8,
    vget_low_s16, vget_low_u8, vld1q_f32, vld1q_u8, vld1q_u8_x4, vmlal_n_s16, vmovl_u8, vmull_n_s16, vmulq_f32,
    vorrq_u8, vqaddq_s16, vqmovn_s32, vqmovn_u16, vqmovun_s16, vqmovun_s32, vqtbl4q_u8, vreinterpretq_s16_u16,
    vshlq_s32, vst1q_u8,
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
        if !dest.table.is_null() {
            let table = loaded(dest.table);
            codes.iter_mut().for_each(|c| *c = looked_up(table, *c));
        }
        let channels = dest.to - dest.from;
        if let Some(r) = &dest.residual {
            for (p, codes) in codes.iter_mut().enumerate() {
                *codes = mixed(*codes, other(r, first + p, dest.from, channels), r.mix);
            }
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

/// [`Mix::apply`] on 16 pairs of codes.
#[inline(always)]
pub(super) fn mixed(own: uint8x16_t, other: uint8x16_t, mix: Mix) -> uint8x16_t {
    // SAFETY: arithmetic alone, and every aarch64 processor has NEON.
    unsafe {
        let (offset, shift) = (vdupq_n_s32(mix.offset), vdupq_n_s32(-(mix.shift as i32)));
        let half = |own, other| {
            let (own, other) = (vreinterpretq_s16_u16(vmovl_u8(own)), vreinterpretq_s16_u16(vmovl_u8(other)));
            let sum = |own, other| {
                let sum = vmlal_n_s16(vmull_n_s16(own, mix.own), other, mix.other);
                vqmovun_s32(vshlq_s32(vaddq_s32(sum, offset), shift))
            };
            let low = sum(vget_low_s16(own), vget_low_s16(other));
            vqmovn_u16(vcombine_u16(low, sum(vget_high_s16(own), vget_high_s16(other))))
        };
        let low = half(vget_low_u8(own), vget_low_u8(other));
        vcombine_u8(low, half(vget_high_u8(own), vget_high_u8(other)))
    }
}
