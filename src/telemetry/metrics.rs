//! Counters, gauges and histograms that stages write without locks, and the tree in which they stand.
//! How they are shown belongs to `api` (Prometheus text, JSON) and to `cli` (tables).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::histogram::Histogram;
use crate::types::Readings;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }
    /// So many more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// The value is this now.
    pub fn set(&self, v: i64) {
        self.0.store(v, Relaxed);
    }
    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// What is counted for one camera.
#[derive(Debug, Default)]
pub struct CameraMetrics {
    /// Frames that the source delivered.
    pub frames_total: Counter,
    /// Frames displaced in the ring by a newer one before anybody took them.
    pub displaced_ring_total: Counter,
    /// Frames that GStreamer's appsink dropped before we saw them.
    pub displaced_appsink_total: Counter,
    /// Frames that were left in the ring when the camera stopped.
    pub displaced_stopped_total: Counter,
    /// Frames that came while the camera's detection was switched off.
    pub displaced_off_total: Counter,
    /// Frames that grew older than the camera allows before the engine had time for them.
    pub displaced_stale_total: Counter,
    /// Frames that went through the detector.
    pub frames_analysed_total: Counter,
    /// Frames that were not worth a look: their tracks were carried on.
    pub frames_coasted_total: Counter,
    /// Frames that were the very one looked at last: its result holds for them.
    pub frames_same_total: Counter,
    /// Frames that the detector failed on.
    pub frames_failed_total: Counter,
    /// Detections.
    pub detections_total: Counter,
    /// Tracks confirmed.
    pub tracks_total: Counter,
    /// Tracks alive now.
    pub tracks_active: Gauge,
    /// Times the source was opened again after a fault.
    pub reconnects_total: Counter,
    /// Times frames stopped coming.
    pub stalls_total: Counter,
    /// Index of the state in `CameraState::ALL`.
    pub state: Gauge,
    /// Frame width once known, else 0.
    pub width_px: Gauge,
    /// Frame height once known, else 0.
    pub height_px: Gauge,
    /// From a frame's capture to the hand-over of its messages to the broker's connection.
    pub capture_to_publish: Histogram,
}

/// How long each stage takes, all cameras together.
#[derive(Debug, Default)]
pub struct StageMetrics {
    /// From planes to the model's tensor.
    pub letterbox: Histogram,
    /// The model.
    pub inference: Histogram,
    /// Head decode and non-maximum suppression.
    pub decode: Histogram,
    /// SORT.
    pub track: Histogram,
    /// Crops and second-stage model, all tracks of a frame.
    pub classify: Histogram,
    /// From the hand-over of a message to the broker's connection taking it.
    pub publish: Histogram,
}

impl StageMetrics {
    /// Every stage with its name, in flow order.
    pub fn all(&self) -> [(&'static str, &Histogram); 6] {
        [
            ("letterbox", &self.letterbox),
            ("inference", &self.inference),
            ("decode", &self.decode),
            ("track", &self.track),
            ("classify", &self.classify),
            ("publish", &self.publish),
        ]
    }
}

/// How frames of several cameras are computed together.
#[derive(Debug, Default)]
pub struct BatchMetrics {
    /// Frames that may go together at present.
    pub size: Gauge,
    /// Batches that went through the detector.
    pub batches_total: Counter,
}

/// What is counted for the broker's connection.
#[derive(Debug, Default)]
pub struct MqttMetrics {
    /// 1 while connected.
    pub connected: Gauge,
    /// Connections made.
    pub connects_total: Counter,
    /// Messages handed to the connection.
    pub published_total: Counter,
    /// QoS 1 messages that the broker acknowledged.
    pub acknowledged_total: Counter,
    /// Messages waiting for the broker.
    pub queued: Gauge,
    /// QoS 0 messages given up because the broker was away or slow.
    pub dropped_qos0_total: Counter,
    /// QoS 1 messages given up because the outbox was full.
    pub dropped_outbox_total: Counter,
    /// QoS 1 messages given up because the broker refused them for good.
    pub refused_total: Counter,
    /// Reports held back to keep the configured rates.
    pub held_back_total: Counter,
}

/// What is counted for the events on disk.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Durable events that the broker does not have yet.
    pub waiting: Gauge,
    /// What all segments take up.
    pub size_bytes: Gauge,
    /// 1 while the disk takes nothing and events are kept in memory.
    pub degraded: Gauge,
    /// Bytes handed to the disk: records, checkpoints, new segments' zeros, acknowledgements.
    pub written_bytes_total: Counter,
    /// Times the disk was asked to make records durable.
    pub syncs_total: Counter,
    /// Events that were not kept; each was told by an event of its own kind.
    pub lost_total: Counter,
    /// Alerts among them.
    pub lost_alerts_total: Counter,
    /// Damaged pieces that were found.
    pub rotten_total: Counter,
    /// Events that the broker refused for good, set aside.
    pub refused_total: Counter,
}

