//! Convolutions with a filter for each channel: few products, so that loops over channels do, and one form for x86-64 and one for the rest.
//!
//! Belongs here: the same contract as `Kernel`'s, channel by channel. Does not: tables and residuals (see `finish`).

use super::{Dest, MAX_DESTS, Run, finish};

/// Channels whose sums are held in registers.
pub(super) const CHUNK: usize = 16;
/// Pixels that go to their destinations together.
const TILE: usize = 8;

/// Weights of a depthwise convolution, padded to whole chunks of channels and to pairs of taps.
#[derive(Debug)]
pub(in crate::infer::int8) struct Depthwise {
    channels: usize,
    /// Of each pair of taps.
    pub(super) offsets: Vec<[usize; 2]>,
    /// `[chunk][pair of taps][channel][tap of the pair]`.
    pub(super) weights: Vec<[i16; 2 * CHUNK]>,
    pub(super) bias: Vec<[i32; CHUNK]>,
    pub(super) scale: Vec<[f32; CHUNK]>,
}

impl Depthwise {
    /// From `[channel][tap]`; one run is one tap.
    pub(in crate::infer::int8) fn new(runs: &[Run], weights: &[i8], bias: &[i32], scale: &[f32]) -> Self {
        let (channels, taps) = (bias.len(), runs.len());
        let weight = |c: usize, tap: usize| {
            let is_there = c < channels && tap < taps;
            if is_there { i16::from(weights[c * taps + tap]) } else { 0 }
        };
        let pairs = taps.div_ceil(2);
        let pair = |first: usize, pair: usize| std::array::from_fn(|i| weight(first + i / 2, 2 * pair + i % 2));
        let chunks = || (0..channels).step_by(CHUNK);
        Self {
            channels,
            // The partner of a last single tap has no weight and may be any byte that can be read.
            offsets: runs.chunks(2).map(|r| [r[0].offset, r[r.len() - 1].offset]).collect(),
            weights: chunks().flat_map(|first| (0..pairs).map(move |p| pair(first, p))).collect(),
            bias: chunks().map(|f| std::array::from_fn(|i| bias.get(f + i).copied().unwrap_or(0))).collect(),
            scale: chunks().map(|f| std::array::from_fn(|i| scale.get(f + i).copied().unwrap_or(0.0))).collect(),
        }
    }

    pub(in crate::infer::int8) fn channels(&self) -> usize {
        self.channels
    }

    /// Computes one row.
    ///
    /// # Safety
    /// As [`super::Kernel::row`]; destinations count channels from the layer's first.
    pub(in crate::infer::int8) unsafe fn row(
        &self,
        input: *const u8,
        step: usize,
        zero: u8,
        pixels: usize,
        dests: &[Dest],
    ) {
        for chunk in 0..self.bias.len() {
            let first = chunk * CHUNK;
            let width = CHUNK.min(self.channels - first);
            let mut inner = [Dest::NONE; MAX_DESTS];
            let cut = dests.iter().filter_map(|d| d.within(first, width));
            let used = inner.iter_mut().zip(cut).map(|(slot, dest)| *slot = dest).count();
            for left in (0..pixels).step_by(TILE) {
                let count = TILE.min(pixels - left);
                let mut codes = [[0u8; CHUNK]; TILE];
                // SAFETY: the caller promised the input of every pixel in all channels, and the destinations; none goes beyond `width`.
                unsafe {
                    let input = input.add(left * step + first);
                    self.tile(input, step, (chunk, width), zero, &mut codes[..count]);
                    finish::write(codes.as_ptr().cast(), CHUNK, left, count, &inner[..used]);
                }
            }
        }
    }

    unsafe fn tile(
        &self,
        input: *const u8,
        step: usize,
        (chunk, width): (usize, usize),
        zero: u8,
        codes: &mut [[u8; CHUNK]],
    ) {
        #[cfg(target_arch = "x86_64")]
        if width == CHUNK && is_x86_feature_detected!("avx2") {
            // SAFETY: the processor was just asked; the rest is the caller's promise.
            return unsafe { super::avx2::depthwise(self, input, step, chunk, zero, codes) };
        }
        for (p, codes) in codes.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { self.pixel(input.add(p * step), chunk, width, zero, &mut codes[..width]) };
        }
    }

    /// The codes of one pixel's chunk of channels.
    unsafe fn pixel(&self, input: *const u8, chunk: usize, width: usize, zero: u8, codes: &mut [u8]) {
        let mut acc = self.bias[chunk];
        let weights = &self.weights[chunk * self.offsets.len()..];
        for ([a, b], weights) in self.offsets.iter().zip(weights) {
            // SAFETY: `width` channels of every tap can be read.
            let (a, b) = unsafe {
                (std::slice::from_raw_parts(input.add(*a), width), std::slice::from_raw_parts(input.add(*b), width))
            };
            for (((acc, &a), &b), pair) in acc.iter_mut().zip(a).zip(b).zip(weights.chunks_exact(2)) {
                *acc += i32::from(a) * i32::from(pair[0]) + i32::from(b) * i32::from(pair[1]);
            }
        }
        for ((code, &acc), &scale) in codes.iter_mut().zip(&acc).zip(&self.scale[chunk]) {
            *code = super::scalar::requantise(acc, scale, zero);
        }
    }
}
