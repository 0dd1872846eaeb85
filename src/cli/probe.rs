//! `peregrine probe`: what this device offers, for people (a table) and scripts (`--json`).
//!
//! What the stages know about the device is asked of them in `of_stages`, in one line each; what the operating system knows is
//! gathered here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::Serialize;

use super::output::say;
use super::{Failure, configuration, readings};
use crate::config::Secrets;
use crate::monitor::{Board, Sensor, Sensors};
use crate::runtime::{Clock, Worker, environment, threads};
use crate::types::Readings;
use crate::{infer, ingest};

/// Counters of load move a hundred times a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Sensors answer within milliseconds, all but those on a slow bus; one that hangs does so for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Shows what this device offers: engines, decoders, sensors, processor features.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// A configuration whose `[monitor] ignore_sensors` is shown.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads the sensors of a tree that was recorded on another board: the folder that holds its sys, proc, etc, var and dev.
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Something that a stage can use, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Offer {
    /// Its name.
    pub name: String,
    /// Whether it can be used here.
    pub available: bool,
    /// A version, or what is missing.
    pub detail: String,
}

/// Everything that is known about the device.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProbeReport {
    /// Peregrine's version.
    pub version: &'static str,
    /// The board, where the firmware names it.
    pub board: Option<String>,
    /// Its chip, as the device tree names it.
    pub chip: Option<String>,
    /// NVIDIA's release of Linux for Tegra.
    pub l4t: Option<String>,
    /// The processor.
    pub cpu: Cpu,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Engines that run models.
    pub engines: Vec<Offer>,
    /// Video decoders.
    pub decoders: Vec<Offer>,
    /// Temperature sensors.
    pub sensors: Vec<Sensor>,
    /// What all sensors say.
    pub readings: Readings,
    /// What they do not.
    pub notes: Vec<String>,
}

/// The processor.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cpu {
    /// Its name.
    pub name: String,
    /// The instruction set.
    pub arch: &'static str,
    /// How many processors this process may use.
    pub processors: usize,
    /// Vector instructions that engines make use of.
    pub features: Vec<&'static str>,
}

/// Runs the command.
///
/// # Errors
/// When the report cannot be written, or the configuration not be read.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.config.as_ref().map(|file| configuration::load(file, Secrets::None)).transpose()?;
    let ignored = loaded.map(|loaded| loaded.config.monitor.ignore_sensors).unwrap_or_default();
    let report = report(&args.root, &ignored, ANSWER_WITHIN);
    if args.json {
        let json = serde_json::to_string_pretty(&report).map_err(|e| Failure::Bug(e.to_string()))?;
        say(&(json + "\n"))
    } else {
        say(&table(&report))
    }
}

/// What sensors say.
#[derive(Debug, Default)]
struct Looked {
    sensors: Vec<Sensor>,
    readings: Readings,
    notes: Vec<String>,
}

/// On a thread of its own, which is left alone where a sensor hangs: what is known besides is worth telling.
fn looked(mut sensors: Sensors, at_most: Duration) -> Looked {
    let (at, (say, answer)) = (sensors.at(), sync_channel(1));
    let body = move || {
        let clock = Clock::start();
        // Load, and the power of a PC, are of the time between two looks.
        sensors.look(clock.mono());
        threads::pause(BETWEEN_LOOKS);
        let readings = sensors.look(clock.mono());
        // Who asked may have given up.
        let _ = say.send(Looked { sensors: sensors.temperatures(), readings, notes: sensors.notes() });
    };
    let why = match Worker::spawn("probe", body) {
        Ok(_) => match answer.recv_timeout(at_most) {
            Ok(looked) => return looked,
            Err(_) => format!("one of {} did not answer within {} s", at.kind(), at_most.as_secs_f64()),
        },
        Err(e) => e.to_string(),
    };
    Looked { notes: vec![format!("sensors: nothing can be told of them: {why}")], ..Looked::default() }
}

