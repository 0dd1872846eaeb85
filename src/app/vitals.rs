//! The thread that reads the board's sensors, and tells what they say: to the metrics, from which alerts and health have it, and to the
//! broker. Belongs here: when they are read and told. Does not: how (see `monitor`), in which form (see `publish::payload`).
//!
//! It has no heartbeat: a sensor that hangs on its bus is no reason to restart what watches cameras. Its readings grow old instead, and
//! nobody believes them any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{AppError, governing};
use crate::config::{Budget, Config};
use crate::monitor::Sensors;
use crate::publish::Publisher;
use crate::publish::payload::render_telemetry;
use crate::runtime::{Clock, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{Captured, Readings};

/// How soon after a connection is made the newest readings are told, and how often there is a glance at what comes and goes: the kernel of a
/// Raspberry Pi forgets a drop of voltage after two seconds.
const GLANCE: Duration = Duration::from_secs(1);
/// After so many intervals without new ones, and a while, readings are old.
const INTERVALS: u32 = 3;
const WHILE: Duration = Duration::from_secs(10);

/// The running thread.
pub(super) struct Vitals {
    worker: Worker,
    pace_ms: Arc<AtomicU64>,
    every: Duration,
}

/// What the thread works with.
struct Nurse {
    sensors: Sensors,
    /// How often readings are told.
    every: Duration,
    /// How often sensors are read: who keeps a budget wants to know more often than who hears of it.
    pace_ms: Arc<AtomicU64>,
    tell_due: Duration,
    device: String,
    prefix: String,
    clock: Clock,
    metrics: Arc<Metrics>,
    publisher: Publisher,
}

impl Vitals {
    /// Begins to read, at once and then at the interval of the configuration, until the stop.
    pub(super) fn start(
        config: &Config,
        clock: Clock,
        metrics: &Arc<Metrics>,
        publisher: Publisher,
        stop: Stop,
    ) -> Result<Self, AppError> {
        let every = config.monitor.every;
        let pace_ms = Arc::new(AtomicU64::new(pace_ms(every, &config.budget)));
        let mut nurse = Nurse {
            sensors: Sensors::new(&config.monitor.sysfs_root, config.paths.state.clone())
                .ignoring(&config.monitor.ignore_sensors),
            every,
            pace_ms: Arc::clone(&pace_ms),
            tell_due: clock.mono(),
            device: config.device.name.clone(),
            prefix: config.mqtt.prefix.clone(),
            clock,
            metrics: Arc::clone(metrics),
            publisher,
        };
        let worker = Worker::spawn("monitor", move || nurse.run(&stop));
        let worker = worker.map_err(|e| AppError::Start(e.into()))?;
        Ok(Self { worker, pace_ms, every })
    }

    /// Another budget is to be kept from the next look on.
    pub(super) fn reload(&self, budget: &Budget) {
        self.pace_ms.store(pace_ms(self.every, budget), Ordering::Relaxed);
    }

    /// Whether the thread has ended, which it does not do by itself.
    pub(super) fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Waits for the end after the stop; a read that hangs is left alone.
    pub(super) fn join(self, clock: &Clock, at_most: Duration) -> bool {
        self.worker.join_within(clock, at_most)
    }
}

fn pace_ms(every: Duration, budget: &Budget) -> u64 {
    let pace = governing::look_every(budget).map_or(every, |pace| pace.min(every));
    u64::try_from(pace.as_millis()).unwrap_or(u64::MAX)
}

impl Nurse {
    fn run(&mut self, stop: &Stop) {
        let (mut due, mut told) = (self.clock.mono(), true);
        loop {
            let at = self.clock.now();
            let pace = Duration::from_millis(self.pace_ms.load(Ordering::Relaxed));
            let readings = Arc::new(self.sensors.look(at.mono));
            for note in self.sensors.notes() {
                log::info!(stage = "monitor"; "{note}");
            }
            self.metrics.set_readings(Arc::clone(&readings), at.mono + pace * INTERVALS + WHILE);
            if at.mono >= self.tell_due {
                told = false;
                self.tell_due = (self.tell_due + self.every).max(at.mono);
            }
            // A read that took longer than the interval is not made up for.
            due = (due + pace).max(self.clock.mono());
            if !self.tell_until(due, &readings, at, &mut told, stop) {
                return;
            }
        }
    }

    /// Tells the readings as soon as there is somebody to hear them; what is told nobody is not missed, so it is not counted as dropped.
    /// False when the stop came.
    fn tell_until(&mut self, due: Duration, readings: &Readings, at: Captured, told: &mut bool, stop: &Stop) -> bool {
        loop {
            if !*told && self.metrics.mqtt.connected.get() == 1 {
                self.publisher.send(render_telemetry(readings, at, &self.device, &self.prefix));
                *told = true;
            }
            let left = due.saturating_sub(self.clock.mono());
            if left.is_zero() {
                return !stop.is_set();
            }
            if stop.wait(left.min(GLANCE)) {
                return false;
            }
            self.sensors.glance();
        }
    }
}
