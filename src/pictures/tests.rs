//! What an owner relies on, with the real worker and real files: an event has its picture, nothing under a mask is in it, the disk is
//! never filled, and no engine waits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use uuid::Uuid;

use super::still::tests::{Drawn, formats, masks};
use super::*;
use crate::config::Snapshots;
use crate::pixels::Cover;
use crate::runtime::{Clock, Hearts};
use crate::telemetry::Metrics;
use crate::types::{Captured, Event, Frame, PixelFormat, Rect, Subject, Track, TrackEvent, TrackPhase, What};

const SIZE_PX: (u32, u32) = (320, 180);
const BOX: Rect = Rect::new(100.0, 40.0, 180.0, 140.0);

struct Rig {
    dir: tempfile::TempDir,
    studio: Studio,
    maker: Maker,
    metrics: Arc<Metrics>,
    clock: Clock,
    made: Receiver<Picture>,
    /// While a test holds this, the worker does not get on.
    gate: Arc<Mutex<()>>,
}

fn rig(settings: Snapshots) -> Rig {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("snapshots");
    rig_at(settings, dir, &folder)
}

fn rig_at(settings: Snapshots, dir: tempfile::TempDir, folder: &Path) -> Rig {
    let (clock, metrics, gate) = (Clock::start(), Arc::<Metrics>::default(), Arc::<Mutex<()>>::default());
    let (say, made): (Sender<Picture>, _) = channel();
    let (studio, maker) = start(Context {
        settings,
        folder: folder.to_owned(),
        clock,
        metrics: Arc::clone(&metrics),
        heart: Hearts::new(clock).add("pictures", Duration::MAX),
        tell: Box::new({
            let gate = Arc::clone(&gate);
            move |picture| {
                drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
                // A test that has seen enough does not listen to the end.
                let _ = say.send(picture);
            }
        }),
    })
    .expect("a thread");
    studio.arrange(HashMap::from([("front".to_owned(), Cover::default())]), wishes());
    Rig { dir, studio, maker, metrics, clock, made, gate }
}

fn wishes() -> Wishes {
    let mut wishes = Wishes::default();
    wishes.zone("front", "door");
    wishes
}

impl Rig {
    fn made(&self) -> Picture {
        self.made.recv_timeout(Duration::from_secs(60)).expect("a picture")
    }

    /// Whatever was ordered is made.
    fn finish(self) -> (tempfile::TempDir, Arc<Metrics>, Vec<Picture>) {
        assert!(self.maker.stop(&self.clock, Duration::from_secs(60)));
        (self.dir, self.metrics, self.made.try_iter().collect())
    }
}

fn at(ms: u64) -> Captured {
    Captured {
        mono: Duration::from_millis(ms),
        wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        wall_synced: true,
    }
}

/// Stripes of this contrast: the more, the sharper.
fn frame(ms: u64, contrast: u8) -> Frame {
    let luma = move |i: usize| if (i / 4).is_multiple_of(2) { 60 } else { 60 + contrast };
    let pixels = Drawn::new(PixelFormat::Nv12, SIZE_PX, move |p, i| if p == 0 { luma(i) } else { 128 });
    Frame { camera: "front".into(), seq: ms, captured: at(ms), pixels: Arc::new(pixels) }
}

fn step(track: u8, frame: &Frame, bbox: Rect, phase: TrackPhase) -> TrackEvent {
    TrackEvent {
        camera: Arc::clone(&frame.camera),
        phase,
        seq: frame.seq,
        captured: frame.captured,
        width_px: SIZE_PX.0,
        height_px: SIZE_PX.1,
        uid: uid(track),
        known_as: uid(track),
        track: Track { id: 1, bbox, class: 0, score: 0.9, age_frames: 3, lost_frames: 0 },
        class_name: "person".to_owned(),
        first_seen: frame.captured,
        labels: Vec::new(),
    }
}

