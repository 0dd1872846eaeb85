//! x86-64 with AVX-512 and its 8-bit dot product (`vpdpbusd`): Ice Lake, Zen 4 and later; without VBMI (Cascade Lake) tables are looked up one by one.
//!
//! A tile is up to 24 accumulators of 16 channels: few channels by many pixels or the other way round, so that one load serves many products.
//! Four accumulators become one vector of 64 codes by saturating packs; the order of the packed channels is such that they come out in their own.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_mask_storeu_epi8, _mm_maskz_loadu_epi8, _mm256_mask_storeu_epi8,
    _mm256_maskz_loadu_epi8, _mm512_add_ps, _mm512_adds_epi16, _mm512_castsi128_si512, _mm512_castsi256_si512,
    _mm512_castsi512_ps, _mm512_castsi512_si128, _mm512_castsi512_si256, _mm512_cvtepi32_ps, _mm512_cvtps_epi32,
    _mm512_dpbusd_epi32, _mm512_extracti32x4_epi32, _mm512_extracti64x4_epi64, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    _mm512_inserti32x4, _mm512_inserti64x4, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_epi8,
    _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_mul_ps, _mm512_packs_epi32,
    _mm512_packus_epi16, _mm512_permutex2var_epi8, _mm512_permutexvar_epi32, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_epi8,
    _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use super::{Call, Dest, Kernel, MAX_BLOCK, MAX_TILE_PIXELS, Mix, Split, finish};

/// Output channels of one register.
const LANES: usize = 16;

#[derive(Debug)]
struct Avx512<const VBMI: bool>;

/// Those that this processor has.
pub(super) fn kernels() -> Vec<&'static dyn Kernel> {
    let has_dot = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    let mut found: Vec<&'static dyn Kernel> = Vec::new();
    if has_dot && is_x86_feature_detected!("avx512vbmi") {
        found.push(&Avx512::<true>);
    }
    if has_dot {
        found.push(&Avx512::<false>);
    }
    found
}

impl<const VBMI: bool> Kernel for Avx512<VBMI> {
    fn name(&self) -> &'static str {
        if VBMI { "avx512-vnni" } else { "avx512-vnni-novbmi" }
    }

    fn group(&self) -> usize {
        4
    }

    fn widths(&self, channels: usize, _depth: usize) -> Vec<usize> {
        // Wide blocks serve one load of input with more products.
        let mut left = channels.div_ceil(LANES);
        let mut widths = Vec::new();
        while left > 0 {
            let take = match left {
                5 => 3,
                n => n.min(4),
            };
            widths.push(take * LANES);
            left -= take;
        }
        widths
    }

    fn order(&self, width: usize) -> Vec<usize> {
        // Register `j`, lane of 128 bits `i`, element `k` of four: saturating packs put the registers' lanes side by side.
        let n = width / LANES;
        let per_lane = match n {
            1 => return (0..LANES).collect(),
            2 => 8,
            _ => 4 * n,
        };
        (0..width).map(|at| (at / LANES, at % LANES / 4, at % 4)).map(|(j, i, k)| per_lane * i + 4 * j + k).collect()
    }

    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize) {
        // SAFETY: the processor was asked when the kernel was listed; the rest is the caller's promise.
        unsafe {
            match call.block.width / LANES {
                1 => row::<1, VBMI>(call, input, pixels),
                2 => row::<2, VBMI>(call, input, pixels),
                3 => row::<3, VBMI>(call, input, pixels),
                _ => row::<4, VBMI>(call, input, pixels),
            }
        }
    }
}

/// Pixels of a full tile: 24 accumulators, but 16 pixels at most.
const fn most_pixels(n: usize) -> usize {
    match n {
        1 => 16,
        2 => 12,
        3 => 8,
        _ => 6,
    }
}

