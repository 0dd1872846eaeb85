//! Weights in the order in which a kernel reads them.
//!
//! Belongs here: blocks, padding, alignment. Does not: quantisation (see `quant`), which kernel wants what (its own file).

use std::sync::atomic::AtomicBool;

use super::Kernel;

/// A stretch of input bytes that lies together: one tap of a filter, or a row of taps where the tensor has no gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer::int8) struct Run {
    /// From the pixel's first byte.
    pub offset: usize,
    /// How many bytes count.
    pub bytes: usize,
}

/// A convolution's weights, ready for one kernel.
#[derive(Debug, Default)]
pub(in crate::infer::int8) struct Packed {
    /// Blocks in the order of their channels.
    pub blocks: Vec<Block>,
}

/// The weights of a block of output channels.
#[derive(Debug)]
pub(in crate::infer::int8) struct Block {
    /// The first output channel.
    pub first: usize,
    /// Output channels that count.
    pub channels: usize,
    /// Output channels that are computed.
    pub width: usize,
    /// Weights, group after group, on a cache line's boundary.
    pub weights: Aligned,
    /// In the kernel's order.
    pub bias: Vec<i32>,
    /// In the kernel's order.
    pub scale: Vec<f32>,
    /// Set when nobody wants the block's channels.
    pub is_left_out: AtomicBool,
}

/// Bytes that begin on a cache line.
#[derive(Debug, Default)]
pub(in crate::infer::int8) struct Aligned(Vec<Line>);

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Aligned {
    pub(in crate::infer::int8) fn new(bytes: &[u8]) -> Self {
        let lines = bytes.chunks(64).map(|chunk| {
            let mut line = Line([0; 64]);
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        });
        Self(lines.collect())
    }

    pub(in crate::infer::int8) fn zeroed(len: usize) -> Self {
        Self(vec![Line([0; 64]); len.div_ceil(64)])
    }

    pub(in crate::infer::int8) fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    pub(in crate::infer::int8) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// Packs `weights` (`[output channel][the runs' bytes one after the other]`) with a bias and a scale for each output channel.
pub(in crate::infer::int8) fn pack(
    kernel: &dyn Kernel,
    runs: &[Run],
    weights: &[i8],
    bias: &[i32],
    scale: &[f32],
) -> Packed {
    let depth: usize = runs.iter().map(|r| r.bytes).sum();
    let channels = bias.len();
    debug_assert_eq!(weights.len(), depth * channels);
    let mut packed = Packed::default();
    let mut first = 0;
    for width in kernel.widths(channels, depth) {
        let here = width.min(channels - first);
        let rows = &weights[first * depth..(first + here) * depth];
        packed.blocks.push(pack_block(kernel, runs, rows, depth, Range { first, here, width }, bias, scale));
        first += here;
    }
    packed
}

#[derive(Clone, Copy)]
struct Range {
    first: usize,
    here: usize,
    width: usize,
}

fn pack_block(
    kernel: &dyn Kernel,
    runs: &[Run],
    rows: &[i8],
    depth: usize,
    range: Range,
    bias: &[i32],
    scale: &[f32],
) -> Block {
    let group = kernel.group();
    let order = kernel.order(range.width);
    let (mut bytes, mut one_group) = (Vec::new(), vec![0i8; range.width * group]);
    let mut run_at = 0;
    for run in runs {
        for at in (0..run.bytes).step_by(group) {
            let len = group.min(run.bytes - at);
            one_group.fill(0);
            for (slot, &channel) in one_group.chunks_exact_mut(group).zip(&order) {
                if channel < range.here {
                    let from = channel * depth + run_at + at;
                    slot[..len].copy_from_slice(&rows[from..from + len]);
                }
            }
            kernel.arrange(&one_group, &mut bytes);
        }
        run_at += run.bytes;
    }
    let sum = |channel: usize| rows[channel * depth..(channel + 1) * depth].iter().map(|&w| i32::from(w)).sum::<i32>();
    let shifted = |channel: usize| bias[range.first + channel] + kernel.shift() * sum(channel);
    Block {
        first: range.first,
        channels: range.here,
        width: range.width,
        weights: Aligned::new(&bytes),
        bias: order.iter().map(|&c| if c < range.here { shifted(c) } else { 0 }).collect(),
        scale: order.iter().map(|&c| if c < range.here { scale[range.first + c] } else { 0.0 }).collect(),
        is_left_out: AtomicBool::new(false),
    }
}
