//! Compiles the tables through which `src/infer/tensorrt` reaches TensorRT: one for each major version whose headers are found. Without
//! headers, or without the feature `tensorrt`, there is none, and the program says so where it is asked for TensorRT.
//!
//! `PEREGRINE_TENSORRT_INCLUDE_{8,10,11,RTX}` name folders with `NvInfer.h`; else the system's own are looked at, as JetPack has them.
//! Nothing of TensorRT or CUDA is linked. Belongs here: what is compiled. Does not: what is loaded when the program runs.

#![allow(clippy::disallowed_methods, reason = "cargo speaks to a build script through the environment")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const SHIM: &str = "src/infer/tensorrt/shim";

/// Where a system keeps the headers, for programs of its own kind. Those that are there are watched: a package of headers that is installed
/// later is found by the next build, without `cargo clean`. A folder that comes into being later is not, until something else changes.
const SYSTEM: &[&str] =
    &["/usr/local/tensorrt/include", "/usr/include/{arch}-linux-gnu", "/usr/include", "/usr/local/include"];

/// A table: the name it goes by here, and the major version that its headers must have.
struct Wanted {
    name: &'static str,
    major: u32,
    is_rtx: bool,
}

const WANTED: &[Wanted] = &[
    Wanted { name: "8", major: 8, is_rtx: false },
    Wanted { name: "10", major: 10, is_rtx: false },
    Wanted { name: "11", major: 11, is_rtx: false },
    // For checks without a GPU: it is never looked for in the system, and the program never chooses it.
    Wanted { name: "RTX", major: 1, is_rtx: true },
];

fn main() {
    for file in ["shim.h", "shim.cpp", "runtime.c", "cuda/cuda_runtime_api.h"] {
        println!("cargo:rerun-if-changed={SHIM}/{file}");
    }
    let is_wanted = env::var_os("CARGO_FEATURE_TENSORRT").is_some() && target("OS") == "linux";
    let wanted = if is_wanted { WANTED } else { &[] };
    let found: Vec<(&Wanted, PathBuf)> = wanted.iter().filter_map(|w| Some((w, headers(w)?))).collect();
    for (wanted, folder) in &found {
        compile(wanted, folder);
    }
    if !found.is_empty() {
        // After the tables, since they refer to it.
        cc::Build::new()
            .file(format!("{SHIM}/runtime.c"))
            .warnings(true)
            .extra_warnings(true)
            .compile("peregrine_runtime");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let tables: Vec<&Wanted> = found.into_iter().map(|(wanted, _)| wanted).collect();
    fs::write(out.join("tables.rs"), rust(&tables)).expect("cargo's own folder can be written to");
}

fn target(what: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default()
}

fn symbol(wanted: &Wanted) -> String {
    format!("peregrine_tensorrt_table_{}", wanted.name.to_lowercase())
}

/// The folder with a version's headers: the one that was named, which must hold them, else the system's, if it is of that version.
fn headers(wanted: &Wanted) -> Option<PathBuf> {
    let variable = format!("PEREGRINE_TENSORRT_INCLUDE_{}", wanted.name);
    println!("cargo:rerun-if-env-changed={variable}");
    if let Some(named) = env::var_os(&variable).filter(|v| !v.is_empty()) {
        let folder = PathBuf::from(named);
        match version(&folder) {
            Some((major, is_rtx)) if (major, is_rtx) == (wanted.major, wanted.is_rtx) => {
                println!("cargo:rerun-if-changed={}", folder.join("NvInferVersion.h").display());
                return Some(folder);
            }
            Some((major, is_rtx)) => {
                let which = if is_rtx { "TensorRT-RTX" } else { "TensorRT" };
                refuse(&format!(
                    "{variable}: {} holds the headers of {which} {major}, not of {}",
                    folder.display(),
                    wanted.name
                ));
            }
            None => refuse(&format!("{variable}: {} holds no NvInfer.h with NvInferVersion.h", folder.display())),
        }
        return None;
    }
    // Another machine's headers say nothing of the one that is built for.
    if wanted.is_rtx || env::var("TARGET").ok() != env::var("HOST").ok() {
        return None;
    }
    let folders: Vec<PathBuf> =
        SYSTEM.iter().map(|folder| PathBuf::from(folder.replace("{arch}", &target("ARCH")))).collect();
    // Headers that are installed later change the folder that they come into. A path that is not there would have cargo build each time.
    for folder in folders.iter().filter(|f| f.is_dir()) {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let found = folders
        .into_iter()
        .filter(|folder| version(folder) == Some((wanted.major, false)))
        .find(|f| f.join("NvOnnxParser.h").exists())?;
    Some(found)
}

/// Cargo shows it and ends the build once this program has ended.
fn refuse(why: &str) {
    println!("cargo::error={why}");
}

/// The major version that a folder's headers are of, and whether they are TensorRT-RTX's.
fn version(folder: &Path) -> Option<(u32, bool)> {
    if !folder.join("NvInfer.h").exists() {
        return None;
    }
    let text = fs::read_to_string(folder.join("NvInferVersion.h")).ok()?;
    let value = |name: &str| {
        let mut words = text.lines().map(str::split_whitespace);
        words.find_map(|mut w| (w.next() == Some("#define") && w.next() == Some(name)).then(|| w.next()).flatten())
    };
    // From 10.8 on the number stands behind a second name.
    let number = value("NV_TENSORRT_MAJOR")?;
    let major = number.parse().ok().or_else(|| value(number)?.parse().ok())?;
    Some((major, text.contains("TRT_MAJOR_RTX")))
}

fn compile(wanted: &Wanted, folder: &Path) {
    let mut build = cc::Build::new();
    build.cpp(true).cpp_link_stdlib(None).std("c++17").pic(true).opt_level(2).file(format!("{SHIM}/shim.cpp"));
    build.warnings(true).extra_warnings(true).include(format!("{SHIM}/cuda"));
    for flag in ["-fno-exceptions", "-fno-rtti", "-fvisibility=hidden", "-Wno-deprecated-declarations"] {
        build.flag(flag);
    }
    // Headers of a system's are not warned about; those in a folder of one's own should not be either.
    build.flag("-isystem").flag(folder);
    // Each table has TensorRT's classes under a name of its own, so that they live side by side.
    let suffix = wanted.name.to_lowercase();
    build.define("PEREGRINE_TABLE", symbol(wanted).as_str());
    build.define("nvinfer1", format!("nvinfer1_{suffix}").as_str());
    build.define("nvonnxparser", format!("nvonnxparser_{suffix}").as_str());
    if wanted.is_rtx {
        build.define("PEREGRINE_TENSORRT_RTX", None);
    }
    build.compile(&symbol(wanted));
}

/// The list of tables, for `table.rs`.
fn rust(tables: &[&Wanted]) -> String {
    let mut text = String::new();
    if !tables.is_empty() {
        text.push_str("unsafe extern \"C\" {\n");
        for wanted in tables {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    safe fn {}() -> &'static Table;", symbol(wanted));
        }
        text.push_str("}\n\n");
    }
    let names: Vec<String> = tables.iter().map(|t| symbol(t)).collect();
    let _ = writeln!(text, "const COMPILED: &[extern \"C\" fn() -> &'static Table] = &[{}];", names.join(", "));
    text
}
