//! What happened in front of a camera, or to the device itself: rules find it, the store keeps it, the broker gets it.
//!
//! Belongs here: what an event says. Does not: its number and its durability (see `stored.rs`), its wire form (see `publish`). What stands
//! here is also the form on disk: fields may be added with a default, and none may change its meaning.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::frame::{CameraId, Captured};
use super::geometry::Rect;
use super::report::Label;

/// One event. Never repeated, never taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Which camera; None for the device itself.
    pub camera: Option<CameraId>,
    /// When it happened: the capture time of the frame that showed it, where there is one.
    pub at: Captured,
    /// The number of that frame.
    pub frame_seq: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// Whose doing it was; None for counts and the like.
    pub subject: Option<Subject>,
    /// Names of the pictures that show it, below the folder of snapshots; empty where none were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
}

impl Event {
    /// Whether this must be durable at once, overtakes what waits, and is given up last.
    pub fn is_alert(&self) -> bool {
        matches!(self.what, What::AlertRaised { .. } | What::AlertCleared { .. })
    }
}

/// The track that an event is about, as of the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Who it is, unique over all devices and restarts: the name of the track with which it was told of first. A tracker that loses
    /// somebody and finds them under another number does not change it, so that beginnings and ends have the same.
    pub uid: Uuid,
    /// The number within the camera that belongs to `uid`.
    pub track_id: u64,
    /// The name of the track that it is now, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracked_as: Option<Uuid>,
    /// The name of its class.
    pub class: String,
    /// The score of the detection last matched.
    pub score: f32,
    /// Where it was, in pixels of the frame.
    pub bbox: Rect,
    /// Width and height of the frame.
    pub frame_px: (u32, u32),
    /// When it was first seen.
    pub first_seen: Captured,
    /// What classifiers say about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

impl Subject {
    /// The name that the tracker's own messages give it.
    pub fn track_uid(&self) -> Uuid {
        self.tracked_as.unwrap_or(self.uid)
    }
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// Which way the governor went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetMove {
    /// Something was given up.
    Down,
    /// Something was given back.
    Up,
}

impl BudgetMove {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

/// What happened. Zones, lines and alerts are named as in the configuration; durations are of the monotonic clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A track is there from now on.
    Appeared,
    /// It is not there any more.
    Gone {
        /// For how long it was.
        present_ms: u64,
    },
    /// A track is in a zone from now on; with one that appeared there, this follows `appeared`.
    Entered {
        /// The zone.
        zone: String,
    },
    /// It is not in the zone any more, or not there any more.
    Left {
        /// The zone.
        zone: String,
        /// For how long it was in it.
        inside_ms: u64,
    },
    /// A track has been in a zone for as long as the zone asks for; once a stay.
    Dwell {
        /// The zone.
        zone: String,
        /// For how long it has been in it.
        inside_ms: u64,
    },
    /// A stay that was told of has ended.
    DwellEnd {
        /// The zone.
        zone: String,
        /// How long it lasted.
        inside_ms: u64,
    },
    /// A track crossed a line.
    Crossed {
        /// The line.
        line: String,
        /// The name of the direction.
        direction: String,
    },
    /// The number of tracks in a zone is another one, for long enough to be believed.
    Occupancy {
        /// The zone.
        zone: String,
        /// The number.
        count: u32,
        /// The number that was told before.
        before: u32,
    },
    /// So many tracks have been in a zone for as long as the zone asks for.
    Crowd {
        /// The zone.
        zone: String,
        /// How many.
        count: u32,
    },
    /// There are fewer again.
    CrowdEnd {
        /// The zone.
        zone: String,
        /// How many.
        count: u32,
        /// How long it was a crowd.
        lasted_ms: u64,
    },
    /// How often a line was crossed in an interval, by one class in one direction.
    Count {
        /// The line.
        line: String,
        /// The name of the direction.
        direction: String,
        /// The name of the class.
        class: String,
        /// How often in this interval.
        count: u64,
        /// How often since the daemon started to count.
        total: u64,
        /// The interval's length.
        interval_ms: u64,
    },
    /// A track stands still.
    Stopped,
    /// A track that stood still moves again.
    Moving {
        /// For how long it stood.
        stopped_ms: u64,
    },
    /// An alert is open from now on.
    AlertRaised {
        /// The alert.
        alert: String,
        /// How bad it is.
        severity: Severity,
        /// What it was raised for, in words.
        reason: String,
    },
    /// An alert is not open any more.
    AlertCleared {
        /// The alert.
        alert: String,
        /// How bad it was.
        severity: Severity,
        /// Why it was cleared, in words.
        reason: String,
        /// For how long it was open.
        open_ms: u64,
    },
    /// Events that were not kept. Each loss is told once, with an exact number.
    Lost {
        /// How many.
        count: u64,
        /// How many of them were alerts.
        alerts: u64,
        /// Why, in words.
        reason: String,
    },
    /// The governor gave something up, or gave it back, to keep to the device's budget.
    BudgetStep {
        /// How many rungs of the ladder are taken from now on; 0 is as configured.
        level: u32,
        /// How many rungs there are.
        levels: u32,
        /// The rung that was taken or given back, e.g. `interval x2`.
        rung: String,
        /// Which of the two.
        step: BudgetMove,
        /// Why, in words.
        reason: String,
        /// Power of the whole device, as read at the step; None where it is not read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watts: Option<f64>,
        /// The hottest sensor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        celsius: Option<f64>,
        /// Latency.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p99_ms: Option<f64>,
    },
}

