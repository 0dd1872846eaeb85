//! Zones and lines against an outside opinion, and against what people see in a real clip.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use peregrine::config::{Anchor, Camera, Line, Source, Track as TrackSettings, Zone};
use peregrine::rules::{Moment, Rules};
use peregrine::track::Tracker;
use peregrine::types::{Captured, Detection, Event, Rect, Track, TrackEvent, TrackPhase, What};
use serde_json::{Value, json};

use crate::quality::python;
use crate::support::{peregrine, shared};

type Seen = Vec<(u64, Rect)>;

const SIZE_PX: (u32, u32) = (768, 576);

/// Plays frames, ten a second, into rules; who is not seen any more is given up at the end.
fn played(camera: &Camera, frames: &[Seen]) -> Vec<Event> {
    let mut rules = Rules::new(&Arc::from("clip"), camera);
    let mut told = Vec::new();
    let moment = |seq: usize| {
        let mono = Duration::from_millis(seq as u64 * 100);
        Moment { captured: Captured { mono, wall: UNIX_EPOCH + mono, wall_synced: false }, frame_seq: Some(seq as u64) }
    };
    for (seq, seen) in frames.iter().enumerate() {
        let Moment { captured, .. } = moment(seq);
        let steps: Vec<_> = seen.iter().map(|(id, bbox)| step(*id, *bbox, captured, seq)).collect();
        rules.see(moment(seq), &steps, &mut |event| told.push(event));
    }
    rules.end(moment(frames.len()), &mut |event| told.push(event));
    told
}

fn step(id: u64, bbox: Rect, captured: Captured, seq: usize) -> TrackEvent {
    TrackEvent {
        camera: Arc::from("clip"),
        phase: TrackPhase::Update,
        seq: seq as u64,
        captured,
        width_px: SIZE_PX.0,
        height_px: SIZE_PX.1,
        uid: uuid::Uuid::from_u128(u128::from(id)),
        known_as: uuid::Uuid::from_u128(u128::from(id)),
        track: Track { id, bbox, class: 0, score: 0.9, age_frames: 9, lost_frames: 0 },
        class_name: "person".to_owned(),
        first_seen: captured,
        labels: Vec::new(),
    }
}

fn line(points: &[(f64, f64)]) -> Line {
    Line {
        points: points.to_vec(),
        classes: Vec::new(),
        anchor: Anchor::BottomCenter,
        directions: ["there".to_owned(), "back".to_owned()],
        count_every: None,
        snapshot: false,
    }
}

fn clip() -> Camera {
    Camera::of(Source::Test { pattern: String::new() })
}

/// By line and direction: the frames in which a crossing was told, counted from 1.
fn crossings(told: &[Event]) -> BTreeMap<(String, String), Vec<u64>> {
    let mut crossings = BTreeMap::<_, Vec<u64>>::new();
    for event in told {
        if let What::Crossed { line, direction } = &event.what {
            crossings
                .entry((line.clone(), direction.clone()))
                .or_default()
                .push(event.frame_seq.unwrap_or_default() + 1);
        }
    }
    crossings
}

/// The three lines of tests/data/vtest-lines.md.
fn vtest() -> Camera {
    let lines = [
        ("west", line(&[(0.25, 0.28), (0.25, 0.62)])),
        ("road", line(&[(0.86, 0.20), (0.86, 0.42)])),
        ("lawn", line(&[(0.0, 0.53), (0.30, 0.58), (0.50, 0.72), (0.68, 0.86)])),
    ];
    Camera { lines: lines.into_iter().map(|(name, line)| (name.to_owned(), line)).collect(), ..clip() }
}

