//! The command line: one file a subcommand, each with its `Args` and a `run`. What a command does with frames or models belongs to the stages.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod bench;
mod build;
mod calibrate;
mod capacity;
mod check;
mod configuration;
mod detect;
mod events;
mod exit;
mod layers;
mod model;
mod model_choice;
mod output;
mod pictures;
mod probe;
mod progress;
mod readings;
mod replay;
mod run;
mod table;
mod track;

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
    Run(run::Args),
    Check(check::Args),
    Probe(probe::Args),
    Replay(replay::Args),
    Detect(detect::Args),
    Track(track::Args),
    Bench(bench::Args),
    Model(model::Args),
    Events(events::Args),
    Capacity(Box<capacity::Args>),
}

/// The whole command line as clap knows it: manual pages and completions of shells are made from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, runs the command, tells what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return exit::usage(&e),
    };
    exit::code(match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Capacity(args) => capacity::run(&args),
    })
}
