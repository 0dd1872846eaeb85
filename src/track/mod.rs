//! SORT: detections of one camera's frames become tracks with numbers. Pure and total: no clock, no I/O, no log line, and no input,
//! however odd, that makes it panic or give a number twice.
//!
//! Belongs here: motion, association, birth and death of tracks. Does not: what a track's class is called, when it is published.

mod assign;
mod associate;
mod bounds;
mod kalman;
mod lifecycle;

#[cfg(test)]
mod tests;

use crate::config;
use crate::types::{Detection, Track, TrackId, TrackUpdate, TrackView};
use associate::Associator;
use bounds::Bounds;
use lifecycle::Life;

/// After frames that nobody looked at, predictions are less exact: a detection may overlap by this share of the configured overlap. On
/// vtest, three frames from look to look, it halves what IDF1 loses.
const AFTER_COASTING: f64 = 2.0 / 3.0;

/// Follows the objects of one camera. Call [`Tracker::update`] for every frame that was looked at, those without detections too, and
/// [`Tracker::coast`] for every frame that was not: without one, it is SORT as it is written down.
#[derive(Debug, Clone)]
pub struct Tracker {
    config: config::Track,
    frames: u64,
    /// Frames since the last look.
    coasted_frames: u32,
    last_id: TrackId,
    lives: Vec<Life>,
    associator: Associator,
    /// Reused in every frame.
    predicted: Vec<Bounds>,
    matched: Vec<Option<usize>>,
}

impl Tracker {
    /// A tracker that has seen nothing. Numbers begin at 1.
    pub fn new(config: config::Track) -> Self {
        Self {
            config,
            frames: 0,
            coasted_frames: 0,
            last_id: 0,
            lives: Vec::new(),
            associator: Associator::default(),
            predicted: Vec::new(),
            matched: Vec::new(),
        }
    }

    /// One frame further. Boxes that are not finite or have no area are ignored; a detection continues a track of its own class only.
    pub fn update(&mut self, detections: &[Detection]) -> TrackUpdate {
        self.frames = self.frames.saturating_add(1);
        let since_look = std::mem::take(&mut self.coasted_frames).saturating_add(1);
        let mut update = TrackUpdate::default();
        self.predict(&mut update);
        self.match_detections(detections, since_look > 1);
        for (detection, of) in detections.iter().zip(&self.matched) {
            match of {
                Some(life) => self.lives[*life].see(detection, since_look),
                None if detection.bbox.is_sane() => {
                    self.last_id += 1;
                    self.lives.push(Life::begin(self.last_id, detection));
                }
                None => {}
            }
        }
        self.report(&mut update);
        update
    }

    /// One frame further that nobody looked at: tracks move on as they moved before. `seen` has those that the last look saw, where they
    /// should be now; their `lost_frames` say for how long nobody looked. Nobody is born, and nobody is lost for not being looked for;
    /// whoever the last look missed already grows older all the same.
    ///
    /// `find` is asked for each of those whom the last look saw where its centre is now, in pixels, should anything but a detector know it.
    pub fn coast(&mut self, find: &mut dyn FnMut(&TrackView) -> Option<(f32, f32)>) -> TrackUpdate {
        self.coasted_frames = self.coasted_frames.saturating_add(1);
        let mut update = TrackUpdate::default();
        let max_age = self.config.max_age_frames;
        self.lives.retain_mut(|life| {
            let is_alive = life.coast(find) && life.lost_frames() <= max_age;
            if is_alive {
                update.seen.extend(life.report_coasted());
            } else {
                update.ended.extend(life.end());
            }
            is_alive
        });
        update
    }

    /// All tracks that are alive, those not yet confirmed and those not seen included, as of the newest frame.
    pub fn views(&self) -> impl Iterator<Item = TrackView> {
        self.lives.iter().map(Life::view)
    }

    /// Ends every track: the picture was away for so long, or changed so much, that nothing in it can be the same object for certain.
    /// Gives those that were ever reported. Numbers go on from where they were.
    pub fn end_all(&mut self) -> Vec<Track> {
        self.lives.drain(..).filter_map(|life| life.end()).collect()
    }

    /// How many tracks are alive, those not yet confirmed included.
    pub fn alive(&self) -> usize {
        self.lives.len()
    }

    /// Moves every track on. One whose filter ended in nonsense cannot be matched again: it ends here.
    fn predict(&mut self, update: &mut TrackUpdate) {
        let predicted = &mut self.predicted;
        predicted.clear();
        self.lives.retain_mut(|life| match life.predict() {
            Some(bounds) => {
                predicted.push(bounds);
                true
            }
            None => {
                update.ended.extend(life.end());
                false
            }
        });
    }

    /// Fills `matched`: for each detection the index of the track that it continues.
    fn match_detections(&mut self, detections: &[Detection], after_coasting: bool) {
        self.matched.clear();
        self.matched.resize(detections.len(), None);
        if self.lives.is_empty() {
            return;
        }
        let threshold = f64::from(self.config.iou) * if after_coasting { AFTER_COASTING } else { 1.0 };
        // Each class is a SORT of its own: what happens among cars never changes which person is which.
        let mut classes: Vec<_> = detections.iter().map(|d| d.class).collect();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            let of_class = detections.iter().enumerate().filter(|(_, d)| d.class == class && d.bbox.is_sane());
            let candidates = of_class.map(|(i, d)| (i, Bounds::from(d.bbox)));
            let tracks = self.lives.iter().zip(&self.predicted).enumerate().filter(|(_, (l, _))| l.class() == class);
            let pairs = self.associator.pairs(candidates, tracks.map(|(i, (_, &bounds))| (i, bounds)), threshold);
            for &(detection, life) in pairs {
                self.matched[detection] = Some(life);
            }
        }
    }

    fn report(&mut self, update: &mut TrackUpdate) {
        // A tracker that has only begun believes everything; otherwise nothing at all could be seen in its first frames.
        let warming_up = self.frames <= u64::from(self.config.min_hits);
        let (min_hits, max_age) = (self.config.min_hits, self.config.max_age_frames);
        self.lives.retain_mut(|life| {
            if life.is_seen() && (warming_up || life.streak() >= min_hits) {
                let (track, is_first) = life.report();
                update.seen.push(track);
                if is_first {
                    update.born.push(track.id);
                }
            }
            let is_dead = life.lost_frames() > max_age;
            if is_dead {
                update.ended.extend(life.end());
            }
            !is_dead
        });
    }
}
