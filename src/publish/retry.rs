//! When to try the broker again. Pure: chance is an argument.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);
/// Brokers and their firewalls lock out those who insist on a wrong password or fight over a client id.
const LONGEST_IF_UNWELCOME: Duration = Duration::from_secs(60);
/// No pause is shorter than this, so that bad luck in a row does not hammer a broker that just came back.
const SHORTEST: Duration = Duration::from_millis(50);
/// A connection that lasted this long was a success; a shorter one counts as one more failure, which ends the game of two devices with one
/// client id throwing each other out.
const A_SUCCESS_LASTS: Duration = Duration::from_secs(10);

/// Counts failures; grows the pause between attempts.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// How long to wait after an attempt that gave a connection of this length (None: no connection). The pause is evenly spread between
    /// nothing and a bound that doubles with each failure, so that a whole fleet does not come back at the same moment.
    pub(super) fn pause(&mut self, lasted: Option<Duration>, unwelcome: bool, chance: f64) -> Duration {
        if lasted.is_some_and(|l| l >= A_SUCCESS_LASTS) {
            self.failures = 0;
        }
        let longest = if unwelcome { LONGEST_IF_UNWELCOME } else { LONGEST };
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(chance.clamp(0.0, 1.0)).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(unwelcome: bool) -> Vec<f64> {
        let mut retry = Retry::default();
        (0..9).map(|_| retry.pause(None, unwelcome, 1.0).as_secs_f64()).collect()
    }

    #[test]
    fn pauses_double_up_to_ten_seconds_and_to_a_minute_where_we_are_unwelcome() {
        assert_eq!(bounds(false), [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]);
        assert_eq!(bounds(true), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    }

    #[test]
    fn only_a_connection_that_lasted_forgives() {
        let mut retry = Retry::default();
        for _ in 0..5 {
            retry.pause(Some(Duration::from_secs(1)), false, 1.0);
        }
        assert_eq!(retry.pause(Some(Duration::from_secs(1)), false, 1.0), LONGEST);
        assert_eq!(retry.pause(Some(Duration::from_secs(60)), false, 1.0), FIRST);
    }

    #[test]
    fn chance_spreads_the_pause_but_never_to_nothing() {
        let mut retry = Retry::default();
        assert_eq!(retry.pause(None, false, 0.0), SHORTEST);
        assert_eq!(retry.pause(None, false, 0.5), Duration::from_millis(500));
    }
}
