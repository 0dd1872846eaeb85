//! What happens in front of a camera reaches whoever listens: numbered, once each, whatever ends or fails meanwhile. The clip is the soak's,
//! in which scripted objects walk over a line and through zones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::end_to_end::validate;
use crate::store::disk::{Disk, may_mount};
use crate::support::{Broker, Daemon, Message, PATIENCE, Subscriber, comes, data, peregrine};

const EVENTS: &str = "peregrine/box/camera/front/events";
const LOITER: &str = "peregrine/box/alert/loiter";
/// The subscriber's session and what waits for it outlive an end of the broker.
const KEEPS: &str =
    "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {dir}/\n";

/// Drawn once for all tests.
fn clip() -> &'static Path {
    static CLIP: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = CLIP.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let soak = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/soak");
        let mut python = Command::new("python3");
        let drawn = python.args(["-B", "clip.py"]).arg(dir.path().join("coded.avi")).current_dir(soak).status();
        assert!(drawn.expect("python3 runs").success(), "the clip is drawn");
        dir
    });
    dir.path()
}

/// The scene of scripts/soak/scene.py: 256 by 256 pixels, o00 to o11 walk to and fro, o12 and o13 stand in the yard for a while.
fn config(broker: &Broker, more: &str) -> String {
    format!(
        r#"
[device]
name = "box"
[mqtt]
broker = "{}"
[publish]
detections_hz = 0.0
track_updates_hz = 0.0
[detect]
model = "{}"
engine = "tract"
threads = 1
confidence = 0.4
[track]
max_age_frames = 10
[camera.front]
source = "file://{}/coded.avi"
repeat = true
appearances = true
[camera.front.zone.west]
points = [[0.2, 0.01], [0.4, 0.01], [0.4, 0.8], [0.2, 0.8]]
[camera.front.zone.yard]
points = [[0.39, 0.84], [0.78, 0.84], [0.78, 0.99], [0.39, 0.99]]
settle_ms = 300
dwell_secs = 2
[camera.front.line.gate]
points = [[0.5, 0.01], [0.5, 0.8]]
count_secs = 5
[alert.loiter]
on = "dwell"
zone = "yard"
classes = ["o12"]
severity = "critical"
{more}
"#,
        broker.url(),
        data("coded_detector.onnx").display(),
        clip().display()
    )
}

fn event<'a>(messages: &'a mut Subscriber, kind: &'a str) -> Message {
    messages.first(kind, |m| m.topic == EVENTS && m.body["event"] == kind)
}

/// By id: a message that comes twice must be the same.
fn events(messages: &mut Subscriber) -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    for message in messages.all().into_iter().filter(|m| m.topic == EVENTS) {
        validate(&message);
        let id = message.body["id"].as_str().expect("an id").to_owned();
        let before = events.insert(id, message.body.clone());
        assert!(before.is_none_or(|before| before == message.body), "the same id for another event: {}", message.body);
    }
    events
}

/// In the order of their ids, events are numbered from 1 without a gap.
fn assert_gapless(events: &BTreeMap<String, Value>) {
    let seqs: Vec<_> = events.values().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
}

/// What `peregrine events --json` shows, by id.
fn history(daemon: &Daemon) -> BTreeMap<String, Value> {
    let out = peregrine(&["events", "--json", "--config", daemon.config.to_str().expect("UTF-8")]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.map(|event| (event["id"].as_str().expect("an id").to_owned(), event)).collect()
}

/// Holds what was told to what is kept, and says of what differs only what tells it apart.
fn assert_kept(daemon: &Daemon, told: &BTreeMap<String, Value>) {
    let kept = history(daemon);
    let words = |event: &Value| format!("{} {} of {}", event["seq"], event["event"], event["at"]);
    let only = |here: &BTreeMap<String, Value>, there: &BTreeMap<String, Value>| -> Vec<String> {
        here.iter().filter(|(id, event)| there.get(*id) != Some(event)).map(|(_, event)| words(event)).collect()
    };
    let (not_kept, not_told) = (only(told, &kept), only(&kept, told));
    assert!(
        not_kept.is_empty() && not_told.is_empty(),
        "not kept as told: {not_kept:?}; not told as kept: {not_told:?}"
    );
}

/// Ends the daemon in order; what it said last has then arrived.
fn ends(daemon: &mut Daemon, messages: &mut Subscriber) {
    daemon.process.signal("TERM");
    assert!(daemon.process.ends_within(PATIENCE).success(), "{}", daemon.process.output());
    messages.next("offline", |m| m.topic == "peregrine/box/status" && m.body["state"] == "offline");
}

#[test]
fn events_of_zones_lines_and_alerts_arrive_in_number_and_are_kept_as_they_were_told() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let mut daemon = Daemon::start(&config(&broker, ""));
    for kind in ["appeared", "entered", "crossed", "left", "occupancy", "dwell", "count"] {
        event(&mut messages, kind);
    }
    let crossed = event(&mut messages, "crossed").body;
    // Everybody begins on the left of the picture, which is the right of whoever walks the line downwards.
    assert_eq!((&crossed["line"], &crossed["direction"]), (&"gate".into(), &"out".into()), "{crossed}");
    let raised = messages.first("the alert", |m| m.topic == LOITER && m.body["state"] == "raised");
    assert_eq!(event(&mut messages, "alert_raised").body["id"], raised.body["id"]);
    let mut late = broker.subscribe("peregrine/box/alert/#");
    late.next("the open alert for whoever comes late", |m| m.body["id"] == raised.body["id"]);

    messages.first("the alert's end", |m| m.topic == LOITER && m.body.is_null());
    let cleared = event(&mut messages, "alert_cleared").body;
    assert_eq!((&cleared["alert"], &cleared["severity"]), (&"loiter".into(), &"critical".into()));

    let (status, answer) = daemon.get("/events?type=alert_cleared&camera=front");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((status, &answer["events"]), (200, &Value::Array(vec![cleared])));
    ends(&mut daemon, &mut messages);
    let told = events(&mut messages);
    assert_gapless(&told);
    assert_kept(&daemon, &told);
}

