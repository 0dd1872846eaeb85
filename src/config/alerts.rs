//! Alerts, `[alert.NAME]`, as typed and as used.
//!
//! Belongs here: which conditions can be written. Does not: which of them contradict each other (see `alert_checks.rs`), when an alert is
//! raised and cleared (see `alerts`).

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alert_checks::{between, on_event, on_system, tells_a_number};
use super::resolve::Resolver;
use crate::types::{Severity, What};

/// How long an alert whose cause does not last stays open without another match, where the file does not say.
const CLEAR_AFTER: Duration = Duration::from_secs(60);
/// How long the device must be well again, where the file does not say.
const WELL_FOR: Duration = Duration::from_secs(10);
const COOLDOWN: Duration = Duration::from_secs(30);

/// A rule that raises an alert: when an event happens that fits (`on`), or when something is wrong with the device (`system`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertFile {
    /// The event that raises it: "entered", "left", "dwell", "crossed", "occupancy", "crowd", "count", "appeared", "gone", "stopped",
    /// "moving", "dwell_end", "crowd_end", "lost" or "budget_step". Either this or `system` must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["entered"]))]
    pub on: Option<String>,
    /// What must be wrong with the device, in place of `on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["camera_stalled"]))]
    pub system: Option<SystemKind>,
    /// The cameras that it is about; all if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["front"]]))]
    pub cameras: Option<Vec<String>>,
    /// The zone that the event must be of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["door"]))]
    pub zone: Option<String>,
    /// The line that the event must be of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["gate"]))]
    pub line: Option<String>,
    /// Classes that count, by the detector's names; all if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["person"]]))]
    pub classes: Option<Vec<String>>,
    /// Tracks whose score is below this do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("examples" = [0.5]))]
    pub min_score: Option<f64>,
    /// How many events within `within_secs` it takes; with "occupancy", "crowd" and "count": the least number that the event must tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("examples" = [1]))]
    pub min_count: Option<u32>,
    /// Seconds within which `min_count` events must happen; 60 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400), extend("examples" = [60]))]
    pub within_secs: Option<u64>,
    /// From when to when it may be raised, by the device's local time; all day if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["22:00", "06:00"]]))]
    pub between: Option<Vec<String>>,
    /// With `system`, the bound: frames a second ("frame_rate_below"), milliseconds ("p99_above"), degrees Celsius ("heat", 80 if not
    /// set), megabytes free ("disk", 512 if not set).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e9), extend("examples" = [5.0]))]
    pub limit: Option<f64>,
    /// With `system`, the seconds for which it must be wrong; 10 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400), extend("examples" = [10]))]
    pub for_secs: Option<u64>,
    /// How bad it is; "warning" if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["warning"]))]
    pub severity: Option<Severity>,
    /// Seconds after it was raised in which it is not raised again; 30 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400), extend("examples" = [30]))]
    pub cooldown_secs: Option<u64>,
    /// Seconds without another match after which it is cleared. If not set, what lasts ("entered", "dwell", "crowd", "occupancy",
    /// "appeared", "stopped") is cleared when it ends, all other events after 60 s, and what is wrong with the device when it has been
    /// well for 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("examples" = [60]))]
    pub clear_after_secs: Option<u64>,
    /// Whether it gets a picture when it is raised; see `[snapshots]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub snapshot: Option<bool>,
    /// Answers of classifiers that the track must have, by the classifier's name and, where it has several, the head's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{"vehicle.color": "red"}]))]
    pub attributes: BTreeMap<String, String>,
}

/// What can be wrong with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// A camera that is switched on gives no frames, for whatever reason.
    CameraStalled,
    /// Fewer frames of a camera are analysed a second than the limit.
    FrameRateBelow,
    /// One message in a hundred takes longer from the capture to the broker's connection than the limit.
    P99Above,
    /// The hottest sensor is above the limit.
    Heat,
    /// Less room than the limit is left for what the daemon keeps, or events cannot be written.
    Disk,
    /// A model does not run on the engine that was chosen for it.
    ModelFailedOver,
}

impl SystemKind {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameraStalled => "camera_stalled",
            Self::FrameRateBelow => "frame_rate_below",
            Self::P99Above => "p99_above",
            Self::Heat => "heat",
            Self::Disk => "disk",
            Self::ModelFailedOver => "model_failed_over",
        }
    }

    /// The limit where the file has none; None where there cannot be one.
    pub(super) const fn default_limit(self) -> Option<f64> {
        match self {
            Self::Heat => Some(80.0),
            Self::Disk => Some(512.0),
            Self::CameraStalled | Self::ModelFailedOver => Some(0.0),
            Self::FrameRateBelow | Self::P99Above => None,
        }
    }

    pub(super) const fn is_of_a_camera(self) -> bool {
        matches!(self, Self::CameraStalled | Self::FrameRateBelow | Self::P99Above)
    }
}

