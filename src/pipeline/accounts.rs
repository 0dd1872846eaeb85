//! What became of the frames that a camera sent: each was analysed, or lost for a reason that is counted.
//!
//! Belongs here: the account of a lane that was fed, what a load cost. Does not: when its frames came, how late its results (see `rig`).

use std::time::Duration;

use super::lanes::Lane;
use crate::runtime::environment;
use crate::telemetry::Metrics;

/// A camera's frames, from the first that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// All of them.
    pub sent: u64,
    /// Looked at by the detector.
    pub analysed: u64,
    /// Displaced by a newer one.
    pub displaced: u64,
    /// Older than the camera allows when the engine had time.
    pub stale: u64,
    /// Lost by a failure of the detector.
    pub failed: u64,
    /// Results that came in the time that was counted, whenever their frames were captured.
    pub results: u64,
}

impl Account {
    pub(super) fn of(lane: &Lane, sent: u64, results: u64) -> Self {
        let m = &lane.metrics;
        let (analysed, failed) = (m.frames_analysed_total.get(), m.frames_failed_total.get());
        let (displaced, stale) = (m.displaced_ring_total.get(), m.displaced_stale_total.get());
        Self { sent, analysed, displaced, stale, failed, results }
    }

    /// Frames that will have no result.
    pub(super) fn lost(&self) -> u64 {
        self.displaced + self.stale + self.failed
    }

    /// Whether no frame is missing and none is counted twice. Only once all results are there.
    pub fn is_whole(&self) -> bool {
        self.sent == self.analysed + self.lost()
    }
}

/// What a load cost.
pub(super) struct Spent {
    /// Processor time of the process.
    pub(super) processor: Duration,
    /// Processor time of the thread that asks.
    pub(super) sending: Duration,
    /// Batches.
    pub(super) batches: u64,
}

impl Spent {
    /// Since the start.
    pub(super) fn so_far(metrics: &Metrics) -> Self {
        let (processor, sending) = (environment::processor_time(), environment::thread_time());
        Self { processor, sending, batches: metrics.batch.batches_total.get() }
    }

    pub(super) fn since(&self, mark: &Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(mark.processor),
            sending: self.sending.saturating_sub(mark.sending),
            batches: self.batches.saturating_sub(mark.batches),
        }
    }
}
