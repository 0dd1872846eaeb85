//! Whose turn it is: start-time fair queueing over cameras, in which a turn costs a camera the less the more it weighs.
//!
//! Each camera has a tag: the virtual time at which its next turn begins. Who has the least tag is served, and its tag moves on by its stride,
//! which is the inverse of its weight. Virtual time is the tag of the last turn that began, less what may be gone ahead. A camera that comes, or
//! was away, begins near it: it has saved up next to nothing while it was away, but enough for a frame that comes a little late not to
//! cost a camera its share. When nobody wants anything, everybody begins anew.
//!
//! A ring holds one frame, as a rule. Who is entitled to nearly all of its frames has none to spare: one that is lost before its turn is made up
//! for by no later one. So such cameras go before the others while they are not ahead by more than a turn, and among them the one that would
//! lose its frame first.
//!
//! Belongs here: virtual time, and when a camera with a target rate is due. Does not: how many turns make a batch, how long is waited.

use std::collections::HashMap;
use std::time::Duration;

use super::Wish;
use super::shares::weight;

/// A number that all weights divide, so that strides are whole and no share drifts.
const STRIDES: u64 = 300;

/// How far in virtual time a camera that has no frame to spare may go ahead of its turn: one turn of one that weighs the most.
const LEAD: u64 = STRIDES / 50;

/// What a camera may save up in virtual time while it is away: with what another may be ahead by, a turn of one that weighs the least.
const SAVED: u64 = STRIDES / 20 - LEAD;

/// A camera has no frame to spare while it has fewer than that, that it may have looked at, for each one that is, in the
/// mean.
const SPARE: f64 = 1.6;

/// Turns that this mean is over, or so.
const TURNS: f64 = 8.0;

/// What one turn counts for in it at most: who was away for an hour is not a camera with many frames to spare. The same is the most by which
/// one gap counts in their mean.
const MANY: f64 = 4.0;

/// A camera that showed no frame for so long is not waited for: it may be dead.
const SILENT: Duration = Duration::from_secs(1);

/// Times from one frame to the next, as they were seen.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// In the mean of the last ones.
    mean: Duration,
    /// At the least; not seen for a while it is believed less and less.
    shortest: Duration,
}

impl Gap {
    fn new(gap: Duration) -> Self {
        Self { mean: gap, shortest: gap }
    }

    /// One more was seen.
    fn and(self, gap: Duration) -> Self {
        let counts = gap.min(self.mean.mul_f64(MANY));
        let mean = self.mean.mul_f64(1.0 - TURNS.recip()) + counts.mul_f64(TURNS.recip());
        // A mean of nothing would never grow again.
        Self { mean: mean.max(Duration::from_micros(1)), shortest: gap.min(self.shortest + self.shortest / 4) }
    }
}

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
    /// How long its next frame takes to come after one.
    gap: Option<Gap>,
    /// Capture of the frame that was taken last.
    taken: Option<Duration>,
    /// Frames that it could have had looked at for one that was, in the mean of the last turns.
    frames_a_turn: f64,
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

    /// It has a frame of that time.
    fn see(&mut self, captured: Duration) {
        if let Some(gap) = self.seen.and_then(|seen| captured.checked_sub(seen)).filter(|gap| !gap.is_zero()) {
            self.gap = Some(self.gap.map_or_else(|| Gap::new(gap), |known| known.and(gap)));
        }
        self.seen = Some(captured);
    }

    /// By when it should have a turn, or else has lost something for good: its frame is displaced by the next one or too old, or, at a rate
    /// below that of its frames, the next turn is due. For who wants less than a share it is half of the time until then: where there is too
    /// little for all in time, those shall be late who want more than there is.
    fn ends(&self, captured: Duration, now: u64) -> Duration {
        let gap = self.gap.map_or(Duration::ZERO, |gap| gap.shortest);
        let lost = captured + self.wish.max_age.map_or(gap, |max_age| max_age.min(gap));
        let ends = self.period().filter(|period| *period > gap).map_or(lost, |period| lost.max(self.due() + period));
        if self.wants_less(now) { captured + ends.saturating_sub(captured) / 2 } else { ends }
    }

    /// Whether it has left so much of its share to others that it must want less than that.
    fn wants_less(&self, now: u64) -> bool {
        self.tag + SAVED < now
    }

    /// Whether a frame of it that is lost cannot be made up for: nearly all are looked at, or one grows too old before the next is there.
    fn has_none_to_spare(&self) -> bool {
        let ages = self.wish.max_age.zip(self.gap).is_some_and(|(max_age, gap)| max_age < gap.mean);
        ages || self.frames_a_turn < SPARE
    }

    /// The frame that was seen of it last is taken.
    fn take(&mut self) {
        let since = self.seen.zip(self.taken).and_then(|(seen, taken)| seen.checked_sub(taken));
        if let Some((since, gap)) = since.filter(|since| !since.is_zero()).zip(self.gap) {
            let step = gap.mean.max(self.period().unwrap_or_default());
            let frames = (since.as_secs_f64() / step.as_secs_f64()).min(MANY);
            self.frames_a_turn += (frames - self.frames_a_turn) / TURNS;
        }
        self.taken = self.seen;
    }

    /// Due times move on by the period, so that a late turn is made up for: by one period, no more.
    fn serve(&mut self, begin: u64, now: Duration) {
        self.tag = begin + self.stride;
        self.due = self.period().map(|period| self.due.map_or(now + period, |due| (due + period).max(now)));
        self.served = Some(now);
        self.take();
        self.is_out = true;
    }
}

