//! One camera, and time as the test tells it: what is looked at when, and what is told though nobody looks.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use super::sharing_tests::{FIRST, Held, LONG, camera, frame, schedule, track};
use super::*;
use crate::config::Priority::{Low, Medium};
use crate::pipeline::Lanes;
use crate::pipeline::samples;
use crate::ring::WhenFull;

/// Seats and a lane whose time the test tells, and who looks at its frames: an engine that never waits.
struct Alone {
    seats: Seats,
    lane: Arc<Lane>,
    analyst: Analyst,
    attend: config::Attend,
    gap: Duration,
    looks: u64,
    /// Tracks that ended because the camera was silent.
    silences: u32,
}

impl Alone {
    fn new(camera: config::Camera, attend: config::Attend) -> Self {
        let lanes = Lanes::default();
        let lane = lanes.open_watched("yard", 1, WhenFull::DisplaceOldest, camera);
        let (begin, _) = channel();
        let engine = Held::new(1, begin, channel().1);
        let (seats, analyst) = (Seats::new(lanes, schedule()), samples::analyst(Box::new(engine), 0.25));
        Self { seats, lane, analyst, attend, gap: LONG, looks: 0, silences: 0 }
    }

    fn push(&self, brightness: u8, seq: u64, at: Duration) {
        self.lane.ring.push(frame(&self.lane, brightness, seq, at));
    }

    fn next(&self, now: Duration) -> Errand {
        self.seats.next(now, &|lane| Analyst::follow(watch(lane, &track(), &self.attend, self.gap)))
    }

