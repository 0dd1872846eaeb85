//! One model at one batch size under growing load: what is measured, and what of it is told.

use std::ops::RangeInclusive;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use super::Mode;
use crate::cli::{Failure, progress};
use crate::config::Config;
use crate::infer;
use crate::pipeline::{Measured, Order, Rig, RigError, Scene};
use crate::runtime::Clock;
use crate::schedule::capacity::{Bar, Judged, search, settle};

/// A percentile of fewer frames than this is chance: three lie above the 95th of sixty.
const LEAST_FRAMES: usize = 60;

/// What is measured how.
pub(super) struct Plan {
    pub(super) clock: Clock,
    pub(super) fps: f64,
    pub(super) mode: Mode,
    /// What a load has to keep to; None where none is judged.
    pub(super) bar: Option<Bar>,
    pub(super) each: Duration,
    pub(super) hold: Duration,
    pub(super) most: usize,
}

/// A model at a batch size.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    pub(super) model: String,
    pub(super) engine: &'static str,
    pub(super) workers: usize,
    pub(super) threads: usize,
    pub(super) max_batch: usize,
    /// Where another engine had to stand in, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) trouble: Vec<String>,
    /// Counts that were measured, the smallest first.
    pub(super) steps: Vec<Step>,
    /// The largest count that was carried; 0 for none.
    pub(super) carries: usize,
    /// The longest measurement, of what was carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<Step>,
    /// That measurement second by second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) seconds: Vec<Second>,
}

/// One count of cameras.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    pub(super) cameras: usize,
    pub(super) over_secs: f64,
    pub(super) due_fps: f64,
    pub(super) fps: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) dropped_percent: f64,
    pub(super) failed: u64,
    pub(super) frames_per_batch: f64,
    pub(super) cpu_ms_per_frame: f64,
    pub(super) detections_per_frame: f64,
    pub(super) rss_mb: f64,
    /// Whether it kept to the target; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holds: Option<bool>,
}

/// One second of a measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Second {
    pub(super) at_secs: f64,
    pub(super) results: usize,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) max_ms: f64,
}

/// A measurement and what it is judged by.
#[derive(Clone)]
struct Seen {
    measured: Measured,
    holds: bool,
}

impl Judged for Seen {
    fn holds(&self) -> bool {
        self.holds
    }
}

impl Plan {
    /// A model at every batch size that its engine gains by: 1, 2, 4 … up to the configuration's on a GPU, else one frame at a time.
    /// What was measured before a failure is among the trials, too.
    pub(super) fn every_batch(&self, config: &Config, scene: &Scene, trials: &mut Vec<Tried>) -> Result<(), Failure> {
        let first = self.tried(&with_batch(config, 1), scene)?;
        let most = if first.engine == infer::TENSORRT { config.schedule.max_batch } else { 1 };
        trials.push(first);
        let mut batch = 2;
        while batch <= most && self.mode != Mode::Single {
            trials.push(self.tried(&with_batch(config, batch), scene)?);
            batch *= 2;
        }
        Ok(())
    }

    fn tried(&self, config: &Config, scene: &Scene) -> Result<Tried, Failure> {
        let mut rig = self.rig(config)?;
        let bar = progress::spinner("counts of cameras");
        let found = if self.mode == Mode::Single {
            self.one_by_one(&mut rig, scene)?
        } else {
            self.knee(&mut rig, scene, &bar)?
        };
        bar.finish_and_clear();
        Ok(Tried { trouble: rig.trouble(), ..found.of(config, &rig) })
    }

    /// Given counts, none of them judged.
    pub(super) fn counts(
        &self,
        config: &Config,
        scene: &Scene,
        counts: RangeInclusive<usize>,
    ) -> Result<Tried, Failure> {
        let mut rig = self.rig(config)?;
        let bar = progress::spinner("counts of cameras");
        let mut found = Found::default();
        for count in counts {
            found.steps.push(step(&self.at(&mut rig, scene, (count, self.each), &bar)?.measured, None));
        }
        bar.finish_and_clear();
        Ok(Tried { trouble: rig.trouble(), ..found.of(config, &rig) })
    }

    fn rig(&self, config: &Config) -> Result<Rig, Failure> {
        Rig::start(config, self.clock, progress::building(self.clock)).map_err(failure)
    }

    fn at(
        &self,
        rig: &mut Rig,
        scene: &Scene,
        (cameras, over): (usize, Duration),
        bar: &ProgressBar,
    ) -> Result<Seen, Failure> {
        bar.inc(1);
        let in_step = self.mode == Mode::Burst;
        let order = Order { cameras, fps: self.fps, in_step, over, least_frames: LEAST_FRAMES };
        Ok(self.judged(rig.measure(&order, scene).map_err(failure)?))
    }

    fn judged(&self, measured: Measured) -> Seen {
        let holds = self.bar.is_none_or(|bar| measured.load.holds(&bar));
        Seen { measured, holds }
    }

