//! From a choice and a file to an engine: which one takes the model, and which stands in for it when it is lost.
//!
//! Belongs here: the order in which engines are tried. Does not: what each of them takes (see their own files).

use std::path::Path;
use std::sync::Arc;

use super::onnx::{self, Header, ImageInput};
use super::{Engine, Failover, InferError, Options, TENSORRT, failover, joint, tensorrt, tract};
use crate::config::EngineChoice;

/// A model file that takes a picture.
struct File<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    header: Header,
    input: ImageInput,
}

/// Reads a model file, checks that it is one that takes a picture, and loads it into the engine chosen. `auto` takes the GPU, where there is
/// one that takes the model; else 8 bits on the CPU, where the model has scales for them; else floats.
///
/// # Errors
/// When the file cannot be read, is not such a model, or the engine is absent or refuses it; each says what was found and what is needed.
pub fn open(choice: EngineChoice, model: &Path, options: &Options) -> Result<Box<dyn Engine>, InferError> {
    let options = &Options { threads: options.threads.max(1), max_batch: options.max_batch.max(1), ..options.clone() };
    let file = File::read(model)?;
    let mut remark = None;
    if matches!(choice, EngineChoice::Auto | EngineChoice::Tensorrt) {
        match on_gpu(&file, options) {
            Ok(engine) => {
                return Ok(match &options.failover {
                    Some(watch) => guarded(engine, None, model, options, watch.clone()),
                    None => engine,
                });
            }
            Err(Refusal::File(e)) => return Err(e),
            Err(Refusal::Gpu(failure @ tensorrt::Failure::Cancelled)) => {
                return Err(file.refused(TENSORRT, failure.to_string()));
            }
            // As when it fails later: another stands in, and it is tried again.
            Err(Refusal::Gpu(failure)) if failure.may_pass() && options.failover.is_some() => {
                return without_gpu(file, model, options, &failure);
            }
            Err(Refusal::Gpu(failure)) if choice == EngineChoice::Tensorrt => {
                return Err(file.refused_by_gpu(&failure));
            }
            // Who has no GPU does not want to hear of it.
            Err(Refusal::Gpu(failure)) if failure.is_absence() => {}
            Err(Refusal::Gpu(failure)) => remark = Some(format!("{}: not on the GPU: {failure}", model.display())),
        }
    }
    on_cpu(choice, file, options, remark)
}

/// Channels, height and width of the picture that a model takes.
///
/// # Errors
/// When the file cannot be read or is not such a model.
pub fn input_chw(model: &Path) -> Result<[usize; 3], InferError> {
    Ok(File::read(model)?.input.chw)
}

/// Why a model does not run on the GPU.
enum Refusal {
    /// It would not run anywhere.
    File(InferError),
    Gpu(tensorrt::Failure),
}

fn on_gpu(file: &File<'_>, options: &Options) -> Result<Box<dyn Engine>, Refusal> {
    let graph = onnx::graph::graph(&file.bytes).map_err(|e| Refusal::File(file.unfit(e)))?;
    let engine = tensorrt::load(file.path, &file.bytes, &graph, &file.input, options).map_err(Refusal::Gpu)?;
    Ok(Box::new(engine))
}

fn on_cpu(
    choice: EngineChoice,
    file: File<'_>,
    options: &Options,
    mut remark: Option<String>,
) -> Result<Box<dyn Engine>, InferError> {
    let max_batch = if options.one_on_cpu { 1 } else { options.max_batch };
    let options = &Options { max_batch, ..options.clone() };
    if choice != EngineChoice::Tract {
        let graph = onnx::graph::graph(&file.bytes).map_err(|e| file.unfit(e))?;
        if choice == EngineChoice::Int8 || joint::is_meant_for_it(file.path, &graph) {
            joint::check_kernel().map_err(|reason| file.refused(joint::NAME, reason))?;
            match joint::load(file.path, &file.bytes, &graph, &file.input, options, remark.clone()) {
                Ok(engine) => return Ok(Box::new(engine)),
                Err(reason) => {
                    let here = format!("{}: not in 8 bits, but through tract: {reason}", file.path.display());
                    remark = Some(remark.map_or(here.clone(), |before| format!("{before}; {here}")));
                }
            }
        }
    }
    let File { path, bytes, header, input } = file;
    let loaded = tract::load(bytes, &header, &input, options, remark);
    Ok(Box::new(loaded.map_err(|reason| InferError::Load { engine: tract::NAME, path: path.to_owned(), reason })?))
}

