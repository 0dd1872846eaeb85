//! Many cameras and one engine: real threads, seats and rings, and an engine that works when the test lets it, so that nothing here depends on
//! how fast a machine is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::config::Priority::{self, High, Low, Medium};
use crate::infer::{Engine, InferError, InputMut, ModelShape};
use crate::pipeline::Lanes;
use crate::pipeline::samples::{self, shape};
use crate::ring::WhenFull;
use crate::runtime::Hearts;
use crate::types::{CameraId, Captured, Frame, Report, RgbImage, Sighting, TrackPhase};

/// Longer than any test, and when frames are captured that are not to be old in any of them.
pub(super) const LONG: Duration = Duration::from_secs(3600);
pub(super) const SIDE_PX: usize = 8;
/// Brightness of the first camera's pictures; each further one's are brighter by one.
pub(super) const FIRST: u8 = 100;

/// Tells when it begins, and ends when it is let go: well, or with a failure. It is as sure of a person as the picture in that slot is bright.
pub(super) struct Held {
    shape: ModelShape,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<[f32; 5]>,
    begun: Sender<usize>,
    goes_on: Receiver<bool>,
}

impl Held {
    /// Takes so many frames at once.
    pub(super) fn new(max_batch: usize, begun: Sender<usize>, goes_on: Receiver<bool>) -> Self {
        let inputs = vec![vec![0.0; 3 * SIDE_PX * SIDE_PX]; max_batch];
        Self { shape: shape(SIDE_PX), inputs, outputs: vec![[0.0; 5]; max_batch], begun, goes_on }
    }
}

impl Engine for Held {
    fn name(&self) -> &'static str {
        "held"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        self.inputs.len()
    }
    fn input(&mut self, slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.inputs[slot])
    }
    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        for (input, output) in self.inputs.iter().zip(&mut self.outputs).take(batch) {
            *output = [4.0, 4.0, 4.0, 4.0, input.iter().sum::<f32>() / input.len() as f32];
        }
        // At a test's end nobody listens or answers.
        let _ = self.begun.send(batch);
        match self.goes_on.recv() {
            Ok(false) => Err(InferError::Run { engine: "held", reason: "a bad day".to_owned() }),
            _ => Ok(()),
        }
    }
    fn output(&self, _output: usize, slot: usize) -> &[f32] {
        &self.outputs[slot]
    }
}

pub(super) fn track() -> config::Track {
    config::Track { max_age_frames: 5, min_hits: 1, iou: 0.3 }
}

pub(super) fn camera(priority: Priority) -> config::Camera {
    config::Camera { priority, ..config::Camera::of(config::Source::Test { pattern: String::new() }) }
}

/// Batches as large as the engine takes, without waiting for company.
pub(super) fn schedule() -> config::Schedule {
    config::Schedule { window: Duration::ZERO, ..config::Schedule::default() }
}

pub(super) fn frame(lane: &Lane, brightness: u8, seq: u64, captured: Duration) -> Frame {
    let captured = Captured { mono: captured, wall: std::time::UNIX_EPOCH, wall_synced: false };
    let side_px = SIDE_PX as u32;
    let data = vec![brightness; 3 * SIDE_PX * SIDE_PX];
    let pixels = Arc::new(RgbImage { width_px: side_px, height_px: side_px, data });
    Frame { camera: Arc::clone(&lane.camera), seq, captured, pixels }
}

/// An engine's thread and its cameras.
struct Stage<'a> {
    lanes: &'a Lanes,
    open: &'a [Arc<Lane>],
    begun: Receiver<usize>,
    goes_on: Sender<bool>,
    heard: Receiver<Report>,
}

impl Stage<'_> {
    /// The size of the batch that has begun.
    fn batch(&self) -> usize {
        self.begun.recv_timeout(Duration::from_secs(60)).expect("a batch begins")
    }

    fn let_go(&self, well: bool) {
        self.goes_on.send(well).expect("the engine waits");
    }

    /// One frame of each camera.
    fn push(&self, seq: u64) {
        for (n, lane) in self.open.iter().enumerate() {
            lane.ring.push(frame(lane, FIRST + n as u8, seq, LONG));
        }
    }

    /// So many batches of which each finds a new frame of every camera; the sizes of the batches. The last one has begun.
    fn overload(&self, batches: u64, seq: &mut u64) -> Vec<usize> {
        let turn = |n: u64| {
            if n > 0 {
                self.let_go(true);
            }
            let size = self.batch();
            *seq += 1;
            self.push(*seq);
            size
        };
        (0..batches).map(turn).collect()
    }

    /// What was told since the last time.
    fn sightings(&self) -> Vec<Sighting> {
        let sighting = |report| match report {
            Report::Sighting(sighting) => Some(sighting),
            _ => None,
        };
        self.heard.try_iter().filter_map(sighting).collect()
    }
}

