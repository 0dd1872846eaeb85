//! A site and events as tests of the emitters need them: plausible, with known content. Compiled for tests only.

use std::time::Duration;

use super::{Camera, Orders, Site};
use crate::publish::samples::{captured, uid};
use crate::types::{CameraId, Captured, Event, Rect, Subject, What};

pub(crate) fn site() -> Site {
    Site {
        prefix: "peregrine".to_owned(),
        discovery_prefix: "homeassistant".to_owned(),
        device: "gate".to_owned(),
        stages: vec!["detect".to_owned(), "classify.vehicle".to_owned()],
        alerts: vec!["intruder".to_owned()],
        cameras: vec![
            Camera {
                name: "yard".to_owned(),
                zones: vec!["door".to_owned()],
                lines: vec![("way".to_owned(), vec!["in".to_owned(), "it's out".to_owned()])],
                snapshots: true,
            },
            Camera { name: "hall".to_owned(), ..Camera::default() },
        ],
        orders: Orders { detection: true, snapshot: true, reload: true },
    }
}

pub(crate) fn subject(n: u32, class: &str) -> Subject {
    Subject {
        uid: uid(n),
        track_id: n.into(),
        tracked_as: None,
        class: class.to_owned(),
        score: 0.87,
        bbox: Rect::new(320.0, 180.0, 640.0, 540.0),
        frame_px: (1280, 720),
        first_seen: captured(Duration::ZERO),
        labels: Vec::new(),
    }
}

pub(crate) fn event(camera: Option<&str>, what: What, at: Captured) -> Event {
    Event { camera: camera.map(CameraId::from), at, frame_seq: None, what, subject: None, snapshots: Vec::new() }
}

pub(crate) fn crossed(camera: &str, line: &str, direction: &str, class: &str, at: Captured) -> Event {
    let what = What::Crossed { line: line.to_owned(), direction: direction.to_owned() };
    Event { subject: Some(subject(1, class)), ..event(Some(camera), what, at) }
}
