//! Whose turn it is: start-time fair queueing over cameras, in which a turn costs a camera the less the more it weighs.
//!
//! Each camera has a tag: the virtual time at which its next turn begins. Who has the least tag is served, and its tag moves on by its stride,
//! which is the inverse of its weight. Virtual time is the tag of the last turn that began. A camera that comes, or was away, begins at
//! it: it has saved up nothing while it was away, but for one turn, so that a frame that comes a little late does not cost a camera
//! its share. When nobody wants anything, everybody begins anew.
//!
//! Belongs here: virtual time, and when a camera with a target rate is due. Does not: how many turns make a batch, how long is waited.

use std::collections::HashMap;
use std::time::Duration;

use super::Wish;
use super::shares::weight;

/// A number that all weights divide, so that strides are whole and no share drifts.
const STRIDES: u64 = 300;

/// What a camera may save up in virtual time while it is away: a turn of one that weighs the least.
const SAVED: u64 = STRIDES / 20;

/// A camera that showed no frame for so long is not waited for: it may be dead.
const SILENT: Duration = Duration::from_secs(1);

/// A camera's account.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// What it wants.
    pub(super) wish: Wish,
    /// Where in virtual time its next turn begins.
    tag: u64,
    /// What a turn costs.
    stride: u64,
    /// When its next turn is due; None before its first, and without a target rate.
    due: Option<Duration>,
    /// When its last turn began.
    served: Option<Duration>,
    /// Capture of the newest frame that was seen of it.
    seen: Option<Duration>,
    /// The look at which it had a frame last.
    here: u64,
    /// Whether a worker has its frame.
    pub(super) is_out: bool,
}

impl Lane {
    /// Where in virtual time its next turn begins.
    fn begin(&self, now: u64) -> u64 {
        self.tag.max(now.saturating_sub(SAVED))
    }

    fn period(&self) -> Option<Duration> {
        let rate_hz = self.wish.rate_hz.filter(|hz| *hz > 0.0)?;
        Duration::try_from_secs_f64(rate_hz.recip()).ok()
    }

    /// From when on it may have its next turn.
    pub(super) fn due(&self) -> Duration {
        self.due.unwrap_or_default()
    }

    pub(super) fn is_stale(&self, captured: Duration, now: Duration) -> bool {
        self.wish.max_age.is_some_and(|limit| now.saturating_sub(captured) > limit)
    }

    /// Due times move on by the period, so that a late turn is made up for: by one period, no more.
    fn serve(&mut self, begin: u64, now: Duration) {
        self.tag = begin + self.stride;
        self.due = self.period().map(|period| self.due.map_or(now + period, |due| (due + period).max(now)));
        self.served = Some(now);
        self.is_out = true;
    }
}

/// A camera that could have a turn now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// Where in virtual time its turn begins: the least goes first.
    begin: u64,
    /// Of two that begin together the one goes first whose frame came first: it is the first to be displaced.
    captured: Duration,
    /// The camera.
    pub(super) number: u64,
}

/// All cameras' accounts.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lanes: HashMap<u64, Lane>,
    now: u64,
    looks: u64,
}

impl Turns {
    /// A camera comes, or wants something else than before.
    pub(super) fn set(&mut self, number: u64, wish: Wish) {
        let stride = STRIDES / u64::from(weight(wish.priority));
        let lane = self.lanes.entry(number).or_insert_with(|| Lane {
            wish,
            tag: self.now,
            stride,
            due: None,
            served: None,
            seen: None,
            here: 0,
            is_out: false,
        });
        (lane.wish, lane.stride) = (wish, stride);
        // A turn that was far off at the old rate comes as soon as the new one has it.
        let next = lane.period().zip(lane.served).map(|(period, served)| served + period);
        lane.due = lane.due.zip(next).map(|(due, next)| due.min(next)).or(next);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.lanes.remove(&number);
    }

    pub(super) fn get(&self, number: u64) -> Option<&Lane> {
        self.lanes.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Lane> {
        self.lanes.get_mut(&number)
    }

    /// A new look at who has a frame.
    pub(super) fn look(&mut self) {
        self.looks += 1;
    }

    /// A camera has a frame: its claim to a turn, and since when it has it; None where it is not due, or its frame too old.
    pub(super) fn claim(&mut self, number: u64, captured: Duration, now: Duration) -> Option<(Claim, Duration)> {
        let lane = self.lanes.get_mut(&number)?;
        (lane.seen, lane.here, lane.is_out) = (Some(captured), self.looks, false);
        let may = lane.due() <= now && !lane.is_stale(captured, now);
        may.then(|| (Claim { begin: lane.begin(self.now), captured, number }, captured.max(lane.due())))
    }

    /// Of these, those that go together, in order: so many at most, and nobody before the second turn of another that wants more than
    /// its share. So shares are the same whatever the batch size; what it costs is a batch that is not full while somebody waits.
    /// Tells up to where in virtual time others could still join.
    pub(super) fn together(&self, claims: &mut Vec<Claim>, most: usize) -> u64 {
        claims.sort_unstable();
        let mut bound = u64::MAX;
        let fits = |claim: &&Claim| {
            let fits = claim.begin <= bound;
            let lane = &self.lanes[&claim.number];
            // A camera that was away for longer does not want all of its share.
            if fits && lane.tag + SAVED >= self.now {
                bound = bound.min(claim.begin.max(self.now) + lane.stride);
            }
            fits
        };
        let count = claims.iter().take(most).take_while(fits).count();
        claims.truncate(count);
        bound
    }

    /// Whether somebody else could join until then: when to look again.
    pub(super) fn company(&self, bound: u64, now: Duration, until: Duration) -> Option<Duration> {
        let comes = |lane: &Lane| match lane.here == self.looks {
            // It has a frame: it joins already, or may not, or does when it is due.
            true => Some(lane.due()).filter(|due| *due > now),
            false => lane.seen.filter(|seen| now.saturating_sub(*seen) < SILENT).map(|_| until),
        };
        let others = self.lanes.values().filter(|lane| !lane.is_out && lane.begin(self.now) <= bound);
        let others = others.filter(|lane| lane.due() <= until);
        others.filter_map(comes).min().filter(|at| *at > now)
    }

    /// They have their turns.
    pub(super) fn serve(&mut self, claims: &[Claim], now: Duration) {
        for claim in claims {
            self.now = self.now.max(claim.begin);
            if let Some(lane) = self.lanes.get_mut(&claim.number) {
                lane.serve(claim.begin, now);
            }
        }
    }

    /// Nobody wants anything: nobody is behind or ahead any more.
    pub(super) fn rest(&mut self) {
        if self.lanes.values().any(|lane| lane.is_out) {
            return;
        }
        self.now = self.lanes.values().map(|lane| lane.tag).fold(self.now, u64::max);
        let now = self.now;
        self.lanes.values_mut().for_each(|lane| lane.tag = now);
    }
}
