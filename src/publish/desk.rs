//! Where the pipeline leaves its reports and the publish thread picks them up. Every call is short: nobody waits here for a network.
//!
//! Three kinds lie here: tracks' steps in the outbox, until acknowledged; states (the device's, each camera's, each model's), of which only the newest
//! counts, said again with every connection; and detections, which a connection takes at once or nobody does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::outbox::{Outbox, RecordId};
use super::pace::Pace;
use super::payload::Presence;
use crate::config;
use crate::telemetry::Metrics;
use crate::types::{CameraStatus, EngineStatus, Report};

/// Detections between their offer and the publish thread's next turn, all cameras together.
const FLEETING: usize = 32;
/// The key of the device's own state: sorts before every camera's, so that the birth goes first.
const DEVICE: &str = "";

/// A report and when it was offered.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) report: Report,
    pub(super) at: Duration,
}

/// A state that the broker retains.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    Device(Presence),
    Camera(CameraStatus),
    Engine(EngineStatus),
}

/// Something that must reach the broker and that this connection has not been given.
#[derive(Debug)]
pub(super) enum Due {
    Statement { key: String, version: u64, statement: Statement },
    Record { id: RecordId, offered: Offered, tried: bool },
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
            Report::Sighting(_) if !state.connected => return mqtt.dropped_qos0_total.inc(),
            Report::Track(_) if state.closed => return mqtt.dropped_outbox_total.inc(),
            Report::Sighting(_) => {
                if state.fleeting.len() >= FLEETING {
                    state.fleeting.pop_front();
                    mqtt.dropped_qos0_total.inc();
                }
                state.fleeting.push_back(Offered { report, at });
            }
            Report::Track(_) => {
                if state.outbox.push(Offered { report, at }).is_some() {
                    mqtt.dropped_outbox_total.inc();
                }
            }
            Report::Camera(status) => state.say(&key_of(&status), Statement::Camera(status)),
            Report::Engine(status) => state.say(&format!("engine/{}", status.stage), Statement::Engine(status)),
        }
        self.count(&state);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until something was offered or a stop was asked for.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// What goes next to this connection: states first, then the outbox in order.
    pub(super) fn next_due(&self, states_only: bool) -> Option<Due> {
        let state = self.lock();
        if let Some((key, standing)) = state.standing.iter().find(|(_, s)| s.said == Said::Not) {
            let statement = standing.statement.clone();
            return Some(Due::Statement { key: key.clone(), version: standing.version, statement });
        }
        if states_only {
            return None;
        }
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
        if let Some(standing) = self.standing.get_mut(key).filter(|s| s.version == version) {
            standing.said = said;
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
mod tests {
    use super::*;
    use crate::publish::samples;
    use crate::types::{CameraState, EngineState, TrackPhase};

    fn desk(capacity: usize) -> Desk {
        let settings = config::Publish { detections_hz: 1000.0, track_updates_hz: 1000.0 };
        let presence = Presence::Online(samples::captured(Duration::ZERO));
        Desk::new(&settings, capacity, presence, Arc::default())
    }

    /// Hands over everything that is due, as a connection would; keys of states, ids of records.
    fn handed(desk: &Desk) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(due) = desk.next_due(false) {
            match due {
                Due::Statement { key, version, .. } => {
                    desk.statement_handed(&key, version);
                    out.push(format!("state {key}"));
                }
                Due::Record { id, .. } => {
                    desk.record_handed(id);
                    out.push(format!("record {id}"));
                }
            }
        }
        out
    }

    fn track(n: u32) -> Report {
        samples::track_of("yard", samples::uid(n), TrackPhase::New, Duration::ZERO)
    }

    #[test]
    fn the_birth_goes_first_then_states_then_records_and_all_again_after_a_loss() {
        let desk = desk(10);
        desk.offer(track(0), Duration::ZERO);
        desk.offer(samples::camera("yard", CameraState::Connecting, Duration::ZERO), Duration::ZERO);
        desk.connected();
        let all = ["state ", "state camera/yard", "record 0"];
        assert_eq!(handed(&desk), all);
        desk.disconnected("gone");
        desk.connected();
        assert_eq!(handed(&desk), all);
    }

    #[test]
    fn only_a_models_newest_state_is_said_and_again_after_a_loss() {
        let desk = desk(10);
        desk.offer(samples::engine(EngineState::Ok, Duration::ZERO), Duration::ZERO);
        desk.offer(samples::engine(EngineState::Degraded, Duration::ZERO), Duration::ZERO);
        desk.connected();
        assert_eq!(handed(&desk), ["state ", "state engine/detect"]);
        desk.disconnected("gone");
        desk.connected();
        assert_eq!(handed(&desk), ["state ", "state engine/detect"]);
    }

    #[test]
    fn only_a_cameras_newest_state_is_said() {
        let desk = desk(10);
        desk.connected();
        desk.offer(samples::camera("yard", CameraState::Connecting, Duration::ZERO), Duration::ZERO);
        let Some(Due::Statement { .. }) = desk.next_due(true) else { panic!("the birth is due") };
        assert_eq!(handed(&desk).len(), 2);
        desk.offer(samples::camera("yard", CameraState::Streaming, Duration::ZERO), Duration::ZERO);
        desk.offer(samples::camera("yard", CameraState::Stalled, Duration::ZERO), Duration::ZERO);
        // The acknowledgement of the version before must not pass for one of this version.
        desk.statement_done("camera/yard", 2);
        let Some(Due::Statement { statement: Statement::Camera(status), .. }) = desk.next_due(true) else {
            panic!("a state is due")
        };
        assert_eq!(status.state, CameraState::Stalled);
    }

    #[test]
    fn detections_are_taken_only_while_connected_and_each_loss_is_counted() {
        let desk = desk(10);
        let dropped = || desk.metrics.mqtt.dropped_qos0_total.get();
        let offer = |n: u64| {
            let at = Duration::from_secs(n);
            desk.offer(samples::sighting("yard", at), at);
        };
        offer(0);
        assert_eq!((dropped(), desk.take_fleeting().is_none()), (1, true));
        desk.connected();
        (1..=FLEETING as u64 + 5).for_each(offer);
        assert_eq!(dropped(), 6);
        desk.disconnected("gone");
        assert_eq!(dropped(), 6 + FLEETING as u64);
        assert!(desk.take_fleeting().is_none(), "nothing stale is left for the next connection");
    }

    #[test]
    fn every_track_step_is_accounted_for() {
        let desk = desk(3);
        for n in 0..10 {
            desk.offer(track(n), Duration::ZERO);
        }
        assert_eq!(desk.records_left(), 3);
        assert_eq!(desk.metrics.mqtt.dropped_outbox_total.get(), 7);
        desk.close();
        desk.offer(track(10), Duration::ZERO);
        assert_eq!(desk.metrics.mqtt.dropped_outbox_total.get(), 8);
    }
}
