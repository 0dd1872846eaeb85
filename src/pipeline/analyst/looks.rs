//! Which of the frames at hand are looked at, and the looks themselves: several frames of several cameras go through the detector together.
//!
//! Belongs here: judging, detecting, how long classifiers may look. Does not: what follows from what was found (the file above).

use std::time::Duration;

use super::{AnalyseError, Analyst, Follow};
use crate::attend::{Glance, Look, Reason};
use crate::types::{Detection, Finding, Frame, Pixels, TrackView};

/// A frame, and what is remembered of its camera.
pub type Job<'a> = (&'a Frame, &'a mut Follow);

/// For how long classifiers may look at a frame's tracks; None for as long as they want.
pub(super) type Allowance = Option<Duration>;

/// A frame on its way.
struct Judged {
    /// As models may see it.
    shown: Frame,
    look: Look,
}

impl Analyst {
    /// Frames that one look takes, at most; it may change: another engine may stand in.
    pub fn max_batch(&self) -> usize {
        self.detector.max_batch()
    }

    /// Notes how many frames may go together at present.
    pub fn note_batch(&self, size: usize) {
        self.metrics.batch.size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Looks at one frame, or carries its tracks on where it is not worth a look. What there is to tell goes to `emit`, in the order in which
    /// it should be published.
    ///
    /// # Errors
    /// When a model fails. After a classifier's failure everything was emitted all the same.
    pub fn analyse(
        &mut self,
        frame: &Frame,
        follow: &mut Follow,
        emit: &mut dyn FnMut(Finding),
    ) -> Result<(), AnalyseError> {
        self.look_at(&mut [(frame, follow)], false, emit).pop().expect("an answer for each frame")
    }

    /// The same for frames of different cameras: those that are worth a look go through the detector together, then what follows is told of
    /// one after the other. Classifiers may take no longer than the detector did: a crowd in one picture must not keep the others from
    /// being looked at. There is an answer for each.
    pub fn analyse_all(
        &mut self,
        jobs: &mut [Job<'_>],
        emit: &mut dyn FnMut(Finding),
    ) -> Vec<Result<(), AnalyseError>> {
        self.look_at(jobs, true, emit)
    }

    /// A glance at a frame before it competes for the detector: where it is not worth a look its tracks are carried on, and all that follows
    /// is told. Whether it is to be looked at.
    pub fn glance(&mut self, frame: &Frame, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) -> bool {
        let judged = follow.consider(frame);
        if matches!(judged.look, Look::Detect(_)) {
            follow.judged = Some((frame.seq, judged.look));
            return true;
        }
        self.pass_over(&judged, frame, follow, emit);
        false
    }

    fn look_at(
        &mut self,
        jobs: &mut [Job<'_>],
        is_hurried: bool,
        emit: &mut dyn FnMut(Finding),
    ) -> Vec<Result<(), AnalyseError>> {
        let judged: Vec<Judged> = jobs.iter_mut().map(|(frame, follow)| follow.consider(frame)).collect();
        let looked_at = judged.iter().filter(|judged| matches!(judged.look, Look::Detect(_)));
        let pixels: Vec<&dyn Pixels> = looked_at.map(|judged| judged.shown.pixels.as_ref()).collect();
        let began = self.clock.mono();
        let mut found = self.detector.detect_all(&pixels, &self.clock, &self.metrics.stages).into_iter();
        let took = self.clock.mono().saturating_sub(began);
        let count = u32::try_from(pixels.len()).unwrap_or(u32::MAX);
        if count > 0 {
            self.metrics.batch.batches_total.inc();
        }
        let allowance = is_hurried.then(|| took / count.max(1));
        let mut done = Vec::with_capacity(jobs.len());
        for ((frame, follow), judged) in jobs.iter_mut().zip(&judged) {
            if !matches!(judged.look, Look::Detect(_)) {
                self.pass_over(judged, frame, follow, emit);
                done.push(Ok(()));
                continue;
            }
            let detections = match found.next().expect("an answer for each frame") {
                Ok(detections) => detections,
                Err(e) => {
                    follow.metrics.frames_failed_total.inc();
                    done.push(Err(e.into()));
                    continue;
                }
            };
            follow.metrics.frames_analysed_total.inc();
            follow.metrics.detections_total.add(detections.len() as u64);
            done.push(self.take_in(detections, (&judged.shown, frame), (follow, judged.look), allowance, emit));
        }
        done
    }

    /// A frame that is not worth a look.
    fn pass_over(&mut self, judged: &Judged, frame: &Frame, follow: &mut Follow, emit: &mut dyn FnMut(Finding)) {
        if judged.look == Look::Same {
            follow.metrics.frames_same_total.inc();
            let found = std::mem::take(&mut follow.found);
            let done = self.take_in(found, (&judged.shown, frame), (follow, judged.look), None, emit);
            debug_assert!(done.is_ok(), "no model looks at a frame that is the same");
            return;
        }
        self.coast(&judged.shown, frame, follow, emit);
    }
}

impl Follow {
    /// Looks are to be so many times rarer than configured; see [`crate::attend::Attention::stretch`].
    pub(in super::super) fn stretch(&mut self, times: u32) {
        if std::mem::replace(&mut self.stretched, times) != times {
            self.attention.stretch(times);
        }
    }

    /// Whether the camera's next frame is to be glanced at before it competes for the detector: it may not be worth a look. Once one was,
    /// the camera's newest frame competes until it has had its turn.
    pub(in super::super) fn wants_glance(&self) -> bool {
        self.attention.is_on() && self.judged.is_none()
    }

    /// What models may see of a frame, and whether it is worth a look. Models are not given what they must not see; pictures are taken of the
    /// frame itself, whose masks they burn in.
    fn consider(&mut self, frame: &Frame) -> Judged {
        let shown = self.blinds.over(frame);
        let look = match self.judged.take() {
            Some((seq, look)) if seq == frame.seq => look,
            _ => self.judge_look(&shown),
        };
        Judged { shown, look }
    }

    /// Whether the frame is worth a look. One after a pause, or of another size, is: nothing that is known holds for it.
    fn judge_look(&mut self, shown: &Frame) -> Look {
        if !self.attention.is_on() {
            return Look::Detect(Reason::First);
        }
        let size_px = shown.pixels.size_px();
        if self.is_silent(shown.captured.mono) || self.last.as_ref().is_none_or(|last| last.size_px != size_px) {
            self.attention.forget();
        }
        let tracks: Vec<TrackView> = self.tracker.views().collect();
        with_glance(shown, |glance| self.attention.judge(glance, &tracks))
    }

    pub(super) fn look_is_over(&mut self, shown: &Frame, found: &[Detection]) {
        if self.attention.is_on() {
            self.found = found.to_vec();
            with_glance(shown, |glance| self.attention.saw(glance, self.tracker.views()));
        }
    }
}

/// The frame as attention judges it: frames in the video hardware's memory are not brought over for it.
pub(super) fn with_glance<T>(shown: &Frame, then: impl FnOnce(&Glance<'_>) -> T) -> T {
    let pixels = shown.pixels.surface().is_none().then(|| shown.pixels.view());
    then(&Glance { pixels: pixels.as_ref(), size_px: shown.pixels.size_px(), at: shown.captured.mono })
}
