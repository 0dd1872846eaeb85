//! The tables on NVIDIA's real libraries, without a GPU: the lean runtimes of 10 and 11, and TensorRT-RTX, whose builder and parser run on
//! any machine. `PEREGRINE_TENSORRT_LIBS` names the folder that holds them (scripts/test.sh fills one); without it these tests say that
//! they were skipped. What could end the process is tried in a child.

#![allow(unsafe_code, reason = "a runtime is asked for without a driver, to see that nothing crashes")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::failure::Failure;
use super::library::Library;
use super::network::{BuildRequest, Built, Profile};
use super::nvinfer::{CudaIsUp, Runtime};
use crate::runtime::environment;

/// Where there is no driver, this says the contrary on purpose.
struct NoDriver;

// SAFETY: it proves nothing. The tests that use it show that a runtime without a driver is refused, as TensorRT-RTX and the guards against
// the numbers that the lean runtimes give do.
unsafe impl CudaIsUp for NoDriver {}

/// A real library; None, with a line, where there is none to test.
fn real(name: &str) -> Option<PathBuf> {
    let Some(folder) = environment::var("PEREGRINE_TENSORRT_LIBS") else {
        eprintln!("skipped: PEREGRINE_TENSORRT_LIBS names no folder with NVIDIA's libraries");
        return None;
    };
    Some(Path::new(&folder).join(name)).filter(|p| p.exists() || panic!("{} is not there", p.display()))
}

/// Whether this build has the tables that the tests are about; a line where it has not.
fn has_table(major: i32) -> bool {
    let has = super::table::tables().any(|t| t.major == major);
    if !has {
        eprintln!("skipped: this build has no table for TensorRT {major}, for want of its headers");
    }
    has
}

fn lean(major: i32) -> Option<PathBuf> {
    has_table(major).then(|| real(&format!("libnvinfer_lean.so.{major}"))).flatten()
}

fn rtx() -> Option<Arc<Library>> {
    let library = has_table(1).then(|| real("libtensorrt_rtx.so.1")).flatten()?;
    let parser = real("libtensorrt_onnxparser_rtx.so.1")?;
    Some(Library::open_at(&library, Some(&parser)).unwrap())
}

/// Runs one test of this file in a process of its own, with `PEREGRINE_TENSORRT_CHILD` set, and expects it to pass.
fn in_a_child(test: &str) {
    let name = format!("infer::tensorrt::tests::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", &name, "--nocapture"]).env("PEREGRINE_TENSORRT_CHILD", "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", output.status);
}

fn is_child() -> bool {
    environment::var("PEREGRINE_TENSORRT_CHILD").is_some()
}

#[test]
fn the_lean_runtimes_are_loaded_and_tell_their_versions() {
    for (major, version) in [(10, "10.16.1"), (11, "11.4.0")] {
        let Some(file) = lean(major) else { continue };
        let library = Library::open_at(&file, None).unwrap();
        assert_eq!(library.version().to_string(), version);
        assert!(!library.can_build());
        assert_eq!(library.is_strongly_typed(), major == 11);
    }
}

#[test]
fn a_runtime_without_a_driver_is_a_failure_not_a_crash() {
    if !is_child() {
        return in_a_child("a_runtime_without_a_driver_is_a_failure_not_a_crash");
    }
    for major in [10, 11] {
        let Some(file) = lean(major) else { continue };
        let library = Library::open_at(&file, None).unwrap();
        match Runtime::new(&library, &NoDriver) {
            Err(Failure::Tensorrt { said, .. }) => assert!(said.contains("CUDA initialization failure"), "{said}"),
            Err(other) => panic!("{other}"),
            // With a GPU there is nothing to fail.
            Ok(runtime) => drop(runtime),
        }
    }
}

#[test]
fn a_runtime_builds_nothing() {
    let Some(file) = lean(10) else { return };
    let library = Library::open_at(&file, None).unwrap();
    assert!(matches!(build(&library, b"", &[1]), Err(Failure::NoBuilder { .. })));
    assert!(matches!(library.abilities(), Err(Failure::NoBuilder { .. })));
}

fn build(library: &Arc<Library>, onnx: &[u8], sizes: &[i64]) -> Result<Built, Failure> {
    library.build(BuildRequest {
        onnx,
        input: Profile { name: "x", min: sizes, opt: sizes, max: sizes },
        is_fp16: false,
        is_int8: false,
        is_strongly_typed: true,
        dla_core: None,
        workspace_bytes: 0,
        timing_cache: &[],
        calibrator: None,
        progress: &mut |_, _, _| true,
    })
}

#[test]
fn rtx_loads() {
    let Some(library) = rtx() else { return };
    eprintln!("{} {}", library.version(), library.can_build());
}
