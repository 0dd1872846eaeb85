//! Pictures in the daemon: the worker that makes them, what the configuration asks of it, and the way of finished pictures to the broker.
//! Belongs here: how these parts are joined, begun and ended. Does not: what a picture shows (see `pictures`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::AppError;
use super::retained::{Kept, Retained};
use crate::config::{Alert, Camera, Config, SnapshotsMqtt};
use crate::pictures::{self, Kind, Maker, Picture, Studio, Tell, Wishes};
use crate::pixels::Cover;
use crate::publish::{Publisher, payload};
use crate::runtime::{Clock, Hearts};
use crate::telemetry::Metrics;
use crate::types::Event;

/// The worker does not beat while a disk takes its time.
const SILENCE: Duration = Duration::from_secs(60);

type Covers = Arc<Mutex<HashMap<String, Cover>>>;

/// What is held while the daemon runs; nothing of it where `[snapshots]` is switched off.
pub(super) struct Pictures {
    running: Option<(Studio, Maker)>,
    /// What each camera's pictures hide. Held while one is handed to the publisher, so that none with other masks comes after its camera's
    /// was taken back.
    covers: Covers,
    /// What the broker may still have from an earlier life.
    kept: Kept,
    /// Set once there is one: pictures begin before the broker's connection does, since events need them.
    publisher: Arc<OnceLock<Publisher>>,
    clock: Clock,
}

impl Pictures {
    /// Starts the worker, and tells it what the configuration asks for.
    pub(super) fn start(
        config: &Config,
        clock: Clock,
        metrics: &Arc<Metrics>,
        hearts: &Hearts,
    ) -> Result<Self, AppError> {
        let publisher: Arc<OnceLock<Publisher>> = Arc::default();
        let covers = Covers::default();
        let kept = Kept::new(&config.paths.state.join("snapshots"));
        let mut this =
            Self { running: None, covers: Arc::clone(&covers), kept, publisher: Arc::clone(&publisher), clock };
        if config.snapshots.enabled {
            let running = pictures::start(pictures::Context {
                settings: config.snapshots.clone(),
                folder: config.paths.state.join("snapshots"),
                clock,
                metrics: Arc::clone(metrics),
                heart: hearts.add("pictures", SILENCE),
                tell: tell(config, publisher, covers),
            })
            .map_err(|e| AppError::Start(e.into()))?;
            this.running = Some(running);
            this.arrange(config);
        }
        Ok(this)
    }

    /// From now on finished pictures go to the broker, if they are to. Those that an earlier life left there with other masks are taken back
    /// first: the configuration may have changed between two lives.
    pub(super) fn publish_by(&self, publisher: &Publisher, config: &Config) {
        for old in self.kept.replace(&self.retained(config)) {
            publisher.send(payload::render_picture(&old.camera, Vec::new(), true, &old.device, &old.prefix));
        }
        // Nobody else sets it.
        let _ = self.publisher.set(publisher.clone());
    }

    /// For whoever sees frames, and what happens in them.
    pub(super) fn studio(&self) -> Option<Studio> {
        self.running.as_ref().map(|(studio, _)| studio.clone())
    }

    /// Takes what the configuration asks for now. Before a camera is opened that is not as it was: its masks come first.
    pub(super) fn arrange(&mut self, config: &Config) {
        let Some((studio, _)) = &self.running else { return };
        let covers = covers(&config.cameras);
        studio.arrange(covers.clone(), wishes(&config.cameras, &config.alerts));
        let mut current = lock(&self.covers);
        let before = std::mem::replace(&mut *current, covers);
        let Some(publisher) = self.publisher.get().filter(|_| config.snapshots.mqtt == SnapshotsMqtt::Retained) else {
            return;
        };
        // What is masked now may be seen in the picture that the broker has; a camera that is gone has none.
        for camera in before.iter().filter(|(name, cover)| current.get(*name) != Some(cover)).map(|(name, _)| name) {
            publisher.send(payload::render_picture(camera, Vec::new(), true, &config.device.name, &config.mqtt.prefix));
        }
        drop(current);
        self.kept.replace(&self.retained(config));
    }

    /// Whose pictures the broker keeps from now on.
    fn retained(&self, config: &Config) -> Vec<Retained> {
        if self.running.is_none() || config.snapshots.mqtt != SnapshotsMqtt::Retained {
            return Vec::new();
        }
        let of = |(camera, cover): (&String, &Cover)| Retained {
            camera: camera.clone(),
            device: config.device.name.clone(),
            prefix: config.mqtt.prefix.clone(),
            masks: format!("{cover:?}"),
        };
        lock(&self.covers).iter().map(of).collect()
    }

    /// Whether the worker has ended, which it does not do by itself.
    pub(super) fn is_finished(&self) -> bool {
        self.running.as_ref().is_some_and(|(_, maker)| maker.is_finished())
    }

    /// Makes what was ordered. False when that took longer.
    pub(super) fn stop(self, at_most: Duration) -> bool {
        self.running.is_none_or(|(_, maker)| maker.stop(&self.clock, at_most))
    }
}

/// An alert without a picture of the event that raised it gets one here, if it asks for one: the best view of the event's track, which
/// was kept for it, else the camera's next frame.
pub(super) fn show_alert(studio: Option<&Studio>, event: &mut Event) {
    if let Some(studio) = studio.filter(|_| event.is_alert()) {
        studio.attach_later(event);
    }
}

fn lock(covers: &Covers) -> MutexGuard<'_, HashMap<String, Cover>> {
    covers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(config: &Config, publisher: Arc<OnceLock<Publisher>>, covers: Covers) -> Tell {
    let retain = match config.snapshots.mqtt {
        SnapshotsMqtt::Off => return Box::new(|_| {}),
        SnapshotsMqtt::Live => false,
        SnapshotsMqtt::Retained => true,
    };
    let (device, prefix) = (config.device.name.clone(), config.mqtt.prefix.clone());
    Box::new(move |Picture { camera, kind, cover, jpeg, .. }| {
        let covers = lock(&covers);
        let is_current = kind == Kind::Full && covers.get(&*camera) == Some(&cover);
        if let Some(publisher) = publisher.get().filter(|_| is_current) {
            publisher.send(payload::render_picture(&camera, jpeg, retain, &device, &prefix));
        }
    })
}

/// The masks of every camera; one without masks is to be in it too.
fn covers(cameras: &BTreeMap<String, Camera>) -> HashMap<String, Cover> {
    let cover = |camera: &Camera| Cover::new(camera.masks.values().map(|mask| mask.points.clone()));
    cameras.iter().map(|(name, camera)| (name.clone(), cover(camera))).collect()
}

fn wishes(cameras: &BTreeMap<String, Camera>, alerts: &BTreeMap<String, Alert>) -> Wishes {
    let mut wishes = Wishes::default();
    for (name, camera) in cameras {
        camera.zones.iter().filter(|(_, zone)| zone.snapshot).for_each(|(zone, _)| wishes.zone(name, zone));
        camera.lines.iter().filter(|(_, line)| line.snapshot).for_each(|(line, _)| wishes.line(name, line));
    }
    alerts.iter().filter(|(_, alert)| alert.snapshot).for_each(|(alert, _)| wishes.alert(alert));
    wishes
}
