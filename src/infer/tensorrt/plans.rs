//! Plans on GPUs: engines of one model on one GPU share its weights, where TensorRT lets them.
//!
//! Belongs here: whether there is a plan already, what a failure to get one means. Does not: where it comes from (see `builder`).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::builder::{self, Order, Site};
use super::cache::Key;
use super::cuda::{Device, Driver};
use super::failure::Failure;
use super::nvinfer::{Plan, Runtime};
use super::on_device::OnDevice;

/// The plans that are in use on one generation of a GPU: a file's name in the cache, its key, the plan.
type InUse = Arc<Mutex<Vec<(String, Key, Weak<Plan>)>>>;

/// By number of the GPU, with its generation. What is left of a lost GPU is leaked and would seem to be in use for ever.
static GPUS: Mutex<Vec<(u32, u64, InUse)>> = Mutex::new(Vec::new());

fn on(device: &Device) -> InUse {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    let (ordinal, generation) = (device.ordinal(), device.generation());
    gpus.retain(|(o, g, _)| *o != ordinal || *g == generation);
    if let Some((.., plans)) = gpus.iter().find(|(o, ..)| *o == ordinal) {
        return Arc::clone(plans);
    }
    let plans = InUse::default();
    gpus.push((ordinal, generation, Arc::clone(&plans)));
    plans
}

/// The plan that is in use already, or the cached one, or one built now.
pub(super) fn plan(
    order: &Order<'_>,
    site: &Site<'_>,
    driver: &'static Driver,
) -> Result<OnDevice<Arc<Plan>>, Failure> {
    let device = site.device;
    let _entered = device.enter()?;
    let identity = order.identity(site);
    let in_use = on(device);
    // Held while one is built: whoever wants the same waits for it, and nobody builds on a GPU where another builds.
    let mut in_use = in_use.lock().unwrap_or_else(PoisonError::into_inner);
    in_use.retain(|(.., plan)| plan.strong_count() > 0);
    let known = in_use.iter().find(|(name, key, _)| *name == identity.name && *key == identity.key);
    if let Some(plan) = known.and_then(|(.., plan)| plan.upgrade()).filter(|_| site.library.shares_plans()) {
        return Ok(OnDevice::new(plan, device));
    }
    let runtime = Runtime::new(site.library, driver).map_err(|e| explained(e, device, "", None, 1))?;
    let runtime = OnDevice::new(runtime, device);
    let dla_core = order.options.gpu.settings.dla_core;
    let load = |bytes: &[u8]| {
        let loaded = runtime.load(bytes, dla_core);
        loaded.map_err(|e| explained(e, device, "loading an engine", None, order.max_batch))
    };
    let plan = match builder::cached(order, &identity).map(|bytes| load(&bytes)) {
        Some(Err(e)) if e.is_fatal() || e.is_out_of_memory() => return Err(e),
        Some(Ok(plan)) => plan,
        refused => {
            if let Some(Err(e)) = refused {
                order.options.progress.remark(&format!("{}: not taken, another is built: {e}", identity.name));
            }
            load(&builder::build(order, site, &identity)?)?
        }
    };
    let plan = OnDevice::new(plan, device);
    in_use.push((identity.name, identity.key, Arc::downgrade(&plan)));
    Ok(plan)
}

/// A failure with what lies behind it: TensorRT does not pass on what the driver told it, and says of memory only that there was too little.
/// `needed` is what grows with the batch, where that is known.
pub(super) fn explained(
    failure: Failure,
    device: &Device,
    doing: &'static str,
    needed: Option<u64>,
    batch: usize,
) -> Failure {
    let free = match device.free_bytes() {
        Ok(free) => free,
        Err(driver) if driver.is_fatal() => return driver,
        Err(_) => 0,
    };
    if !failure.is_out_of_memory() {
        return failure;
    }
    let fits = needed.filter(|needed| *needed > free).map(|needed| {
        let fits = u128::from(free) * batch as u128 / u128::from(needed);
        usize::try_from(fits).unwrap_or(batch)
    });
    Failure::OutOfMemory { doing: format!("{doing} for a batch of {batch}"), free_mb: free >> 20, fits }
}
