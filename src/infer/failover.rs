//! An engine that may be lost, and another that stands in for it: frames go on, and the lost one is tried again.
//!
//! Belongs here: when an engine counts as lost, who computes then, when it is tried again. Does not: which engines there are (see
//! [`super::open`]), who hears of a change (the caller of [`wrap`] says).
//!
//! The backup is loaded in the background once all models of the start are there: a slow board takes seconds to load a model, and it must
//! not begin with that when the GPU is gone. A lost engine is opened again on a thread of its own too. Both prove themselves there by one
//! run, so that a frame only ever meets an engine that ran.

use std::sync::Arc;
use std::time::Duration;

use super::{Costs, Engine, Explanation, Focus, InferError, InputMut, ModelShape};
use crate::pixels::{Drawing, Normalise, Place};
use crate::runtime::{Clock, Stop};
use crate::types::{EngineState, Pixels};

mod absent;
mod opening;
mod retry;
#[cfg(test)]
mod tests;

use absent::Absent;
use opening::{Answer, Opening};
use retry::Retry;

/// An engine that fails so often in a row is lost, even if it does not say so.
const FAILURES_IN_A_ROW: u32 = 3;
/// How long frames wait after a loss for a backup that is still being loaded, all together: what comes later is refused at once. The
/// stop of the daemon waits longer for one frame, and each model of a frame may wait so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens an engine, as often as it is called.
pub(super) type Opener = Arc<dyn Fn() -> Result<Box<dyn Engine>, InferError> + Send + Sync>;

/// That another engine runs a model now, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How the model fares.
    pub state: EngineState,
    /// What runs it now; "none" when nothing does.
    pub engine: &'static str,
    /// Why; empty when the engine that was meant runs it again.
    pub reason: String,
}

/// Who hears of changes, and what the engine that stands in may take.
#[derive(Clone)]
pub struct Failover {
    /// What the engine is for, in log lines: "detect", "classify.vehicle".
    pub name: String,
    /// The clock of the attempts.
    pub clock: Clock,
    /// Threads of the engine that stands in, at least 1: several workers share the processor then.
    pub backup_threads: usize,
    /// Whether another engine may stand in from the start on, where the GPU is there and fails. Else opening fails.
    pub starts_without: bool,
    /// Set when all models of the start are there: backups load from then on, so that they do not take from who builds.
    pub all_loaded: Stop,
    /// Called on the thread that runs the engine, once for each change; it must not wait.
    pub tell: Arc<dyn Fn(Change) + Send + Sync>,
}

impl std::fmt::Debug for Failover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, backup_threads, .. } = self;
        f.debug_struct("Failover").field("name", name).field("backup_threads", backup_threads).finish_non_exhaustive()
    }
}

/// What [`wrap`] joins.
pub(super) struct Parts {
    /// The engine that is meant, loaded; where it is lost, the one that stands in.
    pub active: Box<dyn Engine>,
    /// Why the engine that is meant could not be loaded, the GPU being there.
    pub lost: Option<String>,
    /// Opens it again; called on a thread of its own after each pause. What was lost has been dropped before.
    pub reopen: Opener,
    /// Opens the engine that stands in; called on a thread of its own.
    pub backup: Opener,
    /// Whether the GPU could be had without a recovery. Where the engine is lost with its GPU, another has recovered that already.
    pub is_recovered: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The pause before the first attempt to open the primary again.
    pub retry_after: Duration,
    /// Who hears of it.
    pub watch: Failover,
}

/// Puts the failover around a loaded engine, whose backup is loaded soon.
pub(super) fn wrap(parts: Parts) -> Box<dyn Engine> {
    let clock = parts.watch.clock;
    Box::new(Guarded::new(parts, Box::new(move || clock.mono()), PATIENCE))
}

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    Primary,
    Backup,
    Nobody,
}

/// The engine that stands in, while it does not.
enum Backup {
    Loading(Opening),
    Ready(Box<dyn Engine>),
    /// It runs: it is the active one.
    Active,
    Refused,
}

