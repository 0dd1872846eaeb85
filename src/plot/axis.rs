//! Axes: which range they cover, where their ticks stand and what is written there.

/// An axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// What it counts, with its unit: "latency p95 (ms)".
    pub label: String,
    /// Where it begins; where the numbers do if not set.
    pub from: Option<f64>,
    /// Where it ends; where the numbers do if not set.
    pub to: Option<f64>,
    /// The distance of two ticks; a round number that fits if not set.
    pub tick: Option<f64>,
}

/// An axis with its numbers: a range, and ticks on round numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<f64>,
    tick: f64,
}

impl Scale {
    /// Covers the numbers, with about so many ticks. Without a number, and where all are the same, there is a range all the same.
    pub(super) fn over(axis: &Axis, numbers: impl Iterator<Item = f64>, about: usize) -> Self {
        let finite = numbers.filter(|n| n.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), n| (l.min(n), h.max(n)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let set = |typed: Option<f64>| typed.filter(|n| n.is_finite());
        let (mut from, mut to) = (set(axis.from).unwrap_or(low), set(axis.to).unwrap_or(high));
        if to - from <= f64::EPSILON * to.abs().max(from.abs()) {
            let room = if from == 0.0 { 1.0 } else { from.abs() * 0.1 };
            (from, to) = (from - if axis.from.is_some() { 0.0 } else { room }, from + room);
        }
        let tick = set(axis.tick).filter(|t| *t > 0.0 && (to - from) / t <= 100.0);
        let tick = tick.unwrap_or_else(|| round_tick((to - from) / about.max(1) as f64));
        // A range that nobody set ends on ticks.
        let from = if set(axis.from).is_some() { from } else { (from / tick).floor() * tick };
        let to = if set(axis.to).is_some() { to } else { (to / tick).ceil() * tick };
        // Numbers so near each other that rounding makes them one.
        let to = if to > from { to } else { from + tick.max(from.abs() * 1e-3) };
        let first = (from / tick - 1e-9).ceil();
        let count = ((to / tick + 1e-9).floor() - first).clamp(0.0, 1000.0) as u32;
        let ticks = (0..=count).map(|n| (first + f64::from(n)) * tick).collect();
        Self { from, to, ticks, tick }
    }

    /// Where a number lies: 0 at the beginning, 1 at the end.
    pub(super) fn share(&self, n: f64) -> f64 {
        (n - self.from) / (self.to - self.from)
    }

    /// A tick's number, with as many digits as its neighbours need to differ.
    pub(super) fn text(&self, n: f64) -> String {
        let digits = (0..9u8).find(|d| {
            let scaled = self.tick * 10f64.powi(i32::from(*d));
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        let text = format!("{n:.*}", usize::from(digits.unwrap_or(9)));
        // Rounding leaves "-0".
        if text.chars().all(|c| matches!(c, '-' | '0' | '.')) { text.replace('-', "") } else { text }
    }
}

/// The nearest of 1, 2 and 5 times a power of ten that is not below.
fn round_tick(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    power * steps.into_iter().find(|s| s * power >= least * 0.999_999).unwrap_or(10.0)
}
