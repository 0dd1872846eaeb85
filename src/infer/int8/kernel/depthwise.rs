//! Convolutions with a filter for each channel: few products, so that plain loops over channels do, compiled for what the processor has.
//!
//! Belongs here: the same contract as `Kernel`'s, channel by channel. Does not: tables and residuals (see `finish`).

use super::scalar::requantise;
use super::{Dest, MAX_BLOCK, Run, finish};

/// Weights of a depthwise convolution.
#[derive(Debug)]
pub(in crate::infer::int8) struct Depthwise {
    offsets: Vec<usize>,
    /// `[tap][channel]`.
    weights: Vec<i16>,
    bias: Vec<i32>,
    scale: Vec<f32>,
}

impl Depthwise {
    /// From `[channel][tap]`; one run is one tap.
    pub(in crate::infer::int8) fn new(runs: &[Run], weights: &[i8], bias: Vec<i32>, scale: Vec<f32>) -> Self {
        let taps = runs.len();
        let weights = (0..taps).flat_map(|t| (0..bias.len()).map(move |c| i16::from(weights[c * taps + t]))).collect();
        Self { offsets: runs.iter().map(|r| r.offset).collect(), weights, bias, scale }
    }

    pub(in crate::infer::int8) fn channels(&self) -> usize {
        self.bias.len()
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
        let channels = self.channels();
        for first in (0..channels).step_by(MAX_BLOCK) {
            let width = MAX_BLOCK.min(channels - first);
            let cut = dests.iter().filter_map(|d| d.within(first, width));
            let mut inner = [Dest::NONE; 8];
            let used = inner.iter_mut().zip(cut).map(|(slot, dest)| *slot = dest).count();
            for pixel in 0..pixels {
                let mut acc = [0i32; MAX_BLOCK];
                acc[..width].copy_from_slice(&self.bias[first..first + width]);
                for (tap, offset) in self.offsets.iter().enumerate() {
                    let weights = &self.weights[tap * channels + first..][..width];
                    // SAFETY: the caller promised the input.
                    let codes = unsafe { std::slice::from_raw_parts(input.add(pixel * step + offset + first), width) };
                    for ((acc, &code), &weight) in acc.iter_mut().zip(codes).zip(weights) {
                        *acc += i32::from(code) * i32::from(weight);
                    }
                }
                let mut codes = [0u8; MAX_BLOCK];
                for ((code, &acc), &scale) in codes.iter_mut().zip(&acc).zip(&self.scale[first..first + width]) {
                    *code = requantise(acc, scale, zero);
                }
                // SAFETY: one pixel of `width` codes; destinations as promised.
                unsafe { finish::write(codes.as_ptr(), width, pixel, 1, &inner[..used]) };
            }
        }
    }
}
