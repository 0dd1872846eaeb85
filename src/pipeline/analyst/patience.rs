//! When a camera is silent: its tracks have ended, who stands there now may be somebody else.
//!
//! The one home of this rule, for those who wait for frames and for those who look at them. Pure. A camera that sends is not silent because
//! nobody looked: an engine that is busy, or a rate that a budget has cut down, says nothing of what stands before the camera. And one that
//! its owner wants to be looked at rarely may miss a turn.

use std::time::Duration;

/// How long a camera's frames are waited for.
#[derive(Debug)]
pub(super) struct Patience {
    /// A longer time without a frame is a gap.
    gap: Duration,
    /// From turn to turn at the rate at which it is looked at; None where that is as often as it sends.
    turn: Option<Duration>,
    /// Its newest frame, looked at or not, as far as no gap lies before it.
    heard: Option<Duration>,
}

impl Patience {
    /// After a gap of this length nobody is followed any more.
    pub(super) fn new(gap: Duration) -> Self {
        Self { gap, turn: None, heard: None }
    }

    /// It is looked at so often. The newest frame that came; since it was heard of last no two frames were further apart than `pause`.
    pub(super) fn heed(&mut self, rate_hz: Option<f64>, newest: Option<Duration>, pause: Duration) {
        self.turn = rate_hz.and_then(|hz| Duration::try_from_secs_f64(hz.recip()).ok());
        if pause <= self.limit() {
            self.heard = newest;
        }
    }

    /// Whether it is silent, if its last frame that was looked at is as old as that.
    pub(super) fn is_over(&self, last: Duration, now: Duration) -> bool {
        let sends = self.heard.is_some_and(|heard| heard > last && now.saturating_sub(heard) <= self.gap);
        !sends && now.saturating_sub(last) > self.limit()
    }

    fn limit(&self) -> Duration {
        self.turn.map_or(self.gap, |turn| self.gap.max(turn.saturating_mul(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_camera_that_sends_nothing_is_silent_after_the_gap_or_after_two_of_its_turns() {
        let mut patience = Patience::new(secs(3));
        assert_eq!([3, 4].map(|now| patience.is_over(secs(0), secs(now))), [false, true]);
        for (rate_hz, last) in [(0.5, 4), (0.125, 16), (5.0, 3), (0.0, 3)] {
            patience.heed(Some(rate_hz), Some(secs(0)), Duration::ZERO);
            assert_eq!([last, last + 1].map(|now| patience.is_over(secs(0), secs(now))), [false, true], "{rate_hz} Hz");
        }
        patience.heed(None, Some(secs(0)), Duration::ZERO);
        assert!(patience.is_over(secs(0), secs(4)));
    }

    #[test]
    fn a_camera_that_sends_is_not_silent_however_long_nobody_looks_until_its_frames_stay_away() {
        let mut patience = Patience::new(secs(3));
        patience.heed(None, Some(secs(60)), secs(1));
        assert_eq!([61, 63, 64].map(|now| patience.is_over(secs(0), secs(now))), [false, false, true]);
        patience.heed(None, Some(secs(90)), secs(30));
        assert!(patience.is_over(secs(0), secs(90)), "it was away in between");
    }
}
