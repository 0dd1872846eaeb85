//! Frames through detect, track, classify and the rules, and what there is to tell about them. No threads, no queues: `run` and `replay` share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::{NoContext, Timestamp, Uuid};

use crate::attend::{Attention, Look};
use crate::classify::{Classifier, ClassifyError, LabelBook};
use crate::config;
use crate::detect::{DetectError, Detector};
use crate::pictures::{Blinds, Studio};
use crate::pixels::Cover;
use crate::ring::Glimpse;
use crate::rules::{self, Rules};
use crate::runtime::Clock;
use crate::telemetry::{CameraMetrics, Metrics};
use crate::track::Tracker;
use crate::types::{
    CameraId, Captured, ClassNames, Detection, Event, Finding, Frame, Report, Sighting, Track, TrackEvent, TrackId,
    TrackPhase, TrackUpdate,
};

mod looks;
mod patience;

pub use looks::Job;
use looks::{Allowance, with_glance};
use patience::Patience;

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
pub struct Analyst {
    detector: Detector,
    classifiers: Vec<Classifier>,
    metrics: Arc<Metrics>,
    clock: Clock,
    classifier_off: bool,
    worker: usize,
}

/// What a camera is followed by.
#[derive(Debug)]
pub struct Watch<'a> {
    /// Which camera.
    pub camera: &'a CameraId,
    /// Its zones, its lines, and what else its configuration asks for.
    pub settings: &'a config::Camera,
    /// The tracker's settings.
    pub track: &'a config::Track,
    /// Which frames are looked at; None looks at every one.
    pub attend: Option<&'a config::Attend>,
    /// After a gap of this length without a frame no track is continued, unless the camera is looked at so rarely that its turns are further
    /// apart.
    pub gap: Duration,
    /// Who takes pictures of what happens; None where nobody does.
    pub studio: Option<Studio>,
    /// Its numbers.
    pub metrics: Arc<CameraMetrics>,
}

/// What is remembered of one camera from frame to frame.
#[derive(Debug)]
pub struct Follow {
    tracker: Tracker,
    attention: Attention,
    /// How many times rarer than configured looks are.
    stretched: u32,
    /// The frame that was found worth a look last, until a look was had.
    judged: Option<(u64, Look)>,
    /// What the last look found.
    found: Vec<Detection>,
    rules: Rules,
    book: LabelBook,
    first_classifier: usize,
    blinds: Blinds,
    studio: Option<Studio>,
    known: HashMap<TrackId, Known>,
    metrics: Arc<CameraMetrics>,
    patience: Patience,
    last: Option<Moment>,
}

/// What reports say of the frame that they come from.
#[derive(Debug, Clone)]
struct Moment {
    camera: CameraId,
    seq: u64,
    captured: Captured,
    size_px: (u32, u32),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    uid: Uuid,
    first_seen: Captured,
}

impl Analyst {
    /// With loaded models.
    pub fn new(detector: Detector, classifiers: Vec<Classifier>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { detector, classifiers, metrics, clock, classifier_off: false, worker: 0 }
    }

    /// For the worker with this number; without, for the first one.
    pub(super) fn of_worker(self, worker: usize) -> Self {
        Self { worker, ..self }
    }

    /// The number of the worker that it was loaded for: its place among the GPUs.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Another model of the same classes finds objects from the next frame on.
    pub(super) fn exchange(&mut self, detector: Detector) {
        self.detector = detector;
    }

    /// Whether the second stage rests. What it found until then stays with the tracks.
    pub(super) fn rest_classifiers(&mut self, off: bool) {
        self.classifier_off = off;
    }

