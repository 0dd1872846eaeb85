//! Where the pipeline leaves its reports and the publish thread picks them up. Every call is short: nobody waits here for a network.
//!
//! Three kinds lie here: tracks' steps in the outbox, until acknowledged; states (the device's, each camera's, each model's, open alerts), of
//! which only the newest counts, said again with every connection; and detections, which a connection takes at once or nobody does. Events
//! do not: they lie in the store, see `events.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::alerts::Retain;
use super::outbox::{Outbox, RecordId};
use super::pace::Pace;
use super::payload::{Message, Presence, Qos};
use crate::config;
use crate::telemetry::Metrics;
use crate::types::{CameraStatus, EngineStatus, Lane, Report, Stored};

/// Detections between their offer and the publish thread's next turn, all cameras together.
const FLEETING: usize = 32;
/// The key of the device's own state: sorts before every camera's, so that the birth goes first.
const DEVICE: &str = "";

/// Alerts' keys begin so, which sorts them before cameras and models.
const ALERT: &str = "alert/";

/// A report, or a message that is written already.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Report(Report),
    Message(Message),
}

/// Something for the broker and when it was offered.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) content: Content,
    pub(super) at: Duration,
}

/// A state that the broker retains.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    Device(Presence),
    Camera(CameraStatus),
    Engine(EngineStatus),
    Alert(Box<Stored>),
    /// This alert is not open any more: the broker forgets it, and then so do we.
    AlertOver(String),
    /// Written elsewhere; with an empty body, it is forgotten once the broker has forgotten it.
    Message(Message),
}

impl Statement {
    fn takes_back(&self) -> bool {
        match self {
            Self::AlertOver(_) => true,
            Self::Message(message) => message.body.is_empty(),
            _ => false,
        }
    }
}

/// Something that must reach the broker and that this connection has not been given.
#[derive(Debug)]
pub(super) enum Due {
    Statement { key: String, version: u64, statement: Statement },
    Record { id: RecordId, offered: Offered, tried: bool },
    Event { lane: Lane, number: u64 },
}

/// When and how fast to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopBy {
    pub(super) asked: Duration,
    pub(super) at_most: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Not,
    Handed,
    Acknowledged,
}

#[derive(Debug)]
struct Standing {
    statement: Statement,
    version: u64,
    said: Said,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    outbox: Outbox<Offered>,
    standing: BTreeMap<String, Standing>,
    fleeting: VecDeque<Offered>,
    versions: u64,
    connected: bool,
    closed: bool,
    trouble: Option<String>,
    stop: Option<StopBy>,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    wake: Notify,
}

impl Desk {
    pub(super) fn new(
        settings: &config::Publish,
        outbox_capacity: usize,
        presence: Presence,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut state = State {
            pace: Pace::new(settings),
            outbox: Outbox::new(outbox_capacity),
            standing: BTreeMap::new(),
            fleeting: VecDeque::new(),
            versions: 0,
            connected: false,
            closed: false,
            trouble: Some("not connected yet".to_owned()),
            stop: None,
        };
        state.say(DEVICE, Statement::Device(presence));
        Self { state: Mutex::new(state), metrics, wake: Notify::new() }
    }

    /// Takes a report, or counts why not.
    pub(super) fn offer(&self, report: Report, at: Duration) {
        let mqtt = &self.metrics.mqtt;
        let mut state = self.lock();
        if !state.pace.allows(&report) {
            return mqtt.held_back_total.inc();
        }
        match report {
            Report::Sighting(_) => state.pass_on(Offered { content: Content::Report(report), at }, &self.metrics),
            Report::Track(_) => state.keep(Offered { content: Content::Report(report), at }, &self.metrics),
            Report::Camera(status) => state.say(&key_of(&status), Statement::Camera(status)),
            Report::Engine(status) => state.say(&format!("engine/{}", status.stage), Statement::Engine(status)),
        }
        self.count(&state);
        drop(state);
        self.wake.notify_one();
    }

    /// Takes a message that is written already: retained, it is a state of its topic; else it is kept or passed on as its QoS asks.
    pub(super) fn send(&self, message: Message, at: Duration) {
        let mut state = self.lock();
        if message.retain {
            state.say(&format!("other/{}", message.topic), Statement::Message(message));
        } else if message.qos == Qos::AtMostOnce {
            state.pass_on(Offered { content: Content::Message(message), at }, &self.metrics);
        } else {
            state.keep(Offered { content: Content::Message(message), at }, &self.metrics);
        }
        self.count(&state);
        drop(state);
        self.wake.notify_one();
    }

    /// Something that does not lie here can go.
    pub(super) fn ring(&self) {
        self.wake.notify_one();
    }

    /// Waits until something was offered or a stop was asked for.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The state that goes next to this connection: the device's, alerts', others'; `urgent`: of the first two only.
    pub(super) fn next_state(&self, urgent: bool) -> Option<Due> {
        let state = self.lock();
        let mut unsaid = state.standing.iter().filter(|(_, s)| s.said == Said::Not);
        let (key, standing) = unsaid.find(|(key, _)| !urgent || *key == DEVICE || key.starts_with(ALERT))?;
        let statement = standing.statement.clone();
        Some(Due::Statement { key: key.clone(), version: standing.version, statement })
    }

