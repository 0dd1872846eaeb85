//! What an owner relies on: each thing that happens is told once, with the right numbers, whatever boxes and trackers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

use super::*;
use crate::config::{Anchor, Camera, Crowd, Line, Source, Zone};
use crate::types::{Rect, Track};

mod laws;
mod lines;

const FRAME_MS: u64 = 100;

fn zone(points: &[(f64, f64)]) -> Zone {
    Zone {
        points: points.to_vec(),
        classes: Vec::new(),
        anchor: Anchor::BottomCenter,
        dwell: None,
        crowd: None,
        occupancy: false,
        settle: Duration::from_millis(500),
        snapshot: false,
    }
}

/// The right half of the picture.
fn right_half() -> Zone {
    zone(&[(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)])
}

/// From the top to the bottom of the picture, in its middle; its left side is the picture's right one.
fn middle_line() -> Line {
    Line {
        points: vec![(0.5, 0.1), (0.5, 0.9)],
        classes: Vec::new(),
        anchor: Anchor::BottomCenter,
        directions: ["west".to_owned(), "east".to_owned()],
        count_every: None,
        snapshot: false,
    }
}

fn camera() -> Camera {
    Camera::of(Source::Test { pattern: String::new() })
}

fn with_zone(zone: Zone) -> Camera {
    Camera { zones: BTreeMap::from([("yard".to_owned(), zone)]), ..camera() }
}

fn with_line(line: Line) -> Camera {
    Camera { lines: BTreeMap::from([("gate".to_owned(), line)]), ..camera() }
}

/// A camera of 1000 by 1000 pixels and ten frames a second, and what was told of it.
struct Scene {
    rules: Rules,
    now_ms: u64,
    seq: u64,
    size_px: (u32, u32),
    told: Vec<Event>,
}

/// A person of 40 by 100 pixels whose feet are there, in fractions of the picture.
#[derive(Debug, Clone, Copy)]
struct At(TrackId, f64, f64);

impl Scene {
    fn of(camera: &Camera) -> Self {
        let rules = Rules::new(&Arc::from("front"), camera);
        Self { rules, now_ms: 0, seq: 0, size_px: (1000, 1000), told: Vec::new() }
    }

    fn captured(&self) -> Captured {
        let mono = Duration::from_millis(self.now_ms);
        Captured { mono, wall: UNIX_EPOCH + mono, wall_synced: true }
    }

    fn step(&self, At(id, x, y): At, class: &str, phase: TrackPhase) -> TrackEvent {
        let (width_px, height_px) = self.size_px;
        let (feet_x, feet_y) = (x * f64::from(width_px), y * f64::from(height_px));
        let (w, h) = (0.04 * f64::from(width_px), 0.1 * f64::from(height_px));
        let bbox = Rect::from_xywh((feet_x - w / 2.0) as f32, (feet_y - h) as f32, w as f32, h as f32);
        TrackEvent {
            camera: Arc::from("front"),
            phase,
            seq: self.seq,
            captured: self.captured(),
            width_px,
            height_px,
            uid: Uuid::from_u128(u128::from(id)),
            known_as: Uuid::from_u128(u128::from(id)),
            track: Track { id, bbox, class: 0, score: 0.9, age_frames: 5, lost_frames: 0 },
            class_name: class.to_owned(),
            first_seen: self.captured(),
            labels: Vec::new(),
        }
    }

    fn frame_of(&mut self, steps: &[TrackEvent]) {
        let moment = Moment { captured: self.captured(), frame_seq: Some(self.seq) };
        self.rules.see(moment, steps, &mut |event| self.told.push(event));
        (self.now_ms, self.seq) = (self.now_ms + FRAME_MS, self.seq + 1);
    }

    /// One frame that shows these persons.
    fn frame(&mut self, seen: &[At]) -> &mut Self {
        let steps: Vec<_> = seen.iter().map(|at| self.step(*at, "person", TrackPhase::Update)).collect();
        self.frame_of(&steps);
        self
    }

    fn frames(&mut self, count: u64, seen: &[At]) -> &mut Self {
        (0..count).for_each(|_| {
            self.frame(seen);
        });
        self
    }

