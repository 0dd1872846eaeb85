//! Tells each change of a camera's state once: to the status callback, to the gauges and to the log.

use std::sync::Arc;

use crate::runtime::Clock;
use crate::telemetry::CameraMetrics;
use crate::types::{CameraId, CameraState, CameraStatus};

/// Remembers what was told last.
pub(super) struct Teller {
    camera: CameraId,
    clock: Clock,
    metrics: Arc<CameraMetrics>,
    status: Arc<dyn Fn(CameraStatus) + Send + Sync>,
    last: Option<(CameraState, Option<(u32, u32)>)>,
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

    /// The camera is in this state now. A repetition is not passed on; a streaming camera's new frame size is a change.
    pub(super) fn tell(&mut self, state: CameraState, reason: &str, size_px: Option<(u32, u32)>) {
        let size_px = size_px.or(self.last.and_then(|(_, size)| size));
        if self.last == Some((state, size_px)) {
            log::debug!(camera = &*self.camera, stage = "ingest"; "still {}: {reason}", state.as_str());
            return;
        }
        self.last = Some((state, size_px));
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
