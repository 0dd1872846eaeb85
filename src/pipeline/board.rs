//! What runs which model, all workers together: where failovers report to, and where the world hears of it from.
//!
//! A model has one state however many workers run it, the worst of theirs; it is told when it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::infer::{Change, Failover};
use crate::runtime::{Clock, Stop};
use crate::telemetry::{EngineMetrics, Metrics};
use crate::types::{EngineState, EngineStatus, Report};

/// See the head of the file.
pub struct Board {
    metrics: Arc<Metrics>,
    clock: Clock,
    tell: Box<dyn Fn(Report) + Send + Sync>,
    all_loaded: Stop,
    stages: Mutex<BTreeMap<String, Stage>>,
}

/// One model of the configuration.
struct Stage {
    model: String,
    metrics: Arc<EngineMetrics>,
    workers: BTreeMap<usize, Change>,
    told: Option<Together>,
}

impl Board {
    /// Nothing is loaded yet. `tell` is called on the engines' threads and must not wait.
    pub fn new(metrics: Arc<Metrics>, clock: Clock, tell: impl Fn(Report) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { metrics, clock, tell: Box::new(tell), all_loaded: Stop::new(), stages: Mutex::default() })
    }

    /// What the engine that a worker is about to load for a stage ("detect", "classify.NAME") reports to. The first worker starts even
    /// where its GPU fails; further ones are for GPUs only.
    pub(super) fn watch(self: &Arc<Self>, stage: &str, model: &str, worker: usize, backup_threads: usize) -> Failover {
        self.lock().entry(stage.to_owned()).or_insert_with(|| Stage {
            model: model.to_owned(),
            metrics: self.metrics.engine(stage, model),
            workers: BTreeMap::new(),
            told: None,
        });
        let (board, name) = (Arc::clone(self), stage.to_owned());
        Failover {
            name: stage.to_owned(),
            clock: self.clock,
            backup_threads: backup_threads.max(1),
            starts_without: worker == 0,
            all_loaded: self.all_loaded.clone(),
            tell: Arc::new(move |change| board.changed(&name, worker, change)),
        }
    }

    /// What an engine reports to that may take the place of the one that a worker is running. As long as that runs as chosen, another may
    /// not stand in for the new one from the start on: a smaller model on the processor would be slower than what is there, and the state
    /// would tell of an engine that nobody runs yet.
    pub(super) fn watch_candidate(
        self: &Arc<Self>,
        stage: &str,
        model: &str,
        worker: usize,
        backup_threads: usize,
    ) -> Failover {
        let watch = self.watch(stage, model, worker, backup_threads);
        let is_ill = |change: &Change| change.state != EngineState::Ok;
        let runs_otherwise = self.lock().get(stage).and_then(|s| s.workers.get(&worker)).is_some_and(is_ill);
        Failover { starts_without: watch.starts_without && runs_otherwise, ..watch }
    }

    /// The engine by which a worker runs a stage as chosen; None where another stands in for it, or none runs.
    pub(super) fn runs_well_on(&self, stage: &str, worker: usize) -> Option<&'static str> {
        let stages = self.lock();
        let change = stages.get(stage)?.workers.get(&worker)?;
        (change.state == EngineState::Ok).then_some(change.engine)
    }

    /// A worker has loaded a stage's model. One that had to take another engine has said so itself.
    pub(super) fn loaded(&self, stage: &str, worker: usize, engine: &'static str) {
        let mut stages = self.lock();
        let Some(entry) = stages.get_mut(stage) else { return };
        let well = || Change { state: EngineState::Ok, engine, reason: String::new() };
        entry.workers.entry(worker).or_insert_with(well);
        self.tell_if_new(stage, entry);
    }

    /// A worker runs another model for a stage from now on. Where several do, the state tells of the last one that changed.
    pub(super) fn swapped(&self, stage: &str, worker: usize, model: &str, engine: &'static str) {
        let mut stages = self.lock();
        let Some(entry) = stages.get_mut(stage) else { return };
        if entry.model != model {
            let before = std::mem::replace(&mut entry.metrics, self.metrics.engine(stage, model));
            [&before.workers, &before.fallback, &before.failed].into_iter().for_each(|gauge| gauge.set(0));
            entry.model = model.to_owned();
            entry.told = None;
        }
        if let Some(change) = entry.workers.get_mut(&worker).filter(|change| change.engine != engine) {
            *change = Change { state: EngineState::Ok, engine, reason: String::new() };
        }
        self.tell_if_new(stage, entry);
    }

    /// A worker is not needed, or could not be had.
    pub(super) fn left(&self, worker: usize) {
        for (stage, entry) in self.lock().iter_mut() {
            if entry.workers.remove(&worker).is_some() {
                self.tell_if_new(stage, entry);
            }
        }
    }

    /// All models of the start are there.
    pub(super) fn all_loaded(&self) {
        self.all_loaded.set();
    }

    fn changed(&self, stage: &str, worker: usize, change: Change) {
        let Change { state, engine, reason } = &change;
        match state {
            EngineState::Ok => log::info!(stage = "engine"; "{stage}, worker {worker}: {engine} runs it again"),
            EngineState::Degraded => {
                log::warn!(stage = "engine"; "{stage}, worker {worker}: {engine} stands in: {reason}");
            }
            EngineState::Failed => log::error!(stage = "engine"; "{stage}, worker {worker}: nothing runs it: {reason}"),
        }
        let mut stages = self.lock();
        // An engine reports to the board under the name for which it was to watch.
        let Some(entry) = stages.get_mut(stage) else { return };
        let before = entry.workers.insert(worker, change.clone());
        let was_well = before.is_none_or(|b| b.state == EngineState::Ok);
        if was_well && change.state != EngineState::Ok {
            entry.metrics.failures_total.inc();
        }
        self.tell_if_new(stage, entry);
    }

    /// The stages that do not run as chosen, each in a sentence.
    pub fn trouble(&self) -> Vec<String> {
        let sentence = |(stage, entry): (&String, &Stage)| {
            let now = entry.together();
            let state = now.state.as_str();
            (now.state != EngineState::Ok)
                .then(|| format!("{stage} is {state}, it runs on {}: {}", now.engine, now.reason))
        };
        self.lock().iter().filter_map(sentence).collect()
    }

    /// Told under the lock, so that the last word is the newest.
    fn tell_if_new(&self, stage: &str, entry: &mut Stage) {
        let now = entry.together();
        let of = |state| entry.workers.values().filter(|w| w.state == state).count() as i64;
        entry.metrics.fallback.set(of(EngineState::Degraded));
        entry.metrics.failed.set(of(EngineState::Failed));
        entry.metrics.workers.set(entry.workers.len() as i64);
        if entry.told.as_ref() == Some(&now) {
            return;
        }
        (self.tell)(Report::Engine(EngineStatus {
            stage: stage.to_owned(),
            model: entry.model.clone(),
            engine: now.engine.clone(),
            state: now.state,
            since: self.clock.now(),
            reason: now.reason.clone(),
        }));
        entry.told = Some(now);
    }

    // No call below panics half-way, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All workers of a stage taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Together {
    state: EngineState,
    engine: String,
    reason: String,
}

