//! What TensorRT builds: a plan from an ONNX model, for the GPU that is current, in minutes. TensorRT tells how far it is, asks for
//! calibration batches, and says which node it does not take.
//!
//! Belongs here: one build, as asked. Does not: which precision is worth it, where plans are kept (see `builder`, `cache`).

#![allow(unsafe_code, reason = "TensorRT is reached through a table of C functions, and calls back through others")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::Failure;
use super::library::Library;
use super::nvinfer::c_name;
use super::said;
use super::table::{self, Blob, Dims, status};

const BUILDING: &str = "building an engine";

/// Which sizes of the input a plan is for.
#[derive(Debug, Clone)]
pub(in crate::infer) struct Profile<'a> {
    /// The input's name.
    pub(in crate::infer) name: &'a str,
    /// The smallest.
    pub(in crate::infer) min: &'a [i64],
    /// Those that it shall be fastest with, and that calibration runs with.
    pub(in crate::infer) opt: &'a [i64],
    /// The largest.
    pub(in crate::infer) max: &'a [i64],
}

/// The batches of a calibration. Called on the thread that builds.
pub(in crate::infer) trait Calibrate: Send {
    /// Images of a batch, as many as the profile's `opt` says.
    fn batch_size(&self) -> usize;
    /// Where in the GPU's memory the next batch lies, until the next call; None when there are no more.
    fn batch(&mut self) -> Option<u64>;
    /// A table of an earlier calibration, which saves this one.
    fn cached(&mut self) -> Option<Vec<u8>>;
    /// The table that was found.
    fn keep(&mut self, table: &[u8]);
}

/// Told the phase, the steps that are done and those that there are; false cancels. May be called from threads of TensorRT's.
pub(in crate::infer) type Progress<'a> = dyn FnMut(&str, u32, u32) -> bool + Send + 'a;

/// What to build.
pub(in crate::infer) struct BuildRequest<'a> {
    /// The model.
    pub(in crate::infer) onnx: &'a [u8],
    /// The sizes of its input.
    pub(in crate::infer) input: Profile<'a>,
    /// Whether 16-bit floats may be used; nothing to ask for where the model's types are all that counts.
    pub(in crate::infer) is_fp16: bool,
    /// Whether 8-bit integers may be.
    pub(in crate::infer) is_int8: bool,
    /// Whether the model's types are all that counts, also where (in 10) they need not be.
    pub(in crate::infer) is_strongly_typed: bool,
    /// The DLA core that shall do it, with the GPU for what it cannot.
    pub(in crate::infer) dla_core: Option<u32>,
    /// Scratch memory that a layer may use; 0 leaves it to TensorRT.
    pub(in crate::infer) workspace_bytes: u64,
    /// What earlier builds found out; empty for none. Another GPU's is not used.
    pub(in crate::infer) timing_cache: &'a [u8],
    /// For int8 without Q/DQ nodes, before 11.
    pub(in crate::infer) calibrator: Option<&'a mut dyn Calibrate>,
    /// Told how far it is; before 10 there is nothing to tell.
    pub(in crate::infer) progress: &'a mut Progress<'a>,
}

/// What was built.
pub(in crate::infer) struct Built {
    /// The plan, for this version of TensorRT and this kind of GPU alone.
    pub(in crate::infer) plan: Vec<u8>,
    /// What was found out on the way, for the next build.
    pub(in crate::infer) timing_cache: Vec<u8>,
    /// What the parser or the builder had against the model, though it was built.
    pub(in crate::infer) remarks: Vec<String>,
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, timing_cache, remarks } = self;
        write!(f, "Built {{ plan: {} bytes, timing_cache: {} bytes, {remarks:?} }}", plan.len(), timing_cache.len())
    }
}

