//! `peregrine check`: is this configuration right, and what does it mean?

use super::Failure;
use super::configuration::{self, ConfigArg};
use super::output::say;
use crate::{config, pipeline};

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
    let loaded = configuration::load(&args.file.config, config::Secrets::InFiles)?;
    let (errors, absent) = pipeline::examine(&loaded.config);
    for warning in loaded.warnings.iter().chain(&absent) {
        eprintln!("warning: {warning}");
    }
    if !errors.is_empty() {
        let count = errors.len();
        let list: String = errors.iter().map(|e| format!("\n  {e}")).collect();
        return Err(Failure::Config(format!("{}: {count} wrong:{list}", args.file.config.display())));
    }
    if args.print {
        return say(&config::render(&loaded.config));
    }
    let cameras = loaded.config.cameras.values().filter(|c| c.enabled).count();
    say(&format!("{}: valid; cameras: {cameras}\n", args.file.config.display()))
}
