//! `peregrine capacity`: how many cameras this device carries, found by measuring. Which loads are tried says `schedule::capacity`, how one
//! is made says the pipeline's rig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::model_choice::ModelsDir;
use super::output::say;
use super::{Failure, configuration};
use crate::config::{self, Config, EngineChoice, Secrets};
use crate::pipeline::{ReplayError, Scene, cheaper_models};
use crate::runtime::Clock;
use crate::schedule::capacity::Bar;
use crate::telemetry::logging;

mod files;
mod fragment;
mod picture;
mod report;
mod trial;
mod values;

use report::Report;
use trial::Plan;
pub(super) use values::rate;
use values::{latency, percent, size, svg};

/// Where packages put the configuration; without it there, and without another, the defaults are measured.
const CONFIG_FILE: &str = "/etc/peregrine/peregrine.toml";
/// Frames a second of a camera where neither the command line nor the configuration says so.
const FPS: f64 = 5.0;
/// What most cameras send.
const SIZE_PX: (u32, u32) = (1280, 720);

/// Find how many cameras this device carries within a latency, by measuring: pictures are sent through schedule, models, trackers and rules as
/// the configuration has them, by more and more cameras. Decoding is not in it; with --video its cost is told beside it.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The configuration whose models, zones and settings are measured [default: /etc/peregrine/peregrine.toml, else defaults]
    #[arg(value_name = "CONFIG", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// From capture to result, 95 of 100 frames shall take less than this: 100ms, 0.2s
    #[arg(long, value_name = "TIME", value_parser = latency)]
    p95: Duration,
    /// Frames a second of each camera [default: the configuration's highest detect_fps, else 5]
    #[arg(long, value_name = "N", value_parser = rate)]
    fps: Option<f64>,
    /// What is sent
    #[arg(long, value_enum, default_value = "sustained")]
    mode: Mode,
    /// Detectors to measure, the best liked first [default: the configuration's]
    #[arg(long, value_name = "NAME|FILE,…", value_delimiter = ',', conflicts_with = "all_variants")]
    model: Vec<String>,
    /// Also measures the smaller variants of the configuration's detector that are installed
    #[arg(long)]
    all_variants: bool,
    /// What runs the detector [default: the configuration's]
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    #[command(flatten)]
    dir: ModelsDir,
    /// Frames of this clip are sent, and its decoding is measured; without it pictures are made, in which next to nothing is found
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Size of the pictures that are made
    #[arg(long, value_name = "WxH", value_parser = size, default_value = "1280x720", conflicts_with = "video")]
    size: (u32, u32),
    /// Cameras that are tried, at most
    #[arg(long, value_name = "N", default_value = "128", value_parser = clap::value_parser!(u16).range(1..=4096))]
    most: u16,
    /// Percent of the frames that may be dropped
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = percent)]
    dropped: f64,
    /// How long each count is measured, at least; and until 60 frames were due
    #[arg(long, value_name = "S", default_value = "3", value_parser = super::bench::seconds)]
    seconds: Duration,
    /// How long the answer is held at the end (mode sustained)
    #[arg(long, value_name = "S", default_value = "20", value_parser = super::bench::seconds)]
    hold: Duration,
    /// Draws latency and throughput over load to this file, and latency over time to the same with .time before its ending
    #[arg(long, value_name = "OUT.svg", value_parser = svg)]
    plot: Option<PathBuf>,
    /// Writes the settings that were chosen, as sections for a configuration
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// One camera, one frame after the other: how fast it goes
    Single,
    /// All cameras at the same moment
    Burst,
    /// Each camera in its own phase; the answer is held for longer
    Sustained,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Burst => "burst",
            Self::Sustained => "sustained",
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let by_default = Path::new(CONFIG_FILE);
    let named = args.file.as_deref().or(args.config.as_deref());
    let file = named.or(Some(by_default).filter(|file| file.is_file()));
    try_files(args, file)?;
    let mut config = read(file)?;
    if args.dir.is_named() {
        config.paths.models = args.dir.path();
    }
    if let Some(engine) = args.engine {
        config.detect.engine = engine;
    }
    config.schedule.target_p95 = fragment::target(args.p95);
    let models = models(args, &config)?;
    let clock = Clock::start();
    logging::init(config.log.level.min(log::LevelFilter::Warn), clock);
    let fps = args.fps.unwrap_or_else(|| highest_rate(&config));
    let scene = match &args.video {
        Some(clip) => of_clip(clip, &config, clock)?,
        None => Scene::made(args.size),
    };
    let bar = Bar { target_p95: args.p95, most_dropped: args.dropped / 100.0 };
    let most = usize::from(args.most);
    let plan = Plan { clock, fps, mode: args.mode, bar: Some(bar), each: args.seconds, hold: args.hold, most };
    let mut trials = Vec::new();
    let done = models.iter().try_for_each(|model| {
        config.detect.model.clone_from(model);
        plan.every_batch(&config, &scene, &mut trials)
    });
    if done.is_err() && trials.is_empty() {
        return done;
    }
    let mut report = Report::new(&plan, &scene, &config, trials);
    if args.fps.is_none() && args.mode != Mode::Single {
        report.remarks.extend(without_rate(&config, fps));
    }
    let told = tell(&report, args.json);
    let written = keep(args, &config, &report);
    // What was measured is told and kept, whatever became of the rest.
    done.and(told).and(written)?;
    if report.chosen().is_none() {
        let cheaper = cheaper_models(&config);
        return Err(Failure::Work(anyhow::anyhow!(report.refusal(cheaper.last().map(String::as_str)))));
    }
    Ok(())
}

