//! Which message a broker does not survive, or does not survive us sending. Pure.
//!
//! A broker that speaks 3.1.1 has no way to refuse one message: it closes the connection, and would close the next one over the same
//! message, for ever. Brokers handle messages in order, so that the oldest one without acknowledgement is the one to blame; but a connection
//! that is cut takes acknowledgements with it that were on their way, and brokers also die by themselves. So messages go one at a time for a
//! while after such an end, a suspect goes alone, on a connection that has just proved to work, and is given up only when this many
//! connections in a row ended at once with it.

use std::time::Duration;

use super::flight::{Cargo, WINDOW};

/// Connections that a message may cost.
const PATIENCE: u32 = 5;
/// A connection that ends this long after the message was written did not end because of it.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);

/// Messages that go one at a time after a connection was cut: all that may have been aloft then.
const ONE_AT_A_TIME: u32 = WINDOW as u32;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Blame {
    suspect: Option<(Cargo, u32)>,
    wary_for: u32,
}

impl Blame {
    /// The other side ended the connection while something was on its way.
    pub(super) fn warned(&mut self) {
        self.wary_for = ONE_AT_A_TIME;
    }

    /// Whether the next message must wait until the one before was acknowledged.
    pub(super) fn is_wary(&self) -> bool {
        self.wary_for > 0
    }

    /// The other side ended the connection at once after this message was written. Some when it is to be given up.
    pub(super) fn struck(&mut self, oldest: Cargo) -> Option<Cargo> {
        let before = self.suspect.take().filter(|(cargo, _)| *cargo == oldest).map_or(0, |(_, strikes)| strikes);
        if before + 1 >= PATIENCE {
            return Some(oldest);
        }
        self.suspect = Some((oldest, before + 1));
        None
    }

    /// The broker took a message, or it was given up.
    pub(super) fn cleared(&mut self, cargo: &Cargo) {
        self.wary_for = self.wary_for.saturating_sub(1);
        if self.suspects(cargo) {
            self.suspect = None;
        }
    }

    /// Whether this one must be sent alone.
    pub(super) fn suspects(&self, cargo: &Cargo) -> bool {
        self.suspect.as_ref().is_some_and(|(suspect, _)| suspect == cargo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Lane;

    #[test]
    fn a_message_is_given_up_when_it_ends_five_connections_in_a_row() {
        let mut blame = Blame::default();
        let poison = Cargo::Event(Lane::Events, 7);
        for _ in 0..4 {
            assert_eq!(blame.struck(poison.clone()), None);
            assert!(blame.suspects(&poison));
        }
        assert_eq!(blame.struck(poison.clone()), Some(poison.clone()));
        assert!(!blame.suspects(&poison));
    }

    #[test]
    fn after_a_cut_messages_go_one_at_a_time_until_as_many_as_may_have_been_aloft_are_over() {
        let mut blame = Blame::default();
        assert!(!blame.is_wary());
        blame.warned();
        for n in 0..u64::from(WINDOW) {
            assert!(blame.is_wary(), "{n}");
            blame.cleared(&Cargo::Event(Lane::Events, n));
        }
        assert!(!blame.is_wary());
    }

    #[test]
    fn a_broker_that_dies_by_itself_costs_no_message() {
        let mut blame = Blame::default();
        for n in 0..100 {
            assert_eq!(blame.struck(Cargo::Event(Lane::Events, n / 4)), None);
            if n % 4 == 3 {
                blame.cleared(&Cargo::Event(Lane::Events, n / 4));
            }
        }
        for _ in 0..4 {
            assert_eq!(blame.struck(Cargo::Record(1)), None);
        }
        blame.cleared(&Cargo::Record(1));
        assert_eq!(blame.struck(Cargo::Record(1)), None, "what was acknowledged begins anew");
    }
}
