//! TensorRT on NVIDIA GPUs, reached through a shim of our own (see docs/decisions/0002). Nothing of it is linked: where driver and
//! library are, they are loaded when a model is opened.
//!
//! Belongs here: the way from a model's file to an engine. Does not: what callers see of engines (see `infer`), what happens when a GPU
//! fails while it works (see `failover`).
//!
//! The way: `library` finds TensorRT and the table for its version, `cuda` the GPU; `forms` chooses the file, `builder` has its plan out
//! of the `cache` or built, `engine` runs it on pictures that `letterbox` draws.

use std::path::Path;
use std::sync::Arc;

mod builder;
mod cache;
mod calibrator;
mod cuda;
mod engine;
mod failure;
mod forms;
mod graphs;
mod letterbox;
mod library;
mod network;
mod nvinfer;
mod on_device;
mod plans;
mod said;
mod table;
mod tensors;
mod whole;

pub(super) use failure::Failure;

use builder::{Order, Site};
use cuda::{Device, Driver};
use engine::{GpuEngine, Parts};
use forms::{Abilities, Wish};
use library::Library;
use tensors::Tensors;

use super::onnx::{self, ImageInput};
use super::{Engine, Options};
use crate::runtime::Clock;

/// What engines run on here, or why there are none.
pub(super) fn probe() -> Result<String, Failure> {
    table::check()?;
    let (driver, library) = (Driver::open()?, Library::open()?);
    let gpus = (0..driver.device_count()?).map(|i| {
        let device = Device::open(i)?;
        let ((major, minor), mb) = (device.compute(), device.total_bytes() >> 20);
        let shared = if device.is_integrated() { ", shared with the processor" } else { "" };
        Ok(format!("GPU {i} {} (sm_{major}{minor}, {mb} MB{shared})", device.name()))
    });
    let gpus = gpus.collect::<Result<Vec<_>, Failure>>()?.join(", ");
    let (major, minor) = driver.version();
    let runs_only = if library.can_build() { "" } else { ", runs engines and builds none" };
    let file = library.path().display();
    Ok(format!("TensorRT {} ({file}){runs_only}, CUDA {major}.{minor}, {gpus}", library.version()))
}

/// Whether frames can be read where a decoder wrote them. No GPU is opened for the answer.
pub(super) fn takes_surfaces() -> Result<(), Failure> {
    table::check()?;
    let driver = Driver::open()?;
    Library::open()?;
    if driver.reads_images() {
        return Ok(());
    }
    Err(Failure::Surface("the NVIDIA driver has no functions for EGLImages".to_owned()))
}

/// Opens a model whose head was already found good.
pub(super) fn load(
    model: &Path,
    bytes: &[u8],
    graph: &onnx::graph::Graph<'_>,
    input: &ImageInput,
    options: &Options,
) -> Result<impl Engine + use<>, Failure> {
    table::check()?;
    let (driver, library) = (Driver::open()?, Library::open()?);
    let device = Device::open(options.gpu.device)?;
    device.make_current()?;
    let can = Abilities::of(device.compute(), library.version().major);
    let wish = Wish { numbers: options.gpu.settings.precision, on_dla: options.gpu.settings.dla_core.is_some() };
    let form = forms::choose(model, &forms::scales(graph), wish, can, &|file| file.is_file()).map_err(Failure::Form)?;
    let sibling = if form.file == model { None } else { Some(read_sibling(&form.file, input)?) };
    let onnx = sibling.as_deref().unwrap_or(bytes);
    let own_header;
    let header = match &sibling {
        None => &graph.header,
        Some(bytes) => {
            own_header =
                onnx::read(bytes).map_err(|e| Failure::Sibling { file: form.file.clone(), problem: e.to_string() })?;
            &own_header
        }
    };
    let is_open = header.inputs.first().and_then(|i| i.dims.first()) == Some(&None);
    let site = Site { library: &library, device: &device };
    let mut remark = form.remark.clone();
    let mut at_once = if is_open { options.max_batch } else { 1 };
    loop {
        let order = Order { form: &form, onnx, input, max_batch: at_once, options };
        match open(&order, &site, driver, header, remark.clone()) {
            // What does not fit at once is run in parts.
            Err(e) if e.is_out_of_memory() && at_once > 1 => {
                at_once /= 2;
                let told = format!("{}: {e}: tried again for a batch of {at_once}", model.display());
                options.progress.remark(&told);
                remark = Some(told);
            }
            done => return done,
        }
    }
}

/// One attempt, with a plan for so many pictures at once.
fn open(
    order: &Order<'_>,
    site: &Site<'_>,
    driver: &'static Driver,
    header: &onnx::Header,
    remark: Option<String>,
) -> Result<GpuEngine, Failure> {
    let device = site.device;
    let plan = plans::plan(order, site, driver)?;
    let tensors = Tensors::new(plan.tensors(), order.input, header)?;
    let needed = plan.device_memory_bytes();
    let (max_batch, clock) = (order.options.max_batch, Clock::start());
    let parts = Parts { device: Arc::clone(device), plan, tensors, max_batch, remark, clock };
    let opened = GpuEngine::new(parts, header);
    opened.map_err(|e| plans::explained(e, device, "running an engine", Some(needed), order.max_batch))
}

/// Makes a GPU that was lost usable again. What is left of the engines on it stays lost.
pub(super) fn recover(options: &Options) -> Result<(), Failure> {
    Device::recover(options.gpu.device)
}

/// Whether a GPU can be had without a recovery.
pub(super) fn is_usable(options: &Options) -> bool {
    Device::open(options.gpu.device).is_ok()
}

/// The file beside a model that TensorRT takes; the same picture goes in.
fn read_sibling(file: &Path, input: &ImageInput) -> Result<Vec<u8>, Failure> {
    let wrong = |problem: String| Failure::Sibling { file: file.to_owned(), problem };
    let bytes = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
    let own = onnx::read(&bytes).and_then(|header| header.image_input()).map_err(|e| wrong(e.to_string()))?;
    if own.chw != input.chw {
        return Err(wrong(format!("takes pictures of {:?}, and the model beside it of {:?}", own.chw, input.chw)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
