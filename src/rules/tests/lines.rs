//! Crossings: each one that happens is told once, and nothing else is.

use super::*;

#[test]
fn a_line_tells_each_crossing_with_its_direction() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.2, 0.5), (0.8, 0.5), 20).walk(1, (0.8, 0.5), (0.2, 0.5), 20);
    assert_eq!(scene.directions(), ["east", "west"], "walking down, left is the picture's right");
}

#[test]
fn who_jumps_over_a_line_between_two_frames_has_crossed_it_and_who_jumps_past_its_end_has_not() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.frame(&[At(1, 0.1, 0.5)]).frames(5, &[At(1, 0.9, 0.5)]);
    assert_eq!(scene.directions(), ["east"]);
    // From one side to the other, yet below the line's end.
    scene.frame(&[At(2, 0.1, 0.95)]).frames(5, &[At(2, 0.9, 0.95)]);
    // Changes sides far away: on the way around the end the sides change, and nothing is crossed.
    scene.walk(3, (0.3, 0.5), (0.3, 0.97), 10).walk(3, (0.3, 0.97), (0.7, 0.97), 10).walk(
        3,
        (0.7, 0.97),
        (0.7, 0.5),
        10,
    );
    assert_eq!(scene.directions(), ["east"]);
}

#[test]
fn who_trembles_on_a_line_or_turns_on_it_crosses_nothing() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.3, 0.5), (0.499, 0.5), 10);
    for _ in 0..50 {
        scene.frame(&[At(1, 0.4985, 0.5)]).frame(&[At(1, 0.5015, 0.5)]).frame(&[At(1, 0.5, 0.5)]);
    }
    scene.walk(1, (0.499, 0.5), (0.3, 0.5), 10);
    assert_eq!(scene.directions(), [""; 0]);
    // A box that is cut for one frame jumps far, and back.
    scene.frame(&[At(1, 0.6, 0.5)]).walk(1, (0.3, 0.5), (0.2, 0.5), 5);
    assert_eq!(scene.directions(), [""; 0]);
}

#[test]
fn who_trembles_and_then_goes_on_crosses_once() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.3, 0.5), (0.499, 0.5), 10);
    for _ in 0..21 {
        scene.frame(&[At(1, 0.4985, 0.5)]).frame(&[At(1, 0.5015, 0.5)]);
    }
    scene.walk(1, (0.501, 0.5), (0.7, 0.5), 10);
    assert_eq!(scene.directions(), ["east"]);
}

#[test]
fn who_appears_on_a_line_has_crossed_nothing_by_leaving_it() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.frame(&[At(1, 0.499, 0.5)]).walk(1, (0.501, 0.5), (0.8, 0.5), 10);
    assert_eq!(scene.directions(), [""; 0]);
}

#[test]
fn who_vanishes_right_after_the_line_has_crossed_it() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.2, 0.5), (0.45, 0.5), 5).frame(&[At(1, 0.55, 0.5)]).end();
    assert_eq!(scene.directions(), ["east"]);
}

#[test]
fn who_vanishes_on_the_line_has_not_crossed_it() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.2, 0.5), (0.45, 0.5), 5).frame(&[At(1, 0.55, 0.5)]).frame(&[At(1, 0.5, 0.5)]).end();
    assert_eq!(scene.directions(), [""; 0], "seen last where nobody knows the side");
}

#[test]
fn a_crossing_in_the_frame_that_ends_an_interval_belongs_to_the_next_one() {
    let mut scene = Scene::of(&with_line(Line { count_every: Some(Duration::from_secs(2)), ..middle_line() }));
    // Over the line at 1800 ms, told when it has been clear of it for 200 ms: in the frame of 2000 ms.
    scene.frames(18, &[At(1, 0.3, 0.5)]).frames(10, &[At(1, 0.7, 0.5)]).end();
    let told: Vec<_> = scene.told.iter().map(|event| (event.what.kind(), event.at.mono.as_millis())).collect();
    assert_eq!(told, [("crossed", 2000), ("count", 2800)]);
    let What::Count { interval_ms, .. } = scene.whats()[1] else { panic!("a count") };
    assert_eq!(interval_ms, 800);
}

#[test]
fn a_corner_of_a_line_is_crossed_once() {
    let bent = Line { points: vec![(0.2, 0.2), (0.5, 0.5), (0.8, 0.2)], ..middle_line() };
    let mut scene = Scene::of(&with_line(bent));
    scene.walk(1, (0.5, 0.8), (0.5, 0.2), 30);
    assert_eq!(scene.directions(), ["east"]);
    // In through one leg, out through the other one.
    scene.walk(2, (0.1, 0.35), (0.9, 0.35), 30);
    assert_eq!(scene.directions(), ["east", "east", "west"]);
}

#[test]
fn a_crossing_behind_an_obstacle_counts_when_the_track_is_found_again() {
    let mut scene = Scene::of(&with_line(middle_line()));
    scene.walk(1, (0.2, 0.5), (0.45, 0.5), 10).frames(8, &[]).walk(1, (0.55, 0.5), (0.8, 0.5), 10);
    assert_eq!(scene.directions(), ["east"]);
}

#[test]
fn counts_are_told_by_direction_and_class_for_every_interval_with_crossings() {
    let mut scene = Scene::of(&with_line(Line { count_every: Some(Duration::from_secs(5)), ..middle_line() }));
    for id in 1..=2 {
        scene.walk(id, (0.2, 0.5), (0.8, 0.5), 15);
    }
    scene.walk(3, (0.8, 0.2), (0.2, 0.2), 15).frames(60, &[]).walk(4, (0.2, 0.5), (0.8, 0.5), 15).end();
    let counts: Vec<What> = scene.whats().into_iter().filter(|w| w.kind() == "count").collect();
    let count = |direction: &str, count, total, interval_ms| What::Count {
        line: "gate".to_owned(),
        direction: direction.to_owned(),
        class: "person".to_owned(),
        count,
        total,
        interval_ms,
    };
    // 16 frames a walk: the third is over at 4800 ms, the fourth begins at 10800 ms and is over at 12400 ms.
    assert_eq!(counts, [count("west", 1, 1, 5000), count("east", 2, 2, 5000), count("east", 1, 3, 2400)]);
}