fn uid(track: u8) -> Uuid {
    Uuid::from_u128(u128::from(track) + 1)
}

fn entered(track: Option<u8>) -> Event {
    let subject = track.map(|track| Subject {
        uid: uid(track),
        track_id: 1,
        tracked_as: None,
        class: "person".to_owned(),
        score: 0.9,
        bbox: BOX,
        frame_px: SIZE_PX,
        first_seen: at(0),
        labels: Vec::new(),
    });
    let what = What::Entered { zone: "door".to_owned() };
    Event { camera: Some("front".into()), at: at(0), frame_seq: Some(1), what, subject, snapshots: Vec::new() }
}

fn decoded(jpeg: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).expect("a JPEG").into_rgb8()
}

#[test]
fn an_event_about_who_goes_on_under_another_number_has_a_view_of_the_track_that_they_are_now() {
    let rig = rig(Snapshots::default());
    let frame = frame(0, 90);
    rig.studio.look(&frame, &[step(1, &frame, BOX, TrackPhase::Update)]);
    let mut event = entered(Some(0));
    let subject = event.subject.as_mut().expect("a track");
    subject.tracked_as = Some(uid(1));
    rig.studio.attach(&mut event, None);
    assert_eq!(event.snapshots, [rig.made().name, rig.made().name]);
}

#[test]
fn an_event_names_the_best_view_of_its_track_and_both_files_are_there() {
    let rig = rig(Snapshots::default());
    let small = Rect::new(100.0, 40.0, 130.0, 80.0);
    for (ms, contrast, bbox) in [(0, 90, small), (300, 90, BOX), (600, 2, BOX), (900, 90, small)] {
        let frame = frame(ms, contrast);
        rig.studio.look(&frame, &[step(0, &frame, bbox, TrackPhase::Update)]);
    }
    let mut event = entered(Some(0));
    rig.studio.attach(&mut event, None);
    let (crop, full) = (rig.made(), rig.made());
    assert_eq!(event.snapshots, [crop.name.clone(), full.name.clone()]);
    assert_eq!((crop.kind, full.kind, crop.captured.mono.as_millis()), (Kind::Crop, Kind::Full, 300));
    // The box with its surroundings, at its own size.
    assert_eq!(decoded(&crop.jpeg).dimensions(), (104, 130));
    let whole = decoded(&full.jpeg);
    assert_eq!(whole.dimensions(), SIZE_PX);
    let [r, _, b] = whole.get_pixel(100, 90).0;
    assert!(r > b + 60, "the box is drawn in");
    let folder = rig.dir.path().join("snapshots");
    for picture in [crop, full] {
        assert_eq!(std::fs::read(folder.join(&picture.name)).expect("the file"), picture.jpeg);
    }
}

#[test]
fn a_second_event_shows_the_same_view_under_the_same_name_until_there_is_a_better_one() {
    let rig = rig(Snapshots::default());
    let mut names = Vec::new();
    for (ms, contrast) in [(0, 10), (300, 10), (600, 90)] {
        let frame = frame(ms, contrast);
        rig.studio.look(&frame, &[step(0, &frame, BOX, TrackPhase::Update)]);
        let mut event = entered(Some(0));
        rig.studio.attach(&mut event, Some(&frame));
        names.push(event.snapshots);
    }
    assert_eq!(names[0], names[1]);
    assert_ne!(names[1], names[2]);
    assert_eq!(rig.finish().2.len(), 4);
}

