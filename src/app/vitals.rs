//! The thread that reads the board's sensors, and tells what they say: to the metrics, from which alerts and health have it, and to the
//! broker. Belongs here: when they are read and told. Does not: how (see `monitor`), in which form (see `publish::payload`).
//!
//! It has no heartbeat: a sensor that hangs on its bus is no reason to restart what watches cameras. Its readings grow old instead, and
//! nobody believes them any more.

use std::sync::Arc;
use std::time::Duration;

use super::AppError;
use crate::config::Config;
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
pub(super) struct Vitals(Worker);

/// What the thread works with.
struct Nurse {
    sensors: Sensors,
    every: Duration,
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
        let mut nurse = Nurse {
            sensors: Sensors::new(&config.monitor.sysfs_root, config.paths.state.clone()),
            every: config.monitor.every,
            device: config.device.name.clone(),
            prefix: config.mqtt.prefix.clone(),
            clock,
            metrics: Arc::clone(metrics),
            publisher,
        };
        let worker = Worker::spawn("monitor", move || nurse.run(&stop));
        worker.map(Self).map_err(|e| AppError::Start(e.into()))
    }

    /// Whether the thread has ended, which it does not do by itself.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the end after the stop; a read that hangs is left alone.
    pub(super) fn join(self, clock: &Clock, at_most: Duration) -> bool {
        self.0.join_within(clock, at_most)
    }
}

impl Nurse {
    fn run(&mut self, stop: &Stop) {
        let mut due = self.clock.mono();
        loop {
            let at = self.clock.now();
            let readings = Arc::new(self.sensors.look(at.mono));
            for note in self.sensors.notes() {
                log::info!(stage = "monitor"; "{note}");
            }
            self.metrics.set_readings(Arc::clone(&readings), at.mono + self.every * INTERVALS + WHILE);
            // A read that took longer than the interval is not made up for.
            due = (due + self.every).max(self.clock.mono());
            if !self.tell_until(due, &readings, at, stop) {
                return;
            }
        }
    }

    /// Tells the readings as soon as there is somebody to hear them; what is told nobody is not missed, so it is not counted as dropped.
    /// False when the stop came.
    fn tell_until(&mut self, due: Duration, readings: &Readings, at: Captured, stop: &Stop) -> bool {
        let mut told = false;
        loop {
            if !told && self.metrics.mqtt.connected.get() == 1 {
                self.publisher.send(render_telemetry(readings, at, &self.device, &self.prefix));
                told = true;
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
