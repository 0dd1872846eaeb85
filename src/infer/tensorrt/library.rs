//! The library libnvinfer and its parser of ONNX, found when the program runs. Nothing of it is called before its own version and a table
//! of this build agree: a table on another major's library would jump to anywhere.
//!
//! Belongs here: which file, which version. Does not: what it is used for (see `nvinfer`, `network`).

#![allow(unsafe_code, reason = "a library's functions are found by name: no compiler knows what they are")]

use std::ffi::{CStr, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use super::failure::Failure;
use super::said;
use super::table::{Abilities, Entry, Table, tables};
use super::whole;

/// Majors that there are, newest first: the order in which they are looked for.
const MAJORS: [u32; 3] = [11, 10, 8];

/// A version of TensorRT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::infer) struct Version {
    /// Changes what its classes look like.
    pub(in crate::infer) major: u32,
    /// Adds to them.
    pub(in crate::infer) minor: u32,
    /// Neither.
    pub(in crate::infer) patch: u32,
}

impl Version {
    /// As the library tells it: 8502 for 8.5.2, and 101601 for 10.16.1 from 10 on.
    fn decode(raw: i32) -> Self {
        let raw = u32::try_from(raw).unwrap_or(0);
        let thousands = if raw < 10_000 { 10 } else { 100 };
        Self { major: raw / (thousands * 100), minor: raw / 100 % thousands, patch: raw % 100 }
    }

    /// As the table compares it.
    fn number(self) -> i32 {
        i32::try_from(self.major * 10_000 + self.minor * 100 + self.patch).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What the GPU is good at, as this version of TensorRT tells it; None where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer) struct GpuAbilities {
    /// Whether 16-bit floats are faster than 32-bit ones.
    pub(in crate::infer) has_fast_fp16: Option<bool>,
    /// Whether 8-bit integers are.
    pub(in crate::infer) has_fast_int8: Option<bool>,
    /// How many DLA cores there are.
    pub(in crate::infer) dla_cores: u32,
}

/// A loaded libnvinfer. It is never unloaded: it keeps threads, and the logger that it was given first.
#[derive(Debug)]
pub(in crate::infer) struct Library {
    path: PathBuf,
    version: Version,
    pub(super) table: &'static Table,
    pub(super) entry: Entry,
    /// Why nothing can be built.
    no_builder: Option<String>,
}

impl Library {
    /// The newest TensorRT that is installed and that this build has a table for. A lean runtime, which can only run, comes last.
    pub(in crate::infer) fn open() -> Result<Arc<Self>, Failure> {
        super::table::check()?;
        let mut first = None;
        for stem in ["libnvinfer.so", "libnvinfer_lean.so"] {
            for major in MAJORS {
                let name = format!("{stem}.{major}");
                let parser = format!("libnvonnxparser.so.{major}");
                match Self::open_at(Path::new(&name), Some(Path::new(&parser))) {
                    Ok(library) => return Ok(library),
                    Err(Failure::NoTensorrt { .. }) => {}
                    Err(other) => first = first.or(Some(other)),
                }
            }
        }
        Err(first
            .unwrap_or_else(|| Failure::NoTensorrt { reason: "no libnvinfer.so.11, .10 or .8 was found".to_owned() }))
    }

    /// A library by its file or its name, with a parser by its own. Without a parser engines are run, not built.
    pub(in crate::infer) fn open_at(nvinfer: &Path, parser: Option<&Path>) -> Result<Arc<Self>, Failure> {
        let handle = load(nvinfer)?;
        let broken = |problem: String| Failure::Library { library: nvinfer.to_owned(), problem };
        let lacks = |name: &CStr| broken(format!("it has no {}", name.to_string_lossy()));
        let version_of: VersionOf = find(&handle, c"getInferLibVersion").ok_or_else(|| lacks(c"getInferLibVersion"))?;
        // SAFETY: every TensorRT since 5 has this function, without arguments, and it touches no state.
        let raw_version = unsafe { version_of() };
        let version = Version::decode(raw_version);
        let table = table_for(version)?;
        let create_runtime = find(&handle, c"createInferRuntime_INTERNAL");
        let create_runtime = create_runtime.ok_or_else(|| lacks(c"createInferRuntime_INTERNAL"))?;
        let create_builder: Option<_> = find(&handle, c"createInferBuilder_INTERNAL");
        let (create_parser, no_parser) = match parser.map(open_parser) {
            Some(Ok(create)) => (Some(create), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, Some("no parser of ONNX was asked for".to_owned())),
        };
        let no_builder = match &create_builder {
            Some(_) => no_parser,
            None => Some(format!("{} is a runtime only", nvinfer.display())),
        };
        // SAFETY: the function keeps what it gets for the whole process, and `listen` lives as long.
        unsafe { (table.log_to)(said::listen) };
        let entry = Entry { create_runtime, create_builder, create_parser, version: version.number(), raw_version };
        Ok(Arc::new(Self { path: nvinfer.to_owned(), version, table, entry, no_builder }))
    }