#[test]
fn a_view_whose_files_had_to_go_is_written_anew_for_the_next_event() {
    let rig = rig(Snapshots { max_files: 2, ..Snapshots::default() });
    let seen = frame(0, 90);
    rig.studio.look(&seen, &[step(0, &seen, BOX, TrackPhase::New), step(1, &seen, BOX, TrackPhase::New)]);
    let names = |track| {
        let mut event = entered(Some(track));
        rig.studio.attach(&mut event, None);
        event.snapshots
    };
    let first = names(0);
    assert_eq!(names(0), first, "nobody else has pushed it out");
    names(1);
    rig.studio.attach(&mut entered(None), Some(&seen));
    // The worker tidies up after each order, so when the last one is made, the first one's files are gone.
    (0..5).for_each(|_| drop(rig.made()));
    let second = names(0);
    assert_ne!(second, first);
    let (dir, ..) = rig.finish();
    let there = |name: &String| dir.path().join("snapshots").join(name).exists();
    assert!(second.iter().all(there) && !first.iter().any(there));
}

#[test]
fn a_track_that_has_just_ended_still_has_its_picture() {
    let rig = rig(Snapshots::default());
    let (seen, gone) = (frame(0, 90), frame(1000, 90));
    rig.studio.look(&seen, &[step(0, &seen, BOX, TrackPhase::New)]);
    rig.studio.look(&gone, &[step(0, &gone, BOX, TrackPhase::End)]);
    let mut event = entered(Some(0));
    rig.studio.attach(&mut event, None);
    assert_eq!(event.snapshots.len(), 2);
}

#[test]
fn an_event_of_nobody_shows_the_frame_at_hand_and_one_that_does_not_ask_shows_nothing() {
    let rig = rig(Snapshots::default());
    let (mut event, mut silent) = (entered(None), entered(None));
    silent.what = What::Left { zone: "door".to_owned(), inside_ms: 1 };
    rig.studio.attach(&mut event, Some(&frame(0, 90)));
    rig.studio.attach(&mut silent, Some(&frame(0, 90)));
    assert_eq!((event.snapshots.len(), silent.snapshots.len()), (1, 0));
    assert_eq!(rig.made().name, event.snapshots[0]);
    // Who has a picture already keeps it.
    let before = event.clone();
    rig.studio.attach(&mut event, Some(&frame(0, 90)));
    assert_eq!(event, before);
    assert!(rig.finish().2.is_empty());
}

#[test]
fn a_picture_that_was_ordered_is_taken_of_the_next_frame() {
    let rig = rig(Snapshots::default());
    assert_eq!(rig.studio.now("attic", at(0)), None);
    let name = rig.studio.now("front", at(0)).expect("a camera");
    assert_eq!(rig.studio.now("front", at(1)), Some(name.clone()), "asked twice before a frame came");
    rig.studio.look(&frame(5, 90), &[]);
    let made = rig.made();
    assert_eq!((made.name, made.kind, made.captured.mono.as_millis()), (name.clone(), Kind::Full, 5));
    assert_ne!(rig.studio.now("front", at(10)), Some(name));
}

#[test]
fn an_alert_shows_its_tracks_view_else_the_next_frame_of_a_camera_that_gives_frames() {
    let rig = rig(Snapshots::default());
    let mut wishes = Wishes::default();
    wishes.alert("any");
    rig.studio.arrange(HashMap::from([("front".to_owned(), Cover::default())]), wishes);
    let raised = |track: Option<u8>, frame_seq| {
        let what = What::AlertRaised {
            alert: "any".to_owned(),
            severity: crate::types::Severity::Info,
            reason: String::new(),
        };
        let mut event = Event { what, frame_seq, ..entered(track) };
        rig.studio.attach_later(&mut event);
        event.snapshots
    };
    let seen = frame(0, 90);
    rig.studio.look(&seen, &[step(0, &seen, BOX, TrackPhase::New)]);
    rig.studio.end(&[step(0, &seen, BOX, TrackPhase::End)]);
    assert_eq!(raised(Some(0), Some(1)).len(), 2, "the track is gone, its view is not");
    assert!(raised(None, None).is_empty(), "who knows whether a frame will come");
    let crowd = raised(None, Some(1));
    rig.studio.look(&frame(100, 90), &[]);
    let made = rig.finish().2;
    assert_eq!(made.into_iter().map(|p| p.name).skip(2).collect::<Vec<_>>(), crowd);
    assert_eq!(crowd.len(), 1);
}

