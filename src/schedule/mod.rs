//! Whose frame the engine takes next, and how many together. Pure: it is told who waits, what was served and how long it took; the threads
//! that ask are wired in `pipeline`. Absent on purpose: the clock, waiting, log lines.
//!
//! - `shares`: what each camera is entitled to, on paper;
//! - `turns`: who is next, so that over time each gets that (start-time fair queueing);
//! - `batch`: how many go together, led by the latency target;
//! - `capacity`: how many cameras are carried at all, by measuring.

use std::time::Duration;

use crate::config;

mod batch;
pub mod capacity;
mod shares;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod turns;

pub use shares::{Demand, entitled, weight};

use batch::BatchSize;
use turns::{Claim, Turns};

/// What a camera wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish {
    /// Looks a second; None for as many as come.
    pub rate_hz: Option<f64>,
    /// How much of the engine it may claim when there is too little for all.
    pub priority: config::Priority,
    /// A frame older than this is not worth a look; None has no limit.
    pub max_age: Option<Duration>,
}

impl From<&config::Camera> for Wish {
    fn from(camera: &config::Camera) -> Self {
        Self { rate_hz: camera.detect_fps, priority: camera.priority, max_age: camera.max_age }
    }
}

/// A camera that has a frame, while nobody has another frame of it in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The lane's number.
    pub lane: u64,
    /// When its newest frame was captured, on the monotonic clock.
    pub captured: Duration,
}

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// Take the newest frame of each of these lanes, most overdue first: one batch.
    Take(Vec<u64>),
    /// Ask again at this time of the monotonic clock, or when a frame comes.
    Wait(Duration),
    /// Ask again when a frame comes.
    Nothing,
}

/// Who is next. All workers of an engine share one.
#[derive(Debug)]
pub struct Policy {
    settings: config::Schedule,
    turns: Turns,
    batch: BatchSize,
    /// Since when a batch is being filled.
    filling: Option<Duration>,
}

impl Policy {
    /// Nobody is there yet.
    pub fn new(settings: config::Schedule) -> Self {
        let batch = BatchSize::new(settings.max_batch, settings.target_p95);
        Self { settings, turns: Turns::default(), batch, filling: None }
    }

    /// A camera comes, or wants something else from now on. A lane that was never told of has no turns.
    pub fn camera(&mut self, lane: u64, wish: Wish) {
        self.turns.set(lane, wish);
    }

    /// A camera is gone.
    pub fn gone(&mut self, lane: u64) {
        self.turns.remove(lane);
    }

    /// What the engine can take at once, from now on: another one may stand in for it.
    pub fn limit(&mut self, max_batch: usize) {
        self.batch.limit(self.settings.max_batch.min(max_batch));
    }

    /// Frames in a batch, at present.
    pub fn batch(&self) -> usize {
        self.batch.get()
    }

    /// Whether a frame is older than its camera allows: it is to be dropped and counted. None such is ever picked.
    pub fn stale(&self, lane: u64, captured: Duration, now: Duration) -> bool {
        self.turns.get(lane).is_some_and(|l| l.is_stale(captured, now))
    }

    /// Whether a camera may have a turn now, had it a frame: it was not looked at so lately that its rate does not allow it.
    pub fn is_due(&self, lane: u64, now: Duration) -> bool {
        self.turns.get(lane).is_some_and(|l| l.due() <= now)
    }

    /// A camera was picked and its frame is gone: nobody has it.
    pub fn missed(&mut self, lane: u64) {
        if let Some(lane) = self.turns.get_mut(lane) {
            lane.is_out = false;
        }
    }

    /// Who is next. Those that are picked count as served, and as out until they are done.
    pub fn pick(&mut self, waiting: &[Waiting], now: Duration) -> Pick {
        let (mut claims, since) = self.claims(waiting, now);
        let Some(since) = since else {
            self.filling = None;
            self.turns.rest();
            return self.next_due(waiting, now).map_or(Pick::Nothing, Pick::Wait);
        };
        let since = self.filling.map_or(since, |filling| filling.min(since));
        let bound = self.turns.together(&mut claims, self.batch());
        let until = since + self.settings.window;
        if self.batch() > claims.len()
            && until > now
            && let Some(until) = self.turns.company(bound, now, self.in_time(waiting, until))
        {
            self.filling = Some(since);
            return Pick::Wait(until);
        }
        self.filling = None;
        self.turns.serve(&claims, now);
        Pick::Take(claims.into_iter().map(|claim| claim.number).collect())
    }

    /// A batch is done: of these lanes, in that time from its taking to its results; for each result the time since its capture.
    pub fn done(&mut self, lanes: &[u64], took: Duration, late: &[Duration], now: Duration) {
        lanes.iter().for_each(|lane| self.missed(*lane));
        self.batch.done(lanes.len(), took, late, now);
    }

    /// Those that may have a turn now, and since when the first of them waits for it.
    fn claims(&mut self, waiting: &[Waiting], now: Duration) -> (Vec<Claim>, Option<Duration>) {
        self.turns.look();
        let mut since: Option<Duration> = None;
        let mut claims = Vec::with_capacity(waiting.len());
        for Waiting { lane, captured } in waiting {
            if let Some((claim, waits_since)) = self.turns.claim(*lane, *captured, now) {
                since = Some(since.map_or(waits_since, |s| s.min(waits_since)));
                claims.push(claim);
            }
        }
        (claims, since)
    }

    /// Until then at most, and no longer than the frames that wait may still be looked at.
    fn in_time(&self, waiting: &[Waiting], until: Duration) -> Duration {
        let ends = waiting.iter().filter_map(|w| Some(w.captured + self.turns.get(w.lane)?.wish.max_age?));
        ends.fold(until, Duration::min)
    }

    /// When the first of those is due that have a frame now.
    fn next_due(&self, waiting: &[Waiting], now: Duration) -> Option<Duration> {
        let dues = waiting.iter().filter_map(|w| self.turns.get(w.lane)).map(|lane| lane.due());
        dues.filter(|due| *due > now).min()
    }
}
