//! What TensorRT runs: a runtime loads plans, a plan gives contexts, a context runs on a stream. Each keeps alive what it needs.
//!
//! Belongs here: TensorRT's own objects, safely. Does not: memory and streams (see `cuda`), what the tensors mean (see `engine`), building
//! (see `network`). Whoever drops one of these has the GPU's context current on the thread, as with every other call here; after a
//! failure that lost the GPU they are forgotten (`std::mem::forget`) instead, since nothing of TensorRT may be called any more.

#![allow(unsafe_code, reason = "TensorRT is reached through a table of C functions")]

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::Failure;
use super::library::Library;
use super::said;
use super::table::{Dims, Tensor};

/// What can only be had where `cuInit` has succeeded. Without it some versions of TensorRT give a number for a runtime, and the first use
/// of that ends the program.
///
/// # Safety
/// A value of the type proves that `cuInit` succeeded in this process.
pub(in crate::infer) unsafe trait CudaIsUp {}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) enum Kind {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Signed bytes.
    I8,
    /// 32-bit integers.
    I32,
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned bytes.
    U8,
    /// 64-bit integers.
    I64,
    /// Another, by TensorRT's number.
    Other(i32),
}

impl Kind {
    fn from_number(number: i32) -> Self {
        match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I8,
            3 => Self::I32,
            4 => Self::Bool,
            5 => Self::U8,
            8 => Self::I64,
            other => Self::Other(other),
        }
    }
}

/// A tensor at the edge of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::infer) struct TensorInfo {
    /// Its name in the model.
    pub(in crate::infer) name: String,
    /// Whether it is fed, not read.
    pub(in crate::infer) is_input: bool,
    /// Its elements.
    pub(in crate::infer) kind: Kind,
    /// Its sizes; -1 where the profile leaves them open.
    pub(in crate::infer) dims: Vec<i64>,
    /// Of an input, the largest sizes that the plan was built for.
    pub(in crate::infer) max_dims: Option<Vec<i64>>,
}

/// What loads plans.
#[derive(Debug)]
pub(in crate::infer) struct Runtime {
    library: Arc<Library>,
    /// Loading sets the DLA core first, so two threads must not do it at once.
    raw: Mutex<NonNull<c_void>>,
}

// SAFETY: an IRuntime belongs to no thread; the lock leaves it to one at a time.
unsafe impl Send for Runtime {}
// SAFETY: as above, `raw` is reached through the lock only, and a Library is shared already.
unsafe impl Sync for Runtime {}

impl Runtime {
    /// A runtime for the GPU whose context is current on this thread.
    pub(in crate::infer) fn new(library: &Arc<Library>, _proof: &impl CudaIsUp) -> Result<Arc<Self>, Failure> {
        let new = library.table.runtime_new;
        // SAFETY: the entry is of the library that the table is for, as `Library::open_at` made sure; cuInit has succeeded.
        let (raw, heard) = said::during(|| unsafe { new(&raw const library.entry) });
        let raw = NonNull::new(raw).ok_or_else(|| said::failure("creating its runtime", &heard))?;
        Ok(Arc::new(Self { library: Arc::clone(library), raw: Mutex::new(raw) }))
    }

    /// A plan from the bytes that a build gave, on this very version and kind of GPU; TensorRT refuses others.
    pub(in crate::infer) fn load(self: &Arc<Self>, plan: &[u8], dla_core: Option<u32>) -> Result<Arc<Plan>, Failure> {
        let table = self.library.table;
        let core = dla_core.map_or(-1, |core| i32::try_from(core).unwrap_or(i32::MAX));
        let runtime = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the runtime is alive and this thread's alone while it is locked; the bytes outlive the call, which copies what it keeps.
        let (raw, heard) = said::during(|| unsafe {
            (table.plan_load)(runtime.as_ptr(), &raw const self.library.entry, plan.as_ptr().cast(), plan.len(), core)
        });
        drop(runtime);
        let raw = NonNull::new(raw).ok_or_else(|| said::failure("loading an engine", &heard))?;
        let mut plan =
            Plan { runtime: Arc::clone(self), raw: Mutex::new(raw), tensors: Vec::new(), device_memory_bytes: 0 };
        if let Err(e) = plan.look() {
            // Whatever is wrong with it or with the GPU, its destructor is not to be trusted.
            std::mem::forget(plan);
            return Err(e);
        }
        Ok(Arc::new(plan))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let raw = self.raw.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: made by the same table, freed once, and no plan is left: each holds this runtime.
        unsafe { (self.library.table.runtime_free)(raw.as_ptr()) };
    }
}

