//! How many frames go into one batch: as many as the latency target allows, found by trying.
//!
//! The size grows by one while results come early, and is halved when they come late and the batch is to blame. A size that was too large is
//! not tried again for a while, and for twice as long each time that it proves too large again: in a steady plant it settles.
//!
//! A late result alone does not blame the batch. Where there is more to do than the engine can, frames wait for their turn, and a smaller batch
//! makes them wait longer. So the engine's part is looked at: a frame waits for the batch before it, and then for its own. While these two
//! are early, the batch is not to blame, and where batches are full a larger one is what shortens the queue.

use std::time::Duration;

/// Results that a verdict takes. 64 leave three above the 95th percentile.
const RESULTS: usize = 64;
/// Batches after a change of size whose frames have waited under the old one.
const UNSETTLED: usize = 2;
/// Below this share of the target there is room for more.
const EARLY: f64 = 0.8;
/// Above this share of the target it is too late.
const LATE: f64 = 1.2;
/// Two batches that take no more than this share of the target are not what makes results late; nor do they, below the smaller share, where
/// results are just in time and a larger batch must not change that.
const FITS: f64 = 1.0;
const SMALL: f64 = 0.8;
/// How long a size that proved too large is left alone at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A size that stood for so many pauses had not been too large: something has changed, and the pauses begin anew.
const STOOD: u32 = 4;

/// A size that proved too large.
#[derive(Debug, Clone, Copy)]
struct Barred {
    size: usize,
    until: Duration,
    pause: Duration,
}

/// The controller.
#[derive(Debug)]
pub(super) struct BatchSize {
    size: usize,
    most: usize,
    target: Duration,
    /// Of the frames since the last verdict: capture to result.
    late: Vec<Duration>,
    /// Of the batches since then: how long all of them took, how many they were, how many of them full.
    took: Duration,
    batches: u32,
    full: u32,
    /// Batches still to be passed over.
    unsettled: usize,
    grown_at: Duration,
    barred: Option<Barred>,
}

impl BatchSize {
    pub(super) fn new(most: usize, target: Duration) -> Self {
        Self {
            size: 1,
            most: most.max(1),
            target,
            late: Vec::with_capacity(2 * RESULTS),
            took: Duration::ZERO,
            batches: 0,
            full: 0,
            unsettled: 0,
            grown_at: Duration::ZERO,
            barred: None,
        }
    }

    pub(super) fn get(&self) -> usize {
        self.size
    }

    /// What the engine can do, from now on.
    pub(super) fn limit(&mut self, most: usize) {
        self.most = most.max(1);
        if self.size > self.most {
            self.change(self.most);
        }
    }

    /// A batch of so many is done.
    pub(super) fn done(&mut self, batch: usize, took: Duration, late: &[Duration], now: Duration) {
        // Begun before the size was changed.
        if batch > self.size {
            return;
        }
        if self.unsettled > 0 {
            self.unsettled -= 1;
            return;
        }
        self.batches += 1;
        self.full += u32::from(batch == self.size);
        self.late.extend_from_slice(late);
        self.took += took;
        if self.late.len() >= RESULTS {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Duration) {
        // Two batches in the mean: that both are among the slowest is rarer than one frame in twenty.
        let (late, two) = (p95(&mut self.late), self.took * 2 / self.batches);
        let is_full = 2 * self.full > self.batches;
        self.forget();
        let target = self.target.as_secs_f64();
        let (late, engine) = (late.as_secs_f64() / target, two.as_secs_f64() / target);
        let spare = if late > LATE { FITS } else { SMALL };
        if late > LATE && engine > LATE {
            self.shrink(now);
        } else if is_full && (late < EARLY || engine <= spare) {
            self.grow(now);
        }
    }

    fn grow(&mut self, now: Duration) {
        let next = self.size + 1;
        if next <= self.most && self.barred.is_none_or(|b| next < b.size || now >= b.until) {
            self.grown_at = now;
            self.change(next);
        }
    }

    fn shrink(&mut self, now: Duration) {
        if self.size == 1 {
            return;
        }
        let stood = now.saturating_sub(self.grown_at);
        let before = self.barred.map(|b| b.pause).filter(|pause| stood < *pause * STOOD);
        let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.barred = Some(Barred { size: self.size, until: now + pause, pause });
        self.change(self.size / 2);
    }

    fn change(&mut self, size: usize) {
        self.size = size;
        self.unsettled = UNSETTLED;
        self.forget();
    }

    fn forget(&mut self) {
        self.late.clear();
        (self.took, self.batches, self.full) = (Duration::ZERO, 0, 0);
    }
}

/// The 95th percentile; the order of what is given is lost.
pub(super) fn p95(times: &mut [Duration]) -> Duration {
    if times.is_empty() {
        return Duration::ZERO;
    }
    let at = (times.len() * 95).div_ceil(100) - 1;
    *times.select_nth_unstable(at).1
}
