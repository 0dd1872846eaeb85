//! How a command ends: the one place where errors become exit codes.

use std::process::ExitCode;

/// Why a command failed, sorted by what its caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments are wrong: exit 64.
    #[error("{0}")]
    Usage(String),
    /// The configuration, a model or the manifest is wrong: exit 78, on which systemd does not restart.
    #[error("{0}")]
    Config(String),
    /// A file that was named cannot be read: exit 66.
    #[error("{0}")]
    Input(String),
    /// The work itself failed: exit 1.
    #[error("{0:#}")]
    Work(#[from] anyhow::Error),
    /// Peregrine is wrong: exit 70.
    #[error("internal error: {0}")]
    Bug(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Input(_) => 66,
            Self::Bug(_) => 70,
            Self::Config(_) => 78,
            Self::Work(_) => 1,
        }
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a command")]
pub(super) fn code(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peregrine: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// clap prints help and version as errors too; those are no failure.
pub(super) fn usage(e: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed terminal.
    let _ = e.print();
    if e.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}
