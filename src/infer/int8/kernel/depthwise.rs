//! Convolutions with a filter for each channel: few products, so that plain loops over channels do, compiled for what the processor has.
//!
//! Belongs here: the same contract as `Kernel`'s, channel by channel. Does not: tables and residuals (see `finish`).

use super::{Dest, Run, finish};

/// Channels whose sums are held in registers.
const CHUNK: usize = 32;
/// Pixels that go to their destinations together.
const TILE: usize = 8;

/// Weights of a depthwise convolution, padded to whole chunks of channels.
#[derive(Debug)]
pub(in crate::infer::int8) struct Depthwise {
    channels: usize,
    offsets: Vec<usize>,
    /// `[chunk][tap][channel]`.
    weights: Vec<[i16; CHUNK]>,
    bias: Vec<[i32; CHUNK]>,
    scale: Vec<[f32; CHUNK]>,
}

impl Depthwise {
    /// From `[channel][tap]`; one run is one tap.
    pub(in crate::infer::int8) fn new(runs: &[Run], weights: &[i8], bias: &[i32], scale: &[f32]) -> Self {
        let (channels, taps) = (bias.len(), runs.len());
        let weight = |c: usize, tap: usize| weights.get(c * taps + tap).map_or(0, |&w| i16::from(w));
        let chunks = (0..channels).step_by(CHUNK);
        Self {
            channels,
            offsets: runs.iter().map(|r| r.offset).collect(),
            weights: chunks
                .clone()
                .flat_map(|first| (0..taps).map(move |tap| std::array::from_fn(|i| weight(first + i, tap))))
                .collect(),
            bias: chunks
                .clone()
                .map(|first| std::array::from_fn(|i| bias.get(first + i).copied().unwrap_or(0)))
                .collect(),
            scale: chunks.map(|first| std::array::from_fn(|i| scale.get(first + i).copied().unwrap_or(0.0))).collect(),
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
        // SAFETY: the processor is asked for what is enabled; the rest is the caller's promise.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                return self.row_avx2(input, step, zero, pixels, dests);
            }
            self.row_plain(input, step, zero, pixels, dests);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn row_avx2(&self, input: *const u8, step: usize, zero: u8, pixels: usize, dests: &[Dest]) {
        // SAFETY: the caller's promise.
        unsafe { self.row_plain(input, step, zero, pixels, dests) }
    }

    #[inline(always)]
    unsafe fn row_plain(&self, input: *const u8, step: usize, zero: u8, pixels: usize, dests: &[Dest]) {
        for chunk in 0..self.bias.len() {
            let first = chunk * CHUNK;
            let width = CHUNK.min(self.channels - first);
            let mut inner = [Dest::NONE; super::MAX_DESTS];
            let cut = dests.iter().filter_map(|d| d.within(first, width));
            let used = inner.iter_mut().zip(cut).map(|(slot, dest)| *slot = dest).count();
            for left in (0..pixels).step_by(TILE) {
                let count = TILE.min(pixels - left);
                let mut codes = [[0u8; CHUNK]; TILE];
                for (p, codes) in codes.iter_mut().enumerate().take(count) {
                    // SAFETY: the caller promised the input of every pixel, in all channels.
                    *codes = unsafe { self.pixel(input.add((left + p) * step + first), chunk, width, zero) };
                }
                // SAFETY: so many pixels of `CHUNK` codes; destinations as promised, none beyond `width`.
                unsafe { finish::write(codes.as_ptr().cast(), CHUNK, left, count, &inner[..used]) };
            }
        }
    }

    /// The codes of one pixel's chunk of channels.
    #[inline(always)]
    unsafe fn pixel(&self, input: *const u8, chunk: usize, width: usize, zero: u8) -> [u8; CHUNK] {
        let taps = self.offsets.len();
        let mut acc = self.bias[chunk];
        for (offset, weights) in self.offsets.iter().zip(&self.weights[chunk * taps..][..taps]) {
            let mut codes = [0u8; CHUNK];
            // SAFETY: `width` channels of this tap can be read.
            unsafe {
                if width == CHUNK {
                    codes = input.add(*offset).cast::<[u8; CHUNK]>().read();
                } else {
                    codes[..width].copy_from_slice(std::slice::from_raw_parts(input.add(*offset), width));
                }
            }
            for ((acc, &code), &weight) in acc.iter_mut().zip(&codes).zip(weights) {
                // 255 · 127 fits 16 bits.
                *acc += i32::from(i16::from(code) * weight);
            }
        }
        let zero = f32::from(zero);
        let mut codes = [0u8; CHUNK];
        for ((code, &acc), &scale) in codes.iter_mut().zip(&acc).zip(&self.scale[chunk]) {
            // Whole numbers this small are exact in floats, so that this is the contract's integer addition.
            let rounded = ((acc as f32 * scale).round_ties_even().clamp(-1024.0, 1024.0) + zero).clamp(0.0, 255.0);
            // SAFETY: a whole number from 0 to 255.
            *code = unsafe { rounded.to_int_unchecked::<u8>() };
        }
        codes
    }
}
