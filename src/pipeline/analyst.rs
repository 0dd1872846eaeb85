//! One frame through detect, track and classify, and what there is to tell about it. No threads, no queues: `run` and `replay` share it.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::{NoContext, Timestamp, Uuid};

use crate::classify::{Classifier, ClassifyError, LabelBook};
use crate::config;
use crate::detect::{DetectError, Detector};
use crate::runtime::Clock;
use crate::telemetry::{CameraMetrics, Metrics};
use crate::track::Tracker;
use crate::types::{Captured, Frame, Report, Sighting, Track, TrackEvent, TrackId, TrackPhase};

/// Why a frame gave nothing, or less than it could.
#[derive(Debug, thiserror::Error)]
pub enum AnalyseError {
    /// The detector failed: the frame is lost.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A classifier failed: the frame's tracks go out without its labels.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
}

/// The models and what they count.
#[derive(Debug)]
pub struct Analyst {
    detector: Detector,
    classifiers: Vec<Classifier>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What is remembered of one camera from frame to frame.
#[derive(Debug)]
pub struct Follow {
    tracker: Tracker,
    book: LabelBook,
    known: HashMap<TrackId, Known>,
    metrics: Arc<CameraMetrics>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    uid: Uuid,
    first_seen: Captured,
}

impl Analyst {
    /// With loaded models.
    pub fn new(detector: Detector, classifiers: Vec<Classifier>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { detector, classifiers, metrics, clock }
    }

    /// Begins to follow a camera.
    pub fn follow(&self, settings: &config::Track, metrics: Arc<CameraMetrics>) -> Follow {
        Follow {
            tracker: Tracker::new(settings.clone()),
            book: LabelBook::new(),
            known: HashMap::new(),
            metrics,
        }
    }

    /// Looks at one frame. What there is to tell goes to `emit`, in the order in which it should be published.
    ///
    /// # Errors
    /// When a model fails. After a classifier's failure everything was emitted all the same.
    pub fn analyse(
        &mut self,
        frame: &Frame,
        follow: &mut Follow,
        emit: &mut dyn FnMut(Report),
    ) -> Result<(), AnalyseError> {
        let view = frame.pixels.view();
        let detections = match self.detector.detect(&view, &self.clock, &self.metrics.stages) {
            Ok(detections) => detections,
            Err(e) => {
                follow.metrics.frames_failed_total.inc();
                return Err(e.into());
            }
        };
        follow.metrics.frames_analysed_total.inc();
        follow.metrics.detections_total.add(detections.len() as u64);

        let began = self.clock.mono();
        let update = follow.tracker.update(&detections);
        let tracked = self.clock.mono();
        self.metrics.stages.track.record(tracked.saturating_sub(began));

        let mut classified = Ok(());
        for classifier in &mut self.classifiers {
            let looked = classifier.label(&view, &update.seen, &mut follow.book, frame.captured.mono);
            classified = classified.and(looked);
        }
        if !self.classifiers.is_empty() {
            self.metrics.stages.classify.record(self.clock.mono().saturating_sub(tracked));
        }

        emit(Report::Sighting(Sighting {
            camera: Arc::clone(&frame.camera),
            seq: frame.seq,
            captured: frame.captured,
            width_px: view.width_px,
            height_px: view.height_px,
            detections,
            classes: self.detector.classes().clone(),
        }));
        for track in &update.seen {
            let phase = if update.born.contains(&track.id) { TrackPhase::New } else { TrackPhase::Update };
            emit(Report::Track(self.step(frame, follow, track, phase)));
        }
        for track in &update.ended {
            emit(Report::Track(self.step(frame, follow, track, TrackPhase::End)));
            follow.forget(track.id);
        }
        follow.metrics.tracks_total.add(update.born.len() as u64);
        follow.metrics.tracks_active.set(follow.known.len() as i64);
        Ok(classified?)
    }

    fn step(&self, frame: &Frame, follow: &mut Follow, track: &Track, phase: TrackPhase) -> TrackEvent {
        let view = frame.pixels.view();
        let known = *follow
            .known
            .entry(track.id)
            .or_insert_with(|| Known { uid: uid_at(frame.captured), first_seen: frame.captured });
        TrackEvent {
            camera: Arc::clone(&frame.camera),
            phase,
            seq: frame.seq,
            captured: frame.captured,
            width_px: view.width_px,
            height_px: view.height_px,
            uid: known.uid,
            track: *track,
            class_name: self.detector.classes().name(track.class).to_owned(),
            first_seen: known.first_seen,
            labels: follow.book.labels(track.id),
        }
    }
}

impl Follow {
    fn forget(&mut self, id: TrackId) {
        self.known.remove(&id);
        self.book.forget(id);
    }
}

/// UUIDv7 of the capture time; a wall clock before 1970 counts as 1970, the random part keeps it unique.
fn uid_at(captured: Captured) -> Uuid {
    let since = captured.wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}
