//! Zones and lines of a camera: `[camera.NAME.zone.NAME]`, `[camera.NAME.line.NAME]`, as typed and as used.
//!
//! Belongs here: what may be written, and what it means. Does not: whether somebody is in a zone (see `rules`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;
use super::walk::is_name;

/// No timer of a zone or line is longer: a day.
const LONGEST_SECS: f64 = 86_400.0;

/// Which point of a box stands for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The middle of the lower edge: where feet and wheels are.
    #[default]
    BottomCenter,
    /// The middle.
    Center,
    /// The middle of the upper edge.
    TopCenter,
    /// The middle of the left edge.
    LeftCenter,
    /// The middle of the right edge.
    RightCenter,
}

/// A part of a camera's picture that is watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneFile {
    /// The corners in order, as fractions of the picture's width and height from its top left: three or more. Must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]]))]
    pub points: Option<Vec<Vec<f64>>>,
    /// Only these classes count; an empty list means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["person"]]))]
    pub classes: Option<Vec<String>>,
    /// The point of a box that is in the zone or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["bottom_center"]))]
    pub anchor: Option<Anchor>,
    /// Seconds after which a stay is told of (`dwell`); never if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 86_400), extend("examples" = [30]))]
    pub dwell_secs: Option<f64>,
    /// How many make a crowd, with `crowd_secs`; none does if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("examples" = [5]))]
    pub crowd_count: Option<u32>,
    /// Seconds for which so many have to be in the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400), extend("examples" = [10]))]
    pub crowd_secs: Option<f64>,
    /// Whether changes of the number in the zone are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [true]))]
    pub occupancy: Option<bool>,
    /// Milliseconds for which somebody has to be in or out, and a new number has to hold, before it is believed. 500 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 60_000), extend("examples" = [500]))]
    pub settle_ms: Option<u64>,
    /// Whether what begins here (`entered`, `dwell`, `crowd`) gets a picture; see `[snapshots]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub snapshot: Option<bool>,
}

/// A part of a camera's picture that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// The corners in order, as fractions of the picture; three or more, the last one is joined to the first.
    pub points: Vec<(f64, f64)>,
    /// Names of the classes that count; empty: all.
    pub classes: Vec<String>,
    /// The point of a box that is in or out.
    pub anchor: Anchor,
    /// A stay of this length is told of.
    pub dwell: Option<Duration>,
    /// So many for so long are a crowd.
    pub crowd: Option<Crowd>,
    /// Whether changes of the number are told.
    pub occupancy: bool,
    /// How long a change has to hold.
    pub settle: Duration,
    /// Whether what begins here gets a picture.
    pub snapshot: bool,
}

/// What makes a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// So many.
    pub count: u32,
    /// For so long.
    pub hold: Duration,
}

impl Zone {
    pub(super) fn resolve(section: &str, typed: &ZoneFile, r: &mut Resolver<'_>) -> Self {
        let mut points = r.points(section, typed.points.as_deref(), 3, "[[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]");
        if points.len() > 3 && points.first() == points.last() {
            // Other programs write the first corner again at the end.
            points.pop();
        }
        if points.len() >= 3 {
            r.refuse_crossings(section, &points, true);
        }
        Self {
            points,
            classes: r.counted_classes(section, typed.classes.as_deref()),
            anchor: typed.anchor.unwrap_or_default(),
            dwell: typed.dwell_secs.and_then(seconds),
            crowd: r.crowd(section, typed),
            occupancy: typed.occupancy.unwrap_or(true),
            settle: Duration::from_millis(typed.settle_ms.unwrap_or(500)),
            snapshot: typed.snapshot.unwrap_or(false),
        }
    }

    pub(super) fn typed(&self) -> ZoneFile {
        ZoneFile {
            points: Some(self.points.iter().map(|(x, y)| vec![*x, *y]).collect()),
            classes: Some(self.classes.clone()),
            anchor: Some(self.anchor),
            dwell_secs: self.dwell.map(|d| d.as_secs_f64()),
            crowd_count: self.crowd.map(|c| c.count),
            crowd_secs: self.crowd.map(|c| c.hold.as_secs_f64()),
            occupancy: Some(self.occupancy),
            settle_ms: Some(u64::try_from(self.settle.as_millis()).unwrap_or(u64::MAX)),
            snapshot: Some(self.snapshot),
        }
    }
}

