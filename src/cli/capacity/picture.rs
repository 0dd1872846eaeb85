//! What was measured, as plots: latency and throughput over load with the knee marked, and latency over time.

use std::path::{Path, PathBuf};

use super::report::Report;
use super::trial::{Step, Tried};
use crate::plot::{Axis, Mark, Panel, Plot, Series, Shape, svg};

/// Where the second picture goes: `.time` before the ending.
pub(super) fn beside(plot: &Path) -> PathBuf {
    let ending = plot.extension().map_or_else(|| "svg".to_owned(), |e| e.to_string_lossy().into_owned());
    plot.with_extension(format!("time.{ending}"))
}

/// Latency and throughput over load.
pub(super) fn over_load(report: &Report) -> String {
    let trials: Vec<&Tried> = report.trials.iter().collect();
    let knee = |t: &Tried| Some(Mark { x: t.carries as f64, label: format!("knee: {}", report.sentence(t)?) });
    let (latencies, throughputs, dropped) = match trials.as_slice() {
        [one] => (
            vec![line("p50", one, |s| s.p50_ms), line("p95", one, |s| s.p95_ms), line("p99", one, |s| s.p99_ms)],
            vec![line("sent", one, |s| s.due_fps), line("done", one, |s| s.fps)],
            vec![line("", one, |s| s.dropped_percent)],
        ),
        all => (each(all, |s| s.p95_ms), each(all, |s| s.fps), each(all, |s| s.dropped_percent)),
    };
    let latency = if trials.len() == 1 { "latency (ms)" } else { "latency p95 (ms)" };
    let done = if trials.len() == 1 { "frames/s" } else { "frames/s done" };
    let limits = report.target_p95_ms.map(|ms| (ms, format!("target {ms:.0} ms"))).into_iter().collect();
    let plot = Plot {
        title: title(&trials),
        description: trials.iter().map(|t| report.conditions(t)).collect::<Vec<_>>().join("; "),
        x: axis(&format!("cameras{}", report.rate())),
        panels: vec![
            Panel { y: axis(latency), height: 1.0, series: latencies, limits },
            Panel { y: axis(done), height: 0.8, series: throughputs, limits: Vec::new() },
            Panel { y: axis("dropped (%)"), height: 0.4, series: dropped, limits: Vec::new() },
        ],
        marks: report.chosen().and_then(knee).into_iter().collect(),
    };
    svg(&plot)
}

/// Latency over time, of what was measured for longest; of the last model where none was chosen.
pub(super) fn over_time(report: &Report) -> String {
    let Some(tried) = report.chosen().or(report.trials.last()) else { return svg(&Plot::default()) };
    let points = |of: fn(&super::trial::Second) -> f64| tried.seconds.iter().map(|s| (s.at_secs, of(s))).collect();
    let series = |name: &str, points| Series { name: name.to_owned(), points, shape: Shape::Line };
    let limits = report.target_p95_ms.map(|ms| (ms, format!("target {ms:.0} ms"))).into_iter().collect();
    let latency = vec![
        series("median", points(|s| s.p50_ms)),
        series("p95", points(|s| s.p95_ms)),
        series("slowest", points(|s| s.max_ms)),
    ];
    // A last second that was cut short has fewer results than came in a second.
    let over_secs = tried.held.as_ref().map_or(0.0, |held| held.over_secs);
    let whole = tried.seconds.iter().filter(|s| s.at_secs + 1.0 <= over_secs);
    let done = whole.map(|s| (s.at_secs, s.results as f64)).collect();
    let plot = Plot {
        title: report.sentence(tried).unwrap_or_else(|| "Not even one camera".to_owned()),
        description: report.conditions(tried),
        x: axis("seconds"),
        panels: vec![
            Panel { y: axis("latency (ms)"), height: 1.0, series: latency, limits },
            Panel { y: axis("frames/s done"), height: 0.6, series: vec![series("", done)], limits: Vec::new() },
        ],
        marks: Vec::new(),
    };
    svg(&plot)
}

fn title(trials: &[&Tried]) -> String {
    match trials {
        [one] => format!("{} on {} under load", one.model, one.engine),
        all => format!("{} models and batch sizes under load", all.len()),
    }
}

fn axis(label: &str) -> Axis {
    Axis { label: label.to_owned(), from: Some(0.0), ..Axis::default() }
}

fn line(name: &str, tried: &Tried, of: fn(&Step) -> f64) -> Series {
    let points = tried.steps.iter().map(|step| (step.cameras as f64, of(step))).collect();
    Series { name: name.to_owned(), points, shape: Shape::Dots }
}

fn each(trials: &[&Tried], of: fn(&Step) -> f64) -> Vec<Series> {
    let has_batches = trials.iter().any(|t| t.max_batch > 1);
    let name = |t: &Tried| if has_batches { format!("{} ≤{}", t.model, t.max_batch) } else { t.model.clone() };
    trials.iter().map(|tried| line(&name(tried), tried, of)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::of;
    use super::*;

    #[test]
    fn the_second_picture_lies_beside_the_first() {
        assert_eq!(beside(Path::new("a/out.svg")), Path::new("a/out.time.svg"));
        assert_eq!(beside(Path::new("out")), Path::new("out.time.svg"));
    }

    #[test]
    fn the_knee_and_the_target_are_in_the_picture() {
        let drawn = over_load(&of(&[("a", 1, 8)]));
        assert!(
            drawn.contains(">knee: 8 cameras at 5 fps, p95 84 ms</text>") && drawn.contains(">target 100 ms</text>"),
            "{drawn}"
        );
        let both = over_load(&of(&[("a", 1, 8), ("b", 2, 9)]));
        assert!(both.contains(">a ≤1</text>") && both.contains(">b ≤2</text>"), "{both}");
        assert!(!over_load(&of(&[("a", 1, 0)])).contains("knee"));
        assert!(over_time(&of(&[("a", 1, 0)])).starts_with("<svg"));
        assert!(drawn.contains(">cameras at 5 fps</text>"), "{drawn}");
    }
}
