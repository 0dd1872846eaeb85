//! What others may ask of the daemon over the broker, and what it tells those who look in: orders and their answers, states, Home Assistant,
//! ONVIF. The tiny detector sees a person and, left of it, a car in every frame.

use std::process::Command;

use serde_json::{Value, json};

use super::{config, test_camera};
use crate::support::{Broker, Daemon, Message, Subscriber};

const RESULTS: &str = "/result";
/// A part of the picture in which both stand.
const MIDDLE: &str =
    "[camera.front.zone.middle]\npoints = [[0.1, 0.2], [0.8, 0.2], [0.8, 0.9], [0.1, 0.9]]\nsettle_ms = 0\n";
const COMMANDS: &str = "[commands]\nenabled = true\n";
const HOME_ASSISTANT: &str = "[homeassistant]\nenabled = true\nhealth_secs = 5\n";

fn publish(broker: &Broker, topic: &str, body: &str, more: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-t", topic, "-m", body]).args(more);
    assert!(command.status().expect("mosquitto_pub runs").success());
}

fn order(broker: &Broker, name: &str, id: &str, fields: &Value, more: &[&str]) {
    let mut order = json!({"id": id, "issued_at": jiff::Timestamp::now().to_string()});
    order.as_object_mut().expect("one").extend(fields.as_object().expect("fields").clone());
    publish(broker, &format!("peregrine/box/cmd/{name}"), &order.to_string(), more);
}

fn result(messages: &mut Subscriber, id: &str) -> Message {
    messages.first(&format!("the answer to {id}"), |m| m.topic.ends_with(RESULTS) && m.body["id"] == id)
}

fn of_front(message: &Message, what: &str) -> bool {
    message.topic == format!("peregrine/box/camera/front/{what}")
}

#[test]
fn detection_is_switched_off_and_on_by_orders_and_a_reload_does_not_forget_it() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let front = test_camera("front") + MIDDLE;
    let mut daemon = Daemon::start(&config(&broker, &format!("{front}{COMMANDS}{HOME_ASSISTANT}")));
    daemon.running();
    let zone = messages.first("the zone at the start", |m| of_front(m, "zone/middle"));
    assert_eq!((&zone.body["count"], &zone.body["occupied"]), (&json!(0), &json!(false)));
    messages.first("two in the zone", |m| of_front(m, "zone/middle") && m.body["count"] == 2);
    assert_eq!(messages.first("detection", |m| of_front(m, "detection")).body["state"], "on");

    order(&broker, "detection", "off-1", &json!({"camera": "front", "on": false}), &[]);
    let answer = result(&mut messages, "off-1");
    assert_eq!((&answer.body["ok"], &answer.body["error"]), (&json!(true), &Value::Null), "{answer:?}");
    messages.first("detection off", |m| of_front(m, "detection") && m.body["state"] == "off");
    let left =
        |m: &Message| of_front(m, "zone/middle") && m.body["count"] == 0 && m.body["since"] != zone.body["since"];
    messages.first("an empty zone: its tracks have ended", left);
    // The camera still delivers, and nothing is analysed.
    let idle = |m: &Message| {
        of_front(m, "health") && m.body["analysed_fps"] == 0.0 && m.body["delivered_fps"].as_f64() > Some(1.0)
    };
    messages.next("frames that nobody looks at", idle);
    assert!(daemon.metric("peregrine_camera_frames_displaced_total{camera=\"front\",reason=\"off\"}") > Some(1.0));

    daemon.write(&config(&broker, &format!("{}{COMMANDS}{HOME_ASSISTANT}", front.replace("fps = 10", "fps = 5"))));
    order(&broker, "reload", "reload-1", &json!({}), &[]);
    assert_eq!(result(&mut messages, "reload-1").body["ok"], true);
    messages.next("the camera of the new file", |m| of_front(m, "status") && m.body["state"] == "streaming");
    messages.next("still nobody looks", idle);

    order(&broker, "detection", "on-1", &json!({"camera": "front", "on": true}), &[]);
    messages.next("detections", |m| of_front(m, "detections"));
    assert_eq!(result(&mut messages, "on-1").body["ok"], true);
    messages.first("detection on", |m| of_front(m, "detection") && m.body["state"] == "on");
    messages.first("two again", |m| of_front(m, "zone/middle") && m.body["count"] == 2);
    let mut late = broker.subscribe("peregrine/#");
    late.next("who comes later is told", |m| of_front(m, "zone/middle") && m.body["count"] == 2);
}