/// What people see: tests/data/vtest-lines.md has the evidence.
fn truth() -> BTreeMap<(String, String), Vec<u64>> {
    let seen: [(&str, &str, &[u64]); 5] = [
        ("west", "there", &[186, 208, 257, 535, 604, 681, 714]),
        ("west", "back", &[299, 643, 662, 700, 751]),
        ("road", "there", &[167, 232, 257]),
        ("road", "back", &[120, 148, 159, 748]),
        ("lawn", "back", &[593, 729]),
    ];
    seen.into_iter().map(|(l, d, frames)| ((l.to_owned(), d.to_owned()), frames.to_vec())).collect()
}

fn assert_as_seen(told: &BTreeMap<(String, String), Vec<u64>>) {
    let truth = truth();
    assert_eq!(told.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (which, seen) in &truth {
        let told = &told[which];
        assert_eq!(told.len(), seen.len(), "{which:?}: told in {told:?}, seen in {seen:?}");
        // Told once the walker is clear of the line; boxes are labelled by hand too, and a step takes half a second.
        let off: Vec<_> = told.iter().zip(seen).map(|(t, s)| t.abs_diff(*s)).collect();
        assert!(off.iter().all(|off| *off <= 10), "{which:?}: told in {told:?}, seen in {seen:?}");
    }
}

/// Columns of a MOTChallenge file, frame by frame from 1.
fn frames_of(path: &Path) -> Vec<Seen> {
    let text = std::fs::read_to_string(path).expect("a MOTChallenge file");
    let mut frames = vec![Seen::new(); 795];
    for row in text.lines() {
        let n: Vec<f32> = row.split(',').filter_map(|v| v.trim().parse().ok()).collect();
        frames[n[0] as usize - 1].push((n[1].max(0.0) as u64, Rect::from_xywh(n[2], n[3], n[4], n[5])));
    }
    frames
}

#[test]
fn with_perfect_tracks_every_crossing_that_people_see_on_vtest_is_told_and_no_other() {
    let Some(path) = shared("data/mot/PETS09-S2L1/gt.txt") else { return };
    let told = crossings(&played(&vtest(), &frames_of(&path)));
    println!("vtest, labelled tracks: {told:?}");
    assert_as_seen(&told);
}

#[test]
fn a_replay_with_the_whole_pipeline_counts_on_vtest_what_people_see() {
    let Some(clip) = shared("data/video/vtest.avi") else { return };
    let Some(model) = shared("models/yolov8n_640_int8.onnx") else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (config, out) = (dir.path().join("lines.toml"), dir.path().join("messages.jsonl"));
    let mut text = format!("[detect]\nmodel = \"{}\"\nclasses = [\"person\"]\n", model.display());
    text += "[camera.clip]\nsource = \"test:ball\"\n";
    for (name, Line { points, directions, .. }) in &vtest().lines {
        let points: Vec<_> = points.iter().map(|(x, y)| [x, y]).collect();
        text += &format!("[camera.clip.line.{name}]\npoints = {points:?}\ndirections = {directions:?}\n");
    }
    std::fs::write(&config, text).expect("written");
    let paths = [&clip, &config, &out].map(|path| path.display().to_string());
    let ran = peregrine(&["replay", &paths[0], "--config", &paths[1], "--camera", "clip", "--out", &paths[2]]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));

    let mut told = BTreeMap::<_, Vec<u64>>::new();
    for message in std::fs::read_to_string(&out).expect("messages").lines() {
        let message: Value = serde_json::from_str(message).expect("JSON Lines");
        let event = &message["payload"];
        if event["event"] == "crossed" {
            let word = |key: &str| event[key].as_str().expect("a word").to_owned();
            told.entry((word("line"), word("direction"))).or_default().extend(event["frame_seq"].as_u64());
        }
    }
    println!("vtest, the whole pipeline: {told:?}");
    assert_as_seen(&told);
}

