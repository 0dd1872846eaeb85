//! From expressions to buffers and operations: who stores which codes where.
//!
//! Belongs here: the decision that a tensor is stored, in which step, in whose slice, and by which operation. Does not: ONNX (see `nodes`),
//! places in memory, order and tasks (see `plan`).

use std::collections::HashMap;
use std::rc::Rc;

use super::budget::Budget;
use super::expr::{Expr, Kind, Pick, Slot, Source, Tables, Window};
use super::kernel::Mix;
use super::plan::{overlap, traffic};
use super::quant::{self, Quant};

/// A tensor in memory: pixels after pixels, all channels of one together, with a border of zero points for filters that look beyond the edge.
#[derive(Debug, Clone)]
pub(super) struct Buffer {
    pub chw: [usize; 3],
    pub border: usize,
    pub quant: Quant,
}

/// Something that is done to buffers.
#[derive(Debug)]
pub(super) enum Op {
    /// A convolution, or what can be said as one.
    Conv(Box<Conv>),
    /// Codes through a table, perhaps picked or repeated.
    Copy { from: Slot, to: Slot, y: Pick, x: Pick, tables: Vec<[u8; 256]> },
    /// Two tensors added.
    Add { own: Slot, other: Slot, mix: Box<Mix>, to: Slot },
    /// The greatest of each window.
    Pool { from: Slot, to: Slot, window: Window },
    /// The mean of each channel.
    Average { from: Slot, to: Slot },
}

/// A convolution with integer weights.
#[derive(Debug)]
pub(super) struct Conv {
    /// Its output's name in the file.
    pub name: String,
    pub from: Slot,
    pub window: Window,
    /// Whether each channel has a filter of its own.
    pub is_depthwise: bool,
    pub out_chw: [usize; 3],
    /// `[output channel][row][column][input channel]`.
    pub weights: Vec<i8>,
    /// A step of the sum, for each output channel.
    pub sum_scale: Vec<f32>,
    /// In values, not steps.
    pub bias: Vec<f64>,
    /// The step of the codes it makes; None until somebody needs them.
    pub quant: Option<Quant>,
    pub dests: Vec<Dest>,
}

/// Where some of a convolution's codes go.
#[derive(Debug)]
pub(super) struct Dest {
    /// First output channel; `to` tells how many.
    pub first: usize,
    pub to: Slot,
    /// What is added first.
    pub residual: Option<(Slot, Box<Mix>)>,
    /// None leaves codes as they are.
    pub table: Option<Box<[u8; 256]>>,
}

impl Conv {
    /// Adds a destination, to the last one if it goes on where that ends: halves of a split that are joined again are one.
    fn add_dest(&mut self, dest: Dest) {
        if let Some(last) = self.dests.iter_mut().rfind(|d| d.first + d.to.channels == dest.first) {
            let (a, b) = (last.to, dest.to);
            let goes_on = a.buffer == b.buffer && a.first + a.channels == b.first;
            if goes_on && last.table == dest.table && last.residual.is_none() && dest.residual.is_none() {
                last.to.channels += b.channels;
                return;
            }
        }
        self.dests.push(dest);
    }
}

impl Buffer {
    /// Its size in memory; None when it is beyond all numbers.
    fn bytes(&self) -> Option<usize> {
        let [c, h, w] = self.chw;
        let side = |n: usize| n.checked_add(2 * self.border);
        c.checked_mul(side(h)?)?.checked_mul(side(w)?)
    }
}

/// Collects buffers and operations.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub buffers: Vec<Buffer>,
    pub ops: Vec<Op>,
    /// Where the picture goes.
    pub image: Option<Slot>,
    /// What was stored already: which expression, in which step. The expression is kept so that its address stays its own.
    stored: HashMap<(usize, u32, u8), (Rc<Kind>, Slot)>,
    pub budget: Budget,
}

/// Why something cannot be done in 8 bits; a line for people.
pub(super) type Refusal = String;

impl Builder {
    pub(super) fn buffer(&mut self, chw: [usize; 3], quant: Quant) -> Result<Slot, Refusal> {
        let buffer = Buffer { chw, border: 0, quant };
        let bytes = buffer.bytes().filter(|&n| n > 0).ok_or_else(|| format!("a tensor of {chw:?} is empty or huge"))?;
        self.budget.store(bytes)?;
        self.buffers.push(buffer);
        Ok(Slot { buffer: self.buffers.len() - 1, first: 0, channels: chw[0] })
    }

    /// Sees to it that a buffer has at least this border.
    pub(super) fn widen(&mut self, buffer: usize, border: usize) -> Result<(), Refusal> {
        let old = &self.buffers[buffer];
        if old.border >= border {
            return Ok(());
        }
        let new = Buffer { border, ..old.clone() };
        let more = new.bytes().zip(old.bytes()).map_or(usize::MAX, |(new, old)| new - old);
        self.budget.store(more)?;
        self.buffers[buffer] = new;
        Ok(())
    }

