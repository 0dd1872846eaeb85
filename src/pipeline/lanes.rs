//! The cameras that are running: each has a lane from its source to the engine. Lanes come and go while the others run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::{Camera, Ingest};
use crate::ingest;
use crate::ring::{Bell, FrameRing, WhenFull};
use crate::runtime::{Clock, Hearts, Stop, Worker};
use crate::telemetry::{CameraMetrics, Metrics};
use crate::types::{CameraId, CameraState, CameraStatus, SurfaceGate};

/// How long cameras may take to let go of their sources, all together, before their lanes are left to end alone. A pipeline's own
/// teardown has a shorter deadline.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);
/// Ingest beats at least once a second; opening a device may block in the kernel for a while.
const INGEST_SILENCE: Duration = Duration::from_secs(30);

/// What a lane is built from.
#[derive(Clone)]
pub struct LaneParts {
    /// How cameras are watched.
    pub ingest: Ingest,
    /// The clock.
    pub clock: Clock,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// Pulses.
    pub hearts: Hearts,
    /// Whether frames may stay in memory of the video hardware.
    pub surfaces: Arc<SurfaceGate>,
    /// Bounds how many cameras are opened at once.
    pub places: Arc<ingest::Places>,
    /// Where changes of state go.
    pub status: Arc<dyn Fn(CameraStatus) + Send + Sync>,
}

/// One camera on its way to the engine.
#[derive(Debug)]
pub struct Lane {
    /// Tells this lane from an earlier one of the same camera.
    pub number: u64,
    /// The camera.
    pub camera: CameraId,
    /// What its configuration asks for.
    pub settings: Camera,
    /// Its frames.
    pub ring: FrameRing,
    /// Its numbers.
    pub metrics: Arc<CameraMetrics>,
    stop: Stop,
    worker: Mutex<Option<Worker>>,
    /// Set when the lane was left to end alone: what it still says is about a camera that is no longer its own.
    is_abandoned: AtomicBool,
}

/// All lanes.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    bell: Bell,
    all: Arc<Mutex<Vec<Arc<Lane>>>>,
    numbers: Arc<AtomicU64>,
    /// Cameras whose frames are not analysed, whether they have a lane or not.
    off: Arc<Mutex<BTreeSet<String>>>,
}

impl Lanes {
    /// The bell that every ring of these lanes rings.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The lanes as they are now.
    pub fn now(&self) -> Vec<Arc<Lane>> {
        self.lock().clone()
    }