#[test]
fn a_camera_whose_masks_nobody_told_is_not_taken() {
    let rig = rig(Snapshots::default());
    let mut wishes = wishes();
    wishes.alert("any");
    rig.studio.arrange(HashMap::new(), wishes);
    let frame = frame(0, 90);
    rig.studio.look(&frame, &[step(0, &frame, BOX, TrackPhase::New)]);
    let (mut tracked, mut untracked) = (entered(Some(0)), entered(None));
    rig.studio.attach(&mut tracked, Some(&frame));
    rig.studio.attach(&mut untracked, Some(&frame));
    assert!(tracked.snapshots.is_empty() && untracked.snapshots.is_empty());
    assert!(rig.finish().2.is_empty());
}

#[test]
fn views_from_before_a_change_of_masks_are_forgotten() {
    let rig = rig(Snapshots::default());
    let frame = frame(0, 90);
    rig.studio.look(&frame, &[step(0, &frame, BOX, TrackPhase::New)]);
    rig.studio.arrange(HashMap::from([("front".to_owned(), Cover::default())]), wishes());
    let mut event = entered(Some(0));
    rig.studio.attach(&mut event, None);
    assert_eq!(event.snapshots.len(), 2, "the masks are the same");
    let all = Cover::new([vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]]);
    rig.studio.arrange(HashMap::from([("front".to_owned(), all)]), wishes());
    let mut event = entered(Some(0));
    rig.studio.attach(&mut event, None);
    assert!(event.snapshots.is_empty());
}

#[test]
fn a_picture_that_waits_for_the_encoder_while_the_masks_change_is_not_made() {
    let rig = rig(Snapshots::default());
    let frame = frame(0, 40);
    let gate = rig.gate.lock().expect("nobody panicked");
    let ask = |track: u8| {
        rig.studio.look(&frame, &[step(track, &frame, BOX, TrackPhase::New)]);
        let mut event = entered(Some(track));
        rig.studio.attach(&mut event, Some(&frame));
        assert_eq!(event.snapshots.len(), 2);
    };
    (1..=2).for_each(ask);
    let left = Cover::new([vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]]);
    rig.studio.arrange(HashMap::from([("front".to_owned(), left.clone())]), wishes());
    drop(gate);
    ask(3);
    let (_dir, metrics, made) = rig.finish();
    // The first order may have been in hand already.
    let with_old_masks = made.iter().filter(|picture| picture.cover != left).count();
    assert!(with_old_masks <= 2 && made.iter().filter(|picture| picture.cover == left).count() == 2, "{}", made.len());
    assert_eq!(metrics.pictures.failed_total.get() as usize, 4 - with_old_masks);
}

#[test]
fn a_busy_encoder_costs_events_their_pictures_and_nobody_a_wait() {
    let rig = rig(Snapshots::default());
    let held = rig.gate.lock().expect("sound");
    let events: Vec<_> = (0..studio::WAITING + 5)
        .map(|_| {
            let mut event = entered(None);
            rig.studio.attach(&mut event, Some(&frame(0, 90)));
            event.snapshots
        })
        .collect();
    let named: Vec<_> = events.into_iter().flatten().collect();
    let left_out = (studio::WAITING + 5 - named.len()) as u64;
    // The worker has one in hand or not yet.
    assert!((4..=5).contains(&left_out), "{left_out}");
    assert_eq!(rig.metrics.pictures.dropped_total.get(), left_out);
    drop(held);
    let (_, metrics, made) = rig.finish();
    assert_eq!(made.into_iter().map(|p| p.name).collect::<Vec<_>>(), named, "what was named is made");
    assert_eq!(metrics.pictures.written_total.get(), named.len() as u64);
}