/// A line in a camera's picture whose crossings are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineFile {
    /// The points in order, as fractions of the picture's width and height from its top left: two or more. Must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[[0.2, 0.6], [0.8, 0.6]]]))]
    pub points: Option<Vec<Vec<f64>>>,
    /// Only these classes count; an empty list means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["person"]]))]
    pub classes: Option<Vec<String>>,
    /// The point of a box that crosses the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["bottom_center"]))]
    pub anchor: Option<Anchor>,
    /// Names of the two directions: first from the left to the right of somebody who walks from the first point to the last, then
    /// back. "in" and "out" if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["in", "out"]]))]
    pub directions: Option<Vec<String>>,
    /// Seconds after which the number of crossings is told, again and again; 0 never tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400), extend("examples" = [0]))]
    pub count_secs: Option<f64>,
    /// Whether crossings get a picture; see `[snapshots]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub snapshot: Option<bool>,
}

/// A line in a camera's picture whose crossings are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The points in order, as fractions of the picture; two or more.
    pub points: Vec<(f64, f64)>,
    /// Names of the classes that count; empty: all.
    pub classes: Vec<String>,
    /// The point of a box that crosses.
    pub anchor: Anchor,
    /// Names of the way from left to right, and of the way back.
    pub directions: [String; 2],
    /// How often the number of crossings is told.
    pub count_every: Option<Duration>,
    /// Whether crossings get a picture.
    pub snapshot: bool,
}

impl Line {
    pub(super) fn resolve(section: &str, typed: &LineFile, r: &mut Resolver<'_>) -> Self {
        let points = r.points(section, typed.points.as_deref(), 2, "[[0.2, 0.6], [0.8, 0.6]]");
        if points.len() >= 2 {
            r.refuse_crossings(section, &points, false);
        }
        Self {
            points,
            classes: r.counted_classes(section, typed.classes.as_deref()),
            anchor: typed.anchor.unwrap_or_default(),
            directions: r.directions(section, typed.directions.as_deref()),
            count_every: typed.count_secs.and_then(seconds),
            snapshot: typed.snapshot.unwrap_or(false),
        }
    }

    pub(super) fn typed(&self) -> LineFile {
        LineFile {
            points: Some(self.points.iter().map(|(x, y)| vec![*x, *y]).collect()),
            classes: Some(self.classes.clone()),
            anchor: Some(self.anchor),
            directions: Some(self.directions.to_vec()),
            count_secs: self.count_every.map(|d| d.as_secs_f64()),
            snapshot: Some(self.snapshot),
        }
    }
}

/// A duration as typed; None for 0, which means "never".
pub(super) fn seconds(typed: f64) -> Option<Duration> {
    (typed > 0.0 && typed <= LONGEST_SECS).then(|| Duration::from_secs_f64(typed))
}

impl Resolver<'_> {
    fn counted_classes(&mut self, section: &str, typed: Option<&[String]>) -> Vec<String> {
        let mut classes: Vec<String> = Vec::new();
        for class in typed.unwrap_or_default() {
            if class.trim().is_empty() || classes.contains(class) {
                self.error(&format!("{section}.classes"), format!("{class:?} is empty or named twice"));
            }
            classes.push(class.clone());
        }
        classes
    }

    fn crowd(&mut self, section: &str, typed: &ZoneFile) -> Option<Crowd> {
        match (typed.crowd_count, typed.crowd_secs) {
            (Some(count), Some(secs)) => Some(Crowd { count, hold: seconds(secs).unwrap_or_default() }),
            (None, None) => None,
            (count, _) => {
                let (missing, set) =
                    if count.is_some() { ("crowd_secs", "crowd_count") } else { ("crowd_count", "crowd_secs") };
                self.error(&format!("{section}.{missing}"), format!("missing; {set} is set, and a crowd needs both"));
                None
            }
        }
    }

    fn directions(&mut self, section: &str, typed: Option<&[String]>) -> [String; 2] {
        let key = format!("{section}.directions");
        match typed {
            None => ["in".to_owned(), "out".to_owned()],
            Some([there, back]) => {
                for name in [there, back].into_iter().filter(|name| !is_name(name)) {
                    self.error(&key, format!("{name:?} is not a name; write 1 to 64 letters, digits, '-' and '_'"));
                }
                if there == back {
                    self.error(&key, format!("both are {there:?}; nobody could tell them apart"));
                }
                [there.clone(), back.clone()]
            }
            Some(other) => {
                self.error(&key, format!("{} names; a line has two directions, e.g. [\"in\", \"out\"]", other.len()));
                ["in".to_owned(), "out".to_owned()]
            }
        }
    }
}