/// Ends the engine's thread, which may be at work: also when a test fails.
struct Ends<'a>(&'a Stop, &'a Lanes);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.set();
        self.1.bell().ring();
    }
}

/// Lets these cameras have an engine that takes so many frames at once. Gives the lanes for the accounts.
fn on_stage(cameras: Vec<config::Camera>, max_batch: usize, play: impl FnOnce(&Stage<'_>)) -> Vec<Arc<Lane>> {
    let lanes = Lanes::default();
    let open = |(n, camera)| lanes.open_watched(&format!("cam{n}"), 1, WhenFull::DisplaceOldest, camera);
    let open: Vec<_> = cameras.into_iter().enumerate().map(open).collect();
    let ((begin, begun), (goes_on, gone_on), (say, heard)) = (channel(), channel(), channel());
    let engine = Held::new(max_batch, begin, gone_on);
    let (stop, clock) = (Stop::new(), Clock::start());
    let parts = EngineParts {
        analyst: samples::analyst(Box::new(engine), 0.25),
        hand: None,
        track: track(),
        attend: config::Attend::default(),
        gap: LONG,
        seats: Arc::new(Seats::new(lanes.clone(), schedule())),
        studio: None,
        clock,
        heart: Hearts::new(clock).add("engine", LONG),
    };
    std::thread::scope(|s| {
        let over = stop.clone();
        s.spawn(move || {
            run_engine(parts, &over, &mut |finding| {
                if let Finding::Report(report) = finding {
                    // At a test's end nobody listens.
                    let _ = say.send(report);
                }
            });
        });
        let stage = Stage { lanes: &lanes, open: &open, begun, goes_on, heard };
        let _ends = Ends(&stop, &lanes);
        stage.push(1);
        play(&stage);
    });
    open
}

/// What each camera's part of all looks is, as a share of what its weight entitles it to.
fn shares_under_overload(priorities: &[Priority], max_batch: usize, batches: u64) -> Vec<f64> {
    let mut counts = BTreeMap::<CameraId, u32>::new();
    let mut sizes = Vec::new();
    let lanes = on_stage(priorities.iter().map(|p| camera(*p)).collect(), max_batch, |stage| {
        sizes = stage.overload(batches, &mut 1);
        for sighting in stage.sightings() {
            *counts.entry(sighting.camera).or_default() += 1;
        }
    });
    assert_eq!(sizes.iter().max(), Some(&max_batch), "the engine takes so many");
    let weight = |p: &Priority| f64::from(crate::schedule::weight(*p));
    let weights: f64 = priorities.iter().map(weight).sum();
    let all = f64::from(counts.values().sum::<u32>());
    let share = |(lane, p): (&Arc<Lane>, &Priority)| {
        f64::from(counts.get(&lane.camera).copied().unwrap_or_default()) / all / (weight(p) / weights)
    };
    lanes.iter().zip(priorities).map(share).collect()
}

#[test]
fn a_high_a_medium_and_a_low_camera_share_an_engine_50_to_30_to_20() {
    for share in shares_under_overload(&[High, Medium, Low], 1, 600) {
        assert!((share - 1.0).abs() < 0.02, "{share}");
    }
}

#[test]
fn shares_are_the_same_where_frames_are_computed_together() {
    let priorities = [High, Low, Medium, Low, High, Medium, Low, Medium, Low, Low];
    for share in shares_under_overload(&priorities, 4, 1200) {
        assert!((share - 1.0).abs() < 0.05, "{share}");
    }
}

#[test]
fn of_128_cameras_everybody_is_served_and_every_frame_is_accounted_for() {
    let (cameras, batches) = (128_u64, 1200);
    let is_old = |camera: u64, seq: u64| camera.is_multiple_of(2) && seq.is_multiple_of(7);
    let of = |n: u64| config::Camera {
        max_age: n.is_multiple_of(2).then_some(Duration::ZERO),
        ..camera([High, Medium, Low][n as usize % 3])
    };
    let mut pushed = 1;
    let lanes = on_stage((0..cameras).map(of).collect(), 4, |stage| {
        for batch in 0..batches {
            if batch > 0 {
                stage.let_go(true);
            }
            assert!(stage.batch() <= 4);
            pushed += 1;
            for (n, lane) in stage.open.iter().enumerate() {
                // What was captured at the beginning of time is older than nothing.
                let captured = if is_old(n as u64, pushed) { Duration::ZERO } else { LONG };
                lane.ring.push(frame(lane, FIRST, pushed, captured));
            }
        }
        for sighting in stage.sightings() {
            let n: u64 = sighting.camera["cam".len()..].parse().expect("a number");
            assert!(!is_old(n, sighting.seq), "{} saw frame {}, which was too old", sighting.camera, sighting.seq);
        }
        for lane in stage.open {
            stage.lanes.close_still(lane);
        }
    });
    let mut stale = 0;
    for lane in &lanes {
        let m = &lane.metrics;
        let analysed = m.frames_analysed_total.get();
        let displaced = m.displaced_ring_total.get() + m.displaced_stale_total.get() + m.displaced_stopped_total.get();
        assert_eq!(analysed + displaced, pushed, "{}", lane.camera);
        assert!(analysed >= 10, "{} was looked at {analysed} times", lane.camera);
        stale += m.displaced_stale_total.get();
    }
    assert!(stale > 0);
}

#[test]
fn a_batch_has_frames_of_different_cameras_and_each_result_is_told_of_its_own() {
    let mut told = 0;
    on_stage(vec![camera(Medium); 6], 4, |stage| {
        let sizes = stage.overload(300, &mut 1);
        let sightings = stage.sightings();
        let mut last = BTreeMap::<CameraId, u64>::new();
        let mut rest = &sightings[..];
        // The last batch has begun, and nothing is told of it yet.
        for size in &sizes[..sizes.len() - 1] {
            let (batch, after) = rest.split_at(*size);
            rest = after;
            let cameras: BTreeSet<_> = batch.iter().map(|s| Arc::clone(&s.camera)).collect();
            assert_eq!(cameras.len(), *size);
            for sighting in batch {
                let n = sighting.detections[0].score * 255.0 - f32::from(FIRST);
                assert_eq!(&*sighting.camera, format!("cam{}", n.round()), "what was seen is another camera's");
                assert!(last.insert(Arc::clone(&sighting.camera), sighting.seq) < Some(sighting.seq));
            }
        }
        told = sizes.iter().filter(|size| **size == 4).count();
        assert!(rest.is_empty());
    });
    assert!(told > 10, "batches grow to what the engine takes");
}

#[test]
fn a_failure_loses_the_frames_of_its_batch_and_no_other() {
    on_stage(vec![camera(Medium); 6], 4, |stage| {
        let mut seq = 1;
        let sizes = stage.overload(300, &mut seq);
        let failed = || stage.open.iter().map(|lane| lane.metrics.frames_failed_total.get()).collect::<Vec<_>>();
        assert_eq!(failed(), [0; 6]);
        stage.sightings();
        stage.let_go(false);
        assert_eq!((sizes[299], stage.batch()), (4, 4));
        assert_eq!(failed().iter().sum::<u64>(), 4);
        assert!(failed().iter().all(|n| *n <= 1), "each camera's own: {:?}", failed());
        assert!(stage.sightings().is_empty());
        seq += 1;
        stage.push(seq);
        stage.let_go(true);
        stage.overload(6, &mut seq);
        let seen: BTreeSet<_> = stage.sightings().into_iter().map(|s| s.camera).collect();
        assert_eq!(seen.len(), 6, "they are looked at again");
    });
}

#[test]
fn a_camera_that_closes_while_its_frame_is_in_a_batch_is_told_of_and_then_its_tracks_end() {
    on_stage(vec![camera(Medium); 6], 4, |stage| {
        let mut seq = 1;
        stage.overload(300, &mut seq);
        stage.let_go(true);
        assert_eq!(stage.batch(), 4);
        let taken: Vec<_> = stage.open.iter().filter(|lane| !lane.ring.is_waiting()).collect();
        assert_eq!(taken.len(), 4);
        let gone = taken[2];
        stage.lanes.close_still(gone);
        stage.sightings();
        stage.let_go(true);
        let mut of_it = Vec::new();
        while of_it.last() != Some(&"end") {
            match stage.heard.recv_timeout(Duration::from_secs(60)).expect("the end is told") {
                Report::Sighting(s) if s.camera == gone.camera => of_it.push("sighting"),
                Report::Track(t) if t.camera == gone.camera => {
                    of_it.push(if t.phase == TrackPhase::End { "end" } else { "track" });
                }
                _ => {}
            }
        }
        assert_eq!(of_it, ["sighting", "track", "end"]);
        assert_eq!(taken.iter().map(|lane| lane.metrics.frames_failed_total.get()).sum::<u64>(), 0);
    });
}