    /// A frame in which the tracker gives somebody up.
    fn given_up(&mut self, at: At) -> &mut Self {
        let step = self.step(at, "person", TrackPhase::End);
        self.frame_of(&[step]);
        self
    }

    /// From one place to another in so many frames.
    fn walk(&mut self, id: TrackId, from: (f64, f64), to: (f64, f64), frames: u64) -> &mut Self {
        for i in 0..=frames {
            let share = i as f64 / frames as f64;
            self.frame(&[At(id, from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)]);
        }
        self
    }

    fn end(&mut self) -> &mut Self {
        let moment = Moment { captured: self.captured(), frame_seq: Some(self.seq) };
        self.rules.end(moment, &mut |event| self.told.push(event));
        self
    }

    /// The engine looks whether something is due, without a frame.
    fn silence(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        let now = self.captured();
        if self.rules.is_due(now.mono) {
            self.rules.pass(now, &mut |event| self.told.push(event));
        }
        self
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.told.iter().map(|event| event.what.kind()).collect()
    }

    fn whats(&self) -> Vec<What> {
        self.told.iter().map(|event| event.what.clone()).collect()
    }

    fn directions(&self) -> Vec<String> {
        let crossed = self.told.iter().filter_map(|event| match &event.what {
            What::Crossed { direction, .. } => Some(direction.clone()),
            _ => None,
        });
        crossed.collect()
    }
}

#[test]
fn where_somebody_should_be_is_no_event_and_what_a_look_shows_is_told_once() {
    let mut scene = Scene::of(&with_line(middle_line()));
    let foretold = |scene: &mut Scene, x| {
        let mut step = scene.step(At(1, x, 0.5), "person", TrackPhase::Update);
        step.track.lost_frames = 1;
        scene.frame_of(&[step]);
    };
    scene.frames(5, &[At(1, 0.4, 0.5)]);
    (0..10).for_each(|_| foretold(&mut scene, 0.6));
    scene.frames(5, &[At(1, 0.4, 0.5)]);
    assert_eq!(scene.kinds(), [""; 0], "it turned round before it came to the line");
    foretold(&mut scene, 0.48);
    scene.frame(&[At(1, 0.6, 0.5)]);
    foretold(&mut scene, 0.62);
    foretold(&mut scene, 0.64);
    assert_eq!(scene.kinds(), [""; 0]);
    scene.frame(&[At(1, 0.66, 0.5)]);
    assert_eq!(scene.directions().len(), 1);
}

#[test]
fn a_stay_is_told_once_with_its_dwell_and_its_length() {
    let mut scene = Scene::of(&with_zone(Zone { dwell: Some(Duration::from_secs(2)), ..right_half() }));
    scene.frames(10, &[At(1, 0.2, 0.5)]).frames(30, &[At(1, 0.8, 0.5)]).frames(10, &[At(1, 0.2, 0.5)]);
    let zone = "yard".to_owned();
    assert_eq!(
        scene.whats(),
        [
            What::Entered { zone: zone.clone() },
            What::Dwell { zone: zone.clone(), inside_ms: 2000 },
            What::DwellEnd { zone: zone.clone(), inside_ms: 3000 },
            What::Left { zone, inside_ms: 3000 },
        ]
    );
    let entered = &scene.told[0];
    assert_eq!((entered.frame_seq, entered.at.mono), (Some(15), Duration::from_millis(1500)), "half a second inside");
    assert_eq!(entered.subject.as_ref().map(|s| (s.track_id, s.class.as_str())), Some((1, "person")));
}

#[test]
fn who_trembles_on_the_border_of_a_zone_neither_enters_nor_leaves() {
    let mut scene = Scene::of(&with_zone(right_half()));
    for _ in 0..50 {
        scene.frame(&[At(1, 0.499, 0.5)]).frame(&[At(1, 0.501, 0.5)]).frame(&[At(1, 0.5, 0.5)]);
    }
    assert_eq!(scene.kinds(), [""; 0]);
    scene.frames(6, &[At(1, 0.52, 0.5)]);
    for _ in 0..50 {
        scene.frame(&[At(1, 0.499, 0.5)]).frame(&[At(1, 0.501, 0.5)]);
    }
    assert_eq!(scene.kinds(), ["entered"]);
}

