//! `peregrine check`: is this configuration right, and what does it mean?

use super::Failure;
use super::configuration::{self, ConfigArg};
use super::output::say;
use crate::config;

/// Checks a configuration file and tells everything that is wrong with it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigArg,
    /// Shows the configuration with every default filled in; secrets are hidden.
    #[arg(long)]
    print: bool,
}

/// Runs the command: exit code 0, or 78 with every error and its key path.
///
/// # Errors
/// When the file is wrong.
#[allow(clippy::print_stderr, reason = "warnings are for whoever typed the command")]
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = configuration::load(&args.file.config)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    if args.print {
        return say(&config::render(&loaded.config));
    }
    let cameras = loaded.config.cameras.values().filter(|c| c.enabled).count();
    say(&format!("{}: valid; cameras: {cameras}\n", args.file.config.display()))
}
