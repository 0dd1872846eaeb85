//! What the board's sensors say, through the whole daemon, with a board that stands as a tree of files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::config;
use super::end_to_end::validate;
use crate::support::{Broker, Daemon, comes, data};

/// The tree of a board in a folder of its own, where a test may change it.
pub(super) fn board(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let from = data("sysfs").join(name).join(".");
    let status = Command::new("cp").arg("-a").arg(from).arg(dir.path()).status().expect("cp runs");
    assert!(status.success());
    dir
}

fn on_board(broker: &Broker, root: &Path) -> Daemon {
    let more = format!("[monitor]\nevery_secs = 1\nsysfs_root = \"{}\"\n", root.display());
    Daemon::start(&config(broker, &more))
}

#[test]
fn readings_are_published_and_shown_as_metrics_and_follow_the_sensors() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/telemetry");
    let tree = board("orin-nano");
    let mut daemon = on_board(&broker, tree.path());
    daemon.running();
    let first = messages.next("telemetry", |_| true);
    validate(&first);
    assert_eq!(
        (&first.body["power"]["total_watts"], &first.body["mode"]["name"]),
        (&4.785.into(), &"MAXN_SUPER".into())
    );
    comes("the power", || daemon.metric("peregrine_power_watts{of=\"input\"}") == Some(4.785));
    let sys = tree.path().join("sys/class");
    std::fs::write(sys.join("thermal/thermal_zone0/temp"), "91250\n").expect("written");
    std::fs::write(sys.join("hwmon/hwmon3/oc1_event_cnt"), "1\n").expect("written");
    let hot = messages.next("over-current", |m| m.body["throttle"]["now"] == serde_json::json!(["oc1"]));
    validate(&hot);
    assert!(hot.body["disk"]["free_bytes"].is_u64(), "the disk of its own state: {}", hot.body);
    let calm = messages.next("its end", |m| m.body["throttle"]["now"] == serde_json::json!([]));
    assert_eq!(calm.body["throttle"]["seen"], serde_json::json!(["oc1"]));
    assert_eq!(calm.body["temperatures"][0]["celsius"], 91.25);
    assert_eq!(daemon.metric("peregrine_throttled{reason=\"oc1\"}"), Some(0.0));
    let said = daemon.process.output().matches("cv0-thermal has no value").count();
    assert_eq!(said, 1, "what is missing is said once");
}

#[test]
fn a_sensor_that_hangs_holds_up_nobody() {
    let broker = Broker::start();
    let mut status = broker.subscribe("peregrine/box/status");
    let tree = board("pi4");
    let temp = tree.path().join("sys/class/thermal/thermal_zone0/temp");
    std::fs::remove_file(&temp).expect("it was there");
    // A pipe that nobody writes to: whoever opens it to read waits for ever.
    assert!(Command::new("mkfifo").arg(&temp).status().expect("mkfifo runs").success());
    let mut daemon = on_board(&broker, tree.path());
    daemon.running();
    status.next("online", |m| m.body["state"] == "online");
    assert_eq!(daemon.get("/healthz").0, 200);
    assert_eq!(daemon.metric("peregrine_memory_size_bytes"), None, "nothing was read to the end");
    daemon.process.signal("TERM");
    let ended = daemon.process.ends_within(Duration::from_secs(5));
    assert_eq!(ended.code(), Some(0), "{}", daemon.process.output());
}
