//! `peregrine run`: the daemon.

use super::Failure;
use super::configuration::{self, ConfigArg};
use crate::app::{self, AppError};
use crate::config::Secrets;
use crate::runtime::Clock;
use crate::telemetry::logging;

/// Run the daemon: cameras in, messages out, until a signal ends it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigArg,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = configuration::load(&args.file.config, Secrets::All)?;
    let clock = Clock::start();
    logging::init(loaded.config.log.level, clock);
    let ended = app::run(loaded, clock, &|| configuration::read(&args.file.config));
    log::logger().flush();
    ended.map_err(|e| match e {
        AppError::Configuration(_) => Failure::Config(e.to_string()),
        AppError::Start(_) => Failure::Work(e.into()),
        AppError::ThreadEnded(_) => Failure::Bug(e.to_string()),
    })
}
