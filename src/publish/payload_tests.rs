//! Payloads are held to their own schemas, and the schemas and docs/mqtt.md to the code. `PEREGRINE_WRITE=1 cargo test --lib publish`
//! writes both anew.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::publish::samples;
use crate::runtime::environment;
use crate::types::{EngineState, Readings, Rect, What};

const WRITE: &str = "PEREGRINE_WRITE";

fn docs(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(file)
}

/// Holds a generated file to what it should be, or writes it if that is asked for.
fn hold_current(path: &PathBuf, want: &str) {
    if environment::var(WRITE).is_some() {
        std::fs::write(path, want).expect("the file can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == want, "{} is stale; run the tests once with {WRITE}=1", path.display());
}

fn at(ms: u64) -> Captured {
    samples::captured(Duration::from_millis(ms))
}

fn schema_of(kind: Kind) -> Value {
    let file = format!("{}.schema.json", kind.as_str().replace('_', "-"));
    let (_, schema) =
        schemas().into_iter().chain(state_schemas()).find(|(name, _)| *name == file).expect("every kind has a schema");
    schema.to_value()
}

/// Parses a message after holding it to its schema.
fn valid(message: &Message) -> Value {
    let body: Value = serde_json::from_slice(&message.body).expect("JSON");
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema_of(message.kind))
        .expect("the schema is a schema");
    let errors: Vec<String> = validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{body:#}\n{errors:#?}");
    body
}

fn examples() -> [(&'static str, Message); 13] {
    let now = at(5_120);
    let publish = |report: &Report| render(report, "gate", "peregrine", now);
    let event = |camera, what| render_event(&samples::stored(7, camera, what), "gate", "peregrine");
    let track = |phase| samples::track_of("yard", samples::uid(1), phase, Duration::from_millis(5_040));
    [
        ("detections", publish(&samples::sighting("yard", Duration::from_millis(5_040)))),
        ("tracks", publish(&track(TrackPhase::Update))),
        ("camera status", publish(&samples::camera("yard", CameraState::Streaming, Duration::from_millis(120)))),
        ("engine status", publish(&samples::engine(EngineState::Degraded, Duration::from_millis(3_000)))),
        ("event", event(Some("yard"), What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() })),
        ("event left", event(Some("yard"), What::Left { zone: "door".to_owned(), inside_ms: 12_400 })),
        ("event lost", event(None, What::Lost { count: 1_250, alerts: 0, reason: "the disk is full".to_owned() })),
        ("event budget", event(None, samples::budget_step())),
        ("alert", render_alert(&samples::stored(8, Some("yard"), samples::raised("red_car")), "gate", "peregrine")),
        ("device online", render_presence(Presence::Online(at(0)), "gate", "peregrine")),
        ("device stopped", render_presence(Presence::Stopped(at(9_000)), "gate", "peregrine")),
        ("telemetry", render_telemetry(&samples::readings(), at(10_000), "gate", "peregrine")),
        ("device vanished", render_presence(Presence::Vanished, "gate", "peregrine")),
    ]
}

#[test]
fn the_schemas_in_docs_are_current() {
    for (file, schema) in schemas() {
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        hold_current(&docs("schemas").join(file), &text);
    }
}

#[test]
fn the_examples_in_docs_are_current_and_valid() {
    let path = docs("mqtt.md");
    let mut text = std::fs::read_to_string(&path).expect("docs/mqtt.md is there");
    for (name, message) in examples().into_iter().chain(state::tests::messages()) {
        let begin = format!("<!-- example: {name} -->\n");
        let from = text.find(&begin).unwrap_or_else(|| panic!("docs/mqtt.md has no {begin}")) + begin.len();
        let until = from + text[from..].find("<!-- end -->").expect("an example has an end");
        let mut body = valid(&message);
        // The version changes with every release; the documentation need not.
        if let Some(version) = body.get_mut("version") {
            *version = "0.1.0".into();
        }
        let fresh = format!("`{}`\n\n```json\n{body:#}\n```\n", message.topic);
        text.replace_range(from..until, &fresh);
    }
    hold_current(&path, &text);
}

#[test]
fn detections_say_what_was_seen_where_and_when() {
    let [(_, message), ..] = examples();
    assert_eq!(message.topic, "peregrine/gate/camera/yard/detections");
    assert_eq!((message.qos, message.retain, message.expires_secs), (Qos::AtMostOnce, false, Some(10)));
    let body = valid(&message);
    assert_eq!(body["schema"], 1);
    assert_eq!(body["seq"], 1042);
    assert_eq!(body["captured_at"], "2026-03-01T12:00:05.040Z");
    assert_eq!(body["age_ms"], 80);
    let first = &body["detections"][0];
    assert_eq!((&first["class"], &first["score"]), (&"person".into(), &0.9134.into()));
    assert_eq!(first["box"], serde_json::json!({"x1": 0.25, "y1": 0.25, "x2": 0.5, "y2": 0.75}));
    assert_eq!(first["box_px"], serde_json::json!({"x1": 320.0, "y1": 180.0, "x2": 640.0, "y2": 540.0}));
    let at_the_edge = &body["detections"][1]["box_px"];
    assert_eq!((&at_the_edge["x1"], &at_the_edge["y2"]), (&0.0.into(), &720.0.into()));
}

#[test]
fn readings_are_told_in_watts_volts_degrees_and_percent_and_what_there_is_not_is_null() {
    let message = render_telemetry(&samples::readings(), at(10_000), "gate", "peregrine");
    assert_eq!(
        (message.qos, message.retain, message.topic.as_str()),
        (Qos::AtMostOnce, false, "peregrine/gate/telemetry")
    );
    let body = valid(&message);
    assert_eq!((&body["power"]["total_watts"], &body["power"]["total_of"]), (&4.785.into(), &"input".into()));
    assert_eq!(body["temperatures"][0], serde_json::json!({"sensor": "cpu-thermal", "celsius": 51.187}));
    assert_eq!((&body["cpu"]["busy_percent"], &body["gpus"][0]["busy_percent"]), (&37.5.into(), &88.0.into()));
    let body = valid(&render_telemetry(&Readings::default(), at(0), "gate", "peregrine"));
    assert_eq!(
        (&body["power"]["total_watts"], &body["memory"], &body["mode"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn every_step_of_a_track_is_valid_and_carries_its_identity() {
    for (phase, name) in [(TrackPhase::New, "new"), (TrackPhase::Update, "update"), (TrackPhase::End, "end")] {
        let report = samples::track_of("yard", samples::uid(3), phase, Duration::from_secs(2));
        let message = render(&report, "gate", "peregrine", at(2_000));
        assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, false));
        let track = &valid(&message)["track"];
        assert_eq!(track["phase"], name);
        assert_eq!(track["uid"], samples::uid(3).to_string());
        assert_eq!(track["first_seen_at"], "2026-03-01T12:00:00.760Z");
        assert_eq!(track["labels"][0]["value"], "red");
    }
}

#[test]
fn every_event_is_valid_and_one_without_its_fields_is_not() {
    let validator = jsonschema::validator_for(&schema_of(Kind::Event)).expect("a schema");
    for what in samples::every_what() {
        let has_fields = !matches!(what, What::Appeared | What::Stopped);
        let mut body = valid(&render_event(&samples::stored(1, Some("yard"), what), "gate", "peregrine"));
        let fields = body.as_object_mut().expect("an object");
        for own in ["zone", "line", "alert", "count", "present_ms", "stopped_ms", "rung"] {
            fields.remove(own);
        }
        assert_eq!(validator.is_valid(&body), !has_fields, "{body:#}");
    }
}

#[test]
fn an_open_alert_is_valid_and_its_end_deletes_it() {
    let of = |what| render_alert(&samples::stored(1, Some("yard"), what), "gate", "peregrine");
    let (raised, over) = (of(samples::raised("red_car")), of(samples::cleared("red_car")));
    assert_eq!(valid(&raised)["state"], "raised");
    assert!(raised.retain && over.retain && over.body.is_empty());
    assert_eq!(raised.topic, over.topic);
}

#[test]
fn every_engine_state_is_valid_and_retained() {
    for state in EngineState::ALL {
        let message = render(&samples::engine(state, Duration::ZERO), "gate", "peregrine", at(1_500));
        assert_eq!(message.topic, "peregrine/gate/engine/detect");
        assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, true));
        let body = valid(&message);
        assert_eq!((&body["state"], &body["age_ms"]), (&state.as_str().into(), &1_500.into()));
        assert_eq!(body["reason"] == "", state == EngineState::Ok);
    }
}

#[test]
fn every_camera_state_is_valid_and_retained() {
    for state in CameraState::ALL {
        let Report::Camera(mut status) = samples::camera("yard", state, Duration::ZERO) else { unreachable!() };
        status.size_px = None;
        status.reason = "no route to host".to_owned();
        let message = render(&Report::Camera(status), "gate", "peregrine", at(1_500));
        assert!(message.retain);
        let body = valid(&message);
        assert_eq!((&body["state"], &body["frame"]), (&state.as_str().into(), &Value::Null));
        assert_eq!(body["age_ms"], 1500);
    }
}

#[test]
fn birth_and_last_will_meet_on_one_retained_topic() {
    let online = render_presence(Presence::Online(at(0)), "gate", "peregrine");
    let will = render_presence(Presence::Vanished, "gate", "peregrine");
    assert_eq!(online.topic, will.topic);
    assert!(online.retain && will.retain);
    assert_eq!(valid(&online)["state"], "online");
    let body = valid(&will);
    assert_eq!((&body["state"], &body["since"]), (&"offline".into(), &Value::Null));
}

#[test]
fn times_beyond_the_calendar_are_written_as_the_nearest_that_can_be() {
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(rfc3339(epoch - Duration::from_secs(5)), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(epoch), "1970-01-01T00:00:00.000Z");
    let far = epoch + Duration::from_secs(1 << 50);
    assert!(rfc3339(far).starts_with("9999-12-"), "{}", rfc3339(far));
}

proptest! {
    #[test]
    fn no_box_score_or_time_makes_an_invalid_message(
        corners in [any::<f32>(), any::<f32>(), any::<f32>(), any::<f32>()],
        score in any::<f32>(),
        size in (any::<u32>(), any::<u32>()),
        wall_secs in any::<i32>(),
        age in any::<u32>(),
        name in any::<String>(),
    ) {
        let Report::Sighting(mut sighting) = samples::sighting(&name, Duration::from_millis(age.into())) else { unreachable!() };
        let [x1, y1, x2, y2] = corners;
        sighting.detections[0].bbox = Rect::new(x1, y1, x2, y2);
        sighting.detections[0].score = score;
        sighting.detections[0].class = u16::MAX;
        (sighting.width_px, sighting.height_px) = size;
        let shift = Duration::from_secs(wall_secs.unsigned_abs().into());
        let epoch = SystemTime::UNIX_EPOCH;
        sighting.captured.wall = if wall_secs < 0 { epoch - shift } else { epoch + shift };
        let body = valid(&render(&Report::Sighting(sighting), &name, "p", at(0)));
        for corner in ["x1", "y1", "x2", "y2"] {
            let share = body["detections"][0]["box"][corner].as_f64().expect("a number");
            prop_assert!((0.0..=1.0).contains(&share), "{}", share);
        }
    }
}
