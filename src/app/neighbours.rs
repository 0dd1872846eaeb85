//! What is told to whoever looks in from time to time: retained states of places, detection and health, and to Home Assistant what there is.
//!
//! Belongs here: when each of them is said, and taken back. Does not: what stands in them (see `publish::states`, `publish::homeassistant`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::config::{Camera, Changes, CommandName, Config, SnapshotsMqtt};
use crate::monitor::Gauges;
use crate::publish::commands::Answer;
use crate::publish::homeassistant::{self as ha, Site, announce_after};
use crate::publish::payload::{Message, render_state};
use crate::publish::states::{CameraHealth, DetectionState, DeviceHealth, State, States};
use crate::publish::{Incoming, Publisher};
use crate::runtime::{Clock, random};
use crate::telemetry::{Gauge, Metrics};
use crate::types::{CameraId, Event, Measured};

/// See the head of the file; clones share everything.
#[derive(Clone)]
pub(super) struct Neighbours(Arc<Inner>);

struct Inner {
    clock: Clock,
    device: String,
    prefix: String,
    metrics: Arc<Metrics>,
    /// Made after those who hear and tell; until then there is no connection on which anything could be heard.
    publisher: OnceLock<Publisher>,
    now: Mutex<Now>,
    /// Under a lock of its own: sensors take their time, and nobody who tells events may wait for them.
    health: Mutex<Option<Health>>,
}

struct Now {
    cameras: Vec<CameraId>,
    states: States,
    /// None where Home Assistant is not told of us.
    site: Option<Site>,
    /// When it is to be told again.
    announce_at: Option<Duration>,
}

/// When health is told next.
struct Health {
    gauges: Gauges,
    every: Duration,
    due: Duration,
}

impl Neighbours {
    /// Knows what there is, and says nothing yet.
    pub(super) fn new(config: &Config, clock: Clock, metrics: &Arc<Metrics>) -> Self {
        let health = config.homeassistant.enabled.then(|| Health {
            gauges: Gauges::new(Arc::clone(metrics), config.paths.state.clone()),
            every: config.homeassistant.health_every,
            due: Duration::ZERO,
        });
        let now = Now {
            cameras: Vec::new(),
            states: States::default(),
            site: config.homeassistant.enabled.then(|| site(config)),
            announce_at: None,
        };
        Self(Arc::new(Inner {
            clock,
            device: config.device.name.clone(),
            prefix: config.mqtt.prefix.clone(),
            metrics: Arc::clone(metrics),
            publisher: OnceLock::new(),
            now: Mutex::new(now),
            health: Mutex::new(health),
        }))
    }

    /// What is listened to.
    pub(super) fn subscriptions(&self) -> Vec<String> {
        self.now().site.as_ref().map_or_else(Vec::new, |site| site.subscriptions().into())
    }

    /// From now on things are said: first, how everything begins.
    pub(super) fn begin(&self, publisher: Publisher, config: &Config) {
        // Called once; a second publisher would change nothing.
        let _ = self.0.publisher.set(publisher);
        let mut now = self.now();
        for (name, camera) in enabled(config) {
            self.open(&mut now, name, camera, true);
        }
        self.announce(&mut now);
    }

    /// Cameras came, went or changed. `is_off` says whose detection is switched off.
    pub(super) fn reload(&self, config: &Config, changes: &Changes, is_off: &dyn Fn(&str) -> bool) {
        let mut now = self.now();
        for name in &changes.cameras_removed {
            self.close(&mut now, name);
        }
        for name in &changes.cameras_changed {
            self.reopen(&mut now, name, config, !is_off(name));
        }
        for name in &changes.cameras_added {
            if let Some(camera) = config.cameras.get(name) {
                self.open(&mut now, name, camera, !is_off(name));
            }
        }
        let Some(before) = now.site.take() else { return };
        let after = Site { cameras: cameras_of(config), ..before.clone() };
        for message in before.announce() {
            after.retire(&message.topic, &message.body).into_iter().for_each(|deletion| self.send(deletion));
        }
        now.site = Some(after);
        self.announce(&mut now);
    }

    /// An event passes on its way to the store: it may change how things are. Never waits.
    pub(super) fn see(&self, event: &Event) {
        let mut now = self.now();
        if let Some(state) = now.states.take(event) {
            self.say(&state);
        }
    }

    /// A camera's detection was switched.
    pub(super) fn detection(&self, camera: &str, on: bool) {
        let state = DetectionState { camera: camera.into(), enabled: on, since: self.0.clock.now() };
        self.say(&State::Detection(state));
    }

    /// Somebody's order came to this.
    pub(super) fn answer(&self, answer: &Answer) {
        self.send(answer.message(&self.0.prefix, &self.0.device, self.0.clock.now()));
    }

    /// The cameras that an order may name.
    pub(super) fn cameras(&self) -> Vec<CameraId> {
        self.now().cameras.clone()
    }

    /// Home Assistant says something, or the broker gives back what we told it; false where it is neither. Never waits.
    pub(super) fn hear(&self, message: &Incoming) -> bool {
        let mut now = self.now();
        let Some(site) = &now.site else { return false };
        if site.is_birth(&message.topic, &message.body, message.retained) {
            let pause = announce_after((random::share() * 1e9) as u64);
            now.announce_at = Some(self.0.clock.mono() + pause);
            return true;
        }
        if let Some(deletion) = site.retire(&message.topic, &message.body) {
            self.send(deletion);
            return true;
        }
        false
    }

