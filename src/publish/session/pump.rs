//! What goes out next, and how it is handed to the connection.

use super::{Phase, Session};
use crate::publish::desk::{Content, Due, Offered, Statement};
use crate::publish::flight::{Cargo, Origin};
use crate::publish::payload::{self, Message};
use crate::types::{Lane, Report};

/// What a packet holds beside topic and body: headers and MQTT 5 properties, generously.
const PACKET_OVERHEAD_BYTES: usize = 256;

impl Session<'_> {
    /// Gives the client as much as it may have.
    pub(super) fn pump(&mut self) {
        if self.up_since.is_none() {
            return;
        }
        let is_wary = self.carried.blame.is_wary();
        while self.alone.is_none() && self.flight.has_room() && (!is_wary || self.flight.is_over()) {
            let Some(due) = self.next_due() else { break };
            if !self.hand_due(due) {
                break;
            }
        }
        if self.alone.is_some() || is_wary {
            return;
        }
        while let Some(offered) = self.shared.desk.take_fleeting() {
            if !self.hand_fleeting(offered) {
                self.shared.context.metrics.mqtt.dropped_qos0_total.inc();
            }
        }
    }

    /// What goes next: the device's birth, alerts with what is retained of them, other states, and then events and records in turn.
    pub(super) fn next_due(&mut self) -> Option<Due> {
        let desk = &self.shared.desk;
        let serving = self.phase == Phase::Serving;
        if serving
            && let Some(events) = &mut self.carried.events
            && let Some((alert, retain)) = events.retain_first()
        {
            desk.say_alert(&alert, retain);
        }
        if let Some(urgent) = desk.next_state(true) {
            return Some(urgent);
        }
        if !serving {
            return desk.next_state(false);
        }
        self.next_event(Lane::Alerts).or_else(|| desk.next_state(false)).or_else(|| {
            if self.events_turn {
                self.next_event(Lane::Events).or_else(|| desk.next_record())
            } else {
                desk.next_record().or_else(|| self.next_event(Lane::Events))
            }
        })
    }

    fn next_event(&mut self, lane: Lane) -> Option<Due> {
        let (number, _) = self.carried.events.as_mut()?.next(lane)?;
        Some(Due::Event { lane, number: *number })
    }

    /// False when nothing more can go for now.
    fn hand_due(&mut self, due: Due) -> bool {
        let Some((message, cargo, origin)) = self.loaded(due) else { return true };
        let suspect = self.carried.blame.suspects(&cargo);
        if suspect && !self.flight.is_over() {
            return false;
        }
        if self.is_too_large(&message) {
            let why = format!("the message of {} bytes is larger than it takes", message.body.len());
            self.shared.context.metrics.mqtt.refused_total.inc();
            self.shared.refused("the message is larger than it takes");
            self.handed(&cargo);
            self.settle(&cargo, Some(&why));
            return true;
        }
        if !self.connection.hand(message) {
            return false;
        }
        self.handed(&cargo);
        self.watch.handed(self.shared.context.clock.mono());
        if suspect {
            self.alone = Some(cargo.clone());
        }
        self.flight.handed(cargo, origin);
        true
    }

    fn loaded(&mut self, due: Due) -> Option<(Message, Cargo, Option<Origin>)> {
        Some(match due {
            Due::Statement { key, version, statement } => {
                (self.state_message(statement), Cargo::Standing(key, version), None)
            }
            Due::Record { id, offered, tried } => {
                let origin = if tried { None } else { origin(&offered) };
                (self.message(offered.content), Cargo::Record(id), origin)
            }
            Due::Event { lane, number } => {
                let context = &self.shared.context;
                let (_, stored) = self.carried.events.as_mut()?.next(lane)?;
                let (device, prefix) = (&context.device.name, &context.mqtt.prefix);
                let companions = self.carried.companions.as_mut();
                if let Some(companion) = companions.and_then(|c| c.before(lane, number, stored, device, prefix)) {
                    return Some((companion, Cargo::Companion(lane, number), None));
                }
                let message = payload::render_event(stored, device, prefix);
                (message, Cargo::Event(lane, number), None)
            }
        })
    }

    /// This connection need not be given it again.
    fn handed(&mut self, cargo: &Cargo) {
        match cargo {
            Cargo::Event(lane, _) => {
                if let Some(events) = &mut self.carried.events {
                    events.handed(*lane);
                }
                self.events_turn = *lane == Lane::Alerts;
            }
            Cargo::Companion(lane, number) => {
                if let Some(companions) = &mut self.carried.companions {
                    companions.handed(*lane, *number);
                }
            }
            Cargo::Record(id) => {
                self.shared.desk.record_handed(*id);
                self.events_turn = true;
            }
            Cargo::Standing(key, version) => self.shared.desk.statement_handed(key, *version),
            Cargo::Subscription | Cargo::Fleeting => {}
        }
    }

    /// False when the detections are lost.
    fn hand_fleeting(&mut self, offered: Offered) -> bool {
        if self.phase != Phase::Serving || !self.flight.has_room_for_fleeting() {
            return false;
        }
        let origin = origin(&offered);
        let message = self.message(offered.content);
        if self.is_too_large(&message) || !self.connection.hand(message) {
            return false;
        }
        self.flight.handed(Cargo::Fleeting, origin);
        true
    }

    fn message(&self, content: Content) -> Message {
        match content {
            Content::Report(report) => self.report_message(&report),
            Content::Message(message) => message,
        }
    }

    fn report_message(&self, report: &Report) -> Message {
        let context = &self.shared.context;
        payload::render(report, &context.device.name, &context.mqtt.prefix, context.clock.now())
    }

    fn state_message(&self, statement: Statement) -> Message {
        let context = &self.shared.context;
        let (device, prefix) = (&context.device.name, &context.mqtt.prefix);
        match statement {
            Statement::Device(presence) => payload::render_presence(presence, device, prefix),
            Statement::Camera(status) => self.report_message(&Report::Camera(status)),
            Statement::Engine(status) => self.report_message(&Report::Engine(status)),
            Statement::Alert(stored) => payload::render_alert(&stored, device, prefix),
            Statement::AlertOver(alert) => payload::render_alert_over(&alert, device, prefix),
            Statement::Message(message) => message,
        }
    }

    /// A packet beyond the broker's limit would end the connection, come back as the first one of the next, and end that too.
    fn is_too_large(&self, message: &Message) -> bool {
        message.body.len() + message.topic.len() + PACKET_OVERHEAD_BYTES > self.largest_packet
    }
}

fn origin(offered: &Offered) -> Option<Origin> {
    let (camera, captured) = match &offered.content {
        Content::Report(Report::Sighting(s)) => (&s.camera, s.captured.mono),
        Content::Report(Report::Track(t)) => (&t.camera, t.captured.mono),
        Content::Report(Report::Camera(_) | Report::Engine(_)) | Content::Message(_) => return None,
    };
    Some(Origin { camera: camera.clone(), captured, offered: offered.at })
}
