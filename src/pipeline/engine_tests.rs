//! Several workers over the lanes of several cameras: real threads, real trackers, an engine whose time for a frame is drawn by lot.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use proptest::prelude::*;

use super::*;
use crate::infer::{Engine, InferError, InputMut, ModelShape};
use crate::pipeline::Lanes;
use crate::pipeline::samples::{self, shape};
use crate::ring::WhenFull;
use crate::runtime::Hearts;
use crate::types::{CameraId, Captured, Frame, Report, RgbImage, TrackPhase};

const LONG: Duration = Duration::from_secs(3600);

/// Sees one person, after a while that is drawn by lot; one that takes several frames fails now and then.
struct Lottery {
    shape: ModelShape,
    inputs: Vec<Vec<f32>>,
    head: [f32; 5],
    lot: u64,
}

impl Engine for Lottery {
    fn name(&self) -> &'static str {
        "lottery"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        self.inputs.len()
    }
    fn input(&mut self, slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.inputs[slot])
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        self.lot = self.lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(self.lot >> 60) {
            std::thread::yield_now();
        }
        if self.inputs.len() > 1 && (self.lot >> 50).is_multiple_of(16) {
            return Err(InferError::Run { engine: "lottery", reason: "a blank".to_owned() });
        }
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.head
    }
}

fn analyst(lot: u64, max_batch: usize) -> Analyst {
    let inputs = vec![vec![0.0; 3 * 8 * 8]; max_batch];
    let engine = Lottery { shape: shape(8), inputs, head: [4.0, 4.0, 4.0, 4.0, 0.9], lot };
    samples::analyst(Box::new(engine), 0.25)
}

fn track() -> config::Track {
    config::Track { max_age_frames: 5, min_hits: 1, iou: 0.3 }
}

fn frame(camera: &CameraId, seq: u64) -> Frame {
    let captured = Captured { mono: Duration::from_millis(seq), wall: std::time::UNIX_EPOCH, wall_synced: false };
    let pixels = Arc::new(RgbImage { width_px: 8, height_px: 8, data: vec![0; 3 * 64] });
    Frame { camera: Arc::clone(camera), seq, captured, pixels }
}

/// Ends the workers of a scope, whose end waits for them: also when a test fails in it.
struct Ends<'a>(&'a Stop, &'a Lanes);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.set();
        self.1.bell().ring();
    }
}

fn sit(lane: &Lane) -> crate::pipeline::analyst::Follow {
    Analyst::follow(watch(lane, &track(), &config::Attend::default(), LONG))
}

fn parts(seats: &Arc<Seats>, gap: Duration, lot: u64) -> EngineParts {
    let clock = Clock::start();
    let heart = Hearts::new(clock).add("engine", LONG);
    EngineParts {
        analyst: analyst(lot, 1),
        hand: None,
        track: track(),
        attend: config::Attend::default(),
        gap,
        seats: Arc::clone(seats),
        studio: None,
        clock,
        heart,
    }
}

fn rests(seats: &Seats) -> bool {
    matches!(seats.next(Duration::ZERO, &sit), Errand::Rest(_))
}

/// The only frame that is picked.
fn one(errand: Errand) -> Option<Taken> {
    let Errand::Frames(mut taken) = errand else { return None };
    assert_eq!(taken.len(), 1);
    taken.pop()
}

/// Events are told of in the tests that ask for them.
fn tell(say: &Sender<Report>, finding: Finding) {
    if let Finding::Report(report) = finding {
        say.send(report).expect("somebody listens");
    }
}

/// What was heard until so many frames were told of.
fn heard_frames(heard: &Receiver<Report>, frames: usize) -> Vec<Report> {
    let (mut reports, mut seen) = (Vec::new(), 0);
    while seen < frames {
        let report = heard.recv_timeout(Duration::from_secs(60)).expect("no frame is forgotten");
        seen += usize::from(matches!(report, Report::Sighting(_)));
        reports.push(report);
    }
    reports
}

