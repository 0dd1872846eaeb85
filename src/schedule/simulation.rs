//! Cameras, rings and an engine as a model: what the policy is tested against. A camera's ring holds its newest frame, a batch of n takes
//! a + b·n and some noise, several workers share one policy. Time is a number here; nothing sleeps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::batch::p95;
use super::{Pick, Policy, Waiting, Wish};
use crate::config;

/// A camera that sends from its coming to its leaving.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    pub(super) fps: f64,
    /// Its first frame, as a share of its period.
    pub(super) phase: f64,
    /// How far a frame may come early or late, as a share of its period.
    pub(super) jitter: f64,
    pub(super) wish: Wish,
    pub(super) comes: Duration,
    pub(super) leaves: Duration,
}

/// An engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Engine {
    /// What a batch costs, however small.
    pub(super) start_ms: f64,
    /// What each frame of it adds.
    pub(super) each_ms: f64,
    /// How far a batch may be off that, as a share.
    pub(super) noise: f64,
    pub(super) workers: usize,
}

impl Engine {
    pub(super) fn takes(&self, frames: usize) -> Duration {
        Duration::from_secs_f64((self.start_ms + self.each_ms * frames as f64) / 1e3)
    }
}

/// What became of a camera's frames; received = taken + displaced + stale + what is in its ring.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    pub(super) received: u64,
    pub(super) taken: u64,
    pub(super) displaced: u64,
    pub(super) stale: u64,
    /// The longest time from one taking to the next.
    pub(super) gap: Duration,
    /// Batches that began with a frame of it that the batch before had not seen: it cannot be in more.
    pub(super) chances: u64,
    is_new: bool,
    last: Option<Duration>,
    ring: Option<Duration>,
    is_here: bool,
}

impl Fate {
    pub(super) fn is_accounted_for(&self) -> bool {
        self.received == self.taken + self.displaced + self.stale + u64::from(self.ring.is_some())
    }
}

/// What a run showed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) fates: Vec<Fate>,
    /// When the batch size changed, and to what.
    pub(super) sizes: Vec<(Duration, usize)>,
    /// When each result came, and how long after its capture.
    pub(super) results: Vec<(Duration, Duration)>,
    pub(super) batches: u64,
    /// Times that a worker was left idle though a frame had waited for longer than it may.
    pub(super) idled: u64,
}

impl Outcome {
    pub(super) fn taken(&self) -> u64 {
        self.fates.iter().map(|fate| fate.taken).sum()
    }

    /// The 95th percentile of what came after that time.
    pub(super) fn p95_after(&self, from: Duration) -> Duration {
        let mut late: Vec<_> = self.results.iter().filter(|(at, _)| *at >= from).map(|(_, late)| *late).collect();
        p95(&mut late)
    }
}

/// Steps of a run, in the order in which they happen at one time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Done(usize),
    Comes(usize),
    Leaves(usize),
    Frame(usize, u64),
    Wake,
}

struct Batch {
    lanes: Vec<u64>,
    captured: Vec<Duration>,
    begun: Duration,
}

/// A run in progress.
struct Run<'a> {
    cameras: &'a [Camera],
    engine: Engine,
    window: Duration,
    policy: Policy,
    steps: BinaryHeap<Reverse<(Duration, Step)>>,
    workers: Vec<Option<Batch>>,
    /// Cameras whose frame a worker has.
    out: Vec<bool>,
    random: u64,
    seen: Outcome,
}

/// Runs so long, and counts cameras' frames from some time on.
pub(super) fn run(
    settings: &config::Schedule,
    cameras: &[Camera],
    engine: Engine,
    (counted, length): (Duration, Duration),
    seed: u64,
) -> Outcome {
    let mut run = Run {
        cameras,
        engine,
        window: settings.window,
        policy: Policy::new(settings.clone()),
        steps: BinaryHeap::new(),
        workers: (0..engine.workers).map(|_| None).collect(),
        out: vec![false; cameras.len()],
        random: seed | 1,
        seen: Outcome { fates: vec![Fate::default(); cameras.len()], ..Outcome::default() },
    };
    for (i, camera) in cameras.iter().enumerate() {
        run.steps.push(Reverse((camera.comes, Step::Comes(i))));
        run.steps.push(Reverse((camera.leaves, Step::Leaves(i))));
    }
    let mut is_counted = false;
    while let Some(Reverse((now, step))) = run.steps.pop() {
        if now > length {
            break;
        }
        if !is_counted && now >= counted {
            is_counted = true;
            run.forget();
        }
        run.step(now, step);
        // What happens at one time is seen together.
        if run.steps.peek().is_none_or(|Reverse((next, _))| *next > now) {
            run.ask(now);
        }
    }
    run.seen
}

