//! What a tensor of the model is, before anybody decided where and with which step its codes are stored.
//!
//! Belongs here: the algebra that lets SiLU become a table, a concatenation become slices, a split become nothing. Does not: buffers and
//! operations (see `build`), ONNX (see `nodes`).

use std::rc::Rc;

use super::quant::{Quant, Values};

/// A tensor [channels, height, width], not yet stored.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    /// Channels, height, width.
    pub chw: [usize; 3],
    /// What it is.
    pub kind: Rc<Kind>,
    /// The step in which the file wants it, if it says so.
    pub natural: Option<Quant>,
    /// How many expressions lie within each other here, at most.
    pub depth: usize,
    /// Least and greatest value that it can have, by its parts. Kept, since a tensor may be part of another one many times over.
    reach: (f32, f32),
}

/// How it comes to be.
#[derive(Debug)]
pub(super) enum Kind {
    /// The picture.
    Image,
    /// Sums of a convolution (operation number), which have no codes yet.
    Raw(usize),
    /// A function of the codes of something.
    Map { source: Source, first: usize, tables: Tables },
    /// Two tensors added.
    Sum(Expr, Expr),
    /// Channels after channels.
    Concat(Vec<Expr>),
    /// Some of the channels of a tensor that is stored whole.
    Part { of: Expr, first: usize },
    /// The greatest of each window.
    Pool { of: Expr, window: Window },
    /// Rows and columns picked or repeated.
    Sample { of: Expr, y: Pick, x: Pick },
    /// One value a channel.
    Average(Expr),
    /// Codes of a given step, then values again.
    Fixed { of: Expr, quant: Quant },
}

impl Kind {
    fn depth(&self) -> usize {
        1 + match self {
            Self::Image | Self::Raw(_) | Self::Map { .. } => 0,
            Self::Sum(a, b) => a.depth.max(b.depth),
            Self::Concat(parts) => parts.iter().map(|p| p.depth).max().unwrap_or(0),
            Self::Part { of, .. } | Self::Pool { of, .. } | Self::Sample { of, .. } => of.depth,
            Self::Average(of) | Self::Fixed { of, .. } => of.depth,
        }
    }

    fn reach(&self) -> (f32, f32) {
        match self {
            Self::Image | Self::Raw(_) => (0.0, 0.0),
            Self::Map { tables, .. } => tables.range(),
            Self::Sum(a, b) => {
                let (a, b) = (a.reach(), b.reach());
                (a.0 + b.0, a.1 + b.1)
            }
            Self::Concat(parts) => parts.iter().map(Expr::reach).fold((0.0, 0.0), |a, b| (a.0.min(b.0), a.1.max(b.1))),
            Self::Part { of, .. } | Self::Pool { of, .. } | Self::Sample { of, .. } | Self::Average(of) => of.reach(),
            Self::Fixed { quant, .. } => quant.range(),
        }
    }
}

/// Whose codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Those that an operation makes, before they are stored.
    Producer(usize),
    /// Those of a stored tensor.
    Stored(Slot),
}

/// From a code to a value: one table for all channels, or one for each.
#[derive(Debug, Clone)]
pub(super) enum Tables {
    One(Rc<Values>),
    Each(Rc<Vec<Values>>),
}

/// Some channels of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub buffer: usize,
    pub first: usize,
    pub channels: usize,
}

/// A sliding window, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Height and width.
    pub size: [usize; 2],
    /// Down and right.
    pub stride: [usize; 2],
    /// Above and left of the picture.
    pub pad: [usize; 2],
    /// Between taps, down and right.
    pub dilation: [usize; 2],
}

/// Which input row or column an output one takes: `start + i / repeat * step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    pub start: usize,
    pub step: usize,
    pub repeat: usize,
}

impl Pick {
    pub(super) const ALL: Self = Self { start: 0, step: 1, repeat: 1 };

