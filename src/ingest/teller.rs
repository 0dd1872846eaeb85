//! Tells each change of a camera's state, and of a state's reason, once: to the status callback, to the gauges and to the log.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Clock;
use crate::telemetry::CameraMetrics;
use crate::types::{CameraId, CameraState, CameraStatus};

/// A new reason for the same state is told at most this often: a source may fail in a different way at each attempt.
const REASON_EVERY: Duration = Duration::from_secs(10);

/// Remembers what was told last.
pub(super) struct Teller {
    camera: CameraId,
    clock: Clock,
    metrics: Arc<CameraMetrics>,
    status: Arc<dyn Fn(CameraStatus) + Send + Sync>,
    last: Option<Told>,
}

struct Told {
    state: CameraState,
    size_px: Option<(u32, u32)>,
    reason: String,
    at: Duration,
}

impl Teller {
    /// Nothing was told yet.
    pub(super) fn new(
        camera: CameraId,
        clock: Clock,
        metrics: Arc<CameraMetrics>,
        status: Arc<dyn Fn(CameraStatus) + Send + Sync>,
    ) -> Self {
        Self { camera, clock, metrics, status, last: None }
    }

    /// The camera is in this state at this monotonic time. A repetition is not passed on; a streaming camera's new frame size is a change.
    pub(super) fn tell(&mut self, state: CameraState, reason: &str, size_px: Option<(u32, u32)>, now: Duration) {
        let size_px = size_px.or(self.last.as_ref().and_then(|told| told.size_px));
        if let Some(told) = &self.last {
            let reason_due = told.reason != reason && now.saturating_sub(told.at) >= REASON_EVERY;
            if (told.state, told.size_px) == (state, size_px) && !reason_due {
                log::debug!(camera = &*self.camera, stage = "ingest"; "still {}: {reason}", state.as_str());
                return;
            }
        }
        self.last = Some(Told { state, size_px, reason: reason.to_owned(), at: now });
        self.log(state, reason, size_px);
        let index = CameraState::ALL.iter().position(|s| *s == state).expect("every state is in ALL");
        self.metrics.state.set(index as i64);
        if let Some((width_px, height_px)) = size_px {
            self.metrics.width_px.set(i64::from(width_px));
            self.metrics.height_px.set(i64::from(height_px));
        }
        (self.status)(CameraStatus {
            camera: Arc::clone(&self.camera),
            state,
            since: self.clock.now(),
            reason: reason.to_owned(),
            size_px,
        });
    }

    fn log(&self, state: CameraState, reason: &str, size_px: Option<(u32, u32)>) {
        let (camera, name) = (&*self.camera, state.as_str());
        match (state, size_px) {
            (CameraState::Streaming, Some((width_px, height_px))) => {
                log::info!(camera = camera, stage = "ingest"; "{name}, {width_px}x{height_px}");
            }
            _ if reason.is_empty() => log::info!(camera = camera, stage = "ingest"; "{name}"),
            _ => log::warn!(camera = camera, stage = "ingest"; "{name}: {reason}"),
        }
    }
}
