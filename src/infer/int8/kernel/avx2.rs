//! x86-64 with AVX2, and with the 8-bit dot product of AVX-VNNI (Alder Lake's small cores, the N100) where it is there.
//!
//! Without the dot product, `vpmaddubsw` would saturate (two products of 255 · 127 do not fit 16 bits). The safe form is `vpmaddwd` on
//! 16-bit weights, the even and the odd bytes of a group apart: four instructions where `vpdpbusd` is one.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_adds_epi16, _mm256_and_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_cvtps_epi32,
    _mm256_dpbusd_avx_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_srli_epi16,
    _mm256_storeu_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::depthwise::{CHUNK, Depthwise};
use super::{Call, Kernel, MAX_BLOCK, MAX_TILE_PIXELS, Split, finish};

const LANES: usize = 8;

#[derive(Debug)]
struct Avx2<const DOT: bool>;

/// Those that this processor has.
pub(super) fn kernels() -> Vec<&'static dyn Kernel> {
    let mut found: Vec<&'static dyn Kernel> = Vec::new();
    if is_x86_feature_detected!("avx2") {
        if is_x86_feature_detected!("avxvnni") {
            found.push(&Avx2::<true>);
        }
        found.push(&Avx2::<false>);
    }
    found
}

impl<const DOT: bool> Kernel for Avx2<DOT> {
    fn name(&self) -> &'static str {
        if DOT { "avx-vnni" } else { "avx2" }
    }

    fn group(&self) -> usize {
        4
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        let units = channels.div_ceil(LANES);
        let mut widths = vec![2 * LANES; units / 2];
        widths.extend((units % 2 == 1).then_some(LANES));
        widths
    }

    fn order(&self, width: usize) -> Vec<usize> {
        if width == LANES {
            return (0..LANES).collect();
        }
        // As in `avx512`: packs put the lanes of both registers side by side.
        (0..width).map(|at| (at / LANES, at % LANES / 4, at % 4)).map(|(j, i, k)| 8 * i + 4 * j + k).collect()
    }

    fn arrange(&self, weights: &[i8], out: &mut Vec<u8>) {
        if DOT {
            out.extend(weights.iter().map(|&w| w as u8));
            return;
        }
        for unit in weights.chunks_exact(LANES * 4) {
            for parity in 0..2 {
                let pairs = unit.chunks_exact(4).flat_map(|g| [g[parity], g[parity + 2]]);
                out.extend(pairs.flat_map(|w| i16::from(w).to_le_bytes()));
            }
        }
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        // SAFETY: the processor was asked when the kernel was listed; the rest is the caller's promise.
        unsafe {
            match (DOT, call.block.width / LANES) {
                (true, 1) => row_dot::<1>(call, input, pixels),
                (true, _) => row_dot::<2>(call, input, pixels),
                (false, 1) => row_plain::<1>(call, input, pixels),
                (false, _) => row_plain::<2>(call, input, pixels),
            }
        }
    }
}

/// Multiplies and adds one group of four codes, the same in every lane.
trait Step {
    /// Bytes of packed weights of one register and group.
    const WEIGHT_BYTES: usize;
    unsafe fn step<const N: usize>(acc: &mut [__m256i; N], codes: __m256i, weights: *const u8);
}

struct Dot;
struct Plain;

impl Step for Dot {
    const WEIGHT_BYTES: usize = 32;
    #[inline(always)]
    unsafe fn step<const N: usize>(acc: &mut [__m256i; N], codes: __m256i, weights: *const u8) {
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: only called from functions that enable the feature, with packed weights.
            unsafe { *acc = _mm256_dpbusd_avx_epi32(*acc, codes, _mm256_loadu_si256(weights.add(j * 32).cast())) };
        }
    }
}

impl Step for Plain {
    const WEIGHT_BYTES: usize = 64;
    #[inline(always)]
    unsafe fn step<const N: usize>(acc: &mut [__m256i; N], codes: __m256i, weights: *const u8) {
        // SAFETY: only called from functions that enable the feature, with packed weights.
        unsafe {
            let even = _mm256_and_si256(codes, _mm256_set1_epi16(0x00ff));
            let odd = _mm256_srli_epi16::<8>(codes);
            for (j, acc) in acc.iter_mut().enumerate() {
                let at = weights.add(j * 64);
                let sum = _mm256_madd_epi16(even, _mm256_loadu_si256(at.cast()));
                let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(odd, _mm256_loadu_si256(at.add(32).cast())));
                *acc = _mm256_add_epi32(*acc, sum);
            }
        }
    }
}

#[target_feature(enable = "avx2,avxvnni")]
unsafe fn row_dot<const N: usize>(call: &Call<'_>, input: *const u8, pixels: usize) {
    // SAFETY: the caller's promise.
    unsafe { row::<N, Dot>(call, input, pixels) }
}

#[target_feature(enable = "avx2")]
unsafe fn row_plain<const N: usize>(call: &Call<'_>, input: *const u8, pixels: usize) {
    // SAFETY: the caller's promise.
    unsafe { row::<N, Plain>(call, input, pixels) }
}

