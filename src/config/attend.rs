//! `[attend]`: which frames are looked at at all, as typed and as used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// Doing less with the same result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttendFile {
    /// Whether the detector may leave frames out, whose tracks are foretold then. See docs/attention.md for what it saves and what it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// While somebody is new, was lost or is beside somebody else, one frame in so many is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub interval: Option<u32>,
    /// While nobody is there, or all are well known, one frame in so many is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_interval: Option<u32>,
    /// Whether a picture in which nothing has changed since the last look is not looked at until `recheck_secs` are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion_gate: Option<bool>,
    /// Seconds after which a picture is looked at again, whatever it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 3600))]
    pub recheck_secs: Option<f64>,
}

/// Doing less with the same result.
#[derive(Debug, Clone, PartialEq)]
pub struct Attend {
    /// Whether frames may be left out.
    pub enabled: bool,
    /// Frames from one look to the next while somebody is uncertain.
    pub interval: u32,
    /// The same while nobody is there, or all are well known.
    pub max_interval: u32,
    /// Whether still pictures are left out.
    pub motion_gate: bool,
    /// The longest time from one look to the next.
    pub recheck: Duration,
}

impl Default for Attend {
    fn default() -> Self {
        Self { enabled: false, interval: 3, max_interval: 4, motion_gate: false, recheck: Duration::from_secs(5) }
    }
}

impl Attend {
    pub(super) fn resolve(section: &str, typed: &AttendFile, r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        let interval = typed.interval.unwrap_or(by_default.interval);
        let attend = Self {
            enabled: typed.enabled.unwrap_or(by_default.enabled),
            interval,
            max_interval: typed.max_interval.unwrap_or(by_default.max_interval.max(interval)),
            motion_gate: typed.motion_gate.unwrap_or(by_default.motion_gate),
            recheck: typed.recheck_secs.map_or(by_default.recheck, Duration::from_secs_f64),
        };
        if attend.max_interval < interval {
            let problem = format!("{} is shorter than interval; write at least {interval}", attend.max_interval);
            r.error(&format!("{section}.max_interval"), problem);
        }
        attend
    }

    pub(super) fn typed(&self) -> AttendFile {
        AttendFile {
            enabled: Some(self.enabled),
            interval: Some(self.interval),
            max_interval: Some(self.max_interval),
            motion_gate: Some(self.motion_gate),
            recheck_secs: Some(self.recheck.as_secs_f64()),
        }
    }
}
