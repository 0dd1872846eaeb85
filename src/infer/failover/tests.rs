//! Scripted engines: what one loses, the other computes; time is a number that the test sets.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::infer::OutputShape;

/// What a run of an engine is to do.
#[derive(Debug, Clone, Copy)]
enum Act {
    Work,
    Fail,
    Vanish,
}

/// Copies its input's first number to its output, times its own factor, unless its script says otherwise.
struct Scripted {
    name: &'static str,
    shape: ModelShape,
    factor: f32,
    script: VecDeque<Act>,
    input: Vec<f32>,
    output: Vec<f32>,
    confidence: f32,
}

impl Scripted {
    fn boxed(name: &'static str, factor: f32, script: &[Act]) -> Box<dyn Engine> {
        Self::of_height(name, factor, script, 2)
    }

    fn of_height(name: &'static str, factor: f32, script: &[Act], height: usize) -> Box<dyn Engine> {
        let outputs = vec![OutputShape { name: "out".to_owned(), dims: vec![2] }];
        Box::new(Self {
            name,
            shape: ModelShape { input_chw: [3, height, 2], outputs },
            factor,
            script: script.iter().copied().collect(),
            input: vec![0.0; 3 * height * 2],
            output: vec![0.0; 2],
            confidence: 0.0,
        })
    }
}

impl Engine for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.input)
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        match self.script.pop_front().unwrap_or(Act::Work) {
            Act::Work => {
                self.output = vec![self.input[0] * self.factor, self.confidence];
                Ok(())
            }
            Act::Fail => Err(InferError::Run { engine: self.name, reason: "a bad day".to_owned() }),
            Act::Vanish => Err(InferError::Lost { engine: self.name, reason: "fell off the bus".to_owned() }),
        }
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.output
    }
    fn focus(&mut self, focus: Option<&Focus>) {
        self.confidence = focus.map_or(0.0, |f| f.confidence);
    }
}

type Made = Result<Box<dyn Engine>, InferError>;

/// An engine under test, and the strings by which it is pulled.
struct Stage {
    guarded: Guarded,
    now_ms: Arc<AtomicU64>,
    told: Arc<Mutex<Vec<Change>>>,
    is_recovered: Arc<AtomicBool>,
    primaries: Sender<Made>,
    backups: Sender<Made>,
}

/// Gives what the test sends; waits until it does.
fn opener(made: Receiver<Made>) -> Opener {
    let made = Mutex::new(made);
    Arc::new(move || {
        let never = |_| refusal("the test is over");
        made.lock().expect("no panic").recv().unwrap_or_else(never)
    })
}

fn refusal(reason: &str) -> Made {
    Err(InferError::Run { engine: "gpu", reason: reason.to_owned() })
}

fn all_loaded() -> Stop {
    let all_loaded = Stop::new();
    all_loaded.set();
    all_loaded
}

fn stage(script: &[Act]) -> Stage {
    stage_of(Scripted::boxed("gpu", 10.0, script), None)
}

fn stage_of(active: Box<dyn Engine>, lost: Option<&str>) -> Stage {
    let is_recovered = Arc::<AtomicBool>::default();
    let now_ms = Arc::new(AtomicU64::new(0));
    let told = Arc::<Mutex<Vec<Change>>>::default();
    let ((primaries, reopened), (backups, loaded)) = (channel(), channel());
    let watch = Failover {
        name: "detect".to_owned(),
        clock: Clock::start(),
        backup_threads: 1,
        starts_without: true,
        all_loaded: all_loaded(),
        tell: Arc::new({
            let told = Arc::clone(&told);
            move |change| told.lock().expect("no panic").push(change)
        }),
    };
    let parts = Parts {
        active,
        lost: lost.map(str::to_owned),
        is_recovered: Arc::new({
            let is_recovered = Arc::clone(&is_recovered);
            move || is_recovered.load(Ordering::Relaxed)
        }),
        reopen: opener(reopened),
        backup: opener(loaded),
        retry_after: Duration::from_secs(30),
        watch,
    };
    let now = Arc::clone(&now_ms);
    let clock = Box::new(move || Duration::from_millis(now.load(Ordering::Relaxed)));
    let guarded = Guarded::new(parts, clock, Duration::ZERO);
    Stage { guarded, now_ms, told, is_recovered, primaries, backups }
}