impl Stage {
    fn together(&self) -> Together {
        let engines: BTreeSet<_> = self.workers.values().map(|w| w.engine).collect();
        let ill: Vec<_> = self.workers.iter().filter(|(_, w)| w.state != EngineState::Ok).collect();
        let words = |(worker, w): &(&usize, &Change)| match self.workers.len() {
            1 => w.reason.clone(),
            _ => format!("worker {worker}: {}", w.reason),
        };
        Together {
            state: self.workers.values().map(|w| w.state).max().unwrap_or(EngineState::Ok),
            engine: engines.into_iter().collect::<Vec<_>>().join("+"),
            reason: ill.iter().map(words).collect::<Vec<_>>().join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> (Arc<Board>, Arc<Mutex<Vec<EngineStatus>>>, Arc<Metrics>) {
        let (told, metrics) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Metrics>::default());
        let tell = {
            let told = Arc::clone(&told);
            move |report| {
                if let Report::Engine(status) = report {
                    told.lock().expect("no panic").push(status);
                }
            }
        };
        (Board::new(Arc::clone(&metrics), Clock::start(), tell), told, metrics)
    }

    fn change(state: EngineState, engine: &'static str, reason: &str) -> Change {
        Change { state, engine, reason: reason.to_owned() }
    }

    /// Two workers that run on GPUs.
    fn both(board: &Arc<Board>) -> (Failover, Failover) {
        let watch = |worker| board.watch("detect", "yolov8n", worker, 1);
        let both = (watch(0), watch(1));
        board.loaded("detect", 0, "tensorrt");
        board.loaded("detect", 1, "tensorrt");
        both
    }

    #[test]
    fn a_worker_that_starts_on_another_engine_is_not_taken_for_well() {
        let (board, told, metrics) = board();
        let watch = board.watch("detect", "yolov8n", 0, 1);
        (watch.tell)(change(EngineState::Degraded, "int8", "tensorrt: out of memory"));
        board.loaded("detect", 0, "int8");
        assert_eq!(board.trouble(), ["detect is degraded, it runs on int8: tensorrt: out of memory"]);
        let states: Vec<_> = told.lock().expect("no panic").iter().map(|s| s.state).collect();
        assert_eq!((states, metrics.engine("detect", "yolov8n").fallback.get()), (vec![EngineState::Degraded], 1));
    }

    #[test]
    fn a_smaller_model_is_told_of_and_counted_under_its_own_name() {
        let (board, told, metrics) = board();
        let _watch = board.watch("detect", "yolov8n_640", 0, 1);
        board.loaded("detect", 0, "int8");
        board.swapped("detect", 0, "yolov8n_320", "int8");
        board.swapped("detect", 0, "yolov8n_320", "int8");
        let models: Vec<_> = told.lock().expect("no panic").iter().map(|s| s.model.clone()).collect();
        assert_eq!(models, ["yolov8n_640", "yolov8n_320"]);
        let workers = |model| metrics.engine("detect", model).workers.get();
        assert_eq!((workers("yolov8n_640"), workers("yolov8n_320")), (0, 1));
    }

    #[test]
    fn no_other_engine_may_stand_in_for_a_model_that_is_to_replace_one_that_runs_well() {
        let (board, told, _) = board();
        let (first, _) = both(&board);
        assert!(!board.watch_candidate("detect", "yolov8n_320", 0, 1).starts_without);
        assert_eq!(board.runs_well_on("detect", 0), Some("tensorrt"));
        assert_eq!(told.lock().expect("no panic").len(), 1, "nobody hears of what does not run yet");
        (first.tell)(change(EngineState::Degraded, "int8", "tensorrt: gone"));
        assert!(board.watch_candidate("detect", "yolov8n_320", 0, 1).starts_without, "it is no loss then");
        assert!(!board.watch_candidate("detect", "yolov8n_320", 1, 1).starts_without);
        assert_eq!(board.runs_well_on("detect", 0), None);
    }

    #[test]
    fn a_worker_that_could_not_be_had_leaves_no_trace() {
        let (board, told, metrics) = board();
        both(&board);
        board.left(1);
        assert_eq!((told.lock().expect("no panic").len(), metrics.engine("detect", "yolov8n").workers.get()), (1, 1));
    }

    #[test]
    fn workers_that_run_as_chosen_are_told_of_once() {
        let (board, told, _) = board();
        both(&board);
        let told = told.lock().expect("no panic");
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].engine.as_str(), told[0].state, told[0].model.as_str()),
            ("tensorrt", EngineState::Ok, "yolov8n")
        );
        assert!(board.trouble().is_empty());
    }

    #[test]
    fn a_model_is_as_ill_as_its_worst_worker_and_well_when_all_are() {
        let (board, told, metrics) = board();
        let (first, second) = both(&board);
        (first.tell)(change(EngineState::Failed, "none", "tensorrt: gone"));
        (first.tell)(change(EngineState::Degraded, "int8", "tensorrt: gone"));
        (second.tell)(change(EngineState::Degraded, "int8", "tensorrt: gone too"));
        let numbers = metrics.engine("detect", "yolov8n");
        assert_eq!((numbers.fallback.get(), numbers.failed.get(), numbers.failures_total.get()), (2, 0, 2));
        assert!(board.trouble()[0].contains("detect is degraded, it runs on int8: worker 0: tensorrt: gone; worker 1"));
        (first.tell)(change(EngineState::Ok, "tensorrt", ""));
        (second.tell)(change(EngineState::Ok, "tensorrt", ""));
        assert_eq!(numbers.fallback.get(), 0);
        let told = told.lock().expect("no panic");
        let states: Vec<_> = told.iter().map(|s| (s.state, s.engine.as_str())).collect();
        use EngineState::{Degraded, Failed, Ok};
        let want = [
            (Ok, "tensorrt"),
            (Failed, "none+tensorrt"),
            (Degraded, "int8+tensorrt"),
            (Degraded, "int8"),
            (Degraded, "int8+tensorrt"),
            (Ok, "tensorrt"),
        ];
        assert_eq!(states, want);
        assert!(told.last().expect("told").reason.is_empty());
    }
}
