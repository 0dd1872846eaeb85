//! One operation with everything that a frame does not change: packed weights, strides, tables.
//!
//! Belongs here: what a task of it does, row by row. Does not: order, threads (see `run`).

#![allow(unsafe_code, reason = "threads write different parts of one arena")]

use std::sync::atomic::Ordering;

use super::build::{Conv, Dest, Op};
use super::expr::{Pick, Slot, Window};
use super::kernel::{self, Block, Call, Depthwise, Kernel, MAX_DESTS, Mix, Packed, Run};
use super::moves::{average, copy, pixels, pool};
use super::plan::{Place, Task, Work, traffic};

/// Input bytes that one round over the blocks of a convolution reads at most, so that they stay in the nearest cache.
const ROUND_BYTES: usize = 24 << 10;

/// An operation, ready.
#[derive(Debug)]
pub(super) struct Layer {
    pub name: String,
    /// "conv 3x3 s2", "pool 5x5" …
    pub what: String,
    pub macs: usize,
    pub out_chw: [usize; 3],
    pub reads: Vec<Slot>,
    pub writes: Vec<Slot>,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Conv(Box<Convolution>),
    Copy { from: Slot, to: Slot, y: Pick, x: Pick, tables: Vec<[u8; 256]> },
    Add { own: Slot, other: Slot, mix: Box<Mix>, to: Slot },
    Pool { from: Slot, to: Slot, window: Window, in_hw: [usize; 2] },
    Average { from: Slot, to: Slot, factor: f32, in_hw: [usize; 2] },
}

#[derive(Debug)]
struct Convolution {
    from: Slot,
    window: Window,
    runs: Vec<Run>,
    weights: Weights,
    zero: u8,
    dests: Vec<Dest>,
    /// All pixels lie in one row, in and out.
    is_flat: bool,
}

#[derive(Debug)]
enum Weights {
    Packed(Packed),
    Depthwise(Depthwise),
}

/// Where the buffers of one frame are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<'a> {
    pub places: &'a [Place],
    pub arena: *mut u8,
    pub image: *mut u8,
}

impl Memory<'_> {
    /// Channel `slot.first` of a pixel. Coordinates may lie in the border.
    pub(super) fn at(&self, slot: Slot, y: isize, x: isize) -> *mut u8 {
        let place = &self.places[slot.buffer];
        let base = place.offset.map_or(self.image, |offset| self.arena.wrapping_add(offset));
        let (rows, pixels) = (y * place.row_bytes() as isize, x * place.pixel_bytes() as isize);
        base.wrapping_add(place.inner(slot.first)).wrapping_offset(rows + pixels)
    }

    /// A buffer's first byte, border included.
    pub(super) fn base(&self, buffer: usize) -> *mut u8 {
        self.places[buffer].offset.map_or(self.image, |offset| self.arena.wrapping_add(offset))
    }

    pub(super) fn step(&self, slot: Slot) -> usize {
        self.places[slot.buffer].pixel_bytes()
    }

    /// The channels of one pixel.
    pub(super) unsafe fn pixel<'p>(&self, slot: Slot, y: usize, x: usize) -> &'p [u8] {
        // SAFETY: the caller asks for a pixel that is in the buffer and that nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(slot, y as isize, x as isize), slot.channels) }
    }

    pub(super) unsafe fn pixel_mut<'p>(&self, slot: Slot, y: usize, x: usize) -> &'p mut [u8] {
        // SAFETY: the caller asks for a pixel that is in the buffer and that nobody else touches meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.at(slot, y as isize, x as isize), slot.channels) }
    }
}

impl Layer {
    pub(super) fn new(op: Op, places: &[Place], kernel: &dyn Kernel) -> Result<Self, String> {
        let (reads, writes) = traffic(&op);
        let out_chw = |slot: Slot| {
            let [_, h, w] = places[slot.buffer].buffer.chw;
            [slot.channels, h, w]
        };
        let hw = |slot: Slot| [places[slot.buffer].buffer.chw[1], places[slot.buffer].buffer.chw[2]];
        let (name, what, macs, chw, doing) = match op {
            Op::Conv(conv) => return Self::convolution(*conv, places, kernel, reads, writes),
            Op::Copy { from, to, y, x, tables } => {
                let what = if y.repeat > 1 {
                    "repeat"
                } else if y.step > 1 || x.step > 1 {
                    "pick"
                } else {
                    "requantise"
                };
                (String::new(), what.to_owned(), 0, out_chw(to), Doing::Copy { from, to, y, x, tables })
            }
            Op::Add { own, other, mix, to } => {
                (String::new(), "add".to_owned(), 0, out_chw(to), Doing::Add { own, other, mix, to })
            }
            Op::Pool { from, to, window } => {
                let what = format!("max-pool {}x{}", window.size[0], window.size[1]);
                (String::new(), what, 0, out_chw(to), Doing::Pool { from, to, window, in_hw: hw(from) })
            }
            Op::Average { from, to } => {
                let [h, w] = hw(from);
                let (a, b) = (places[from.buffer].buffer.quant, places[to.buffer].buffer.quant);
                let factor = (f64::from(a.scale) / (f64::from(b.scale) * (h * w) as f64)) as f32;
                (
                    String::new(),
                    "average".to_owned(),
                    0,
                    out_chw(to),
                    Doing::Average { from, to, factor, in_hw: [h, w] },
                )
            }
        };
        Ok(Self { name, what, macs, out_chw: chw, reads, writes, doing })
    }

