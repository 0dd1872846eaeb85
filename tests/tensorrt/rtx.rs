//! NVIDIA's own parser and builder, which TensorRT-RTX runs without a GPU: what they take, the TensorRT of a device takes.

use std::path::Path;
use std::process::Command;

use peregrine::runtime::environment;

use super::compile::rtx_program;

/// Builds a model with a profile of 1..`batch` and asserts that NVIDIA's library took it. Says so where there is none.
pub(crate) fn takes(model: &Path, input: &str, chw: [usize; 3], batch: usize) {
    let (headers, libraries) = ("PEREGRINE_TENSORRT_INCLUDE_RTX", "PEREGRINE_TENSORRT_LIBS");
    let (Some(headers), Some(libraries)) = (environment::var(headers), environment::var(libraries)) else {
        eprintln!("skipped: {headers} and {libraries} name no TensorRT-RTX");
        return;
    };
    let library = |name: &str| Path::new(&libraries).join(name);
    let mut command = Command::new(rtx_program(Path::new(&headers), "rtx_build.cpp").join("drive"));
    command.args([library("libtensorrt_rtx.so.1"), library("libtensorrt_onnxparser_rtx.so.1"), model.to_owned()]);
    command.arg(input).args(chw.map(|n| n.to_string())).arg(batch.to_string());
    let out = command.output().expect("it starts");
    let (size, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{}: {told}", model.display());
    println!("{}: a plan of {} bytes", model.display(), size.trim());
    assert!(size.trim().parse::<usize>().is_ok_and(|bytes| bytes > 10_000), "{size}");
}