/// An engine, loaded: weights on the GPU and what to do with them.
#[derive(Debug)]
pub(in crate::infer) struct Plan {
    runtime: Arc<Runtime>,
    raw: Mutex<NonNull<c_void>>,
    tensors: Vec<TensorInfo>,
    device_memory_bytes: u64,
}

// SAFETY: an ICudaEngine belongs to no thread; the lock leaves it to one at a time.
unsafe impl Send for Plan {}
// SAFETY: as above, `raw` is reached through the lock only; contexts read the engine, which TensorRT allows from several threads.
unsafe impl Sync for Plan {}

impl Plan {
    /// Inputs and outputs, in TensorRT's order.
    pub(in crate::infer) fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// What a context takes of the GPU's memory, beside the weights.
    pub(in crate::infer) fn device_memory_bytes(&self) -> u64 {
        self.device_memory_bytes
    }

    /// A context, for one stream at a time. Before TensorRT 8.6 a plan with an open batch has one only: load it once for each.
    pub(in crate::infer) fn context(self: &Arc<Self>) -> Result<Context, Failure> {
        let engine = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the plan is alive, and this thread's alone while it is locked.
        let (raw, heard) = said::during(|| unsafe { (self.runtime.library.table.context_new)(engine.as_ptr()) });
        drop(engine);
        let raw = NonNull::new(raw).ok_or_else(|| said::failure("creating an execution context", &heard))?;
        Ok(Context { plan: Arc::clone(self), raw })
    }

    /// Asks once for what does not change.
    fn look(&mut self) -> Result<(), Failure> {
        let table = self.runtime.library.table;
        let raw = self.raw.get_mut().unwrap_or_else(PoisonError::into_inner).as_ptr();
        // SAFETY: the plan is alive, and nobody else has it yet.
        let count = unsafe { (table.tensor_count)(raw) };
        for index in 0..count {
            let mut tensor =
                Tensor { name: std::ptr::null(), is_input: 0, kind: 0, dims: Dims::NONE, max_dims: Dims::NONE };
            // SAFETY: as above; the index is below the count, and `tensor` may be written.
            let (done, heard) = said::during(|| unsafe { (table.tensor)(raw, index, &raw mut tensor) });
            if done == 0 || tensor.name.is_null() {
                return Err(said::failure("reading an engine's tensors", &heard));
            }
            // SAFETY: TensorRT's string, which lives as long as the plan.
            let name = unsafe { CStr::from_ptr(tensor.name) }.to_string_lossy().into_owned();
            self.tensors.push(TensorInfo {
                name,
                is_input: tensor.is_input != 0,
                kind: Kind::from_number(tensor.kind),
                dims: tensor.dims.to_vec().unwrap_or_default(),
                max_dims: tensor.max_dims.to_vec(),
            });
        }
        // SAFETY: as above.
        self.device_memory_bytes = u64::try_from(unsafe { (table.device_memory)(raw) }).unwrap_or(0);
        Ok(())
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let raw = self.raw.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: made by the same table, freed once, before its runtime; no context is left: each holds this plan.
        unsafe { (self.runtime.library.table.plan_free)(raw.as_ptr()) };
    }
}

/// What runs a plan: shapes, addresses and scratch memory of one run at a time.
#[derive(Debug)]
pub(in crate::infer) struct Context {
    plan: Arc<Plan>,
    raw: NonNull<c_void>,
}