    fn convolution(
        conv: Conv,
        places: &[Place],
        kernel: &dyn Kernel,
        reads: Vec<Slot>,
        writes: Vec<Slot>,
    ) -> Result<Self, String> {
        let place = &places[conv.from.buffer];
        let [channels, h, w] = conv.out_chw;
        let [kh, kw] = conv.window.size;
        let per_output = conv.weights.len() / channels;
        let macs = (h * w * channels).saturating_mul(per_output);
        let depth = if conv.is_depthwise { "depthwise" } else { "conv" };
        let what = format!(
            "{depth} {kh}x{kw}{}",
            if conv.window.stride == [1, 1] { String::new() } else { format!(" s{}", conv.window.stride[0]) }
        );
        let (bias, scale) = integers(&conv, place)?;
        let quant = conv.quant.ok_or_else(|| format!("{} has no step", conv.name))?;
        let is_borderless = |slot: &Slot| places[slot.buffer].buffer.border == 0;
        let is_flat = conv.window.size == [1, 1]
            && conv.window.stride == [1, 1]
            && conv.window.pad == [0, 0]
            && is_borderless(&conv.from)
            && conv
                .dests
                .iter()
                .all(|d| is_borderless(&d.to) && d.residual.as_ref().is_none_or(|(slot, _)| is_borderless(slot)));
        let (runs, weights) = runs(&conv, place);
        let weights = if conv.is_depthwise {
            Weights::Depthwise(Depthwise::new(&runs, &conv.weights, &bias, &scale))
        } else {
            Weights::Packed(kernel::pack(kernel, &runs, &weights, &bias, &scale))
        };
        let doing = Doing::Conv(Box::new(Convolution {
            from: conv.from,
            window: conv.window,
            runs,
            weights,
            zero: quant.zero,
            dests: conv.dests,
            is_flat,
        }));
        Ok(Self { name: conv.name, what, macs, out_chw: conv.out_chw, reads, writes, doing })
    }

    /// The layer in pieces for so many threads.
    pub(super) fn tasks(&self, number: usize, threads: usize, task_macs: usize) -> Vec<Task> {
        let [_, h, w] = self.out_chw;
        // A byte that is moved costs about as much as a few products.
        let work = if self.macs > 0 { self.macs } else { self.out_chw.iter().product::<usize>().saturating_mul(8) };
        let pieces = if threads == 1 { 1 } else { (work / task_macs).clamp(1, threads * 8) };
        let pieces = if pieces > 1 { pieces.next_multiple_of(threads) } else { 1 };
        let cut = |len: usize, unit: usize| {
            let units = len.div_ceil(unit);
            let pieces = pieces.min(units);
            (0..pieces).map(move |i| ((i * units / pieces) * unit, ((i + 1) * units / pieces * unit).min(len)))
        };
        let work = Work::Layer(number);
        match &self.doing {
            Doing::Conv(c) if c.is_flat => cut(h * w, 12).map(|columns| Task { work, rows: (0, 1), columns }).collect(),
            Doing::Average { .. } => vec![Task { work, rows: (0, h), columns: (0, w) }],
            _ => cut(h, 1).map(|rows| Task { work, rows, columns: (0, w) }).collect(),
        }
    }

    /// Of a convolution that writes into one of `slots` and nowhere else, the blocks without a wanted channel are left out from now on.
    pub(super) fn leave_out(&self, slots: &[Slot], wanted: Option<&[bool]>) {
        let Doing::Conv(conv) = &self.doing else { return };
        let Weights::Packed(packed) = &conv.weights else { return };
        if !self.writes.iter().all(|w| slots.contains(w)) {
            return;
        }
        for block in &packed.blocks {
            let counts = |c: usize| wanted.is_none_or(|w| w.get(c).copied().unwrap_or(false));
            let is_wanted = (block.first..block.first + block.channels).any(counts);
            block.is_left_out.store(!is_wanted, Ordering::Relaxed);
        }
    }

