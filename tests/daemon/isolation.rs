//! What becomes of a camera is no other camera's matter: dead ones at the start, and all that can happen to one that streams.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::config;
use crate::support::{Broker, Daemon, Message, RtspServer, Subscriber, comes, free_port};

/// Waited for before an address counts as one that swallows packets; on loopback an answer takes microseconds.
const NO_ANSWER: Duration = Duration::from_millis(200);

fn rtsp_camera(name: &str, url: &str) -> String {
    format!("[camera.{name}]\nsource = \"{url}\"\n")
}

fn is_state(message: &Message, camera: &str, state: &str) -> bool {
    message.topic.ends_with(&format!("/camera/{camera}/status")) && message.body["state"] == state
}

/// An address at which connections are taken and nothing is ever said.
fn mute() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// An address that swallows packets: its queue of connections is full, and nobody empties it.
fn black_hole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let (listener, address) = mute();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, NO_ANSWER) {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

#[test]
fn a_hundred_dead_cameras_hold_up_no_living_one() {
    let Some(living) = RtspServer::start("rtsp_server.py", &[]) else { return };
    let ((_mute, silent), (_hole, _waiting, swallowing)) = (mute(), black_hole());
    let refusing = SocketAddr::from(([127, 0, 0, 1], free_port()));
    // By name they come before the living, and they are given up only when this test is long over.
    let mut more = "[ingest]\nfirst_frame_ms = 600000\nconnects_at_once = 1\n".to_owned();
    for number in 0..100 {
        let (kind, address) = [("hole", swallowing), ("mute", silent), ("refused", refusing)][number % 3];
        more += &rtsp_camera(&format!("dead-{number:02}-{kind}"), &format!("rtsp://{address}/cam"));
    }
    let more = more + &rtsp_camera("living-a", &living.url()) + &rtsp_camera("living-b", &living.url());
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let mut daemon = Daemon::start(&config(&broker, &more));
    for camera in ["living-a", "living-b"] {
        messages.first("a living camera", |m| is_state(m, camera, "streaming"));
    }
    // Nobody gave up before: those that do not answer were still waited for.
    let given_up = |m: &Message| {
        m.topic.ends_with("/status")
            && (m.topic.contains("-hole/") || m.topic.contains("-mute/"))
            && m.body["state"] != "connecting"
    };
    assert_eq!(messages.all().into_iter().find(given_up).map(|m| m.topic), None);
    daemon.running();
    for camera in ["living-a", "living-b"] {
        messages.first("what it sees", |m| m.topic.ends_with(&format!("/{camera}/detections")));
    }
}

/// The cameras of the test below, and what is asked about the one that nothing happens to.
struct Scene {
    daemon: Daemon,
    messages: Subscriber,
}

impl Scene {
    fn count(&self, metric: &str, camera: &str) -> f64 {
        let name = format!("peregrine_camera_{metric}{{camera=\"{camera}\"}}");
        self.daemon.metric(&name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn comes(&mut self, camera: &str, state: &str) {
        self.messages.next(&format!("{camera} {state}"), |m| is_state(m, camera, state));
    }

    /// Waits for further frames of the neighbour, a second's worth.
    fn neighbour_goes_on(&self) {
        let until = self.count("frames_analysed_total", "neighbour") + 15.0;
        comes("the neighbour's frames", || self.count("frames_analysed_total", "neighbour") >= until);
    }
}

#[test]
fn a_camera_that_stalls_floods_changes_or_dies_costs_its_neighbour_nothing() {
    let start = |args: &[&str]| RtspServer::start("rtsp_server.py", args);
    let Some(steady) = start(&[]) else { return };
    let [stalling, flooding, mut changing, dying] =
        [&["--fps", "15"], &["--fps", "240"], &["--fps", "15"], &["--fps", "15"]]
            .map(|args| start(args).expect("it started before"));
    // A ring so long that a frame of the neighbour is lost only if it were not looked at for seconds.
    let mut more = "[ingest]\nstall_ms = 1500\nring_capacity = 64\n".to_owned();
    for (name, server) in [("neighbour", &steady), ("stalls", &stalling), ("changes", &changing), ("dies", &dying)] {
        more += &rtsp_camera(name, &server.url());
    }
    let broker = Broker::start();
    let messages = broker.subscribe("peregrine/+/camera/+/status");
    let file = config(&broker, &more);
    let mut scene = Scene { daemon: Daemon::start(&file), messages };
    scene.daemon.running();
    for camera in ["neighbour", "stalls", "changes", "dies"] {
        scene.messages.first("a camera", |m| is_state(m, camera, "streaming"));
    }

    scene.daemon.write(&(file + &rtsp_camera("floods", &flooding.url())));
    scene.daemon.process.signal("HUP");
    scene.comes("floods", "streaming");
    scene.neighbour_goes_on();

    stalling.signal("STOP");
    scene.comes("stalls", "stalled");
    scene.neighbour_goes_on();
    stalling.signal("CONT");
    scene.comes("stalls", "streaming");

    changing.resize("480x360");
    scene.messages.next("the new size", |m| is_state(m, "changes", "streaming") && m.body["frame"]["width"] == 480);
    scene.neighbour_goes_on();

    let port = dying.port.to_string();
    drop(dying);
    scene.messages.next("the dead one", |m| is_state(m, "dies", "failed") || is_state(m, "dies", "stalled"));
    scene.neighbour_goes_on();
    let _back = start(&["--port", &port]).expect("it started before");
    scene.comes("dies", "streaming");
    scene.neighbour_goes_on();

    let told: Vec<_> = scene.messages.all().into_iter().filter(|m| m.topic.contains("/neighbour/")).collect();
    assert_eq!(told.iter().map(|m| &m.body["state"]).collect::<Vec<_>>(), ["connecting", "streaming"]);
    assert_eq!((scene.count("reconnects_total", "neighbour"), scene.count("stalls_total", "neighbour")), (0.0, 0.0));
    let lost = "peregrine_camera_frames_displaced_total{camera=\"neighbour\",reason=\"ring\"}";
    assert_eq!(scene.daemon.metric(lost), Some(0.0), "frames of the neighbour that nobody looked at");
}
