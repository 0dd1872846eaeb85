//! Events that the store's own tests keep.

use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

use crate::types::{Captured, Event, Label, Rect, Severity, Subject, What};

/// When all samples happened; a second later for each number.
pub(super) fn at(secs: u64) -> Captured {
    Captured {
        mono: Duration::from_secs(secs),
        wall: UNIX_EPOCH + Duration::from_secs(1_740_000_000 + secs),
        wall_synced: true,
    }
}

/// A crossing, as full as they come.
pub(super) fn event(camera: &str, n: u64) -> Event {
    Event {
        camera: Some(camera.into()),
        at: at(n),
        frame_seq: Some(n),
        what: What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() },
        subject: Some(Subject {
            uid: Uuid::from_u128(u128::from(n)),
            track_id: n,
            tracked_as: None,
            class: "person".to_owned(),
            score: 0.87,
            bbox: Rect { x1: 100.5, y1: 50.25, x2: 140.5, y2: 140.25 },
            frame_px: (1280, 720),
            first_seen: at(n),
            labels: vec![Label { name: "person.coat".to_owned(), value: "red".to_owned(), confidence: 0.7, votes: 4 }],
        }),
        snapshots: Vec::new(),
    }
}

/// An alert is open.
pub(super) fn alert_raised(camera: &str, alert: &str) -> Event {
    let (alert, reason) = (alert.to_owned(), "a person crossed".to_owned());
    Event { what: What::AlertRaised { alert, severity: Severity::Critical, reason }, ..event(camera, 0) }
}

/// It is not open any more.
pub(super) fn alert_cleared(camera: &str, alert: &str) -> Event {
    let (alert, reason) = (alert.to_owned(), "nothing more".to_owned());
    Event { what: What::AlertCleared { alert, severity: Severity::Critical, reason, open_ms: 5 }, ..event(camera, 0) }
}
