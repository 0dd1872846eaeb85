//! When a lost engine is tried again: after a pause that doubles as long as it does not hold. Pure: time is an argument.

use std::time::Duration;

/// The longest pause: somebody who repairs the GPU waits no longer.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Retry {
    first: Duration,
    /// The pause of the last loss; None before the first.
    pause: Option<Duration>,
    due: Duration,
    back_since: Duration,
}

impl Retry {
    pub(super) fn new(first: Duration) -> Self {
        Self { first: first.min(PAUSE_MAX), pause: None, due: Duration::ZERO, back_since: Duration::ZERO }
    }

    /// The engine is lost. One that did not hold for as long as it was waited for is waited for twice as long.
    pub(super) fn lost(&mut self, now: Duration) {
        let held = now.saturating_sub(self.back_since);
        let pause = match self.pause {
            Some(pause) if held < pause => double(pause),
            _ => self.first,
        };
        self.pause = Some(pause);
        self.due = now + pause;
    }

    /// As [`Retry::lost`], with a GPU that others have again: the first pause is theirs, and over.
    pub(super) fn lost_with_others(&mut self, now: Duration) {
        let is_first = self.pause.is_none_or(|pause| now.saturating_sub(self.back_since) >= pause);
        self.lost(now);
        if is_first {
            self.due = now;
        }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// An attempt failed; gives the pause before the next.
    pub(super) fn failed(&mut self, now: Duration) -> Duration {
        let pause = self.pause.map_or(self.first, double);
        self.pause = Some(pause);
        self.due = now + pause;
        pause
    }

    pub(super) fn came_back(&mut self, now: Duration) {
        self.back_since = now;
    }
}

fn double(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_an_hour() {
        let mut retry = Retry::new(30 * SEC);
        retry.lost(100 * SEC);
        assert!(!retry.is_due(129 * SEC) && retry.is_due(130 * SEC));
        let pauses: Vec<_> = (0..9).map(|_| retry.failed(130 * SEC).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    }

    #[test]
    fn what_others_have_again_is_tried_at_once_unless_it_does_not_hold() {
        let mut retry = Retry::new(30 * SEC);
        retry.lost_with_others(100 * SEC);
        assert!(retry.is_due(100 * SEC));
        retry.came_back(101 * SEC);
        retry.lost_with_others(102 * SEC);
        assert!(!retry.is_due(161 * SEC) && retry.is_due(162 * SEC));
    }

    #[test]
    fn an_engine_that_comes_back_and_goes_at_once_is_waited_for_longer_until_it_holds() {
        let mut retry = Retry::new(30 * SEC);
        retry.lost(Duration::ZERO);
        retry.came_back(30 * SEC);
        retry.lost(31 * SEC);
        assert!(!retry.is_due(90 * SEC) && retry.is_due(91 * SEC));
        retry.came_back(91 * SEC);
        retry.lost(151 * SEC);
        assert!(retry.is_due(181 * SEC), "it held for as long as the pause was");
    }
}