    pub(super) fn conv(&mut self, index: usize) -> &mut Conv {
        match &mut self.ops[index] {
            Op::Conv(conv) => conv,
            _ => unreachable!("a producer is a convolution"),
        }
    }

    /// The step of a stored slot.
    pub(super) fn quant(&self, slot: Slot) -> Quant {
        self.buffers[slot.buffer].quant
    }

    /// The expression as codes of `quant`, stored somewhere; twice the same is stored once.
    pub(super) fn store(&mut self, expr: &Expr, quant: Quant) -> Result<Slot, Refusal> {
        if let Some(slot) = self.found(expr, quant) {
            return Ok(slot);
        }
        let slot = match &*expr.kind {
            Kind::Fixed { of, quant: own } if *own == quant => self.store(of, quant)?,
            Kind::Part { of, first } => self.store(of, quant)?.part(*first, expr.chw[0]),
            Kind::Map { source: Source::Stored(slot), first, tables: Tables::One(t) }
                if self.quant(*slot) == quant && quant.codes(t) == IDENTITY =>
            {
                slot.part(*first, expr.chw[0])
            }
            _ => {
                let slot = self.buffer(expr.chw, quant)?;
                self.fill(expr, quant, slot)?;
                slot
            }
        };
        self.remember(expr, quant, slot);
        Ok(slot)
    }

    fn key(expr: &Expr, quant: Quant) -> (usize, u32, u8) {
        (Rc::as_ptr(&expr.kind) as usize, quant.scale.to_bits(), quant.zero)
    }

    fn found(&self, expr: &Expr, quant: Quant) -> Option<Slot> {
        self.stored.get(&Self::key(expr, quant)).map(|(_, slot)| *slot)
    }

    fn remember(&mut self, expr: &Expr, quant: Quant, slot: Slot) {
        self.stored.entry(Self::key(expr, quant)).or_insert_with(|| (Rc::clone(&expr.kind), slot));
    }

    /// Writes the expression's codes into a slot, whose step is `quant`.
    fn fill(&mut self, expr: &Expr, quant: Quant, to: Slot) -> Result<(), Refusal> {
        self.budget.step()?;
        match &*expr.kind {
            Kind::Image | Kind::Raw(_) => return Err("its values have no known range".to_owned()),
            Kind::Map { source, first, tables } => self.fill_map(*source, *first, tables, quant, to)?,
            Kind::Concat(parts) => {
                let mut first = 0;
                for part in parts {
                    self.fill(part, quant, to.part(first, part.chw[0]))?;
                    first += part.chw[0];
                }
            }
            Kind::Sum(a, b) => self.fill_sum(a, b, quant, None, to)?,
            Kind::Pool { of, window } => {
                let from = self.store(of, quant)?;
                self.ops.push(Op::Pool { from, to, window: *window });
            }
            Kind::Sample { of, y, x } => {
                let from = self.store(of, quant)?;
                self.ops.push(Op::Copy { from, to, y: *y, x: *x, tables: Vec::new() });
            }
            Kind::Average(of) => {
                let natural = Self::natural(of);
                let from = self.store(of, natural)?;
                self.ops.push(Op::Average { from, to });
            }
            Kind::Fixed { of, quant: own } if matches!(&*of.kind, Kind::Sum(..)) => {
                let Kind::Sum(a, b) = &*of.kind else { unreachable!("just matched") };
                self.fill_sum(a, b, *own, Some(quant), to)?;
            }
            Kind::Part { .. } | Kind::Fixed { .. } => {
                let own = if let Kind::Fixed { quant: own, .. } = &*expr.kind { *own } else { quant };
                let inner = if let Kind::Fixed { of, .. } = &*expr.kind { of } else { expr };
                if own == quant && matches!(&*expr.kind, Kind::Fixed { .. }) {
                    return self.fill(inner, quant, to);
                }
                let from = self.store(inner, own)?;
                let tables = if own == quant { Vec::new() } else { vec![quant.codes(&own.values())] };
                self.ops.push(Op::Copy { from, to, y: Pick::ALL, x: Pick::ALL, tables });
            }
        }
        self.remember(expr, quant, to);
        Ok(())
    }

    fn fill_map(
        &mut self,
        source: Source,
        first: usize,
        tables: &Tables,
        quant: Quant,
        to: Slot,
    ) -> Result<(), Refusal> {
        let from = match (source, tables) {
            (Source::Producer(op), Tables::One(values)) => {
                let table = quant.codes(values);
                let table = (table != IDENTITY).then(|| Box::new(table));
                self.conv(op).add_dest(Dest { first, to, table, residual: None });
                return Ok(());
            }
            (Source::Producer(op), Tables::Each(_)) => self.codes_of(op)?.part(first, to.channels),
            (Source::Stored(slot), _) => slot.part(first, to.channels),
        };
        let tables = match tables {
            Tables::One(t) => vec![quant.codes(t)],
            Tables::Each(all) => {
                self.budget.tabulate(all.len())?;
                all.iter().map(|t| quant.codes(t)).collect()
            }
        };
        self.ops.push(Op::Copy { from, to, y: Pick::ALL, x: Pick::ALL, tables });
        Ok(())
    }