    /// Opens a camera.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn open(&self, name: &str, camera: &Camera, parts: &LaneParts, stop: &Stop) -> std::io::Result<()> {
        let metrics = parts.metrics.camera(name);
        let lane = Arc::new(Lane {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            camera: name.into(),
            settings: camera.clone(),
            ring: FrameRing::new(
                parts.ingest.ring_capacity,
                WhenFull::DisplaceOldest,
                self.bell.clone(),
                Arc::clone(&metrics),
            ),
            metrics,
            stop: stop.child(),
            worker: Mutex::new(None),
            is_abandoned: AtomicBool::new(false),
        });
        if self.is_off(name) {
            lane.ring.switch(false);
        }
        let sink = {
            let lane = Arc::clone(&lane);
            Arc::new(move |frame| lane.ring.push(frame))
        };
        let context = ingest::Context {
            camera: Arc::clone(&lane.camera),
            settings: camera.clone(),
            ingest: parts.ingest.clone(),
            pace: ingest::Pace::Live,
            clock: parts.clock,
            metrics: Arc::clone(&parts.metrics),
            heart: parts.hearts.add(&format!("ingest-{name}"), INGEST_SILENCE),
            surfaces: Arc::clone(&parts.surfaces),
            places: Arc::clone(&parts.places),
            sink,
            status: Arc::new({
                let (lane, tell) = (Arc::clone(&lane), Arc::clone(&parts.status));
                move |status| {
                    if !lane.is_abandoned.load(Ordering::Relaxed) {
                        tell(status);
                    }
                }
            }),
        };
        let stop = lane.stop.clone();
        let worker = Worker::spawn(&format!("ingest-{name}"), move || ingest::run(context, stop))?;
        *lane.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        self.lock().push(lane);
        Ok(())
    }

    /// A lane without a source: whoever opens it pushes its frames.
    pub fn open_fed(&self, name: &str, settings: Camera, capacity: usize, when_full: WhenFull) -> Arc<Lane> {
        let metrics = Arc::<CameraMetrics>::default();
        let lane = Arc::new(Lane {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            camera: name.into(),
            settings,
            ring: FrameRing::new(capacity, when_full, self.bell.clone(), Arc::clone(&metrics)),
            metrics,
            stop: Stop::new(),
            worker: Mutex::new(None),
            is_abandoned: AtomicBool::new(false),
        });
        self.lock().push(Arc::clone(&lane));
        lane
    }

    /// Closes a lane of [`Lanes::open_fed`].
    pub(super) fn close_fed(&self, lane: &Lane) {
        self.lock().retain(|l| l.number != lane.number);
        lane.ring.close();
    }

    /// Switches a camera's detection; a lane that is opened for it later begins so, too. Its source stays open.
    pub fn switch(&self, camera: &str, on: bool) {
        let mut off = self.off();
        if on {
            off.remove(camera);
        } else {
            off.insert(camera.to_owned());
        }
        self.lock().iter().filter(|lane| &*lane.camera == camera).for_each(|lane| lane.ring.switch(on));
    }

    /// Whether a camera's detection is switched off.
    pub fn is_off(&self, camera: &str) -> bool {
        self.off().contains(camera)
    }

    /// Closes these cameras, all at once. Those that do not let go of their source in time are left to end alone, and told to have stopped;
    /// their names are given back.
    pub fn close(&self, names: &[&str], parts: &LaneParts) -> Vec<CameraId> {
        let closing: Vec<_> = {
            let mut all = self.lock();
            all.extract_if(.., |lane| names.contains(&&*lane.camera)).collect()
        };
        close(closing, parts)
    }

    /// Closes all cameras, as [`Lanes::close`] does.
    pub fn close_all(&self, parts: &LaneParts) -> Vec<CameraId> {
        let closing = std::mem::take(&mut *self.lock());
        close(closing, parts)
    }

    fn off(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
use crate::config::Source;

#[cfg(test)]
impl Lanes {
    /// A lane whose frames the test pushes.
    pub(super) fn open_still(&self, name: &str, capacity: usize, when_full: WhenFull) -> Arc<Lane> {
        self.open_watched(name, capacity, when_full, Camera::of(Source::Test { pattern: String::new() }))
    }

    /// The same, with what is watched in its picture.
    pub(super) fn open_watched(&self, name: &str, capacity: usize, when_full: WhenFull, settings: Camera) -> Arc<Lane> {
        self.open_fed(name, settings, capacity, when_full)
    }

    /// Closes a lane of [`Lanes::open_still`].
    pub(super) fn close_still(&self, lane: &Lane) {
        self.close_fed(lane);
    }
}

fn close(lanes: Vec<Arc<Lane>>, parts: &LaneParts) -> Vec<CameraId> {
    for lane in &lanes {
        lane.stop.set();
        lane.ring.close();
    }
    let deadline = parts.clock.mono() + RELEASE_WITHIN;
    let mut late = Vec::new();
    for lane in lanes {
        let worker = lane.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let left = deadline.saturating_sub(parts.clock.mono());
        if worker.is_some_and(|w| !w.join_within(&parts.clock, left)) {
            lane.is_abandoned.store(true, Ordering::Relaxed);
            (parts.status)(CameraStatus {
                camera: Arc::clone(&lane.camera),
                state: CameraState::Stopped,
                since: parts.clock.now(),
                reason: "did not let go of its source in time".to_owned(),
                size_px: None,
            });
            late.push(Arc::clone(&lane.camera));
        }
    }
    late
}