impl Library {
    /// Builds a plan for the GPU of this thread's context. `cuInit` has to have succeeded.
    pub(in crate::infer) fn build(self: &Arc<Self>, request: BuildRequest<'_>) -> Result<Built, Failure> {
        self.check_builder()?;
        if request.calibrator.is_some() && self.is_strongly_typed() {
            return Err(Failure::NoCalibrator { version: self.version().to_string() });
        }
        let input = c_name(request.input.name, BUILDING)?;
        let dims = |sizes: &[i64]| {
            let said = format!("{sizes:?}: TensorRT takes 8 sizes at most");
            Dims::from_slice(sizes).ok_or(Failure::Tensorrt { doing: BUILDING, said })
        };
        let asked = Callbacks::new(request.progress);
        let calibration = request.calibrator.map(|calibrator| Calibration { calibrator, table: Vec::new() });
        let calibration = calibration.map(Mutex::new);
        let calibrator = calibration.as_ref().map(calibrator_of);
        let plain = table::BuildRequest {
            onnx: request.onnx.as_ptr().cast(),
            onnx_size: request.onnx.len(),
            input: input.as_ptr(),
            min: dims(request.input.min)?,
            opt: dims(request.input.opt)?,
            max: dims(request.input.max)?,
            workspace_bytes: request.workspace_bytes,
            timing_cache: request.timing_cache.as_ptr().cast(),
            timing_cache_size: request.timing_cache.len(),
            calibrator: calibrator.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            user: (&raw const asked).cast_mut().cast(),
            progress,
            refused,
            dla_core: request.dla_core.map_or(-1, |core| i32::try_from(core).unwrap_or(i32::MAX)),
            is_fp16: i32::from(request.is_fp16),
            is_int8: i32::from(request.is_int8),
            is_strongly_typed: i32::from(request.is_strongly_typed),
        };
        let mut built = table::Built { plan: Blob::EMPTY, timing_cache: Blob::EMPTY };
        // SAFETY: the entry is of the library that the table is for; every pointer in `plain` is to something that outlives the call:
        // the request, `input`, `asked`, `calibration` and `calibrator`. Both users are shared references to a Sync type.
        let (status, heard) =
            said::during(|| unsafe { (self.table.build)(&raw const self.entry, &raw const plain, &raw mut built) });
        let plan = self.take(&built.plan);
        let timing_cache = self.take(&built.timing_cache);
        let refusals = asked.into_refusals();
        match status {
            status::DONE => Ok(Built { plan, timing_cache, remarks: heard }),
            status::REFUSED => Err(refusal(&refusals, &heard)),
            status::NO_INPUT => Err(Failure::NoSuchInput { name: request.input.name.to_owned() }),
            status::NO_DLA => Err(self.no_dla(request.dla_core)),
            status::NO_CALIBRATOR => Err(Failure::NoCalibrator { version: self.version().to_string() }),
            status::CANCELLED => Err(Failure::Cancelled),
            other => Err(said::failure(doing(other), &heard)),
        }
    }

    fn no_dla(&self, wanted: Option<u32>) -> Failure {
        let have = self.abilities().map_or(0, |abilities| abilities.dla_cores);
        Failure::NoSuchDla { wanted: wanted.unwrap_or(0), have }
    }

    /// Copies what TensorRT made, and gives it back.
    fn take(&self, blob: &Blob) -> Vec<u8> {
        if blob.handle.is_null() {
            return Vec::new();
        }
        let bytes = if blob.data.is_null() || blob.size == 0 {
            Vec::new()
        } else {
            // SAFETY: TensorRT's memory of that size, which lives until it is given back below.
            unsafe { std::slice::from_raw_parts(blob.data.cast::<u8>(), blob.size) }.to_vec()
        };
        // SAFETY: the handle is the table's, and given back once.
        unsafe { (self.table.blob_free)(blob.handle) };
        bytes
    }
}

/// What a build was at when it ended.
fn doing(status: i32) -> &'static str {
    match status {
        status::NO_BUILDER => "creating its builder",
        status::NO_NETWORK => "creating a network",
        status::NO_PARSER => "creating its parser of ONNX",
        status::NO_CONFIG => "creating a build's settings",
        status::BAD_PROFILE => "setting the input's sizes",
        _ => BUILDING,
    }
}

/// What the parser has against the model.
#[derive(Debug)]
struct Refusal {
    node: i32,
    name: String,
    op: String,
    text: String,
}

/// The failure that the parser's words make: of the first node that it names, else of the model.
fn refusal(refusals: &[Refusal], heard: &[String]) -> Failure {
    const DOING: &str = "reading the model";
    let Some(first) = refusals.iter().find(|r| r.node >= 0).or(refusals.first()) else {
        return said::failure(DOING, heard);
    };
    if first.node < 0 {
        return Failure::Tensorrt { doing: DOING, said: first.text.clone() };
    }
    let name = if first.name.is_empty() { format!("number {}", first.node) } else { first.name.clone() };
    let node = if first.op.is_empty() { name } else { format!("{name} ({})", first.op) };
    Failure::Node { node, said: first.text.clone() }
}

/// What the shim's calls reach during a build; TensorRT may call from several threads.
struct Callbacks<'a>(Mutex<Told<'a>>);

struct Told<'a> {
    progress: &'a mut Progress<'a>,
    /// Steps of each phase that is under way.
    steps: HashMap<String, u32>,
    refusals: Vec<Refusal>,
}

impl<'a> Callbacks<'a> {
    fn new(progress: &'a mut Progress<'a>) -> Self {
        Self(Mutex::new(Told { progress, steps: HashMap::new(), refusals: Vec::new() }))
    }

    fn into_refusals(self) -> Vec<Refusal> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).refusals
    }
}

