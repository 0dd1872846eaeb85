//! A histogram of durations: lock-free to write, fine enough to read p50 and p99 from (each bucket is at most 9 % wide).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets an octave.
const PER_OCTAVE: u32 = 8;
/// 1 µs · 2^27 = 134 s: longer than anything that the daemon lets a stage take.
const OCTAVES: u32 = 27;
const BUCKETS: usize = (PER_OCTAVE * OCTAVES) as usize;

/// Counts durations from 1 µs to two minutes; what lies outside goes into the first or last bucket.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Relaxed)).sum()
    }

    /// All durations together, in seconds.
    pub fn sum_secs(&self) -> f64 {
        self.sum_ns.load(Relaxed) as f64 * 1e-9
    }

    /// The duration below which this share (0..1) of all lies, in milliseconds; None when nothing was counted.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        quantile_ms_of(self.buckets.iter().map(|b| b.load(Relaxed)), share)
    }

    /// How far it has counted, for [`Histogram::quantile_ms_since`].
    pub fn mark(&self) -> HistogramMark {
        HistogramMark(self.buckets.iter().map(|b| b.load(Relaxed)).collect())
    }

    /// As [`Histogram::quantile_ms`], of what was counted since the mark; and how many these are.
    pub fn quantile_ms_since(&self, mark: &HistogramMark, share: f64) -> Option<(f64, u64)> {
        quantile_ms_since_all(&[(self, mark)], share)
    }

    /// How many were at most so long (by whole buckets), for a coarser histogram's `le` lines.
    pub fn count_within(&self, limit: Duration) -> u64 {
        let limit_us = limit.as_secs_f64() * 1e6 * (1.0 + 1e-9);
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(i, _)| lower_edge_us(i + 1) <= limit_us)
            .map(|(_, b)| b.load(Relaxed))
            .sum()
    }
}

/// How far a histogram had counted at some moment; by default, not at all.
#[derive(Debug, Clone, Default)]
pub struct HistogramMark(Vec<u64>);

/// The duration below which this share (0..1) of all lies that several histograms counted since their marks, in milliseconds, and how many
/// these are; None when there are none.
pub fn quantile_ms_since_all(since: &[(&Histogram, &HistogramMark)], share: f64) -> Option<(f64, u64)> {
    let mut counts = vec![0; BUCKETS];
    for (histogram, mark) in since {
        let before = mark.0.iter().copied().chain(std::iter::repeat(0));
        for ((count, bucket), before) in counts.iter_mut().zip(&histogram.buckets).zip(before) {
            *count += bucket.load(Relaxed).saturating_sub(before);
        }
    }
    Some((quantile_ms_of(counts.iter().copied(), share)?, counts.iter().sum()))
}

fn quantile_ms_of(counts: impl Iterator<Item = u64> + Clone, share: f64) -> Option<f64> {
    let total: u64 = counts.clone().sum();
    if total == 0 {
        return None;
    }
    let rank = (share.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (i, count) in counts.enumerate() {
        seen += count;
        if seen >= rank {
            return Some((lower_edge_us(i) * lower_edge_us(i + 1)).sqrt() * 1e-3);
        }
    }
    None
}

fn bucket_of(ns: u64) -> usize {
    let us = ns as f64 * 1e-3;
    if us <= 1.0 {
        return 0;
    }
    ((us.log2() * f64::from(PER_OCTAVE)) as usize).min(BUCKETS - 1)
}

fn lower_edge_us(bucket: usize) -> f64 {
    (bucket as f64 / f64::from(PER_OCTAVE)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_bucket() {
        let h = Histogram::default();
        for ms in 1..=1000 {
            h.record(Duration::from_millis(ms));
        }
        assert_eq!(h.count(), 1000);
        assert!((h.sum_secs() - 500.5).abs() < 1e-6);
        for (share, want) in [(0.5, 500.0), (0.99, 990.0), (0.01, 10.0)] {
            let got = h.quantile_ms(share).expect("not empty");
            assert!((got / want - 1.0).abs() < 0.09, "p{share}: {got} against {want}");
        }
    }

    #[test]
    fn a_mark_divides_what_was_from_what_is_since() {
        let h = Histogram::default();
        (0..100).for_each(|_| h.record(Duration::from_secs(9)));
        let mark = h.mark();
        assert_eq!(h.quantile_ms_since(&mark, 0.5), None);
        (0..10).for_each(|_| h.record(Duration::from_millis(10)));
        let (ms, count) = h.quantile_ms_since(&mark, 0.99).expect("something was counted since");
        assert!((9.0..11.0).contains(&ms) && count == 10, "{ms} of {count}");
    }

    #[test]
    fn extremes_are_counted_and_an_empty_histogram_has_no_quantile() {
        let h = Histogram::default();
        assert_eq!(h.quantile_ms(0.5), None);
        h.record(Duration::ZERO);
        h.record(Duration::from_secs(100_000));
        assert_eq!(h.count(), 2);
        assert_eq!(h.count_within(Duration::from_secs(1)), 1);
    }
}