    /// What runs the detector.
    pub fn detects_on(&self) -> &'static str {
        self.detector.engine_name()
    }

    /// Begins to follow a camera.
    pub fn follow(watch: Watch<'_>) -> Follow {
        let Watch { camera, settings, track, attend, gap, studio, metrics } = watch;
        let hidden = settings.masks.values().filter(|mask| mask.hide_from_detector);
        Follow {
            tracker: Tracker::new(track.clone()),
            attention: Attention::new(&attend.cloned().unwrap_or_default(), settings),
            stretched: 1,
            judged: None,
            found: Vec::new(),
            rules: Rules::new(camera, settings),
            book: LabelBook::new(),
            first_classifier: 0,
            blinds: Blinds::new(Cover::new(hidden.map(|mask| mask.points.clone()))),
            studio,
            known: HashMap::new(),
            metrics,
            patience: Patience::new(gap),
            last: None,
        }
    }

    /// What follows from what was found in a frame.
    fn take_in(
        &mut self,
        detections: Vec<Detection>,
        (shown, frame): (&Frame, &Frame),
        (follow, look): (&mut Follow, Look),
        allowance: Allowance,
        emit: &mut dyn FnMut(Finding),
    ) -> Result<(), AnalyseError> {
        let moment = Moment::of(frame);
        if follow.is_silent(moment.captured.mono) {
            self.part(follow, emit);
        } else if let Some(last) = follow.last.take_if(|last| last.size_px != moment.size_px) {
            // A picture of another size: its tracks cannot go on, those whom they stand for may.
            self.end_tracks(&last, follow, emit);
        }

        let began = self.clock.mono();
        let update = follow.tracker.update(&detections);
        let tracked = self.clock.mono();
        self.metrics.stages.track.record(tracked.saturating_sub(began));
        follow.look_is_over(shown, &detections);
        // The frame that was looked at last has been classified.
        let classified =
            if look == Look::Same { Ok(()) } else { self.classify(shown, &update.seen, follow, allowance) };

        emit(Finding::Report(Report::Sighting(moment.sighting(detections, self.detector.classes()))));
        self.tell(moment, &update, frame, follow, emit);
        classified
    }

    /// A frame that is not looked at: its tracks are where they should be. Nothing was found in it, so nothing says so; nobody is classified
    /// or drawn by a box that nobody saw, and no rule judges it.
    fn coast(&self, shown: &Frame, frame: &Frame, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) {
        follow.metrics.frames_coasted_total.inc();
        let began = self.clock.mono();
        let Follow { tracker, attention, .. } = follow;
        let update = with_glance(shown, |glance| tracker.coast(&mut |track| attention.find(glance, track)));
        self.metrics.stages.track.record(self.clock.mono().saturating_sub(began));
        self.tell(Moment::of(frame), &update, frame, follow, emit);
    }

    fn tell(
        &self,
        moment: Moment,
        update: &TrackUpdate,
        frame: &Frame,
        follow: &mut Follow,
        emit: &mut dyn FnMut(Finding),
    ) {
        let mut steps = Vec::with_capacity(update.seen.len() + update.ended.len());
        for track in &update.seen {
            let phase = if update.born.contains(&track.id) { TrackPhase::New } else { TrackPhase::Update };
            steps.push(self.step(&moment, follow, track, phase));
        }
        for track in &update.ended {
            steps.push(self.step(&moment, follow, track, TrackPhase::End));
            follow.forget(track.id);
        }
        follow.judge(&moment, steps, Some(frame), emit);
        follow.metrics.tracks_total.add(update.born.len() as u64);
        follow.metrics.tracks_active.set(follow.known.len() as i64);
        follow.last = Some(moment);
    }

    /// Ends all that was begun for a camera: it is closed, or its picture was away for too long.
    pub fn part(&self, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) {
        let Some(moment) = follow.last.take() else { return };
        self.end_tracks(&moment, follow, emit);
        let Follow { rules, studio, .. } = follow;
        rules.end(moment.of_rules(), &mut |event| emit(Finding::Event(shown_by(studio.as_ref(), event, None))));
    }

    /// Time passes for a camera from which no frame comes.
    pub fn pass(&self, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) {
        let Follow { rules, studio, .. } = follow;
        rules.pass(self.clock.now(), &mut |event| emit(Finding::Event(shown_by(studio.as_ref(), event, None))));
    }

    fn end_tracks(&self, moment: &Moment, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) {
        // Who hears of the last end may look at the number at once.
        follow.metrics.tracks_active.set(0);
        let mut steps = Vec::new();
        for track in follow.tracker.end_all() {
            steps.push(self.step(moment, follow, &track, TrackPhase::End));
            follow.forget(track.id);
        }
        follow.judge(moment, steps, None, emit);
    }

    /// One look is always had: else a slow classifier would never have any.
    fn classify(
        &mut self,
        frame: &Frame,
        seen: &[Track],
        follow: &mut Follow,
        allowance: Allowance,
    ) -> Result<(), AnalyseError> {
        if self.classifiers.is_empty() || self.classifier_off {
            return Ok(());
        }
        let (clock, began) = (self.clock, self.clock.mono());
        let mut is_first = true;
        let mut may_look = || {
            let is_in_time = || allowance.is_none_or(|limit| clock.mono().saturating_sub(began) < limit);
            std::mem::take(&mut is_first) || is_in_time()
        };
        let (mut done, count) = (Ok(()), self.classifiers.len());
        for n in 0..count {
            let classifier = &mut self.classifiers[(n + follow.first_classifier) % count];
            let pixels = frame.pixels.as_ref();
            // One that fails does not keep the others from looking.
            done = done.and(classifier.label(pixels, seen, &mut follow.book, frame.captured.mono, &mut may_look));
        }
        // Where there is no time for all of them, each is the first in turn.
        follow.first_classifier = (follow.first_classifier + 1) % count;
        self.metrics.stages.classify.record(self.clock.mono().saturating_sub(began));
        Ok(done?)
    }

    fn step(&self, moment: &Moment, follow: &mut Follow, track: &Track, phase: TrackPhase) -> TrackEvent {
        let captured = moment.captured;
        let known = || Known { uid: uid_at(captured), first_seen: captured };
        let known = *follow.known.entry(track.id).or_insert_with(known);
        TrackEvent {
            camera: Arc::clone(&moment.camera),
            phase,
            seq: moment.seq,
            captured,
            width_px: moment.size_px.0,
            height_px: moment.size_px.1,
            uid: known.uid,
            known_as: known.uid,
            track: *track,
            class_name: self.detector.classes().name(track.class).to_owned(),
            first_seen: known.first_seen,
            labels: follow.book.labels(track.id),
        }
    }
}

