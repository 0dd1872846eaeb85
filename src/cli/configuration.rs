//! How commands read the configuration: what the device contributes, where the file is, how its warnings are told.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, Config, ConfigErrors, Loaded, Secrets, Surroundings};
use crate::runtime::environment;

/// `--config FILE`, the same for every command that reads one.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConfigArg {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/peregrine/peregrine.toml")]
    pub config: PathBuf,
}

/// What this device and its service manager contribute to a configuration.
fn surroundings(secrets: Secrets) -> Surroundings {
    Surroundings {
        hostname: environment::hostname(),
        credentials_dir: environment::credentials_dir(),
        processors: environment::processors(),
        secrets,
    }
}

/// Reads the configuration with the secrets that the command needs; its warnings are the caller's to tell.
///
/// # Errors
/// Everything that is wrong with it, as a failure with exit code 78.
pub(super) fn load(path: &Path, secrets: Secrets) -> Result<Loaded, Failure> {
    config::load(path, &surroundings(secrets)).map_err(|e| Failure::Config(e.to_string()))
}

/// Reads it for the daemon, with all that is wrong as it was found.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Loaded, ConfigErrors> {
    config::load(path, &surroundings(Secrets::All))
}

/// The configuration of an empty file.
///
/// # Errors
/// When this device's surroundings alone are at fault.
pub(super) fn defaults() -> Result<Config, Failure> {
    config::defaults(&surroundings(Secrets::None)).map_err(|e| Failure::Config(e.to_string()))
}
