//! A track's life: begun by one detection, reported once it was seen often enough in a row, ended when it was lost for too long.

use super::bounds::Bounds;
use super::kalman::BoxFilter;
use crate::types::{ClassId, Detection, Rect, Track, TrackId, TrackView};

#[derive(Debug, Clone)]
pub(super) struct Life {
    id: TrackId,
    filter: BoxFilter,
    class: ClassId,
    score: f32,
    /// The estimate of the last frame that saw it.
    last_seen: Rect,
    age_frames: u32,
    /// Frames that were looked at since a detection was last matched, and those after the first of them; what `max_age` is held against.
    lost_frames: u32,
    /// Frames since the last match that nobody looked at, as long as no look missed it.
    coasted_frames: u32,
    /// How well the last match lay on the prediction: their overlap.
    fit: f32,
    /// Matches in a row, each worth the frames since the look before. The detection that began the track is not one of them, nor is it in
    /// the original SORT.
    streak: u32,
    was_reported: bool,
    /// Whether the last look was told of it: it goes on being told of while nobody looks.
    is_told: bool,
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
            coasted_frames: 0,
            fit: 0.0,
            streak: 0,
            was_reported: false,
            is_told: false,
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
        self.is_told = false;
        Some(self.filter.bounds()).filter(Bounds::is_finite)
    }

    /// One frame further that nobody looked at. Whoever was there at the last look is taken to be there still; whoever was missed then is
    /// missed for one frame more. `find` may say where its centre is. False when its filter went wrong.
    pub(super) fn coast(&mut self, find: &mut dyn FnMut(&TrackView) -> Option<(f32, f32)>) -> bool {
        self.filter.coast();
        self.age_frames = self.age_frames.saturating_add(1);
        let frames = if self.is_seen() { &mut self.coasted_frames } else { &mut self.lost_frames };
        *frames = frames.saturating_add(1);
        if self.is_seen()
            && let Some((x, y)) = find(&self.view()).filter(|(x, y)| x.is_finite() && y.is_finite())
        {
            self.filter.correct_center((f64::from(x), f64::from(y)));
        }
        self.filter.bounds().is_finite()
    }

    /// A detection was matched; so many frames have passed since the look before this one.
    pub(super) fn see(&mut self, detection: &Detection, frames: u32) {
        let seen = Bounds::from(detection.bbox);
        self.fit = self.filter.bounds().iou(&seen) as f32;
        self.filter.correct(seen);
        self.coasted_frames = 0;
        (self.class, self.score) = (detection.class, detection.score);
        self.last_seen = Rect::from(self.filter.bounds());
        self.lost_frames = 0;
        self.streak = self.streak.saturating_add(frames);
    }

    pub(super) fn class(&self) -> ClassId {
        self.class
    }

    /// Whether the newest look saw it.
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
        self.is_told = true;
        (self.track(), is_first)
    }

    /// The track where it should be now, if the last look was told of it.
    pub(super) fn report_coasted(&self) -> Option<Track> {
        let bbox = Rect::from(self.filter.bounds());
        (self.is_told && bbox.is_sane()).then(|| Track { bbox, ..self.track() })
    }

    /// The track for whoever decides whether the next frame is worth a look.
    pub(super) fn view(&self) -> TrackView {
        let (dx, dy) = self.filter.speed();
        TrackView {
            id: self.id,
            bbox: Rect::from(self.filter.bounds()),
            class: self.class,
            score: self.score,
            speed_px: (dx as f32, dy as f32),
            fit: self.fit,
            hits: self.streak,
            is_told: self.is_told,
            lost_frames: self.lost_frames,
        }
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
            lost_frames: self.lost_frames.saturating_add(self.coasted_frames),
        }
    }
}
