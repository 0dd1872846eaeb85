//! The options by which commands choose a model, and how the choice becomes a loaded engine.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, configuration, progress};
use crate::config::{self, Config, EngineChoice, Precision};
use crate::infer::{self, CatalogError, Engine, ModelCard, catalog};
use crate::runtime::{Clock, environment};

/// Where packages put models; the configuration's `paths.models` has the same default.
const MODELS_DIR: &str = "/usr/share/peregrine/models";

/// Where models lie.
#[derive(Debug, Clone, Args)]
pub(super) struct ModelsDir {
    /// Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]
    #[arg(long, value_name = "DIR", global = true)]
    models: Option<PathBuf>,
}

impl ModelsDir {
    /// Whether somebody said where they lie.
    pub(super) fn is_named(&self) -> bool {
        self.models.is_some() || environment::var("PEREGRINE_MODELS").is_some()
    }

    pub(super) fn path(&self) -> PathBuf {
        let set = self.models.clone().or_else(|| environment::var("PEREGRINE_MODELS").map(PathBuf::from));
        set.unwrap_or_else(|| PathBuf::from(MODELS_DIR))
    }
}

/// Where engines are kept that were built on this device; the configuration's `paths.state` has the same default.
const STATE_DIR: &str = "/var/lib/peregrine";

/// Where and how an NVIDIA GPU is to compute.
#[derive(Debug, Clone, Args)]
pub(super) struct GpuChoice {
    /// Number of the GPU (engine tensorrt)
    #[arg(long, value_name = "N", default_value = "0")]
    pub(super) device: u32,
    /// Numbers in which the GPU computes (engine tensorrt)
    #[arg(long, value_name = "P", value_enum, default_value = "auto")]
    precision: Precision,
    /// Folder of what is kept; engines that were built lie in its folder `engines` [default: $PEREGRINE_STATE, else /var/lib/peregrine]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl GpuChoice {
    pub(super) fn gpu(&self) -> infer::Gpu {
        infer::Gpu { device: self.device, settings: self.settings(), ..infer::Gpu::default() }.keeping(&self.state())
    }

    fn settings(&self) -> config::Tensorrt {
        config::Tensorrt { devices: vec![self.device], precision: self.precision, ..config::Tensorrt::default() }
    }

    fn state(&self) -> PathBuf {
        let set = self.state.clone().or_else(|| environment::var("PEREGRINE_STATE").map(PathBuf::from));
        set.unwrap_or_else(|| PathBuf::from(STATE_DIR))
    }
}

/// Which model, and what runs it.
#[derive(Debug, Clone, Args)]
pub(super) struct ModelChoice {
    /// A name from the manifest (see `peregrine model list`), or an ONNX file
    #[arg(long, value_name = "NAME|FILE")]
    model: String,
    /// What runs it
    #[arg(long, value_enum, default_value = "auto")]
    engine: EngineChoice,
    /// Threads of the engine [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    gpu: GpuChoice,
    #[command(flatten)]
    dir: ModelsDir,
}

impl ModelChoice {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(environment::processors, usize::from)
    }

    /// The configuration of a daemon that detects with it and has nothing else to do.
    pub(super) fn config(&self, max_batch: usize) -> Result<Config, Failure> {
        let mut config = configuration::defaults()?;
        config.paths = config::Paths { models: self.dir.path(), state: self.gpu.state() };
        config.tensorrt = self.gpu.settings();
        config.detect.model.clone_from(&self.model);
        config.detect.engine = self.engine;
        config.detect.threads = self.threads();
        config.schedule.max_batch = max_batch;
        Ok(config)
    }

    /// Finds the model and loads it; what had to be guessed about it is said on stderr.
    #[allow(clippy::print_stderr, reason = "a remark for whoever typed the command")]
    pub(super) fn open(&self, max_batch: usize) -> Result<(ModelCard, Box<dyn Engine>), Failure> {
        let card = catalog::card(&self.model, &self.dir.path()).map_err(config_failure)?;
        if let Some(note) = &card.note {
            eprintln!("peregrine: {note}");
        }
        let options = infer::Options {
            threads: self.threads(),
            max_batch,
            one_on_cpu: false,
            gpu: self.gpu.gpu(),
            progress: progress::building(Clock::start()),
            // What is measured is the engine that was asked for, not one that stands in.
            failover: None,
        };
        let engine = infer::open(self.engine, &card.path, &options).map_err(|e| Failure::Config(e.to_string()))?;
        if let Some(remark) = engine.remark() {
            eprintln!("peregrine: {remark}");
        }
        Ok((card, engine))
    }
}

pub(super) fn config_failure(e: CatalogError) -> Failure {
    match e {
        CatalogError::Unreadable { .. } => Failure::Input(e.to_string()),
        _ => Failure::Config(e.to_string()),
    }
}
