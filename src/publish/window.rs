//! How many messages may be on their way to the broker at once. Pure.
//!
//! More than fill the line only wait at the broker: they make nothing faster, and each of them comes twice when the line is cut or the daemon
//! is killed. So as many are on their way as keep a few waiting there, by TCP Vegas' rule: what waits is the window less what the line holds,
//! which is known from the shortest delay that was ever seen.

use std::time::Duration;

/// So many may always be on their way.
const LEAST: u64 = 4;
/// With fewer that wait the line may run dry.
const FEW: f64 = 2.0;
/// More that wait are of no use.
const MANY: f64 = 4.0;

/// The window of one connection.
#[derive(Debug)]
pub(super) struct Window {
    size: u64,
    most: u64,
    /// The shortest delay of this connection: nothing waited then.
    base: Option<Duration>,
    /// The shortest delay of this round, which a disturbance of single messages does not change.
    shortest: Option<Duration>,
    /// Acknowledgements of this round, which has as many as the window.
    seen: u64,
}

impl Window {
    /// Of a line of which nothing is known; at most so many.
    pub(super) fn new(most: u64) -> Self {
        Self { size: LEAST.min(most), most, base: None, shortest: None, seen: 0 }
    }

    /// How many may be on their way.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// A message was acknowledged so long after it was written. `was_full` says whether others waited for that: only then does the size matter.
    pub(super) fn acknowledged(&mut self, delay: Duration, was_full: bool) {
        self.base = Some(self.base.map_or(delay, |base| base.min(delay)));
        if !was_full {
            return;
        }
        self.shortest = Some(self.shortest.map_or(delay, |shortest| shortest.min(delay)));
        self.seen += 1;
        if self.seen >= self.size {
            self.seen = 0;
            if let (Some(base), Some(shortest)) = (self.base, self.shortest.take()) {
                self.adapt(base, shortest);
            }
        }
    }

    fn adapt(&mut self, base: Duration, shortest: Duration) {
        let held_by_the_line = if shortest.is_zero() { 1.0 } else { base.div_duration_f64(shortest) };
        let waiting = self.size as f64 * (1.0 - held_by_the_line);
        if waiting < FEW {
            self.size = self.most.min(self.size + 1);
        } else if waiting > MANY {
            let too_many = ((waiting - MANY) / 2.0).ceil() as u64;
            self.size = self.size.saturating_sub(too_many).max(LEAST.min(self.most));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that takes one message at a time, at the end of a line; sizes after each round.
    fn sizes(line: Duration, each: Duration, rounds: u32) -> Vec<u64> {
        let mut window = Window::new(20);
        (0..rounds)
            .map(|_| {
                let queue = each * window.size() as u32;
                let delay = (line + each).max(queue);
                (0..window.size()).for_each(|_| window.acknowledged(delay, true));
                window.size()
            })
            .collect()
    }

    fn of(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1000.0)
    }

    #[test]
    fn a_long_line_is_filled() {
        assert_eq!(sizes(of(80.0), of(1.0), 40).last(), Some(&20));
    }

    #[test]
    fn before_a_slow_broker_few_wait() {
        let mut window = Window::new(20);
        window.acknowledged(of(5.0), false);
        for _ in 0..40 {
            let delay = of(5.0) * window.size() as u32;
            (0..window.size()).for_each(|_| window.acknowledged(delay, true));
        }
        assert!((LEAST..=5).contains(&window.size()), "{}", window.size());
    }

    #[test]
    fn a_window_that_was_wide_shrinks_within_some_rounds_when_the_broker_slows_down() {
        let mut window = Window::new(20);
        (0..2000).for_each(|_| window.acknowledged(of(50.0), true));
        assert_eq!(window.size(), 20);
        (0..60).for_each(|_| window.acknowledged(of(500.0), true));
        assert!(window.size() < 9, "{}", window.size());
    }

    #[test]
    fn single_messages_that_are_late_change_nothing() {
        let mut window = Window::new(20);
        for n in 0..2000 {
            window.acknowledged(of(if n % 3 == 0 { 50.0 } else { 400.0 }), true);
        }
        assert_eq!(window.size(), 20);
    }

    #[test]
    fn a_broker_that_takes_fewer_at_once_gets_no_more() {
        let mut window = Window::new(2);
        (0..100).for_each(|_| window.acknowledged(of(1.0), true));
        assert_eq!(window.size(), 2);
    }
}
