//! What the scheduler costs a frame, at 1 to 128 cameras of which all wait: `cargo bench --bench schedule`. Judges nothing.
//!
//! - `turn`: the policy alone, one look with its batch (`pick` and `done`), and a frame of it;
//! - `look`: the whole way of a frame from its ring to the report, with the daemon's own rings, seats, threads' body and tracker, and an engine
//!   that takes no time: the looks at all cameras, the seat going out and home, its four tracks.
#![allow(missing_docs, reason = "a program that prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peregrine::config::{self, Priority, Source};
use peregrine::detect::{Detector, PerPlace, Settings};
use peregrine::pipeline::{Analyst, EngineParts, Lane, Lanes, Seats, run_engine};
use peregrine::ring::WhenFull;
use peregrine::runtime::{Clock, Hearts, Stop};
use peregrine::schedule::{Pick, Policy, Waiting, Wish};
use peregrine::telemetry::Metrics;
use peregrine::types::{Finding, Frame, Report, RgbImage};

#[allow(dead_code, reason = "the other bench asks it for more")]
#[path = "cameras/stub.rs"]
mod stub;

const CAMERAS: [u64; 3] = [1, 16, 128];

fn priority(camera: u64) -> Priority {
    [Priority::High, Priority::Medium, Priority::Low][camera as usize % 3]
}

fn policy(cameras: u64, batch: usize) -> Policy {
    let settings = config::Schedule { max_batch: batch, target_p95: Duration::from_secs(60), ..Default::default() };
    let mut policy = Policy::new(settings);
    for lane in 0..cameras {
        let wish = Wish { rate_hz: None, priority: priority(lane), max_age: Some(Duration::from_secs(1)) };
        policy.camera(lane, wish);
    }
    policy
}

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    for cameras in CAMERAS {
        for batch in [1, 8] {
            let mut policy = policy(cameras, batch);
            let mut now = Duration::ZERO;
            let mut waiting: Vec<Waiting> = (0..cameras).map(|lane| Waiting { lane, captured: now }).collect();
            group.throughput(Throughput::Elements(batch.min(cameras as usize) as u64));
            group.bench_function(BenchmarkId::new(format!("batch_{batch}"), cameras), |b| {
                b.iter(|| {
                    now += Duration::from_millis(10);
                    waiting.iter_mut().for_each(|w| w.captured = now);
                    let Pick::Take(lanes) = policy.pick(black_box(&waiting), now) else { return };
                    let late = vec![Duration::from_millis(12); lanes.len()];
                    policy.done(&lanes, Duration::from_millis(8), &late, now);
                });
            });
        }
    }
    group.finish();
}

/// A camera's next frame.
fn push(lane: &Lane, seq: u64, picture: &Arc<RgbImage>, clock: Clock) {
    let pixels = Arc::clone(picture) as _;
    lane.ring.push(Frame { camera: Arc::clone(&lane.camera), seq, captured: clock.now(), pixels });
}

/// How long that many frames take, while each camera has a new one as soon as its last is done.
fn frames(cameras: u64, count: u64) -> Duration {
    let (clock, metrics, lanes) = (Clock::start(), Arc::<Metrics>::default(), Lanes::default());
    let (stop, picture) = (Stop::new(), Arc::new(RgbImage { width_px: 64, height_px: 36, data: vec![0; 64 * 36 * 3] }));
    let open = |camera| {
        let still = config::Camera::of(Source::Test { pattern: String::new() });
        let settings = config::Camera { priority: priority(camera), ..still };
        lanes.open_fed(&format!("camera-{camera}"), settings, 1, WhenFull::DisplaceOldest)
    };
    let open: Vec<Arc<Lane>> = (0..cameras).map(open).collect();
    let engine = stub::Stub::new(1, clock, Arc::default());
    let settings = Settings { confidence: None, nms_iou: None, classes: Vec::new(), per_place: PerPlace::Best };
    let detector = Detector::new(Box::new(engine), &stub::card(), &settings).expect("its head fits");
    let parts = EngineParts {
        analyst: Analyst::new(detector, Vec::new(), metrics, clock),
        hand: None,
        track: config::Track { max_age_frames: 5, min_hits: 1, iou: 0.3 },
        attend: config::Attend { enabled: false, ..config::Attend::default() },
        gap: Duration::from_secs(60),
        seats: Arc::new(Seats::new(lanes.clone(), config::Schedule::default())),
        studio: None,
        clock,
        heart: Hearts::new(clock).add("engine-0", Duration::from_secs(60)),
    };
    open.iter().for_each(|lane| push(lane, 1, &picture, clock));
    let (begun, mut done) = (clock.mono(), 0);
    let mut took = Duration::ZERO;
    run_engine(parts, &stop, &mut |finding| {
        if let Finding::Report(Report::Sighting(sighting)) = finding {
            done += 1;
            if done == count {
                took = clock.mono() - begun;
                stop.set();
            }
            let lane = open.iter().find(|lane| lane.camera == sighting.camera).expect("one of them");
            push(lane, sighting.seq + 1, &picture, clock);
        }
    });
    took
}

fn looks(c: &mut Criterion) {
    let mut group = c.benchmark_group("look");
    group.throughput(Throughput::Elements(1));
    for cameras in CAMERAS {
        group.bench_function(BenchmarkId::from_parameter(cameras), |b| b.iter_custom(|count| frames(cameras, count)));
    }
    group.finish();
}

criterion_group!(benches, turns, looks);
criterion_main!(benches);
