//! The daemon's way from ring to result under a load of its own: cameras that are not there send pictures at a rate, and each result is timed.
//!
//! Everything from the ring on is the daemon's own: seats, schedule, engines, trackers, classifiers, rules. What is not there: cameras,
//! decoders, the store, the broker. Which loads are tried belongs to [`crate::schedule::capacity`], what is told of them to `cli`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::accounts::{Account, Spent};
use super::engine::{EngineParts, run_engine};
use super::lanes::{Lane, Lanes};
use super::models::{LoadError, Loading};
use super::scene::Scene;
use super::{Analyst, Board, Seats};
use crate::config::{self, Config, Source};
use crate::infer::Progress;
use crate::ring::WhenFull;
use crate::runtime::{Clock, Hearts, Stop, Worker, environment, threads};
use crate::schedule::capacity::{Load, phase};
use crate::telemetry::Metrics;
use crate::types::{CameraId, Captured, Finding, Frame, Report, Sighting};

/// Before anything is counted: buffers are made, the batch size finds its place.
const WARM_UP: Duration = Duration::from_secs(1);
/// After the last frame of a load its results are waited for, so long at most.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// A single frame's result is waited for, so long at most.
const RESULT_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks whether a frame that is waited for was lost.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// An engine beats between two frames; nobody listens here.
const SILENCE: Duration = Duration::MAX;

/// Why a load cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A model of the configuration cannot be had.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The system has no thread to give.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
    /// An engine's thread ended before it was told to.
    #[error("the thread {0} ended by itself")]
    ThreadEnded(String),
}

/// A load to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// How many cameras.
    pub cameras: usize,
    /// Frames a second of each.
    pub fps: f64,
    /// Whether all cameras send at the same moment, instead of each in its own phase.
    pub in_step: bool,
    /// For how long is counted, at least.
    pub over: Duration,
    /// And until so many frames were due.
    pub least_frames: usize,
}

/// What a load gave.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Frames and times.
    pub load: Load,
    /// Processor time of the whole process in the time that was counted.
    pub processor: Duration,
    /// What of it the sending of frames took, up to their places in the rings.
    pub sending: Duration,
    /// Resident memory of the process at the end, in bytes.
    pub resident_bytes: u64,
    /// Detections in the results.
    pub detections: u64,
    /// Frames on which the detector failed.
    pub failed: u64,
    /// Batches in the time that was counted.
    pub batches: u64,
    /// Results that came in that time, whenever their frames were captured: what the processor time and the batches were spent on.
    pub came: u64,
    /// What became of each camera's frames.
    pub accounts: Vec<Account>,
}

/// What analysts are surrounded by.
pub struct Around {
    /// Settings of trackers.
    pub track: config::Track,
    /// How cameras share the engines.
    pub schedule: config::Schedule,
    /// Silence of a camera after which its tracks have ended.
    pub gap: Duration,
    /// Frames that wait of a camera, at most.
    pub ring_capacity: usize,
    /// What cameras are watched for, in turn.
    pub cameras: Vec<config::Camera>,
    /// Where the analysts count.
    pub metrics: Arc<Metrics>,
}

/// A result as it came.
struct Seen {
    camera: CameraId,
    captured: Duration,
    at: Duration,
    detections: usize,
}

/// Loaded models and running engines that wait for frames.
pub struct Rig {
    lanes: Lanes,
    seen: Receiver<Seen>,
    stop: Stop,
    engines: Vec<Worker>,
    /// None where analysts were given.
    board: Option<Arc<Board>>,
    metrics: Arc<Metrics>,
    clock: Clock,
    settings: Vec<config::Camera>,
    ring_capacity: usize,
    engine: &'static str,
}

