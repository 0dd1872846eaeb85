//! SIGHUP: one camera changes, the others do not notice; a bad file changes nothing.

use super::{config, test_camera};
use crate::support::{Broker, Daemon, Subscriber};

fn state(messages: &mut Subscriber, camera: &str, state: &str) {
    let topic = format!("peregrine/box/camera/{camera}/status");
    messages.next(&format!("{camera} {state}"), |m| m.topic == topic && m.body["state"] == state);
}

#[test]
fn cameras_come_change_and_go_while_the_others_run() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let two = test_camera("front") + &test_camera("yard");
    let mut daemon = Daemon::start(&config(&broker, &two));
    state(&mut messages, "front", "streaming");
    daemon.running();

    daemon.write(&config(&broker, &(two.replace("[camera.yard]", "[camera.gate]"))));
    daemon.process.signal("HUP");
    daemon.process.line("the reload", |l| l.contains("reloaded: 1 cameras added, 1 removed, 0 changed"));
    state(&mut messages, "gate", "streaming");

    let changed =
        two.replace("[camera.yard]", "[camera.gate]").replacen("height = 240\nfps = 10", "height = 240\nfps = 5", 2);
    let changed = changed.replacen("fps = 5", "fps = 10", 1);
    daemon.write(&config(&broker, &changed));
    daemon.process.signal("HUP");
    daemon.process.line("the reload", |l| l.contains("reloaded: 0 cameras added, 0 removed, 1 changed"));
    messages.next("gate streaming again", |m| m.topic.ends_with("/gate/status") && m.body["state"] == "streaming");

    let front: Vec<_> = messages
        .all()
        .into_iter()
        .filter(|m| m.topic.ends_with("/front/status"))
        .map(|m| m.body["state"].clone())
        .collect();
    assert_eq!(front, ["connecting", "streaming"], "the camera that was left alone changed its state");
    let yard = messages.all().into_iter().rfind(|m| m.topic.ends_with("/yard/status")).expect("it had a state");
    assert_eq!(yard.body["state"], "stopped");
}

#[test]
fn a_bad_file_leaves_the_old_configuration_and_says_why() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let good = config(&broker, &test_camera("front"));
    let mut daemon = Daemon::start(&good);
    state(&mut messages, "front", "streaming");
    daemon.running();
    daemon.write(&good.replace("fps = 10", "fpss = 10"));
    daemon.process.signal("HUP");
    daemon.process.line("the refusal", |l| l.contains("camera.front.fpss"));
    assert_eq!(daemon.metric("peregrine_config_reloads_total{result=\"refused\"}"), Some(1.0));
    // The camera still delivers.
    let seq = |m: &crate::support::Message| m.body["seq"].as_u64();
    let now = messages.next("a sighting", |m| m.topic.ends_with("/detections"));
    messages.next("a later sighting", |m| m.topic.ends_with("/detections") && seq(m) > seq(&now));
}
