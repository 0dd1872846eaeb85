//! By how much a prediction may be missed.

use crate::point::{Point, power};
use crate::{FPS, Scenario};

/// Results a second, and each camera's share of them: as a share.
const RATE: f64 = 0.05;
/// Frames without a result: of what was sent.
const DROPPED: f64 = 0.03;
/// The 99th percentile: as a share, and on top of it the time that a thread may take to wake.
const P99: f64 = 0.25;
const WAKES_SECS: f64 = 0.003;
/// From so many cameras on, ages of frames lie everywhere within a period.
const MANY: usize = 32;
/// The power of their number by which the cost of many cameras may grow: 1 is linear, a look at all of them for each result alone would be 2.
const POWER: f64 = 1.25;

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
    // Cameras of different priority that are not many more than a batch has frames do not fill it: that is its price.
    let is_price = scenario.classes.len() > 1 && p.cameras <= p.max_batch;
    let predicted = if is_price { p.predicted_hz().min(p.possible_hz()) } else { p.predicted_hz() };
    let measured = p.measured_hz();
    let is_near = (measured - predicted).abs() <= RATE * predicted + p.edge_hz();
    expect(is_near, format!("{measured:.1} for {predicted:.1} frames a second"));
    let off = p.unfairness(scenario);
    expect(off <= RATE, format!("a camera is {:.1} % off its share", off * 1e2));
    // Of many cameras the mean shows what one camera has too few frames for. They take turns in step, so the edge may cut all alike.
    let scale = p.measured_hz() / p.predicted_hz();
    for (number, class) in scenario.classes.iter().enumerate().filter(|_| p.cameras >= MANY) {
        let Some((fair, own)) = p.class_hz(number, scenario.classes.len()) else { continue };
        let is_near = (own - fair * scale).abs() <= RATE * fair + 0.5 / p.over_secs();
        expect(is_near, format!("{} cameras have {own:.2} for {fair:.2} frames a second each", class.name));
    }
    let sent_hz = FPS * p.cameras as f64;
    let (dropped, due) = (p.dropped(), 1.0 - predicted / sent_hz);
    let is_near = (dropped - due).abs() <= DROPPED + p.edge_hz() / sent_hz;
    expect(is_near, format!("{:.1} % dropped for {:.1}", dropped * 1e2, due * 1e2));
    expect(p.broken_accounts() == 0, format!("{} accounts are not whole", p.broken_accounts()));
    let (predicted, measured) = (p.predicted.p99.as_secs_f64(), p.p99().as_secs_f64());
    let is_late = measured > predicted * (1.0 + P99) + WAKES_SECS;
    let may_be_early = is_price || (scenario.load > 1.0 && p.cameras < MANY);
    let is_early = !may_be_early && measured < predicted * (1.0 - P99) - WAKES_SECS;
    expect(!is_late && !is_early, format!("p99 of {:.1} ms for {:.1}", measured * 1e3, predicted * 1e3));
    missed
}

/// Whether the cost of many cameras grows faster than it may.
fn bent(scenario: &Scenario, points: &[Point]) -> Option<String> {
    let power = power(points)?;
    let what = format!("the cost of all cameras grows as their number to the power of {power:.2}");
    (power > POWER).then(|| format!("{}, batches of {}: {what}", scenario.name, points[0].max_batch))
}