#[test]
fn with_detected_and_tracked_people_the_counts_on_vtest_are_nearly_right() {
    let Some(path) = shared("data/mot/PETS09-S2L1/det.txt") else { return };
    let mut tracker = Tracker::new(TrackSettings { max_age_frames: 10, min_hits: 3, iou: 0.3 });
    let detected = frames_of(&path);
    let mut tracks = Vec::new();
    for frame in &detected {
        let boxes = frame.iter().map(|(_, bbox)| Detection { bbox: *bbox, class: 0, score: 0.9 });
        let update = tracker.update(&boxes.collect::<Vec<_>>());
        tracks.push(update.seen.iter().map(|t| (t.id, t.bbox)).collect());
    }
    let told = crossings(&played(&vtest(), &tracks));
    println!("vtest, detections and SORT: {told:?}");
    for (which, seen) in &truth() {
        let told = told.get(which).map_or(0, Vec::len);
        assert!(told.abs_diff(seen.len()) <= 1, "{which:?}: {told} told, {} seen", seen.len());
    }
}

/// What `supervision` says; None where the Python at hand does not have it.
fn oracle(polygon: &[(f64, f64)], line: &[(f64, f64)], frames: &[Seen]) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules_oracle.py");
    let has_it = Command::new(python()).args(["-W", "ignore", "-c", "import supervision"]).output();
    if !has_it.is_ok_and(|out| out.status.success()) {
        eprintln!(
            "skipped: PEREGRINE_PYTHON names no Python with the packages of tests/requirements.txt (scripts/test.sh makes one)"
        );
        return None;
    }
    let px = |points: &[(f64, f64)]| -> Vec<[f64; 2]> {
        points.iter().map(|(x, y)| [x * f64::from(SIZE_PX.0), y * f64::from(SIZE_PX.1)]).collect()
    };
    let row = |(id, b): &(u64, Rect)| json!([id, b.x1, b.y1, b.x2, b.y2]);
    let frames: Vec<Vec<Value>> = frames.iter().map(|seen| seen.iter().map(row).collect()).collect();
    let story = json!({ "size": [SIZE_PX.0, SIZE_PX.1], "polygon": px(polygon), "line": px(line), "frames": frames });
    let mut child = Command::new(python())
        .args(["-W", "ignore", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    child.stdin.take().expect("piped").write_all(story.to_string().as_bytes()).expect("it listens");
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "the oracle failed");
    Some(serde_json::from_slice(&out.stdout).expect("JSON"))
}

/// A person of 20 by 60 pixels whose feet are there.
fn feet(id: u64, x: f64, y: f64) -> (u64, Rect) {
    (id, Rect::new(x as f32 - 10.0, y as f32 - 60.0, x as f32 + 10.0, y as f32))
}

