//! From the configuration to loaded models.

use std::sync::Arc;

use super::analyst::Analyst;
use super::board::Board;
use super::names::strangers;
use crate::classify::{Classifier, ClassifyError};
use crate::config::{self, Config, EngineChoice};
use crate::detect::{self, DetectError, Detector};
use crate::infer::{self, CatalogError, Engine, InferError, ModelCard, Progress, catalog};
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::types::SurfaceGate;
use crate::types::names::did_you_mean;

/// What the first stage is called.
pub(super) const DETECT: &str = "detect";

/// Why the models of a configuration cannot be had; each names the key under which the model stands, and says its cause itself.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such model, or no readable manifest.
    #[error("{key}: {cause}")]
    Catalog {
        /// Where the configuration names it.
        key: String,
        /// What is wrong.
        cause: CatalogError,
    },
    /// The engine does not take the model.
    #[error("{key}: {cause}")]
    Engine {
        /// Where the configuration names it.
        key: String,
        /// What is wrong.
        cause: InferError,
    },
    /// The model is no detector that we know.
    #[error("detect: {0}")]
    Detector(DetectError),
    /// The model is no classifier that we know.
    #[error("classify.{name}: {cause}")]
    Classifier {
        /// Its name in the configuration.
        name: String,
        /// What is wrong.
        cause: Box<ClassifyError>,
    },
    /// Zones, lines or alerts are about classes that the detector has not; each with its key.
    #[error("{}", .0.join("; "))]
    Strangers(Vec<String>),
}

impl LoadError {
    /// Whether the same may go well another time: nothing that the owner wrote is wrong.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Engine { cause, .. } if cause.may_pass())
    }
}

/// What models are loaded from, and who hears of it.
pub struct Loading<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where stages are timed.
    pub metrics: &'a Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// Who hears what runs the models, now and later.
    pub board: &'a Arc<Board>,
    /// Who hears how far the loading has come.
    pub progress: Progress,
}

impl Loading<'_> {
    /// Loads every model that the configuration names, for as many workers as the engine of the detector can make use of: one on the
    /// processor, `tensorrt.workers_per_device` for each GPU.
    ///
    /// # Errors
    /// At the first that cannot be had.
    pub fn all(&self) -> Result<Vec<Analyst>, LoadError> {
        let gpus = gpu_of_each_worker(&self.config.tensorrt);
        let mut all = vec![self.worker(0, &gpus, self.config.detect.engine)?];
        let workers = if all[0].detects_on() == infer::TENSORRT { gpus.len() } else { 1 };
        for worker in 1..workers {
            all.extend(self.further(worker, &gpus)?);
        }
        self.board.all_loaded();
        Ok(all)
    }

    /// A worker beside one that has a GPU. Where there is no GPU for it there is none: on the processor it would take from the others
    /// more than it gives.
    fn further(&self, worker: usize, gpus: &[u32]) -> Result<Option<Analyst>, LoadError> {
        let choice = self.config.detect.engine;
        let reason = match self.worker(worker, gpus, EngineChoice::Tensorrt) {
            Ok(analyst) if analyst.detects_on() == infer::TENSORRT => return Ok(Some(analyst)),
            Ok(analyst) => format!("its detector would run on {}", analyst.detects_on()),
            Err(e) if e.may_pass() || choice == EngineChoice::Auto => e.to_string(),
            Err(e) => return Err(e),
        };
        self.board.left(worker);
        log::warn!(stage = "engine"; "the start goes on without worker {worker} (GPU {}): {reason}", gpus[worker]);
        Ok(None)
    }

    /// Loads every model that the configuration names once.
    ///
    /// # Errors
    /// At the first that cannot be had.
    pub fn one(&self) -> Result<Analyst, LoadError> {
        let one = self.worker(0, &gpu_of_each_worker(&self.config.tensorrt)[..1], self.config.detect.engine)?;
        self.board.all_loaded();
        Ok(one)
    }

    /// A detector for a worker that is running with another one. What runs on a GPU is replaced by what runs there, too, or by nothing:
    /// where there is no room for both on it, a smaller model on the processor would be slower than the larger one is.
    pub(super) fn another(&self, model: &str, worker: usize) -> Result<Detector, LoadError> {
        let (config, gpus) = (self.config, gpu_of_each_worker(&self.config.tensorrt));
        let is_on_gpu = self.board.runs_well_on(DETECT, worker) == Some(infer::TENSORRT);
        let choice = if worker != 0 || is_on_gpu { EngineChoice::Tensorrt } else { config.detect.engine };
        let seat = Seat { worker, gpus: &gpus, is_taken: true };
        let (card, engine) = self.open(DETECT, model, choice, 1, seat)?;
        Detector::new(engine, &card, &detect::Settings::from(&config.detect)).map_err(LoadError::Detector)
    }

    fn worker(&self, worker: usize, gpus: &[u32], detects_on: EngineChoice) -> Result<Analyst, LoadError> {
        let config = self.config;
        let seat = Seat { worker, gpus, is_taken: false };
        let open = |stage: &str, model: &str, choice, share| self.open(stage, model, choice, share, seat);
        let (card, engine) = open(DETECT, &config.detect.model, detects_on, 1)?;
        let detector =
            Detector::new(engine, &card, &detect::Settings::from(&config.detect)).map_err(LoadError::Detector)?;
        let strangers = strangers(config, &card.name, detector.classes());
        if !strangers.is_empty() {
            return Err(LoadError::Strangers(strangers));
        }
        // Workers that have a GPU share the processor for what does not run there.
        let share = if detector.engine_name() == infer::TENSORRT { gpus.len() } else { 1 };
        let mut classifiers = Vec::with_capacity(config.classify.len());
        for (name, settings) in &config.classify {
            let (card, engine) = open(&format!("classify.{name}"), &settings.model, settings.engine, share)?;
            let classifier = Classifier::new(name, engine, &card, settings.clone(), detector.classes())
                .map_err(|cause| LoadError::Classifier { name: name.clone(), cause: Box::new(cause) })?;
            classifiers.push(classifier);
        }
        Ok(Analyst::new(detector, classifiers, Arc::clone(self.metrics), self.clock).of_worker(worker))
    }

    fn open(
        &self,
        stage: &str,
        model: &str,
        choice: EngineChoice,
        share: usize,
        Seat { worker, gpus, is_taken }: Seat<'_>,
    ) -> Result<(ModelCard, Box<dyn Engine>), LoadError> {
        let key = format!("{stage}.model");
        let config = self.config;
        let card = catalog::card(model, &config.paths.models)
            .map_err(|cause| LoadError::Catalog { key: key.clone(), cause })?;
        let threads = (config.detect.threads / share).max(1);
        let backup_threads = config.detect.threads / gpus.len();
        let watch = match is_taken {
            true => self.board.watch_candidate(stage, &card.name, worker, backup_threads),
            false => self.board.watch(stage, &card.name, worker, backup_threads),
        };
        let options = infer::Options {
            threads,
            // Classifiers look at one track after the other.
            max_batch: if stage == DETECT { config.schedule.max_batch } else { 1 },
            one_on_cpu: true,
            gpu: infer::Gpu::of(config, gpus[worker]),
            progress: self.progress.clone(),
            // Should the GPU fail, all workers compute on the processor at once.
            failover: Some(watch),
        };
        let engine =
            infer::open(choice, &card.path, &options).map_err(|cause| LoadError::Engine { key: key.clone(), cause })?;
        if let Some(remark) = engine.remark() {
            log::warn!(stage = "engine"; "{remark}");
        }
        let name = engine.name();
        let place = if name == infer::TENSORRT {
            format!("GPU {}, worker {worker}", gpus[worker])
        } else {
            format!("{threads} threads")
        };
        log::info!(stage = "engine"; "{key} = {model}: {name} on {place}");
        self.board.loaded(stage, worker, name);
        Ok((card, engine))
    }
}

