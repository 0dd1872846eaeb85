//! The mirror of `shim/shim.h`: the C table through which TensorRT is reached, and the list of those that this build has.
//!
//! Belongs here: layouts, as the header has them; both change together. Does not: what the functions are called for (see `library`,
//! `nvinfer`, `network`).

#![allow(unsafe_code, reason = "the tables are found by the linker: no compiler sees what they are")]

use std::ffi::{c_char, c_void};

use super::failure::Failure;

/// What `layout` says where the header and this file agree.
pub(super) const LAYOUT: i32 = 1;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Dims {
    pub(super) count: i32,
    reserved: i32,
    sizes: [i64; 8],
}

impl Dims {
    pub(super) const NONE: Self = Self { count: -1, reserved: 0, sizes: [0; 8] };

    /// None for more sizes than TensorRT has room for.
    pub(super) fn from_slice(from: &[i64]) -> Option<Self> {
        let mut sizes = [0; 8];
        sizes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { count: i32::try_from(from.len()).ok()?, reserved: 0, sizes })
    }

    /// None where TensorRT had nothing to tell.
    pub(super) fn to_vec(self) -> Option<Vec<i64>> {
        self.sizes.get(..usize::try_from(self.count).ok()?).map(<[i64]>::to_vec)
    }
}

type CreateForLogger = unsafe extern "C" fn(logger: *mut c_void, version: i32) -> *mut c_void;
type CreateParser = unsafe extern "C" fn(network: *mut c_void, logger: *mut c_void, version: i32) -> *mut c_void;

/// A loaded library's entry points.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) create_runtime: CreateForLogger,
    pub(super) create_builder: Option<CreateForLogger>,
    pub(super) create_parser: Option<CreateParser>,
    pub(super) version: i32,
    pub(super) raw_version: i32,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: *const c_char,
    pub(super) is_input: i32,
    pub(super) kind: i32,
    pub(super) dims: Dims,
    pub(super) max_dims: Dims,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) handle: *mut c_void,
    pub(super) data: *const c_void,
    pub(super) size: usize,
}

impl Blob {
    pub(super) const EMPTY: Self = Self { handle: std::ptr::null_mut(), data: std::ptr::null(), size: 0 };
}

#[repr(C)]
pub(super) struct Calibrator {
    pub(super) user: *mut c_void,
    pub(super) batch_size: i32,
    pub(super) reserved: i32,
    pub(super) batch: unsafe extern "C" fn(user: *mut c_void, address: *mut u64) -> i32,
    pub(super) cached: unsafe extern "C" fn(user: *mut c_void, size: *mut usize) -> *const c_void,
    pub(super) keep: unsafe extern "C" fn(user: *mut c_void, table: *const c_void, size: usize),
}

/// Progress: a phase begins, with its number of steps; a step is done; a phase ends.
pub(super) const PHASE_BEGINS: i32 = 0;
pub(super) const STEP_DONE: i32 = 1;
pub(super) const PHASE_ENDS: i32 = 2;

#[repr(C)]
pub(super) struct BuildRequest {
    pub(super) onnx: *const c_void,
    pub(super) onnx_size: usize,
    pub(super) input: *const c_char,
    pub(super) min: Dims,
    pub(super) opt: Dims,
    pub(super) max: Dims,
    pub(super) workspace_bytes: u64,
    pub(super) timing_cache: *const c_void,
    pub(super) timing_cache_size: usize,
    pub(super) calibrator: *const Calibrator,
    pub(super) user: *mut c_void,
    pub(super) progress: unsafe extern "C" fn(user: *mut c_void, event: i32, phase: *const c_char, number: i32) -> i32,
    pub(super) refused: unsafe extern "C" fn(
        user: *mut c_void,
        code: i32,
        node: i32,
        name: *const c_char,
        op: *const c_char,
        text: *const c_char,
    ),
    pub(super) dla_core: i32,
    pub(super) is_fp16: i32,
    pub(super) is_int8: i32,
    pub(super) is_strongly_typed: i32,
}