#[test]
fn who_appears_inside_enters_once_and_leaves_when_gone() {
    let mut scene = Scene::of(&Camera { appearances: true, ..with_zone(right_half()) });
    scene.frames(20, &[At(1, 0.8, 0.5)]).frames(10, &[]).given_up(At(1, 0.8, 0.5)).frames(10, &[]);
    assert_eq!(scene.kinds(), ["appeared", "entered", "left", "gone"]);
    assert_eq!(scene.whats()[2], What::Left { zone: "yard".to_owned(), inside_ms: 1900 }, "till it was seen last");
    assert_eq!(scene.whats()[3], What::Gone { present_ms: 1900 });
}

#[test]
fn lost_and_found_is_no_news() {
    let mut scene = Scene::of(&with_zone(right_half()));
    scene.frames(10, &[At(1, 0.8, 0.5)]).frames(40, &[]).frames(10, &[At(1, 0.85, 0.5)]);
    assert_eq!(scene.kinds(), ["entered"]);
}

#[test]
fn only_named_classes_count() {
    let camera = Camera {
        lines: BTreeMap::from([("gate".to_owned(), Line { classes: vec!["car".to_owned()], ..middle_line() })]),
        ..with_zone(Zone { classes: vec!["car".to_owned()], occupancy: true, ..right_half() })
    };
    let mut scene = Scene::of(&camera);
    scene.walk(1, (0.2, 0.5), (0.8, 0.5), 10).frames(10, &[At(1, 0.8, 0.5)]);
    assert_eq!(scene.kinds(), [""; 0]);
    for x in [0.2, 0.3, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8] {
        let step = scene.step(At(2, x, 0.5), "car", TrackPhase::Update);
        scene.frame_of(&[step]);
    }
    assert_eq!(scene.kinds(), ["crossed", "entered", "occupancy"]);
}

#[test]
fn a_new_number_where_another_one_vanished_is_not_counted_again() {
    let camera = Camera {
        appearances: true,
        lines: BTreeMap::from([("gate".to_owned(), middle_line())]),
        ..with_zone(Zone { dwell: Some(Duration::from_secs(3)), occupancy: true, ..right_half() })
    };
    let mut scene = Scene::of(&camera);
    // The number changes twice: on the line, so that neither number is ever seen on both sides; and in the zone.
    scene.walk(1, (0.2, 0.5), (0.47, 0.5), 10).frames(4, &[]).walk(2, (0.51, 0.5), (0.7, 0.5), 10);
    scene.given_up(At(1, 0.47, 0.5)).frames(6, &[]).frames(25, &[At(3, 0.72, 0.5)]);
    scene.given_up(At(2, 0.7, 0.5)).frames(20, &[]).given_up(At(3, 0.72, 0.5)).frames(20, &[]);
    assert_eq!(
        scene.kinds(),
        ["appeared", "crossed", "entered", "occupancy", "dwell", "dwell_end", "left", "gone", "occupancy"]
    );
    let about: Vec<_> = scene.told.iter().filter_map(|e| Some((e.what.kind(), e.subject.as_ref()?))).collect();
    assert!(about.iter().all(|(_, who)| (who.uid, who.track_id) == (Uuid::from_u128(1), 1)), "{about:?}");
    let tracked_as = |kind| about.iter().find(|(k, _)| *k == kind).and_then(|(_, who)| who.tracked_as);
    assert_eq!(tracked_as("appeared"), None);
    assert_eq!((tracked_as("entered"), tracked_as("left")), (Some(Uuid::from_u128(2)), Some(Uuid::from_u128(3))));
}

#[test]
fn who_goes_on_under_another_number_is_known_by_the_first_and_the_lost_number_is_nobody() {
    let mut scene = Scene::of(&with_zone(right_half()));
    let known_as =
        |scene: &Scene, id| scene.rules.known_as(&scene.step(At(id, 0.8, 0.5), "person", TrackPhase::Update)).as_u128();
    scene.frames(10, &[At(1, 0.8, 0.5)]).frames(5, &[At(2, 0.8, 0.5)]);
    assert_eq!((known_as(&scene, 2), known_as(&scene, 3)), (1, 3));
    assert_eq!(known_as(&scene, 1), 2, "its end is not the end of who is known by it");
}