impl Stage {
    /// The backup is loaded, and the engine has noticed.
    fn with_backup(mut self) -> Self {
        self.backups.send(Ok(Scripted::boxed("cpu", 2.0, &[]))).expect("the opener waits");
        self.await_backup();
        self
    }

    fn await_backup(&mut self) {
        if let Backup::Loading(opening) = &self.guarded.backup {
            let answer = opening.answer(Duration::from_secs(60)).expect("it was sent");
            self.guarded.backup = match self.guarded.fitting(answer) {
                Ok(engine) => Backup::Ready(engine),
                Err(_) => Backup::Refused,
            };
        }
    }

    /// The thread that opens the primary again has answered: its answer lies ready.
    fn await_primary(&mut self, made: Made) {
        self.primaries.send(made).expect("the opener waits");
        let opening = self.guarded.reopening.take().expect("it is being opened");
        let answer = opening.answer(Duration::from_secs(60)).expect("it was sent");
        self.guarded.reopening = Some(Opening::answered(answer));
    }

    /// One frame, as a detector does it: drawn again once where the engine was lost.
    fn frame(&mut self, value: f32) -> Result<f32, InferError> {
        match self.attempt(value) {
            Err(e) if e.is_lost() => self.attempt(value),
            done => done,
        }
    }

    fn attempt(&mut self, value: f32) -> Result<f32, InferError> {
        let chw = self.guarded.shape.input_chw;
        self.guarded.input(0).fill(chw, |_| value);
        self.guarded.run(1)?;
        Ok(self.guarded.output(0, 0)[0])
    }

    fn at(&self, secs: u64) {
        self.now_ms.store(secs * 1000, Ordering::Relaxed);
    }

    fn states(&self) -> Vec<(EngineState, &'static str)> {
        self.told.lock().expect("no panic").iter().map(|c| (c.state, c.engine)).collect()
    }
}

#[test]
fn the_frame_on_which_the_engine_was_lost_is_computed_by_the_backup() {
    let mut stage = stage(&[Act::Work, Act::Vanish]).with_backup();
    assert_eq!(stage.frame(1.0).expect("the primary"), 10.0);
    assert_eq!(stage.frame(3.0).expect("the backup"), 6.0);
    assert_eq!(stage.guarded.name(), "cpu");
    let told = stage.told.lock().expect("no panic");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].state, EngineState::Degraded);
    assert!(told[0].reason.contains("gpu: fell off the bus"), "{}", told[0].reason);
}

#[test]
fn ordinary_failures_are_the_callers_until_three_come_in_a_row() {
    let script = [Act::Fail, Act::Fail, Act::Work, Act::Fail, Act::Fail, Act::Fail];
    let mut stage = stage(&script).with_backup();
    assert!(stage.frame(1.0).is_err() && stage.frame(1.0).is_err());
    assert_eq!(stage.frame(1.0).expect("ran"), 10.0);
    assert!(stage.frame(1.0).is_err() && stage.frame(1.0).is_err());
    assert!(stage.states().is_empty());
    assert_eq!(stage.frame(1.0).expect("the third one is computed by the backup"), 2.0);
    assert_eq!(stage.states(), [(EngineState::Degraded, "cpu")]);
}

#[test]
fn the_primary_comes_back_when_its_time_has_come_and_not_within_a_frame() {
    let mut stage = stage(&[Act::Vanish]).with_backup();
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    stage.at(29);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert!(stage.guarded.reopening.is_none());
    stage.at(30);
    assert_eq!(stage.frame(1.0).expect("the backup goes on meanwhile"), 2.0);
    let chw = stage.guarded.shape.input_chw;
    stage.guarded.input(0).fill(chw, |_| 5.0);
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[])));
    stage.guarded.run(1).expect("ran");
    assert_eq!(stage.guarded.output(0, 0)[0], 10.0, "the frame that was drawn for the backup is computed by it");
    assert_eq!(stage.frame(1.0).expect("the primary"), 10.0);
    assert_eq!(stage.states(), [(EngineState::Degraded, "cpu"), (EngineState::Ok, "gpu")]);
    assert!(stage.told.lock().expect("no panic")[1].reason.is_empty());
}