#[test]
fn what_happens_while_the_broker_is_away_arrives_when_it_is_back() {
    let mut broker = Broker::with(KEEPS);
    let mut messages = broker.subscribe_as("peregrine/#", &["-c", "-i", "witness"]);
    let mut daemon = Daemon::start(&config(&broker, ""));
    event(&mut messages, "appeared");
    for _ in 0..2 {
        broker.end();
        comes("a backlog", || daemon.metric("peregrine_store_events_waiting").is_some_and(|waiting| waiting >= 10.0));
        broker.up();
        comes("its end", || daemon.metric("peregrine_store_events_waiting").is_some_and(|waiting| waiting < 3.0));
    }
    ends(&mut daemon, &mut messages);
    let told = events(&mut messages);
    assert_gapless(&told);
    assert_kept(&daemon, &told);
}

#[test]
fn a_daemon_that_is_killed_counts_on_and_keeps_its_alerts_open() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let mut daemon = Daemon::start(&config(&broker, ""));
    let raised = messages.first("the alert", |m| m.topic == LOITER && m.body["state"] == "raised").body;
    daemon.process.signal("KILL");
    daemon.process.ends_within(PATIENCE);

    daemon.again();
    let said_again = messages.next("the alert, still open", |m| m.topic == LOITER).body;
    assert_eq!(said_again["id"], raised["id"]);
    messages.next("an event of the new life", |m| m.topic == EVENTS && m.body["boot_id"] != raised["boot_id"]);
    // Somebody new stays and leaves: that is the alert's end.
    messages.next("the alert's end", |m| m.topic == LOITER && m.body.is_null());
    ends(&mut daemon, &mut messages);
    let told = events(&mut messages);
    assert_gapless(&told);
    assert_kept(&daemon, &told);
    let lives: BTreeSet<_> = told.values().map(|event| event["boot_id"].as_str()).collect();
    assert_eq!(lives.len(), 2);
    let raised_again = told.values().filter(|event| event["event"] == "alert_raised").count();
    assert_eq!(raised_again, 1, "an alert that is open is not raised again");
}

#[test]
fn on_a_full_disk_the_daemon_lives_says_so_and_tells_everything_once_there_is_room() {
    if !may_mount("daemons on a full disk") {
        return;
    }
    let disk = Disk::tmpfs(32);
    let ballast = disk.folder().join("ballast");
    std::fs::write(&ballast, vec![1; 40 << 20]).expect_err("the disk is full");
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let paths = format!("[paths]\nstate = \"{}\"\n", disk.folder().display());
    let mut daemon = Daemon::start(&config(&broker, &paths));
    daemon.running();
    let degraded = || {
        let (status, body) = daemon.get("/readyz");
        assert!(status != 200 || body.contains("\"ready\""), "{body}");
        body.contains("events are not written")
    };
    comes("a word about the disk", degraded);
    assert_eq!(daemon.get("/healthz").0, 200);
    assert!(events(&mut messages).is_empty(), "what is not durable is not told");

    std::fs::remove_file(&ballast).expect("removed");
    event(&mut messages, "crossed");
    comes("an end of the trouble", || !degraded());
    assert_eq!(daemon.metric("peregrine_store_events_lost_total"), Some(0.0));
    ends(&mut daemon, &mut messages);
    let told = events(&mut messages);
    assert_gapless(&told);
    assert_kept(&daemon, &told);
}
