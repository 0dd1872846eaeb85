//! The inner loops of a convolution, one file a processor family, chosen when the program runs.
//!
//! Belongs here: what a kernel is given and must give, to the bit. Does not: what is computed in which order and by whom (see `plan`, `run`).
//!
//! The contract, the same for all: `acc = bias + Σ code · weight` in 32 bits; `code = clamp(round_half_even(acc · scale) + zero, 0, 255)` with one
//! float multiplication; then every destination perhaps adds a residual to its channels and takes them through a table of 256 bytes.
//! The zero point of the input is folded into the bias, and borders hold it, so that no kernel knows of either. Whoever builds a call sees to it
//! that neither `acc` nor `acc · scale` leaves 32 bits, and that weights lie within -127..=127: processors without an 8-bit dot product add two
//! products in 16 bits.

#![allow(unsafe_code, reason = "vector instructions and raw rows of tensors")]

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod depthwise;
mod finish;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_out;
mod pack;
#[cfg(target_arch = "x86_64")]
mod peak;
mod pool;
mod scalar;
mod translate;

pub(super) use depthwise::Depthwise;
pub(super) use finish::{Dest, Mix, Residual};
pub(super) use pack::{Aligned, Block, Packed, Run, pack};
pub(super) use pool::raise;
pub(super) use translate::translate;

/// Output pixels that one call may ask for at most in one tile, whatever the kernel: the size of scratch memory follows from it.
#[cfg(target_arch = "x86_64")]
const MAX_TILE_PIXELS: usize = 16;
/// Destinations of one call, at most; a layer with more is asked for several times.
pub(super) const MAX_DESTS: usize = 8;
/// Output channels of one block, at most.
const MAX_BLOCK: usize = 64;

/// One row of output pixels for one block of output channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Which input bytes a pixel needs, relative to its first.
    pub runs: &'a [Run],
    /// The block's weights, bias and scale.
    pub block: &'a Block,
    /// Bytes from the input of one output pixel to that of the next.
    pub step: usize,
    /// The zero point of the codes that are made.
    pub zero: u8,
    /// Where the codes go.
    pub dests: &'a [Dest],
}

/// How a processor computes convolutions.
pub(super) trait Kernel: Send + Sync {
    /// What `PEREGRINE_KERNEL` calls it.
    fn name(&self) -> &'static str;

    /// Bytes of input that one lane takes at a time; runs are padded to it with zero weights.
    fn group(&self) -> usize;

    /// Widths of the blocks into which so many output channels are cut, each at most [`MAX_BLOCK`]; the last may be wider than what is left.
    /// `depth` is the number of weights of one output channel.
    fn widths(&self, channels: usize, depth: usize) -> Vec<usize>;

    /// The order in which a block's channels lie in its packed weights, bias and scale: their own, unless a kernel says otherwise.
    fn order(&self, width: usize) -> Vec<usize> {
        (0..width).collect()
    }

    /// The bytes of one group: from `weights[position][byte]`, positions in [`Kernel::order`], to what the inner loop reads.
    fn arrange(&self, weights: &[i8], out: &mut Vec<u8>) {
        out.extend(weights.iter().map(|&w| w as u8));
    }

    /// What the kernel wants to know of a channel's weights before it sees a bias: a summand for codes that it shifts.
    fn shift(&self) -> i32 {
        0
    }

    /// Computes one row.
    ///
    /// # Safety
    /// `input` points at the input of the first pixel; all bytes that `call.runs` name, for `pixels` pixels, rounded up to [`Kernel::group`], can be
    /// read. Every destination can be written for `pixels` pixels, and nobody else reads or writes those bytes meanwhile. The processor has
    /// what the kernel needs, which holds for kernels from [`choose`] and [`all`].
    unsafe fn row(&self, call: &Call<'_>, input: *const u8, pixels: usize);
}

/// Every kernel that this processor runs, the best first. The last is the oracle.
pub(super) fn all() -> &'static [&'static dyn Kernel] {
    static FOUND: OnceLock<Vec<&'static dyn Kernel>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found: Vec<&'static dyn Kernel> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx512::kernels());
            found.extend(avx2::kernels());
        }
        #[cfg(target_arch = "aarch64")]
        {
            found.extend(i8mm::kernels());
            found.extend(neon_dot::kernels());
            found.push(&neon::Neon);
        }
        found.push(&scalar::Scalar);
        found
    })
}

/// See [`peak::spin`].
pub(super) fn spin(kernel: &str, turns: u32) -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    return peak::spin(kernel, turns);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (kernel, turns);
        None
    }
}

/// The kernel of that name, or the best one.
///
/// # Errors
/// When there is none of that name here; the message names those that there are.
pub(super) fn choose(name: Option<&str>) -> Result<&'static dyn Kernel, String> {
    let Some(name) = name.filter(|n| !n.is_empty()) else { return Ok(all()[0]) };
    all().iter().copied().find(|k| k.name() == name).ok_or_else(|| {
        let here: Vec<_> = all().iter().map(|k| k.name()).collect();
        format!("PEREGRINE_KERNEL={name}: this processor has no such kernel; it has {}", here.join(", "))
    })
}

/// How many tiles of at most `most` pixels cover a row, and how many of them have `small + 1` pixels (they come first): as even as can be, since
/// a last tile of one pixel costs nearly as much as a full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    small: usize,
    large_tiles: usize,
    tiles: usize,
}

impl Split {
    fn of(pixels: usize, most: usize) -> Self {
        let tiles = pixels.div_ceil(most).max(1);
        Self { small: pixels / tiles, large_tiles: pixels % tiles, tiles }
    }

    /// First pixel and number of pixels of each tile.
    fn tiles(self) -> impl Iterator<Item = (usize, usize)> {
        let mut first = 0;
        (0..self.tiles).map(move |i| {
            let pixels = self.small + usize::from(i < self.large_tiles);
            let at = first;
            first += pixels;
            (at, pixels)
        })
    }
}

#[cfg(test)]
mod tests;