/// What is counted for pictures of events.
#[derive(Debug, Default)]
pub struct PictureMetrics {
    /// Views of objects that were kept in memory because they were the best so far.
    pub taken_total: Counter,
    /// Files written.
    pub written_total: Counter,
    /// Pictures left out because the encoder was busy.
    pub dropped_total: Counter,
    /// Pictures that could not be encoded or written.
    pub failed_total: Counter,
    /// Files removed to keep the bounds.
    pub removed_total: Counter,
    /// Files on disk.
    pub files: Gauge,
    /// Their size.
    pub bytes: Gauge,
    /// Views in memory.
    pub memory_bytes: Gauge,
}

/// How much is given up to keep the device's budget.
#[derive(Debug, Default)]
pub struct BudgetMetrics {
    /// Rungs of the ladder that are taken; 0 is as configured.
    pub level: Gauge,
    /// Rungs that there are; 0 where there is no limit.
    pub levels: Gauge,
    /// Steps down.
    pub steps_down_total: Counter,
    /// Steps up.
    pub steps_up_total: Counter,
}

/// What is counted for one model, all workers together.
#[derive(Debug, Default)]
pub struct EngineMetrics {
    /// Workers that have loaded it.
    pub workers: Gauge,
    /// Workers on which another engine stands in for the one that was chosen.
    pub fallback: Gauge,
    /// Workers on which nothing runs it.
    pub failed: Gauge,
    /// Times an engine was lost.
    pub failures_total: Counter,
}

/// What a model is for ("detect", "classify.NAME") and its name, with its numbers.
pub type EngineOf = ((String, String), Arc<EngineMetrics>);

/// What the sensors said last.
#[derive(Debug)]
struct Latest {
    readings: Arc<Readings>,
    good_until: Duration,
}

/// Everything the daemon counts.
#[derive(Debug, Default)]
pub struct Metrics {
    cameras: Mutex<BTreeMap<String, Arc<CameraMetrics>>>,
    engines: Mutex<BTreeMap<(String, String), Arc<EngineMetrics>>>,
    readings: Mutex<Option<Latest>>,
    /// Stage times.
    pub stages: StageMetrics,
    /// Batches.
    pub batch: BatchMetrics,
    /// The broker.
    pub mqtt: MqttMetrics,
    /// Events on disk.
    pub store: StoreMetrics,
    /// Pictures of events.
    pub pictures: PictureMetrics,
    /// The device's budget.
    pub budget: BudgetMetrics,
    /// Pipelines whose teardown outlasted its deadline and were abandoned.
    pub pipelines_abandoned_total: Counter,
    /// Configuration reloads that were taken.
    pub reloads_total: Counter,
    /// Configuration reloads that were refused.
    pub reloads_refused_total: Counter,
}

impl Metrics {
    /// The camera's numbers, made at first use and kept for as long as the daemon runs (a counter must not go back when a camera is re-added).
    pub fn camera(&self, name: &str) -> Arc<CameraMetrics> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cameras.entry(name.to_owned()).or_default())
    }

    /// All cameras that were ever there, by name.
    pub fn cameras(&self) -> Vec<(String, Arc<CameraMetrics>)> {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.iter().map(|(n, m)| (n.clone(), Arc::clone(m))).collect()
    }

    /// What the board's sensors said last; None before the first look at them, and when no new one came until this one grew old.
    pub fn readings(&self, now: Duration) -> Option<Arc<Readings>> {
        let latest = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|latest| now <= latest.good_until).map(|latest| Arc::clone(&latest.readings))
    }

    /// The board's sensors were looked at. `good_until` is a moment of the monotonic clock.
    pub fn set_readings(&self, readings: Arc<Readings>, good_until: Duration) {
        *self.readings.lock().unwrap_or_else(PoisonError::into_inner) = Some(Latest { readings, good_until });
    }

    /// A model's numbers, made at first use; `stage` says what it is for.
    pub fn engine(&self, stage: &str, model: &str) -> Arc<EngineMetrics> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(engines.entry((stage.to_owned(), model.to_owned())).or_default())
    }

    /// All models.
    pub fn engines(&self) -> Vec<EngineOf> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.iter().map(|(of, m)| (of.clone(), Arc::clone(m))).collect()
    }
}
