//! `peregrine bench`: how fast an engine runs a model here, alone, without pictures or pipeline. With `--cameras` it is `capacity`'s
//! measurement for given counts.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::layers::{self, Share};
use super::model_choice::ModelChoice;
use super::output::say;
use super::{Failure, capacity};
use crate::infer::{Engine, Explanation, Focus, Kind};
use crate::runtime::{Clock, environment};

/// Runs before anything is measured: caches fill, threads start, buffers are made.
const WARM_UP_RUNS: usize = 2;
/// Even a slow engine is measured this often, whatever `--seconds` says.
const LEAST_RUNS: usize = 3;
/// Each layer's time is the median of so many runs.
const LAYER_RUNS: usize = 51;
/// The knee is the smallest batch with at least this share of the best throughput.
const KNEE_SHARE: f64 = 0.95;

/// Measures a model on an engine: latency, throughput, and the knee over a range of batches
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    choice: ModelChoice,
    /// Inputs of one run: a number, or a range such as 1..8, each of which is measured
    #[arg(long, value_name = "N|1..N", default_value = "1")]
    batch: Batches,
    /// Instead of the model alone, measures the way from a camera's ring to its result under the load of so many cameras
    #[arg(long, value_name = "N|1..N", conflicts_with_all = ["whole", "layers", "explain"])]
    cameras: Option<Batches>,
    /// Frames a second of each of these cameras [default: 5]
    #[arg(long, value_name = "N", value_parser = capacity::rate, requires = "cameras")]
    fps: Option<f64>,
    /// How long each batch, or each count of cameras, is measured
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Of a detector, the whole output tensor is computed, as other runtimes do; else only what the daemon would read of it
    #[arg(long)]
    whole: bool,
    /// Also measures each layer alone: time, share, products and speed (engine int8)
    #[arg(long)]
    layers: bool,
    /// Also tells what of the model is computed how, and why (engine int8)
    #[arg(long)]
    explain: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A range of batch sizes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batches {
    first: usize,
    last: usize,
}

impl FromStr for Batches {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = 256;
        let number = |t: &str| t.trim().parse::<usize>().ok().filter(|n| (1..=MOST).contains(n));
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        match (number(first), number(last.trim_start_matches('='))) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("needed is a number from 1 to {MOST}, or a range such as 1..8")),
        }
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let secs = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= 3600.0);
    secs.map(Duration::from_secs_f64).ok_or_else(|| "needed is a number of seconds above 0, at most 3600".to_owned())
}

/// What `--json` prints. Its shape is a contract.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    engine: &'static str,
    cpu: String,
    /// "places" where the engine computes only what is read of a detector's output, else "whole".
    output: &'static str,
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Share>>,
    /// Of the engine's instruction, in a loop of nothing else, on one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_gmacs_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