    /// The record of the outbox that goes next to this connection.
    pub(super) fn next_record(&self) -> Option<Due> {
        let state = self.lock();
        state.outbox.next().map(|(id, offered, tried)| Due::Record { id, offered: offered.clone(), tried })
    }

    /// The oldest detections that wait for this turn.
    pub(super) fn take_fleeting(&self) -> Option<Offered> {
        self.lock().fleeting.pop_front()
    }

    /// The connection took a record.
    pub(super) fn record_handed(&self, id: RecordId) {
        self.lock().outbox.handed(id);
    }

    /// The broker has a record, or refuses it for good.
    pub(super) fn record_done(&self, id: RecordId) {
        let mut state = self.lock();
        state.outbox.acknowledged(id);
        self.count(&state);
    }

    /// The connection took this version of a state.
    pub(super) fn statement_handed(&self, key: &str, version: u64) {
        self.lock().mark(key, version, Said::Handed);
    }

    /// The broker has this version of a state, or refuses it for good.
    pub(super) fn statement_done(&self, key: &str, version: u64) {
        let mut state = self.lock();
        state.mark(key, version, Said::Acknowledged);
        self.count(&state);
    }

    /// This version of a state ends every connection: it is not said again. The device's own state is no such.
    pub(super) fn give_up_statement(&self, key: &str, version: u64) {
        let mut state = self.lock();
        if key != DEVICE && state.standing.get(key).is_some_and(|s| s.version == version) {
            state.standing.remove(key);
        }
        self.count(&state);
    }

    /// What the broker retains of an alert is another thing now.
    pub(super) fn say_alert(&self, name: &str, retain: Retain) {
        let statement = match retain {
            Retain::Raised(stored) => Statement::Alert(stored),
            Retain::Over => Statement::AlertOver(name.to_owned()),
        };
        self.lock().say(&format!("{ALERT}{name}"), statement);
    }

    /// The device's state is another one now.
    pub(super) fn say_presence(&self, presence: Presence) {
        self.lock().say(DEVICE, Statement::Device(presence));
    }

    /// Whether the broker has the device's newest state.
    pub(super) fn presence_acknowledged(&self) -> bool {
        self.lock().standing.get(DEVICE).is_some_and(|s| s.said == Said::Acknowledged)
    }

    /// A connection is up: everything that it must carry is offered to it.
    pub(super) fn connected(&self) {
        let mut state = self.lock();
        state.connected = true;
        state.trouble = None;
        state.forget_connection();
    }

    /// The connection is gone: detections are dropped, the rest waits for the next one.
    pub(super) fn disconnected(&self, trouble: &str) {
        let mut state = self.lock();
        state.connected = false;
        state.trouble = Some(trouble.to_owned());
        self.metrics.mqtt.dropped_qos0_total.add(state.fleeting.len() as u64);
        state.fleeting.clear();
        state.forget_connection();
        self.count(&state);
    }

    /// Why the broker is not reached, in words; None while it is.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Asks the publish thread to stop.
    pub(super) fn ask_to_stop(&self, stop: StopBy) {
        self.lock().stop = Some(stop);
        self.wake.notify_one();
    }

    /// Whether and how a stop was asked for.
    pub(super) fn stop(&self) -> Option<StopBy> {
        self.lock().stop
    }

    /// Nobody comes any more: later offers are dropped and counted.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Records that have not been acknowledged.
    pub(super) fn records_left(&self) -> usize {
        self.lock().outbox.len()
    }

    fn count(&self, state: &State) {
        let unsaid = state.standing.values().filter(|s| s.said != Said::Acknowledged).count();
        let waiting = state.outbox.len() + state.fleeting.len() + unsaid;
        self.metrics.mqtt.queued.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    // No call below panics half-way, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn say(&mut self, key: &str, statement: Statement) {
        self.versions += 1;
        let standing = Standing { statement, version: self.versions, said: Said::Not };
        self.standing.insert(key.to_owned(), standing);
    }

    fn mark(&mut self, key: &str, version: u64, said: Said) {
        let Some(standing) = self.standing.get_mut(key).filter(|s| s.version == version) else { return };
        standing.said = said;
        if said == Said::Acknowledged && standing.statement.takes_back() {
            self.standing.remove(key);
        }
    }

    fn pass_on(&mut self, offered: Offered, metrics: &Metrics) {
        if !self.connected {
            return metrics.mqtt.dropped_qos0_total.inc();
        }
        if self.fleeting.len() >= FLEETING {
            self.fleeting.pop_front();
            metrics.mqtt.dropped_qos0_total.inc();
        }
        self.fleeting.push_back(offered);
    }

    fn keep(&mut self, offered: Offered, metrics: &Metrics) {
        if self.closed || self.outbox.push(offered).is_some() {
            metrics.mqtt.dropped_outbox_total.inc();
        }
    }

    fn forget_connection(&mut self) {
        self.outbox.connection_lost();
        for standing in self.standing.values_mut() {
            standing.said = Said::Not;
        }
    }
}

fn key_of(status: &CameraStatus) -> String {
    format!("camera/{}", status.camera)
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
