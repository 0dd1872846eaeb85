//! SIGTERM ends the daemon with 0 in whatever state it is; a second signal ends it at once.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::{config, test_camera};
use crate::support::{Broker, Daemon, PATIENCE, free_port};

/// The contract.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

fn ends_well(mut daemon: Daemon) {
    daemon.process.signal("TERM");
    let status = daemon.process.ends_within(STOPS_WITHIN);
    assert_eq!(status.code(), Some(0), "{}", daemon.process.output());
}

#[test]
fn sigterm_while_streaming_says_offline_and_exits_0() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let mut daemon = Daemon::start(&config(&broker, &test_camera("front")));
    daemon.running();
    messages.next("a track", |m| m.topic.ends_with("/tracks"));
    ends_well(daemon);
    let last = messages.next("offline", |m| m.topic == "peregrine/box/status" && m.body["state"] == "offline");
    assert_eq!(last.body["device"], "box");
}

#[test]
fn sigterm_without_cameras_exits_0() {
    let broker = Broker::start();
    let mut daemon = Daemon::start(&config(&broker, ""));
    daemon.running();
    ends_well(daemon);
}

#[test]
fn sigterm_while_a_camera_does_not_answer_exits_0() {
    let broker = Broker::start();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = silent.local_addr().expect("bound").port();
    let camera = format!("[camera.dead]\nsource = \"rtsp://127.0.0.1:{port}/stream\"\n");
    let mut daemon = Daemon::start(&config(&broker, &camera));
    daemon.running();
    let _connection = silent.accept().expect("the camera is opened");
    ends_well(daemon);
}

#[test]
fn sigterm_while_the_broker_is_away_exits_0() {
    let mut broker = Broker::start();
    broker.kill();
    let mut daemon = Daemon::start(&config(&broker, &test_camera("front")));
    daemon.running();
    ends_well(daemon);
}

#[test]
fn sigterm_while_a_camera_waits_for_its_next_attempt_exits_0() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let camera = format!("[camera.gone]\nsource = \"rtsp://127.0.0.1:{}/stream\"\n", free_port());
    let daemon = Daemon::start(&config(&broker, &camera));
    messages.next("a failure", |m| m.topic.ends_with("/gone/status") && m.body["state"] == "failed");
    ends_well(daemon);
}

#[test]
fn sigterm_while_starting_exits_0() {
    let broker = Broker::start();
    let mut daemon = Daemon::start(&config(&broker, &test_camera("front")));
    // The signal handlers are the first thing that is installed; the first line of the log comes after them.
    daemon.process.line("its first words", |_| true);
    ends_well(daemon);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let broker = Broker::start();
    let mut daemon = Daemon::start(&config(&broker, &test_camera("front")));
    daemon.running();
    // Stopped, it cannot end in order before the second signal arrives.
    daemon.process.signal("STOP");
    daemon.process.signal("TERM");
    daemon.process.signal("INT");
    daemon.process.signal("CONT");
    let status = daemon.process.ends_within(PATIENCE);
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}
