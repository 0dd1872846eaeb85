//! One connection's life: what lies on the desk goes out, what the broker says comes back, and a stop ends it in order.
//! When the next connection is made belongs to `driver.rs`.

use std::time::Duration;

use super::blame;
use super::driver::{Carried, Shared};
use super::flight::{Cargo, Flight, Origin};
use super::mqtt::{self, Connection, Happening, Lost};
use super::payload::{self, Presence};
use super::watch::Watch;

mod pump;

/// Turns of the loop when nothing happens: four heartbeats in the second that is allowed.
const TURN: Duration = Duration::from_millis(250);
/// Turns during a stop, whose deadlines are fractions of a second.
const STOPPING_TURN: Duration = Duration::from_millis(20);

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// As asked.
    Stopped,
    /// By itself, after this long; None when it never was a connection.
    Lost(Lost, Option<Duration>),
}

/// What a stop has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No stop, or what lies on the desk still goes out.
    Serving,
    /// The device's `offline` is on its way.
    Farewell,
    /// The disconnect is on its way.
    Goodbye,
}

/// See the head of the file.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    carried: &'a mut Carried,
    connection: Connection,
    flight: Flight,
    watch: Watch,
    up_since: Option<Duration>,
    largest_packet: usize,
    phase: Phase,
    /// A message that nothing may accompany, see `blame.rs`.
    alone: Option<Cargo>,
    /// Whether the broker has acknowledged anything.
    has_proved: bool,
    /// Whether an event goes before a record of the outbox: they take turns.
    events_turn: bool,
}

impl<'a> Session<'a> {
    /// Begins to connect.
    pub(super) fn begin(shared: &'a Shared, carried: &'a mut Carried) -> Self {
        let (mqtt, device) = (&shared.context.mqtt, &shared.context.device.name);
        let will = payload::render_presence(Presence::Vanished, device, &mqtt.prefix);
        Self {
            shared,
            carried,
            connection: Connection::begin(mqtt, shared.tls.clone(), &will),
            flight: Flight::new(None),
            watch: Watch::new(mqtt::keep_alive(mqtt), shared.context.clock.mono()),
            up_since: None,
            largest_packet: mqtt::LARGEST_OUTGOING_BYTES,
            phase: Phase::Serving,
            alone: None,
            has_proved: false,
            events_turn: true,
        }
    }

    /// Lives until the connection is lost or a stop was carried out.
    pub(super) async fn run(mut self) -> Ended {
        let ended = loop {
            self.shared.context.heart.beat();
            if let Some(ended) = self.stopping().or_else(|| self.dead()) {
                break ended;
            }
            self.pump();
            let turn = if self.shared.desk.stop().is_some() { STOPPING_TURN } else { TURN };
            tokio::select! {
                happening = self.connection.next() => {
                    if let Some(ended) = self.handle(happening) {
                        break ended;
                    }
                }
                () = self.shared.desk.woken() => {}
                () = tokio::time::sleep(turn) => {
                    if let Some(events) = &mut self.carried.events {
                        events.look_again();
                    }
                }
            }
        };
        self.shared.context.metrics.mqtt.dropped_qos0_total.add(self.flight.unwritten_fleeting() as u64);
        ended
    }

    fn handle(&mut self, happening: Happening) -> Option<Ended> {
        let counters = &self.shared.context.metrics.mqtt;
        let now = self.shared.context.clock.mono();
        match happening {
            Happening::Connected { receive_maximum, largest_packet } => {
                self.flight = Flight::new(receive_maximum);
                self.largest_packet =
                    largest_packet.map_or(self.largest_packet, |l| self.largest_packet.min(l as usize));
                self.up_since = Some(now);
                self.watch.connected(now);
                self.shared.connected();
                return self.subscribe(now);
            }
            Happening::Written(packet_id) => match self.flight.written(packet_id, now) {
                Ok(origin) => self.written(origin, now),
                Err(_) => return Some(self.lost(Lost::because("the client lost count of its messages"))),
            },
            Happening::Acknowledged(packet_id) => {
                counters.acknowledged_total.inc();
                self.done(packet_id, None, now);
            }
            Happening::Refused(packet_id, why) => {
                counters.refused_total.inc();
                self.shared.refused(&why);
                self.done(packet_id, Some(&why), now);
            }
            Happening::SaidGoodbye => return Some(Ended::Stopped),
            Happening::Subscribed(packet_id) => self.done(packet_id, None, now),
            Happening::Incoming(message) => {
                self.watch.heard(now);
                if let Some(inbox) = &self.shared.context.inbox {
                    (inbox.hear)(message);
                }
            }
            Happening::Alive => self.watch.heard(now),
            Happening::Lost(lost) => {
                if lost.cut {
                    self.blame_the_oldest(now);
                }
                self.carried.deaf |= lost.choked;
                return Some(self.lost(lost));
            }
        }
        None
    }