impl What {
    /// The name on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Gone { .. } => "gone",
            Self::Entered { .. } => "entered",
            Self::Left { .. } => "left",
            Self::Dwell { .. } => "dwell",
            Self::DwellEnd { .. } => "dwell_end",
            Self::Crossed { .. } => "crossed",
            Self::Occupancy { .. } => "occupancy",
            Self::Crowd { .. } => "crowd",
            Self::CrowdEnd { .. } => "crowd_end",
            Self::Count { .. } => "count",
            Self::Stopped => "stopped",
            Self::Moving { .. } => "moving",
            Self::AlertRaised { .. } => "alert_raised",
            Self::AlertCleared { .. } => "alert_cleared",
            Self::Lost { .. } => "lost",
            Self::BudgetStep { .. } => "budget_step",
        }
    }

    /// Every name on the wire, for checks of what people type.
    pub const KINDS: [&str; 17] = [
        "appeared",
        "gone",
        "entered",
        "left",
        "dwell",
        "dwell_end",
        "crossed",
        "occupancy",
        "crowd",
        "crowd_end",
        "count",
        "stopped",
        "moving",
        "alert_raised",
        "alert_cleared",
        "lost",
        "budget_step",
    ];

    /// The event that ends what an event of this name began, for those whose matter lasts.
    pub fn end_of(kind: &str) -> Option<&'static str> {
        match kind {
            "appeared" => Some("gone"),
            "entered" => Some("left"),
            "dwell" => Some("dwell_end"),
            "crowd" => Some("crowd_end"),
            "stopped" => Some("moving"),
            // A zone with fewer in it says so with the same word.
            "occupancy" => Some("occupancy"),
            // And so does a budget of which less is given up.
            "budget_step" => Some("budget_step"),
            _ => None,
        }
    }

    /// The zone, line or alert that it is about; empty where there is none.
    pub fn place(&self) -> &str {
        match self {
            Self::Entered { zone }
            | Self::Left { zone, .. }
            | Self::Dwell { zone, .. }
            | Self::DwellEnd { zone, .. }
            | Self::Occupancy { zone, .. }
            | Self::Crowd { zone, .. }
            | Self::CrowdEnd { zone, .. } => zone,
            Self::Crossed { line, .. } | Self::Count { line, .. } => line,
            Self::AlertRaised { alert, .. } | Self::AlertCleared { alert, .. } => alert,
            Self::Appeared
            | Self::Gone { .. }
            | Self::Stopped
            | Self::Moving { .. }
            | Self::Lost { .. }
            | Self::BudgetStep { .. } => "",
        }
    }
}