impl Told<'_> {
    /// Whether the build goes on.
    fn tell(&mut self, event: i32, phase: &str, number: i32) -> bool {
        let number = u32::try_from(number).unwrap_or(0);
        match event {
            table::PHASE_BEGINS => {
                self.steps.insert(phase.to_owned(), number);
                (self.progress)(phase, 0, number)
            }
            table::STEP_DONE => {
                let steps = self.steps.get(phase).copied().unwrap_or(0);
                (self.progress)(phase, (number + 1).min(steps), steps)
            }
            table::PHASE_ENDS => {
                let steps = self.steps.remove(phase).unwrap_or(0);
                (self.progress)(phase, steps, steps)
            }
            _ => true,
        }
    }
}

/// A string of TensorRT's.
///
/// # Safety
/// `text` is null, or a string that ends with a zero and lives until this returns.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What TensorRT's call does. A panic may not unwind into it, and would end the process: it is told by its hook, and the answer is this.
fn guarded<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    // Whatever a panic left half done is behind a lock whose poison is seen through on purpose: the build ends with that answer.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(otherwise)
}

unsafe extern "C" fn progress(user: *mut c_void, event: i32, phase: *const c_char, number: i32) -> i32 {
    // SAFETY: `user` is the Callbacks that `build` passed, which outlives the build and is shared through its lock only.
    let callbacks = unsafe { &*user.cast_const().cast::<Callbacks<'_>>() };
    // SAFETY: the shim passes TensorRT's string, or an empty one.
    let phase = unsafe { text(phase) };
    let tell = || callbacks.0.lock().unwrap_or_else(PoisonError::into_inner).tell(event, &phase, number);
    // A build of which nobody hears is cancelled.
    i32::from(guarded(false, tell))
}

unsafe extern "C" fn refused(
    user: *mut c_void,
    _code: i32,
    node: i32,
    name: *const c_char,
    op: *const c_char,
    said: *const c_char,
) {
    // SAFETY: as in `progress`.
    let callbacks = unsafe { &*user.cast_const().cast::<Callbacks<'_>>() };
    // SAFETY: the shim passes the parser's strings, or empty ones.
    let (name, op, text) = unsafe { (text(name), text(op), text(said)) };
    let refusal = Refusal { node, name, op, text: text.trim().to_owned() };
    guarded((), || callbacks.0.lock().unwrap_or_else(PoisonError::into_inner).refusals.push(refusal));
}

/// A calibrator, and the table that TensorRT reads while the build lasts.
struct Calibration<'a> {
    calibrator: &'a mut dyn Calibrate,
    table: Vec<u8>,
}

fn calibrator_of(calibration: &Mutex<Calibration<'_>>) -> table::Calibrator {
    let size = calibration.lock().unwrap_or_else(PoisonError::into_inner).calibrator.batch_size();
    table::Calibrator {
        user: std::ptr::from_ref(calibration).cast_mut().cast(),
        batch_size: i32::try_from(size).unwrap_or(i32::MAX),
        reserved: 0,
        batch,
        cached,
        keep,
    }
}

/// Lets a call of the shim's reach the calibrator.
///
/// # Safety
/// `user` is what `calibrator_of` put there, and the build lasts.
unsafe fn with<T>(user: *mut c_void, call: impl FnOnce(&mut Calibration<'_>) -> T) -> T {
    // SAFETY: as the caller promises; the calibration is shared through its lock only.
    let calibration = unsafe { &*user.cast_const().cast::<Mutex<Calibration<'_>>>() };
    call(&mut calibration.lock().unwrap_or_else(PoisonError::into_inner))
}

unsafe extern "C" fn batch(user: *mut c_void, address: *mut u64) -> i32 {
    // SAFETY: the shim passes what it got, while the build lasts.
    let Some(at) = (unsafe { with(user, |c| guarded(None, || c.calibrator.batch())) }) else { return 0 };
    // SAFETY: the shim's own variable.
    unsafe { address.write(at) };
    1
}

unsafe extern "C" fn cached(user: *mut c_void, size: *mut usize) -> *const c_void {
    let ask = |c: &mut Calibration<'_>| {
        c.table = guarded(None, || c.calibrator.cached()).unwrap_or_default();
        // The table stays where it is until this is asked again.
        (c.table.as_ptr(), c.table.len())
    };
    // SAFETY: the shim passes what it got, while the build lasts.
    let (bytes, length) = unsafe { with(user, ask) };
    // SAFETY: TensorRT's own variable.
    unsafe { size.write(length) };
    if length == 0 { std::ptr::null() } else { bytes.cast() }
}

unsafe extern "C" fn keep(user: *mut c_void, table: *const c_void, size: usize) {
    if table.is_null() || size == 0 {
        return;
    }
    // SAFETY: TensorRT's table of that size, for the time of the call.
    let bytes = unsafe { std::slice::from_raw_parts(table.cast::<u8>(), size) };
    // SAFETY: the shim passes what it got, while the build lasts.
    unsafe { with(user, |c| guarded((), || c.calibrator.keep(bytes))) };
}
