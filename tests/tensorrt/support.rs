//! A stage for a test: the libraries that stand in for NVIDIA's, the server that computes for them, and processes that find both.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use peregrine::config::EngineChoice;

use super::compile::{headers, stand_in, stand_in_driver};
use super::server::{Build, Event, Server};

/// Everything that a process needs to find a TensorRT.
pub(crate) struct Stage {
    /// What is asked of the libraries, and how it goes.
    pub(crate) server: Arc<Server>,
    dir: tempfile::TempDir,
    /// What the driver is made of.
    driver: &'static str,
}

impl Stage {
    /// With a TensorRT of this major version whose models are computed by tract; None, with a line, where it cannot be built.
    pub(crate) fn new(major: u32) -> Option<Self> {
        Self::computing(major, EngineChoice::Tract)
    }

    /// The same, with a driver that reads EGLImages, which it also makes.
    pub(crate) fn with_images(major: u32) -> Option<Self> {
        Some(Self { driver: "egl.cpp", ..Self::new(major)? })
    }

    /// The same, with another engine of ours.
    pub(crate) fn computing(major: u32, choice: EngineChoice) -> Option<Self> {
        let built = stand_in(major, &headers(major)?);
        let dir = tempfile::tempdir().expect("a folder");
        for folder in ["lib", "models"] {
            std::fs::create_dir(dir.path().join(folder)).expect("made");
        }
        let server = Server::start(&dir.path().join("socket"), &dir.path().join("models"), choice);
        let stage = Self { server, dir, driver: "driver.cpp" };
        for name in ["libnvinfer", "libnvonnxparser"] {
            let file = format!("{name}.so.{major}");
            stage.add_library(&built.join(&file), &file);
        }
        Some(stage)
    }

    /// Adds a GPU, whose memory is the processor's, with these settings, one a line (see driver.cpp): `devices=2`, `fault_launch=3`.
    /// Said again, they hold from the next launch of a kernel on.
    pub(crate) fn gpu(&self, settings: &str) {
        let file = self.dir.path().join("gpu");
        if !file.exists() {
            self.add_library(&stand_in_driver(self.driver).join("libcuda.so.1"), "libcuda.so.1");
        }
        std::fs::write(file, settings).expect("written");
    }

    /// A folder of the stage's own, for engines, configurations, results.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a library where processes of this stage look first, under the name by which they look for it.
    pub(crate) fn add_library(&self, file: &Path, name: &str) {
        std::os::unix::fs::symlink(file, self.dir.path().join("lib").join(name)).expect("linked");
    }

    /// From now on processes do not find it.
    pub(crate) fn remove_library(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join("lib").join(name)).expect("it was there");
    }

    /// `peregrine`, which finds the stage's libraries and through them the server.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_peregrine")))
    }

    /// The same for any program.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", self.dir.path().join("lib"));
        command.env("PEREGRINE_STANDIN_CUDA_FILE", self.dir.path().join("gpu"));
        command.env("PEREGRINE_STANDIN_SOCKET", self.dir.path().join("socket"));
        command
    }

    /// The builds so far.
    pub(crate) fn builds(&self) -> Vec<Build> {
        let of = |event| if let Event::Build(build) = event { Some(build) } else { None };
        self.server.events().into_iter().filter_map(of).collect()
    }

    /// What the libraries complained of: objects left or deleted twice, calls that they do not have, threads in each other's way.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let of = |event| if let Event::Complaint(said) = event { Some(said) } else { None };
        self.server.events().into_iter().filter_map(of).collect()
    }
}