/// A camera that could have a turn now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// None for who has no frame to spare and is not ahead: they go before all others. Else where its turn begins: the least goes first.
    turn: Option<u64>,
    /// Of two that are alike the one goes first that would lose something first.
    ends: Duration,
    /// Where in virtual time its turn begins.
    begin: u64,
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
            // Others may be ahead by so much, and it would be behind them.
            tag: self.now + LEAD,
            stride,
            due: None,
            served: None,
            seen: None,
            gap: None,
            taken: None,
            // Until it is known, nobody is taken for one that has none.
            frames_a_turn: 2.0 * SPARE,
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
        lane.see(captured);
        (lane.here, lane.is_out) = (self.looks, false);
        if lane.due() > now || lane.is_stale(captured, now) {
            return None;
        }
        let begin = lane.begin(self.now);
        let goes_first = lane.has_none_to_spare() && begin <= self.now + LEAD;
        let claim = Claim { turn: (!goes_first).then_some(begin), ends: lane.ends(captured, self.now), begin, number };
        Some((claim, captured.max(lane.due())))
    }

    /// Of these, those that go together, in order: so many at most, and nobody before the second turn of another that wants more than
    /// its share. So shares are the same whatever the batch size; what it costs is a batch that is not full while somebody waits.
    /// Tells up to where in virtual time others could still join.
    pub(super) fn together(&self, claims: &mut Vec<Claim>, most: usize) -> u64 {
        // Of 128 cameras few go together: the others need no order.
        if let Some(last) = most.checked_sub(1).filter(|last| *last < claims.len()) {
            claims.select_nth_unstable(last);
        }
        claims.truncate(most);
        claims.sort_unstable();
        let mut bound = u64::MAX;
        let fits = |claim: &&Claim| {
            let fits = claim.begin <= bound;
            let lane = &self.lanes[&claim.number];
            if fits && !lane.wants_less(self.now) {
                bound = bound.min(claim.begin.max(self.now) + lane.stride);
            }
            fits
        };
        let count = claims.iter().take_while(fits).count();
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

    /// They have their turns. What somebody is ahead by does not move virtual time: the others would lose what they have saved.
    pub(super) fn serve(&mut self, claims: &[Claim], now: Duration) {
        for claim in claims {
            if let Some(lane) = self.lanes.get_mut(&claim.number) {
                let ahead = if lane.has_none_to_spare() { LEAD } else { 0 };
                self.now = self.now.max(claim.begin.saturating_sub(ahead));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Priority;

    #[test]
    fn who_has_no_frame_to_spare_is_known_by_few_turns_and_soon_again_after_a_pause_a_burst_or_another_rate() {
        let ms = Duration::from_millis;
        let mut turns = Turns::default();
        turns.set(0, Wish { rate_hz: None, priority: Priority::Medium, max_age: None });
        let mut at = ms(0);
        let mut looked_at = |turns: &mut Turns, after: Duration, times: usize| {
            for _ in 0..times {
                at += after;
                let (claim, _) = turns.claim(0, at, at).expect("it has a frame");
                turns.serve(&[claim], at);
            }
            turns.get(0).is_some_and(Lane::has_none_to_spare)
        };
        assert!(!looked_at(&mut turns, ms(33), 2), "nothing is known of it yet");
        assert!(looked_at(&mut turns, ms(33), 20));
        looked_at(&mut turns, Duration::from_secs(3600), 1);
        assert!(looked_at(&mut turns, ms(33), 12), "an hour's pause is no hour of frames to spare");
        looked_at(&mut turns, ms(1), 3);
        assert!(looked_at(&mut turns, ms(33), 20), "nor is a burst");
        assert!(looked_at(&mut turns, ms(1000), 40), "nor a slower rate");
        assert!(looked_at(&mut turns, ms(33), 20), "nor a faster one");
    }
}