/// Plays every camera to its end through so many workers; all reports in the order in which they came.
fn played(workers: u64, cameras: usize, frames: u64, capacity: usize, lot: u64) -> Vec<Report> {
    let lanes = Lanes::default();
    let open: Vec<_> = (0..cameras).map(|c| lanes.open_still(&format!("cam{c}"), capacity, WhenFull::Wait)).collect();
    let (seats, stop) = (Arc::new(Seats::new(lanes.clone(), config::Schedule::default())), Stop::new());
    let (say, heard): (Sender<Report>, _) = channel();
    std::thread::scope(|s| {
        let ends = Ends(&stop, &lanes);
        for worker in 0..workers {
            let (parts, stop, say) = (parts(&seats, LONG, lot ^ worker), stop.clone(), say.clone());
            s.spawn(move || run_engine(parts, &stop, &mut |finding| tell(&say, finding)));
        }
        for lane in &open {
            s.spawn(move || (1..=frames).for_each(|seq| lane.ring.push(frame(&lane.camera, seq))));
        }
        let mut reports = heard_frames(&heard, cameras * frames as usize);
        drop((ends, say));
        reports.extend(heard);
        reports
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_frame_is_analysed_once_and_in_its_cameras_order_by_however_many_workers(
        workers in 1u64..5, cameras in 1usize..6, frames in 1u64..40, capacity in 1usize..4, lot in any::<u64>(),
    ) {
        let reports = played(workers, cameras, frames, capacity, lot);
        let mut seen = BTreeMap::<CameraId, Vec<u64>>::new();
        let mut lives = BTreeMap::<CameraId, Vec<TrackPhase>>::new();
        for report in &reports {
            match report {
                Report::Sighting(s) => seen.entry(s.camera.clone()).or_default().push(s.seq),
                Report::Track(t) => lives.entry(t.camera.clone()).or_default().push(t.phase),
                _ => {}
            }
        }
        let all: Vec<u64> = (1..=frames).collect();
        prop_assert_eq!(seen.len(), cameras);
        prop_assert!(seen.values().all(|seqs| *seqs == all), "{:?}", seen);
        for phases in lives.values() {
            // Whoever had the seat, it was one person from the first frame to the stop.
            prop_assert_eq!(phases.len() as u64, frames + 1);
            prop_assert_eq!((phases[0], phases[phases.len() - 1]), (TrackPhase::New, TrackPhase::End));
            prop_assert!(phases[1..phases.len() - 1].iter().all(|p| *p == TrackPhase::Update));
        }
        prop_assert_eq!(lives.len(), cameras);
    }
}

/// Draws a number below that by lot.
fn draw(lot: &mut u64, below: u64) -> u64 {
    *lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*lot >> 33) % below
}

/// Pushes so many frames to a camera, of which some are the ones before and some are too old when they come.
fn push_many(lane: &Lane, frames: u64, mut lot: u64) {
    for seq in 1..=frames {
        let data = vec![(draw(&mut lot, 3) * 40) as u8; 3 * 64];
        let pixels = Arc::new(RgbImage { width_px: 8, height_px: 8, data });
        let mono = if draw(&mut lot, 8) == 0 { Duration::ZERO } else { LONG + Duration::from_millis(seq) };
        let captured = Captured { mono, wall: std::time::UNIX_EPOCH, wall_synced: false };
        lane.ring.push(Frame { camera: Arc::clone(&lane.camera), seq, captured, pixels });
        (0..draw(&mut lot, 50)).for_each(|_| std::thread::yield_now());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_frame_is_accounted_for_whatever_is_closed_and_switched_meanwhile_by_two_workers_with_attention_and_batches(
        frames in 50u64..200, capacity in 1usize..3, mut lot in any::<u64>(),
    ) {
        let lanes = Lanes::default();
        let hurried = config::Camera {
            max_age: Some(Duration::ZERO),
            ..config::Camera::of(config::Source::Test { pattern: String::new() })
        };
        let open: Vec<_> = (0..6)
            .map(|c| lanes.open_watched(&format!("cam{c}"), capacity, WhenFull::DisplaceOldest, hurried.clone()))
            .collect();
        let schedule = config::Schedule { window: Duration::ZERO, ..config::Schedule::default() };
        let (seats, stop) = (Arc::new(Seats::new(lanes.clone(), schedule)), Stop::new());
        std::thread::scope(|s| {
            let _ends = Ends(&stop, &lanes);
            for worker in 0..2 {
                let attend = config::Attend { enabled: true, ..config::Attend::default() };
                let parts = EngineParts { analyst: analyst(lot ^ worker, 4), attend, ..parts(&seats, LONG, lot) };
                let stop = stop.clone();
                s.spawn(move || run_engine(parts, &stop, &mut |_| {}));
            }
            let pushers: Vec<_> =
                open.iter().zip(1..).map(|(lane, n)| s.spawn(move || push_many(lane, frames, lot ^ n))).collect();
            let mut left: Vec<_> = open.iter().collect();
            while pushers.iter().any(|pusher| !pusher.is_finished()) {
                let which = draw(&mut lot, 6);
                lanes.switch(&format!("cam{which}"), draw(&mut lot, 2) == 0);
                if left.len() > 3 && draw(&mut lot, 20) == 0 {
                    lanes.close_still(left.remove(which as usize % left.len()));
                }
                std::thread::yield_now();
            }
            // What waits is counted when a ring is closed, what is in hand when the workers have ended.
            left.iter().for_each(|lane| lanes.close_still(lane));
        });
        for lane in &open {
            let m = &lane.metrics;
            let looked_at = [&m.frames_analysed_total, &m.frames_coasted_total, &m.frames_same_total, &m.frames_failed_total];
            let displaced =
                [&m.displaced_ring_total, &m.displaced_stale_total, &m.displaced_stopped_total, &m.displaced_off_total];
            let counts = looked_at.into_iter().chain(displaced).map(|counter| counter.get());
            let counts: Vec<_> = counts.collect();
            prop_assert_eq!(counts.iter().sum::<u64>(), frames, "{}: {:?}", lane.camera, counts);
        }
    }
}

#[test]
fn no_camera_waits_longer_than_the_others_take_once_with_two_seats_out() {
    let lanes = Lanes::default();
    let open: Vec<_> = (0..5).map(|c| lanes.open_still(&format!("cam{c}"), 1, WhenFull::DisplaceOldest)).collect();
    let seats = Seats::new(lanes, config::Schedule::default());
    let mut counts = BTreeMap::<CameraId, u32>::new();
    let mut out = std::collections::VecDeque::new();
    for seq in 1..=500 {
        // The first one is always far ahead with its frames.
        open.iter().for_each(|lane| lane.ring.push(frame(&lane.camera, seq)));
        let Taken { lane, follow, .. } = one(seats.next(Duration::ZERO, &sit)).expect("all wait");
        *counts.entry(lane.camera.clone()).or_default() += 1;
        out.push_back((lane.number, follow));
        if out.len() > 2 {
            seats.done(out.pop_front().into_iter().collect(), Duration::ZERO, &[], Duration::ZERO);
        }
    }
    assert!(counts.values().all(|n| *n == 100), "{counts:?}");
}

#[test]
fn a_camera_is_passed_over_while_its_seat_is_out_and_the_return_wakes_those_who_sleep() {
    let lanes = Lanes::default();
    let lane = lanes.open_still("yard", 2, WhenFull::DisplaceOldest);
    let seats = Seats::new(lanes.clone(), config::Schedule::default());
    lane.ring.push(frame(&lane.camera, 1));
    lane.ring.push(frame(&lane.camera, 2));
    let Taken { frame: first, follow, .. } = one(seats.next(Duration::ZERO, &sit)).expect("it waits");
    let rung = lanes.bell().count();
    assert!(rests(&seats));
    seats.give_back(lane.number, follow);
    assert!(lanes.bell().count() > rung, "a frame waits for somebody");
    let Taken { frame: second, .. } = one(seats.next(Duration::ZERO, &sit)).expect("it is at home");
    assert_eq!((first.seq, second.seq), (1, 2));
}

#[test]
fn a_camera_that_was_closed_while_its_frame_was_looked_at_ends_its_tracks_once_it_is_back() {
    let lanes = Lanes::default();
    let lane = lanes.open_still("yard", 1, WhenFull::DisplaceOldest);
    let seats = Seats::new(lanes.clone(), config::Schedule::default());
    lane.ring.push(frame(&lane.camera, 1));
    let Taken { follow, .. } = one(seats.next(Duration::ZERO, &sit)).expect("it waits");
    lanes.close_still(&lane);
    assert!(rests(&seats), "somebody has it in hand");
    let rung = lanes.bell().count();
    seats.give_back(lane.number, follow);
    assert!(lanes.bell().count() > rung);
    let Errand::Gone(number, _) = seats.next(Duration::ZERO, &sit) else { panic!("its tracks are to end") };
    seats.clear(number);
    assert!(rests(&seats) && seats.leave().is_none());
}

#[test]
fn a_camera_that_was_opened_anew_is_served_when_its_earlier_tracks_have_ended() {
    let lanes = Lanes::default();
    let old = lanes.open_still("yard", 1, WhenFull::DisplaceOldest);
    let seats = Seats::new(lanes.clone(), config::Schedule::default());
    old.ring.push(frame(&old.camera, 1));
    let Taken { follow, .. } = one(seats.next(Duration::ZERO, &sit)).expect("it waits");
    lanes.close_still(&old);
    let new = lanes.open_still("yard", 1, WhenFull::DisplaceOldest);
    new.ring.push(frame(&new.camera, 1));
    assert!(rests(&seats), "its last frame is still looked at");
    seats.give_back(old.number, follow);
    let Errand::Gone(number, _) = seats.next(Duration::ZERO, &sit) else { panic!("its tracks are to end") };
    assert!(rests(&seats), "their ends are not told yet");
    let rung = lanes.bell().count();
    seats.clear(number);
    assert!(lanes.bell().count() > rung, "those who passed it over look again");
    let Taken { lane, .. } = one(seats.next(Duration::ZERO, &sit)).expect("it is free");
    assert_eq!(lane.number, new.number);
}

#[test]
fn tracks_of_a_camera_that_fell_silent_end_without_another_frame() {
    let lanes = Lanes::default();
    let lane = lanes.open_still("yard", 1, WhenFull::DisplaceOldest);
    let (seats, stop) = (Arc::new(Seats::new(lanes.clone(), config::Schedule::default())), Stop::new());
    let (say, heard) = channel();
    std::thread::scope(|s| {
        let _ends = Ends(&stop, &lanes);
        for worker in 0..2 {
            let (parts, stop, say) = (parts(&seats, Duration::from_millis(1), worker), stop.clone(), say.clone());
            s.spawn(move || run_engine(parts, &stop, &mut |finding| tell(&say, finding)));
        }
        lane.ring.push(frame(&lane.camera, 1));
        let mut phases = Vec::new();
        while phases.last() != Some(&TrackPhase::End) {
            if let Report::Track(t) = heard.recv_timeout(Duration::from_secs(60)).expect("the end is told") {
                phases.push(t.phase);
            }
        }
        assert_eq!(phases, [TrackPhase::New, TrackPhase::End]);
    });
}

#[test]
fn tracks_of_a_camera_whose_detection_is_switched_off_end_and_begin_anew_once_it_is_on() {
    let lanes = Lanes::default();
    let lane = lanes.open_still("yard", 2, WhenFull::DisplaceOldest);
    let (seats, stop) = (Arc::new(Seats::new(lanes.clone(), config::Schedule::default())), Stop::new());
    let (say, heard) = channel();
    std::thread::scope(|s| {
        let _ends = Ends(&stop, &lanes);
        let (parts, over) = (parts(&seats, LONG, 1), stop.clone());
        s.spawn(move || run_engine(parts, &over, &mut |finding| tell(&say, finding)));
        let next = || loop {
            if let Report::Track(t) = heard.recv_timeout(Duration::from_secs(60)).expect("it is told") {
                return (t.phase, t.seq);
            }
        };
        lane.ring.push(frame(&lane.camera, 1));
        assert_eq!(next(), (TrackPhase::New, 1));
        lanes.switch("yard", false);
        lane.ring.push(frame(&lane.camera, 2));
        assert_eq!(next(), (TrackPhase::End, 1));
        lanes.switch("yard", true);
        lane.ring.push(frame(&lane.camera, 3));
        // The tracker is not in its first frames any more: it wants to see an object twice.
        lane.ring.push(frame(&lane.camera, 4));
        assert_eq!(next(), (TrackPhase::New, 4));
    });
}

#[test]
fn a_dwell_is_told_though_no_frame_comes_and_the_end_of_the_camera_ends_the_stay() {
    let zone = config::Zone {
        points: vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
        classes: Vec::new(),
        anchor: config::Anchor::Center,
        dwell: Some(Duration::from_millis(100)),
        crowd: None,
        occupancy: false,
        settle: Duration::ZERO,
        snapshot: false,
    };
    let still = config::Camera::of(config::Source::Test { pattern: String::new() });
    let camera = config::Camera { zones: BTreeMap::from([("yard".to_owned(), zone)]), ..still };
    let lanes = Lanes::default();
    let lane = lanes.open_watched("yard", 1, WhenFull::DisplaceOldest, camera);
    let (seats, stop) = (Arc::new(Seats::new(lanes.clone(), config::Schedule::default())), Stop::new());
    let (say, heard) = channel();
    std::thread::scope(|s| {
        let _ends = Ends(&stop, &lanes);
        let (parts, over) = (parts(&seats, LONG, 1), stop.clone());
        s.spawn(move || {
            run_engine(parts, &over, &mut |finding| {
                if let Finding::Event(event) = finding {
                    say.send(event).expect("somebody listens");
                }
            });
        });
        let next = || heard.recv_timeout(Duration::from_secs(60)).expect("it is told");
        lane.ring.push(frame(&lane.camera, 1));
        let (entered, dwell) = (next(), next());
        assert_eq!((entered.what.kind(), entered.frame_seq), ("entered", Some(1)));
        assert_eq!((dwell.what.kind(), dwell.frame_seq), ("dwell", None), "no frame shows it");
        lanes.close_still(&lane);
        lanes.bell().ring();
        assert_eq!([next().what.kind(), next().what.kind()], ["dwell_end", "left"]);
    });
}