impl Rig {
    /// Loads the configuration's models and starts its engines. Cameras are watched for what the configuration's are, in turn. Every frame
    /// is looked at: what `[attend]` would save depends on what cameras see.
    ///
    /// # Errors
    /// When a model cannot be had.
    pub fn start(config: &Config, clock: Clock, progress: Progress) -> Result<Self, RigError> {
        let metrics = Arc::new(Metrics::default());
        // What runs the models is in the log, and asked for at the end.
        let board = Board::new(Arc::clone(&metrics), clock, |_| {});
        let loading = Loading { config, metrics: &metrics, clock, board: &board, progress };
        let analysts = loading.all()?;
        let around = Around {
            track: config.track.clone(),
            schedule: config.schedule.clone(),
            gap: config.ingest.stall_after,
            ring_capacity: config.ingest.ring_capacity,
            cameras: watched(config),
            metrics,
        };
        let mut rig = Self::with(analysts, around, clock)?;
        rig.board = Some(board);
        Ok(rig)
    }

    /// Starts engines with analysts that are there already. Every frame is looked at.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn with(analysts: Vec<Analyst>, around: Around, clock: Clock) -> Result<Self, RigError> {
        let Around { track, schedule, gap, ring_capacity, cameras, metrics } = around;
        let (say, seen) = channel();
        let lanes = Lanes::default();
        let seats = Arc::new(Seats::new(lanes.clone(), schedule));
        let hearts = Hearts::new(clock);
        let mut rig = Self {
            lanes,
            seen,
            stop: Stop::new(),
            engines: Vec::with_capacity(analysts.len()),
            board: None,
            metrics,
            clock,
            settings: Vec::new(),
            ring_capacity,
            engine: analysts.first().map_or("none", Analyst::detects_on),
        };
        rig.watch(cameras);
        for (number, analyst) in analysts.into_iter().enumerate() {
            let name = format!("engine-{number}");
            let parts = EngineParts {
                analyst,
                hand: None,
                track: track.clone(),
                attend: config::Attend { enabled: false, ..config::Attend::default() },
                gap,
                seats: Arc::clone(&seats),
                studio: None,
                clock,
                heart: hearts.add(&name, SILENCE),
            };
            rig.engines.push(engine(&name, parts, rig.stop.clone(), say.clone())?);
        }
        Ok(rig)
    }

    /// From the next load on cameras are watched for this, in turn.
    pub fn watch(&mut self, cameras: Vec<config::Camera>) {
        self.settings = cameras;
        if self.settings.is_empty() {
            self.settings.push(config::Camera::of(Source::Test { pattern: String::new() }));
        }
    }

    /// What runs the detector.
    pub fn engine(&self) -> &'static str {
        self.engine
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.engines.len()
    }

    /// Where another engine had to stand in, and why.
    pub fn trouble(&self) -> Vec<String> {
        self.board.as_ref().map(|board| board.trouble()).unwrap_or_default()
    }

    /// So many cameras send at that rate.
    ///
    /// A frame counts as captured when it was due, though the sender were late: a machine that is too busy to send in time is too busy.
    ///
    /// # Errors
    /// When an engine has ended.
    pub fn measure(&mut self, order: &Order, scene: &Scene) -> Result<Measured, RigError> {
        let lanes = self.open(order.cameras);
        let period = Duration::from_secs_f64(order.fps.recip());
        let begun = self.clock.mono();
        let from = begun + WARM_UP.max(period * 2);
        let until = from + order.over.max(period.mul_f64(order.least_frames as f64 / order.cameras.max(1) as f64));
        let first = |camera| begun + period.mul_f64(if order.in_step { 0.0 } else { phase(camera) });
        let mut next: BinaryHeap<_> = (0..lanes.len()).map(|camera| Reverse((first(camera), camera, 1_u64))).collect();
        let (mut sent, mut due, mut mark) = (vec![0_u64; lanes.len()], 0_u64, None);
        while let Some(Reverse((at, camera, number))) = next.pop().filter(|Reverse((at, ..))| *at < until) {
            self.wait_until(at);
            if at >= from {
                mark.get_or_insert_with(|| self.spent());
                due += 1;
            }
            lanes[camera].ring.push(frame(&lanes[camera], number, self.captured(at), scene, camera));
            sent[camera] += 1;
            next.push(Reverse((at + period, camera, number + 1)));
        }
        self.wait_until(until);
        let spent = self.spent().since(&mark.unwrap_or_else(|| self.spent()));
        let seen = self.settled(&lanes, begun, sent.iter().sum())?;
        let accounts = accounts(&lanes, &sent, &seen, (from, until));
        let measured = self.told(&lanes, seen, (from, until), due);
        lanes.iter().for_each(|lane| self.lanes.close_fed(lane));
        let Spent { processor, sending, batches } = spent;
        Ok(Measured { processor, sending, batches, accounts, ..measured })
    }

    /// One camera whose next frame comes when the result of the one before is there.
    ///
    /// # Errors
    /// When an engine has ended.
    pub fn one_by_one(&mut self, order: &Order, scene: &Scene) -> Result<Measured, RigError> {
        let lanes = self.open(1);
        let (mut seen, mut number) = (Vec::new(), 0);
        let send = |number: u64| {
            self.clear();
            let before = lost(&lanes);
            lanes[0].ring.push(frame(&lanes[0], number, self.clock.now(), scene, 0));
            result_or_loss(&self.seen, &self.clock, || lost(&lanes) > before)
        };
        let (warm, mut hangs) = (self.clock.mono() + WARM_UP, false);
        while number == 0 || (self.clock.mono() < warm && !hangs) {
            number += 1;
            hangs = send(number).is_err();
        }
        let (from, first, mark) = (self.clock.mono(), number, self.spent());
        while (number - first) < order.least_frames as u64 || self.clock.mono() < from + order.over {
            number += 1;
            let Ok(result) = send(number) else { break };
            seen.extend(result);
            if self.engines.iter().any(Worker::is_finished) {
                break;
            }
        }
        let spent = self.spent().since(&mark);
        let until = self.clock.mono();
        self.is_alive()?;
        let measured = self.told(&lanes, seen, (from, until), number - first);
        self.lanes.close_fed(&lanes[0]);
        let Spent { processor, sending, batches } = spent;
        Ok(Measured { processor, sending, batches, ..measured })
    }

    fn spent(&self) -> Spent {
        Spent::so_far(&self.metrics)
    }

    fn open(&self, cameras: usize) -> Vec<Arc<Lane>> {
        self.clear();
        let open = |n: usize| {
            let settings = self.settings[n % self.settings.len()].clone();
            self.lanes.open_fed(&format!("camera-{}", n + 1), settings, self.ring_capacity, WhenFull::DisplaceOldest)
        };
        (0..cameras).map(open).collect()
    }

    /// What came late of an earlier load is not of this one.
    fn clear(&self) {
        while self.seen.try_recv().is_ok() {}
    }

    fn captured(&self, at: Duration) -> Captured {
        let now = self.clock.now();
        Captured { mono: at, wall: now.wall - now.mono.saturating_sub(at), ..now }
    }

    fn wait_until(&self, at: Duration) {
        let left = at.saturating_sub(self.clock.mono());
        if !left.is_zero() {
            threads::pause(left);
        }
    }

    /// All results, once each frame that was sent is accounted for.
    fn settled(&self, lanes: &[Arc<Lane>], begun: Duration, sent: u64) -> Result<Vec<Seen>, RigError> {
        let (deadline, mut seen) = (self.clock.mono() + SETTLES_WITHIN, Vec::new());
        while seen.len() as u64 + lost(lanes) < sent && self.clock.mono() < deadline {
            match self.seen.recv_timeout(LOOK_AROUND) {
                Ok(one) if one.captured >= begun => seen.push(one),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.is_alive().map(|()| seen)
    }

    fn told(&self, lanes: &[Arc<Lane>], seen: Vec<Seen>, (from, until): (Duration, Duration), due: u64) -> Measured {
        let came = seen.iter().filter(|s| (from..until).contains(&s.at)).count() as u64;
        let counted: Vec<_> = seen.into_iter().filter(|s| (from..until).contains(&s.captured)).collect();
        let late = |s: &Seen| (s.captured.saturating_sub(from), s.at.saturating_sub(s.captured));
        let mut results: Vec<_> = counted.iter().map(late).collect();
        results.sort_unstable();
        Measured {
            load: Load { cameras: lanes.len(), over: until.saturating_sub(from), due, results },
            resident_bytes: environment::resident_bytes().unwrap_or(0),
            detections: counted.iter().map(|s| s.detections as u64).sum(),
            failed: lanes.iter().map(|lane| lane.metrics.frames_failed_total.get()).sum(),
            came,
            ..Measured::default()
        }
    }

    fn is_alive(&self) -> Result<(), RigError> {
        let ended = self.engines.iter().find(|engine| engine.is_finished());
        ended.map_or(Ok(()), |engine| Err(RigError::ThreadEnded(engine.name().to_owned())))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.set();
        self.lanes.bell().ring();
        for engine in self.engines.drain(..) {
            // One that panicked has said so.
            engine.join_within(&self.clock, SETTLES_WITHIN);
        }
    }
}

/// What cameras are watched for: as the configuration's are, at every frame that is sent.
fn watched(config: &Config) -> Vec<config::Camera> {
    let enabled = config.cameras.values().filter(|camera| camera.enabled);
    enabled.map(|camera| config::Camera { detect_fps: None, ..camera.clone() }).collect()
}

fn frame(lane: &Lane, seq: u64, captured: Captured, scene: &Scene, camera: usize) -> Frame {
    Frame { camera: Arc::clone(&lane.camera), seq, captured, pixels: scene.picture(camera, seq) }
}

/// Frames that will have no result.
fn lost(lanes: &[Arc<Lane>]) -> u64 {
    lanes.iter().map(|lane| Account::of(lane, 0, 0).lost()).sum()
}

fn accounts(lanes: &[Arc<Lane>], sent: &[u64], seen: &[Seen], (from, until): (Duration, Duration)) -> Vec<Account> {
    let mut results = HashMap::<&str, u64>::new();
    for seen in seen.iter().filter(|seen| (from..until).contains(&seen.at)) {
        *results.entry(&seen.camera).or_default() += 1;
    }
    let of = |(lane, sent): (&Arc<Lane>, &u64)| {
        Account::of(lane, *sent, results.get(&*lane.camera).copied().unwrap_or_default())
    };
    lanes.iter().zip(sent).map(of).collect()
}

/// An engine's thread that says of each result when it came.
fn engine(name: &str, parts: EngineParts, stop: Stop, say: Sender<Seen>) -> std::io::Result<Worker> {
    Worker::spawn(name, move || {
        let clock = parts.clock;
        run_engine(parts, &stop, &mut |finding| {
            if let Finding::Report(Report::Sighting(Sighting { camera, captured, detections, .. })) = finding {
                // The receiver is gone when the rig is about to end.
                let _ =
                    say.send(Seen { camera, captured: captured.mono, at: clock.mono(), detections: detections.len() });
            }
        });
    })
}

/// The next result, or none where its frame was lost instead.
///
/// # Errors
/// When neither comes for so long that more frames are not worth trying, or ever.
fn result_or_loss<T>(
    results: &Receiver<T>,
    clock: &Clock,
    is_lost: impl Fn() -> bool,
) -> Result<Option<T>, RecvTimeoutError> {
    let deadline = clock.mono() + RESULT_WITHIN;
    loop {
        match results.recv_timeout(LOOK_AROUND) {
            Ok(one) => return Ok(Some(one)),
            Err(RecvTimeoutError::Timeout) if is_lost() => return Ok(None),
            Err(RecvTimeoutError::Timeout) if clock.mono() < deadline => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_lost_is_not_waited_for() {
        let (say, results) = channel();
        let clock = Clock::start();
        assert_eq!(result_or_loss(&results, &clock, || true), Ok(None));
        say.send(7).expect("heard");
        assert_eq!(result_or_loss(&results, &clock, || true), Ok(Some(7)), "its result came before");
        drop(say);
        assert_eq!(
            result_or_loss(&results, &clock, || false),
            Err(RecvTimeoutError::Disconnected),
            "no engine is left"
        );
    }
}
