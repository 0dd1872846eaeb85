//! From operations to a flat plan: what is alive, in which order, where in one arena, in which pieces.
//!
//! Belongs here: levels (operations that need nothing of each other run together), places, tasks. Does not: running them (see `run`).

use super::build::{Buffer, Builder, Op};
use super::expr::Slot;
use super::kernel::Kernel;
use super::layer::Layer;

/// Bytes between tensors, so that a kernel that reads a group too far reads nothing that another thread writes.
const SLACK: usize = 64;

/// Bytes of the arena, and of one picture, at most: edge devices have hardly more for all that they do.
const MAX_ARENA: usize = 1 << 28;

/// Work that pays for handing it to another thread, in multiply-accumulates.
const TASK_MACS: usize = 1_500_000;

/// A model, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub layers: Vec<Layer>,
    /// Tasks of each level; a level begins when the one before is done.
    pub levels: Vec<Vec<Task>>,
    pub places: Vec<Place>,
    pub arena_bytes: usize,
    /// Where the picture goes.
    pub image: Slot,
}

/// A buffer in memory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub buffer: Buffer,
    /// None for the picture, which lies outside the arena, and for what nobody needs.
    pub offset: Option<usize>,
}

/// A piece of a layer's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    pub work: Work,
    pub rows: (usize, usize),
    /// Of the columns, when the layer has one long row.
    pub columns: (usize, usize),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A layer, by number.
    Layer(usize),
    /// A buffer's border gets its zero point.
    Border(usize),
}

impl Place {
    pub(super) fn pixel_bytes(&self) -> usize {
        self.buffer.chw[0]
    }

    pub(super) fn row_bytes(&self) -> usize {
        (self.buffer.chw[2] + 2 * self.buffer.border) * self.pixel_bytes()
    }

    pub(super) fn bytes(&self) -> usize {
        (self.buffer.chw[1] + 2 * self.buffer.border) * self.row_bytes()
    }

    /// From the buffer's first byte to channel `channel` of the pixel (0, 0).
    pub(super) fn inner(&self, channel: usize) -> usize {
        self.buffer.border * (self.row_bytes() + self.pixel_bytes()) + channel
    }
}

impl Plan {
    /// Makes a plan of what `exits` need.
    ///
    /// # Errors
    /// A line for people when the operations cannot be ordered or their numbers do not fit 32 bits.
    pub(super) fn new(builder: Builder, exits: &[Slot], kernel: &dyn Kernel, threads: usize) -> Result<Self, String> {
        let Builder { buffers, mut ops, image, .. } = builder;
        let image = image.ok_or("nothing in it reads the picture")?;
        let is_alive = alive(&mut ops, exits);
        let mut kept = is_alive.iter();
        ops.retain(|_| *kept.next().unwrap_or(&false));
        let level_of = levels(&ops)?;
        let mut places: Vec<Place> = buffers.into_iter().map(|buffer| Place { buffer, offset: None }).collect();
        let layers = ops.into_iter().map(|op| Layer::new(op, &places, kernel)).collect::<Result<Vec<_>, _>>()?;
        let depth = level_of.iter().max().map_or(0, |l| l + 1);
        let spans = spans(&layers, &level_of, exits, depth, places.len());
        let arena_bytes = place(&mut places, &spans, image.buffer);
        if arena_bytes.max(places[image.buffer].bytes()) > MAX_ARENA {
            return Err(format!("its tensors need {arena_bytes} bytes at a time, which is more than {MAX_ARENA}"));
        }
        let mut levels = vec![Vec::new(); depth];
        for (number, (layer, &level)) in layers.iter().zip(&level_of).enumerate() {
            levels[level].extend(layer.tasks(number, threads, TASK_MACS));
        }
        for (number, (place, span)) in places.iter().zip(&spans).enumerate() {
            if let (true, Some(_), Some((first, _))) = (place.buffer.border > 0, place.offset, span) {
                levels[*first].push(Task { work: Work::Border(number), rows: (0, 0), columns: (0, 0) });
            }
        }
        Ok(Self { layers, levels, places, arena_bytes, image })
    }
}

pub(super) fn overlap(a: Slot, b: Slot) -> bool {
    a.buffer == b.buffer && a.first < b.first + b.channels && b.first < a.first + a.channels
}

