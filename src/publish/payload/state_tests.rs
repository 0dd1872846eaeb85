//! States are held to their own schemas, and the schemas to the code; see `payload_tests.rs`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::publish::samples;
use crate::runtime::environment;
use crate::types::{CameraId, Captured};

fn at(secs: u64) -> Captured {
    samples::captured(Duration::from_secs(secs))
}

fn yard() -> CameraId {
    CameraId::from("yard")
}

fn line_of(counts: &[(&str, &[(&str, u64)])]) -> LineState {
    let of = |classes: &[(&str, u64)]| classes.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
    let counts = counts.iter().map(|(direction, classes)| ((*direction).to_owned(), of(classes))).collect();
    LineState { camera: yard(), line: "way".to_owned(), counts, since: at(0), last: Some(at(42)) }
}

fn health(delivered_fps: f64, latency_p99_ms: Option<f64>) -> State {
    State::Camera(CameraHealth { camera: yard(), delivered_fps, analysed_fps: 12.5, latency_p99_ms, at: at(60) })
}

fn device(warmest: Option<(String, i64)>) -> State {
    State::Device(DeviceHealth { warmest, events_waiting: 7, budget: (2, 8), uptime_secs: 60, at: at(60) })
}

fn examples() -> [(&'static str, State); 5] {
    [
        ("zone state", State::Zone(ZoneState { camera: yard(), zone: "door".to_owned(), count: 2, since: at(5) })),
        ("line state", State::Line(line_of(&[("in", &[("car", 2), ("person", 3)]), ("out", &[])]))),
        ("detection state", State::Detection(DetectionState { camera: yard(), enabled: true, since: at(0) })),
        ("camera health", health(25.0, Some(183.2))),
        ("device health", device(Some(("cpu-thermal".to_owned(), 61_500)))),
    ]
}

/// For docs/mqtt.md, see `payload_tests.rs`.
pub(in crate::publish::payload) fn messages() -> impl Iterator<Item = (&'static str, Message)> {
    examples().into_iter().map(|(name, state)| (name, rendered(&state)))
}

fn rendered(state: &State) -> Message {
    render_state(state, "gate", "peregrine")
}

/// Parses a message after holding it to its schema.
fn valid(message: &Message) -> Value {
    let file = format!("{}.schema.json", message.kind.as_str().replace('_', "-"));
    let (_, schema) = schemas().into_iter().find(|(name, _)| *name == file).expect("every state has a schema");
    let body: Value = serde_json::from_slice(&message.body).expect("JSON");
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema.to_value()).expect("the schema is a schema");
    let errors: Vec<String> = validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{body:#}\n{errors:#?}");
    body
}

fn hold_current(file: &str, want: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if environment::var("PEREGRINE_WRITE").is_some() {
        std::fs::write(&path, want).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == want, "docs/{file} is stale; run the tests once with PEREGRINE_WRITE=1");
}

#[test]
fn the_schemas_of_states_in_docs_are_current() {
    for (file, schema) in schemas() {
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        hold_current(&format!("schemas/{file}"), &text);
    }
}

#[test]
fn every_state_is_retained_and_sent_in_the_same_bytes_each_time() {
    for (name, state) in examples() {
        let message = rendered(&state);
        assert_eq!((message.retain, message.qos, message.expires_secs), (true, Qos::AtLeastOnce, None), "{name}");
        assert_eq!(message, rendered(&state));
        assert!(!String::from_utf8_lossy(&message.body).contains("age_ms"), "{name}");
    }
}

#[test]
fn an_empty_zone_is_not_occupied_and_a_direction_that_nobody_took_counts_zero() {
    let empty = State::Zone(ZoneState { camera: yard(), zone: "door".to_owned(), count: 0, since: at(0) });
    let body = valid(&rendered(&empty));
    assert_eq!((&body["occupied"], &body["count"]), (&false.into(), &0.into()));
    let body = valid(&rendered(&State::Line(line_of(&[("in", &[("car", 2), ("person", 3)]), ("out", &[])]))));
    assert_eq!((&body["directions"]["in"]["total"], &body["directions"]["out"]["total"]), (&5.into(), &0.into()));
}

#[test]
fn what_could_not_be_measured_is_null_and_no_number_makes_an_invalid_message() {
    assert_eq!(valid(&rendered(&device(None)))["temperature_celsius"], Value::Null);
    assert_eq!(valid(&rendered(&health(25.04, None)))["latency_p99_ms"], Value::Null);
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        valid(&rendered(&health(odd, Some(odd))));
    }
}
