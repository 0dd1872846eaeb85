//! The command line: one file a subcommand, each with its `Args` and a `run`. What a command does with frames or models belongs to the stages.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
pub mod configuration;
mod exit;
pub mod output;
pub mod probe;

pub use exit::Failure;

/// Video analytics at the edge: cameras in, detections, tracks and events out over MQTT.
#[derive(Debug, Parser)]
#[command(name = "peregrine", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Probe(probe::Args),
}

/// Parses the arguments, runs the command, tells what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return exit::usage(&e),
    };
    let done: Result<(), Failure> = match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Probe(args) => probe::run(&args),
    };
    exit::code(done)
}
