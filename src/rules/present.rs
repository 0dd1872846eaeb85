//! Somebody who is there: what is known from sighting to sighting, and who goes on under another number.
//!
//! A tracker that loses somebody behind a lamp post finds a stranger after it. So a track that begins where another one vanished a moment
//! ago is taken for the same: it goes on with its stays, its way and its standing, and nothing is counted again.

use std::time::Duration;

use uuid::Uuid;

use super::geometry::{Point, Scale, anchor};
use super::line::Path;
use super::still::Stillness;
use super::zone::Stay;
use crate::config::Anchor;
use crate::types::{Captured, Rect, Subject, TrackEvent, TrackId};

/// How long after a track was seen last another one may go on with it. At the default of three hits in a row before a track is
/// reported, that is time enough at three frames a second; and nobody takes somebody's place faster.
pub(super) const HEIR_WITHIN: Duration = Duration::from_millis(1500);
/// How far from there it may begin, as a share of the box's diagonal.
const HEIR_NEAR: f64 = 0.5;
/// How many times as large or as small it may be.
const HEIR_SIZE: f64 = 2.0;

/// One track, as the rules know it.
#[derive(Debug, Clone)]
pub(super) struct Present {
    /// As of the last sighting, under the name that it had first.
    pub(super) subject: Subject,
    /// When it was seen first, under whichever number.
    pub(super) first_seen: Duration,
    /// When it was seen last.
    pub(super) last_seen: Duration,
    /// Whether the tracker has given it up.
    pub(super) is_over: bool,
    /// By zone.
    pub(super) stays: Vec<Stay>,
    /// By line.
    pub(super) paths: Vec<Path>,
    pub(super) stillness: Stillness,
}

impl Present {
    pub(super) fn new(event: &TrackEvent, name: (Uuid, TrackId), now: Duration, zones: usize, lines: usize) -> Self {
        Self {
            subject: subject(event, name, event.first_seen),
            first_seen: now,
            last_seen: now,
            is_over: false,
            stays: vec![Stay::default(); zones],
            paths: vec![Path::default(); lines],
            stillness: Stillness::default(),
        }
    }

    /// It was seen, perhaps under another number than before.
    pub(super) fn see(&mut self, event: &TrackEvent, now: Duration) {
        self.subject = subject(event, (self.subject.uid, self.subject.track_id), self.subject.first_seen);
        (self.last_seen, self.is_over) = (now, false);
    }

    /// How near the track is that may go on with this one, as a share of the box's diagonal; None when it cannot be the same.
    pub(super) fn nearness(&self, event: &TrackEvent, now: Duration) -> Option<f64> {
        let (old, new) = (&self.subject, event);
        if old.class != new.class_name || now.saturating_sub(self.last_seen) > HEIR_WITHIN {
            return None;
        }
        // In fractions of the picture: a picture that changes its size moves nobody.
        let (old_box, new_box) = (old.bbox, new.track.bbox);
        let (from, to) = (Scale::of(old.frame_px), Scale::of((new.width_px, new.height_px)));
        let larger = share(&new_box, new.width_px, new.height_px) / share(&old_box, old.frame_px.0, old.frame_px.1);
        if !(old_box.is_sane() && new_box.is_sane() && (1.0 / HEIR_SIZE..=HEIR_SIZE).contains(&larger)) {
            return None;
        }
        let middle = |b: &Rect, scale| -> Point { anchor(b, scale, Anchor::Center) };
        let diagonal = f64::from(old_box.width()).hypot(f64::from(old_box.height()));
        let near = from.distance_px(middle(&old_box, from), middle(&new_box, to)) / diagonal;
        (near <= HEIR_NEAR).then_some(near)
    }
}

/// How much of the picture a box covers.
fn share(b: &Rect, width_px: u32, height_px: u32) -> f64 {
    f64::from(b.area()) / (f64::from(width_px.max(1)) * f64::from(height_px.max(1)))
}

fn subject(event: &TrackEvent, (uid, track_id): (Uuid, TrackId), first_seen: Captured) -> Subject {
    Subject {
        uid,
        track_id,
        tracked_as: (event.uid != uid).then_some(event.uid),
        class: event.class_name.clone(),
        score: event.track.score,
        bbox: event.track.bbox,
        frame_px: (event.width_px, event.height_px),
        first_seen,
        labels: event.labels.clone(),
    }
}
