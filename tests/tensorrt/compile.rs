//! C++ that is compiled when a test needs it, once for all tests: results are kept by the hash of what they are made from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use peregrine::infer::catalog::sha256_of_bytes;
use peregrine::runtime::environment;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Majors of TensorRT whose headers may be there.
pub(crate) const MAJORS: [u32; 2] = [10, 11];

/// A file of the repository.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// The folder with the headers of this major version; None, with a line, where they or the compiler are missing.
pub(crate) fn headers(major: u32) -> Option<PathBuf> {
    let variable = format!("PEREGRINE_TENSORRT_INCLUDE_{major}");
    let folder = environment::var(&variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    if folder.as_ref().is_none_or(|f| !f.join("NvInfer.h").exists()) {
        eprintln!("skipped: TensorRT {major}: {variable} names no folder with NvInfer.h");
        return None;
    }
    if Command::new("c++").arg("--version").output().is_err() {
        eprintln!("skipped: TensorRT {major}: there is no c++");
        return None;
    }
    folder
}

/// What a folder of results is made from.
#[derive(Default)]
pub(crate) struct Recipe {
    name: String,
    ingredients: Vec<u8>,
    commands: Vec<Command>,
}

impl Recipe {
    /// Results go by this name.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Every file of these folders, and these files, make a difference to the result.
    pub(crate) fn made_from(mut self, paths: &[PathBuf]) -> Self {
        for path in paths {
            let mut files: Vec<_> = match std::fs::read_dir(path) {
                Ok(entries) => entries.map(|e| e.expect("listed").path()).filter(|p| p.is_file()).collect(),
                Err(_) => vec![path.clone()],
            };
            files.sort();
            for file in files {
                self.ingredients.extend(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
            }
        }
        self
    }

    /// Run in the folder of results, one after the other.
    pub(crate) fn step(mut self, program: &str, arguments: &[&str]) -> Self {
        self.ingredients.extend(format!("{program} {arguments:?}\n").bytes());
        let mut command = Command::new(program);
        command.args(arguments);
        self.commands.push(command);
        self
    }

    /// The folder of results; made now unless it is there.
    pub(crate) fn made(self) -> PathBuf {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let key = &sha256_of_bytes(&self.ingredients)[..16];
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{key}", self.name));
        if kept.is_dir() {
            return kept;
        }
        let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        for mut command in self.commands {
            let out = command.current_dir(fresh.path()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{command:?}: {}\n{said}", out.status);
        }
        // Another process may have made the same meanwhile.
        if std::fs::rename(fresh.keep(), &kept).is_err() {
            assert!(kept.is_dir(), "{} cannot be made", kept.display());
        }
        kept
    }
}

/// A folder with libnvinfer.so.N and libnvonnxparser.so.N that stand in for the real ones.
pub(crate) fn stand_in(major: u32, headers: &Path) -> PathBuf {
    let (here, types) = (source("tests/tensorrt/nvinfer"), source("src/infer/tensorrt/shim/cuda"));
    let (headers_text, here_text, types_text) = (text(headers), text(&here), text(&types));
    let mut recipe =
        Recipe::new(&format!("nvinfer-{major}")).made_from(&[here.clone(), types, headers.join("NvInferImpl.h")]);
    let generator = format!("{here_text}/generate.py");
    for (file, classes) in [
        (
            "defaults.h",
            "VHostMemory VRuntime VCudaEngine VExecutionContext VBuilder VBuilderConfig VNetworkDefinition VTensor \
             VOptimizationProfile VTimingCache",
        ),
        ("parser_defaults.h", "IParser IParserError"),
    ] {
        recipe = recipe.step("sh", &["-c", &format!("python3 '{generator}' '{headers_text}' {classes} > {file}")]);
    }
    let flags = [
        "-std=c++17",
        "-fPIC",
        "-shared",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-deprecated-declarations",
        "-Wno-unused-parameter",
        "-I.",
        &format!("-I{types_text}"),
        "-isystem",
        &headers_text,
    ];
    let library =
        |name: &str| [format!("-Wl,-soname,{name}.so.{major}"), "-o".to_owned(), format!("{name}.so.{major}")];
    let files = |names: &[&str]| names.iter().map(|n| format!("{here_text}/{n}.cpp")).collect::<Vec<_>>();
    let with = |named: &[String], sources: &[String], more: &[String]| -> Vec<String> {
        flags.iter().map(|&f| f.to_owned()).chain([named, sources, more].concat()).collect()
    };
    let infer =
        with(&library("libnvinfer"), &files(&["runtime", "builder", "model", "object", "wire"]), &["-ldl".to_owned()]);
    let more = [format!("libnvinfer.so.{major}"), "-Wl,-rpath,$ORIGIN".to_owned()];
    let parser = with(&library("libnvonnxparser"), &files(&["parser"]), &more);
    for arguments in [infer, parser] {
        recipe = recipe.step("c++", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    recipe.made()
}

/// A folder with a libcuda.so.1 that stands in for the driver: of driver.cpp, or of egl.cpp, which is the same with EGLImages.
pub(crate) fn stand_in_driver(file: &str) -> PathBuf {
    let (driver, kernels) = (source("tests/tensorrt/driver.cpp"), source("src/infer/tensorrt/letterbox"));
    let file = source("tests/tensorrt").join(file);
    let (file_text, include) = (text(&file), format!("-I{}", text(&kernels)));
    let flags =
        ["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", &include, "-o", "libcuda.so.1", &file_text];
    Recipe::new("libcuda").made_from(&[file, driver, kernels]).step("c++", &flags).made()
}

/// A folder with the program `drive`: the shim's table of this major, and this source of tests/tensorrt that drives it.
pub(crate) fn program(major: u32, headers: &Path, main: &str) -> PathBuf {
    program_with(&major.to_string(), &[], headers, main)
}

/// The same with the table for TensorRT-RTX.
pub(crate) fn rtx_program(headers: &Path, main: &str) -> PathBuf {
    program_with("rtx", &["-DPEREGRINE_TENSORRT_RTX"], headers, main)
}

fn program_with(table: &str, more: &[&str], headers: &Path, main: &str) -> PathBuf {
    let (shim, tests) = (source("src/infer/tensorrt/shim"), source("tests/tensorrt"));
    let (headers_text, shim_text, file) = (text(headers), text(&shim), text(&tests.join(main)));
    let name = format!("{main}-{table}");
    let table = format!("-DPEREGRINE_TABLE=peregrine_tensorrt_table_{table}");
    let compile = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", &table];
    let includes = [&format!("-I{shim_text}"), &format!("-I{shim_text}/cuda"), "-isystem", &headers_text];
    let of_the_shim = ["-fno-exceptions", "-fno-rtti", "-c", "-o", "shim.o", &format!("{shim_text}/shim.cpp")];
    let of_the_program = ["-o", "drive", &file, "shim.o", "-ldl"];
    Recipe::new(&name)
        .made_from(&[shim, PathBuf::from(&file), tests.join("program.h"), headers.join("NvInferImpl.h")])
        .step("c++", &[&compile[..], more, &includes[..], &of_the_shim[..]].concat())
        .step("c++", &[&compile[..], more, &includes[..], &of_the_program[..]].concat())
        .made()
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths here are text").to_owned()
}