    fn lost(&self, lost: Lost) -> Ended {
        let now = self.shared.context.clock.mono();
        Ended::Lost(lost, self.up_since.map(|since| now.saturating_sub(since)))
    }

    /// The client notices a dead broker only while it is not busy writing to it; this watch does not depend on the client.
    fn dead(&self) -> Option<Ended> {
        let why = self.watch.verdict(self.shared.context.clock.mono())?;
        Some(self.lost(Lost::because(why)))
    }

    /// Before anything else is sent: the subscription takes one of the packet identifiers that the window counts.
    fn subscribe(&mut self, now: Duration) -> Option<Ended> {
        let inbox = self.shared.context.inbox.as_ref().filter(|i| !i.filters.is_empty())?;
        if std::mem::take(&mut self.carried.deaf) {
            log::error!(
                "mqtt: a retained message that is too large lies on a topic of {:?}; until the next connection nothing is listened to",
                inbox.filters
            );
            return None;
        }
        if !self.connection.subscribe(&inbox.filters) {
            return Some(self.lost(Lost::because("the client takes no subscription")));
        }
        self.flight.handed(Cargo::Subscription, None);
        self.watch.handed(now);
        None
    }

    /// The broker closed the connection: the message that it was at may be why.
    fn blame_the_oldest(&mut self, now: Duration) {
        let Some((oldest, written)) = self.flight.oldest() else { return };
        if written.is_some_and(|written| now.saturating_sub(written) > blame::AT_ONCE) {
            return;
        }
        self.carried.blame.warned();
        // A connection that never brought an acknowledgement says nothing about a message.
        if !self.has_proved {
            return;
        }
        if let Some(cargo) = self.carried.blame.struck(oldest.clone()) {
            let why = "the broker ends every connection that brings this message";
            self.shared.context.metrics.mqtt.refused_total.inc();
            self.shared.refused(why);
            match cargo {
                Cargo::Standing(key, version) => self.shared.desk.give_up_statement(&key, version),
                Cargo::Companion(lane, number) => {
                    if let Some(companions) = &mut self.carried.companions {
                        companions.give_up(lane, number);
                    }
                }
                cargo => self.settle(&cargo, Some(why)),
            }
        }
    }

    fn written(&self, origin: Option<Origin>, now: Duration) {
        let metrics = &self.shared.context.metrics;
        metrics.mqtt.published_total.inc();
        if let Some(origin) = origin {
            metrics.stages.publish.record(now.saturating_sub(origin.offered));
            let since_capture = now.saturating_sub(origin.captured);
            metrics.camera(&origin.camera).capture_to_publish.record(since_capture);
        }
    }

    fn done(&mut self, packet_id: u16, refused: Option<&str>, now: Duration) {
        let cargo = self.flight.acknowledged(packet_id, now);
        self.has_proved = true;
        self.watch.acknowledged(self.flight.is_over(), now);
        let Some(cargo) = cargo else { return };
        self.carried.blame.cleared(&cargo);
        if self.alone.as_ref() == Some(&cargo) {
            self.alone = None;
        }
        self.settle(&cargo, refused);
    }

    /// A message's matter is closed: the broker has it, or will never take it.
    fn settle(&self, cargo: &Cargo, refused: Option<&str>) {
        match cargo {
            Cargo::Event(lane, number) => {
                let Some(events) = &self.carried.events else { return };
                match refused {
                    None => events.acknowledged(*lane, *number),
                    Some(why) => events.refused(*lane, *number, why),
                }
            }
            Cargo::Record(id) => self.shared.desk.record_done(*id),
            Cargo::Standing(key, version) => self.shared.desk.statement_done(key, *version),
            Cargo::Companion(..) | Cargo::Subscription | Cargo::Fleeting => {}
        }
    }

    /// The outbox and the store's backlog are flushed for seven tenths of the time that a stop may take; what is left is for `offline` and
    /// the disconnect. What the store has left is there at the next start.
    fn stopping(&mut self) -> Option<Ended> {
        let desk = &self.shared.desk;
        let stop = desk.stop()?;
        let now = self.shared.context.clock.mono();
        let past = |tenths: u32| now >= stop.asked + stop.at_most * tenths / 10;
        if self.up_since.is_none() {
            return (past(7) || desk.records_left() == 0).then_some(Ended::Stopped);
        }
        let flushed = self.flight.is_over() && self.next_due().is_none();
        if self.phase == Phase::Serving && (flushed || past(7)) {
            desk.say_presence(Presence::Stopped(self.shared.context.clock.now()));
            self.phase = Phase::Farewell;
        }
        if self.phase == Phase::Farewell && (desk.presence_acknowledged() || past(8)) {
            self.phase = Phase::Goodbye;
            if !self.connection.say_goodbye() {
                return Some(Ended::Stopped);
            }
        }
        past(9).then_some(Ended::Stopped)
    }
}
