//! The options by which commands choose a model, and how the choice becomes a loaded engine.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::EngineChoice;
use crate::infer::{self, CatalogError, Engine, ModelCard, catalog};
use crate::runtime::environment;

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
    pub(super) fn path(&self) -> PathBuf {
        let set = self.models.clone().or_else(|| environment::var("PEREGRINE_MODELS").map(PathBuf::from));
        set.unwrap_or_else(|| PathBuf::from(MODELS_DIR))
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
    dir: ModelsDir,
}

impl ModelChoice {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(environment::processors, usize::from)
    }

    /// Finds the model and loads it; what had to be guessed about it is said on stderr.
    #[allow(clippy::print_stderr, reason = "a remark for whoever typed the command")]
    pub(super) fn open(&self, max_batch: usize) -> Result<(ModelCard, Box<dyn Engine>), Failure> {
        let card = catalog::card(&self.model, &self.dir.path()).map_err(config_failure)?;
        if let Some(note) = &card.note {
            eprintln!("peregrine: {note}");
        }
        let options = infer::Options { threads: self.threads(), max_batch, ..infer::Options::default() };
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