/// Whom an engine is for.
#[derive(Clone, Copy)]
struct Seat<'a> {
    worker: usize,
    /// Of every worker.
    gpus: &'a [u32],
    /// Whether the worker is running with another engine for the same stage.
    is_taken: bool,
}

/// Neighbouring workers have different GPUs, so that two workers already use both.
fn gpu_of_each_worker(settings: &config::Tensorrt) -> Vec<u32> {
    let devices = if settings.devices.is_empty() { &[0][..] } else { &settings.devices };
    let workers = devices.len() * settings.workers_per_device.max(1);
    devices.iter().copied().cycle().take(workers).collect()
}

/// Whether frames may stay in memory of the video hardware: where the owner lets them, and the detector may run on a GPU that reads them
/// there. Cameras open before the models are loaded, so whoever then finds the detector elsewhere closes the gate.
pub fn surfaces(config: &Config) -> Arc<SurfaceGate> {
    if config.ingest.nvmm == config::Nvmm::Off {
        return SurfaceGate::closed("ingest.nvmm is \"off\"");
    }
    match config.detect.engine {
        EngineChoice::Auto | EngineChoice::Tensorrt => SurfaceGate::new(infer::takes_surfaces),
        EngineChoice::Int8 | EngineChoice::Tract => SurfaceGate::closed("the detector runs on the processor"),
    }
}

/// What `run` would refuse in a configuration's models, as far as it can be told without loading them. A model that is not on this
/// machine is a warning: the configuration may be meant for another one.
pub fn examine(config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    let mut card = |key: &str, model: &str, errors: &mut Vec<String>| match catalog::card(model, &config.paths.models) {
        Ok(card) => Some(card),
        Err(e @ CatalogError::Missing { .. }) => {
            warnings.push(format!("{key}: {e}"));
            None
        }
        Err(e) => {
            errors.push(format!("{key}: {e}"));
            None
        }
    };
    let detector = card("detect.model", &config.detect.model, &mut errors);
    let unknown = |key: &str, classes: &[String]| -> Vec<String> {
        let Some(card) = &detector else { return Vec::new() };
        let strangers = classes.iter().filter(|c| card.classes.id(c).is_none());
        let tell = |class: &String| {
            let hint = did_you_mean(class, card.classes.iter());
            format!("{key}: {class:?} is no class of {}{hint}", card.name)
        };
        strangers.map(tell).collect()
    };
    errors.extend(unknown("detect.classes", &config.detect.classes));
    for (name, settings) in &config.classify {
        card(&format!("classify.{name}.model"), &settings.model, &mut errors);
        errors.extend(unknown(&format!("classify.{name}.classes"), &settings.classes));
    }
    if let Some(card) = &detector {
        errors.extend(strangers(config, &card.name, &card.classes));
    }
    (errors, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_the_gpus_in_turn() {
        let settings = |devices: &[u32], workers_per_device| config::Tensorrt {
            devices: devices.to_vec(),
            workers_per_device,
            ..config::Tensorrt::default()
        };
        assert_eq!(gpu_of_each_worker(&settings(&[0], 2)), [0, 0]);
        assert_eq!(gpu_of_each_worker(&settings(&[0, 3], 2)), [0, 3, 0, 3]);
    }
}
