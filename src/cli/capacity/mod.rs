//! `peregrine capacity`: how many cameras this device carries, found by measuring. Which loads are tried says `schedule::capacity`, how one
//! is made says the pipeline's rig.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::model_choice::ModelsDir;
use super::output::say;
use super::{Failure, configuration};
use crate::config::{Config, EngineChoice, Secrets};
use crate::pipeline::{ReplayError, Scene};
use crate::runtime::Clock;
use crate::schedule::capacity::Bar;
use crate::telemetry::logging;

mod fragment;
mod picture;
mod report;
mod trial;
mod variants;

use report::Report;
use trial::Plan;

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
    #[arg(long, value_name = "OUT.svg")]
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
    let mut config = read(args)?;
    refuse_to_overwrite(args)?;
    if args.dir.is_named() {
        config.paths.models = args.dir.path();
    }
    if let Some(engine) = args.engine {
        config.detect.engine = engine;
    }
    config.schedule.target_p95 = args.p95;
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
    for model in &models {
        config.detect.model.clone_from(model);
        trials.extend(plan.every_batch(&config, &scene)?);
    }
    let report = Report::new(&plan, &scene, &config, trials);
    tell(&report, args.json)?;
    if let Some(plot) = &args.plot {
        write(plot, &picture::over_load(&report))?;
        write(&picture::beside(plot), &picture::over_time(&report))?;
    }
    let Some(chosen) = report.chosen() else {
        let smaller = variants::smaller(&models[models.len() - 1], &config.paths.models);
        return Err(Failure::Work(anyhow::anyhow!(report.refusal(smaller.last().map(String::as_str)))));
    };
    match &args.write {
        Some(file) => write(file, &fragment::of(&config, &report, chosen)),
        None => Ok(()),
    }
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
fn read(args: &Args) -> Result<Config, Failure> {
    let by_default = Path::new(CONFIG_FILE);
    match args.file.as_deref().or(args.config.as_deref()).or(Some(by_default).filter(|f| f.is_file())) {
        Some(file) => Ok(configuration::load(file, Secrets::None)?.config),
        None => {
            eprintln!("peregrine: there is no {CONFIG_FILE}; the defaults are measured");
            configuration::defaults()
        }
    }
}

/// A file that is read is not written.
fn refuse_to_overwrite(args: &Args) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let beside = args.plot.as_deref().map(picture::beside);
    let mut taken: Vec<_> = [&args.file, &args.config, &args.video].into_iter().flatten().map(|p| real(p)).collect();
    for path in [&args.plot, &beside, &args.write].into_iter().flatten() {
        let path = real(path);
        if taken.contains(&path) {
            return Err(Failure::Usage(format!("{}: named twice, it would be overwritten", path.display())));
        }
        taken.push(path);
    }
    Ok(())
}

fn models(args: &Args, config: &Config) -> Result<Vec<String>, Failure> {
    let mut models = if args.model.is_empty() { vec![config.detect.model.clone()] } else { args.model.clone() };
    if args.all_variants {
        models.extend(variants::smaller(&models[0], &config.paths.models));
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

fn of_clip(clip: &Path, config: &Config, clock: Clock) -> Result<Scene, Failure> {
    if !clip.is_file() {
        return Err(Failure::Input(format!("{}: no such file", clip.display())));
    }
    Scene::of_clip(clip, config, clock).map_err(|e| match e {
        ReplayError::Source(reason) => Failure::Input(format!("{}: {reason}", clip.display())),
        e => Failure::Work(e.into()),
    })
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|e| Failure::Work(anyhow::Error::new(e).context(file.display().to_string())))
}

fn latency(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let secs = match (f64::from_str(number.trim()), unit) {
        (Ok(n), "ms") => Some(n / 1e3),
        (Ok(n), "s") => Some(n),
        _ => None,
    };
    let secs = secs.filter(|s| (0.001..=60.0).contains(s));
    secs.map(Duration::from_secs_f64)
        .ok_or_else(|| "needed is a time from 1ms to 60s, such as 100ms or 0.2s".to_owned())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    let fps = text.parse().ok().filter(|n| (0.1..=1000.0).contains(n));
    fps.ok_or_else(|| "needed is a number of frames a second from 0.1 to 1000".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|n| (0.0..=50.0).contains(n));
    percent.ok_or_else(|| "needed is a number from 0 to 50".to_owned())
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |t: &str| t.parse().ok().filter(|n| (16..=8192).contains(n));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| "needed are a width and a height from 16 to 8192, such as 1280x720".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_has_a_unit_and_can_be_kept() {
        assert_eq!(latency("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(latency("0.25s"), Ok(Duration::from_millis(250)));
        for odd in ["100", "ms", "-5ms", "0s", "100us", "1h", "nans", "infs", "", "61s"] {
            assert!(latency(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn sizes_rates_and_percents_are_checked() {
        assert_eq!(size("640x360"), Ok((640, 360)));
        assert!(["640", "x", "0x0", "640x99999", "axb"].into_iter().all(|odd| size(odd).is_err()));
        assert_eq!(rate("7.5"), Ok(7.5));
        assert!(["0", "-1", "nan", "inf", "x"].into_iter().all(|odd| rate(odd).is_err()));
        assert!(percent("0.5").is_ok() && percent("51").is_err() && percent("nan").is_err());
    }
}
