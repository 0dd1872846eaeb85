//! TensorRT on NVIDIA GPUs, reached through a shim of our own (see docs/decisions/0002). Nothing of it is linked: where driver and
//! library are, they are loaded when a model is opened.
//!
//! Belongs here: the way from a model's file to an engine. Does not: what callers see of engines (see `infer`), what happens when a GPU
//! fails while it works (see `failover`).
//!
//! The way: `library` finds TensorRT and the table for its version, `cuda` the GPU; `forms` chooses the file, `builder` has its plan out
//! of the `cache` or built, `engine` runs it on pictures that `letterbox` draws.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
mod said;
mod table;
mod tensors;
mod whole;

pub(super) use failure::Failure;

use builder::{Order, Site};
use cuda::{Device, Driver};
use engine::{GpuEngine, Parts};
use forms::Abilities;
use library::Library;
use nvinfer::{Plan, Runtime};
use on_device::OnDevice;
use tensors::Tensors;

use super::onnx::{self, ImageInput};
use super::{Engine, Options};
use crate::runtime::Clock;

/// What engines run on here, or why there are none.
pub(super) fn probe() -> Result<String, Failure> {
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
    if table::tables().next().is_none() {
        return Err(Failure::LeftOut);
    }
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
    if table::tables().next().is_none() {
        return Err(Failure::LeftOut);
    }
    let (driver, library) = (Driver::open()?, Library::open()?);
    let device = Device::open(options.gpu.device)?;
    device.make_current()?;
    let can = Abilities::of(device.compute(), library.version().major);
    let asked = options.gpu.settings.precision;
    let form =
        forms::choose(model, &forms::scales(graph), asked, can, &|file| file.is_file()).map_err(Failure::Form)?;
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
    let at_once = if is_open { options.max_batch } else { 1 };
    let order = Order { form: &form, onnx, input, max_batch: at_once, options };
    let site = Site { library: &library, device: &device };
    let plan = plan(&order, &site, driver)?;
    let tensors = Tensors::new(plan.tensors(), input, header)?;
    let needed = plan.device_memory_bytes();
    let (remark, max_batch) = (form.remark.clone(), options.max_batch);
    let parts = Parts { device: Arc::clone(&device), plan, tensors, max_batch, remark, clock: Clock::start() };
    GpuEngine::new(parts, header).map_err(|e| or_out_of_memory(e, &device, needed, at_once))
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

/// Plans that are in use, so that engines of one model share its weights.
static PLANS: Mutex<Vec<(PlanId, Weak<Plan>)>> = Mutex::new(Vec::new());

/// A file's name in the cache, its key, and the generation of the GPU that it was loaded on.
type PlanId = (String, cache::Key, usize);

/// The plan that is in use already, or the cached one, or one built now.
fn plan(order: &Order<'_>, site: &Site<'_>, driver: &'static Driver) -> Result<OnDevice<Arc<Plan>>, Failure> {
    let _entered = site.device.enter()?;
    let (identity, version) = (order.identity(site), site.library.version());
    let id = (identity.name.clone(), identity.key.clone(), Arc::as_ptr(site.device) as usize);
    // Held while one is built: whoever wants the same waits for it, and nobody builds on a GPU where another builds.
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    plans.retain(|(_, plan)| plan.strong_count() > 0);
    let known = plans.iter().find(|(known, _)| *known == id).and_then(|(_, plan)| plan.upgrade());
    // Older ones give one context a plan.
    let shares = (version.major, version.minor) >= (8, 6);
    if let Some(plan) = known.filter(|_| shares) {
        return Ok(OnDevice::new(plan, site.device));
    }
    let runtime = Runtime::new(site.library, driver)?;
    let dla_core = order.options.gpu.settings.dla_core;
    let load = |bytes: &[u8]| {
        let loaded = runtime.load(bytes, dla_core);
        loaded.map_err(|e| or_out_of_memory(e, site.device, bytes.len() as u64, order.max_batch))
    };
    let plan = match builder::cached(order, &identity) {
        Some(bytes) => match load(&bytes) {
            Ok(plan) => plan,
            Err(e @ Failure::OutOfMemory { .. }) => return Err(e),
            Err(e) if e.is_fatal() => return Err(e),
            Err(e) => {
                order.options.progress.remark(&format!("{}: not taken, another is built: {e}", identity.name));
                load(&builder::build(order, site, &identity)?)?
            }
        },
        None => load(&builder::build(order, site, &identity)?)?,
    };
    plans.push((id, Arc::downgrade(&plan)));
    Ok(OnDevice::new(plan, site.device))
}

/// Says what would fit instead, where memory is what was missing: a plan's need grows with its batch.
fn or_out_of_memory(failure: Failure, device: &Device, needed: u64, batch: usize) -> Failure {
    if !failure.is_out_of_memory() {
        return failure;
    }
    let free = device.free_bytes().unwrap_or_default();
    let fits = if needed == 0 { 0 } else { (free as u128 * batch as u128 / needed as u128) as usize };
    let doing = format!("loading an engine for a batch of {batch} ({} MB)", needed >> 20);
    Failure::OutOfMemory { doing, free_mb: free >> 20, fits: Some(fits.min(batch.saturating_sub(1))) }
}

#[cfg(test)]
mod tests;
