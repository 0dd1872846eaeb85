//! `[store]`: what is kept of events on disk, as typed and as used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Events on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreFile {
    /// Megabytes that events may take up. When they are used up the oldest events go, alerts last; what the broker had not got is told as lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 1_048_576))]
    pub max_mb: Option<u64>,
    /// Days after which events go that the broker has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub keep_days: Option<u32>,
}

/// Events on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// What they may take up.
    pub max_bytes: u64,
    /// How long those are kept that the broker has.
    pub keep: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, keep: DAY * 30 }
    }
}

impl Store {
    pub(super) fn resolve(_section: &str, typed: &StoreFile, _r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        Self {
            max_bytes: typed.max_mb.map_or(by_default.max_bytes, |mb| mb << 20),
            keep: typed.keep_days.map_or(by_default.keep, |days| DAY * days),
        }
    }

    pub(super) fn typed(&self) -> StoreFile {
        StoreFile {
            max_mb: Some(self.max_bytes >> 20),
            keep_days: u32::try_from(self.keep.as_secs() / DAY.as_secs()).ok(),
        }
    }
}
