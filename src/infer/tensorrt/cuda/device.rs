//! One GPU: its primary context, which TensorRT uses too, and whether it is still to be trusted.
//!
//! Belongs here: opening, sharing, losing and recovering a GPU; what it is. Does not: what lives on it.

#![allow(unsafe_code, reason = "calls into the driver")]

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use super::driver::{Driver, Functions, Handle};
use super::module::Loaded;
use super::{CudaError, Failure};
use crate::runtime::threads::pause;

const COMPUTE_MAJOR: c_int = 75;
const COMPUTE_MINOR: c_int = 76;
const INTEGRATED: c_int = 18;

/// How long [`Device::recover`] waits for calls that are under way on other threads, in steps of a millisecond.
const RECOVER_TRIES: u32 = 1000;

/// Contexts that were opened.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// What outlives a [`Device`]: a context that broke stays broken after its last user is gone.
#[derive(Debug, Default)]
struct State {
    lost: AtomicBool,
    /// Held for reading during each call, for writing while the context is reset.
    gate: RwLock<()>,
}

/// What the driver knows of one GPU.
#[derive(Debug)]
pub(super) struct Entry {
    device: Weak<Device>,
    state: Arc<State>,
}

/// The primary context of one GPU. There is one for each number, shared by all who open it, until it is lost; after
/// [`Device::recover`] the next one is of a new generation.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Device {
    pub(super) driver: &'static Driver,
    ordinal: u32,
    generation: u64,
    raw: c_int,
    context: Handle,
    state: Arc<State>,
    name: String,
    compute: (u32, u32),
    total_bytes: u64,
    is_integrated: bool,
    /// Kernels that are loaded, so that painters of one GPU share them.
    pub(super) modules: Mutex<Vec<(&'static str, Weak<Loaded>)>>,
}

/// The right to call into a GPU: while it is held, the context is current on this thread and is not reset. It may be taken again
/// while it is held, since nobody ever queues for the opposite.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Entered<'a> {
    _gate: RwLockReadGuard<'a, ()>,
}

impl Device {
    /// Opens a GPU of the system's driver.
    ///
    /// # Errors
    /// As [`Driver::open`]; [`Failure::NoSuchGpu`]; [`Failure::Lost`] until a lost GPU was recovered.
    pub(in crate::infer::tensorrt) fn open(ordinal: u32) -> Result<Arc<Self>, Failure> {
        Self::open_with(Driver::open()?, ordinal)
    }

