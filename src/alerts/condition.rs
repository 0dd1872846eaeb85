//! Whether an event is what an alert is about, and what it is in words. Nothing is remembered here.

use uuid::Uuid;

use crate::config::OnEvent;
use crate::types::{CameraId, Event, Label, What};

/// What goes on between an event and the one that ends it: this track in this zone of this camera.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Matter {
    camera: Option<CameraId>,
    place: String,
    pub(super) track: Option<Uuid>,
}

impl Matter {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            camera: event.camera.clone(),
            place: event.what.place().to_owned(),
            track: event.subject.as_ref().map(|s| s.uid),
        }
    }
}

/// What an event is to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Nothing.
    No,
    /// What it is about.
    Yes,
    /// What it would be about if the track had other labels: it may get them.
    ButForLabels,
    /// The end of what it may have been about.
    End,
}

/// What this event is to this alert.
pub(super) fn fit(on: &OnEvent, cameras: &[String], event: &Event) -> Fit {
    let kind = event.what.kind();
    let few = number_told(&event.what).is_some_and(|n| n < u64::from(on.min_count));
    if What::end_of(&on.kind) == Some(kind) && (kind != on.kind || few) {
        return Fit::End;
    }
    if kind != on.kind || few {
        return Fit::No;
    }
    let its_camera = cameras.is_empty() || event.camera.as_deref().is_some_and(|c| cameras.iter().any(|n| n == c));
    let its_place = on.zone.as_ref().or(on.line.as_ref()).is_none_or(|p| p == event.what.place());
    let its_class = on.classes.is_empty() || class_of(event).is_some_and(|c| on.classes.iter().any(|n| n == c));
    let its_score = on.min_score <= 0.0 || event.subject.as_ref().is_some_and(|s| s.score >= on.min_score);
    if !(its_camera && its_place && its_class && its_score) {
        return Fit::No;
    }
    match &event.subject {
        _ if on.attributes.is_empty() => Fit::Yes,
        Some(subject) if has_labels(on, &subject.labels) => Fit::Yes,
        Some(_) => Fit::ButForLabels,
        None => Fit::No,
    }
}

/// Whether these labels have every answer that is asked for.
pub(super) fn has_labels(on: &OnEvent, labels: &[Label]) -> bool {
    on.attributes.iter().all(|(name, value)| labels.iter().any(|l| l.name == *name && l.value == *value))
}

/// The number that an event tells by itself, rather than by happening often.
pub(super) fn number_told(what: &What) -> Option<u64> {
    match what {
        What::Occupancy { count, .. } | What::Crowd { count, .. } | What::CrowdEnd { count, .. } => {
            Some(u64::from(*count))
        }
        What::Count { count, .. } | What::Lost { count, .. } => Some(*count),
        What::BudgetStep { level, .. } => Some(u64::from(*level)),
        _ => None,
    }
}

fn class_of(event: &Event) -> Option<&str> {
    match &event.what {
        What::Count { class, .. } => Some(class),
        _ => event.subject.as_ref().map(|s| s.class.as_str()),
    }
}

/// The event in words: "person entered door (camera front)".
pub(super) fn words(event: &Event) -> String {
    let who = class_of(event).map(|class| format!("{class} ")).unwrap_or_default();
    let happened = match &event.what {
        What::Appeared => "appeared".to_owned(),
        What::Gone { .. } => "is gone".to_owned(),
        What::Entered { zone } => format!("entered {zone}"),
        What::Left { zone, .. } => format!("left {zone}"),
        What::Dwell { zone, inside_ms } => format!("has been in {zone} for {} s", inside_ms / 1000),
        What::DwellEnd { zone, inside_ms } => format!("was in {zone} for {} s", inside_ms / 1000),
        What::Crossed { line, direction } => format!("crossed {line} ({direction})"),
        What::Occupancy { zone, count, .. } => format!("{count} in {zone}"),
        What::Crowd { zone, count } => format!("a crowd of {count} in {zone}"),
        What::CrowdEnd { zone, count, .. } => format!("{count} left in {zone}"),
        What::Count { line, direction, count, .. } => format!("crossed {line} ({direction}) {count} times"),
        What::Stopped => "stopped".to_owned(),
        What::Moving { .. } => "moves again".to_owned(),
        What::AlertRaised { alert, .. } => format!("alert {alert} raised"),
        What::AlertCleared { alert, .. } => format!("alert {alert} cleared"),
        What::Lost { count, reason, .. } => format!("{count} events lost: {reason}"),
        What::BudgetStep { level, step, reason, .. } => format!("budget {} to level {level}: {reason}", step.as_str()),
    };
    let camera = event.camera.as_ref().map(|camera| format!(" (camera {camera})")).unwrap_or_default();
    format!("{who}{happened}{camera}")
}
