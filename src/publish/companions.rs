//! Events a second time in the form of ONVIF, each just before the event's own message: when that is acknowledged and the event is no more
//! in the backlog, this one has been on its way at least. Belongs here: which event's second message this connection still needs. Does not:
//! what stands in it (see `onvif.rs`).

use super::onvif::Onvif;
use super::payload::Message;
use crate::types::{Lane, Stored};

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Companions {
    writer: Onvif,
    /// By lane: the event whose companion this connection was given last.
    handed: [Option<u64>; 2],
    /// One that no connection survives.
    given_up: Option<(Lane, u64)>,
}

impl Companions {
    /// What is to be sent before this event; None when it was, or never will be.
    pub(super) fn before(
        &mut self,
        lane: Lane,
        number: u64,
        stored: &Stored,
        device: &str,
        prefix: &str,
    ) -> Option<Message> {
        let is_done = self.handed[lane as usize] == Some(number) || self.given_up == Some((lane, number));
        (!is_done).then(|| self.writer.render(stored, device, prefix))
    }

    /// The connection took it, or it is too large for any.
    pub(super) fn handed(&mut self, lane: Lane, number: u64) {
        self.handed[lane as usize] = Some(number);
    }

    /// It ends every connection.
    pub(super) fn give_up(&mut self, lane: Lane, number: u64) {
        self.given_up = Some((lane, number));
    }

    /// Events that were not acknowledged will be sent again, and so will these.
    pub(super) fn connection_lost(&mut self) {
        self.handed = [None; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::samples::{raised, stored};

    #[test]
    fn a_companion_goes_once_a_connection_and_not_after_it_was_given_up() {
        let mut companions = Companions::default();
        let event = stored(1, None, raised("red_car"));
        let topic =
            |c: &mut Companions, lane, number| c.before(lane, number, &event, "gate", "peregrine").map(|m| m.topic);
        let first = topic(&mut companions, Lane::Alerts, 1);
        assert_eq!(first.as_deref(), Some("peregrine/gate/onvif-ej/peregrine:Alert/&red_car"));
        assert_eq!(topic(&mut companions, Lane::Alerts, 1), first, "nobody took it yet");
        companions.handed(Lane::Alerts, 1);
        assert_eq!(topic(&mut companions, Lane::Alerts, 1), None);
        assert_eq!(topic(&mut companions, Lane::Events, 1), first, "the same number of the other lane");
        companions.connection_lost();
        assert_eq!(topic(&mut companions, Lane::Alerts, 1), first);
        companions.give_up(Lane::Alerts, 1);
        assert_eq!(topic(&mut companions, Lane::Alerts, 1), None);
    }
}
