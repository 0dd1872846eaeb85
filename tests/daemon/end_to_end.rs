//! From pictures to messages, through the whole daemon.

use std::path::Path;
use std::time::Duration;

use peregrine::annotate::{self, VideoWriter};
use peregrine::pixels::Cover;
use peregrine::types::{Pixels, RgbImage};

use super::{config, test_camera};
use crate::support::{Broker, Daemon, Message, data, peregrine, shared};

/// Checks a message against the schema of its topic in docs/schemas.
pub(super) fn validate(message: &Message) {
    let kind = match message.topic.rsplit('/').next() {
        Some("detections") => "detections",
        Some("tracks") => "tracks",
        Some("events") => "event",
        Some("status") if message.topic.contains("/camera/") => "camera-status",
        Some("status") => "device-status",
        Some("telemetry") => "telemetry",
        Some("detection") => "detection-state",
        Some(_) if message.topic.contains("/engine/") => "engine-status",
        Some(_) if message.topic.contains("/alert/") => "alert",
        other => panic!("unknown topic {other:?}"),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{kind}.schema.json"));
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(file).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&message.body).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{}: {errors:?} in {}", message.topic, message.body);
}

#[test]
fn a_camera_s_objects_are_detected_tracked_labelled_and_published() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let classifier = format!(
        "[classify.vehicle]\nmodel = \"{}\"\nclasses = [\"car\"]\nmin_size_px = 1\n",
        data("tiny_classifier.onnx").display()
    );
    let mut daemon = Daemon::start(&config(&broker, &(test_camera("front") + &classifier)));
    daemon.running();

    let online = messages.next("the birth", |m| m.topic == "peregrine/box/status");
    assert_eq!(online.body["state"], "online");
    messages.next("streaming", |m| m.topic.ends_with("/front/status") && m.body["state"] == "streaming");
    let seen = messages.first("a sighting", |m| m.topic == "peregrine/box/camera/front/detections");
    let classes: Vec<_> =
        seen.body["detections"].as_array().expect("a list").iter().map(|d| d["class"].clone()).collect();
    assert_eq!(classes, ["person", "car"]);
    let person = messages.first("a person", |m| m.topic.ends_with("/tracks") && m.body["track"]["class"] == "person");
    assert_eq!(person.body["track"]["phase"], "new");
    // 64x64 input over 320x240: scale 0.2, 8 px of padding above and below; the middle stays the middle.
    let bbox = &person.body["track"]["box_px"];
    let near = |key: &str, want: f64| {
        let got = bbox[key].as_f64().unwrap_or_else(|| panic!("{key} in {bbox}"));
        assert!((got - want).abs() < 2.0, "{key}: {got}, not {want}");
    };
    for (key, want) in [("x1", 120.0), ("y1", 60.0), ("x2", 200.0), ("y2", 180.0)] {
        near(key, want);
    }
    let car = messages.next("a labelled car", |m| {
        m.topic.ends_with("/tracks")
            && m.body["track"]["class"] == "car"
            && !m.body["track"]["labels"].as_array().is_none_or(Vec::is_empty)
    });
    assert!(car.body["track"]["labels"].to_string().contains("vehicle"), "{}", car.body);
    messages.all().iter().for_each(validate);

    let (status, _) = daemon.get("/healthz");
    assert_eq!(status, 200);
    assert_eq!(daemon.get("/readyz").0, 200);
    assert!(daemon.metric("peregrine_camera_frames_total{camera=\"front\"}").is_some_and(|n| n > 0.0));
}