    /// Does one task.
    ///
    /// # Safety
    /// `memory` holds the buffers that this layer was planned for, and nobody else touches what this task writes or writes what it reads.
    pub(super) unsafe fn perform(&self, kernel: &dyn Kernel, memory: Memory<'_>, task: Task) {
        // SAFETY: the caller's promise, for all of them.
        unsafe {
            match &self.doing {
                Doing::Conv(conv) => conv.perform(kernel, memory, task),
                Doing::Copy { from, to, y, x, tables } => copy(memory, (*from, *to), (*y, *x), tables, task),
                Doing::Add { own, other, mix, to } => {
                    for (row, col) in pixels(task) {
                        let (a, b) = (memory.pixel(*own, row, col), memory.pixel(*other, row, col));
                        let out = memory.pixel_mut(*to, row, col);
                        out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = mix.apply(a, b));
                    }
                }
                Doing::Pool { from, to, window, in_hw } => {
                    for (row, col) in pixels(task) {
                        pool(memory, *from, *window, *in_hw, (row, col), memory.pixel_mut(*to, row, col));
                    }
                }
                Doing::Average { from, to, factor, in_hw } => average(memory, *from, *to, *factor, *in_hw),
            }
        }
    }
}

impl Convolution {
    unsafe fn perform(&self, kernel: &dyn Kernel, memory: Memory<'_>, task: Task) {
        let [sy, sx] = self.window.stride;
        let place = &memory.places[self.from.buffer];
        let count = task.columns.1 - task.columns.0;
        let per_row = if self.is_flat { place.pixel_bytes() * count } else { place.row_bytes() * sy };
        // Of a flat layer the one row is cut, of any other some rows are taken together.
        let (rows, columns) = if self.is_flat {
            (1, (ROUND_BYTES / place.pixel_bytes() / 12 * 12).clamp(12, count.max(12)))
        } else {
            ((ROUND_BYTES / per_row.max(1)).max(1), count.max(1))
        };
        for top in (task.rows.0..task.rows.1).step_by(rows) {
            for left in (task.columns.0..task.columns.1).step_by(columns) {
                let area = ((top, (top + rows).min(task.rows.1)), (left, (left + columns).min(task.columns.1)));
                let input = |row: usize| {
                    let y = (row * sy) as isize - self.window.pad[0] as isize;
                    memory.at(self.from, y, (area.1.0 * sx) as isize - self.window.pad[1] as isize).cast_const()
                };
                // SAFETY: rows and columns are within the task; borders are as wide as the window reaches.
                unsafe {
                    match &self.weights {
                        Weights::Packed(packed) => {
                            for block in packed.blocks.iter().filter(|b| !b.is_left_out.load(Ordering::Relaxed)) {
                                self.block(kernel, memory, block, area, input);
                            }
                        }
                        Weights::Depthwise(filter) => self.depthwise(memory, filter, area, input),
                    }
                }
            }
        }
    }

    unsafe fn block(
        &self,
        kernel: &dyn Kernel,
        memory: Memory<'_>,
        block: &Block,
        (rows, columns): ((usize, usize), (usize, usize)),
        input: impl Fn(usize) -> *const u8,
    ) {
        let step = self.window.stride[1] * memory.step(self.from);
        let mut dests = [kernel::Dest::NONE; MAX_DESTS];
        for row in rows.0..rows.1 {
            let mut used = 0;
            for dest in &self.dests {
                used += usize::from(dest.for_block(
                    memory,
                    block.first,
                    block.channels,
                    (row, columns.0),
                    &mut dests[used],
                ));
                if used == MAX_DESTS {
                    let call = Call { runs: &self.runs, block, step, zero: self.zero, dests: &dests };
                    // SAFETY: the caller's promise.
                    unsafe { kernel.row(&call, input(row), columns.1 - columns.0) };
                    used = 0;
                }
            }
            if used > 0 {
                let call = Call { runs: &self.runs, block, step, zero: self.zero, dests: &dests[..used] };
                // SAFETY: the caller's promise.
                unsafe { kernel.row(&call, input(row), columns.1 - columns.0) };
            }
        }
    }

