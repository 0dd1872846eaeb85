//! Messages between our hand and the broker's acknowledgement, in the life of one connection. Pure.
//!
//! The client library reports two things by packet identifier only: that it wrote a publish to the socket, and that the broker acknowledged
//! one. It writes in the order in which it was given messages, so that the oldest unwritten one here is the one that it reports.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::outbox::RecordId;
use super::window::Window;
use crate::types::{CameraId, Lane};

/// QoS 1 messages from the oldest unacknowledged one to the newest. Packet identifiers are given in a circle of this size, thus none can be
/// given twice; mosquitto, too, announces 20 as its Receive Maximum.
pub(super) const WINDOW: u16 = 20;
/// QoS 0 messages that the client has taken and not written: at most a blink of a healthy connection.
const FLEETING: usize = 32;
/// What the client's queue must hold; the disconnect at the end is the one more. A subscription counts among the window.
pub(super) const CLIENT_QUEUE: usize = WINDOW as usize + FLEETING + 1;

/// What was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cargo {
    /// QoS 0: forgotten once it is written.
    Fleeting,
    /// A subscription: it takes a packet identifier as a message does.
    Subscription,
    /// A record of the store.
    Event(Lane, u64),
    /// The same record in the form of ONVIF.
    Companion(Lane, u64),
    /// A record of the outbox.
    Record(RecordId),
    /// A retained state: its topic, and which version of it.
    Standing(String, u64),
}

/// Where a message came from, for the histograms; only what is sent for the first time counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    pub(super) camera: CameraId,
    pub(super) captured: Duration,
    pub(super) offered: Duration,
}

#[derive(Debug)]
struct Aloft {
    number: u64,
    cargo: Cargo,
    written: Duration,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Flight {
    unwritten: VecDeque<(Aloft, Option<Origin>)>,
    unacknowledged: HashMap<u16, Aloft>,
    fleeting: usize,
    next_number: u64,
    window: Window,
}

impl Flight {
    /// An empty flight; `receive_maximum` is the broker's, if it named one.
    pub(super) fn new(receive_maximum: Option<u16>) -> Self {
        let window = Window::new(u64::from(receive_maximum.unwrap_or(WINDOW).clamp(1, WINDOW)));
        Self { unwritten: VecDeque::new(), unacknowledged: HashMap::new(), fleeting: 0, next_number: 0, window }
    }

    /// Whether one more QoS 1 message may go.
    pub(super) fn has_room(&self) -> bool {
        let unwritten = self.unwritten.iter().map(|(a, _)| a).filter(|a| a.cargo != Cargo::Fleeting);
        let oldest = unwritten.chain(self.unacknowledged.values()).map(|a| a.number).min();
        oldest.is_none_or(|oldest| self.next_number - oldest < self.window.size())
    }

    /// Whether one more QoS 0 message may go.
    pub(super) fn has_room_for_fleeting(&self) -> bool {
        self.fleeting < FLEETING
    }

    /// The client took a message.
    pub(super) fn handed(&mut self, cargo: Cargo, origin: Option<Origin>) {
        let number = self.next_number;
        if cargo == Cargo::Fleeting {
            self.fleeting += 1;
        } else {
            self.next_number += 1;
        }
        self.unwritten.push_back((Aloft { number, cargo, written: Duration::ZERO }, origin));
    }

    /// The client wrote a message; 0 is the identifier of QoS 0. Err when that cannot be: the connection is then not to be trusted.
    pub(super) fn written(&mut self, packet_id: u16, now: Duration) -> Result<Option<Origin>, Confused> {
        let (mut aloft, origin) = self.unwritten.pop_front().ok_or(Confused)?;
        match (&aloft.cargo, packet_id) {
            (Cargo::Fleeting, 0) => self.fleeting -= 1,
            (Cargo::Fleeting, _) | (_, 0) => return Err(Confused),
            _ => {
                aloft.written = now;
                if self.unacknowledged.insert(packet_id, aloft).is_some() {
                    return Err(Confused);
                }
            }
        }
        Ok(origin)
    }