/// Writes what was asked for; what cannot be written does not stand in the way of the rest.
fn keep(args: &Args, config: &Config, report: &Report) -> Result<(), Failure> {
    let drawn = args.plot.as_ref().map_or(Ok(()), |plot| {
        let over_time = files::write(&picture::beside(plot), &picture::over_time(report));
        files::write(plot, &picture::over_load(report)).and(over_time)
    });
    let written = match (&args.write, report.chosen()) {
        (Some(file), Some(chosen)) => files::write(file, &fragment::of(config, report, chosen)),
        _ => Ok(()),
    };
    drawn.and(written)
}

/// The same measurement for given counts of cameras, without a target: for `bench`.
pub(super) fn at(config: &Config, counts: std::ops::RangeInclusive<usize>, asked: &Counts) -> Result<(), Failure> {
    let clock = Clock::start();
    logging::init(config.log.level.min(log::LevelFilter::Warn), clock);
    let (scene, most) = (Scene::made(SIZE_PX), *counts.end());
    let fps = asked.fps.unwrap_or(FPS);
    let plan = Plan { clock, fps, mode: Mode::Sustained, bar: None, each: asked.each, hold: asked.each, most };
    let trial = plan.counts(config, &scene, counts)?;
    tell(&Report::new(&plan, &scene, config, vec![trial]), asked.json)
}

/// What `bench` asks for.
pub(super) struct Counts {
    pub(super) fps: Option<f64>,
    pub(super) each: Duration,
    pub(super) json: bool,
}

fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string_pretty(report).map_err(|e| Failure::Bug(e.to_string()))?
    } else {
        report.text()
    };
    say(&format!("{}\n", text.trim_end()))
}

#[allow(clippy::print_stderr, reason = "a remark for whoever typed the command")]
fn read(file: Option<&Path>) -> Result<Config, Failure> {
    match file {
        Some(file) => Ok(configuration::load(file, Secrets::None)?.config),
        None => {
            eprintln!("peregrine: there is no {CONFIG_FILE}; the defaults are measured");
            configuration::defaults()
        }
    }
}