#[test]
fn the_folder_keeps_its_bounds_and_numbers_go_on_after_a_restart() {
    let settings = Snapshots { max_files: 3, ..Snapshots::default() };
    let first = rig(settings.clone());
    let mut names = Vec::new();
    for _ in 0..6 {
        let mut event = entered(None);
        first.studio.attach(&mut event, Some(&frame(0, 90)));
        names.extend(event.snapshots);
        first.made();
    }
    let (dir, metrics, _) = first.finish();
    let folder = dir.path().join("snapshots");
    let there = |name: &String| folder.join(name).exists();
    assert_eq!(names.iter().map(there).collect::<Vec<_>>(), [false, false, false, true, true, true]);
    assert_eq!((metrics.pictures.files.get(), metrics.pictures.removed_total.get()), (3, 3));
    let second = rig_at(settings, dir, &folder);
    let name = second.studio.now("front", at(0)).expect("a camera");
    assert!(name > names[5], "{name} sorts after {}", names[5]);
}

#[test]
fn a_folder_that_cannot_be_written_loses_pictures_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let rig = rig_at(Snapshots::default(), dir, &file);
    let mut event = entered(None);
    rig.studio.attach(&mut event, Some(&frame(0, 90)));
    let (_, metrics, made) = rig.finish();
    assert!(made.is_empty());
    assert_eq!((metrics.pictures.failed_total.get(), metrics.pictures.written_total.get()), (1, 0));
}

#[test]
fn switched_off_there_are_no_pictures() {
    let rig = rig(Snapshots { enabled: false, ..Snapshots::default() });
    let frame = frame(0, 90);
    rig.studio.look(&frame, &[step(0, &frame, BOX, TrackPhase::New)]);
    let mut event = entered(Some(0));
    rig.studio.attach(&mut event, Some(&frame));
    assert!(event.snapshots.is_empty() && rig.studio.now("front", at(0)).is_none());
    assert!(rig.finish().2.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_depends_on_what_lies_under_a_mask(format in formats(), cover in masks(), seed: u8, widest in 64_u32..400) {
        let image = Drawn::new(format, SIZE_PX, |p, i| (i as u8).wrapping_mul(37).wrapping_add(seed) ^ (p as u8) << 4);
        let files = |image: Drawn| {
            let rig = rig(Snapshots { max_width_px: widest, ..Snapshots::default() });
            rig.studio.arrange(HashMap::from([("front".to_owned(), cover.clone())]), wishes());
            let frame = Frame { camera: "front".into(), seq: 1, captured: at(0), pixels: Arc::new(image) };
            rig.studio.look(&frame, &[step(0, &frame, BOX, TrackPhase::New)]);
            for track in [Some(0), None] {
                rig.studio.attach(&mut entered(track), Some(&frame));
            }
            rig.finish().2.into_iter().map(|picture| picture.jpeg).collect::<Vec<_>>()
        };
        let other = image.with_another_secret(&cover);
        prop_assert_eq!(files(image), files(other));
    }

    #[test]
    fn what_lies_under_a_mask_is_black_in_the_file(cover in masks()) {
        let white = Drawn::new(PixelFormat::Rgb, SIZE_PX, |_, _| 255);
        let rig = rig(Snapshots::default());
        rig.studio.arrange(HashMap::from([("front".to_owned(), cover.clone())]), wishes());
        let frame = Frame { camera: "front".into(), seq: 1, captured: at(0), pixels: Arc::new(white) };
        rig.studio.attach(&mut entered(None), Some(&frame));
        let picture = decoded(&rig.finish().2[0].jpeg);
        // JPEG lets a bright edge ring into the dark of its block; further in nothing shines.
        let runs = cover.runs(&crate::pixels::Window::whole(SIZE_PX), 0.0);
        for run in runs {
            for x in run.from..run.to {
                let [r, g, b] = picture.get_pixel(x as u32, run.y as u32).0;
                prop_assert!(r.max(g).max(b) < 100, "{} {} {:?}", x, run.y, [r, g, b]);
            }
        }
    }
}
