//! The model on paper. Nothing here knows the scheduler's code but for the shares that its documents promise.
//!
//! - A batch of k takes `start + k · each`, always. With batches of b = min(`max_batch`, cameras) the engine does `b / (start + b · each)`
//!   frames a second: its capacity.
//! - Each camera's rate is its max-min fair share of the capacity by weight (`schedule::entitled`). The rest of its frames is lost:
//!   for all cameras together 1 − the sum of the rates / what is sent; for equal ones 1 − capacity / demand.
//! - Below capacity nothing is lost, and frames are served as they come: the moments at which cameras send are known, so is each wait.
//! - In overload the engine always finds full batches. When a camera's turn comes its newest frame is taken, which was captured at any
//!   time within the last period; so 99 of 100 results are there after 0.99 periods and a batch, however many cameras there are.

use std::time::Duration;

use peregrine::config;
use peregrine::schedule::capacity::phase;
use peregrine::schedule::{Demand, entitled};

use crate::{FPS, Scenario};

/// How many times what a frame adds to a batch the start of a batch takes: 2 ms to 0.5 ms.
const START_TO_EACH: f64 = 4.0;
/// Periods that are reckoned, and those of them at the beginning that do not count: the queue fills.
const PERIODS: usize = 60;
const FILLS: usize = 20;

/// Cameras that are watched alike.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) camera: config::Camera,
}

impl Class {
    fn demand(&self) -> Demand {
        let rate_hz = self.camera.detect_fps.map_or(FPS, |hz| hz.min(FPS));
        Demand { rate_hz, priority: self.camera.priority }
    }
}

/// What a batch costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) start_secs: f64,
    pub(crate) each_secs: f64,
}

impl Cost {
    /// The same as the engine is told it.
    pub(crate) fn times(self) -> (Duration, Duration) {
        (Duration::from_secs_f64(self.start_secs), Duration::from_secs_f64(self.each_secs))
    }

    /// Such that these cameras want `load` times what the engine can do with full batches.
    pub(crate) fn for_load(scenario: &Scenario, cameras: usize, max_batch: usize) -> Self {
        let wanted_hz: f64 = demands(scenario, cameras).iter().map(|d| d.rate_hz).sum();
        let batch = max_batch.min(cameras) as f64;
        let each_secs = batch * scenario.load / wanted_hz / (START_TO_EACH + batch);
        Self { start_secs: START_TO_EACH * each_secs, each_secs }
    }

    pub(crate) fn takes_secs(&self, batch: usize) -> f64 {
        self.start_secs + self.each_secs * batch as f64
    }
}

/// What is predicted of a load.
pub(crate) struct Predicted {
    /// Of each camera, results a second.
    pub(crate) rates_hz: Vec<f64>,
    /// Share (0..1) of the frames sent that has no result.
    pub(crate) dropped: f64,
    /// The 99th percentile of capture to result.
    pub(crate) p99: Duration,
}

pub(crate) fn predict(scenario: &Scenario, cameras: usize, (cost, max_batch): (Cost, usize)) -> Predicted {
    let batch = max_batch.min(cameras);
    let capacity_hz = batch as f64 / cost.takes_secs(batch);
    let rates_hz = shares(scenario, cameras, capacity_hz);
    let dropped = 1.0 - rates_hz.iter().sum::<f64>() / (FPS * cameras as f64);
    let p99_secs = if scenario.load < 1.0 {
        percentile(waits(cameras, cost, batch), 0.99)
    } else {
        0.99 / FPS + cost.takes_secs(batch)
    };
    Predicted { rates_hz, dropped, p99: Duration::from_secs_f64(p99_secs) }
}

/// What each camera is entitled to of an engine that does so many frames a second.
pub(crate) fn shares(scenario: &Scenario, cameras: usize, capacity_hz: f64) -> Vec<f64> {
    entitled(capacity_hz, &demands(scenario, cameras))
}

fn demands(scenario: &Scenario, cameras: usize) -> Vec<Demand> {
    scenario.classes.iter().cycle().take(cameras).map(Class::demand).collect()
}

/// Capture to result of each frame, in seconds: one queue, served in the order of coming, up to so many together.
fn waits(cameras: usize, cost: Cost, most: usize) -> Vec<f64> {
    let mut phases: Vec<f64> = (0..cameras).map(phase).collect();
    phases.sort_by(f64::total_cmp);
    let period = |n: usize| phases.iter().map(move |phase| (n as f64 + phase) / FPS);
    let comes: Vec<f64> = (0..PERIODS).flat_map(period).collect();
    let (mut waits, mut free_at, mut next) = (Vec::new(), 0.0_f64, 0);
    while let Some(first) = comes.get(next) {
        let begins = free_at.max(*first);
        let here = comes[next..].iter().take(most).take_while(|at| **at <= begins).count();
        free_at = begins + cost.takes_secs(here);
        waits.extend(comes[next..next + here].iter().map(|at| free_at - at));
        next += here;
    }
    waits.split_off(FILLS * cameras)
}

fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}
