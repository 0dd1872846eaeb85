//! `peregrine model build`: TensorRT engines ahead of time, so that the daemon's first start need not wait for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args as ClapArgs;

use super::model_choice::{GpuChoice, config_failure};
use super::output::say;
use super::{Failure, calibrate, configuration, pictures, progress};
use crate::config::{Config, EngineChoice, Secrets};
use crate::infer::{self, FillPicture, Gpu, ModelCard, Options, catalog};
use crate::runtime::Clock;

/// Build engines for this device's NVIDIA GPU ahead of time, which takes minutes
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  peregrine model build --config /etc/peregrine/peregrine.toml   every model that the daemon will run\n  \
                        peregrine model build yolov8n_640 --precision fp16\n  \
                        peregrine model build yolov8n_640 --precision int8 --images /srv/pictures   calibrated, TensorRT 8 and 10"
)]
pub(super) struct Args {
    /// A name from the manifest, or an ONNX file
    #[arg(value_name = "NAME|FILE", required_unless_present = "config")]
    names: Vec<String>,
    /// Build what the daemon with this configuration will run, as it will run it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "device", "precision", "state", "batch", "images"])]
    config: Option<PathBuf>,
    /// Pictures of one run, at most, where the model leaves their number open
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// Folder of JPEG or PNG files to calibrate on, for 8 bits and a model without scales; builds anew in any case
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    #[command(flatten)]
    gpu: GpuChoice,
}

pub(super) fn run(args: &Args, models_dir: &Path) -> Result<(), Failure> {
    if let Some(file) = &args.config {
        let loaded = configuration::load(file, Secrets::None)?;
        return of_config(&loaded.config);
    }
    for model in &args.names {
        let card = catalog::card(model, models_dir).map_err(config_failure)?;
        let mut gpu = args.gpu.gpu();
        if let Some(dir) = &args.images {
            gpu.pictures = Some(fill(&card, dir)?);
        }
        build(&card, gpu, args.batch.into())?;
    }
    Ok(())
}

/// Every model on every GPU that the configuration names.
fn of_config(config: &Config) -> Result<(), Failure> {
    let classifiers = config.classify.values().map(|c| (&c.model, c.engine, 1));
    let uses_gpu = |engine| matches!(engine, EngineChoice::Auto | EngineChoice::Tensorrt);
    let detector = (&config.detect.model, config.detect.engine, config.schedule.max_batch);
    for (model, engine, max_batch) in std::iter::once(detector).chain(classifiers) {
        let card = catalog::card(model, &config.paths.models).map_err(config_failure)?;
        if !uses_gpu(engine) {
            say(&format!("{}: runs on the CPU by this configuration, nothing to build\n", card.name))?;
            continue;
        }
        for device in &config.tensorrt.devices {
            build(&card, Gpu::of(config, *device), max_batch)?;
        }
    }
    Ok(())
}

fn build(card: &ModelCard, gpu: Gpu, max_batch: usize) -> Result<(), Failure> {
    let (clock, device) = (Clock::start(), gpu.device);
    let dir = gpu.engines_dir.clone().unwrap_or_default();
    let options = Options { max_batch, gpu, progress: progress::building(clock), ..Options::default() };
    let engine =
        infer::open(EngineChoice::Tensorrt, &card.path, &options).map_err(|e| Failure::Config(e.to_string()))?;
    let remark = engine.remark().map(|r| format!(" ({r})")).unwrap_or_default();
    say(&format!(
        "{}: ready on GPU {device}, kept in {}{remark}, {:.1} s\n",
        card.name,
        dir.display(),
        clock.mono().as_secs_f64()
    ))
}

/// Puts the folder's pictures into the model's input, one after the other; those that cannot be read are told and left out.
fn fill(card: &ModelCard, dir: &Path) -> Result<FillPicture, Failure> {
    let all = pictures::all(std::slice::from_ref(&dir.to_owned()))?;
    let card = card.clone();
    let shape = infer::input_chw(&card.path).map_err(|e| Failure::Config(e.to_string()))?;
    let next = Mutex::new(0);
    Ok(Arc::new(move |number, tensor| {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        if number == 0 {
            *next = 0;
        }
        while let Some(path) = all.get(*next) {
            *next += 1;
            match calibrate::draw(&card, shape, path, tensor) {
                Ok(()) => return true,
                Err(e) => pictures::complain(path, &e),
            }
        }
        false
    }))
}
