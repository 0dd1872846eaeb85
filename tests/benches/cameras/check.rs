//! By how much a prediction may be missed.

use crate::Scenario;
use crate::point::{Point, line};

/// Results a second, and each camera's share of them: as a share.
const RATE: f64 = 0.05;
/// Frames without a result: of what was sent.
const DROPPED: f64 = 0.03;
/// The 99th percentile: as a share, and on top of it the time that a thread may take to wake.
const P99: f64 = 0.25;
const WAKES_SECS: f64 = 0.003;
/// From so many cameras on, ages of frames lie everywhere within a period.
const MANY: usize = 32;
/// The cost of a result at the most cameras, beside the line through the counts before: as a share.
const LINE: f64 = 0.3;

/// One line for each prediction that is missed.
pub(crate) fn missed(scenarios: &[Scenario], points: &[Point]) -> Vec<String> {
    let mut missed: Vec<String> = points.iter().flat_map(|p| of_point(&scenarios[p.scenario], p)).collect();
    for same in points.chunk_by(|a, b| (a.max_batch, a.scenario) == (b.max_batch, b.scenario)) {
        missed.extend(bent(&scenarios[same[0].scenario], same));
    }
    missed
}

fn of_point(scenario: &Scenario, p: &Point) -> Vec<String> {
    let mut missed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            let Point { cameras, max_batch, .. } = p;
            missed.push(format!("{}, batches of {max_batch}, {cameras} cameras: {what}", scenario.name));
        }
    };
    let (predicted, measured) = (p.predicted_hz(), p.measured_hz());
    expect((measured / predicted - 1.0).abs() <= RATE, format!("{measured:.1} for {predicted:.1} frames a second"));
    let off = p.unfairness(scenario);
    expect(off <= RATE, format!("a camera is {:.1} % off its share", off * 1e2));
    let dropped = p.dropped();
    let is_near = (dropped - p.predicted.dropped).abs() <= DROPPED;
    expect(is_near, format!("{:.1} % dropped for {:.1}", dropped * 1e2, p.predicted.dropped * 1e2));
    expect(p.broken_accounts() == 0, format!("{} accounts are not whole", p.broken_accounts()));
    let (predicted, measured) = (p.predicted.p99.as_secs_f64(), p.p99().as_secs_f64());
    let is_late = measured > predicted * (1.0 + P99) + WAKES_SECS;
    let may_be_early = scenario.load > 1.0 && p.cameras < MANY;
    let is_early = !may_be_early && measured < predicted * (1.0 - P99) - WAKES_SECS;
    expect(!is_late && !is_early, format!("p99 of {:.1} ms for {:.1}", measured * 1e3, predicted * 1e3));
    missed
}

/// Whether the cost of a result at the most cameras is off the line through the counts before. A handful of cameras has too few frames to
/// tell.
fn bent(scenario: &Scenario, points: &[Point]) -> Option<String> {
    let (last, before) = points.split_last()?;
    let before: Vec<_> =
        before.iter().filter(|p| p.cameras >= 8).map(|p| (p.cameras as f64, p.own_us_a_frame())).collect();
    if before.len() < 3 {
        return None;
    }
    let (begins, slope) = line(&before);
    let (expected, cost) = (begins + slope * last.cameras as f64, last.own_us_a_frame());
    let what = format!("{cost:.1} us a result at {} cameras, {expected:.1} by the counts before", last.cameras);
    (cost > expected * (1.0 + LINE)).then(|| format!("{}, batches of {}: {what}", scenario.name, last.max_batch))
}
