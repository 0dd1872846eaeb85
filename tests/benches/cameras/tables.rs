//! What is printed.

use crate::Scenario;
use crate::point::{Point, line_of, power};

pub(crate) fn print(scenarios: &[Scenario], points: &[Point]) {
    for same in points.chunk_by(|a, b| (a.max_batch, a.scenario) == (b.max_batch, b.scenario)) {
        let scenario = &scenarios[same[0].scenario];
        println!("\n## {}, batches of {} at most; predicted | measured", scenario.name, same[0].max_batch);
        results(scenario, same);
        if scenario.classes.len() > 1 {
            classes(scenario, same);
        }
        accounts(same);
        costs(same);
    }
}

fn results(scenario: &Scenario, points: &[Point]) {
    println!(
        "\ncameras   batch ms    frames a second    dropped %        p99 ms           off its share %  frames a batch"
    );
    for p in points {
        let batch_ms = p.cost.takes_secs(p.max_batch.min(p.cameras)) * 1e3;
        let ms = |t: std::time::Duration| t.as_secs_f64() * 1e3;
        println!(
            "{:7} {:10.2}  {:7.1} | {:7.1}  {:5.1} | {:5.1}  {:6.1} | {:6.1}  {:15.2}  {:14.2}",
            p.cameras,
            batch_ms,
            p.predicted_hz(),
            p.measured_hz(),
            p.predicted.dropped * 1e2,
            p.dropped() * 1e2,
            ms(p.predicted.p99),
            ms(p.p99()),
            p.unfairness(scenario) * 1e2,
            p.frames_a_batch(),
        );
    }
}

fn classes(scenario: &Scenario, points: &[Point]) {
    let names: String = scenario.classes.iter().map(|class| format!("  {:13}", class.name)).collect();
    println!("\ncameras{names}   frames a second of a camera");
    for p in points {
        let count = scenario.classes.len();
        let rates = (0..count).map(|class| match p.class_hz(class, count) {
            Some((predicted, measured)) => format!("  {predicted:5.2} | {measured:5.2}"),
            None => format!("  {:>13}", "-"),
        });
        println!("{:7}{}", p.cameras, rates.collect::<String>());
    }
}

fn accounts(points: &[Point]) {
    println!("\ncameras      sent = analysed + displaced + too old; cameras whose account is not whole");
    for p in points {
        let [sent, analysed, displaced, stale] = p.totals();
        println!("{:7} {sent:9} {analysed:10} {displaced:11} {stale:9}  {}", p.cameras, p.broken_accounts());
    }
}

fn costs(points: &[Point]) {
    println!(
        "\ncameras   processor us a result   of sending, us a frame   processor ms a second, a camera   all cameras"
    );
    for p in points {
        let (a_camera, all) = (p.all_ms() / p.cameras as f64, p.all_ms());
        let (own, sending) = (p.own_us_a_frame(), p.sending_us_a_frame());
        println!("{:7} {own:23.1} {sending:24.1} {a_camera:33.3} {all:13.2}", p.cameras);
    }
    if let Some(((begins, slope), power)) = line_of(points).zip(power(points)) {
        println!("from 8 cameras on, nearest line: {begins:.1} us a result and {slope:.3} us more for each camera;");
        println!("all cameras' cost grows as their number to the power of {power:.2}");
    }
}
