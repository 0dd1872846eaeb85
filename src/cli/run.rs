//! `peregrine run`: the daemon.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Failure, settings};
use crate::app::{self, AppError};
use crate::telemetry::logging;

/// Run the daemon: cameras in, messages out, until a signal ends it.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = settings::DEFAULT_PATH)]
    config: PathBuf,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = settings::load(&args.config)?;
    logging::init(config.log.level).map_err(|e| Failure::Work(e.into()))?;
    app::run(config, &settings::reader(args.config.clone())).map_err(|e| match e {
        AppError::Configuration(_) => Failure::Config(e.to_string()),
        AppError::Start(_) => Failure::Work(e.into()),
        AppError::ThreadEnded(_) => Failure::Bug(e.to_string()),
    })
}
