//! Alerts, `[alert.NAME]`, as typed and as used.
//!
//! Belongs here: which conditions can be written, and which of them contradict each other. Does not: when an alert is raised and
//! cleared (see `alerts`).

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;
use super::walk::did_you_mean;
use super::{Camera, Classify};
use crate::types::{Severity, What};

/// How long an alert whose cause does not last stays open without another match, where the file does not say.
const CLEAR_AFTER: Duration = Duration::from_secs(60);
/// How long the device must be well again, where the file does not say.
const WELL_FOR: Duration = Duration::from_secs(10);
/// How long something must be wrong with the device, where the file does not say: a camera that is opened anew is back by then.
const WRONG_FOR: Duration = Duration::from_secs(10);
const COOLDOWN: Duration = Duration::from_secs(30);
const WITHIN: Duration = Duration::from_secs(60);

/// A rule that raises an alert: when an event happens that fits (`on`), or when something is wrong with the device (`system`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertFile {
    /// The event that raises it: "entered", "left", "dwell", "crossed", "occupancy", "crowd", "count", "appeared", "gone", "stopped",
    /// "moving", "dwell_end", "crowd_end" or "lost". Either this or `system` must be set.
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
    const fn default_limit(self) -> Option<f64> {
        match self {
            Self::Heat => Some(80.0),
            Self::Disk => Some(512.0),
            Self::CameraStalled | Self::ModelFailedOver => Some(0.0),
            Self::FrameRateBelow | Self::P99Above => None,
        }
    }

    const fn is_of_a_camera(self) -> bool {
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
                (file.zone, file.line) = (e.zone.clone(), e.line.clone());
                file.classes = listed(&e.classes);
                file.attributes.clone_from(&e.attributes);
                file.min_score = (e.min_score > 0.0).then(|| e.min_score.to_string().parse().unwrap_or_default());
                file.min_count = Some(e.min_count);
                file.within_secs = (!tells_a_number(&e.kind)).then(|| e.within.as_secs());
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

/// Events that tell how many there are, by themselves.
fn tells_a_number(kind: &str) -> bool {
    matches!(kind, "occupancy" | "crowd" | "crowd_end" | "count" | "lost")
}

fn on_event(section: &str, kind: &str, typed: &AlertFile, r: &mut Resolver<'_>) -> OnEvent {
    let key = |k: &str| format!("{section}.{k}");
    let possible = || What::KINDS.into_iter().filter(|k| !k.starts_with("alert_"));
    if !possible().any(|k| k == kind) {
        let guess = did_you_mean(kind, possible());
        let all: Vec<_> = possible().map(|k| format!("{k:?}")).collect();
        r.error(&key("on"), format!("{kind:?} is no event; write one of {}{guess}", all.join(", ")));
    }
    let (of_zone, of_line) = (
        matches!(kind, "entered" | "left" | "dwell" | "dwell_end" | "occupancy" | "crowd" | "crowd_end"),
        matches!(kind, "crossed" | "count"),
    );
    let of_track = !tells_a_number(kind);
    let wrong = [
        ("zone", typed.zone.is_some() && !of_zone, "an event of a zone"),
        ("line", typed.line.is_some() && !of_line, "\"crossed\" or \"count\""),
        ("classes", typed.classes.is_some() && !of_track && kind != "count", "an event of one track, or \"count\""),
        ("min_score", typed.min_score.is_some() && !of_track, "an event of one track"),
        ("attributes", !typed.attributes.is_empty() && !of_track, "an event of one track"),
        ("limit", typed.limit.is_some(), "`system`"),
        ("for_secs", typed.for_secs.is_some(), "`system`"),
    ];
    for (name, _, owner) in wrong.iter().filter(|(_, is_wrong, _)| *is_wrong) {
        r.error(&key(name), format!("has no meaning with {kind:?}; it is for {owner}"));
    }
    let min_count = typed.min_count.unwrap_or(1);
    if typed.within_secs.is_some() && tells_a_number(kind) {
        r.error(&key("within_secs"), format!("has no meaning with {kind:?}, which tells a number by itself"));
    }
    OnEvent {
        kind: kind.to_owned(),
        zone: typed.zone.clone(),
        line: typed.line.clone(),
        classes: typed.classes.clone().unwrap_or_default(),
        attributes: typed.attributes.clone(),
        min_score: typed.min_score.unwrap_or(0.0) as f32,
        min_count,
        within: typed.within_secs.map_or(WITHIN, Duration::from_secs),
    }
}

fn on_system(section: &str, kind: SystemKind, typed: &AlertFile, r: &mut Resolver<'_>) -> OnSystem {
    let key = |k: &str| format!("{section}.{k}");
    let set = [
        ("zone", typed.zone.is_some()),
        ("line", typed.line.is_some()),
        ("classes", typed.classes.is_some()),
        ("min_score", typed.min_score.is_some()),
        ("min_count", typed.min_count.is_some()),
        ("within_secs", typed.within_secs.is_some()),
        ("attributes", !typed.attributes.is_empty()),
    ];
    for (name, _) in set.iter().filter(|(_, is_set)| *is_set) {
        r.error(&key(name), "has no meaning with `system`; it is for `on`");
    }
    if typed.cameras.is_some() && !kind.is_of_a_camera() {
        r.error(&key("cameras"), format!("has no meaning with {:?}, which is of the device", kind.as_str()));
    }
    if typed.limit.is_some() && kind.default_limit() == Some(0.0) {
        r.error(&key("limit"), format!("has no meaning with {:?}", kind.as_str()));
    }
    let limit = typed.limit.or(kind.default_limit()).unwrap_or_else(|| {
        let unit = if kind == SystemKind::P99Above { "milliseconds" } else { "frames a second" };
        r.error(&key("limit"), format!("missing; write how many {unit} are the bound"));
        0.0
    });
    OnSystem { kind, limit, wrong_for: typed.for_secs.map_or(WRONG_FOR, Duration::from_secs) }
}

fn between(section: &str, typed: &[String], r: &mut Resolver<'_>) -> Option<Between> {
    let key = format!("{section}.between");
    let [from, to] = typed else {
        r.error(&key, "write two times, e.g. [\"22:00\", \"06:00\"]");
        return None;
    };
    let mut minute = |text: &String| {
        let read = minute_of(text);
        if read.is_none() {
            r.error(&key, format!("{text:?} is no time of day; write hours and minutes, \"00:00\" to \"23:59\""));
        }
        read
    };
    let (from_minute, to_minute) = (minute(from), minute(to));
    let (from_minute, to_minute) = (from_minute?, to_minute?);
    if from_minute == to_minute {
        r.error(&key, "begins when it ends; leave the key out for the whole day");
        return None;
    }
    Some(Between { from_minute, to_minute })
}

fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|n| is_plain && *n < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// What alerts name must be there: an alert on a zone that no camera has would never be raised.
pub(super) fn check_names(
    alerts: &BTreeMap<String, Alert>,
    cameras: &BTreeMap<String, Camera>,
    classifiers: &BTreeMap<String, Classify>,
    r: &mut Resolver<'_>,
) {
    for (name, alert) in alerts {
        let key = |k: &str| format!("alert.{name}.{k}");
        for camera in alert.cameras.iter().filter(|c| !cameras.contains_key(*c)) {
            missing(r, &key("cameras"), &format!("there is no camera {camera:?}"), camera, cameras.keys());
        }
        let Cause::Event(event) = &alert.cause else { continue };
        let watched = || cameras.iter().filter(|(c, _)| alert.cameras.is_empty() || alert.cameras.contains(c));
        if let Some(zone) = &event.zone
            && !watched().any(|(_, c)| c.zones.contains_key(zone))
        {
            let known = watched().flat_map(|(_, c)| c.zones.keys());
            missing(r, &key("zone"), &format!("none of its cameras has a zone {zone:?}"), zone, known);
        }
        if let Some(line) = &event.line
            && !watched().any(|(_, c)| c.lines.contains_key(line))
        {
            let known = watched().flat_map(|(_, c)| c.lines.keys());
            missing(r, &key("line"), &format!("none of its cameras has a line {line:?}"), line, known);
        }
        for attribute in event.attributes.keys() {
            let classifier = attribute.split('.').next().unwrap_or_default();
            if !classifiers.contains_key(classifier) {
                let problem = format!("there is no classifier {classifier:?}");
                missing(r, &key("attributes"), &problem, classifier, classifiers.keys());
            }
        }
    }
}

fn missing<'k>(r: &mut Resolver<'_>, key: &str, problem: &str, typed: &str, known: impl Iterator<Item = &'k String>) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let guess = did_you_mean(typed, known.iter().copied());
    let there =
        if known.is_empty() { "there is none at all".to_owned() } else { format!("known: {}", known.join(", ")) };
    r.error(key, format!("{problem}{guess}; {there}"));
}
