//! The picture in docs/budget.md: one simulated afternoon. Drawn by what draws every plot; `PEREGRINE_WRITE=1` draws it anew.

use std::path::Path;

use peregrine::config::Budget;
use peregrine::plot::{Axis, Mark, Panel, Plot, Series, Shape, svg};

use super::Run;
use super::plant::{Plant, Sensor};

const LIMIT: f64 = 80.0;
const END_MINUTE: u64 = 360;
/// When the sun reaches the box, when it is at its height, when it leaves the box, when it has gone.
const SUN_MINUTES: [u64; 4] = [60, 110, 220, 250];
/// How much warmer it makes the air.
const SUN_CELSIUS: f64 = 17.0;

/// The air in the box at a minute.
fn air_celsius(minute: u64) -> f64 {
    let [comes, high, leaves, gone] = SUN_MINUTES;
    let part = |from: u64, to: u64| minute.saturating_sub(from).min(to - from) as f64 / (to - from) as f64;
    30.0 + SUN_CELSIUS * (part(comes, high) - part(leaves, gone))
}

#[derive(Default)]
struct Afternoon {
    shown: Vec<(f64, f64)>,
    unchecked: Vec<(f64, f64)>,
    air: Vec<(f64, f64)>,
    level: Vec<(f64, f64)>,
}

fn afternoon() -> Afternoon {
    // A small board in a closed box, two minutes to warm up; seven rungs, each of which leaves its share of the work.
    let plant = Plant::new(120.0, 2.9, vec![0.85, 0.85, 0.8, 0.85, 0.8, 0.85, 0.75]);
    let settings = Budget { max_celsius: Some(LIMIT), ..Budget::default() };
    let mut run = Run::new(settings, plant, Sensor::new(0.3, 0.5, 7), Sensor::new(0.1, 0.0, 3), 5);
    let (mut without, mut sensor) = (run.plant.clone(), Sensor::new(0.3, 0.5, 7));
    let mut drawn = Afternoon::default();
    for minute in 0..END_MINUTE {
        let air = air_celsius(minute);
        (run.plant.air_celsius, without.air_celsius) = (air, air);
        for third in 1..=3 {
            run.seconds(20, |_| {});
            (0..20).for_each(|_| without.second(0));
            let at = (minute * 3 + third) as f64 / 3.0;
            drawn.shown.push((at, sensor.shows(run.plant.celsius())));
            drawn.unchecked.push((at, without.celsius()));
            drawn.air.push((at, air));
            drawn.level.push((at, run.governor.level() as f64));
        }
    }
    assert_eq!(run.governor.level(), 0, "the evening is as the morning was");
    drawn
}

fn picture() -> String {
    let Afternoon { shown, unchecked, air, level } = afternoon();
    let series = |name: &str, points, shape| Series { name: name.to_owned(), points, shape };
    let axis = |label: &str| Axis { label: label.to_owned(), ..Axis::default() };
    let heat = Panel {
        y: Axis { from: Some(20.0), to: Some(100.0), ..axis("temperature (°C)") },
        height: 1.2,
        series: vec![
            series("the board's sensor", shown, Shape::Line),
            series("without the governor", unchecked, Shape::Line),
            series("the air", air, Shape::Line),
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
        description:
            "Temperature, limit and level of the governor over six hours, in two of which the air is warmer by 17 °C."
                .to_owned(),
        x: Axis { from: Some(0.0), to: Some(END_MINUTE as f64), tick: Some(30.0), ..axis("minutes") },
        panels: vec![heat, steps],
        marks: vec![mark(SUN_MINUTES[0], "sun on the box"), mark(SUN_MINUTES[2], "shade")],
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
