//! How long to wait before a source is opened again. Pure: chance and time are arguments.

use std::time::Duration;

use crate::config;

/// A session that streamed for this long counts as a success: the next fault is a new one. Longer than any stall limit, so that a camera
/// that dies after each first frame is still asked less and less often.
const RESET_AFTER: Duration = Duration::from_secs(20);

/// What a pause depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The source failed or fell silent.
    Fault,
    /// The source refused our credentials. Cameras lock out whoever insists, so these pauses start at the longest ordinary one.
    Auth,
}

/// Grows with each failure in a row: 0.5 s to 10 s by default, to 60 s after wrong credentials.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    auth_max: Duration,
    faults: u32,
    refusals: u32,
}

impl Backoff {
    pub(super) fn new(settings: &config::Ingest) -> Self {
        Self {
            min: settings.backoff_min,
            max: settings.backoff_max,
            auth_max: settings.auth_backoff_max,
            faults: 0,
            refusals: 0,
        }
    }

    /// Tells how long the session that has just ended streamed.
    pub(super) fn streamed(&mut self, how_long: Duration) {
        if how_long > Duration::ZERO {
            self.refusals = 0;
        }
        if how_long >= RESET_AFTER {
            self.faults = 0;
        }
    }

    /// The next pause. `share` is a random number in 0..1: faults take the whole range (full jitter, so that cameras that failed together do
    /// not come back together), refusals the upper half, since an early attempt there does harm.
    pub(super) fn next(&mut self, kind: Kind, share: f64) -> Duration {
        let share = share.clamp(0.0, 1.0);
        match kind {
            Kind::Fault => {
                let ceiling = doubled(self.min, self.faults).min(self.max);
                self.faults = self.faults.saturating_add(1);
                ceiling.mul_f64(share)
            }
            Kind::Auth => {
                let ceiling = doubled(self.max, self.refusals).min(self.auth_max);
                self.refusals = self.refusals.saturating_add(1);
                ceiling.mul_f64(0.5 + share / 2.0)
            }
        }
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    // 2^20 of anything is beyond every limit that makes sense.
    first.saturating_mul(1 << times.min(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn backoff() -> Backoff {
        Backoff { min: secs(0.5), max: secs(10.0), auth_max: secs(60.0), faults: 0, refusals: 0 }
    }

    #[test]
    fn the_ceiling_doubles_up_to_its_limit() {
        let mut b = backoff();
        let ceilings: Vec<_> = (0..7).map(|_| b.next(Kind::Fault, 1.0)).collect();
        assert_eq!(ceilings, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0].map(secs));
        for _ in 0..100 {
            assert_eq!(b.next(Kind::Fault, 1.0), secs(10.0));
        }
    }

    #[test]
    fn chance_takes_any_part_of_the_pause() {
        assert_eq!(backoff().next(Kind::Fault, 0.0), Duration::ZERO);
        assert_eq!(backoff().next(Kind::Fault, 0.5), secs(0.25));
    }

    #[test]
    fn wrong_credentials_wait_long_from_the_first_time_on() {
        let mut b = backoff();
        let ceilings: Vec<_> = (0..5).map(|_| b.next(Kind::Auth, 1.0)).collect();
        assert_eq!(ceilings, [10.0, 20.0, 40.0, 60.0, 60.0].map(secs));
        assert_eq!(b.next(Kind::Auth, 0.0), secs(30.0));
    }

    #[test]
    fn a_while_of_streaming_begins_anew_and_a_moment_does_not() {
        let mut b = backoff();
        for _ in 0..5 {
            b.next(Kind::Fault, 1.0);
        }
        b.streamed(secs(1.0));
        assert_eq!(b.next(Kind::Fault, 1.0), secs(10.0));
        b.streamed(secs(20.0));
        assert_eq!(b.next(Kind::Fault, 1.0), secs(0.5));
    }
}
