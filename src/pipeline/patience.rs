//! How long a worker's silence is no hang. Pure: what looks took goes in. What becomes of a worker that hangs belongs to the supervisor.

use std::time::Duration;

/// A worker that has looked before is silent for so long at least: a board that is hot or swaps is slow, and not lost.
const LEAST: Duration = Duration::from_secs(20);
/// Nobody knows yet how long a look takes: a big model in floats on a small board may need half a minute, a GPU prepares itself.
const UNKNOWN: Duration = Duration::from_secs(120);
/// Of the longest look.
const TIMES: u32 = 4;

/// What is known of a worker's looks with the model that it has.
#[derive(Debug, Default)]
pub(super) struct Patience {
    longest: Option<Duration>,
}

impl Patience {
    /// A look took so long.
    pub(super) fn took(&mut self, look: Duration) {
        self.longest = self.longest.max(Some(look));
    }

    /// How long it may be silent.
    pub(super) fn allowed(&self) -> Duration {
        self.longest.map_or(UNKNOWN, |longest| longest.saturating_mul(TIMES).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_model_is_waited_for_and_a_fast_one_not_long() {
        let secs = Duration::from_secs;
        let mut patience = Patience::default();
        assert_eq!(patience.allowed(), secs(120));
        patience.took(Duration::from_millis(40));
        assert_eq!(patience.allowed(), secs(20));
        patience.took(secs(31));
        patience.took(secs(2));
        assert_eq!(patience.allowed(), secs(124));
    }
}
