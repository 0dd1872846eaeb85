//! The kernels compiled for what this processor has, chosen at run time. The results are those of `kernels.rs` to the last bit.
//!
//! Belongs here: which form runs. Does not: what is computed.

use super::color::YuvToRgb;
use super::kernels;

/// Which form of the kernels this processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Simd {
    /// What the target always has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
}

impl Simd {
    pub(super) fn detect() -> Self {
        Self::Baseline
    }

    pub(super) fn blend_rows(self, top: &[u8], bottom: &[u8], weight_q15: i16, out: &mut [i16]) {
        kernels::blend_rows(top, bottom, weight_q15, out);
    }

    pub(super) fn blend_rows_of_two(self, top: &[u8], bottom: &[u8], weight_q15: i16, out: [&mut [i16]; 2]) {
        kernels::blend_rows_of_two(top, bottom, weight_q15, out);
    }

    pub(super) fn mix_pairs(self, pairs: &[[i16; 2]], weights: &[[i16; 2]], out: &mut [i16]) {
        kernels::mix_pairs(pairs, weights, out);
    }

    pub(super) fn yuv_to_rgb(self, k: &YuvToRgb, yuv: [&[i16]; 3], rgb: [&mut [u8]; 3]) {
        kernels::yuv_to_rgb(k, yuv, rgb);
    }

    pub(super) fn scale_row(self, bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
        kernels::scale_row(bytes, scale, offset, out);
    }
}
