//! From a model's file to a plan for this very device: out of the cache, or built, which takes minutes.
//!
//! Belongs here: what a plan depends on, when it is built anew, who is told meanwhile. Does not: how (see `nvinfer`), files (see `cache`).

use std::path::Path;
use std::sync::Arc;

use super::cache::{Cache, Key, Unfit};
use super::calibrator::Pictures;
use super::cuda::Device;
use super::failure::Failure;
use super::forms::{Form, Numbers};
use super::library::Library;
use super::network::{BuildRequest, Calibrate, Profile};
use super::plans::explained;
use crate::infer::catalog::sha256_of_bytes;
use crate::infer::onnx::ImageInput;
use crate::infer::{Gpu, Options};

/// Raised when the same settings begin to mean another engine.
const BUILDER: u32 = 1;

/// What a plan is wanted for.
pub(super) struct Order<'a> {
    /// The file to build from, and in which numbers.
    pub form: &'a Form,
    /// Its content.
    pub onnx: &'a [u8],
    /// Its input.
    pub input: &'a ImageInput,
    /// Pictures of one run, at most, where the file leaves their number open; else 1.
    pub max_batch: usize,
    /// The rest.
    pub options: &'a Options,
}

/// Where it is built.
pub(super) struct Site<'a> {
    /// TensorRT.
    pub library: &'a Arc<Library>,
    /// The GPU.
    pub device: &'a Arc<Device>,
}

/// What a plan depends on, and the name of its file.
pub(super) struct Identity {
    /// Differs whenever the plan must.
    pub key: Key,
    /// The same for two plans of which the later one replaces the earlier.
    pub name: String,
}

impl Order<'_> {
    fn gpu(&self) -> &Gpu {
        &self.options.gpu
    }

    /// What tells this plan from all others.
    pub(super) fn identity(&self, site: &Site<'_>) -> Identity {
        let (onnx, device) = (sha256_of_bytes(self.onnx), site.device);
        let dla = self.gpu().settings.dla_core;
        let key = device_key(site)
            .with("onnx", &onnx)
            .with("numbers", self.form.numbers.as_str())
            .with("profile", format!("1..{}", self.max_batch))
            .with("dla", dla.map_or("none".to_owned(), |core| core.to_string()))
            .with("workspace", self.gpu().settings.workspace_bytes)
            .with("shared", site.library.shares_plans())
            .with("builder", BUILDER);
        let dla = dla.map(|core| format!(".dla{core}")).unwrap_or_default();
        let numbers = self.form.numbers.as_str();
        let (stem, gpu) = (stem(&self.form.file), word(device.name()));
        let name = format!("{stem}-{}.{gpu}.{numbers}.b{}{dla}.engine", &onnx[..8], self.max_batch);
        Identity { key, name }
    }
}

/// The plan from the cache, if there is one that fits. What is there and does not fit is told.
pub(super) fn cached(order: &Order<'_>, identity: &Identity) -> Option<Vec<u8>> {
    // Who brings pictures wants another calibration.
    if order.gpu().pictures.is_some() {
        return None;
    }
    let cache = Cache::new(order.gpu().engines_dir.as_deref()?);
    match cache.read(&identity.name, &identity.key) {
        Ok(plan) => Some(plan),
        Err(Unfit::Absent) => None,
        Err(Unfit::Refused(why)) => {
            order.options.progress.remark(&format!("this engine is not used, another is built: {why}"));
            None
        }
    }
}

/// Builds the plan and keeps it.
pub(super) fn build(order: &Order<'_>, site: &Site<'_>, identity: &Identity) -> Result<Vec<u8>, Failure> {
    site.library.check_builder()?;
    let cache = order.gpu().engines_dir.as_deref().map(Cache::new);
    let mut pictures = match order.form.numbers {
        Numbers::Int8Calibrated => Some(Pictures::new(order, site, cache.clone())?),
        _ => None,
    };
    let what = format!("building an engine for {}, {}", order.form.file.display(), order.form.numbers.as_str());
    order.options.progress.tell(&format!("{what}: this takes minutes, once for each device"));
    let (timing_key, timing_name) = (device_key(site), format!("timing.{}.cache", word(site.device.name())));
    let timings = cache.as_ref().and_then(|c| c.read(&timing_name, &timing_key).ok()).unwrap_or_default();
    let [c, h, w] = order.input.chw.map(|n| n as i64);
    let (one, most) = ([1, c, h, w], [order.max_batch as i64, c, h, w]);
    let (settings, progress) = (&order.gpu().settings, &order.options.progress);
    let built = site.library.build(BuildRequest {
        onnx: order.onnx,
        input: Profile { name: &order.input.name, min: &one, opt: &most, max: &most },
        is_fp16: order.form.numbers != Numbers::Fp32,
        is_int8: matches!(order.form.numbers, Numbers::Int8Scaled | Numbers::Int8Calibrated),
        is_strongly_typed: false,
        dla_core: settings.dla_core,
        workspace_bytes: settings.workspace_bytes,
        timing_cache: &timings,
        calibrator: pictures.as_mut().map(|p| p as &mut dyn Calibrate),
        progress: &mut |phase, step, steps| {
            progress.tell(&format!("{}: {phase} {step}/{steps}", what));
            progress.goes_on()
        },
    });
    let built = built.map_err(|e| explained(e, site.device, "building an engine", None, order.max_batch))?;
    for remark in &built.remarks {
        progress.remark(&format!("{}: {remark}", order.form.file.display()));
    }
    if let Some(cache) = cache {
        let kept = cache.write(&identity.name, &identity.key, &built.plan);
        if let Err(e) = kept.and_then(|()| cache.write(&timing_name, &timing_key, &built.timing_cache)) {
            let path = cache.path(&identity.name);
            progress.remark(&format!("{}: the engine cannot be kept, each start will build it: {e}", path.display()));
        }
    }
    Ok(built.plan)
}

/// What everything depends on that this GPU computed with this TensorRT.
fn device_key(site: &Site<'_>) -> Key {
    let (major, minor) = site.device.compute();
    Key::default()
        .with("tensorrt", site.library.version())
        .with("gpu", site.device.name())
        .with("sm", format!("{major}.{minor}"))
}

pub(super) fn stem(file: &Path) -> String {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    word(name.strip_suffix(".onnx").unwrap_or(&name))
}

/// As a part of a file's name.
fn word(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    text.chars().take(64).map(fits).collect()
}
