//! The kernels in the form that suits this processor, chosen at run time. The results are those of `kernels.rs` to the last bit.
//!
//! Belongs here: which form runs, and AVX2's. Does not: what is computed. There is none for NEON, which AArch64 always has: the compiler
//! makes it from the plain loops. The only file of `pixels` with `unsafe`: calls into AVX2 code, and its loads and stores.
#![allow(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code for AVX2 may run only where it is found"
)]

use super::color::YuvToRgb;
use super::kernels;

/// Which form of the kernels runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Simd {
    /// Set by [`Simd::detect`] alone, after the processor was asked.
    has_avx2: bool,
}

/// Calls AVX2's form where the processor has it, the plain one else.
macro_rules! dispatch {
    ($self:ident, $kernel:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if $self.has_avx2 {
            // SAFETY: the function needs AVX2; `has_avx2` is private to this file and true only where `detect` found it.
            return unsafe { avx2::$kernel($($argument),*) };
        }
        kernels::$kernel($($argument),*)
    }};
}

impl Simd {
    /// What the target always has: SSE2 on x86-64, NEON on AArch64.
    #[cfg(test)]
    pub(super) const BASELINE: Self = Self { has_avx2: false };

    /// The best that this processor has; the answer is cached by the standard library.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let has_avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let has_avx2 = false;
        Self { has_avx2 }
    }

    pub(super) fn blend_rows(self, top: &[u8], bottom: &[u8], weight_q15: i16, out: &mut [i16]) {
        dispatch!(self, blend_rows(top, bottom, weight_q15, out))
    }

    pub(super) fn blend_rows_of_two(self, top: &[u8], bottom: &[u8], weight_q15: i16, out: [&mut [i16]; 2]) {
        dispatch!(self, blend_rows_of_two(top, bottom, weight_q15, out))
    }

    pub(super) fn mix_pairs(self, pairs: &[[i16; 2]], weights: &[[i16; 2]], out: &mut [i16]) {
        dispatch!(self, mix_pairs(pairs, weights, out))
    }

    pub(super) fn yuv_to_rgb(self, k: &YuvToRgb, yuv: [&[i16]; 3], rgb: [&mut [u8]; 3]) {
        dispatch!(self, yuv_to_rgb(k, yuv, rgb))
    }

    pub(super) fn scale_row(self, bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
        dispatch!(self, scale_row(bytes, scale, offset, out))
    }

    pub(super) fn interleave(self, rows: [&[u8]; 3], pixel_bytes: usize, rest: u8, out: &mut [u8]) {
        dispatch!(self, interleave(rows, pixel_bytes, rest, out))
    }
}

