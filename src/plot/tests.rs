//! What a plot's reader relies on: numbers stand where they belong, nothing in a name breaks the picture, bad numbers leave a gap.

use proptest::prelude::*;

use super::axis::Scale;
use super::*;

fn of(points: Vec<(f64, f64)>, shape: Shape) -> Plot {
    let series = vec![Series { name: "p95".to_owned(), points, shape }];
    Plot { panels: vec![Panel { series, height: 1.0, ..Panel::default() }], ..Plot::default() }
}

fn path(svg: &str) -> &str {
    svg.split("<path d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

fn ticks(from: f64, to: f64, about: usize) -> Vec<String> {
    let scale = Scale::over(&Axis::default(), [from, to].into_iter(), about);
    scale.ticks.iter().map(|t| scale.text(*t)).collect()
}

#[test]
fn ticks_stand_on_round_numbers_with_the_digits_that_they_need() {
    assert_eq!(ticks(0.0, 10.0, 5), ["0", "2", "4", "6", "8", "10"]);
    assert_eq!(ticks(0.13, 0.42, 4), ["0.1", "0.2", "0.3", "0.4", "0.5"]);
    assert_eq!(ticks(-3.0, 7.0, 4), ["-5", "0", "5", "10"]);
    assert_eq!(ticks(0.0, 2.5, 10), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
    assert_eq!(ticks(55_000.0, 61_000.0, 3), ["54000", "56000", "58000", "60000", "62000"]);
}

#[test]
fn a_range_that_was_set_is_kept_and_one_of_a_single_number_is_widened() {
    let axis = Axis { from: Some(0.0), to: Some(95.0), tick: Some(10.0), ..Axis::default() };
    let scale = Scale::over(&axis, [3.0, 500.0].into_iter(), 5);
    assert_eq!((scale.from, scale.to, scale.ticks.len()), (0.0, 95.0, 10));
    let one = Scale::over(&Axis::default(), [7.0, 7.0].into_iter(), 5);
    assert!(one.from < 7.0 && one.to > 7.0, "{one:?}");
    let none = Scale::over(&Axis::default(), [f64::NAN].into_iter(), 5);
    assert_eq!((none.from, none.to), (0.0, 1.0));
}

#[test]
fn a_point_lies_where_its_numbers_say_and_a_missing_one_leaves_a_gap() {
    let line = svg(&of(vec![(0.0, 0.0), (5.0, 10.0), (10.0, 0.0)], Shape::Line));
    assert_eq!(path(&line), "M68 284L405 44L742 284", "from the lower left to the upper middle to the lower right");
    let gap = svg(&of(vec![(0.0, 0.0), (5.0, f64::NAN), (10.0, 10.0)], Shape::Line));
    assert_eq!(path(&gap), "M68 284M742 44");
    let steps = svg(&of(vec![(0.0, 0.0), (5.0, 0.0), (10.0, 10.0)], Shape::Steps));
    assert_eq!(path(&steps), "M68 284H405H742V44", "a value holds until the next");
    assert_eq!(svg(&of(vec![(0.0, 0.0), (1.0, 1.0)], Shape::Dots)).matches("<circle").count(), 2);
}

#[test]
fn a_limit_is_in_sight_and_a_mark_off_the_picture_is_left_out() {
    let mut plot = of(vec![(0.0, 10.0), (8.0, 60.0)], Shape::Line);
    plot.panels[0].limits = vec![(100.0, "limit".to_owned()), (f64::NAN, "nothing".to_owned())];
    plot.marks = vec![Mark { x: 4.0, label: "the knee".to_owned() }, Mark { x: 40.0, label: "far away".to_owned() }];
    let drawn = svg(&plot);
    assert!(drawn.contains(">100</text>"), "the axis reaches it: {drawn}");
    assert!(drawn.contains(">limit</text>") && drawn.contains(">the knee</text>"));
    assert!(!drawn.contains("nothing") && !drawn.contains("far away"));
}

#[test]
fn names_cannot_break_out_of_the_picture() {
    let mut plot = of(vec![(0.0, 1.0)], Shape::Line);
    plot.title = "a<script>&\"\u{0}b".to_owned();
    plot.panels[0].series[0].name = "</svg>".to_owned();
    let drawn = svg(&plot);
    assert!(drawn.contains("a&lt;script&gt;&amp;&quot; b"), "{drawn}");
    assert_eq!(drawn.matches("</svg>").count(), 1);
}

#[test]
fn an_empty_plot_is_a_picture_too() {
    let drawn = svg(&Plot::default());
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{drawn}");
}

proptest! {
    #[test]
    fn whatever_the_numbers_every_coordinate_is_one_and_inside(
        points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
        from in prop::option::of(any::<f64>()),
        tick in prop::option::of(any::<f64>()),
    ) {
        // Sums of the largest numbers are not finite; a plot of those is empty, but nothing worse.
        let small = |n: f64| if n.abs() > 1e300 { f64::NAN } else { n };
        let points = points.into_iter().map(|(x, y)| (small(x), small(y))).collect();
        let mut plot = of(points, Shape::Dots);
        plot.x = Axis { from: from.map(small), tick, ..Axis::default() };
        let drawn = svg(&plot);
        prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        for circle in drawn.split("cx=\"").skip(1) {
            let at: f64 = circle.split('"').next().and_then(|n| n.parse().ok()).expect("a number");
            prop_assert!((0.0..=760.0).contains(&at), "{at}");
        }
    }
}
