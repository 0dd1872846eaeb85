//! How many cameras an engine carries: what a measurement says, and which counts are measured. Pure: the measuring is an argument.
//!
//! Belongs here: percentiles, the verdict on a measured load, the search for the largest that is carried. Does not: frames, threads, time.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// A count that fails is measured once more before it is believed: one disturbance of the machine would halve the answer.
const TRIES: usize = 2;

/// What a load has to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// The 95th percentile of capture to result stays below it.
    pub target_p95: Duration,
    /// Share (0..1) of the due frames that may have no result.
    pub most_dropped: f64,
}

/// What so many cameras gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// How many.
    pub cameras: usize,
    /// For how long was counted.
    pub over: Duration,
    /// Frames that the cameras sent in this time.
    pub due: u64,
    /// Of these, when each was captured since the counting began, and how long after that its result was there; by capture.
    pub results: Vec<(Duration, Duration)>,
}

impl Load {
    /// The time below which this share (0..1) of the results was there. A time that was measured, not one in between; None without results.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut late: Vec<_> = self.results.iter().map(|(_, late)| *late).collect();
        late.sort_unstable();
        let rank = (share * late.len() as f64).ceil() as usize;
        late.get(rank.clamp(1, late.len().max(1)) - 1).copied()
    }

    /// The share (0..1) of the due frames that has no result.
    pub fn dropped(&self) -> f64 {
        if self.due == 0 {
            return 0.0;
        }
        1.0 - (self.results.len() as f64 / self.due as f64).min(1.0)
    }

    /// Results a second.
    pub fn fps(&self) -> f64 {
        self.results.len() as f64 / self.over.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Whether so many cameras are carried. Without a single result nothing was.
    pub fn holds(&self, bar: &Bar) -> bool {
        // One of a hundred is a hundredth, whatever binary fractions make of it.
        let is_whole = self.dropped() <= bar.most_dropped + 1e-9;
        is_whole && self.percentile(0.95).is_some_and(|p95| p95 < bar.target_p95)
    }
}

/// A measurement that can be judged.
pub trait Judged {
    /// Whether the load was carried.
    fn holds(&self) -> bool;
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<M> {
    /// Each count that was measured, the smallest first; of a count that was measured twice what counts.
    pub steps: Vec<(usize, M)>,
    /// The largest count that was carried, while one more was not or is not asked for; None when not even one camera was.
    pub carried: Option<usize>,
}

impl<M: Judged> Found<M> {
    fn add(&mut self, count: usize, measured: M) -> bool {
        let holds = measured.holds();
        let at = self.steps.partition_point(|(n, _)| *n < count);
        self.steps.insert(at, (count, measured));
        holds
    }
}

/// Finds the largest count from 1 to `most` that is carried: doubles until one is not, then halves what lies between. A count that fails is
/// measured again before that is believed.
///
/// # Errors
/// When a measurement fails.
pub fn search<M: Judged, E>(most: usize, measure: &mut dyn FnMut(usize) -> Result<M, E>) -> Result<Found<M>, E> {
    let mut found = Found { steps: Vec::new(), carried: None };
    let (mut good, mut bad) = (0, None);
    let mut next = 1.min(most);
    while next > good && bad.is_none_or(|bad| next < bad) {
        if found.add(next, tried(next, measure)?) {
            good = next;
        } else {
            bad = Some(next);
        }
        next = match bad {
            None => (good * 2).min(most),
            Some(bad) => good + (bad - good) / 2,
        };
    }
    found.carried = Some(good).filter(|n| *n > 0);
    Ok(found)
}

fn tried<M: Judged, E>(count: usize, measure: &mut dyn FnMut(usize) -> Result<M, E>) -> Result<M, E> {
    let mut measured = measure(count)?;
    for _ in 1..TRIES {
        if measured.holds() {
            break;
        }
        measured = measure(count)?;
    }
    Ok(measured)
}

/// Holds a count that was found for longer, and goes down from it until one is carried: by one, by a twentieth where there are many. Gives the
/// last that was measured with its count, or None when not even one camera was carried for so long.
///
/// # Errors
/// When a measurement fails.
pub fn settle<M: Judged, E>(
    from: usize,
    measure: &mut dyn FnMut(usize) -> Result<M, E>,
) -> Result<(usize, Option<M>), E> {
    let (mut count, mut last) = (from, None);
    while count > 0 {
        let measured = measure(count)?;
        if measured.holds() {
            return Ok((count, Some(measured)));
        }
        last = Some(measured);
        count -= count.div_ceil(20);
    }
    Ok((0, last))
}

/// When a camera's first frame comes, as a share of its period: cameras are not in step, nor evenly apart. The same camera always has the
/// same, so that a larger load is a smaller one with more cameras.
pub fn phase(camera: usize) -> f64 {
    let mut bits = (camera as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