    /// Does all that there is to do; the frames that were looked at.
    fn work(&mut self, now: Duration) -> Vec<u64> {
        let mut seen = Vec::new();
        loop {
            match self.next(now) {
                Errand::Frames(taken) => {
                    self.looks += 1;
                    seen.extend(taken.iter().map(|taken| taken.frame.seq));
                    look(&mut self.analyst, taken, &self.seats, Clock::start(), &mut |_| {});
                }
                Errand::Glance(mut taken) => match self.analyst.glance(&taken.frame, &mut taken.follow, &mut |_| {}) {
                    true => self.seats.put_back(taken),
                    false => self.seats.give_back(taken.lane.number, taken.follow),
                },
                Errand::Silent(number, mut follow) => {
                    self.silences += 1;
                    self.analyst.part(&mut follow, &mut |_| {});
                    self.seats.give_back(number, follow);
                }
                Errand::Rest(_) => return seen,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_frame_that_is_too_old_is_dropped_and_counted_and_never_looked_at() {
    let hurried = config::Camera { max_age: Some(ms(100)), ..camera(Medium) };
    let mut yard = Alone::new(hurried, config::Attend::default());
    yard.push(FIRST, 1, ms(1000));
    assert_eq!(yard.work(ms(1100)), [1]);
    yard.push(FIRST, 2, ms(1100));
    assert!(matches!(yard.next(ms(1201)), Errand::Rest(None)));
    let m = Arc::clone(&yard.lane.metrics);
    assert_eq!((m.displaced_stale_total.get(), m.frames_analysed_total.get()), (1, 1));
    yard.push(FIRST, 3, ms(1200));
    assert_eq!(yard.work(ms(1210)), [3]);
}

#[test]
fn a_camera_is_looked_at_as_often_as_it_asks_for_and_at_a_part_of_that_when_told() {
    let mut yard = Alone::new(camera(Medium), config::Attend::default());
    let mut frames = 0;
    // Ten frames a second for so many seconds.
    let mut looks_in = |yard: &mut Alone, secs: u64| {
        let before = yard.looks;
        for _ in 0..10 * secs {
            frames += 1;
            yard.push(FIRST, frames, ms(frames * 100));
            yard.work(ms(frames * 100));
        }
        yard.looks - before
    };
    assert_eq!(looks_in(&mut yard, 10), 100);
    yard.seats.set_rate_parts([1, 2, 1]);
    assert!((48..=52).contains(&looks_in(&mut yard, 10)), "half of what it sends");
    yard.seats.set_rate_parts([4, 4, 4]);
    assert!((24..=26).contains(&looks_in(&mut yard, 10)));
    yard.seats.set_rate_parts([4, 1, 4]);
    assert_eq!(looks_in(&mut yard, 10), 100, "others' parts are not its own");
    let mut slow = Alone::new(config::Camera { detect_fps: Some(5.0), ..camera(Low) }, config::Attend::default());
    assert!((49..=51).contains(&looks_in(&mut slow, 10)));
    slow.seats.set_rate_parts([2, 1, 1]);
    assert!((24..=27).contains(&looks_in(&mut slow, 10)));
}

#[test]
fn frames_that_are_not_worth_a_look_take_no_turn_at_the_detector() {
    let attend = config::Attend { enabled: true, recheck: LONG, ..config::Attend::default() };
    let mut yard = Alone::new(camera(Medium), attend);
    let mut seen = Vec::new();
    for seq in 1..=9 {
        // Too dark for anybody to be seen.
        yard.push(10, seq, ms(seq * 100));
        seen.extend(yard.work(ms(seq * 100)));
    }
    assert_eq!(seen, [1, 5, 9], "one in four while nobody is there");
    let m = &yard.lane.metrics;
    assert_eq!((m.frames_analysed_total.get(), m.frames_coasted_total.get()), (3, 6));
}

#[test]
fn a_camera_whose_frame_is_worth_a_look_gives_its_newest_one_when_its_turn_comes() {
    let attend = config::Attend { enabled: true, recheck: LONG, ..config::Attend::default() };
    let mut yard = Alone::new(camera(Medium), attend);
    yard.push(10, 1, ms(100));
    let Errand::Glance(mut taken) = yard.next(ms(100)) else { panic!("it is glanced at first") };
    assert!(yard.analyst.glance(&taken.frame, &mut taken.follow, &mut |_| {}), "nothing is known of it");
    yard.seats.put_back(taken);
    yard.push(10, 2, ms(200));
    assert_eq!(yard.work(ms(200)), [2], "and is not glanced at again before");
    assert_eq!(yard.lane.metrics.displaced_ring_total.get(), 1);
}

#[test]
fn looks_get_rarer_when_told_and_as_they_were_when_told_again() {
    let mut yard = Alone::new(camera(Medium), config::Attend::default());
    let mut frames = 0;
    let mut seen_in = |yard: &mut Alone, count: u64| {
        let before = yard.looks;
        for _ in 0..count {
            frames += 1;
            yard.push(10, frames, ms(frames * 100));
            yard.work(ms(frames * 100));
        }
        yard.looks - before
    };
    assert_eq!(seen_in(&mut yard, 20), 20);
    yard.seats.set_interval_times(2);
    assert_eq!(seen_in(&mut yard, 20), 10);
    yard.seats.set_interval_times(4);
    assert_eq!(seen_in(&mut yard, 20), 5);
    yard.seats.set_interval_times(1);
    assert_eq!(seen_in(&mut yard, 20), 20);
}

#[test]
fn time_is_told_to_the_rules_of_a_camera_whose_frame_waits_for_a_turn_that_is_far_off() {
    let zone = config::Zone {
        points: vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
        classes: Vec::new(),
        anchor: config::Anchor::Center,
        dwell: Some(ms(100)),
        crowd: None,
        occupancy: false,
        settle: Duration::ZERO,
        snapshot: false,
    };
    let zones = BTreeMap::from([("yard".to_owned(), zone)]);
    let rare = config::Camera { zones, detect_fps: Some(0.1), ..camera(Medium) };
    let mut yard = Alone::new(rare, config::Attend::default());
    yard.push(FIRST, 1, ms(1000));
    assert_eq!(yard.work(ms(1000)), [1]);
    yard.push(FIRST, 2, ms(1100));
    assert!(matches!(yard.next(ms(1200)), Errand::Rest(Some(_))), "its turn is in ten seconds");
    assert!(matches!(yard.next(ms(3000)), Errand::Due(..)), "somebody has been there for long");
}

/// A camera that sends so many frames a second for so long, from that frame on; the engine is there for all of them.
fn sends(yard: &mut Alone, fps: u64, from: u64, secs: u64) -> u64 {
    for n in from..from + fps * secs {
        yard.push(FIRST, n, ms(n * 1000 / fps));
        yard.work(ms(n * 1000 / fps));
    }
    from + fps * secs
}

/// How often it fell silent while time passed without a frame, a tenth of a second at a time.
fn silences_without_frames(yard: &mut Alone, from: Duration, until: Duration) -> u32 {
    let before = yard.silences;
    let mut now = from;
    while now <= until {
        assert!(yard.work(now).is_empty());
        now += ms(100);
    }
    yard.silences - before
}

#[test]
fn a_camera_that_is_looked_at_rarely_is_not_silent_between_two_looks_and_is_after_two_turns() {
    for (rate_hz, part, turn) in [(Some(0.5), 1, ms(2000)), (Some(0.5), 4, ms(8000)), (None, 4, ms(4000))] {
        let rare = config::Camera { detect_fps: rate_hz, ..camera(Medium) };
        let mut yard = Alone::new(rare, config::Attend::default());
        yard.gap = ms(3000);
        yard.seats.set_rate_parts([1, part, 1]);
        // One frame a second: no frame comes more often than it must to be taken for alive.
        let next = sends(&mut yard, 1, 1, 60);
        assert_eq!(yard.silences, 0, "{rate_hz:?} by {part}");
        let expected = 60.0 / turn.as_secs_f64();
        assert!((yard.looks as f64 - expected).abs() <= 2.0, "{} looks in a minute, not {expected}", yard.looks);
        // The one that waits is looked at in its turn; then there is none.
        let mut last = ms((next - 1) * 1000);
        while yard.lane.ring.is_waiting() {
            last += ms(100);
            yard.work(last);
        }
        assert_eq!(silences_without_frames(&mut yard, last, last + turn * 3), 1, "{rate_hz:?} by {part}");
    }
}

#[test]
fn a_camera_that_sends_is_not_silent_while_the_engine_has_no_time_for_it() {
    let mut yard = Alone::new(camera(Low), config::Attend::default());
    yard.gap = ms(3000);
    for look in 1..=5 {
        // Ten seconds of which only the last frame has a turn.
        (0..10).for_each(|n| yard.push(FIRST, 10 * look + n, ms(1000 * (10 * look + n))));
        assert_eq!(yard.work(ms(1000 * (10 * look + 9))), [10 * look + 9]);
    }
    assert_eq!(yard.silences, 0);
    yard.push(FIRST, 70, ms(70_000));
    assert_eq!((yard.work(ms(70_000)), yard.silences), (vec![70], 1), "it was away");
    assert_eq!(silences_without_frames(&mut yard, ms(70_100), ms(80_000)), 1);
}

#[test]
fn a_frame_that_was_glanced_at_is_counted_as_off_when_its_camera_has_been_switched_off_meanwhile() {
    let attend = config::Attend { enabled: true, recheck: LONG, ..config::Attend::default() };
    let mut yard = Alone::new(camera(Medium), attend);
    yard.push(10, 1, ms(100));
    let Errand::Glance(mut taken) = yard.next(ms(100)) else { panic!("it is glanced at first") };
    assert!(yard.analyst.glance(&taken.frame, &mut taken.follow, &mut |_| {}));
    yard.seats.lanes().switch("yard", false);
    yard.seats.put_back(taken);
    assert!(yard.work(ms(100)).is_empty() && !yard.lane.ring.is_waiting());
    assert_eq!(yard.lane.metrics.displaced_off_total.get(), 1);
    yard.seats.lanes().switch("yard", true);
    yard.push(10, 2, ms(200));
    assert_eq!(yard.work(ms(200)), [2]);
}