    /// What picking from what was picked before comes to, unless one of both repeats.
    pub(super) fn after(self, before: Self) -> Option<Self> {
        let is_plain = self.repeat == 1 && before.repeat == 1;
        let start = before.start.checked_add(self.start.checked_mul(before.step)?)?;
        is_plain.then_some(Self { start, step: before.step.checked_mul(self.step)?, repeat: 1 })
    }

    pub(super) fn of(self, i: usize) -> usize {
        self.start + i / self.repeat * self.step
    }
}

impl Slot {
    pub(super) fn part(self, first: usize, channels: usize) -> Self {
        Self { buffer: self.buffer, first: self.first + first, channels }
    }
}

impl Tables {
    /// Each value through `f`.
    pub(super) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        let over = |t: &Values| -> Values { std::array::from_fn(|i| f(t[i])) };
        match self {
            Self::One(t) => Self::One(Rc::new(over(t))),
            Self::Each(all) => Self::Each(Rc::new(all.iter().map(over).collect())),
        }
    }

    /// Each value through `f` with a number for its channel; where all channels have the same, it is a function of the code alone.
    pub(super) fn map_each(&self, numbers: &[f32], f: impl Fn(f32, f32) -> f32) -> Self {
        if let Some((&n, rest)) = numbers.split_first()
            && rest.iter().all(|&r| r == n)
        {
            return self.map(|x| f(x, n));
        }
        let over = |t: &Values, n: f32| -> Values { std::array::from_fn(|i| f(t[i], n)) };
        let tables = numbers.iter().enumerate().map(|(c, &n)| match self {
            Self::One(t) => over(t, n),
            Self::Each(all) => over(&all[c], n),
        });
        Self::Each(Rc::new(tables.collect()))
    }

    /// Two functions of the same codes, joined.
    pub(super) fn zip(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Option<Self> {
        let (Self::One(a), Self::One(b)) = (self, other) else { return None };
        Some(Self::One(Rc::new(std::array::from_fn(|i| f(a[i], b[i])))))
    }

    /// Least and greatest value.
    pub(super) fn range(&self) -> (f32, f32) {
        match self {
            Self::One(t) => super::quant::range(t),
            Self::Each(all) => {
                all.iter().map(super::quant::range).fold((0.0, 0.0), |a, b| (a.0.min(b.0), a.1.max(b.1)))
            }
        }
    }

    fn part(&self, first: usize, channels: usize) -> Self {
        match self {
            Self::One(t) => Self::One(Rc::clone(t)),
            Self::Each(all) => Self::Each(Rc::new(all[first..first + channels].to_vec())),
        }
    }
}

impl Expr {
    pub(super) fn new(chw: [usize; 3], kind: Kind) -> Self {
        let (depth, reach) = (kind.depth(), kind.reach());
        Self { chw, kind: Rc::new(kind), natural: None, depth, reach }
    }

    /// Least and greatest value that it can have.
    pub(super) fn reach(&self) -> (f32, f32) {
        self.natural.map_or(self.reach, Quant::range)
    }

    pub(super) fn with_natural(mut self, natural: Option<Quant>) -> Self {
        self.natural = natural;
        self
    }

    /// The values that codes of `quant` stand for.
    pub(super) fn codes(chw: [usize; 3], source: Source, quant: Quant) -> Self {
        let tables = Tables::One(Rc::new(quant.values()));
        Self::new(chw, Kind::Map { source, first: 0, tables }).with_natural(Some(quant))
    }

    /// Some of the channels.
    pub(super) fn part(&self, first: usize, channels: usize) -> Self {
        let chw = [channels, self.chw[1], self.chw[2]];
        if channels == self.chw[0] {
            return self.clone();
        }
        let kind = match &*self.kind {
            Kind::Map { source, first: begin, tables } => {
                Kind::Map { source: *source, first: begin + first, tables: tables.part(first, channels) }
            }
            Kind::Part { of, first: begin } => Kind::Part { of: of.clone(), first: begin + first },
            _ => Kind::Part { of: self.clone(), first },
        };
        Self::new(chw, kind).with_natural(self.natural)
    }
}