impl Follow {
    /// Whether tracks are followed and no frame has come for so long that nobody can say that they are still there.
    pub(super) fn is_silent(&self, now: Duration) -> bool {
        self.last.as_ref().is_some_and(|last| self.patience.is_over(last.captured.mono, now))
    }

    /// What its ring shows, and how often it is to be looked at: silence is judged by that.
    pub(super) fn heed(&mut self, glimpse: &Glimpse, rate_hz: Option<f64>) {
        self.patience.heed(rate_hz, glimpse.newest, glimpse.pause);
    }

    /// Whether a frame was looked at since the last end.
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// Whether the rules have something to tell though no frame comes.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.rules.is_due(now)
    }

    /// Tells the steps of a frame, then what follows from them by the rules. Without a frame the tracks have ended unseen.
    fn judge(
        &mut self,
        moment: &Moment,
        mut steps: Vec<TrackEvent>,
        frame: Option<&Frame>,
        emit: &mut dyn FnMut(Finding),
    ) {
        let studio = self.studio.as_ref();
        match (studio, frame) {
            (Some(studio), Some(frame)) => studio.look(frame, &steps),
            (Some(studio), None) => studio.end(&steps),
            (None, _) => {}
        }
        let mut events: Vec<Event> = Vec::new();
        self.rules.see(moment.of_rules(), &steps, &mut |event| events.push(shown_by(studio, event, frame)));
        for step in &mut steps {
            step.known_as = self.rules.known_as(step);
        }
        steps.into_iter().for_each(|step| emit(Finding::Report(Report::Track(step))));
        events.into_iter().for_each(|event| emit(Finding::Event(event)));
    }

    fn forget(&mut self, id: TrackId) {
        self.known.remove(&id);
        self.book.forget(id);
    }
}

impl Moment {
    fn of(frame: &Frame) -> Self {
        let size_px = frame.pixels.size_px();
        Self { camera: Arc::clone(&frame.camera), seq: frame.seq, captured: frame.captured, size_px }
    }

    fn of_rules(&self) -> rules::Moment {
        rules::Moment { captured: self.captured, frame_seq: Some(self.seq) }
    }

    fn sighting(&self, detections: Vec<Detection>, classes: &ClassNames) -> Sighting {
        Sighting {
            camera: Arc::clone(&self.camera),
            seq: self.seq,
            captured: self.captured,
            width_px: self.size_px.0,
            height_px: self.size_px.1,
            detections,
            classes: classes.clone(),
        }
    }
}

/// The event with the names of its pictures, where it asks for some.
fn shown_by(studio: Option<&Studio>, mut event: Event, frame: Option<&Frame>) -> Event {
    if let Some(studio) = studio {
        studio.attach(&mut event, frame);
    }
    event
}

/// UUIDv7 of the capture time; a wall clock before 1970 counts as 1970, the random part keeps it unique.
fn uid_at(captured: Captured) -> Uuid {
    let since = captured.wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

#[cfg(test)]
#[path = "analyst_tests.rs"]
mod tests;