#[test]
fn a_new_number_elsewhere_or_later_or_beside_is_somebody_else() {
    let camera = Camera { appearances: true, ..camera() };
    let mut elsewhere = Scene::of(&camera);
    elsewhere.frames(5, &[At(1, 0.2, 0.5)]).frames(5, &[At(2, 0.4, 0.5)]);
    let mut later = Scene::of(&camera);
    later.frames(5, &[At(1, 0.2, 0.5)]).frames(20, &[]).frames(5, &[At(2, 0.2, 0.5)]);
    let mut beside = Scene::of(&camera);
    beside.frames(5, &[At(1, 0.2, 0.5)]).frames(5, &[At(1, 0.2, 0.5), At(2, 0.21, 0.5)]);
    for scene in [elsewhere, later, beside] {
        assert_eq!(scene.kinds(), ["appeared", "appeared"]);
    }
}

#[test]
fn one_that_is_found_again_after_another_number_took_its_place_is_somebody_else() {
    let mut scene = Scene::of(&Camera { appearances: true, ..with_zone(right_half()) });
    scene.frames(10, &[At(1, 0.8, 0.5)]).frames(5, &[At(2, 0.8, 0.5)]);
    scene.frames(10, &[At(1, 0.8, 0.5), At(2, 0.82, 0.5)]);
    assert_eq!(scene.kinds(), ["appeared", "entered", "appeared", "entered"]);
    let who: Vec<_> = scene.told.iter().map(|e| e.subject.as_ref().expect("a track").uid.as_u128()).collect();
    assert_eq!(who, [1, 1, 2, 2], "two people, two names");
}

#[test]
fn a_number_that_does_not_last_is_not_told_and_a_busy_zone_tells_now_and_then() {
    let mut scene = Scene::of(&with_zone(Zone { occupancy: true, ..right_half() }));
    scene.frames(20, &[At(1, 0.8, 0.5)]);
    assert_eq!(scene.whats()[1], What::Occupancy { zone: "yard".to_owned(), count: 1, before: 0 });
    assert_eq!(scene.told[1].subject, None);
    // One leaves and another one enters, two frames later: for two frames the number is 0.
    scene.frames(2, &[At(1, 0.3, 0.5)]).frames(12, &[At(1, 0.3, 0.5), At(2, 0.7, 0.5)]);
    let numbers = |scene: &Scene| -> Vec<(u32, u32)> {
        let told = scene.told.iter().filter_map(|event| match event.what {
            What::Occupancy { before, count, .. } => Some((before, count)),
            _ => None,
        });
        told.collect()
    };
    assert_eq!(scene.kinds(), ["entered", "occupancy", "left", "entered"]);
    assert_eq!(numbers(&scene), [(0, 1)]);
    scene.frames(12, &[At(2, 0.7, 0.5), At(3, 0.9, 0.5)]);
    assert_eq!(numbers(&scene), [(0, 1), (1, 2)]);
    let mut busy = Scene::of(&with_zone(Zone { occupancy: true, ..right_half() }));
    for n in 1..=20 {
        let all: Vec<_> = (1..=n).map(|id| At(id, 0.6 + id as f64 * 0.01, 0.3 + id as f64 * 0.03)).collect();
        busy.frames(2, &all);
    }
    assert!(numbers(&busy).len() >= 3, "every half second or so: {:?}", numbers(&busy));
    let chained = numbers(&busy).windows(2).all(|pair| pair[0].1 == pair[1].0);
    assert!(chained, "each number goes on from the one before: {:?}", numbers(&busy));
}

#[test]
fn a_crowd_is_told_after_its_time_and_its_end_once() {
    let crowd = Crowd { count: 2, hold: Duration::from_secs(1) };
    let mut scene = Scene::of(&with_zone(Zone { crowd: Some(crowd), ..right_half() }));
    let two = [At(1, 0.7, 0.5), At(2, 0.9, 0.5)];
    scene.frames(12, &two).frames(3, &two).frames(10, &[two[0], At(2, 0.2, 0.5)]).frames(20, &[two[0]]);
    assert_eq!(scene.kinds(), ["entered", "entered", "crowd", "left", "crowd_end"]);
    let What::CrowdEnd { count, lasted_ms, .. } = scene.whats()[4] else { panic!("an end") };
    assert_eq!((count, lasted_ms), (1, 1500));
}

