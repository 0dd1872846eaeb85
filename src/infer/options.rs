//! How a model is to be opened: what of it is the owner's choice, and who hears of what happens to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Failover, Progress};
use crate::config;

/// How a model is to be opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads for one run on the processor, at least 1.
    pub threads: usize,
    /// Inputs of one run, at most; at least 1.
    pub max_batch: usize,
    /// Whether an engine on the processor takes one input only, whatever `max_batch` says: it computes one after the other, so that a batch
    /// saves no time and costs memory.
    pub one_on_cpu: bool,
    /// For engines that compute on a GPU.
    pub gpu: Gpu,
    /// Who is told how far a start has come that takes minutes.
    pub progress: Progress,
    /// Where a GPU is lost: another engine stands in, and these hear of it. None: its failures are the caller's, as a measurement
    /// wants it.
    pub failover: Option<Failover>,
}

/// Fills a tensor (channel after channel) with picture number so and so; false when there are no more.
pub type FillPicture = Arc<dyn Fn(usize, &mut [f32]) -> bool + Send + Sync>;

/// Which GPU, and how.
#[derive(Clone, Default)]
pub struct Gpu {
    /// The GPU's number.
    pub device: u32,
    /// Numbers, accelerator, memory.
    pub settings: config::Tensorrt,
    /// Where engines are kept that were built on this device; None keeps none.
    pub engines_dir: Option<PathBuf>,
    /// Pictures to calibrate on, and with that the wish to build anew.
    pub pictures: Option<FillPicture>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 1,
            max_batch: 1,
            one_on_cpu: false,
            gpu: Gpu::default(),
            progress: Progress::default(),
            failover: None,
        }
    }
}

/// Where engines lie, below the folder of what is kept.
const ENGINES: &str = "engines";

impl Gpu {
    /// As a configuration has it.
    pub fn of(config: &config::Config, device: u32) -> Self {
        Self { device, settings: config.tensorrt.clone(), ..Self::default() }.keeping(&config.paths.state)
    }

    /// With engines kept below this folder.
    #[must_use]
    pub fn keeping(self, state: &Path) -> Self {
        Self { engines_dir: Some(state.join(ENGINES)), ..self }
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, settings, engines_dir, pictures } = self;
        f.debug_struct("Gpu")
            .field("device", device)
            .field("settings", settings)
            .field("engines_dir", engines_dir)
            .field("pictures", &pictures.is_some())
            .finish()
    }
}
