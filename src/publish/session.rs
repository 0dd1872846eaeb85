//! One connection's life: what lies on the desk goes out, what the broker says comes back, and a stop ends it in order.
//! When the next connection is made belongs to `driver.rs`.

use std::time::Duration;

use super::desk::{Due, Offered, Statement};
use super::driver::Shared;
use super::flight::{Cargo, Flight, Origin};
use super::mqtt::{self, Connection, Happening, Lost};
use super::payload::{self, Message, Presence};
use crate::types::Report;

/// Turns of the loop when nothing happens: four heartbeats in the second that is allowed.
const TURN: Duration = Duration::from_millis(250);
/// Turns during a stop, whose deadlines are fractions of a second.
const STOPPING_TURN: Duration = Duration::from_millis(20);
/// What a packet holds beside topic and body: headers and MQTT 5 properties, generously.
const PACKET_OVERHEAD_BYTES: usize = 256;

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
    connection: Connection,
    flight: Flight,
    up_since: Option<Duration>,
    heard: Duration,
    largest_packet: usize,
    phase: Phase,
}

impl<'a> Session<'a> {
    /// Begins to connect.
    pub(super) fn begin(shared: &'a Shared) -> Self {
        let (mqtt, device) = (&shared.context.mqtt, &shared.context.device.name);
        let will = payload::render_presence(Presence::Vanished, device, &mqtt.prefix);
        Self {
            shared,
            connection: Connection::begin(mqtt, shared.tls.clone(), &will),
            flight: Flight::new(None),
            up_since: None,
            heard: shared.context.clock.mono(),
            largest_packet: usize::MAX,
            phase: Phase::Serving,
        }
    }

    /// Lives until the connection is lost or a stop was carried out.
    pub(super) async fn run(mut self) -> Ended {
        let ended = loop {
            self.shared.context.heart.beat();
            if let Some(ended) = self.stopping().or_else(|| self.silent()) {
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
                () = tokio::time::sleep(turn) => {}
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
                self.largest_packet = largest_packet.map_or(usize::MAX, |l| l as usize);
                self.up_since = Some(now);
                self.heard = now;
                self.shared.connected();
            }
            Happening::Written(packet_id) => match self.flight.written(packet_id) {
                Ok(origin) => self.written(origin, now),
                Err(_) => return Some(self.lost(Lost::because("the client lost count of its messages"))),
            },
            Happening::Acknowledged(packet_id) => {
                self.heard = now;
                counters.acknowledged_total.inc();
                self.done(packet_id);
            }
            Happening::Refused(packet_id, why) => {
                self.heard = now;
                counters.refused_total.inc();
                self.shared.refused(&why);
                self.done(packet_id);
            }
            Happening::SaidGoodbye => return Some(Ended::Stopped),
            Happening::Alive => self.heard = now,
            Happening::Lost(lost) => return Some(self.lost(lost)),
        }
        None
    }

    fn lost(&self, lost: Lost) -> Ended {
        let now = self.shared.context.clock.mono();
        Ended::Lost(lost, self.up_since.map(|since| now.saturating_sub(since)))
    }