#[test]
fn standing_still_is_told_and_moving_again_too() {
    let mut scene = Scene::of(&Camera { stopped: Some(Duration::from_secs(3)), ..camera() });
    scene.walk(1, (0.2, 0.5), (0.5, 0.5), 15);
    for i in 0..50 {
        scene.frame(&[At(1, 0.5 + if i % 2 == 0 { 0.003 } else { -0.003 }, 0.5)]);
    }
    // A box that is cut for two frames jumps.
    scene.frames(2, &[At(1, 0.55, 0.5)]).frames(10, &[At(1, 0.5, 0.5)]).walk(1, (0.5, 0.5), (0.9, 0.5), 15);
    assert_eq!(scene.kinds(), ["stopped", "moving"]);
    let What::Moving { stopped_ms } = scene.whats()[1] else { panic!("moving") };
    assert!((6000..=6800).contains(&stopped_ms), "{stopped_ms}");
}

#[test]
fn the_end_of_a_camera_ends_all_that_was_begun() {
    let camera = Camera {
        appearances: true,
        stopped: Some(Duration::from_secs(1)),
        ..with_zone(Zone {
            dwell: Some(Duration::from_secs(1)),
            crowd: Some(Crowd { count: 1, hold: Duration::ZERO }),
            occupancy: true,
            ..right_half()
        })
    };
    let mut scene = Scene::of(&camera);
    scene.frames(20, &[At(1, 0.8, 0.5)]);
    let begun = scene.kinds();
    assert_eq!(begun, ["appeared", "entered", "crowd", "stopped", "dwell", "occupancy"]);
    scene.end();
    assert_eq!(scene.kinds()[begun.len()..], ["dwell_end", "left", "moving", "gone", "occupancy", "crowd_end"]);
    scene.end().silence(10_000);
    assert_eq!(scene.kinds().len(), 12, "an end is told once");
}

#[test]
fn what_is_due_is_told_though_no_frame_comes() {
    let mut scene =
        Scene::of(&with_zone(Zone { dwell: Some(Duration::from_secs(2)), occupancy: true, ..right_half() }));
    scene.frames(7, &[At(1, 0.8, 0.5)]).silence(300);
    assert_eq!(scene.kinds(), ["entered"], "a frame may still be on its way");
    scene.silence(300).silence(300);
    assert_eq!(scene.kinds(), ["entered", "occupancy"]);
    assert_eq!(scene.told[1].frame_seq, None, "no frame shows it");
    scene.silence(1000);
    assert_eq!(scene.kinds(), ["entered", "occupancy", "dwell"]);
    assert!(!scene.rules.is_due(Duration::from_secs(3600)), "nothing else is waited for");
}

#[test]
fn a_picture_that_changes_its_size_moves_nobody() {
    let camera = Camera { lines: BTreeMap::from([("gate".to_owned(), middle_line())]), ..with_zone(right_half()) };
    let mut scene = Scene::of(&camera);
    scene.frames(10, &[At(1, 0.8, 0.5)]);
    scene.size_px = (640, 360);
    scene.given_up(At(1, 0.8, 0.5)).frames(3, &[]).frames(10, &[At(2, 0.8, 0.5)]);
    assert_eq!(scene.kinds(), ["entered"]);
}

#[test]
fn a_box_that_is_no_box_says_that_somebody_is_there_and_not_where() {
    let mut scene = Scene::of(&Camera { appearances: true, ..with_zone(right_half()) });
    scene.frames(10, &[At(1, 0.8, 0.5)]);
    for _ in 0..10 {
        let mut step = scene.step(At(1, 0.8, 0.5), "person", TrackPhase::Update);
        step.track.bbox = Rect::new(f32::NAN, 0.0, f32::INFINITY, 1.0);
        scene.frame_of(&[step]);
    }
    assert_eq!(scene.kinds(), ["appeared", "entered"]);
}