    /// The broker acknowledged a message. None for an identifier that is not aloft.
    pub(super) fn acknowledged(&mut self, packet_id: u16, now: Duration) -> Option<Cargo> {
        let was_full = !self.has_room();
        let aloft = self.unacknowledged.remove(&packet_id)?;
        self.window.acknowledged(now.saturating_sub(aloft.written), was_full);
        Some(aloft.cargo)
    }

    /// The oldest message that was not acknowledged, the one that the broker was at, and when it was written; None for one of which the
    /// client has not said so, as when the connection ended in the middle of it.
    pub(super) fn oldest(&self) -> Option<(&Cargo, Option<Duration>)> {
        let written = self.unacknowledged.values().min_by_key(|a| a.number).map(|a| (&a.cargo, Some(a.written)));
        let unwritten = self.unwritten.iter().map(|(a, _)| &a.cargo).find(|cargo| **cargo != Cargo::Fleeting);
        written.or_else(|| unwritten.map(|cargo| (cargo, None)))
    }

    /// QoS 0 messages that the client took and has not written: lost when the connection is.
    pub(super) fn unwritten_fleeting(&self) -> usize {
        self.fleeting
    }

    /// Whether everything was written and acknowledged.
    pub(super) fn is_over(&self) -> bool {
        self.unwritten.is_empty() && self.unacknowledged.is_empty()
    }
}

/// The client reported something that does not fit what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confused;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_acknowledgement_finds_its_own_record_whatever_the_order() {
        let mut flight = Flight::new(None);
        flight.handed(Cargo::Record(5), None);
        flight.handed(Cargo::Fleeting, None);
        flight.handed(Cargo::Standing("t".into(), 3), None);
        for id in [1, 0, 2] {
            flight.written(id, Duration::ZERO).expect("as handed");
        }
        assert_eq!(flight.acknowledged(2, Duration::ZERO), Some(Cargo::Standing("t".into(), 3)));
        assert_eq!(flight.acknowledged(2, Duration::ZERO), None);
        assert_eq!(flight.acknowledged(1, Duration::ZERO), Some(Cargo::Record(5)));
        assert!(flight.is_over());
    }

    #[test]
    fn a_report_that_does_not_fit_is_refused() {
        let mut flight = Flight::new(None);
        assert_eq!(flight.written(1, Duration::ZERO), Err(Confused));
        flight.handed(Cargo::Fleeting, None);
        assert_eq!(flight.written(1, Duration::ZERO), Err(Confused));
        flight.handed(Cargo::Record(0), None);
        assert_eq!(flight.written(0, Duration::ZERO), Err(Confused));
    }

    #[test]
    fn a_broker_that_receives_less_at_once_gets_less() {
        let mut flight = Flight::new(Some(2));
        flight.handed(Cargo::Record(0), None);
        assert!(flight.has_room());
        flight.handed(Cargo::Record(1), None);
        assert!(!flight.has_room());
    }

    proptest! {
        // Identifiers go round in a circle of WINDOW, as the client gives them.
        #[test]
        fn no_packet_identifier_is_given_while_it_is_in_use(acks in proptest::collection::vec(0..40_usize, 0..300)) {
            let mut flight = Flight::new(None);
            let (mut next_pkid, mut aloft) = (1_u16, Vec::new());
            for (n, ack) in acks.into_iter().enumerate() {
                while flight.has_room() {
                    flight.handed(Cargo::Record(n as u64), None);
                    prop_assert_eq!(flight.written(next_pkid, Duration::ZERO), Ok(None));
                    aloft.push(next_pkid);
                    next_pkid = if next_pkid == WINDOW { 1 } else { next_pkid + 1 };
                }
                prop_assert!(aloft.len() <= usize::from(WINDOW));
                let pkid = aloft.remove(ack % aloft.len());
                prop_assert!(flight.acknowledged(pkid, Duration::ZERO).is_some());
            }
        }
    }
}
