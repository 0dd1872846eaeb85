//! A track's life: begun by one detection, reported once it was seen often enough in a row, ended when it was lost for too long.

use super::bounds::Bounds;
use super::kalman::BoxFilter;
use crate::types::{ClassId, Detection, Rect, Track, TrackId};

#[derive(Debug, Clone)]
pub(super) struct Life {
    id: TrackId,
    filter: BoxFilter,
    class: ClassId,
    score: f32,
    /// The estimate of the last frame that saw it.
    last_seen: Rect,
    age_frames: u32,
    lost_frames: u32,
    /// Matches in a row. The detection that began the track is not one of them, nor is it in the original SORT.
    streak: u32,
    was_reported: bool,
}

impl Life {
    pub(super) fn begin(id: TrackId, detection: &Detection) -> Self {
        let filter = BoxFilter::new(Bounds::from(detection.bbox));
        Self {
            id,
            filter,
            class: detection.class,
            score: detection.score,
            last_seen: Rect::from(filter.bounds()),
            age_frames: 1,
            lost_frames: 0,
            streak: 0,
            was_reported: false,
        }
    }

    /// One frame further: where the track should be now, or None when its filter went wrong.
    pub(super) fn predict(&mut self) -> Option<Bounds> {
        self.filter.predict();
        self.age_frames = self.age_frames.saturating_add(1);
        if self.lost_frames > 0 {
            self.streak = 0;
        }
        self.lost_frames = self.lost_frames.saturating_add(1);
        Some(self.filter.bounds()).filter(Bounds::is_finite)
    }

    pub(super) fn see(&mut self, detection: &Detection) {
        self.filter.correct(Bounds::from(detection.bbox));
        (self.class, self.score) = (detection.class, detection.score);
        self.last_seen = Rect::from(self.filter.bounds());
        self.lost_frames = 0;
        self.streak = self.streak.saturating_add(1);
    }

    pub(super) fn class(&self) -> ClassId {
        self.class
    }

    /// Whether the newest frame saw it.
    pub(super) fn is_seen(&self) -> bool {
        self.lost_frames == 0
    }

    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    pub(super) fn lost_frames(&self) -> u32 {
        self.lost_frames
    }

    /// The track, and whether this is the first time that anybody hears of it.
    pub(super) fn report(&mut self) -> (Track, bool) {
        let is_first = !std::mem::replace(&mut self.was_reported, true);
        (self.track(), is_first)
    }

    /// What to say of its end; nothing when nobody ever heard of it.
    pub(super) fn end(&self) -> Option<Track> {
        self.was_reported.then(|| self.track())
    }

    fn track(&self) -> Track {
        Track {
            id: self.id,
            bbox: self.last_seen,
            class: self.class,
            score: self.score,
            age_frames: self.age_frames,
            lost_frames: self.lost_frames,
        }
    }
}