/// Numbers that look drawn by lot, the same ones every time.
fn lots(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn who_is_in_a_concave_zone_and_who_crosses_a_line_is_what_supervision_says_where_it_is_right() {
    // Corners on whole pixels: the oracle cuts fractions off.
    let polygon: Vec<(f64, f64)> = [
        (96.0, 96.0),
        (672.0, 96.0),
        (672.0, 480.0),
        (480.0, 480.0),
        (480.0, 240.0),
        (288.0, 240.0),
        (288.0, 480.0),
        (96.0, 480.0),
    ]
    .into_iter()
    .map(|(x, y)| (x / 768.0, y / 576.0))
    .collect();
    let gate = [(0.5, 0.0), (0.5, 1.0)];
    let mut lot = lots(7);
    // Each stands somewhere else in every frame, clear of every border: there both mean the same.
    let clear = |v: f64, step: f64| (v / step).floor() * step + step / 2.0;
    let frames: Vec<Seen> = (0..400)
        .map(|_| (1..=5).map(|id| feet(id, clear(lot() * 768.0, 32.0), clear(lot() * 576.0, 32.0))).collect())
        .collect();
    let Some(said) = oracle(&polygon, &gate, &frames) else { return };
    let zone = Zone {
        points: polygon,
        classes: Vec::new(),
        anchor: Anchor::BottomCenter,
        dwell: None,
        crowd: None,
        occupancy: false,
        settle: Duration::ZERO,
        snapshot: false,
    };
    let camera = Camera { zones: BTreeMap::from([("u".to_owned(), zone)]), ..clip() };
    let told = played(&camera, &frames);
    let mut inside = std::collections::BTreeSet::new();
    for (seq, expected) in said["inside"].as_array().expect("frames").iter().enumerate() {
        for event in told.iter().filter(|event| event.frame_seq == Some(seq as u64)) {
            let id = event.subject.as_ref().expect("somebody").track_id;
            if event.what.kind() == "entered" {
                inside.insert(id)
            } else {
                inside.remove(&id)
            };
        }
        let expected: std::collections::BTreeSet<u64> =
            expected.as_array().expect("numbers").iter().filter_map(Value::as_u64).collect();
        assert_eq!(inside, expected, "frame {seq}");
    }
    // Whoever changes sides stays there for half a second: long enough for a hold, and both count the same crossings.
    let slow: Vec<Seen> = frames.iter().flat_map(|seen| std::iter::repeat_n(seen.clone(), 5)).collect();
    let said = oracle(&[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)], &gate, &slow).expect("it was there before");
    let camera = Camera { lines: BTreeMap::from([("gate".to_owned(), line(&gate))]), ..clip() };
    let told = crossings(&played(&camera, &slow));
    let count = |direction: &str| told.get(&("gate".to_owned(), direction.to_owned())).map_or(0, Vec::len) as u64;
    let mut ours = [count("there"), count("back")];
    let mut theirs = [said["in"].as_u64().expect("a number"), said["out"].as_u64().expect("a number")];
    println!("five people in 400 places: {ours:?} crossings, supervision counts {theirs:?}");
    assert!(ours[0] > 300, "{ours:?}");
    // Which of its two is our first depends on its version; that both are right is what counts.
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

/// `LineZone` compares sides, within a strip as wide as the line is long. It is no judge of these stories, and ours differ on purpose.
#[test]
fn where_supervision_counts_what_did_not_happen_we_do_not() {
    let short = [(0.5, 0.25), (0.5, 0.75)];
    let at = |x: f64, y: f64| vec![feet(1, x * 768.0, y * 576.0)];
    let rest = |x: f64, y: f64| std::iter::repeat_n(at(x, y), 8);
    let around: Vec<Seen> = (0..=20)
        .map(|i| at(0.4, 0.5 + f64::from(i) * 0.02))
        .chain((0..=20).map(|i| at(0.4 + f64::from(i) * 0.01, 0.9)))
        .chain((0..=20).map(|i| at(0.6, 0.9 - f64::from(i) * 0.02)))
        .collect();
    let trembles: Vec<Seen> = rest(0.4, 0.5)
        .chain((0..40).map(|i| at(if i % 2 == 0 { 0.4985 } else { 0.5015 }, 0.5)))
        .chain(rest(0.4, 0.5))
        .collect();
    let jumps: Vec<Seen> = rest(0.45, 0.7).chain(rest(0.55, 0.78)).collect();
    for (name, story, happened) in [
        ("walks around the end", around, 0),
        ("trembles on the line", trembles, 0),
        ("leaves the strip with one step", jumps, 1),
    ] {
        let camera = Camera { lines: BTreeMap::from([("gate".to_owned(), line(&short))]), ..clip() };
        let ours: usize = crossings(&played(&camera, &story)).values().map(Vec::len).sum();
        assert_eq!(ours, happened, "{name}");
        let Some(said) = oracle(&[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)], &short, &story) else { continue };
        let theirs = said["in"].as_u64().unwrap_or_default() + said["out"].as_u64().unwrap_or_default();
        println!("{name}: {ours} told, supervision counts {theirs}");
        assert_ne!(theirs, happened as u64, "{name}: supervision is right now; it may be the judge");
    }
}