    /// A convolution's codes, stored as they are.
    pub(super) fn codes_of(&mut self, op: usize) -> Result<Slot, Refusal> {
        let (chw, quant) = (self.conv(op).out_chw, self.conv(op).quant);
        let quant = quant.ok_or_else(|| "its values have no known range".to_owned())?;
        let is_whole = |d: &&Dest| d.first == 0 && d.to.channels == chw[0] && d.table.is_none() && d.residual.is_none();
        if let Some(found) = self.conv(op).dests.iter().find(is_whole) {
            return Ok(found.to);
        }
        self.budget.step()?;
        let to = self.buffer(chw, quant)?;
        self.conv(op).dests.push(Dest { first: 0, to, table: None, residual: None });
        Ok(to)
    }

    /// A sum in steps of `quant`, and from there in steps of `again`, if the file rounds twice.
    fn fill_sum(&mut self, a: &Expr, b: &Expr, quant: Quant, again: Option<Quant>, to: Slot) -> Result<(), Refusal> {
        // The one that a convolution makes last takes the other as its residual.
        let producer = |e: &Expr| match &*e.kind {
            Kind::Map { source: Source::Producer(op), tables: Tables::One(_), .. } => Some(*op),
            _ => None,
        };
        let (own, other) = if producer(a) >= producer(b) { (a, b) } else { (b, a) };
        let other_quant = Self::natural(other);
        let too_far = || "two tensors that are added have values far beyond their sum".to_owned();
        let table = again.map(|q| q.codes(&quant.values())).filter(|t| *t != IDENTITY).map(Box::new);
        if let (Some(op), Kind::Map { first, tables: Tables::One(values), .. }) = (producer(own), &*own.kind) {
            let mix = quant::mix(values, other_quant, quant).ok_or_else(too_far)?;
            let residual = self.store(other, other_quant)?;
            if !self.needs(residual, op) {
                self.conv(op).dests.push(Dest { first: *first, to, residual: Some((residual, Box::new(mix))), table });
                return Ok(());
            }
        }
        let own_quant = Self::natural(own);
        let mix = quant::mix(&own_quant.values(), other_quant, quant).ok_or_else(too_far)?;
        let (own, other) = (self.store(own, own_quant)?, self.store(other, other_quant)?);
        match table {
            None => self.ops.push(Op::Add { own, other, mix: Box::new(mix), to }),
            Some(table) => {
                let sum = self.buffer(self.buffers[to.buffer].chw, quant)?.part(0, to.channels);
                self.ops.push(Op::Add { own, other, mix: Box::new(mix), to: sum });
                self.ops.push(Op::Copy { from: sum, to, y: Pick::ALL, x: Pick::ALL, tables: vec![*table] });
            }
        }
        Ok(())
    }

    /// Whether somebody's codes depend on an operation, which therefore cannot wait for them. When the search takes too long they count as if.
    fn needs(&mut self, slot: Slot, op: usize) -> bool {
        let traffic: Vec<_> = self.ops.iter().map(traffic).collect();
        let mut writers: HashMap<usize, Vec<usize>> = HashMap::new();
        for (i, (_, writes)) in traffic.iter().enumerate() {
            writes.iter().for_each(|w| writers.entry(w.buffer).or_default().push(i));
        }
        let (mut is_seen, mut wanted) = (vec![false; traffic.len()], vec![slot]);
        while let Some(slot) = wanted.pop() {
            let candidates = writers.get(&slot.buffer).map_or(&[][..], Vec::as_slice);
            if self.budget.search(1 + candidates.len()).is_err() {
                return true;
            }
            for &i in candidates {
                let (reads, writes) = &traffic[i];
                if !is_seen[i] && writes.iter().any(|w| overlap(*w, slot)) {
                    if i == op {
                        return true;
                    }
                    is_seen[i] = true;
                    wanted.extend(reads);
                }
            }
        }
        false
    }

    /// The step in which an expression is best stored when nothing asks for another: the file's, or one that covers all that it can be.
    pub(super) fn natural(expr: &Expr) -> Quant {
        expr.natural.unwrap_or_else(|| {
            let (low, high) = expr.reach();
            Quant::covering(low, high)
        })
    }
}

/// The table that changes nothing.
pub(super) const IDENTITY: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        t[i] = i as u8;
        i += 1;
    }
    t
};
