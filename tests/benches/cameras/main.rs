//! 1 to 128 cameras and one engine of fixed cost, beside what a model on paper predicts: `cargo bench --bench cameras`. Rings, seats, schedule,
//! engine thread and trackers are the daemon's own; the engine sleeps. Prints what it measured; with `-- --check` it ends with 1 where a
//! prediction is missed by more than `check` allows. `-- --seconds S` counts for so long at each point (10 if not said), `-- --most N`
//! goes up to so many cameras, `-- --least N` begins with so many.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "a program that prints what it measured")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use peregrine::config::{self, Priority, Source};
use peregrine::detect::{Detector, PerPlace, Settings};
use peregrine::pipeline::{Analyst, Around, Order, Rig, Scene};
use peregrine::runtime::Clock;
use peregrine::telemetry::Metrics;

mod check;
mod model;
mod point;
mod stub;
mod tables;

use model::{Class, Cost};
use point::Point;
use stub::{Pace, Stub};

/// Frames a second of each camera.
const FPS: f64 = 5.0;
/// Pictures are not read, so their size does not matter.
const PICTURE_PX: (u32, u32) = (64, 36);
/// Longer than two batches of the slowest point take, so that the batch size has no reason to shrink.
const TARGET_P95: Duration = Duration::from_secs(2);
/// Until batches have grown from 1 to 8, at 128 cameras.
const GROWS_IN: Duration = Duration::from_secs(8);

/// A load that is tried at every count of cameras.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What cameras want, as a multiple of what the engine can do.
    pub(crate) load: f64,
    /// Cameras are of these classes, in turn.
    pub(crate) classes: Vec<Class>,
}

fn scenarios() -> Vec<Scenario> {
    let class = |name, priority, detect_fps, max_age_ms: Option<u64>| {
        let max_age = max_age_ms.map(Duration::from_millis);
        let still = config::Camera::of(Source::Test { pattern: String::new() });
        Class { name, camera: config::Camera { priority, detect_fps, max_age, ..still } }
    };
    let equal = || vec![class("all", Priority::Medium, None, None)];
    let mixed = vec![
        class("high", Priority::High, None, None),
        class("medium", Priority::Medium, None, None),
        class("low", Priority::Low, None, None),
        class("rare", Priority::Low, Some(1.0), Some(150)),
    ];
    vec![
        Scenario { name: "half of the capacity", load: 0.5, classes: equal() },
        Scenario { name: "twice the capacity", load: 2.0, classes: equal() },
        Scenario { name: "twice the capacity, mixed", load: 2.0, classes: mixed },
    ]
}

/// What the command line asks for.
struct Asked {
    check: bool,
    each: Duration,
    least: usize,
    most: usize,
}

fn asked() -> Result<Asked> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let secs: f64 = value("--seconds").map_or(Ok(10.0), |v| v.parse()).context("--seconds needs a number")?;
    let most = value("--most").map_or(Ok(128), |v| v.parse()).context("--most needs a number of cameras")?;
    let least = value("--least").map_or(Ok(1), |v| v.parse()).context("--least needs a number of cameras")?;
    Ok(Asked { check: args.iter().any(|a| a == "--check"), each: Duration::try_from_secs_f64(secs)?, least, most })
}

fn main() -> Result<ExitCode> {
    let asked = asked()?;
    let scenarios = scenarios();
    let mut points = Vec::new();
    for max_batch in [1, 8] {
        points.extend(sweep(&scenarios, max_batch, &asked)?);
    }
    points.sort_by_key(|p: &Point| (p.max_batch, p.scenario, p.cameras));
    tables::print(&scenarios, &points);
    let missed = check::missed(&scenarios, &points);
    println!("\n{}", if missed.is_empty() { "all predictions are met" } else { "predictions that are missed:" });
    missed.iter().for_each(|line| println!("- {line}"));
    Ok(if asked.check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All loads, the most cameras first: batches grow there soon, and keep their size.
fn sweep(scenarios: &[Scenario], max_batch: usize, asked: &Asked) -> Result<Vec<Point>> {
    let pace = Arc::<Pace>::default();
    let mut rig = rig(max_batch, &pace)?;
    let scene = Scene::made(PICTURE_PX);
    let counts = || std::iter::successors(Some(asked.least.max(1)), |n| Some(n * 2)).take_while(|n| *n <= asked.most);
    let mut points = Vec::new();
    if max_batch > 1 {
        let overload = &scenarios[1];
        let (cameras, cost) = (asked.most, Cost::for_load(overload, asked.most, max_batch));
        pace.set(cost.times());
        rig.watch(overload.classes.iter().map(|class| class.camera.clone()).collect());
        rig.measure(&order(cameras, GROWS_IN), &scene)?;
    }
    for cameras in counts().collect::<Vec<_>>().into_iter().rev() {
        for (number, scenario) in scenarios.iter().enumerate() {
            eprintln!("{cameras} cameras, {}, batches of {max_batch} at most", scenario.name);
            let cost = Cost::for_load(scenario, cameras, max_batch);
            pace.set(cost.times());
            rig.watch(scenario.classes.iter().map(|class| class.camera.clone()).collect());
            let measured = rig.measure(&order(cameras, asked.each), &scene)?;
            let predicted = model::predict(scenario, cameras, (cost, max_batch));
            let stub = pace.processor_a_run();
            points.push(Point { scenario: number, max_batch, cameras, cost, predicted, measured, stub });
        }
    }
    Ok(points)
}

fn order(cameras: usize, over: Duration) -> Order {
    Order { cameras, fps: FPS, in_step: false, over, least_frames: 0 }
}

fn rig(max_batch: usize, pace: &Arc<Pace>) -> Result<Rig> {
    let (clock, metrics) = (Clock::start(), Arc::<Metrics>::default());
    let settings = Settings { confidence: None, nms_iou: None, classes: Vec::new(), per_place: PerPlace::Best };
    let stub = Stub::new(max_batch, clock, Arc::clone(pace));
    let detector = Detector::new(Box::new(stub), &stub::card(), &settings)?;
    let analyst = Analyst::new(detector, Vec::new(), Arc::clone(&metrics), clock);
    let around = Around {
        track: config::Track { max_age_frames: 5, min_hits: 1, iou: 0.3 },
        schedule: config::Schedule { window: Duration::ZERO, max_batch, target_p95: TARGET_P95 },
        gap: Duration::from_secs(60),
        ring_capacity: 1,
        cameras: Vec::new(),
        metrics,
    };
    Ok(Rig::with(vec![analyst], around, clock)?)
}