/// A rule that raises an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What raises it.
    pub cause: Cause,
    /// The cameras that it is about; all if empty.
    pub cameras: Vec<String>,
    /// When it may be raised; None for always.
    pub between: Option<Between>,
    /// How bad it is.
    pub severity: Severity,
    /// How long after it was raised it is not raised again.
    pub cooldown: Duration,
    /// When it is cleared.
    pub clear: Clear,
    /// Whether it gets a picture when it is raised.
    pub snapshot: bool,
}

/// What raises an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// An event.
    Event(OnEvent),
    /// Something that is wrong with the device.
    System(OnSystem),
}

/// What an event must be like.
#[derive(Debug, Clone, PartialEq)]
pub struct OnEvent {
    /// One of [`What::KINDS`].
    pub kind: String,
    /// Its zone, if that matters.
    pub zone: Option<String>,
    /// Its line, if that matters.
    pub line: Option<String>,
    /// Its classes; all if empty.
    pub classes: Vec<String>,
    /// Its track's labels.
    pub attributes: BTreeMap<String, String>,
    /// Its track's least score.
    pub min_score: f32,
    /// How many it takes, or the number that it must tell.
    pub min_count: u32,
    /// Within which time.
    pub within: Duration,
}

/// What must be wrong with the device.
#[derive(Debug, Clone, PartialEq)]
pub struct OnSystem {
    /// What it is.
    pub kind: SystemKind,
    /// The bound, in the unit of the kind; 0 where the kind has none.
    pub limit: f64,
    /// For how long.
    pub wrong_for: Duration,
}

/// A part of the day, by minutes since local midnight. One that ends before it begins goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// The first minute.
    pub from_minute: u16,
    /// The minute that is not part of it any more.
    pub to_minute: u16,
}

impl Between {
    /// Whether this minute of the day is part of it.
    pub fn contains(self, minute: u16) -> bool {
        if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

/// When an alert is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// When what raised it has ended.
    WhenOver,
    /// When it ended, or so long after the last match; of the device: when it has been well for so long.
    After(Duration),
}

impl Alert {
    pub(super) fn resolve(section: &str, typed: &AlertFile, r: &mut Resolver<'_>) -> Self {
        let cause = match (&typed.on, typed.system) {
            (Some(kind), None) => Cause::Event(on_event(section, kind, typed, r)),
            (None, Some(kind)) => Cause::System(on_system(section, kind, typed, r)),
            (None, None) => {
                r.error(
                    &format!("{section}.on"),
                    "missing; write the event that raises it, e.g. \"entered\", or `system`",
                );
                Cause::Event(on_event(section, What::KINDS[0], typed, r))
            }
            (Some(kind), Some(_)) => {
                r.error(&format!("{section}.system"), "set beside `on`; an alert has one cause, write two alerts");
                Cause::Event(on_event(section, kind, typed, r))
            }
        };
        let clear = match (typed.clear_after_secs, &cause) {
            (Some(secs), _) => Clear::After(Duration::from_secs(secs)),
            (None, Cause::System(_)) => Clear::After(WELL_FOR),
            (None, Cause::Event(e)) if What::end_of(&e.kind).is_some() => Clear::WhenOver,
            (None, Cause::Event(_)) => Clear::After(CLEAR_AFTER),
        };
        Self {
            cause,
            cameras: typed.cameras.clone().unwrap_or_default(),
            between: typed.between.as_deref().and_then(|b| between(section, b, r)),
            severity: typed.severity.unwrap_or(Severity::Warning),
            cooldown: typed.cooldown_secs.map_or(COOLDOWN, Duration::from_secs),
            clear,
            snapshot: typed.snapshot.unwrap_or(false),
        }
    }

    pub(super) fn typed(&self) -> AlertFile {
        let listed = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let mut file = AlertFile {
            cameras: listed(&self.cameras),
            between: self.between.map(|b| vec![time(b.from_minute), time(b.to_minute)]),
            severity: Some(self.severity),
            cooldown_secs: Some(self.cooldown.as_secs()),
            clear_after_secs: match self.clear {
                Clear::WhenOver => None,
                Clear::After(time) => Some(time.as_secs()),
            },
            ..AlertFile::default()
        };
        match &self.cause {
            Cause::Event(e) => {
                file.on = Some(e.kind.clone());
                file.snapshot = Some(self.snapshot);
                (file.zone, file.line) = (e.zone.clone(), e.line.clone());
                file.classes = listed(&e.classes);
                file.attributes.clone_from(&e.attributes);
                file.min_score = (e.min_score > 0.0).then(|| e.min_score.to_string().parse().unwrap_or_default());
                file.min_count = Some(e.min_count);
                file.within_secs = (!tells_a_number(&e.kind)).then_some(e.within.as_secs());
            }
            Cause::System(s) => {
                file.system = Some(s.kind);
                file.limit = (s.kind.default_limit() != Some(0.0)).then_some(s.limit);
                file.for_secs = Some(s.wrong_for.as_secs());
            }
        }
        file
    }
}