#[repr(C)]
pub(super) struct Built {
    pub(super) plan: Blob,
    pub(super) timing_cache: Blob,
}

/// What `build` returns.
pub(super) mod status {
    pub(in super::super) const DONE: i32 = 0;
    pub(in super::super) const NO_BUILDER: i32 = 1;
    pub(in super::super) const NO_NETWORK: i32 = 2;
    pub(in super::super) const NO_PARSER: i32 = 3;
    pub(in super::super) const REFUSED: i32 = 4;
    pub(in super::super) const NO_CONFIG: i32 = 5;
    pub(in super::super) const NO_INPUT: i32 = 6;
    pub(in super::super) const BAD_PROFILE: i32 = 7;
    pub(in super::super) const NO_DLA: i32 = 8;
    pub(in super::super) const NO_CALIBRATOR: i32 = 9;
    pub(in super::super) const CANCELLED: i32 = 10;
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Abilities {
    pub(super) has_fast_fp16: i32,
    pub(super) has_fast_int8: i32,
    pub(super) dla_cores: i32,
}

pub(super) type LogTo = extern "C" fn(severity: i32, text: *const c_char);

#[repr(C)]
#[derive(Debug)]
pub(super) struct Table {
    pub(super) layout: i32,
    pub(super) major: i32,
    pub(super) minor: i32,
    pub(super) is_rtx: i32,
    pub(super) log_to: unsafe extern "C" fn(log: LogTo),
    pub(super) runtime_new: unsafe extern "C" fn(library: *const Entry) -> *mut c_void,
    pub(super) runtime_free: unsafe extern "C" fn(runtime: *mut c_void),
    pub(super) plan_load: unsafe extern "C" fn(
        runtime: *mut c_void,
        library: *const Entry,
        bytes: *const c_void,
        size: usize,
        dla_core: i32,
    ) -> *mut c_void,
    pub(super) plan_free: unsafe extern "C" fn(plan: *mut c_void),
    pub(super) tensor_count: unsafe extern "C" fn(plan: *const c_void) -> i32,
    pub(super) tensor: unsafe extern "C" fn(plan: *const c_void, index: i32, tensor: *mut Tensor) -> i32,
    pub(super) device_memory: unsafe extern "C" fn(plan: *const c_void) -> i64,
    pub(super) context_new: unsafe extern "C" fn(plan: *mut c_void) -> *mut c_void,
    pub(super) context_free: unsafe extern "C" fn(context: *mut c_void),
    pub(super) set_shape: unsafe extern "C" fn(context: *mut c_void, name: *const c_char, dims: *const Dims) -> i32,
    pub(super) get_shape: unsafe extern "C" fn(context: *const c_void, name: *const c_char, dims: *mut Dims) -> i32,
    pub(super) bind: unsafe extern "C" fn(context: *mut c_void, name: *const c_char, address: u64) -> i32,
    pub(super) enqueue: unsafe extern "C" fn(context: *mut c_void, stream: *mut c_void) -> i32,
    pub(super) abilities: unsafe extern "C" fn(library: *const Entry, abilities: *mut Abilities) -> i32,
    pub(super) build:
        unsafe extern "C" fn(library: *const Entry, request: *const BuildRequest, built: *mut Built) -> i32,
    pub(super) blob_free: unsafe extern "C" fn(handle: *mut c_void),
}

/// The tables that this build has. One whose layout is not this file's would be a mistake in the build, and is left out.
pub(super) fn tables() -> impl Iterator<Item = &'static Table> {
    COMPILED.iter().map(|table| table()).filter(|table| table.layout == LAYOUT)
}

/// Whether this build covers any TensorRT that a device has; TensorRT-RTX is for checks alone.
pub(super) fn check() -> Result<(), Failure> {
    if tables().all(|table| table.is_rtx != 0) { Err(Failure::LeftOut) } else { Ok(()) }
}

// `COMPILED`, as build.rs found headers.
include!(concat!(env!("OUT_DIR"), "/tables.rs"));