    /// The client notices a dead broker only while it is not busy writing to it; this watch does not depend on the client.
    fn silent(&self) -> Option<Ended> {
        self.up_since?;
        let silence = self.shared.context.clock.mono().saturating_sub(self.heard);
        (silence > mqtt::silence_limit(&self.shared.context.mqtt))
            .then(|| self.lost(Lost::because("the broker does not answer")))
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

    fn done(&mut self, packet_id: u16) {
        match self.flight.acknowledged(packet_id) {
            Some(Cargo::Record(id)) => self.shared.desk.record_done(id),
            Some(Cargo::Standing(key, version)) => self.shared.desk.statement_done(&key, version),
            Some(Cargo::Fleeting) | None => {}
        }
    }

    /// Gives the client as much as it may have.
    fn pump(&mut self) {
        if self.up_since.is_none() {
            return;
        }
        while self.flight.has_room() {
            let Some(due) = self.shared.desk.next_due(self.phase != Phase::Serving) else { break };
            if !self.hand_due(due) {
                break;
            }
        }
        while let Some(offered) = self.shared.desk.take_fleeting() {
            if !self.hand_fleeting(offered) {
                self.shared.context.metrics.mqtt.dropped_qos0_total.inc();
            }
        }
    }

    /// False when the client takes nothing more for now.
    fn hand_due(&mut self, due: Due) -> bool {
        let (message, cargo, origin) = match due {
            Due::Statement { key, version, statement } => {
                (self.state_message(statement), Cargo::Standing(key, version), None)
            }
            Due::Record { id, offered, tried } => {
                let origin = if tried { None } else { origin(&offered) };
                (self.message(&offered.report), Cargo::Record(id), origin)
            }
        };
        if self.is_too_large(&message) {
            self.shared.context.metrics.mqtt.refused_total.inc();
            self.shared.refused("the message is larger than it takes");
            match cargo {
                Cargo::Record(id) => self.shared.desk.record_done(id),
                Cargo::Standing(key, version) => self.shared.desk.statement_done(&key, version),
                Cargo::Fleeting => {}
            }
            return true;
        }
        if !self.connection.hand(message) {
            return false;
        }
        match &cargo {
            Cargo::Record(id) => self.shared.desk.record_handed(*id),
            Cargo::Standing(key, version) => self.shared.desk.statement_handed(key, *version),
            Cargo::Fleeting => {}
        }
        self.flight.handed(cargo, origin);
        true
    }

    /// False when the detections are lost.
    fn hand_fleeting(&mut self, offered: Offered) -> bool {
        if self.phase != Phase::Serving || !self.flight.has_room_for_fleeting() {
            return false;
        }
        let message = self.message(&offered.report);
        if self.is_too_large(&message) || !self.connection.hand(message) {
            return false;
        }
        self.flight.handed(Cargo::Fleeting, origin(&offered));
        true
    }

    fn message(&self, report: &Report) -> Message {
        let context = &self.shared.context;
        payload::render(report, &context.device.name, &context.mqtt.prefix, context.clock.now())
    }

    fn state_message(&self, statement: Statement) -> Message {
        let context = &self.shared.context;
        match statement {
            Statement::Device(presence) => {
                payload::render_presence(presence, &context.device.name, &context.mqtt.prefix)
            }
            Statement::Camera(status) => self.message(&Report::Camera(status)),
            Statement::Engine(status) => self.message(&Report::Engine(status)),
        }
    }

    /// A packet beyond the broker's limit would end the connection, come back as the first one of the next, and end that too.
    fn is_too_large(&self, message: &Message) -> bool {
        message.body.len() + message.topic.len() + PACKET_OVERHEAD_BYTES > self.largest_packet
    }

    /// The outbox is flushed for seven tenths of the time that a stop may take; what is left is for `offline` and the disconnect.
    fn stopping(&mut self) -> Option<Ended> {
        let desk = &self.shared.desk;
        let stop = desk.stop()?;
        let now = self.shared.context.clock.mono();
        let past = |tenths: u32| now >= stop.asked + stop.at_most * tenths / 10;
        if self.up_since.is_none() {
            return (past(7) || desk.records_left() == 0).then_some(Ended::Stopped);
        }
        let flushed = self.flight.is_over() && desk.next_due(false).is_none();
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

fn origin(offered: &Offered) -> Option<Origin> {
    let (camera, captured) = match &offered.report {
        Report::Sighting(s) => (&s.camera, s.captured.mono),
        Report::Track(t) => (&t.camera, t.captured.mono),
        Report::Camera(_) | Report::Engine(_) => return None,
    };
    Some(Origin { camera: camera.clone(), captured, offered: offered.at })
}