/// Sixteen samples at a time; what remains of a row goes to the plain form.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi16,
        _mm256_add_epi32, _mm256_add_ps, _mm256_adds_epi16, _mm256_and_si256, _mm256_castsi256_si128,
        _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_cvtepu8_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_mul_ps, _mm256_mulhi_epi16, _mm256_packs_epi32, _mm256_packus_epi16, _mm256_permute2x128_si256,
        _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srai_epi32, _mm256_srli_epi16, _mm256_storeu_ps,
        _mm256_storeu_si256, _mm256_sub_epi16, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8,
        _mm256_unpacklo_epi16,
    };

    use super::super::color::YuvToRgb;
    use super::super::kernels;

    #[target_feature(enable = "avx2")]
    pub(super) fn blend_rows(top: &[u8], bottom: &[u8], weight_q15: i16, out: &mut [i16]) {
        let len = top.len().min(bottom.len()).min(out.len());
        let (tops, top_rest) = top[..len].as_chunks::<16>();
        let (bottoms, bottom_rest) = bottom[..len].as_chunks::<16>();
        let (outs, out_rest) = out[..len].as_chunks_mut::<16>();
        let weight = _mm256_set1_epi16(weight_q15);
        for ((o, t), b) in outs.iter_mut().zip(tops).zip(bottoms) {
            let (t, b) = (_mm256_cvtepu8_epi16(bytes(t)), _mm256_cvtepu8_epi16(bytes(b)));
            put(o, blend(t, b, weight));
        }
        kernels::blend_rows(top_rest, bottom_rest, weight_q15, out_rest);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn blend_rows_of_two(top: &[u8], bottom: &[u8], weight_q15: i16, out: [&mut [i16]; 2]) {
        let [first, second] = out;
        let len = (top.len() / 2).min(bottom.len() / 2).min(first.len()).min(second.len());
        let (tops, top_rest) = top[..2 * len].as_chunks::<32>();
        let (bottoms, bottom_rest) = bottom[..2 * len].as_chunks::<32>();
        let (firsts, first_rest) = first[..len].as_chunks_mut::<16>();
        let (seconds, second_rest) = second[..len].as_chunks_mut::<16>();
        let (weight, low) = (_mm256_set1_epi16(weight_q15), _mm256_set1_epi16(0xff));
        for (((f, s), t), b) in firsts.iter_mut().zip(seconds).zip(tops).zip(bottoms) {
            let (t, b) = (pairs_of_bytes(t), pairs_of_bytes(b));
            put(f, blend(_mm256_and_si256(t, low), _mm256_and_si256(b, low), weight));
            put(s, blend(_mm256_srli_epi16::<8>(t), _mm256_srli_epi16::<8>(b), weight));
        }
        kernels::blend_rows_of_two(top_rest, bottom_rest, weight_q15, [first_rest, second_rest]);
    }

    #[target_feature(enable = "avx2")]
    fn blend(top: __m256i, bottom: __m256i, weight: __m256i) -> __m256i {
        let difference = _mm256_slli_epi16::<7>(_mm256_sub_epi16(bottom, top));
        _mm256_add_epi16(_mm256_slli_epi16::<6>(top), _mm256_mulhi_epi16(difference, weight))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn mix_pairs(pairs: &[[i16; 2]], weights: &[[i16; 2]], out: &mut [i16]) {
        let len = pairs.len().min(weights.len()).min(out.len());
        let (pairs, pairs_rest) = pairs[..len].as_chunks::<16>();
        let (weights, weights_rest) = weights[..len].as_chunks::<16>();
        let (outs, out_rest) = out[..len].as_chunks_mut::<16>();
        for ((o, p), w) in outs.iter_mut().zip(pairs).zip(weights) {
            let ([p_low, p_high], [w_low, w_high]) = (halves(p), halves(w));
            let packed = _mm256_packs_epi32(mix(p_low, w_low), mix(p_high, w_high));
            // Packing works within halves of the register; this puts its quarters in order.
            put(o, _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
        kernels::mix_pairs(pairs_rest, weights_rest, out_rest);
    }

    #[target_feature(enable = "avx2")]
    fn mix(pairs: __m256i, weights: __m256i) -> __m256i {
        let sum = _mm256_madd_epi16(pairs, weights);
        _mm256_srai_epi32::<15>(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 14)))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn yuv_to_rgb(k: &YuvToRgb, yuv: [&[i16]; 3], rgb: [&mut [u8]; 3]) {
        let [red, green, blue] = rgb;
        let len = yuv.iter().map(|c| c.len()).min().unwrap_or(0).min(red.len()).min(green.len()).min(blue.len());
        let [(ys, y_rest), (us, u_rest), (vs, v_rest)] = yuv.map(|c| c[..len].as_chunks::<16>());
        let (reds, red_rest) = red[..len].as_chunks_mut::<16>();
        let (greens, green_rest) = green[..len].as_chunks_mut::<16>();
        let (blues, blue_rest) = blue[..len].as_chunks_mut::<16>();
        let middle = _mm256_set1_epi16(128 << 6);
        let black = _mm256_set1_epi16(k.black);
        let [luma_k, red_v, green_u, green_v, blue_u] =
            [k.luma, k.red_v, k.green_u, k.green_v, k.blue_u].map(|factor| _mm256_set1_epi16(factor));
        let samples = ys.iter().zip(us).zip(vs);
        for (((r, g), b), ((y, u), v)) in reds.iter_mut().zip(greens).zip(blues).zip(samples) {
            let y = _mm256_sub_epi16(samples_of(y), black);
            let (u, v) = (_mm256_sub_epi16(samples_of(u), middle), _mm256_sub_epi16(samples_of(v), middle));
            let (u4, v4) = (_mm256_slli_epi16::<2>(u), _mm256_slli_epi16::<2>(v));
            let luma = _mm256_add_epi16(y, _mm256_mulhi_epi16(_mm256_slli_epi16::<1>(y), luma_k));
            let red = _mm256_add_epi16(v, _mm256_mulhi_epi16(v4, red_v));
            let blue = _mm256_add_epi16(u, _mm256_mulhi_epi16(u4, blue_u));
            let green = _mm256_sub_epi16(luma, _mm256_mulhi_epi16(u4, green_u));
            put_bytes(r, _mm256_adds_epi16(luma, red));
            put_bytes(g, _mm256_sub_epi16(green, _mm256_mulhi_epi16(v4, green_v)));
            put_bytes(b, _mm256_adds_epi16(luma, blue));
        }
        kernels::yuv_to_rgb(k, [y_rest, u_rest, v_rest], [red_rest, green_rest, blue_rest]);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn scale_row(bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
        let len = bytes.len().min(out.len());
        let (eights, bytes_rest) = bytes[..len].as_chunks::<8>();
        let (outs, out_rest) = out[..len].as_chunks_mut::<8>();
        let (factor, summand) = (_mm256_set1_ps(scale), _mm256_set1_ps(offset));
        for (o, b) in outs.iter_mut().zip(eights) {
            let floats = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight_bytes(b)));
            put_floats(o, _mm256_add_ps(_mm256_mul_ps(floats, factor), summand));
        }
        kernels::scale_row(bytes_rest, scale, offset, out_rest);
    }

    /// Four bytes a pixel, which is what engines ask for, 32 pixels at a time; other sizes take the plain form.
    #[target_feature(enable = "avx2")]
    pub(super) fn interleave(rows: [&[u8]; 3], pixel_bytes: usize, rest: u8, out: &mut [u8]) {
        if pixel_bytes != 4 {
            return kernels::interleave(rows, pixel_bytes, rest, out);
        }
        let len = rows.iter().map(|r| r.len()).min().unwrap_or(0).min(out.len() / 4);
        let [(firsts, first_rest), (seconds, second_rest), (thirds, third_rest)] =
            rows.map(|r| r[..len].as_chunks::<32>());
        let (outs, out_rest) = out[..4 * len].as_chunks_mut::<128>();
        let fourth = _mm256_set1_epi8(rest.cast_signed());
        for (((o, f), s), t) in outs.iter_mut().zip(firsts).zip(seconds).zip(thirds) {
            let (f, s, t) = (pairs_of_bytes(f), pairs_of_bytes(s), pairs_of_bytes(t));
            let halves = [_mm256_unpacklo_epi8(f, s), _mm256_unpackhi_epi8(f, s)];
            let others = [_mm256_unpacklo_epi8(t, fourth), _mm256_unpackhi_epi8(t, fourth)];
            // Each register has four pixels in its lower half, and those sixteen further on in its upper one.
            let a = _mm256_unpacklo_epi16(halves[0], others[0]);
            let b = _mm256_unpackhi_epi16(halves[0], others[0]);
            let c = _mm256_unpacklo_epi16(halves[1], others[1]);
            let d = _mm256_unpackhi_epi16(halves[1], others[1]);
            let lower = [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x20>(c, d)];
            let upper = [_mm256_permute2x128_si256::<0x31>(a, b), _mm256_permute2x128_si256::<0x31>(c, d)];
            put_pixels(o, [lower[0], lower[1], upper[0], upper[1]]);
        }
        kernels::interleave([first_rest, second_rest, third_rest], pixel_bytes, rest, out_rest);
    }

    #[target_feature(enable = "avx2")]
    fn bytes(from: &[u8; 16]) -> __m128i {
        // SAFETY: the array is 16 bytes of initialised memory, and the load asks for no alignment.
        unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn eight_bytes(from: &[u8; 8]) -> __m128i {
        // SAFETY: the load reads 8 bytes, all of the array, and asks for no alignment.
        unsafe { _mm_loadl_epi64(from.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn pairs_of_bytes(from: &[u8; 32]) -> __m256i {
        // SAFETY: the array is 32 bytes of initialised memory, and the load asks for no alignment.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn samples_of(from: &[i16; 16]) -> __m256i {
        // SAFETY: 16 values of 2 bytes are the 32 bytes that the load reads; it asks for no alignment.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn halves(from: &[[i16; 2]; 16]) -> [__m256i; 2] {
        let (low, high) = (from.as_ptr(), from[8..].as_ptr());
        // SAFETY: 16 pairs are 64 bytes; each load reads 32 of them, from the first and from the ninth pair on, and asks for no alignment.
        unsafe { [_mm256_loadu_si256(low.cast()), _mm256_loadu_si256(high.cast())] }
    }

    #[target_feature(enable = "avx2")]
    fn put(to: &mut [i16; 16], samples: __m256i) {
        // SAFETY: 16 values of 2 bytes are the 32 bytes that the store writes; it asks for no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), samples) }
    }

    /// Rounds 8.6 samples to bytes.
    #[target_feature(enable = "avx2")]
    fn put_bytes(to: &mut [u8; 16], samples: __m256i) {
        let rounded = _mm256_srai_epi16::<6>(_mm256_adds_epi16(samples, _mm256_set1_epi16(32)));
        let packed = _mm256_permute4x64_epi64::<0b10_00>(_mm256_packus_epi16(rounded, rounded));
        // SAFETY: the array is the 16 bytes that the store writes; it asks for no alignment.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) }
    }

    #[target_feature(enable = "avx2")]
    fn put_pixels(to: &mut [u8; 128], pixels: [__m256i; 4]) {
        for (to, pixels) in to.as_chunks_mut::<32>().0.iter_mut().zip(pixels) {
            // SAFETY: the array is the 32 bytes that the store writes; it asks for no alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), pixels) }
        }
    }

    #[target_feature(enable = "avx2")]
    fn put_floats(to: &mut [f32; 8], floats: __m256) {
        // SAFETY: 8 floats are the 32 bytes that the store writes; it asks for no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), floats) }
    }
}