fn report(root: &Path, ignored: &[String], at_most: Duration) -> ProbeReport {
    let sensors = Sensors::new(root, root.to_owned()).ignoring(ignored);
    let Board { model, chip, l4t } = sensors.board();
    let (engines, decoders) = of_stages();
    let Looked { sensors, readings, notes } = looked(sensors, at_most);
    ProbeReport {
        version: env!("CARGO_PKG_VERSION"),
        board: model,
        chip,
        l4t,
        cpu: Cpu {
            name: environment::processor_name(),
            arch: std::env::consts::ARCH,
            processors: environment::processors(),
            features: cpu_features(),
        },
        memory_bytes: readings.memory.map(|memory| memory.total_bytes),
        engines,
        decoders,
        sensors,
        readings,
        notes,
    }
}

/// Engines and decoders, as the stages that own them tell.
fn of_stages() -> (Vec<Offer>, Vec<Offer>) {
    let engines = infer::probe().into_iter();
    let engines = engines.map(|e| Offer { name: e.name.to_owned(), available: e.available, detail: e.detail });
    let decoders = match ingest::elements() {
        Ok(elements) => elements.decoders().iter().map(decoder).collect(),
        Err(e) => vec![Offer { name: "GStreamer".to_owned(), available: false, detail: e.to_string() }],
    };
    (engines.collect(), decoders)
}

fn decoder(decoder: &ingest::Decoder) -> Offer {
    let detail = format!("{}, {}", decoder.codec, if decoder.hardware { "hardware" } else { "software" });
    Offer { name: decoder.element.to_owned(), available: true, detail }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        ("sse4.1", std::arch::is_x86_feature_detected!("sse4.1")),
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bw", std::arch::is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
        ("avxvnni", std::arch::is_x86_feature_detected!("avxvnni")),
    ];
    present(&all)
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    present(&all)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    present(&[])
}

fn present(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect()
}

fn table(report: &ProbeReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<12}{value}");
    };
    row("peregrine", report.version);
    row("board", report.board.as_deref().unwrap_or("not named by its firmware"));
    row("processor", &format!("{}, {} × {}", report.cpu.name, report.cpu.processors, report.cpu.arch));
    row("features", &report.cpu.features.join(" "));
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    row("memory", &report.memory_bytes.map_or_else(|| "unknown".to_owned(), gib));
    for (what, offers) in [("engine", &report.engines), ("decoder", &report.decoders)] {
        for offer in offers {
            let mark = if offer.available { "yes" } else { "no " };
            row(what, &format!("{mark}  {:<16}{}", offer.name, offer.detail));
        }
    }
    for sensor in &report.sensors {
        let value = sensor.millicelsius.map_or_else(|| "no value".to_owned(), |m| format!("{:.1} °C", m as f64 * 1e-3));
        let ignored = if sensor.ignored { ", ignored" } else { "" };
        row("sensor", &format!("{:<22}{value}{ignored}", sensor.name));
    }
    for (what, value) in readings::rows(&report.readings) {
        row(what, &value);
    }
    for note in &report.notes {
        row("note", note);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_is_there_and_what_is_not() {
        let mut report = report(Path::new("/nonexistent"), &[], ANSWER_WITHIN);
        report.engines = vec![Offer { name: "tract".to_owned(), available: true, detail: "0.23".to_owned() }];
        report.decoders =
            vec![Offer { name: "nvv4l2decoder".to_owned(), available: false, detail: "absent".to_owned() }];
        report.sensors = vec![
            Sensor { name: "cpu-thermal".to_owned(), millicelsius: Some(48_312), ignored: false },
            Sensor { name: "nct6775/AUXTIN0".to_owned(), millicelsius: Some(127_000), ignored: true },
        ];
        let table = table(&report);
        for part in ["engine      yes  tract", "decoder     no   nvv4l2decoder", "48.3 °C\n", "127.0 °C, ignored\n"] {
            assert!(table.contains(part), "{part:?} is missing:\n{table}");
        }
    }

    #[test]
    fn a_sensor_that_hangs_keeps_nobody_from_hearing_of_the_rest() {
        let dir = tempfile::tempdir().expect("a folder");
        let zone = dir.path().join("sys/class/thermal/thermal_zone0");
        std::fs::create_dir_all(&zone).expect("made");
        let made = std::process::Command::new("mkfifo").arg(zone.join("temp")).status().expect("mkfifo runs");
        assert!(made.success());
        let report = report(dir.path(), &[], Duration::from_millis(200));
        assert!(!report.version.is_empty() && report.readings == Readings::default());
        assert!(report.notes[0].contains("one of temperature did not answer within 0.2 s"), "{:?}", report.notes);
    }
}