/// What an operation reads and writes.
pub(super) fn traffic(op: &Op) -> (Vec<Slot>, Vec<Slot>) {
    match op {
        Op::Conv(conv) => {
            let residuals = conv.dests.iter().filter_map(|d| d.residual.as_ref().map(|(slot, _)| *slot));
            (std::iter::once(conv.from).chain(residuals).collect(), conv.dests.iter().map(|d| d.to).collect())
        }
        Op::Copy { from, to, .. } | Op::Pool { from, to, .. } | Op::Average { from, to } => (vec![*from], vec![*to]),
        Op::Add { own, other, to, .. } => (vec![*own, *other], vec![*to]),
    }
}

/// Which operations the exits need; destinations that nobody reads are taken away.
fn alive(ops: &mut [Op], exits: &[Slot]) -> Vec<bool> {
    let traffic: Vec<_> = ops.iter().map(traffic).collect();
    let mut is_alive = vec![false; ops.len()];
    let mut wanted: Vec<Slot> = exits.to_vec();
    let mut next = 0;
    while let Some(&slot) = wanted.get(next) {
        next += 1;
        for (i, (reads, writes)) in traffic.iter().enumerate() {
            if !is_alive[i] && writes.iter().any(|w| overlap(*w, slot)) {
                is_alive[i] = true;
                wanted.extend(reads);
            }
        }
    }
    for op in ops {
        if let Op::Conv(conv) = op {
            conv.dests.retain(|d| wanted.iter().any(|w| overlap(*w, d.to)));
        }
    }
    is_alive
}

/// The level of each operation: one more than the highest of those that write what it reads.
fn levels(ops: &[Op]) -> Result<Vec<usize>, String> {
    let traffic: Vec<_> = ops.iter().map(traffic).collect();
    let mut waits = vec![0usize; ops.len()];
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); ops.len()];
    for (i, (reads, _)) in traffic.iter().enumerate() {
        for (users, (_, writes)) in users.iter_mut().zip(&traffic) {
            if writes.iter().any(|w| reads.iter().any(|r| overlap(*w, *r))) {
                users.push(i as u32);
                waits[i] += 1;
            }
        }
    }
    let mut level = vec![0; ops.len()];
    let mut ready: Vec<usize> = (0..ops.len()).filter(|&i| waits[i] == 0).collect();
    let mut next = 0;
    while let Some(&done) = ready.get(next) {
        next += 1;
        for &user in &users[done] {
            let user = user as usize;
            level[user] = level[user].max(level[done] + 1);
            waits[user] -= 1;
            if waits[user] == 0 {
                ready.push(user);
            }
        }
    }
    // Those that wait for each other never got ready.
    if ready.len() == ops.len() { Ok(level) } else { Err("its operations need each other in a circle".to_owned()) }
}

/// First and last level at which each buffer is needed.
fn spans(
    layers: &[Layer],
    level_of: &[usize],
    exits: &[Slot],
    depth: usize,
    buffers: usize,
) -> Vec<Option<(usize, usize)>> {
    let mut spans: Vec<Option<(usize, usize)>> = vec![None; buffers];
    let mut touch = |slot: &Slot, level: usize| {
        let span = spans[slot.buffer].get_or_insert((level, level));
        *span = (span.0.min(level), span.1.max(level));
    };
    for (layer, &level) in layers.iter().zip(level_of) {
        layer.reads.iter().chain(&layer.writes).for_each(|slot| touch(slot, level));
    }
    exits.iter().for_each(|slot| touch(slot, depth));
    spans
}

/// Gives every buffer a place in the arena, the largest first, each at the lowest address that is free while it is needed.
fn place(places: &mut [Place], spans: &[Option<(usize, usize)>], image: usize) -> usize {
    let mut by_size: Vec<usize> = (0..places.len()).filter(|&i| i != image && spans[i].is_some()).collect();
    by_size.sort_by_key(|&i| std::cmp::Reverse(places[i].bytes()));
    let mut taken: Vec<(usize, usize, (usize, usize))> = Vec::new();
    let mut total = 0;
    for i in by_size {
        let Some(span) = spans[i] else { continue };
        let bytes = (places[i].bytes() + SLACK).next_multiple_of(64);
        let mut offset = 0;
        // Ordered by offset, so that one pass finds the first gap.
        for &(begin, end, other) in &taken {
            let is_together = other.0 <= span.1 && span.0 <= other.1;
            if is_together && begin < offset + bytes && offset < end {
                offset = end;
            }
        }
        places[i].offset = Some(offset);
        taken.insert(taken.partition_point(|t| t.0 < offset), (offset, offset + bytes, span));
        total = total.max(offset + bytes);
    }
    total
}