#[test]
fn it_can_be_lost_again_and_the_same_backup_stands_in() {
    let mut stage = stage(&[Act::Vanish]).with_backup();
    stage.frame(1.0).expect("the backup");
    stage.at(30);
    stage.frame(1.0).expect("the backup");
    // Its first run is the trial.
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[Act::Work, Act::Work, Act::Vanish])));
    assert_eq!(stage.frame(1.0).expect("the primary"), 10.0);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    stage.at(89);
    stage.frame(1.0).expect("the backup");
    assert!(stage.guarded.reopening.is_none(), "it did not hold: the pause is a minute now");
    stage.at(90);
    stage.frame(1.0).expect("the backup");
    assert!(stage.guarded.reopening.is_some());
}

#[test]
fn an_attempt_that_fails_is_followed_by_a_longer_pause() {
    let mut stage = stage(&[Act::Vanish]).with_backup();
    stage.frame(1.0).expect("the backup");
    stage.at(30);
    stage.frame(1.0).expect("the backup");
    stage.await_primary(refusal("no driver"));
    stage.frame(1.0).expect("the backup");
    stage.at(89);
    stage.frame(1.0).expect("the backup");
    assert!(stage.guarded.reopening.is_none());
    stage.at(90);
    stage.frame(1.0).expect("the backup");
    assert!(stage.guarded.reopening.is_some());
    // One that opens and does not run is no engine.
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[Act::Fail])));
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert_eq!(stage.states(), [(EngineState::Degraded, "cpu")]);
}

#[test]
fn without_a_backup_frames_fail_in_words_until_one_is_loaded() {
    let mut stage = stage(&[Act::Vanish]);
    let refused = stage.frame(1.0).expect_err("nobody computes");
    assert!(refused.to_string().contains("fell off the bus"), "{refused}");
    assert_eq!(stage.guarded.name(), "none");
    stage.backups.send(Ok(Scripted::boxed("cpu", 2.0, &[]))).expect("the opener waits");
    stage.guarded.wait_until = Duration::from_secs(60);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert_eq!(stage.states(), [(EngineState::Failed, "none"), (EngineState::Degraded, "cpu")]);
}

#[test]
fn the_primary_comes_back_even_where_nothing_stood_in() {
    let mut stage = stage(&[Act::Vanish]);
    stage.backups.send(refusal("no memory")).expect("the opener waits");
    stage.await_backup();
    assert!(stage.frame(1.0).is_err());
    stage.at(30);
    assert!(stage.frame(1.0).is_err());
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[])));
    assert_eq!(stage.frame(1.0).expect("the primary"), 10.0);
    assert_eq!(stage.states(), [(EngineState::Failed, "none"), (EngineState::Ok, "gpu")]);
}

#[test]
fn an_engine_with_other_tensors_stands_in_for_nobody() {
    let stage = stage(&[Act::Vanish]);
    stage.backups.send(Ok(Scripted::of_height("cpu", 2.0, &[], 4))).expect("the opener waits");
    let Backup::Loading(opening) = &stage.guarded.backup else { panic!("it is being loaded") };
    let answer = opening.answer(Duration::from_secs(60)).expect("it was sent");
    let told = stage.guarded.fitting(answer).err().expect("refused");
    assert!(told.contains("cpu has other tensors") && told.contains("[3, 2, 2]"), "{told}");
}

