//! The same numbers for a person and for scripts: one JSON object with quantiles instead of buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::runtime::environment;
use crate::telemetry::{CameraMetrics, EngineOf, Histogram, Metrics};
use crate::types::CameraState;

/// What `/stats` answers.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    version: &'static str,
    uptime_secs: f64,
    resident_bytes: Option<u64>,
    cameras: BTreeMap<String, Camera>,
    engines: BTreeMap<String, Engine>,
    stages: BTreeMap<&'static str, Times>,
    mqtt: Mqtt,
    budget: BudgetLevel,
}

/// How much is given up to keep the device's budget.
#[derive(Debug, Serialize)]
struct BudgetLevel {
    level: i64,
    levels: i64,
}

#[derive(Debug, Serialize)]
struct Camera {
    state: &'static str,
    frames: u64,
    analysed: u64,
    failed: u64,
    displaced: Displaced,
    detections: u64,
    tracks: u64,
    tracks_active: i64,
    reconnects: u64,
    stalls: u64,
    width_px: i64,
    height_px: i64,
    capture_to_publish: Times,
}

/// What runs a model; by what the model is for.
#[derive(Debug, Serialize)]
struct Engine {
    model: String,
    workers: i64,
    on_fallback: i64,
    failed: i64,
    failures: u64,
}

#[derive(Debug, Serialize)]
struct Displaced {
    ring: u64,
    appsink: u64,
    stopped: u64,
    off: u64,
    stale: u64,
}

#[derive(Debug, Serialize)]
struct Times {
    count: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Mqtt {
    connected: bool,
    connects: u64,
    published: u64,
    acknowledged: u64,
    queued: i64,
    dropped_away: u64,
    dropped_outbox_full: u64,
    refused: u64,
    held_back: u64,
}

impl Stats {
    pub(super) fn of(metrics: &Metrics, up: Duration) -> Self {
        let m = &metrics.mqtt;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_secs: up.as_secs_f64(),
            resident_bytes: environment::resident_bytes(),
            cameras: metrics.cameras().into_iter().map(|(name, m)| (name, Camera::of(&m))).collect(),
            engines: engines(metrics),
            stages: metrics.stages.all().into_iter().map(|(name, h)| (name, Times::of(h))).collect(),
            mqtt: Mqtt {
                connected: m.connected.get() == 1,
                connects: m.connects_total.get(),
                published: m.published_total.get(),
                acknowledged: m.acknowledged_total.get(),
                queued: m.queued.get(),
                dropped_away: m.dropped_qos0_total.get(),
                dropped_outbox_full: m.dropped_outbox_total.get(),
                refused: m.refused_total.get(),
                held_back: m.held_back_total.get(),
            },
            budget: BudgetLevel { level: metrics.budget.level.get(), levels: metrics.budget.levels.get() },
        }
    }
}

/// Where a stage has run several models, the one that runs now.
fn engines(metrics: &Metrics) -> BTreeMap<String, Engine> {
    let mut all = metrics.engines();
    all.sort_by_key(|(_, m)| m.workers.get());
    all.into_iter().map(Engine::of).collect()
}

impl Engine {
    fn of(((stage, model), m): EngineOf) -> (String, Self) {
        let engine = Self {
            model,
            workers: m.workers.get(),
            on_fallback: m.fallback.get(),
            failed: m.failed.get(),
            failures: m.failures_total.get(),
        };
        (stage, engine)
    }
}

impl Camera {
    fn of(m: &CameraMetrics) -> Self {
        let state = usize::try_from(m.state.get()).ok().and_then(|i| CameraState::ALL.get(i));
        Self {
            state: state.map_or("unknown", |s| s.as_str()),
            frames: m.frames_total.get(),
            analysed: m.frames_analysed_total.get(),
            failed: m.frames_failed_total.get(),
            displaced: Displaced {
                ring: m.displaced_ring_total.get(),
                appsink: m.displaced_appsink_total.get(),
                stopped: m.displaced_stopped_total.get(),
                off: m.displaced_off_total.get(),
                stale: m.displaced_stale_total.get(),
            },
            detections: m.detections_total.get(),
            tracks: m.tracks_total.get(),
            tracks_active: m.tracks_active.get(),
            reconnects: m.reconnects_total.get(),
            stalls: m.stalls_total.get(),
            width_px: m.width_px.get(),
            height_px: m.height_px.get(),
            capture_to_publish: Times::of(&m.capture_to_publish),
        }
    }
}

impl Times {
    fn of(h: &Histogram) -> Self {
        Self { count: h.count(), p50_ms: h.quantile_ms(0.5), p95_ms: h.quantile_ms(0.95), p99_ms: h.quantile_ms(0.99) }
    }
}
