//! The picture in docs/budget.md: one simulated afternoon. Drawn by what draws every plot; `PEREGRINE_WRITE=1` draws it anew.

use std::path::Path;

use peregrine::config::Budget;
use peregrine::plot::{Axis, Mark, Panel, Plot, Series, Shape, svg};

use super::Run;
use super::plant::{Plant, Sensor};

const LIMIT: f64 = 80.0;
/// In minutes: the sun reaches the box, and leaves it.
const SUN: [u64; 2] = [60, 200];
const END: u64 = 330;

struct Afternoon {
    shown: Vec<(f64, f64)>,
    unchecked: Vec<(f64, f64)>,
    level: Vec<(f64, f64)>,
}

fn afternoon() -> Afternoon {
    // A small board in a closed box, two minutes to warm up; the rungs leave what such steps left of the detector's work.
    let mut plant = Plant::new(120.0, 2.9, vec![0.85, 0.88, 0.85, 0.88, 0.8, 0.85, 0.75]);
    plant.air_celsius = 30.0;
    let settings = Budget { max_celsius: Some(LIMIT), ..Budget::default() };
    let mut run = Run::new(settings, plant, Sensor::new(0.3, 0.5, 7), Sensor::new(0.1, 0.0, 3), 5);
    let mut without = run.plant.clone();
    let mut sensor = Sensor::new(0.3, 0.5, 7);
    let mut drawn = Afternoon { shown: Vec::new(), unchecked: Vec::new(), level: Vec::new() };
    for minute in 0..END {
        let air = if (SUN[0]..SUN[1]).contains(&minute) { 44.0 } else { 30.0 };
        (run.plant.air_celsius, without.air_celsius) = (air, air);
        let half = |n: u64| (minute * 60 + n * 20) as f64 / 60.0;
        for n in 0..3 {
            run.seconds(20, |_| {});
            (0..20).for_each(|_| without.second(0));
            drawn.shown.push((half(n + 1), sensor.shows(run.plant.celsius())));
            drawn.unchecked.push((half(n + 1), without.celsius()));
            drawn.level.push((half(n + 1), run.governor.level() as f64));
        }
    }
    assert_eq!(run.governor.level(), 0, "the evening is as the morning was");
    drawn
}

fn picture() -> String {
    let Afternoon { shown, unchecked, level } = afternoon();
    let series = |name: &str, points, shape| Series { name: name.to_owned(), points, shape };
    let axis = |label: &str| Axis { label: label.to_owned(), ..Axis::default() };
    let heat = Panel {
        y: Axis { from: Some(30.0), ..axis("temperature (°C)") },
        height: 1.0,
        series: vec![
            series("as the sensor shows it", shown, Shape::Line),
            series("without the governor", unchecked, Shape::Line),
        ],
        limits: vec![(LIMIT, "max_celsius = 80".to_owned())],
    };
    let steps = Panel {
        y: Axis { from: Some(0.0), to: Some(7.0), tick: Some(1.0), ..axis("level") },
        height: 0.6,
        series: vec![series("rungs taken", level, Shape::Steps)],
        limits: Vec::new(),
    };
    let mark = |minute: u64, label: &str| Mark { x: minute as f64, label: label.to_owned() };
    svg(&Plot {
        title: "A simulated afternoon: the limit is kept, what was given up comes back".to_owned(),
        description: "Temperature, limit and level of the governor over 330 minutes. The temperature stays below the limit of 80 °C, \
                      also while the air is 14 °C warmer; without the governor it would reach 90 °C."
            .to_owned(),
        x: Axis { from: Some(0.0), to: Some(END as f64), tick: Some(30.0), ..axis("minutes") },
        panels: vec![heat, steps],
        marks: vec![mark(SUN[0], "sun on the box: air +14 °C"), mark(SUN[1], "shade")],
    })
}

#[test]
fn the_picture_in_the_documentation_is_what_the_governor_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/budget.svg");
    let drawn = picture();
    if std::env::var_os("PEREGRINE_WRITE").is_some() {
        std::fs::write(&path, &drawn).expect("written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == drawn, "docs/budget.svg is stale; run the tests once with PEREGRINE_WRITE=1");
}