    unsafe fn depthwise(
        &self,
        memory: Memory<'_>,
        filter: &Depthwise,
        (rows, columns): ((usize, usize), (usize, usize)),
        input: impl Fn(usize) -> *const u8,
    ) {
        let step = self.window.stride[1] * memory.step(self.from);
        for row in rows.0..rows.1 {
            for some in self.dests.chunks(MAX_DESTS) {
                let mut dests = [kernel::Dest::NONE; MAX_DESTS];
                for (slot, dest) in dests.iter_mut().zip(some) {
                    dest.for_block(memory, 0, filter.channels(), (row, columns.0), slot);
                }
                // SAFETY: the caller's promise.
                unsafe { filter.row(input(row), step, self.zero, columns.1 - columns.0, &dests[..some.len()]) };
            }
        }
    }
}

impl Dest {
    /// The part of it that a block of output channels has, for the row from one pixel on; whether there is any.
    fn for_block(
        &self,
        memory: Memory<'_>,
        first: usize,
        channels: usize,
        (row, column): (usize, usize),
        out: &mut kernel::Dest,
    ) -> bool {
        let (low, high) = (self.first.max(first), (self.first + self.to.channels).min(first + channels));
        if low >= high {
            return false;
        }
        let at = |slot: Slot| memory.at(slot, row as isize, column as isize).wrapping_add(low - self.first);
        *out = kernel::Dest {
            table: self.table.as_deref().map_or(std::ptr::null(), |t| t),
            out: at(self.to),
            step: memory.step(self.to),
            from: low - first,
            to: high - first,
            residual: self.residual.as_ref().map(|(slot, mix)| kernel::Residual {
                codes: at(*slot),
                step: memory.step(*slot),
                mix: &raw const **mix,
            }),
        };
        true
    }
}

/// Bias and scale as the kernels want them: the input's zero point folded in, both within 32 bits whatever the input is.
fn integers(conv: &Conv, place: &Place) -> Result<(Vec<i32>, Vec<f32>), String> {
    let too_large = || format!("{}: its sums do not fit 32 bits", conv.name);
    let quant = conv.quant.ok_or_else(|| format!("{} has no step", conv.name))?;
    let per_output = conv.weights.len() / conv.out_chw[0];
    let zero = i64::from(place.buffer.quant.zero);
    let mut bias = Vec::new();
    let mut scale = Vec::new();
    for (c, row) in conv.weights.chunks_exact(per_output).enumerate() {
        let sum: i64 = row.iter().map(|&w| i64::from(w)).sum();
        let reach: i64 = row.iter().map(|&w| i64::from(w).abs()).sum::<i64>() * 255;
        let own = (conv.bias[c] / f64::from(conv.sum_scale[c])).round_ties_even();
        let factor = (f64::from(conv.sum_scale[c]) / f64::from(quant.scale)) as f32;
        // Kernels that shift codes add 128 times the weights on the way.
        let most = own.abs() + (2 * reach) as f64;
        let fits = most < f64::from(i32::MAX) && most * f64::from(factor) < f64::from(i32::MAX);
        if !fits {
            return Err(too_large());
        }
        bias.push(i32::try_from(own as i64 - zero * sum).map_err(|_| too_large())?);
        scale.push(factor);
    }
    Ok((bias, scale))
}

/// Which bytes a pixel of the output needs, and the weights in their order.
fn runs(conv: &Conv, place: &Place) -> (Vec<Run>, Vec<i8>) {
    let [kh, kw] = conv.window.size;
    let [dy, dx] = conv.window.dilation;
    let (channels, pixel) = (conv.from.channels, place.pixel_bytes());
    let offset = |y: usize, x: usize| y * dy * place.row_bytes() + x * dx * pixel;
    // Pixels of three channels lie in four bytes: the fourth gets a weight of zero, and a row of taps is one run.
    let is_padded = conv.from.first == 0 && channels < pixel && channels.next_multiple_of(4) == pixel;
    let taken = if is_padded && !conv.is_depthwise { pixel } else { channels };
    let weights = if taken == channels {
        conv.weights.clone()
    } else {
        let padding = vec![0i8; taken - channels];
        conv.weights.chunks_exact(channels).flat_map(|tap| tap.iter().chain(&padding).copied()).collect()
    };
    let runs = if taken == pixel && dx == 1 && !conv.is_depthwise {
        (0..kh).map(|y| Run { offset: offset(y, 0), bytes: kw * pixel }).collect()
    } else {
        let taps = (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x)));
        taps.map(|(y, x)| Run { offset: offset(y, x), bytes: taken }).collect()
    };
    (runs, weights)
}