    /// Says what has come due; about once a second.
    pub(super) fn look(&self) {
        let mut now = self.now();
        let mono = self.0.clock.mono();
        if now.announce_at.is_some_and(|at| at <= mono) {
            now.announce_at = None;
            self.announce(&mut now);
        }
        let cameras = now.cameras.clone();
        drop(now);
        let mut health = self.0.health.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(health) = health.as_mut().filter(|health| health.due <= mono) else { return };
        let names: Vec<&str> = cameras.iter().map(|camera| &**camera).collect();
        let Some(measured) = health.gauges.look(&names, None, mono) else { return };
        health.due = mono + health.every;
        self.healths(measured).iter().for_each(|state| self.say(state));
    }

    fn healths(&self, measured: Measured) -> Vec<State> {
        let (at, budget) = (self.0.clock.now(), &self.0.metrics.budget);
        let number = |gauge: &Gauge| gauge.get().try_into().unwrap_or_default();
        let device = DeviceHealth {
            warmest: measured.hottest.map(|h| (h.sensor, (h.celsius * 1000.0).round() as i64)),
            events_waiting: self.0.metrics.store.waiting.get().try_into().unwrap_or_default(),
            budget: (number(&budget.level), number(&budget.levels)),
            uptime_secs: at.mono.as_secs(),
            at,
        };
        let of_camera = |c: crate::types::CameraMeasured| {
            let (delivered_fps, analysed_fps) = (c.delivered_fps?, c.analysed_fps?);
            let health = CameraHealth { camera: c.camera, delivered_fps, analysed_fps, latency_p99_ms: c.p99_ms, at };
            Some(State::Camera(health))
        };
        let cameras = measured.cameras.into_iter().filter_map(of_camera);
        cameras.chain([State::Device(device)]).collect()
    }

    fn open(&self, now: &mut Now, name: &str, camera: &Camera, on: bool) {
        let id = CameraId::from(name);
        let (zones, lines) = places(camera);
        now.states.open(&id, &zones, &lines, self.0.clock.now());
        now.cameras.retain(|known| **known != *name);
        now.cameras.push(id);
        let of_it = |state: &State| {
            matches!(state, State::Zone(z) if &*z.camera == name)
                || matches!(state, State::Line(l) if &*l.camera == name)
        };
        now.states.all().filter(of_it).for_each(|state| self.say(&state));
        self.detection(name, on);
    }

    /// Its zones and lines may be others now; what it has no more goes.
    fn reopen(&self, now: &mut Now, name: &str, config: &Config, on: bool) {
        let before = now.states.close(name);
        if let Some(camera) = config.cameras.get(name) {
            self.open(now, name, camera, on);
        }
        let stands: BTreeSet<String> = now.states.all().map(|state| state.key()).collect();
        before.iter().filter(|state| !stands.contains(&state.key())).for_each(|state| self.take_back(state));
    }

    fn close(&self, now: &mut Now, name: &str) {
        now.cameras.retain(|camera| **camera != *name);
        let (camera, at) = (CameraId::from(name), self.0.clock.now());
        let detection = DetectionState { camera: CameraId::clone(&camera), enabled: false, since: at };
        let health = CameraHealth { camera, delivered_fps: 0.0, analysed_fps: 0.0, latency_p99_ms: None, at };
        let own = [State::Detection(detection), State::Camera(health)];
        now.states.close(name).iter().chain(&own).for_each(|state| self.take_back(state));
    }

    fn announce(&self, now: &mut Now) {
        now.site.iter().flat_map(Site::announce).for_each(|message| self.send(message));
    }

    fn say(&self, state: &State) {
        self.send(render_state(state, &self.0.device, &self.0.prefix));
    }

    /// The broker forgets it.
    fn take_back(&self, state: &State) {
        self.send(Message { body: Vec::new(), ..render_state(state, &self.0.device, &self.0.prefix) });
    }

    fn send(&self, message: Message) {
        if let Some(publisher) = self.0.publisher.get() {
            publisher.send(message);
        }
    }

    // No call under the lock panics half-way, so a poisoned lock is as good as a sound one.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enabled(config: &Config) -> impl Iterator<Item = (&String, &Camera)> {
    config.cameras.iter().filter(|(_, camera)| camera.enabled)
}

/// Zones whose occupancy is told, and lines with the names of their directions.
fn places(camera: &Camera) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let zones = camera.zones.iter().filter(|(_, zone)| zone.occupancy).map(|(name, _)| name.clone());
    let lines = camera.lines.iter().map(|(name, line)| (name.clone(), line.directions.to_vec()));
    (zones.collect(), lines.collect())
}

fn site(config: &Config) -> Site {
    let orders = |name| config.commands.enabled && config.commands.allow.contains(&name);
    let classifiers = config.classify.keys().map(|name| format!("classify.{name}"));
    Site {
        prefix: config.mqtt.prefix.clone(),
        discovery_prefix: config.homeassistant.discovery_prefix.clone(),
        device: config.device.name.clone(),
        stages: std::iter::once("detect".to_owned()).chain(classifiers).collect(),
        alerts: config.alerts.keys().cloned().collect(),
        cameras: cameras_of(config),
        orders: ha::Orders {
            detection: orders(CommandName::Detection),
            snapshot: orders(CommandName::Snapshot),
            reload: orders(CommandName::Reload),
        },
    }
}

fn cameras_of(config: &Config) -> Vec<ha::Camera> {
    let snapshots = config.snapshots.enabled && config.snapshots.mqtt != SnapshotsMqtt::Off;
    let camera = |(name, camera): (&String, &Camera)| {
        let (zones, lines) = places(camera);
        ha::Camera { name: name.clone(), zones, lines, snapshots }
    };
    enabled(config).map(camera).collect()
}