    fn one_by_one(&self, rig: &mut Rig, scene: &Scene) -> Result<Found, Failure> {
        let order = Order { cameras: 1, fps: self.fps, in_step: false, over: self.each, least_frames: LEAST_FRAMES };
        let seen = self.judged(rig.one_by_one(&order, scene).map_err(failure)?);
        let step = step(&seen.measured, Some(seen.holds));
        let held = seen.holds.then(|| step.clone());
        Ok(Found { carries: usize::from(seen.holds), held, seconds: seconds(&seen.measured), steps: vec![step] })
    }

    fn knee(&self, rig: &mut Rig, scene: &Scene, bar: &ProgressBar) -> Result<Found, Failure> {
        let found = search(self.most, &mut |count| self.at(rig, scene, (count, self.each), bar))?;
        let mut steps: Vec<_> = found.steps.iter().map(|(_, seen)| step(&seen.measured, Some(seen.holds))).collect();
        let carried = found.carried.unwrap_or(0);
        let (carries, last) = if self.mode == Mode::Sustained {
            settle(carried, &mut |count| self.at(rig, scene, (count, self.hold), bar))?
        } else {
            (carried, found.steps.into_iter().find(|(count, _)| *count == carried).map(|(_, seen)| seen))
        };
        let seconds = last.as_ref().map(|seen| seconds(&seen.measured)).unwrap_or_default();
        let held = last.map(|seen| step(&seen.measured, Some(seen.holds)));
        if let (0, Some(failed), Some(first)) = (carries, &held, steps.first_mut()) {
            // One camera was carried for a short time only: that is no answer.
            first.clone_from(failed);
        }
        let held = held.filter(|_| carries > 0);
        Ok(Found { steps, carries, held, seconds })
    }
}

#[derive(Default)]
struct Found {
    steps: Vec<Step>,
    carries: usize,
    held: Option<Step>,
    seconds: Vec<Second>,
}

impl Found {
    fn of(self, config: &Config, rig: &Rig) -> Tried {
        let Self { steps, carries, held, seconds } = self;
        Tried {
            model: config.detect.model.clone(),
            engine: rig.engine(),
            workers: rig.workers(),
            threads: config.detect.threads,
            max_batch: config.schedule.max_batch,
            trouble: Vec::new(),
            steps,
            carries,
            held,
            seconds,
        }
    }
}

fn with_batch(config: &Config, max_batch: usize) -> Config {
    let mut config = config.clone();
    config.schedule.max_batch = max_batch;
    config
}

fn failure(e: RigError) -> Failure {
    match e {
        RigError::Load(e) => Failure::Config(e.to_string()),
        RigError::Thread(e) => Failure::Work(e.into()),
        e @ RigError::ThreadEnded(_) => Failure::Bug(e.to_string()),
    }
}

fn step(measured: &Measured, holds: Option<bool>) -> Step {
    let load = &measured.load;
    let (secs, results) = (load.over.as_secs_f64().max(1e-9), load.results.len().max(1) as f64);
    let came = measured.came.max(1) as f64;
    let ms = |share| rounded(load.percentile(share).unwrap_or_default().as_secs_f64() * 1e3);
    Step {
        cameras: load.cameras,
        over_secs: rounded(secs),
        due_fps: rounded(load.due as f64 / secs),
        fps: rounded(load.fps()),
        p50_ms: ms(0.5),
        p95_ms: ms(0.95),
        p99_ms: ms(0.99),
        dropped_percent: rounded(100.0 * load.dropped()),
        failed: measured.failed,
        // The first and the last batch are counted a moment beside their frames; none has less than one.
        frames_per_batch: rounded((came / measured.batches.max(1) as f64).max(1.0)),
        cpu_ms_per_frame: rounded(measured.processor.as_secs_f64() * 1e3 / came),
        detections_per_frame: rounded(measured.detections as f64 / results),
        rss_mb: rounded(measured.resident_bytes as f64 / 1e6),
        holds,
    }
}

fn seconds(measured: &Measured) -> Vec<Second> {
    let of_one = |same: &[(Duration, Duration)]| {
        let mut late: Vec<_> = same.iter().map(|(_, late)| late.as_secs_f64() * 1e3).collect();
        late.sort_by(f64::total_cmp);
        let at = |share: f64| late[((share * late.len() as f64).ceil() as usize).clamp(1, late.len()) - 1];
        let at_secs = same[0].0.as_secs() as f64;
        Second {
            at_secs,
            results: late.len(),
            p50_ms: rounded(at(0.5)),
            p95_ms: rounded(at(0.95)),
            max_ms: rounded(at(1.0)),
        }
    };
    measured.load.results.chunk_by(|a, b| a.0.as_secs() == b.0.as_secs()).map(of_one).collect()
}

fn rounded(n: f64) -> f64 {
    (n * 1e3).round() / 1e3
}