#[test]
fn what_is_looked_for_is_known_to_whoever_computes() {
    let mut stage = stage(&[Act::Work, Act::Vanish]).with_backup();
    stage.guarded.focus(Some(&Focus { confidence: 0.25, classes: None }));
    for _ in 0..2 {
        stage.frame(1.0).expect("ran");
        assert_eq!(stage.guarded.output(0, 0)[1], 0.25, "{}", stage.guarded.name());
    }
    stage.at(30);
    stage.frame(1.0).expect("the backup");
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[])));
    stage.frame(1.0).expect("the primary");
    assert_eq!((stage.guarded.name(), stage.guarded.output(0, 0)[1]), ("gpu", 0.25));
}

#[test]
fn a_picture_that_cannot_be_read_is_not_the_engines_fault() {
    let mut stage = stage(&[]).with_backup();
    for _ in 0..5 {
        let done = Err(InferError::Pixels(crate::pixels::PixelError::Empty { width_px: 0, height_px: 0 }));
        assert!(matches!(stage.guarded.judge(done), Err(InferError::Pixels(_))));
    }
    assert!(stage.states().is_empty());
}

#[test]
fn frames_wait_for_the_backup_once_a_loss_and_not_each_of_them() {
    let mut stage = stage(&[Act::Vanish]);
    stage.guarded.patience = Duration::from_secs(2);
    assert_eq!(stage.guarded.wait(), Duration::ZERO, "nobody waits while the primary runs");
    stage.at(10);
    assert!(stage.attempt(1.0).is_err());
    assert_eq!(stage.guarded.wait(), Duration::from_secs(2));
    stage.at(11);
    assert_eq!(stage.guarded.wait(), Duration::from_secs(1));
    stage.at(12);
    assert_eq!(stage.guarded.wait(), Duration::ZERO);
}

#[test]
fn a_gpu_that_fails_at_the_start_is_told_of_and_tried_again() {
    let mut stage = stage_of(Scripted::boxed("cpu", 2.0, &[]), Some("gpu: out of memory"));
    assert_eq!(stage.states(), [(EngineState::Degraded, "cpu")]);
    assert_eq!(stage.told.lock().expect("no panic")[0].reason, "gpu: out of memory");
    stage.at(29);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert!(stage.guarded.reopening.is_none());
    stage.at(30);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    stage.await_primary(Ok(Scripted::boxed("gpu", 10.0, &[Act::Work, Act::Work, Act::Vanish])));
    assert_eq!(stage.frame(1.0).expect("the primary"), 10.0);
    assert_eq!(stage.frame(1.0).expect("the same backup"), 2.0);
    let states: Vec<_> = stage.states().into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, [EngineState::Degraded, EngineState::Ok, EngineState::Degraded]);
}

#[test]
fn an_engine_that_hears_late_of_a_loss_is_tried_again_at_once() {
    let mut stage = stage(&[Act::Vanish]).with_backup();
    stage.is_recovered.store(true, Ordering::Relaxed);
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert!(stage.guarded.reopening.is_some(), "others have the GPU again");
}

#[test]
fn three_failures_on_a_sound_gpu_are_not_tried_again_at_once() {
    let mut stage = stage(&[Act::Fail, Act::Fail, Act::Fail]).with_backup();
    stage.is_recovered.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let _ = stage.frame(1.0);
    }
    assert_eq!(stage.frame(1.0).expect("the backup"), 2.0);
    assert!(stage.guarded.reopening.is_none());
}

#[test]
fn a_backup_is_not_loaded_before_all_models_are_unless_it_is_needed() {
    for is_needed in [false, true] {
        let (say, begun) = channel();
        let say = Mutex::new(say);
        let open: Opener = Arc::new(move || {
            say.lock().expect("no panic").send(()).expect("the test waits");
            refusal("this is enough")
        });
        let all_loaded = Stop::new();
        let opening = Opening::begin_after(&all_loaded, "engine-backup", &open);
        assert!(opening.answer(Duration::from_millis(20)).is_none() && begun.try_recv().is_err());
        if is_needed {
            opening.hurry();
        } else {
            all_loaded.set();
        }
        begun.recv_timeout(Duration::from_secs(60)).expect("it begins");
    }
}
