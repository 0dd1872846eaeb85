//! Home Assistant's own schemas and templates over what we announce: every entity is taken as it stands, and reads our messages right.
//!
//! Needs a Python that has the packages of tests/requirements-ha.txt, named by PEREGRINE_HA_PYTHON; skipped with a line elsewhere.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use peregrine::publish::homeassistant::{Camera, Orders, Site};
use peregrine::publish::payload::{Message, Presence, render, render_presence, render_state};
use peregrine::publish::states::{CameraHealth, DetectionState, DeviceHealth, LineState, State, ZoneState};
use peregrine::types::{CameraId, CameraState, CameraStatus, Captured, EngineState, EngineStatus, Report};
use serde_json::{Value, json};

/// 2026-03-01T12:00:00Z.
const THEN_SECS: u64 = 1_772_366_400;

fn at() -> Captured {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN_SECS);
    Captured { mono: Duration::from_secs(5), wall, wall_synced: true }
}

fn yard() -> CameraId {
    Arc::from("yard")
}

fn site() -> Site {
    let lines = vec![("way".to_owned(), vec!["in".to_owned(), "it's \"out\"".to_owned()])];
    Site {
        prefix: "site/north".to_owned(),
        discovery_prefix: "homeassistant".to_owned(),
        device: "gate".to_owned(),
        stages: vec!["detect".to_owned(), "classify.vehicle".to_owned()],
        alerts: vec!["intruder".to_owned(), "quiet".to_owned()],
        cameras: vec![
            Camera { name: "yard".to_owned(), zones: vec!["door".to_owned()], lines, snapshots: true },
            Camera { name: "hall".to_owned(), ..Camera::default() },
        ],
        orders: Orders { detection: true, snapshot: true, reload: true },
    }
}

fn camera_in(state: CameraState) -> Message {
    let status =
        CameraStatus { camera: yard(), state, since: at(), reason: "no route to host".to_owned(), size_px: None };
    render(&Report::Camera(status), "gate", "site/north", at())
}

/// A message on each topic, as the daemon sends it.
fn states() -> Vec<Message> {
    let counts = [("in", [("car", 2), ("person", 3)].as_slice()), ("it's \"out\"", &[])];
    let counts = counts.map(|(d, classes)| {
        (d.to_owned(), classes.iter().map(|(class, count)| ((*class).to_owned(), *count)).collect())
    });
    let of_us = [
        State::Zone(ZoneState { camera: yard(), zone: "door".to_owned(), count: 2, since: at() }),
        State::Line(LineState {
            camera: yard(),
            line: "way".to_owned(),
            counts: counts.into(),
            since: at(),
            last: None,
        }),
        State::Detection(DetectionState { camera: yard(), enabled: false, since: at() }),
        State::Camera(CameraHealth {
            camera: yard(),
            delivered_fps: 25.04,
            analysed_fps: 12.5,
            latency_p99_ms: None,
            at: at(),
        }),
        State::Device(DeviceHealth {
            warmest: Some(("cpu-thermal".to_owned(), 61_500)),
            events_waiting: 7,
            budget: (2, 8),
            uptime_secs: 60,
            at: at(),
        }),
    ];
    let engine = EngineStatus {
        stage: "detect".to_owned(),
        model: "yolov8n".to_owned(),
        engine: "int8".to_owned(),
        state: EngineState::Degraded,
        since: at(),
        reason: "the GPU did not answer".to_owned(),
    };
    let mut all: Vec<Message> = of_us.iter().map(|s| render_state(s, "gate", "site/north")).collect();
    all.push(camera_in(CameraState::Stalled));
    all.push(render(&Report::Engine(engine), "gate", "site/north", at()));
    all.push(render_presence(Presence::Online(at()), "gate", "site/north"));
    all
}

fn as_json(message: &Message) -> Value {
    json!({"topic": message.topic, "payload": String::from_utf8_lossy(&message.body)})
}