/// A file that is read is not written, nor is the daemon's configuration, read or not: what is written is a part of one.
fn try_files(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let beside = args.plot.as_deref().map(picture::beside);
    let inputs = [("the configuration", file), ("the clip", args.video.as_deref())];
    let of_daemon = Some(Path::new(CONFIG_FILE)).filter(|file| file.exists());
    let inputs = inputs.into_iter().chain([("the daemon's configuration", of_daemon)]);
    let outputs = [("--plot", args.plot.as_deref()), ("--plot", beside.as_deref()), ("--write", args.write.as_deref())];
    let given = |(what, path): (&'static str, Option<&'_ Path>)| Some((what, path?.to_owned()));
    let (inputs, outputs): (Vec<_>, Vec<_>) =
        (inputs.filter_map(given).collect(), outputs.into_iter().filter_map(given).collect());
    files::refuse_to_overwrite(&inputs, &outputs)?;
    outputs.iter().try_for_each(|(_, path)| files::try_out(path))
}

fn models(args: &Args, config: &Config) -> Result<Vec<String>, Failure> {
    let mut models = if args.model.is_empty() { vec![config.detect.model.clone()] } else { args.model.clone() };
    if args.all_variants {
        models.extend(cheaper_models(config));
    }
    // A mistyped name is told before the first is measured, not after minutes.
    for model in &models {
        crate::infer::catalog::card(model, &config.paths.models).map_err(super::model_choice::config_failure)?;
    }
    Ok(models)
}

fn highest_rate(config: &Config) -> f64 {
    let rates = config.cameras.values().filter(|camera| camera.enabled).filter_map(|camera| camera.detect_fps);
    rates.reduce(f64::max).unwrap_or(FPS)
}

/// What the daemon does otherwise with cameras whose rate nothing limits: how often they send nobody here knows.
fn without_rate(config: &Config, fps: f64) -> Option<String> {
    let is_free = |camera: &config::Camera| camera.enabled && camera.detect_fps.is_none();
    let free: Vec<_> = config.cameras.iter().filter(|(_, camera)| is_free(camera)).map(|(name, _)| &**name).collect();
    let (names, have) = match free.as_slice() {
        [] => return None,
        [one] => ((*one).to_owned(), "has"),
        [first, second] => (format!("{first} and {second}"), "have"),
        [first, others @ ..] => (format!("{first} and {} more", others.len()), "have"),
    };
    Some(format!(
        "{names} {have} no detect_fps: measured was {fps} fps, the daemon looks at every frame that comes. Set detect_fps, or say with --fps how many come."
    ))
}

fn of_clip(clip: &Path, config: &Config, clock: Clock) -> Result<Scene, Failure> {
    if !clip.is_file() {
        let why = if clip.exists() { "not a file" } else { "no such file" };
        return Err(Failure::Input(format!("{}: {why}", clip.display())));
    }
    Scene::of_clip(clip, config, clock).map_err(|e| match e {
        ReplayError::Source(reason) => Failure::Input(format!("{}: {reason}", clip.display())),
        e => Failure::Work(e.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_whose_rate_nothing_limits_are_named() {
        let remark = |cameras: &str| {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join("p.toml");
            std::fs::write(&file, cameras).expect("written");
            without_rate(&configuration::read(&file).expect("a configuration").config, 5.0)
        };
        let camera = |name: &str, more: &str| format!("[camera.{name}]\nsource = \"test:\"\n{more}\n");
        assert_eq!(remark(&camera("gate", "detect_fps = 2")), None);
        let limited_and_not =
            camera("gate", "detect_fps = 2") + &camera("yard", "") + &camera("off", "enabled = false");
        let told = remark(&limited_and_not).expect("a remark");
        assert!(told.starts_with("yard has no detect_fps: measured was 5 fps"), "{told}");
        let told = remark(&["a", "b", "c"].map(|name| camera(name, "")).concat()).expect("a remark");
        assert!(told.starts_with("a and 2 more have no detect_fps"), "{told}");
    }
}