/// An engine on the CPU that stands in for one on a GPU that is there and fails.
fn without_gpu(
    file: File<'_>,
    model: &Path,
    options: &Options,
    failure: &tensorrt::Failure,
) -> Result<Box<dyn Engine>, InferError> {
    let refused = file.refused_by_gpu(failure);
    let Some(watch) = options.failover.as_ref().filter(|watch| watch.starts_without) else { return Err(refused) };
    match on_cpu(EngineChoice::Auto, file, options, None) {
        Ok(engine) => Ok(guarded(engine, Some(format!("{TENSORRT}: {failure}")), model, options, watch.clone())),
        Err(e) => {
            log::warn!(stage = "engine"; "nothing can stand in for {TENSORRT}: {e}");
            Err(refused)
        }
    }
}

/// An engine on the GPU, with one on the CPU that stands in for it; the latter runs already where the former is lost.
fn guarded(
    active: Box<dyn Engine>,
    lost: Option<String>,
    model: &Path,
    options: &Options,
    watch: Failover,
) -> Box<dyn Engine> {
    let (path, mut again) = (model.to_owned(), options.clone());
    // What was asked for once is not asked for again.
    again.gpu.pictures = None;
    // The start is over by then.
    again.progress = options.progress.in_background(watch.clock);
    let reopen = {
        let (path, options) = (path.clone(), again.clone());
        move || {
            let file = File::read(&path)?;
            tensorrt::recover(&options).map_err(|e| file.refused_by_gpu(&e))?;
            on_gpu(&file, &options).map_err(|refusal| match refusal {
                Refusal::File(e) => e,
                Refusal::Gpu(e) => file.refused_by_gpu(&e),
            })
        }
    };
    let is_recovered = {
        let options = again.clone();
        move || tensorrt::is_usable(&options)
    };
    let backup = move || {
        let options = Options { threads: watch_threads(&again), ..again.clone() };
        on_cpu(EngineChoice::Auto, File::read(&path)?, &options, None)
    };
    failover::wrap(failover::Parts {
        active,
        lost,
        is_recovered: Arc::new(is_recovered),
        reopen: Arc::new(reopen),
        backup: Arc::new(backup),
        retry_after: options.gpu.settings.retry_after,
        watch,
    })
}

fn watch_threads(options: &Options) -> usize {
    options.failover.as_ref().map_or(options.threads, |watch| watch.backup_threads.max(1))
}

impl<'a> File<'a> {
    fn read(path: &'a Path) -> Result<Self, InferError> {
        let bytes = std::fs::read(path).map_err(|source| InferError::Unreadable { path: path.to_owned(), source })?;
        let unfit = |source| InferError::Model { path: path.to_owned(), source };
        let header = onnx::read(&bytes).map_err(unfit)?;
        let input = header.image_input().map_err(unfit)?;
        Ok(Self { path, bytes, header, input })
    }

    fn unfit(&self, source: onnx::OnnxError) -> InferError {
        InferError::Model { path: self.path.to_owned(), source }
    }

    fn refused_by_gpu(&self, failure: &tensorrt::Failure) -> InferError {
        let (engine, path, reason) = (TENSORRT, self.path.to_owned(), failure.to_string());
        if failure.may_pass() {
            return InferError::Unready { engine, path, reason };
        }
        InferError::Load { engine, path, reason }
    }

    fn refused(&self, engine: &'static str, reason: String) -> InferError {
        InferError::Load { engine, path: self.path.to_owned(), reason }
    }
}