/// What Home Assistant makes of these announcements and messages; None where it is not at hand.
fn asked(site: &Site, states: &[Value]) -> Option<Value> {
    let Some(python) = peregrine::runtime::environment::var("PEREGRINE_HA_PYTHON") else {
        eprintln!("skipped: PEREGRINE_HA_PYTHON names no Python with tests/requirements-ha.txt");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/homeassistant_check.py");
    let announcements: Vec<Value> = site.announce().iter().map(as_json).collect();
    let question = json!({"announcements": announcements, "states": states, "values": ["on", "off"]});
    let mut child = Command::new(&python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{python}: {e}"));
    child.stdin.take().expect("a pipe").write_all(question.to_string().as_bytes()).expect("written");
    let out = child.wait_with_output().expect("its end");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{python} (PEREGRINE_HA_PYTHON): {told}");
    Some(serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {told}")))
}

#[test]
fn home_assistant_takes_every_entity_and_reads_our_messages_right() {
    let mut given: Vec<Value> = states().iter().map(as_json).collect();
    let event = r#"{"schema":1,"type":"event","event":"crossed","id":"x","line":"way","direction":"in"}"#;
    given.push(json!({"topic": "site/north/gate/camera/yard/events", "payload": event}));
    given.push(
        json!({"topic": "site/north/gate/alert/intruder", "payload": r#"{"state":"raised","severity":"warning"}"#}),
    );
    given.push(json!({"topic": "site/north/gate/alert/quiet", "payload": ""}));
    let Some(answer) = asked(&site(), &given) else { return };
    assert_eq!(answer["problems"], json!([]), "{:#}", answer["problems"]);
    let state = |key: &str| answer["entities"][format!("site/north/gate/{key}")]["state"].clone();
    for (key, expected) in [
        ("connected", "ON"),
        ("temperature", "61.5"),
        ("events_waiting", "7"),
        ("budget_level", "2"),
        ("engine:detect", "ON"),
        ("alert:intruder", "ON"),
        ("alert:quiet", "OFF"),
        ("camera/yard/problem", "ON"),
        ("camera/yard/state", "stalled"),
        ("camera/yard/delivered_fps", "25.0"),
        ("camera/yard/latency_p99_ms", "None"),
        ("camera/yard/zone:door:occupied", "ON"),
        ("camera/yard/zone:door:count", "2"),
        ("camera/yard/line:way:in", "5"),
        ("camera/yard/line:way:it's \"out\"", "0"),
        ("camera/yard/detection", "off"),
    ] {
        assert_eq!(state(key), expected, "{key}");
    }
    let attributes = |key: &str| answer["entities"][format!("site/north/gate/{key}")]["attributes"].clone();
    assert_eq!(attributes("camera/yard/line:way:in"), json!({"car": 2, "person": 3}));
    assert_eq!(attributes("camera/yard/problem")["reason"], "no route to host");
    assert_eq!(attributes("alert:quiet"), json!({}));
    let event = state("camera/yard/events");
    let event: Value = serde_json::from_str(event.as_str().expect("a text")).expect("JSON");
    assert_eq!((&event["event_type"], &event["direction"]), (&json!("crossed"), &json!("in")));
}

#[test]
fn what_home_assistant_orders_is_what_an_order_has_to_be() {
    let Some(answer) = asked(&site(), &[]) else { return };
    let order = |key: &str, value: &str| -> Value {
        let text = &answer["entities"][format!("site/north/gate/{key}")]["orders"][value];
        serde_json::from_str(text.as_str().unwrap_or_else(|| panic!("{key}: {text}"))).expect("JSON")
    };
    let on = order("camera/yard/detection", "on");
    assert_eq!((&on["camera"], &on["on"]), (&json!("yard"), &json!(true)));
    assert_eq!(order("camera/yard/detection", "off")["on"], json!(false));
    assert_eq!(order("camera/yard/take_snapshot", "on")["camera"], "yard");
    for order in [on, order("reload", "on")] {
        let id = order["id"].as_str().expect("an id");
        assert!(id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c)), "{id}");
        assert!(order["issued_at"].as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()), "{order}");
    }
}

#[test]
fn a_camera_that_connects_again_neither_has_a_problem_nor_is_rid_of_it() {
    for (state, expected) in [
        (CameraState::Connecting, ""),
        (CameraState::Streaming, "OFF"),
        (CameraState::AuthFailed, "ON"),
        (CameraState::Stopped, "OFF"),
    ] {
        let Some(answer) = asked(&site(), &[as_json(&camera_in(state))]) else { return };
        assert_eq!(answer["entities"]["site/north/gate/camera/yard/problem"]["state"], expected, "{state:?}");
    }
}