/// Pixels whose codes share one vector of 64.
const fn per_vector(n: usize) -> usize {
    match n {
        1 => 4,
        2 => 2,
        _ => 1,
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn row<const N: usize, const VBMI: bool>(call: &Call<'_>, input: *const u8, pixels: usize) {
    for (first, count) in Split::of(pixels, most_pixels(N)).tiles() {
        // SAFETY: the caller's promise; `first + count` is at most `pixels`.
        unsafe {
            let input = input.add(first * call.step);
            match count {
                1 => tile::<1, N, VBMI>(call, input, first),
                2 => tile::<2, N, VBMI>(call, input, first),
                3 => tile::<3, N, VBMI>(call, input, first),
                4 => tile::<4, N, VBMI>(call, input, first),
                5 => tile::<5, N, VBMI>(call, input, first),
                6 => tile::<6, N, VBMI>(call, input, first),
                7 => tile::<7, N, VBMI>(call, input, first),
                8 => tile::<8, N, VBMI>(call, input, first),
                9 => tile::<9, N, VBMI>(call, input, first),
                10 => tile::<10, N, VBMI>(call, input, first),
                11 => tile::<11, N, VBMI>(call, input, first),
                12 => tile::<12, N, VBMI>(call, input, first),
                13 => tile::<13, N, VBMI>(call, input, first),
                14 => tile::<14, N, VBMI>(call, input, first),
                15 => tile::<15, N, VBMI>(call, input, first),
                _ => tile::<16, N, VBMI>(call, input, first),
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const P: usize, const N: usize, const VBMI: bool>(call: &Call<'_>, input: *const u8, first: usize) {
    if P > most_pixels(N) {
        return;
    }
    let block = call.block;
    let mut acc = [[_mm512_setzero_si512(); N]; P];
    let mut weights = block.weights.as_ptr();
    // SAFETY: bias, scale and weights were packed for this width; the input is the caller's promise.
    unsafe {
        for (j, bias) in block.bias.chunks_exact(LANES).take(N).enumerate() {
            let bias = _mm512_loadu_si512(bias.as_ptr().cast());
            acc.iter_mut().for_each(|a| a[j] = bias);
        }
        for run in call.runs {
            let mut from = [input; P];
            for (p, from) in from.iter_mut().enumerate() {
                *from = input.add(run.offset + p * call.step);
            }
            for group in 0..run.bytes.div_ceil(4) {
                let mut w = [_mm512_setzero_si512(); N];
                for (j, w) in w.iter_mut().enumerate() {
                    *w = _mm512_loadu_si512(weights.add(j * 64).cast());
                }
                weights = weights.add(N * 64);
                for p in 0..P {
                    let codes = _mm512_set1_epi32(from[p].add(group * 4).cast::<i32>().read_unaligned());
                    for j in 0..N {
                        acc[p][j] = _mm512_dpbusd_epi32(acc[p][j], codes, w[j]);
                    }
                }
            }
        }
        let zero = _mm512_set1_epi16(i16::from(call.zero));
        let mut scale = [_mm512_loadu_ps(block.scale.as_ptr()); N];
        for (j, scale) in scale.iter_mut().enumerate() {
            *scale = _mm512_loadu_ps(block.scale.as_ptr().add(j * LANES));
        }
        let mut codes = [_mm512_setzero_si512(); P];
        for (v, p) in (0..P).step_by(per_vector(N)).enumerate() {
            let quad: [__m512i; 4] = std::array::from_fn(|i| {
                let (pixel, j) = match N {
                    1 => (p + i, 0),
                    2 => (p + i / 2, i % 2),
                    _ => (p, i),
                };
                if pixel < P && j < N { rounded(acc[pixel][j], scale[j]) } else { _mm512_setzero_si512() }
            });
            let low = _mm512_adds_epi16(_mm512_packs_epi32(quad[0], quad[1]), zero);
            let high = _mm512_adds_epi16(_mm512_packs_epi32(quad[2], quad[3]), zero);
            codes[v] = in_order::<N>(_mm512_packus_epi16(low, high));
        }
        if VBMI {
            for dest in call.dests {
                write::<P, N>(&codes, first, dest);
            }
        } else {
            let mut scratch = [0u8; MAX_TILE_PIXELS * MAX_BLOCK];
            let bytes = if N == 3 { 48 } else { 64 };
            for (v, codes) in codes.iter().take(P.div_ceil(per_vector(N))).enumerate() {
                _mm512_storeu_si512(scratch.as_mut_ptr().add(v * bytes).cast(), *codes);
            }
            finish::write(scratch.as_ptr(), block.width, first, P, call.dests);
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn rounded(acc: __m512i, scale: __m512) -> __m512i {
    _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale))
}

/// From the packs' order of 4-byte pieces to pixel after pixel.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn in_order<const N: usize>(packed: __m512i) -> __m512i {
    const ONE: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
    const TWO: [i32; 16] = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    const THREE: [i32; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15];
    let by = match N {
        1 => &ONE,
        2 => &TWO,
        3 => &THREE,
        _ => return packed,
    };
    // SAFETY: 16 numbers of 4 bytes.
    unsafe { _mm512_permutexvar_epi32(_mm512_loadu_si512(by.as_ptr().cast()), packed) }
}

/// Takes a tile's vectors of codes through one destination.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
#[inline]
unsafe fn write<const P: usize, const N: usize>(codes: &[__m512i; P], first: usize, dest: &Dest) {
    // SAFETY: the destinations are the caller's promise; masks keep every store within the channels that were asked for.
    unsafe {
        let table = if dest.table.is_null() { [_mm512_setzero_si512(); 4] } else { quarters(dest.table) };
        let mix = dest.residual.as_ref().map(|r| &*r.mix);
        let width = N * LANES;
        let is_dense = N <= 2 && dest.step == width && dest.from == 0 && dest.to == width;
        let keep = (u64::MAX >> (64 - (dest.to - dest.from))) << dest.from;
        // Masks select the channels, so that pointers begin where channel 0 would be.
        let out = dest.out.wrapping_add(first * dest.step).wrapping_sub(dest.from);
        for (v, pixel) in (0..P).step_by(per_vector(N)).enumerate() {
            let pixels = (P - pixel).min(per_vector(N));
            let mut codes = codes[v];
            if let (Some(mix), Some(r)) = (mix, &dest.residual) {
                let from = r.codes.wrapping_add((first + pixel) * r.step).wrapping_sub(dest.from);
                codes = mixed(codes, residual::<N>(from, r.step, pixels, keep), mix);
            }
            if !dest.table.is_null() {
                codes = looked_up(codes, &table);
            }
            if is_dense && pixels == per_vector(N) {
                _mm512_storeu_si512(out.wrapping_add(v * 64).cast(), codes);
                continue;
            }
            for (i, codes) in parts::<N>(codes).into_iter().take(pixels).enumerate() {
                let out = out.wrapping_add((pixel + i) * dest.step);
                match N {
                    1 => _mm_mask_storeu_epi8(out.cast(), keep as u16, _mm512_castsi512_si128(codes)),
                    2 => _mm256_mask_storeu_epi8(out.cast(), keep as u32, _mm512_castsi512_si256(codes)),
                    _ => _mm512_mask_storeu_epi8(out.cast(), keep, codes),
                }
            }
        }
    }
}

/// The residual's codes of the pixels of one vector.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn residual<const N: usize>(from: *const u8, step: usize, pixels: usize, keep: u64) -> __m512i {
    // SAFETY: masks keep every load within the channels that were asked for, of pixels that are there.
    unsafe {
        match N {
            1 => {
                let load = |i: usize| {
                    let keep = if i < pixels { keep as u16 } else { 0 };
                    _mm_maskz_loadu_epi8(keep, from.wrapping_add(i * step).cast())
                };
                let codes = _mm512_castsi128_si512(load(0));
                let codes = _mm512_inserti32x4::<1>(codes, load(1));
                let codes = _mm512_inserti32x4::<2>(codes, load(2));
                _mm512_inserti32x4::<3>(codes, load(3))
            }
            2 => {
                let load = |i: usize| {
                    let keep = if i < pixels { keep as u32 } else { 0 };
                    _mm256_maskz_loadu_epi8(keep, from.wrapping_add(i * step).cast())
                };
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(0)), load(1))
            }
            _ => _mm512_maskz_loadu_epi8(keep, from.cast()),
        }
    }
}

/// The pixels of one vector, each in the low bytes of its own.
#[target_feature(enable = "avx512f")]
#[inline]
fn parts<const N: usize>(codes: __m512i) -> [__m512i; 4] {
    let widen = |low: __m128i| _mm512_castsi128_si512(low);
    match N {
        1 => [
            codes,
            widen(_mm512_extracti32x4_epi32::<1>(codes)),
            widen(_mm512_extracti32x4_epi32::<2>(codes)),
            widen(_mm512_extracti32x4_epi32::<3>(codes)),
        ],
        2 => {
            let high = _mm512_castsi256_si512(_mm512_extracti64x4_epi64::<1>(codes));
            [codes, high, codes, codes]
        }
        _ => [codes; 4],
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn looked_up(codes: __m512i, table: &[__m512i; 4]) -> __m512i {
    let low = _mm512_permutex2var_epi8(table[0], codes, table[1]);
    let high = _mm512_permutex2var_epi8(table[2], codes, table[3]);
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high)
}

/// Codes through a table, 64 at a time.
///
/// # Safety
/// The processor has AVX-512 BW and VBMI; both slices are equally long.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn translate(codes: &[u8], table: &[u8; 256], out: &mut [u8]) {
    // SAFETY: masks keep every access within the slices.
    unsafe {
        let table = quarters(table);
        for (codes, out) in codes.chunks(64).zip(out.chunks_mut(64)) {
            let keep = u64::MAX >> (64 - codes.len());
            let found = looked_up(_mm512_maskz_loadu_epi8(keep, codes.as_ptr().cast()), &table);
            _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), keep, found);
        }
    }
}

/// [`Mix::apply`] on 64 pairs of codes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
unsafe fn mixed(own: __m512i, other: __m512i, mix: &Mix) -> __m512i {
    // Bytes become floats by interleaving planes: registers and lanes come in the order that packs undo.
    // SAFETY: tables of 256 bytes.
    let planes: [__m512i; 4] = std::array::from_fn(|i| unsafe { looked_up(own, &quarters(&mix.planes[i])) });
    let (low, high) = (_mm512_unpacklo_epi8(planes[0], planes[1]), _mm512_unpackhi_epi8(planes[0], planes[1]));
    let (top_low, top_high) = (_mm512_unpacklo_epi8(planes[2], planes[3]), _mm512_unpackhi_epi8(planes[2], planes[3]));
    let own = [
        _mm512_unpacklo_epi16(low, top_low),
        _mm512_unpackhi_epi16(low, top_low),
        _mm512_unpacklo_epi16(high, top_high),
        _mm512_unpackhi_epi16(high, top_high),
    ];
    let none = _mm512_setzero_si512();
    let (low, high) = (_mm512_unpacklo_epi8(other, none), _mm512_unpackhi_epi8(other, none));
    let other = [
        _mm512_unpacklo_epi16(low, none),
        _mm512_unpackhi_epi16(low, none),
        _mm512_unpacklo_epi16(high, none),
        _mm512_unpackhi_epi16(high, none),
    ];
    let (zero, scale) = (_mm512_set1_ps(mix.other_zero), _mm512_set1_ps(mix.other_scale));
    let (step, inverse) = (_mm512_set1_ps(mix.scale), _mm512_set1_ps(mix.inverse));
    let sum = |i: usize| {
        let other = _mm512_mul_ps(_mm512_sub_ps(_mm512_cvtepi32_ps(other[i]), zero), scale);
        let sum = _mm512_add_ps(_mm512_castsi512_ps(own[i]), other);
        let near = _mm512_mul_ps(sum, inverse);
        _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_fnmadd_ps(near, step, sum), inverse, near))
    };
    let zero = _mm512_set1_epi16(i16::from(mix.zero));
    let low = _mm512_adds_epi16(_mm512_packs_epi32(sum(0), sum(1)), zero);
    let high = _mm512_adds_epi16(_mm512_packs_epi32(sum(2), sum(3)), zero);
    _mm512_packus_epi16(low, high)
}

/// A table in four registers.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn quarters(table: *const [u8; 256]) -> [__m512i; 4] {
    // SAFETY: the table has 256 bytes.
    std::array::from_fn(|i| unsafe { _mm512_loadu_si512(table.cast::<u8>().add(i * 64).cast()) })
}
