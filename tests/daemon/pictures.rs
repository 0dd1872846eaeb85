//! Pictures of events, through the whole daemon: they are where the event says, on disk and at the broker, and show nothing of a mask.

use std::path::Path;
use std::process::Command;

use super::{config, test_camera};
use crate::support::{Broker, Daemon, Message, Process, Subscriber};

/// Colour bars, of which the left third is nobody's business; the tiny detector sees a person in the middle at once.
fn watched(state: &Path, more: &str) -> String {
    let camera = test_camera("front").replace("test:ball", "test:smpte");
    format!(
        r#"{camera}
[camera.front.mask.neighbour]
points = [[0, 0], [0.3, 0], [0.3, 1], [0, 1]]
[camera.front.zone.room]
points = [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]
classes = ["person"]
snapshot = true
[paths]
state = "{}"
{more}
"#,
        state.display()
    )
}

fn event(messages: &mut Subscriber, kind: &str) -> Message {
    messages.first(kind, |m| m.topic.ends_with("/events") && m.body["event"] == kind)
}

fn snapshots(event: &Message) -> Vec<String> {
    let names = event.body["snapshots"].as_array().expect("a list");
    names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// The newest picture that the broker retains, or the next one.
fn picture(broker: &Broker, camera: &str) -> Vec<u8> {
    let out = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-C", "1", "-W", "30", "-N"])
        .args(["-t", &format!("peregrine/box/camera/{camera}/snapshot")])
        .output()
        .expect("mosquitto_sub runs");
    assert!(!out.stdout.is_empty(), "no picture came: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn brightness(image: &image::RgbImage, x: u32, y: u32) -> u8 {
    image.get_pixel(x, y).0.into_iter().max().expect("three")
}

#[test]
fn an_event_and_its_alert_name_pictures_that_are_on_disk_and_at_the_broker_and_show_nothing_of_a_mask() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/camera/front/events");
    let state = tempfile::tempdir().expect("a temporary folder");
    let more =
        "[snapshots]\nmqtt = \"retained\"\n[alert.somebody]\non = \"entered\"\nzone = \"room\"\nsnapshot = true\n";
    let mut daemon = Daemon::start(&config(&broker, &watched(state.path(), more)));
    daemon.running();
    let entered = event(&mut messages, "entered");
    let names = snapshots(&entered);
    assert_eq!(snapshots(&event(&mut messages, "alert_raised")), names, "the alert shows what raised it");
    let [crop, full] = &names[..] else { panic!("{names:?}") };
    assert!(crop.ends_with("-crop.jpg") && full.ends_with("-full.jpg"), "{names:?}");

    // It is told when it is written, and nothing else asks for a picture.
    let told = picture(&broker, "front");
    let folder = state.path().join("snapshots");
    assert_eq!(std::fs::read(folder.join(full)).expect("the file"), told);
    let whole = image::load_from_memory(&told).expect("a JPEG").into_rgb8();
    assert_eq!(whole.dimensions(), (320, 240));
    // The bars are black in one place of the picture only, which is not here.
    for y in (0..140).step_by(10) {
        for x in (0..88).step_by(8) {
            assert!(brightness(&whole, x, y) < 40, "{x},{y} is under the mask: {:?}", whole.get_pixel(x, y));
        }
        assert!(brightness(&whole, 110, y) > 100, "110,{y} is beside it: {:?}", whole.get_pixel(110, y));
    }
    let object = image::open(folder.join(crop)).expect("a JPEG").into_rgb8();
    assert!(object.width() >= 80 && object.height() >= 120, "the person is 80x120: {:?}", object.dimensions());
    assert_eq!(daemon.metric("peregrine_pictures_written_total"), Some(2.0));
}

#[test]
fn a_mask_that_a_reload_brings_is_in_the_next_picture() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/camera/front/events");
    let state = tempfile::tempdir().expect("a temporary folder");
    let before = watched(state.path(), "[snapshots]\nmqtt = \"retained\"\n");
    let mut daemon = Daemon::start(&config(&broker, &before));
    daemon.running();
    let first = snapshots(&event(&mut messages, "entered"));
    let after = before.replace("[0.3, 0], [0.3, 1]", "[1, 0], [1, 1]");
    daemon.write(&config(&broker, &after));
    daemon.process.signal("HUP");
    daemon.process.line("the reload", |l| l.contains("reloaded: 0 cameras added, 0 removed, 1 changed"));
    let again = messages.next("somebody again", |m| {
        m.topic.ends_with("/events") && m.body["event"] == "entered" && snapshots(m) != first
    });
    // Nothing of an object under a mask is worth a view: the frame alone is shown.
    let names = snapshots(&again);
    let [full] = &names[..] else { panic!("{names:?}") };
    daemon.process.signal("TERM");
    daemon.process.ends_within(crate::support::PATIENCE);
    let whole = image::open(state.path().join("snapshots").join(full)).expect("what was named is made before the end");
    let whole = whole.into_rgb8();
    // The box is drawn in afterwards.
    for (x, y) in [(10, 10), (60, 200), (310, 20), (300, 230)] {
        assert!(brightness(&whole, x, y) < 40, "{x},{y}: {:?}", whole.get_pixel(x, y));
    }
}

/// The length of each picture of the camera that comes to the broker, a line each; 0 takes the retained one back.
fn lengths(broker: &Broker) -> Process {
    let port = broker.port.to_string();
    Process::start(
        Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port, "-q", "1", "-F", "bytes %l"])
            .args(["-t", "peregrine/box/camera/front/snapshot"]),
    )
}

/// A daemon whose picture the broker retains, what it was told to watch, and the lengths of what is published from now on.
fn with_a_retained_picture(broker: &Broker, state: &Path) -> (Daemon, String, Process) {
    let watched = watched(state, "[snapshots]\nmqtt = \"retained\"\n");
    let mut lengths = lengths(broker);
    let mut daemon = Daemon::start(&config(broker, &watched));
    lengths.line("a picture", |l| l.starts_with("bytes ") && l != "bytes 0");
    daemon.running();
    (daemon, watched, lengths)
}

#[test]
fn a_camera_that_a_reload_takes_away_leaves_no_picture_at_the_broker() {
    let broker = Broker::start();
    let state = tempfile::tempdir().expect("a temporary folder");
    let (daemon, before, mut lengths) = with_a_retained_picture(&broker, state.path());
    daemon.write(&config(&broker, &before.replace("[camera.front", "[camera.gate")));
    daemon.process.signal("HUP");
    lengths.line("that it is taken back", |l| l == "bytes 0");
}

#[test]
fn a_mask_that_came_while_the_daemon_was_down_takes_the_brokers_picture_back() {
    let broker = Broker::start();
    let state = tempfile::tempdir().expect("a temporary folder");
    let (mut daemon, before, mut lengths) = with_a_retained_picture(&broker, state.path());
    daemon.process.signal("TERM");
    daemon.process.ends_within(crate::support::PATIENCE);
    daemon.write(&config(&broker, &before.replace("[0.3, 0], [0.3, 1]", "[0.4, 0], [0.4, 1]")));
    daemon.again();
    lengths.line("that it is taken back", |l| l == "bytes 0");
    lengths.line("a picture with the new mask", |l| l.starts_with("bytes ") && l != "bytes 0");
}