// SAFETY: an IExecutionContext belongs to no thread, and every call that changes it wants `&mut self`. It is not Sync.
unsafe impl Send for Context {}

impl Context {
    /// Says how large an input is from the next run on.
    pub(in crate::infer) fn set_shape(&mut self, name: &str, dims: &[i64]) -> Result<(), Failure> {
        const DOING: &str = "setting an input's shape";
        let table = self.plan.runtime.library.table;
        let c_name = c_name(name, DOING)?;
        let plain = Dims::from_slice(dims).ok_or_else(|| refused(DOING, format!("{name} {dims:?}: too many sizes")))?;
        // SAFETY: the context is alive and borrowed exclusively; name and dims outlive the call.
        let (done, heard) =
            said::during(|| unsafe { (table.set_shape)(self.raw.as_ptr(), c_name.as_ptr(), &raw const plain) });
        if done == 0 { Err(about(said::failure(DOING, &heard), &format!("{name} {dims:?}"))) } else { Ok(()) }
    }

    /// How large a tensor is at the next run; -1 where an input's shape is still open.
    pub(in crate::infer) fn shape(&self, name: &str) -> Result<Vec<i64>, Failure> {
        const DOING: &str = "asking for a tensor's shape";
        let table = self.plan.runtime.library.table;
        let c_name = c_name(name, DOING)?;
        let mut dims = Dims::NONE;
        // SAFETY: the context is alive and on this thread alone, since it is not Sync; `dims` may be written.
        let (done, heard) =
            said::during(|| unsafe { (table.get_shape)(self.raw.as_ptr(), c_name.as_ptr(), &raw mut dims) });
        let shape = (done != 0).then(|| dims.to_vec()).flatten();
        shape.ok_or_else(|| about(said::failure(DOING, &heard), name))
    }

    /// Says where in the GPU's memory a tensor lies. The memory must be there, and large enough, whenever this is enqueued and until the
    /// stream is done with it.
    pub(in crate::infer) fn bind(&mut self, name: &str, address: u64) -> Result<(), Failure> {
        const DOING: &str = "binding a tensor";
        let table = self.plan.runtime.library.table;
        let c_name = c_name(name, DOING)?;
        // SAFETY: the context is alive and borrowed exclusively; the address is only kept.
        let (done, heard) = said::during(|| unsafe { (table.bind)(self.raw.as_ptr(), c_name.as_ptr(), address) });
        if done == 0 { Err(about(said::failure(DOING, &heard), name)) } else { Ok(()) }
    }

    /// Puts one run onto a CUDA stream. That it was done shows on the stream.
    pub(in crate::infer) fn enqueue(&mut self, stream: *mut c_void) -> Result<(), Failure> {
        let table = self.plan.runtime.library.table;
        // SAFETY: the context is alive and borrowed exclusively; the stream is one of the GPU's context that is current here, as the head
        // of this file asks, and TensorRT refuses a run with a tensor that has no memory.
        let (done, heard) = said::during(|| unsafe { (table.enqueue)(self.raw.as_ptr(), stream) });
        if done == 0 { Err(said::failure("running an engine", &heard)) } else { Ok(()) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by the same table, freed once, before its plan.
        unsafe { (self.plan.runtime.library.table.context_free)(self.raw.as_ptr()) };
    }
}

/// A name as TensorRT takes it.
pub(super) fn c_name(name: &str, doing: &'static str) -> Result<CString, Failure> {
    CString::new(name).map_err(|_| refused(doing, format!("{name:?} is no name")))
}

fn refused(doing: &'static str, said: String) -> Failure {
    Failure::Tensorrt { doing, said }
}

/// The same failure, with what it was about in front of what was said.
fn about(failure: Failure, what: &str) -> Failure {
    match failure {
        Failure::Tensorrt { doing, said } => Failure::Tensorrt { doing, said: format!("{what}: {said}") },
        other => other,
    }
}