/// One batch size.
#[derive(Debug, Clone, Serialize)]
struct Run {
    threads: usize,
    batch: usize,
    latency_ms: Latency,
    throughput_fps: f64,
    iterations: usize,
    rss_mb: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    mean: f64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(Batches { first, last }) = args.cameras {
        let asked = capacity::Counts { fps: args.fps, each: args.seconds, json: args.json };
        return capacity::at(&args.choice.config(args.batch.last)?, first..=last, &asked);
    }
    let (card, mut engine) = args.choice.open(args.batch.last)?;
    let threads = args.choice.threads();
    if card.kind == Kind::Detector && !args.whole {
        engine.focus(Some(&Focus { confidence: card.confidence, classes: None }));
    }
    let output = if engine.places(0).is_some() { "places" } else { "whole" };
    let bar = progress(args.batch.last - args.batch.first + 1);
    fill(engine.as_mut());
    let mut runs = Vec::new();
    for batch in args.batch.first..=args.batch.last {
        bar.set_message(format!("{}, batch {batch}", card.name));
        runs.push(measure(engine.as_mut(), batch, threads, args.seconds)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let cpu = environment::processor_name();
    let costs = args.layers.then(|| engine.costs(LAYER_RUNS, &Clock::start()));
    let peak_gmacs_per_s = costs.as_ref().and_then(|c| c.peak_macs_per_s).map(|p| rounded(p / 1e9));
    let layers = costs.map(|c| layers::shares(&c.layers));
    let explain = engine.explain().filter(|_| args.explain).cloned();
    let report =
        Report { model: card.name, engine: engine.name(), cpu, output, runs, layers, peak_gmacs_per_s, explain };
    let text = if args.json {
        serde_json::to_string_pretty(&report).map_err(|e| Failure::Bug(e.to_string()))?
    } else {
        table(&report, args)
    };
    say(&format!("{}\n", text.trim_end()))
}

/// Fills every input with a fixed pattern: zeros would let some kernels and denormal numbers tell a tale of their own.
fn fill(engine: &mut dyn Engine) {
    let chw = engine.shape().input_chw;
    for slot in 0..engine.max_batch() {
        engine.input(slot).fill(chw, |i| (i.wrapping_mul(2_654_435_761) >> 8 & 0xff) as f32 / 255.0);
    }
}

fn measure(engine: &mut dyn Engine, batch: usize, threads: usize, wanted: Duration) -> Result<Run, Failure> {
    let clock = Clock::start();
    let mut once = || -> Result<f64, Failure> {
        let begun = clock.mono();
        engine.run(batch).map_err(|e| Failure::Work(e.into()))?;
        Ok(clock.mono().saturating_sub(begun).as_secs_f64() * 1e3)
    };
    for _ in 0..WARM_UP_RUNS {
        once()?;
    }
    let begun = clock.mono();
    let mut took_ms = Vec::new();
    while took_ms.len() < LEAST_RUNS || clock.mono().saturating_sub(begun) < wanted {
        took_ms.push(once()?);
    }
    let total_secs = clock.mono().saturating_sub(begun).as_secs_f64();
    let iterations = took_ms.len();
    let throughput_fps = rounded((iterations * batch) as f64 / total_secs.max(1e-9));
    let rss_mb = rounded(environment::resident_bytes().unwrap_or(0) as f64 / 1e6);
    Ok(Run { threads, batch, latency_ms: latency(took_ms), throughput_fps, iterations, rss_mb })
}

fn latency(mut took_ms: Vec<f64>) -> Latency {
    took_ms.sort_by(f64::total_cmp);
    // Nearest rank: a value that was measured, not one in between.
    let at = |share: f64| {
        let rank = (share * took_ms.len() as f64).ceil() as usize;
        took_ms.get(rank.clamp(1, took_ms.len().max(1)) - 1).copied().unwrap_or(0.0)
    };
    let mean = took_ms.iter().sum::<f64>() / took_ms.len().max(1) as f64;
    Latency { p50: rounded(at(0.5)), p95: rounded(at(0.95)), p99: rounded(at(0.99)), mean: rounded(mean) }
}

fn rounded(v: f64) -> f64 {
    (v * 1e3).round() / 1e3
}

/// The smallest batch beyond which more brings little; None unless several were measured.
fn knee(runs: &[Run]) -> Option<&Run> {
    let best = runs.iter().map(|r| r.throughput_fps).fold(0.0, f64::max);
    runs.iter().find(|r| r.throughput_fps >= KNEE_SHARE * best).filter(|_| runs.len() > 1)
}

fn table(report: &Report, asked: &Args) -> String {
    let threads = report.runs.first().map_or(0, |r| r.threads);
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let mut out =
        format!("{} on {}, {threads}, {}, output: {}\n\n", report.model, report.engine, report.cpu, report.output);
    out.push_str("batch   p50 ms   p95 ms   p99 ms  mean ms  frames/s   runs  RSS MB\n");
    for r in &report.runs {
        let l = &r.latency_ms;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:>5} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>9.2} {:>6} {:>7.1}",
            r.batch, l.p50, l.p95, l.p99, l.mean, r.throughput_fps, r.iterations, r.rss_mb
        );
    }
    if let Some(knee) = knee(&report.runs) {
        let share = KNEE_SHARE * 100.0;
        let _ = writeln!(
            out,
            "\nknee: batch {}, the smallest with {share:.0} % of the best throughput ({:.2} frames/s at p50 {:.2} ms)",
            knee.batch, knee.throughput_fps, knee.latency_ms.p50
        );
    }
    match &report.explain {
        Some(explain) => out = format!("{out}\n{}", layers::explained(explain)),
        None if asked.explain => out.push_str(&format!("\nengine {} has nothing to explain\n", report.engine)),
        None => {}
    }
    match report.layers.as_deref() {
        Some([]) => out.push_str(&format!("\nengine {} does not tell its layers\n", report.engine)),
        Some(layers) => out = format!("{out}\n{}", layers::table(layers, report.peak_gmacs_per_s)),
        None => {}
    }
    out
}

/// Shown on a terminal only.
fn progress(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    ProgressBar::new(len as u64).with_style(style.expect("the template is sound"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_run(batch: usize, throughput_fps: f64) -> Run {
        Run { threads: 2, batch, latency_ms: latency(vec![1.0]), throughput_fps, iterations: 1, rss_mb: 1.0 }
    }

    #[test]
    fn batches_are_a_number_or_a_range() {
        assert_eq!("4".parse(), Ok(Batches { first: 4, last: 4 }));
        assert_eq!("1..8".parse(), Ok(Batches { first: 1, last: 8 }));
        for odd in ["0", "8..1", "", "a", "1..", "1..100000", "-1"] {
            assert!(odd.parse::<Batches>().is_err(), "{odd}");
        }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let l = latency((1..=100).rev().map(f64::from).collect());
        assert_eq!((l.p50, l.p95, l.p99, l.mean), (50.0, 95.0, 99.0, 50.5));
        assert_eq!(latency(vec![7.0]).p99, 7.0);
    }

    #[test]
    fn the_knee_is_the_smallest_batch_that_is_nearly_as_good_as_the_best() {
        let runs = [a_run(1, 50.0), a_run(2, 90.0), a_run(3, 97.0), a_run(4, 100.0)];
        assert_eq!(knee(&runs).map(|r| r.batch), Some(3));
        assert!(knee(&runs[..1]).is_none());
    }

    #[test]
    fn the_json_has_the_promised_shape() {
        let report = Report {
            model: "m".into(),
            engine: "tract",
            cpu: "c".into(),
            output: "whole",
            runs: vec![a_run(1, 2.0)],
            layers: None,
            peak_gmacs_per_s: None,
            explain: None,
        };
        let v = serde_json::to_value(report).expect("JSON");
        let keys = |v: &serde_json::Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>().join(" "));
        assert_eq!(keys(&v).as_deref(), Some("cpu engine model output runs"));
        assert_eq!(keys(&v["runs"][0]).as_deref(), Some("batch iterations latency_ms rss_mb threads throughput_fps"));
        assert_eq!(keys(&v["runs"][0]["latency_ms"]).as_deref(), Some("mean p50 p95 p99"));
    }
}