    /// Opens a GPU of this driver.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub(in crate::infer::tensorrt) fn open_with(driver: &'static Driver, ordinal: u32) -> Result<Arc<Self>, Failure> {
        let mut open = driver.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get(&ordinal) {
            if entry.state.lost.load(Ordering::Acquire) {
                return Err(Failure::Lost);
            }
            if let Some(device) = entry.device.upgrade() {
                return Ok(device);
            }
        }
        let device = Arc::new(Self::retain(driver, ordinal)?);
        open.insert(ordinal, Entry { device: Arc::downgrade(&device), state: Arc::clone(&device.state) });
        Ok(device)
    }

    fn retain(driver: &'static Driver, ordinal: u32) -> Result<Self, Failure> {
        let have = driver.device_count()?;
        if have == 0 {
            return Err(Failure::NoGpu { reason: "it counts none".to_owned() });
        }
        if ordinal >= have {
            return Err(Failure::NoSuchGpu { wanted: ordinal, have });
        }
        let f = &driver.functions;
        let mut raw: c_int = 0;
        // SAFETY: the pointer leads to an int of ours; the number is below the count.
        driver.check("cuDeviceGet", unsafe { (f.device_get)(&mut raw, ordinal as c_int) })?;
        let attribute = |which: c_int| -> Result<u32, CudaError> {
            let mut value: c_int = 0;
            // SAFETY: the pointer leads to an int of ours, the device is one that cuDeviceGet gave.
            driver.check("cuDeviceGetAttribute", unsafe { (f.device_get_attribute)(&mut value, which, raw) })?;
            Ok(value.unsigned_abs())
        };
        let compute = (attribute(COMPUTE_MAJOR)?, attribute(COMPUTE_MINOR)?);
        let is_integrated = attribute(INTEGRATED)? != 0;
        let mut total_bytes = 0_usize;
        // SAFETY: as above, with a size of ours.
        driver.check("cuDeviceTotalMem", unsafe { (f.device_total_mem)(&mut total_bytes, raw) })?;
        let name = name_of(driver, raw)?;
        let mut context = Handle::NULL;
        // SAFETY: the pointer leads to a handle of ours; the release stands in `drop` and in `recover`.
        driver.check("cuDevicePrimaryCtxRetain", unsafe { (f.primary_ctx_retain)(&mut context.0, raw) })?;
        let total_bytes = total_bytes as u64;
        let (state, modules) = (Arc::default(), Mutex::default());
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            driver,
            ordinal,
            generation,
            raw,
            context,
            state,
            name,
            compute,
            total_bytes,
            is_integrated,
            modules,
        })
    }

    /// Whose it is.
    #[cfg(test)]
    pub(in crate::infer::tensorrt) fn driver(&self) -> &'static Driver {
        self.driver
    }

    /// Its number.
    pub(in crate::infer::tensorrt) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Tells this context from all that were before it: an address does not.
    pub(in crate::infer::tensorrt) fn generation(&self) -> u64 {
        self.generation
    }

    /// What NVIDIA calls it.
    pub(in crate::infer::tensorrt) fn name(&self) -> &str {
        &self.name
    }

    /// Its compute capability: (8, 7) for an Orin.
    pub(in crate::infer::tensorrt) fn compute(&self) -> (u32, u32) {
        self.compute
    }

    /// Its memory; the machine's own where the GPU has none of its own.
    pub(in crate::infer::tensorrt) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// How much of it is free.
    ///
    /// # Errors
    /// When the driver cannot say, or the GPU is lost.
    pub(in crate::infer::tensorrt) fn free_bytes(&self) -> Result<u64, Failure> {
        let (mut free, mut total) = (0_usize, 0_usize);
        // SAFETY: both pointers lead to sizes of ours.
        self.call("cuMemGetInfo", |f| unsafe { (f.mem_get_info)(&mut free, &mut total) })?;
        Ok(free as u64)
    }

    /// Whether it shares the processor's memory, as on every Jetson.
    pub(in crate::infer::tensorrt) fn is_integrated(&self) -> bool {
        self.is_integrated
    }

    /// Whether pinned memory is as good as the GPU's own, so that nothing need be copied.
    ///
    /// On the Nano (5.3) and the TX2 (6.2) the GPU does not look into the processor's caches, so pinned memory is uncached for the
    /// processor, and reading a model's output there takes many times as long as copying it out.
    pub(in crate::infer::tensorrt) fn is_zero_copy(&self) -> bool {
        self.is_integrated && !self.pins_uncached()
    }

    pub(super) fn pins_uncached(&self) -> bool {
        self.is_integrated && self.compute < (7, 2)
    }

    /// Whether work can be recorded.
    pub(in crate::infer::tensorrt) fn has_graphs(&self) -> bool {
        self.driver.graphs.is_some()
    }

    /// Makes the context current on this thread, for libraries that expect it.
    ///
    /// # Errors
    /// When the GPU is lost.
    pub(in crate::infer::tensorrt) fn make_current(&self) -> Result<(), Failure> {
        self.enter().map(drop)
    }

    /// Makes the context current on this thread, and keeps it from being reset for so long. Calls into TensorRT are made under it.
    ///
    /// # Errors
    /// When the GPU is lost.
    pub(in crate::infer::tensorrt) fn enter(&self) -> Result<Entered<'_>, Failure> {
        let gate = self.state.gate.read().unwrap_or_else(PoisonError::into_inner);
        // Asked under the gate: whoever resets the context has it alone, and lost it was before that.
        if self.is_lost() {
            return Err(Failure::Lost);
        }
        // SAFETY: the context is retained until the last user of this device is gone, or until it is lost.
        let code = unsafe { (self.driver.functions.ctx_set_current)(self.context.0) };
        self.judge("cuCtxSetCurrent", code)?;
        Ok(Entered { _gate: gate })
    }

    /// One call into the driver with the context current; a sticky error loses the device.
    pub(super) fn call(&self, name: &'static str, call: impl FnOnce(&Functions) -> c_int) -> Result<(), Failure> {
        let _entered = self.enter()?;
        Ok(self.judge(name, call(&self.driver.functions))?)
    }

    /// As [`Device::call`], for what is dropped: nothing is called once the device is lost, and a failure is only written down.
    pub(super) fn discard(&self, name: &'static str, call: impl FnOnce(&Functions) -> c_int) {
        match self.call(name, call) {
            Ok(()) | Err(Failure::Lost) => {}
            Err(e) => log::warn!(stage = "engine"; "{e}"),
        }
    }

    /// Looks at a call's answer; a sticky error loses the device.
    pub(super) fn judge(&self, name: &'static str, code: c_int) -> Result<(), CudaError> {
        let answer = self.driver.check(name, code);
        if answer.as_ref().is_err_and(CudaError::is_sticky) {
            self.set_lost();
        }
        answer
    }

    /// Whether a sticky error was seen. Nobody calls into CUDA or TensorRT for this device any more.
    pub(in crate::infer::tensorrt) fn is_lost(&self) -> bool {
        self.state.lost.load(Ordering::Acquire)
    }

    /// Says that a sticky error was seen elsewhere.
    pub(in crate::infer::tensorrt) fn set_lost(&self) {
        self.state.lost.store(true, Ordering::Release);
    }

    /// Clears what a lost GPU of the system's driver left behind, so that it can be opened again; nothing for others.
    ///
    /// # Errors
    /// [`Failure::Lost`] while another thread is still in a call; what the driver says when it cannot reset the context, which is so
    /// for some faults until the process starts anew.
    pub(in crate::infer::tensorrt) fn recover(ordinal: u32) -> Result<(), Failure> {
        Self::recover_with(Driver::open()?, ordinal)
    }

    /// As [`Device::recover`], for this driver.
    ///
    /// # Errors
    /// As [`Device::recover`].
    pub(in crate::infer::tensorrt) fn recover_with(driver: &'static Driver, ordinal: u32) -> Result<(), Failure> {
        let open = || driver.open.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = |entry: &Entry| entry.state.lost.load(Ordering::Acquire);
        let state = open().get(&ordinal).filter(|e| lost(e)).map(|e| Arc::clone(&e.state));
        let Some(state) = state else { return Ok(()) };
        // Waiting for the lock itself would keep readers from entering a second time, and deadlock with them.
        let mut tries = 0;
        let _alone = loop {
            match state.gate.try_write() {
                Ok(alone) => break alone,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) if tries == RECOVER_TRIES => return Err(Failure::Lost),
                Err(std::sync::TryLockError::WouldBlock) => pause(Duration::from_millis(1)),
            }
            tries += 1;
        };
        // Two may have wanted it; and the list of all GPUs is not held meanwhile: the reset of one that hangs may never return.
        if !open().get(&ordinal).is_some_and(|e| Arc::ptr_eq(&e.state, &state)) {
            return Ok(());
        }
        let mut raw: c_int = 0;
        let f = &driver.functions;
        // SAFETY: the pointer leads to an int of ours; the number was open before.
        driver.check("cuDeviceGet", unsafe { (f.device_get)(&mut raw, ordinal as c_int) })?;
        // SAFETY: everything on the context is lost and nobody calls into it: all who could hold the gate for each call.
        driver.check("cuDevicePrimaryCtxReset", unsafe { (f.primary_ctx_reset)(raw) })?;
        // SAFETY: gives back the lost generation's own retain, which its `drop` no longer does.
        let released = driver.check("cuDevicePrimaryCtxRelease", unsafe { (f.primary_ctx_release)(raw) });
        // The reset is what counts; some drivers count its retains as given back with it.
        if let Err(e) = released {
            log::info!(stage = "engine"; "GPU {ordinal}: {e}");
        }
        open().remove(&ordinal);
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // A lost context is given back by `recover`, and by nobody else.
        if !self.is_lost() {
            // SAFETY: retained once by `retain`; everything that lives on the context held this device and is gone.
            let code = unsafe { (self.driver.functions.primary_ctx_release)(self.raw) };
            if let Err(e) = self.judge("cuDevicePrimaryCtxRelease", code) {
                log::warn!(stage = "engine"; "{e}");
            }
        }
    }
}

fn name_of(driver: &Driver, raw: c_int) -> Result<String, Failure> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the driver writes at most as many bytes as it is told, the closing zero among them.
    let code = unsafe { (driver.functions.device_get_name)(name.as_mut_ptr(), name.len() as c_int, raw) };
    driver.check("cuDeviceGetName", code)?;
    name[name.len() - 1] = 0;
    // SAFETY: the last byte is zero.
    Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}