/// See the head of the file.
struct Guarded {
    shape: ModelShape,
    active: Box<dyn Engine>,
    running: Running,
    backup: Backup,
    /// What was lost, until the thread that opens it anew drops it: that may take long.
    lost: Option<Box<dyn Engine>>,
    reopening: Option<Opening>,
    retry: Retry,
    reason: String,
    focus: Option<Focus>,
    failures: u32,
    /// Nothing was drawn since the last run: engines may change places.
    is_between_frames: bool,
    reopen: Opener,
    open_backup: Opener,
    watch: Failover,
    now: Box<dyn Fn() -> Duration + Send>,
    patience: Duration,
    /// When the frames' patience with this loss ends.
    wait_until: Duration,
    is_recovered: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Guarded {
    fn new(parts: Parts, now: Box<dyn Fn() -> Duration + Send>, patience: Duration) -> Self {
        let Parts { active, lost, reopen, backup, is_recovered, retry_after, watch } = parts;
        let mut retry = Retry::new(retry_after);
        let (running, state) = match lost {
            None => {
                let opening = Opening::begin_after(&watch.all_loaded, "engine-backup", &backup);
                (Running::Primary, Backup::Loading(opening))
            }
            Some(_) => {
                retry.lost(now());
                (Running::Backup, Backup::Active)
            }
        };
        let guarded = Self {
            shape: active.shape().clone(),
            running,
            backup: state,
            lost: None,
            reopening: None,
            retry,
            reason: lost.unwrap_or_default(),
            focus: None,
            failures: 0,
            is_between_frames: true,
            active,
            open_backup: backup,
            reopen,
            watch,
            now,
            patience,
            wait_until: Duration::ZERO,
            is_recovered,
        };
        if guarded.running == Running::Backup {
            guarded.tell();
        }
        guarded
    }

    /// Before the first drawing of a frame: whoever became ready takes its place.
    fn settle(&mut self) {
        if !self.is_between_frames {
            return;
        }
        self.look_for_backup();
        if self.running != Running::Primary {
            self.look_for_primary();
        }
        self.is_between_frames = false;
    }

    /// Notes a backup that was loaded, or could not be; takes it where nobody runs.
    fn look_for_backup(&mut self) {
        let wait = self.wait();
        if let Backup::Loading(opening) = &self.backup {
            let Some(answer) = opening.answer(wait) else { return };
            self.backup = match self.fitting(answer) {
                Ok(engine) => Backup::Ready(engine),
                Err(reason) => {
                    log::warn!(stage = "engine"; "{}: nothing can stand in for {}: {reason}", self.watch.name, self.active.name());
                    Backup::Refused
                }
            };
        }
        if self.running == Running::Nobody && matches!(self.backup, Backup::Ready(_)) {
            self.stand_in();
            self.tell();
        }
    }

    /// How long this frame waits for the backup.
    fn wait(&self) -> Duration {
        match self.running {
            Running::Nobody => self.wait_until.saturating_sub((self.now)()),
            Running::Primary | Running::Backup => Duration::ZERO,
        }
    }

    fn look_for_primary(&mut self) {
        let now = (self.now)();
        let Some(opening) = &self.reopening else {
            if self.retry.is_due(now) {
                self.reopening = Some(Opening::begin("engine-retry", &self.reopen, self.lost.take()));
            }
            return;
        };
        let Some(answer) = opening.answer(Duration::ZERO) else { return };
        self.reopening = None;
        match self.fitting(answer) {
            Ok(engine) => {
                self.retry.came_back(now);
                self.take_over(engine);
            }
            Err(reason) => {
                let pause = self.retry.failed(now);
                self.load_backup_again();
                log::warn!(
                    stage = "engine";
                    "{} stays on {}: {reason}; the next attempt is in {} s", self.watch.name, self.active.name(), pause.as_secs()
                );
            }
        }
    }

    /// The primary is back.
    fn take_over(&mut self, engine: Box<dyn Engine>) {
        let idle = self.activate(engine);
        if self.running == Running::Backup {
            self.backup = Backup::Ready(idle);
        }
        self.running = Running::Primary;
        self.reason.clear();
        self.tell();
    }

    /// The primary is gone; whoever computes now is told.
    fn lose(&mut self, reason: &str, with_gpu: bool) -> InferError {
        let (engine, now) = (self.active.name(), (self.now)());
        // One that did nothing for long hears of the loss when others are back already.
        if with_gpu && (self.is_recovered)() {
            self.retry.lost_with_others(now);
        } else {
            self.retry.lost(now);
        }
        self.wait_until = now + self.patience;
        self.reason = format!("{engine}: {reason}");
        let absent = Absent::new(self.shape.clone(), self.active.max_batch(), engine, reason);
        self.lost = Some(self.activate(Box::new(absent)));
        self.running = Running::Nobody;
        self.failures = 0;
        self.is_between_frames = true;
        if let Backup::Loading(opening) = &self.backup {
            opening.hurry();
        }
        self.load_backup_again();
        self.stand_in();
        self.tell();
        InferError::Lost { engine, reason: reason.to_owned() }
    }

    /// One that could not be loaded is given another chance: what was in its way may be gone.
    fn load_backup_again(&mut self) {
        if matches!(self.backup, Backup::Refused) {
            self.backup = Backup::Loading(Opening::begin("engine-backup", &self.open_backup, None));
        }
    }

    /// The backup computes from now on, if it is there.
    fn stand_in(&mut self) {
        match std::mem::replace(&mut self.backup, Backup::Active) {
            Backup::Ready(engine) => {
                self.activate(engine);
                self.running = Running::Backup;
            }
            other => self.backup = other,
        }
    }

    fn activate(&mut self, mut engine: Box<dyn Engine>) -> Box<dyn Engine> {
        engine.focus(self.focus.as_ref());
        std::mem::replace(&mut self.active, engine)
    }

    fn tell(&self) {
        let (state, waits) = match self.running {
            Running::Primary => (EngineState::Ok, ""),
            Running::Backup => (EngineState::Degraded, ""),
            Running::Nobody => (EngineState::Failed, "; no other engine is loaded yet"),
        };
        let reason = format!("{}{waits}", self.reason);
        (self.watch.tell)(Change { state, engine: self.active.name(), reason });
    }

    /// An engine that was opened, if it can take the primary's place: callers know its shape.
    fn fitting(&self, answer: Answer) -> Answer {
        let engine = answer?;
        if *engine.shape() != self.shape {
            let (found, needed) = (engine.shape(), &self.shape);
            return Err(format!("{} has other tensors: {found:?}; needed are {needed:?}", engine.name()));
        }
        Ok(engine)
    }

    /// What an answer of the active engine means: only the primary can be lost.
    fn judge(&mut self, done: Result<(), InferError>) -> Result<(), InferError> {
        if self.running != Running::Primary {
            return done;
        }
        match done {
            Ok(()) => Ok(()),
            Err(InferError::Lost { reason, .. }) => Err(self.lose(&reason, true)),
            Err(InferError::Run { engine, reason }) => {
                self.failures += 1;
                if self.failures < FAILURES_IN_A_ROW {
                    return Err(InferError::Run { engine, reason });
                }
                let often = format!("{reason} (the failure number {} in a row)", self.failures);
                Err(self.lose(&often, false))
            }
            // The picture's fault, not the engine's.
            Err(other) => Err(other),
        }
    }
}

impl Engine for Guarded {
    fn name(&self) -> &'static str {
        self.active.name()
    }

    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn max_batch(&self) -> usize {
        self.active.max_batch()
    }