#[inline(always)]
unsafe fn row<const N: usize, S: Step>(call: &Call<'_>, input: *const u8, pixels: usize) {
    for (first, count) in Split::of(pixels, 6).tiles() {
        // SAFETY: the caller's promise; `first + count` is at most `pixels`.
        unsafe {
            let input = input.add(first * call.step);
            match count {
                1 => tile::<1, N, S>(call, input, first),
                2 => tile::<2, N, S>(call, input, first),
                3 => tile::<3, N, S>(call, input, first),
                4 => tile::<4, N, S>(call, input, first),
                5 => tile::<5, N, S>(call, input, first),
                _ => tile::<6, N, S>(call, input, first),
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<const P: usize, const N: usize, S: Step>(call: &Call<'_>, input: *const u8, first: usize) {
    let block = call.block;
    let mut weights = block.weights.as_ptr();
    let mut codes = [0u8; MAX_TILE_PIXELS * MAX_BLOCK];
    // SAFETY: bias, scale and weights were packed for this width; the input is the caller's promise.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); N]; P];
        for (j, bias) in block.bias.chunks_exact(LANES).take(N).enumerate() {
            let bias = _mm256_loadu_si256(bias.as_ptr().cast());
            acc.iter_mut().for_each(|a| a[j] = bias);
        }
        for run in call.runs {
            let mut from = [input; P];
            for (p, from) in from.iter_mut().enumerate() {
                *from = input.add(run.offset + p * call.step);
            }
            for group in 0..run.bytes.div_ceil(4) {
                for p in 0..P {
                    let four = from[p].add(group * 4).cast::<i32>().read_unaligned();
                    S::step(&mut acc[p], _mm256_set1_epi32(four), weights);
                }
                weights = weights.add(N * S::WEIGHT_BYTES);
            }
        }
        let zero = _mm256_set1_epi16(i16::from(call.zero));
        let scale: [__m256; N] = std::array::from_fn(|j| _mm256_loadu_ps(block.scale.as_ptr().add(j * LANES)));
        // Two pixels of 16 channels or four of 8 share one vector of 32 codes.
        let together = 4 / N;
        for p in (0..P).step_by(together) {
            let quad: [__m256i; 4] = std::array::from_fn(|i| {
                let (pixel, j) = if N == 1 { (p + i, 0) } else { (p + i / 2, i % 2) };
                if pixel < P { rounded(acc[pixel][j], scale[j]) } else { _mm256_setzero_si256() }
            });
            let low = _mm256_adds_epi16(_mm256_packs_epi32(quad[0], quad[1]), zero);
            let high = _mm256_adds_epi16(_mm256_packs_epi32(quad[2], quad[3]), zero);
            let packed = _mm256_packus_epi16(low, high);
            let ordered = if N == 1 {
                _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
            } else {
                _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
            };
            _mm256_storeu_si256(codes.as_mut_ptr().add(p * N * LANES).cast(), ordered);
        }
        finish::write(codes.as_ptr(), N * LANES, first, P, call.dests);
    }
}

#[inline(always)]
unsafe fn rounded(acc: __m256i, scale: __m256) -> __m256i {
    // SAFETY: only called from functions that enable AVX2.
    unsafe { _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale)) }
}

/// The codes of some pixels' sixteen channels, each with a filter of its own: see [`Depthwise`].
///
/// # Safety
/// The processor has AVX2; sixteen channels of every tap of every pixel can be read.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn depthwise(
    filter: &Depthwise,
    input: *const u8,
    step: usize,
    chunk: usize,
    zero: u8,
    codes: &mut [[u8; CHUNK]],
) {
    let pairs = filter.offsets.len();
    let weights = &filter.weights[chunk * pairs..][..pairs];
    let zero = _mm256_set1_epi16(i16::from(zero));
    // SAFETY: arrays of sixteen; the input is the caller's promise. Unpacking puts four channels of each lane's eight into one register and
    // four into the other; bias and scale are read in that order, and packs restore the channels' own.
    unsafe {
        let quads = |p: *const i32| {
            let (low, high) = (_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(8).cast()));
            [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)]
        };
        let bias = quads(filter.bias[chunk].as_ptr());
        let scale = quads(filter.scale[chunk].as_ptr().cast()).map(|s| _mm256_castsi256_ps(s));
        for (p, codes) in codes.iter_mut().enumerate() {
            let input = input.add(p * step);
            let mut acc = bias;
            for ([a, b], weights) in filter.offsets.iter().zip(weights) {
                let a = _mm256_cvtepu8_epi16(_mm_loadu_si128(input.add(*a).cast()));
                let b = _mm256_cvtepu8_epi16(_mm_loadu_si128(input.add(*b).cast()));
                let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
                let weights = quads(weights.as_ptr().cast());
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(low, weights[0]));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(high, weights[1]));
            }
            let sums = _mm256_packs_epi32(rounded(acc[0], scale[0]), rounded(acc[1], scale[1]));
            let sums = _mm256_adds_epi16(sums, zero);
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(sums, sums));
            _mm_storeu_si128(codes.as_mut_ptr().cast(), _mm256_castsi256_si128(packed));
        }
    }
}
