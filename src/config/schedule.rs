//! `[schedule]`: how cameras share the engine, as typed and as used.
//!
//! Belongs here: what may be written, and what it means. Does not: whose frame is next (see `schedule`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// How much of the engine a camera may claim when there is too little for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// 20 parts.
    Low,
    /// 30 parts.
    #[default]
    Medium,
    /// 50 parts.
    High,
}

/// How cameras share the engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFile {
    /// Milliseconds that a frame may wait for frames of other cameras, so that they are computed together; 0 never waits. It is waited only
    /// while the batch size is above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub window_ms: Option<u64>,
    /// Frames that are computed together, at most; what the engine can do is a limit, too. Within it the size follows `target_p95_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub max_batch: Option<u64>,
    /// Milliseconds from capture to result that 95 of 100 frames should not exceed: batches grow below 0.8 of it, and are halved above 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub target_p95_ms: Option<u64>,
}

/// How cameras share the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// How long a frame may wait for company; zero for not at all.
    pub window: Duration,
    /// Frames in a batch, at most; at least 1.
    pub max_batch: usize,
    /// The 95th percentile of capture to result that the batch size is led by.
    pub target_p95: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { window: Duration::from_millis(3), max_batch: 8, target_p95: Duration::from_millis(200) }
    }
}

impl Schedule {
    pub(super) fn resolve(_section: &str, typed: &ScheduleFile, _r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        Self {
            window: typed.window_ms.map_or(by_default.window, Duration::from_millis),
            max_batch: typed.max_batch.and_then(|n| usize::try_from(n).ok()).unwrap_or(by_default.max_batch),
            target_p95: typed.target_p95_ms.map_or(by_default.target_p95, Duration::from_millis),
        }
    }

    pub(super) fn typed(&self) -> ScheduleFile {
        let ms = |d: Duration| u64::try_from(d.as_millis()).ok();
        ScheduleFile {
            window_ms: ms(self.window),
            max_batch: Some(self.max_batch as u64),
            target_p95_ms: ms(self.target_p95),
        }
    }
}