    /// What is loaded.
    pub(in crate::infer) fn version(&self) -> Version {
        self.version
    }

    /// The file, or the name by which the system found it.
    pub(in crate::infer) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether engines can be built, not only run.
    pub(in crate::infer) fn can_build(&self) -> bool {
        self.no_builder.is_none()
    }

    /// Whether a model's own types are all that counts (from 11 on), so that precision and calibration are nothing to ask for.
    pub(in crate::infer) fn is_strongly_typed(&self) -> bool {
        self.version.major >= 11 || self.table.is_rtx != 0
    }

    /// Whether several contexts may run one plan with an open batch: 8.6 was the first, and had to be asked for it at the build.
    pub(in crate::infer) fn shares_plans(&self) -> bool {
        self.version.major > 8 || (self.version.minor >= 6 && self.table.minor >= 6)
    }

    /// The failure of a build where none is possible.
    pub(super) fn check_builder(&self) -> Result<(), Failure> {
        match &self.no_builder {
            Some(reason) => Err(Failure::NoBuilder { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// What the GPU of this thread's context is good at. Needs a builder, and takes a second or two.
    pub(in crate::infer) fn abilities(&self) -> Result<GpuAbilities, Failure> {
        self.check_builder()?;
        let mut plain = Abilities { has_fast_fp16: -1, has_fast_int8: -1, dla_cores: 0 };
        // SAFETY: the entry is of the library that the table is for, as `open_at` made sure, and both live through the call.
        let (done, heard) = said::during(|| unsafe { (self.table.abilities)(&raw const self.entry, &raw mut plain) });
        if done == 0 {
            return Err(said::failure("asking what the GPU can do", &heard));
        }
        let tell = |has: i32| (has >= 0).then_some(has != 0);
        Ok(GpuAbilities {
            has_fast_fp16: tell(plain.has_fast_fp16),
            has_fast_int8: tell(plain.has_fast_int8),
            dla_cores: u32::try_from(plain.dla_cores).unwrap_or(0),
        })
    }
}

type VersionOf = unsafe extern "C" fn() -> i32;
type CreateParser = unsafe extern "C" fn(*mut c_void, *mut c_void, i32) -> *mut c_void;

/// The table for a version: of the same major, and TensorRT-RTX's only for TensorRT-RTX, which counts from 1.
fn table_for(version: Version) -> Result<&'static Table, Failure> {
    let major = i32::try_from(version.major).unwrap_or(0);
    tables()
        .find(|table| table.major == major)
        .ok_or_else(|| Failure::Version { found: version.to_string(), covered: covered() })
}

/// The versions that this build has tables for, in words.
fn covered() -> String {
    let names: Vec<String> = tables().filter(|t| t.is_rtx == 0).map(|t| t.major.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Loads a library for good. Its initialisers run, as they do in every program that uses it.
fn load(file: &Path) -> Result<ManuallyDrop<Handle>, Failure> {
    // One that was cut short would end the program with a bus error while it is loaded.
    if let Some(problem) = whole::problem(file) {
        return Err(Failure::Library { library: file.to_owned(), problem });
    }
    // SAFETY: TensorRT's libraries may be loaded at any time and by any thread; their initialisers ask nothing of the program.
    let opened = unsafe { Handle::open(Some(file), RTLD_NOW | RTLD_LOCAL) };
    opened.map(ManuallyDrop::new).map_err(|error| {
        let reason = words(&error);
        // The same words about another file mean that this one is there and lacks something.
        let is_missing =
            reason.starts_with(&format!("{}: cannot open shared object file: No such file", file.display()));
        if is_missing {
            Failure::NoTensorrt { reason }
        } else {
            Failure::Library { library: file.to_owned(), problem: reason }
        }
    })
}

/// What dlopen says, without what wraps it.
fn words(error: &libloading::Error) -> String {
    match error {
        libloading::Error::DlOpen { source, .. } | libloading::Error::DlSym { source, .. } => {
            format!("{source:?}").trim_matches('"').to_owned()
        }
        other => other.to_string(),
    }
}

/// A function by its name.
fn find<T: Copy>(handle: &Handle, name: &CStr) -> Option<T> {
    // SAFETY: T is a function pointer of the signature that TensorRT's headers give to this name; the callers name them in pairs. The
    // handle is never closed, so the pointer may be copied out of the symbol.
    unsafe { handle.get::<T>(name.to_bytes_with_nul()) }.ok().map(|symbol| *symbol)
}

fn open_parser(file: &Path) -> Result<CreateParser, String> {
    let handle = load(file).map_err(|failure| match failure {
        Failure::NoTensorrt { reason } => reason,
        other => other.to_string(),
    })?;
    find(&handle, c"createNvOnnxParser_INTERNAL").ok_or_else(|| format!("{} is no parser of ONNX", file.display()))
}
