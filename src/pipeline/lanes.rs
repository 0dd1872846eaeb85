//! The cameras that are running: each has a lane from its source to the engine. Lanes come and go while the others run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::{Camera, Ingest};
use crate::ingest;
use crate::ring::{Bell, FrameRing, WhenFull};
use crate::runtime::{Clock, Hearts, Stop, Worker};
use crate::telemetry::{CameraMetrics, Metrics};
use crate::types::{CameraId, CameraStatus};

/// How long a session may take to let go of its camera before the lane is left to end alone.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);
/// Ingest beats at least once a second; opening a device may block in the kernel for a while.
const INGEST_SILENCE: Duration = Duration::from_secs(20);

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
    /// Its frames.
    pub ring: FrameRing,
    /// Its numbers.
    pub metrics: Arc<CameraMetrics>,
    stop: Stop,
    worker: Mutex<Option<Worker>>,
}

/// All lanes.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    bell: Bell,
    all: Arc<Mutex<Vec<Arc<Lane>>>>,
    numbers: Arc<AtomicU64>,
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
            ring: FrameRing::new(
                parts.ingest.ring_capacity,
                WhenFull::DisplaceOldest,
                self.bell.clone(),
                Arc::clone(&metrics),
            ),
            metrics,
            stop: stop.child(),
            worker: Mutex::new(None),
        });
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
            sink,
            status: Arc::clone(&parts.status),
        };
        let stop = lane.stop.clone();
        let worker = Worker::spawn(&format!("ingest-{name}"), move || ingest::run(context, stop))?;
        *lane.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        self.lock().push(lane);
        Ok(())
    }

    /// Closes one camera and waits until it let go of its source. True if there was such a lane and it ended in time.
    pub fn close(&self, name: &str, clock: &Clock) -> bool {
        let lane = {
            let mut all = self.lock();
            let Some(at) = all.iter().position(|l| &*l.camera == name) else { return false };
            all.remove(at)
        };
        lane.stop.set();
        lane.ring.close();
        lane.join(clock, RELEASE_WITHIN)
    }

    /// Closes all cameras, all at once; the names of those that did not end in time.
    pub fn close_all(&self, clock: &Clock) -> Vec<CameraId> {
        let lanes = std::mem::take(&mut *self.lock());
        for lane in &lanes {
            lane.stop.set();
            lane.ring.close();
        }
        let deadline = clock.mono() + RELEASE_WITHIN;
        let late = lanes.iter().filter(|l| !l.join(clock, deadline.saturating_sub(clock.mono())));
        late.map(|l| Arc::clone(&l.camera)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn join(&self, clock: &Clock, at_most: Duration) -> bool {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        worker.is_none_or(|w| w.join_within(clock, at_most))
    }
}