#[test]
fn tracks_end_when_their_camera_does() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let clip = dir.path().join("clip.mp4");
    let image = RgbImage { width_px: 160, height_px: 120, data: vec![90; 160 * 120 * 3] };
    let mut writer = VideoWriter::create(&clip).expect("an encoder");
    for i in 0..10 {
        let canvas = annotate::draw(&image.view(), &Cover::default(), &[], "clip");
        writer.write(&canvas, Duration::from_millis(100 * i)).expect("written");
    }
    writer.finish().expect("finished");
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let camera = format!("[ingest]\nstall_ms = 1000\n[camera.clip]\nsource = \"file://{}\"\n", clip.display());
    let mut daemon = Daemon::start(&config(&broker, &camera));
    daemon.running();
    messages.first("the clip's end", |m| m.topic.ends_with("/clip/status") && m.body["state"] == "ended");
    for class in ["person", "car"] {
        let is_end = |m: &Message| m.body["track"]["phase"] == "end" && m.body["track"]["class"] == class;
        messages.first("a track's end", is_end);
    }
    // Every frame has gone somewhere, and it is known where.
    let count = |name: &str, more: &str| {
        let metric = format!("peregrine_camera_{name}{{camera=\"clip\"{more}}}");
        daemon.metric(&metric).unwrap_or_else(|| panic!("no {metric} in {}", daemon.get("/metrics").1))
    };
    let displaced = |reason: &str| count("frames_displaced_total", &format!(",reason=\"{reason}\""));
    let known = count("frames_analysed_total", "")
        + count("frames_failed_total", "")
        + displaced("ring")
        + displaced("stopped");
    assert_eq!(count("frames_total", ""), known);
    assert_eq!(count("tracks_active", ""), 0.0);
}

#[test]
fn a_wrong_model_or_configuration_exits_78_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("peregrine.toml");
    let try_with = |config: &str| {
        std::fs::write(&file, config).expect("written");
        let out = peregrine(&["run", "--config", file.to_str().expect("UTF-8")]);
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = try_with("[detect]\nmodel = \"no_such_model\"\n[api]\nenabled = false\n");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("detect.model") && said.contains("no_such_model"), "{said}");
    let model = data("tiny_detector.onnx").display().to_string();
    let strange = format!("[detect]\nmodel = \"{model}\"\nclasses = [\"persn\"]\n[api]\nenabled = false\n");
    let (code, said) = try_with(&strange);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("detect") && said.contains("persn") && said.contains("person"), "{said}");
    assert_eq!(said.matches("persn").count(), 1, "the cause is said once: {said}");
    let checked = peregrine(&["check", "--config", file.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(78), "what run refuses, check refuses: {said}");
    assert!(said.contains("detect.classes") && said.contains("persn"), "{said}");
    let (code, said) = try_with("[camera.front]\nsource = \"gopher://x\"\ncolour = 3\n[detect]\nconfidence = 7\n");
    assert_eq!(code, Some(78), "{said}");
    for key in ["camera.front.source", "camera.front.colour", "detect.confidence"] {
        assert!(said.contains(key), "{key} is not named in: {said}");
    }
}

#[test]
fn people_of_a_real_clip_are_tracked_and_every_message_keeps_its_schema() {
    let (Some(clip), Some(model)) = (shared("data/video/vtest.avi"), shared("models/yolov8n_320.onnx")) else { return };
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let camera = format!("classes = [\"person\"]\n[camera.street]\nsource = \"file://{}\"\n", clip.display());
    let config = config(&broker, &camera)
        .replace(&data("tiny_detector.onnx").display().to_string(), &model.display().to_string());
    let mut daemon = Daemon::start(&config);
    daemon.running();
    for _ in 0..3 {
        let person = messages.next("a person", |m| m.topic.ends_with("/tracks") && m.body["track"]["phase"] == "new");
        assert_eq!(person.body["track"]["class"], "person");
    }
    messages.all().iter().for_each(validate);
}

#[test]
fn a_password_in_the_configuration_is_nowhere_else() {
    const CANARY: &str = "c4nary-s3cret";
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let port = crate::support::free_port();
    let camera = format!(
        "[camera.gone]\nsource = \"rtsp://user:{CANARY}@127.0.0.1:{port}/s?password={CANARY}\"\n[log]\nlevel = \"trace\"\n"
    );
    let mut daemon = Daemon::start(&config(&broker, &camera));
    messages.next("a failure", |m| m.topic.ends_with("/gone/status") && m.body["state"] == "failed");
    daemon.running();
    let cmdline = std::fs::read_to_string(format!("/proc/{}/cmdline", daemon.process.pid())).expect("it runs");
    let environ = std::fs::read_to_string(format!("/proc/{}/environ", daemon.process.pid())).expect("it runs");
    let heard: String = messages.all().iter().map(|m| m.body.to_string()).collect();
    for (where_, text) in [
        ("its arguments", cmdline),
        ("its environment", environ),
        ("its log", daemon.process.output()),
        ("a message", heard),
        ("/metrics", daemon.get("/metrics").1),
        ("/stats", daemon.get("/stats").1),
    ] {
        assert!(!text.contains(CANARY), "the password stands in {where_}: {text}");
    }
}
