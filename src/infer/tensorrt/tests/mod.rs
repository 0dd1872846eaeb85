//! The tables on NVIDIA's real libraries, without a GPU: the lean runtimes of 10 and 11, and TensorRT-RTX, whose builder and parser run on
//! any machine. `PEREGRINE_TENSORRT_LIBS` names the folder that holds them (scripts/test.sh fills one); without it these tests say that
//! they were skipped. What could end the process is tried in a child.

#![allow(unsafe_code, reason = "a runtime is asked for without a driver, to see that nothing crashes")]

mod onnx;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::failure::Failure;
use super::library::Library;
use super::network::{BuildRequest, Built, Calibrate, Profile, Progress};
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
    in_a_child_that_finds(test, Path::new(""));
}

/// As above, with a folder in which the loader looks for libraries first.
fn in_a_child_that_finds(test: &str, folder: &Path) {
    let name = format!("infer::tensorrt::tests::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command
        .args(["--exact", &name, "--nocapture"])
        .env("PEREGRINE_TENSORRT_CHILD", "1")
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .unwrap();
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
fn a_lean_runtime_serves_where_it_is_all_there_is() {
    const TEST: &str = "a_lean_runtime_serves_where_it_is_all_there_is";
    let Some(file) = lean(11) else { return };
    if !is_child() {
        return in_a_child_that_finds(TEST, file.parent().unwrap());
    }
    let library = Library::open().unwrap();
    // Where all of TensorRT is installed, that is what is found.
    assert!(
        library.can_build() || library.path() == Path::new("libnvinfer_lean.so.11"),
        "{}",
        library.path().display()
    );
}

#[test]
fn a_library_that_cannot_be_loaded_is_named_rather_than_called_missing() {
    const TEST: &str = "a_library_that_cannot_be_loaded_is_named_rather_than_called_missing";
    if !has_table(11) {
        return;
    }
    if !is_child() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libnvinfer.so.11"), "not a library").unwrap();
        return in_a_child_that_finds(TEST, folder.path());
    }
    match Library::open() {
        Err(Failure::Library { library, .. }) => assert_eq!(library, Path::new("libnvinfer.so.11")),
        // Another TensorRT is installed.
        Ok(library) => assert_ne!(library.version().major, 11),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_runtime_builds_nothing() {
    let Some(file) = lean(10) else { return };
    let library = Library::open_at(&file, None).unwrap();
    assert!(matches!(build(&library, &onnx::convolution(), &mut |_, _, _| true), Err(Failure::NoBuilder { .. })));
    assert!(matches!(library.abilities(), Err(Failure::NoBuilder { .. })));
}

/// Batches of 1 to 4 of the tiny models.
fn build(library: &Arc<Library>, onnx: &[u8], progress: &mut Progress<'_>) -> Result<Built, Failure> {
    library.build(request(onnx, progress))
}

fn request<'a>(onnx: &'a [u8], progress: &'a mut Progress<'a>) -> BuildRequest<'a> {
    BuildRequest {
        onnx,
        input: Profile { name: "x", min: &[1, 3, 8, 8], opt: &[4, 3, 8, 8], max: &[4, 3, 8, 8] },
        is_fp16: false,
        is_int8: false,
        is_strongly_typed: true,
        dla_core: None,
        workspace_bytes: 1 << 26,
        timing_cache: &[],
        calibrator: None,
        progress,
    }
}

#[test]
fn models_in_floats_and_in_signed_bytes_are_built_and_tell_how_far_they_are() {
    let Some(library) = rtx() else { return };
    for model in [onnx::convolution(), onnx::signed_convolution()] {
        let mut told = Vec::new();
        let mut progress = |phase: &str, step: u32, steps: u32| {
            told.push((phase.to_owned(), step, steps));
            true
        };
        let built = build(&library, &model, &mut progress).unwrap();
        assert!(built.plan.len() > 100, "{} bytes", built.plan.len());
        assert!(!built.timing_cache.is_empty());
        assert!(told.iter().all(|(_, step, steps)| step <= steps), "{told:?}");
        assert!(told.iter().any(|(_, step, steps)| *steps > 0 && step == steps), "{told:?}");
    }
}

#[test]
fn a_build_ends_when_whoever_watches_it_says_so() {
    let Some(library) = rtx() else { return };
    let failure = build(&library, &onnx::convolution(), &mut |_, _, _| false).unwrap_err();
    assert!(matches!(failure, Failure::Cancelled), "{failure}");
}

#[test]
fn an_unknown_operator_is_a_failure_with_the_nodes_name() {
    let Some(library) = rtx() else { return };
    match build(&library, &onnx::unknown_operator(), &mut |_, _, _| true) {
        Err(Failure::Node { node, said }) => {
            assert_eq!(node, "odd (FrobConv)");
            assert!(said.contains("Plugin not found"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bias_that_was_quantised_for_a_cpu_is_refused_with_the_nodes_name_and_the_type() {
    let Some(library) = rtx() else { return };
    match build(&library, &onnx::quantised_bias(), &mut |_, _, _| true) {
        Err(Failure::Node { node, said }) => {
            assert_eq!(node, "head.b (DequantizeLinear)");
            assert!(said.contains("type Int32"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_around_another_zero_are_refused_with_the_nodes_name() {
    let Some(library) = rtx() else { return };
    match build(&library, &onnx::unsigned_convolution(), &mut |_, _, _| true) {
        Err(Failure::Node { node, said }) => {
            assert!(node.starts_with("x."), "{node}");
            assert!(said.to_lowercase().contains("zero"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_no_model_is_refused_in_words() {
    let Some(library) = rtx() else { return };
    match build(&library, b"not a model", &mut |_, _, _| true) {
        Err(Failure::Tensorrt { doing, said }) => {
            assert_eq!(doing, "reading the model");
            assert!(said.contains("Failed to parse"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_model_or_the_gpu_does_not_have_is_named() {
    let Some(library) = rtx() else { return };
    let model = onnx::convolution();
    let profile = Profile { name: "images", min: &[1, 3, 8, 8], opt: &[1, 3, 8, 8], max: &[1, 3, 8, 8] };
    match library.build(BuildRequest { input: profile, ..request(&model, &mut |_, _, _| true) }) {
        Err(Failure::NoSuchInput { name }) => assert_eq!(name, "images"),
        other => panic!("{other:?}"),
    }
    match library.build(BuildRequest { dla_core: Some(1), ..request(&model, &mut |_, _, _| true) }) {
        Err(Failure::NoSuchDla { wanted: 1, have: 0 }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn sizes_out_of_order_are_refused_in_words() {
    let Some(library) = rtx() else { return };
    let model = onnx::convolution();
    let profile = Profile { name: "x", min: &[1, 3, 8, 8], opt: &[4, 3, 8, 8], max: &[2, 3, 8, 8] };
    match library.build(BuildRequest { input: profile, ..request(&model, &mut |_, _, _| true) }) {
        Err(Failure::Tensorrt { doing, said }) => {
            assert_eq!(doing, "setting the input's sizes");
            assert!(said.contains("MIN<=OPT<=MAX"), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timing_cache_that_is_none_is_left_and_a_new_one_begun() {
    let Some(library) = rtx() else { return };
    let model = onnx::convolution();
    let of_another = b"of another version";
    let built = library.build(BuildRequest { timing_cache: of_another, ..request(&model, &mut |_, _, _| true) });
    let cache = built.unwrap().timing_cache;
    let again = library.build(BuildRequest { timing_cache: &cache, ..request(&model, &mut |_, _, _| true) });
    assert!(!again.unwrap().timing_cache.is_empty());
}

struct NoImages;

impl Calibrate for NoImages {
    fn batch_size(&self) -> usize {
        4
    }
    fn batch(&mut self) -> Option<u64> {
        None
    }
    fn cached(&mut self) -> Option<Vec<u8>> {
        None
    }
    fn keep(&mut self, _: &[u8]) {}
}

#[test]
fn where_the_models_types_are_all_that_counts_a_calibrator_is_refused() {
    let Some(library) = rtx() else { return };
    let mut images = NoImages;
    let model = onnx::convolution();
    let mut progress = |_: &str, _: u32, _: u32| true;
    let failure = library.build(BuildRequest { calibrator: Some(&mut images), ..request(&model, &mut progress) });
    assert!(matches!(failure, Err(Failure::NoCalibrator { .. })), "{failure:?}");
}

#[test]
fn a_parser_that_is_missing_leaves_engines_to_be_run() {
    let Some(library) = has_table(1).then(|| real("libtensorrt_rtx.so.1")).flatten() else { return };
    let absent = Path::new("libnvonnxparser.so.99");
    let library = Library::open_at(&library, Some(absent)).unwrap();
    assert!(!library.can_build());
    match build(&library, &onnx::convolution(), &mut |_, _, _| true) {
        Err(Failure::NoBuilder { reason }) => assert!(reason.contains("libnvonnxparser.so.99"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn plans_that_are_none_are_refused_in_words() {
    if !is_child() {
        return in_a_child("plans_that_are_none_are_refused_in_words");
    }
    let Some(library) = rtx() else { return };
    let runtime = match Runtime::new(&library, &NoDriver) {
        Ok(runtime) => runtime,
        Err(failure) => return assert!(matches!(failure, Failure::Tensorrt { .. }), "{failure}"),
    };
    for bytes in [&b"this is no plan, though it is long enough to have a head"[..], b"", b"x"] {
        match runtime.load(bytes, None) {
            Err(Failure::Tensorrt { doing, said }) => {
                assert_eq!(doing, "loading an engine");
                assert!(!said.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_library_that_is_not_there_is_told_from_one_that_cannot_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("libnvinfer.so.10");
    assert!(matches!(Library::open_at(&absent, None), Err(Failure::NoTensorrt { .. })));
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    match Library::open_at(&text, None) {
        Err(Failure::Library { library, problem }) => {
            assert_eq!(library, text);
            assert!(problem.contains("file too short"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_library_that_was_cut_short_is_refused_before_it_is_mapped() {
    if !is_child() {
        return in_a_child("a_library_that_was_cut_short_is_refused_before_it_is_mapped");
    }
    let Some(file) = lean(10) else { return };
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("libnvinfer.so.10");
    std::fs::write(&short, &std::fs::read(file).unwrap()[..3 << 20]).unwrap();
    match Library::open_at(&short, None) {
        Err(Failure::Library { problem, .. }) => assert!(problem.contains("cut short"), "{problem}"),
        other => panic!("{other:?}"),
    }
}

/// A library of one line of C; None, with a line, where there is no compiler.
fn compiled(folder: &Path, source: &str) -> Option<PathBuf> {
    let library = folder.join("libnvinfer.so");
    let file = folder.join("library.c");
    std::fs::write(&file, source).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file).status();
    if built.is_err() {
        eprintln!("skipped: no cc");
    }
    assert!(built.as_ref().is_err() || built.as_ref().unwrap().success());
    built.ok().map(|_| library)
}

#[test]
fn a_major_without_a_table_is_named_and_nothing_else_of_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint getInferLibVersion(void) { return 130203; }\n\
        void* createInferRuntime_INTERNAL(void* l, int v) { abort(); }\n";
    let Some(library) = compiled(folder.path(), source) else { return };
    match Library::open_at(&library, None) {
        Err(Failure::Version { found, .. }) => assert_eq!(found, "13.2.3"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_library_without_its_functions_is_refused_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = compiled(folder.path(), "int other(void) { return 0; }\n") else { return };
    match Library::open_at(&library, None) {
        Err(Failure::Library { problem, .. }) => assert_eq!(problem, "it has no getInferLibVersion"),
        other => panic!("{other:?}"),
    }
}