    fn input(&mut self, slot: usize) -> InputMut<'_> {
        self.settle();
        self.active.input(slot)
    }

    fn draw(&mut self, slot: usize, drawing: &Drawing<'_>) -> Result<(), InferError> {
        self.settle();
        let done = self.active.draw(slot, drawing);
        // Nobody runs a frame that was not drawn; those of a batch that were drawn before it are run.
        self.is_between_frames = slot == 0 && done.is_err();
        self.judge(done)
    }

    fn draw_frame(
        &mut self,
        slot: usize,
        pixels: &dyn Pixels,
        place: Place,
        norm: &Normalise,
    ) -> Result<(), InferError> {
        self.settle();
        let done = self.active.draw_frame(slot, pixels, place, norm);
        self.is_between_frames = slot == 0 && done.is_err();
        self.judge(done)
    }

    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        let done = self.active.run(batch);
        self.is_between_frames = true;
        if done.is_ok() {
            self.failures = 0;
        }
        self.judge(done)
    }

    fn output(&self, output: usize, slot: usize) -> &[f32] {
        self.active.output(output, slot)
    }

    fn focus(&mut self, focus: Option<&Focus>) {
        self.focus = focus.cloned();
        self.active.focus(focus);
    }

    fn places(&self, slot: usize) -> Option<&[f32]> {
        self.active.places(slot)
    }

    fn remark(&self) -> Option<&str> {
        self.active.remark()
    }

    fn explain(&self) -> Option<&Explanation> {
        self.active.explain()
    }

    fn costs(&mut self, runs: usize, clock: &Clock) -> Costs {
        self.active.costs(runs, clock)
    }
}