#[test]
fn what_is_no_good_order_is_refused_with_the_reason_and_a_retained_one_is_passed_over() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    order(&broker, "detection", "kept", &json!({"camera": "front", "on": false}), &["-r"]);
    let good = config(&broker, &(test_camera("front") + COMMANDS));
    let mut daemon = Daemon::start(&good);
    daemon.running();

    order(&broker, "detection", "wrong", &json!({"camera": "fornt", "on": false}), &[]);
    let answer = result(&mut messages, "wrong");
    assert_eq!((&answer.body["ok"], &answer.body["error"]["code"]), (&json!(false), &json!("unknown_camera")));
    assert_eq!(answer.body["error"]["known"], json!(["front"]));
    order(&broker, "snapshot", "twice", &json!({"camera": "nowhere"}), &[]);
    assert_eq!(result(&mut messages, "twice").body["error"]["code"], "unknown_camera");

    daemon.write(&good.replace("fps = 10", "fpss = 10"));
    order(&broker, "reload", "bad-file", &json!({}), &[]);
    let answer = result(&mut messages, "bad-file");
    assert_eq!(answer.body["error"]["code"], "failed");
    assert!(answer.body["error"]["message"].as_str().is_some_and(|m| m.contains("camera.front.fpss")), "{answer:?}");
    order(&broker, "reload", "bad-file", &json!({}), &[]);
    let repeated = |m: &Message| m.topic.ends_with(RESULTS) && m.body["error"]["code"] == "repeated";
    messages.next("an id is good once", repeated);

    // Answers come in the order of the orders, and the retained one came first.
    let all = messages.all();
    assert!(!all.iter().any(|m| m.topic.ends_with(RESULTS) && m.body["id"] == "kept"));
    assert!(!all.iter().any(|m| of_front(m, "detection") && m.body["state"] == "off"));
}

#[test]
fn home_assistant_finds_what_there_is_again_after_its_start_and_no_more_what_went() {
    let broker = Broker::start();
    publish(
        &broker,
        "homeassistant/device/peregrine-box/cellar/config",
        r#"{"of": "an earlier configuration"}"#,
        &["-r"],
    );
    let mut found = broker.subscribe("#");
    let two = test_camera("front") + MIDDLE + &test_camera("yard");
    let file = |cameras: &str| config(&broker, &format!("{cameras}{COMMANDS}{HOME_ASSISTANT}"));
    let mut daemon = Daemon::start(&file(&two));
    daemon.running();
    let topic = |camera: &str| format!("homeassistant/device/peregrine-box/{camera}/config");
    let front = found.first("the camera", |m| m.topic == topic("front"));
    let switch = &front.body["components"]["detection"];
    assert_eq!(switch["state_topic"], "peregrine/box/camera/front/detection");
    assert_eq!(front.body["components"]["zone:middle:count"]["state_topic"], "peregrine/box/camera/front/zone/middle");
    found.first("the device", |m| m.topic == "homeassistant/device/peregrine-box/config");
    found.first("a camera of an earlier life is taken back", |m| m.topic == topic("cellar") && m.body.is_null());

    publish(&broker, "homeassistant/status", "online", &[]);
    let again = found.next("the announcement again", |m| m.topic == topic("front"));
    assert_eq!(again.body, front.body);

    daemon.write(&file(&(test_camera("front") + MIDDLE)));
    daemon.process.signal("HUP");
    found.next("a camera that went", |m| m.topic == topic("yard") && m.body.is_null());
    let its_state = "peregrine/box/camera/yard/detection";
    found.first("its state is taken back", |m| m.topic == its_state && m.body.is_null());
    let front: Vec<Message> = found.all().into_iter().filter(|m| m.topic == topic("front")).collect();
    assert!(front.iter().all(|m| !m.body.is_null()), "the other one stays");
}

#[test]
fn each_event_is_told_as_onvif_has_it_just_before_its_own_message() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/#");
    let quiet = "[publish]\ndetections_hz = 0.0\ntrack_updates_hz = 0.0\n[onvif]\nenabled = true\n";
    let mut daemon = Daemon::start(&config(&broker, &format!("{}{MIDDLE}{quiet}", test_camera("front"))));
    daemon.running();
    let both = |m: &Message| of_front(m, "events") && m.body["event"] == "occupancy" && m.body["count"] == 2;
    messages.first("two in the zone", both);
    let told: Vec<Message> =
        messages.all().into_iter().filter(|m| m.topic.contains("/onvif-ej/") || of_front(m, "events")).collect();
    assert!(told.len() >= 6 && told.len().is_multiple_of(2), "{told:#?}");
    for pair in told.chunks(2) {
        let (onvif, own) = (&pair[0], &pair[1]);
        assert!(onvif.topic.starts_with("peregrine/box/onvif-ej/RuleEngine/"), "{}", onvif.topic);
        assert!(onvif.topic.ends_with("/&front/peregrine/middle"), "{}", onvif.topic);
        assert_eq!(onvif.body["UtcTime"], own.body["at"]);
    }
    let inside = told.iter().rfind(|m| m.topic.contains("FieldDetector/ObjectsInside")).expect("somebody is inside");
    assert_eq!(inside.body["Data"]["IsInside"], true);
}