impl Run<'_> {
    /// What was counted so far is not: the batch size was still on its way.
    fn forget(&mut self) {
        self.seen.batches = 0;
        for fate in &mut self.seen.fates {
            let received = u64::from(fate.ring.is_some());
            *fate = Fate { received, ring: fate.ring, last: fate.last, is_here: fate.is_here, ..Fate::default() };
        }
    }

    fn step(&mut self, now: Duration, step: Step) {
        match step {
            Step::Done(worker) => self.done(worker, now),
            Step::Comes(i) => {
                self.policy.camera(i as u64, self.cameras[i].wish);
                self.seen.fates[i].is_here = true;
                self.frame_at(i, 0);
            }
            Step::Leaves(i) => {
                self.policy.gone(i as u64);
                let fate = &mut self.seen.fates[i];
                fate.is_here = false;
                fate.stale += u64::from(fate.ring.take().is_some());
            }
            Step::Frame(i, number) => {
                let fate = &mut self.seen.fates[i];
                if fate.is_here {
                    fate.received += 1;
                    fate.is_new = true;
                    fate.displaced += u64::from(fate.ring.replace(now).is_some());
                    self.frame_at(i, number + 1);
                }
            }
            Step::Wake => {}
        }
    }

    fn frame_at(&mut self, i: usize, number: u64) {
        let camera = &self.cameras[i];
        let off = camera.jitter * (self.random() - 0.5);
        let periods = (number as f64 + camera.phase + off).max(0.0);
        let at = camera.comes + Duration::from_secs_f64(periods / camera.fps);
        self.steps.push(Reverse((at, Step::Frame(i, number))));
    }

    fn done(&mut self, worker: usize, now: Duration) {
        let batch = self.workers[worker].take().expect("it was at work");
        let late: Vec<_> = batch.captured.iter().map(|captured| now - *captured).collect();
        self.seen.results.extend(late.iter().map(|late| (now, *late)));
        batch.lanes.iter().for_each(|lane| self.out[*lane as usize] = false);
        let before = self.policy.batch();
        self.policy.done(&batch.lanes, now - batch.begun, &late, now);
        if self.policy.batch() != before {
            self.seen.sizes.push((now, self.policy.batch()));
        }
    }

    fn ask(&mut self, now: Duration) {
        while let Some(worker) = self.workers.iter().position(Option::is_none) {
            let waiting = self.waiting(now);
            match self.policy.pick(&waiting, now) {
                Pick::Take(lanes) => self.begin(worker, lanes, now),
                other => {
                    // Cameras with a rate may have to wait; the others only for company.
                    let wishes = |w: &&Waiting| self.cameras[w.lane as usize].wish.rate_hz.is_none();
                    let window = if self.policy.batch() > 1 { self.window } else { Duration::ZERO };
                    let overdue = |w: &Waiting| now >= w.captured + window;
                    self.seen.idled += u64::from(waiting.iter().filter(wishes).any(overdue));
                    if let Pick::Wait(until) = other {
                        assert!(until > now, "a wait that is over");
                        self.steps.push(Reverse((until, Step::Wake)));
                    }
                    return;
                }
            }
        }
    }

    fn waiting(&mut self, now: Duration) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for (i, fate) in self.seen.fates.iter_mut().enumerate().filter(|(i, _)| !self.out[*i]) {
            let Some(captured) = fate.ring else { continue };
            if self.policy.stale(i as u64, captured, now) {
                fate.ring = None;
                fate.stale += 1;
            } else {
                waiting.push(Waiting { lane: i as u64, captured });
            }
        }
        waiting
    }

    fn begin(&mut self, worker: usize, lanes: Vec<u64>, now: Duration) {
        assert!(!lanes.is_empty() && lanes.len() <= self.policy.batch());
        let mut captured = Vec::new();
        for &lane in &lanes {
            let fate = &mut self.seen.fates[lane as usize];
            let frame = fate.ring.take().expect("only who waits is picked, and once");
            assert!(!self.policy.stale(lane, frame, now), "a stale frame was taken");
            captured.push(frame);
            fate.taken += 1;
            fate.gap = fate.gap.max(now - fate.last.unwrap_or(self.cameras[lane as usize].comes));
            fate.last = Some(now);
            self.out[lane as usize] = true;
        }
        self.seen.batches += 1;
        self.seen.fates.iter_mut().for_each(|fate| fate.chances += u64::from(std::mem::take(&mut fate.is_new)));
        let noise = 1.0 + self.engine.noise * (2.0 * self.random() - 1.0);
        let end = now + self.engine.takes(lanes.len()).mul_f64(noise);
        self.workers[worker] = Some(Batch { lanes, captured, begun: now });
        self.steps.push(Reverse((end, Step::Done(worker))));
    }

    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}
