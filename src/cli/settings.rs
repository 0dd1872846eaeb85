//! Where commands get their configuration from: a file, or the defaults, and the surroundings in which it is resolved.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Config, ConfigErrors, Loaded, Surroundings};
use crate::runtime::environment;

/// Where an installed daemon has its configuration.
pub(super) const DEFAULT_PATH: &str = "/etc/peregrine/peregrine.toml";

/// What the machine adds to a file.
pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        hostname: environment::hostname(),
        credentials_dir: environment::credentials_dir(),
        processors: environment::processors(),
    }
}

/// Reads a file; warnings go to stderr.
#[allow(clippy::print_stderr, reason = "the log is not set up before the configuration says how")]
pub(super) fn load(file: &Path) -> Result<Config, Failure> {
    let Loaded { config, warnings } = read(file).map_err(|e| Failure::Config(e.to_string()))?;
    for warning in warnings {
        eprintln!("peregrine: warning: {warning}");
    }
    Ok(config)
}

/// Reads the file again, whenever it is asked.
pub(super) fn reader(file: PathBuf) -> impl Fn() -> Result<Loaded, ConfigErrors> {
    move || read(&file)
}

/// The configuration of an empty file.
pub(super) fn defaults() -> Result<Config, Failure> {
    config::defaults(&surroundings()).map_err(|e| Failure::Config(e.to_string()))
}

fn read(file: &Path) -> Result<Loaded, ConfigErrors> {
    config::load(file, &surroundings())
}
