//! A load that was measured, and what follows from its numbers.

use std::time::Duration;

use peregrine::pipeline::{Account, Measured};
use peregrine::schedule::capacity::Load;

use crate::model::{Cost, Predicted, shares};
use crate::{FPS, Scenario};

pub(crate) struct Point {
    pub(crate) scenario: usize,
    pub(crate) max_batch: usize,
    pub(crate) cameras: usize,
    pub(crate) cost: Cost,
    pub(crate) predicted: Predicted,
    pub(crate) measured: Measured,
    /// What the stub took of the processor in a run.
    pub(crate) stub: Duration,
}

impl Point {
    pub(crate) fn over_secs(&self) -> f64 {
        self.measured.load.over.as_secs_f64()
    }

    /// Results in the time that was counted.
    fn results(&self) -> f64 {
        self.measured.accounts.iter().map(|a| a.results).sum::<u64>() as f64
    }

    pub(crate) fn predicted_hz(&self) -> f64 {
        self.predicted.rates_hz.iter().sum()
    }

    pub(crate) fn measured_hz(&self) -> f64 {
        self.results() / self.over_secs()
    }

    /// The measured rates of the cameras of a class, on average; and the predicted ones.
    pub(crate) fn class_hz(&self, class: usize, classes: usize) -> Option<(f64, f64)> {
        let of = |values: Vec<f64>| {
            let own: Vec<f64> = values.into_iter().skip(class).step_by(classes).collect();
            (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
        };
        let rates = self.measured.accounts.iter().map(|a| a.results as f64 / self.over_secs()).collect();
        of(self.predicted.rates_hz.clone()).zip(of(rates))
    }

    /// How far the camera that is farthest off has more or less than its fair share of what the engine did, as a share of that: beyond
    /// the one frame by which the time that is counted may cut it.
    pub(crate) fn unfairness(&self, scenario: &Scenario) -> f64 {
        let fair = shares(scenario, self.cameras, self.measured_hz());
        let off = |(account, hz): (&Account, &f64)| {
            let expected = hz * self.over_secs();
            ((account.results as f64 - expected).abs() - 1.0).max(0.0) / expected
        };
        self.measured.accounts.iter().zip(&fair).map(off).fold(0.0, f64::max)
    }

    /// Share (0..1) of what was sent that had no result, while the load lasted.
    pub(crate) fn dropped(&self) -> f64 {
        (1.0 - self.measured_hz() / (FPS * self.cameras as f64)).max(0.0)
    }

    /// The 99th percentile of the results that came while the load lasted: after it nothing displaces what still waits.
    pub(crate) fn p99(&self) -> Duration {
        let load = &self.measured.load;
        let came = load.results.iter().copied().filter(|(captured, late)| *captured + *late <= load.over);
        Load { results: came.collect(), ..load.clone() }.percentile(0.99).unwrap_or_default()
    }

    /// Results a second of an engine whose batches are as full as these were.
    pub(crate) fn possible_hz(&self) -> f64 {
        let (batch, Cost { start_secs, each_secs }) = (self.frames_a_batch(), self.cost);
        batch / (start_secs + each_secs * batch)
    }

    /// Results by which the rate may be off because a batch lies on the edge of the time that is counted.
    pub(crate) fn edge_hz(&self) -> f64 {
        self.max_batch.min(self.cameras) as f64 / self.over_secs()
    }

    /// Cameras of which a frame is missing, or is counted twice.
    pub(crate) fn broken_accounts(&self) -> usize {
        self.measured.accounts.iter().filter(|account| !account.is_whole()).count()
    }

    /// Frames sent, analysed, displaced and too old, from the first that was sent to the last result.
    pub(crate) fn totals(&self) -> [u64; 4] {
        self.measured
            .accounts
            .iter()
            .fold([0; 4], |sums, a| [sums[0] + a.sent, sums[1] + a.analysed, sums[2] + a.displaced, sums[3] + a.stale])
    }

    pub(crate) fn frames_a_batch(&self) -> f64 {
        self.results() / self.measured.batches.max(1) as f64
    }

    /// Processor seconds of the engine's thread without the stub, while the load lasted.
    fn own_secs(&self) -> f64 {
        let m = &self.measured;
        let stub_secs = self.stub.as_secs_f64() * m.batches as f64;
        (m.processor.saturating_sub(m.sending).as_secs_f64() - stub_secs).max(0.0)
    }

    /// The same for each result.
    pub(crate) fn own_us_a_frame(&self) -> f64 {
        self.own_secs() * 1e6 / self.results().max(1.0)
    }

    /// Processor microseconds of sending, for each frame that was sent.
    pub(crate) fn sending_us_a_frame(&self) -> f64 {
        self.measured.sending.as_secs_f64() * 1e6 / self.measured.load.due.max(1) as f64
    }

    /// Processor milliseconds a second, of the engine's thread without the stub, for all cameras.
    pub(crate) fn all_ms(&self) -> f64 {
        self.own_secs() * 1e3 / self.over_secs()
    }
}

/// What a result costs in microseconds, as a line over the cameras: where it begins and its slope; None of too few points. A handful of cameras
/// has too few frames to tell, and the engine's thread wakes four times a second whether there are any or not.
pub(crate) fn line_of(points: &[Point]) -> Option<(f64, f64)> {
    let many: Vec<_> = many(points).map(|p| (p.cameras as f64, p.own_us_a_frame())).collect();
    (many.len() > 2).then(|| line(&many))
}

/// The power of the cameras' number by which the cost of all of them grows; None of too few points.
pub(crate) fn power(points: &[Point]) -> Option<f64> {
    let logs: Vec<_> = many(points).map(|p| ((p.cameras as f64).ln(), p.all_ms().max(1e-6).ln())).collect();
    (logs.len() > 2).then(|| line(&logs).1)
}

fn many(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().filter(|p| p.cameras >= 8)
}

/// The straight line that is nearest to these points, as where it begins and its slope.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let along: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = if spread > 0.0 { along / spread } else { 0.0 };
    (y - slope * x, slope)
}
