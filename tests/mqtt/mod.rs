//! Publishing against a real mosquitto. Every message that a subscriber sees is held to its schema.

mod broker;
mod events;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Seen, Subscriber, Wire, file, make_certificates, run};
use peregrine::config::{self, ClientCert, Login, MqttVersion, Secret, Tls};
use peregrine::publish::{self, Context, Driver, PublishError, Publisher};
use peregrine::runtime::Clock;
use peregrine::runtime::threads::Hearts;
use peregrine::telemetry::Metrics;
use peregrine::types::{
    CameraState, CameraStatus, ClassNames, Detection, Rect, Report, Sighting, Track, TrackEvent, TrackPhase,
};

use crate::support::comes;

const STOP_WITHIN: Duration = Duration::from_secs(5);

struct Daemon {
    publisher: Publisher,
    driver: Driver,
    metrics: Arc<Metrics>,
    clock: Clock,
}

fn mqtt(port: u16) -> config::Mqtt {
    config::Mqtt {
        host: "127.0.0.1".to_owned(),
        port,
        tls: None,
        version: MqttVersion::V5,
        client_id: "peregrine-gate".to_owned(),
        prefix: "peregrine".to_owned(),
        login: None,
        keep_alive: Duration::from_secs(10),
        outbox_capacity: 1000,
    }
}

fn context(mqtt: config::Mqtt, metrics: Arc<Metrics>, clock: Clock) -> Context {
    Context {
        device: config::Device { name: "gate".to_owned() },
        mqtt,
        settings: config::Publish { detections_hz: 1e9, track_updates_hz: 1e9 },
        metrics,
        clock,
        heart: Hearts::new(clock).add("publish", Duration::from_secs(1)),
        outgoing: None,
        inbox: None,
        onvif: false,
    }
}

fn start(mqtt: config::Mqtt) -> Result<Daemon, PublishError> {
    Daemon::with(|metrics, clock| context(mqtt, metrics, clock))
}

impl Daemon {
    fn with(context: impl FnOnce(Arc<Metrics>, Clock) -> Context) -> Result<Self, PublishError> {
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::start());
        let (publisher, driver) = publish::start(context(Arc::clone(&metrics), clock))?;
        Ok(Self { publisher, driver, metrics, clock })
    }

    fn started(mqtt: config::Mqtt) -> Self {
        start(mqtt).unwrap_or_else(|e| panic!("{e}"))
    }

    fn wait_connected(&self) {
        comes("connected", || self.metrics.mqtt.connected.get() == 1);
    }

    fn wait_trouble(&self, words: &str) {
        comes(words, || self.publisher.trouble().is_some_and(|t| t.contains(words)));
    }

    fn offer_track(&self, n: u64) {
        let captured = self.clock.now();
        self.publisher.offer(Report::Track(TrackEvent {
            camera: "yard".into(),
            phase: TrackPhase::New,
            seq: n,
            captured,
            width_px: 640,
            height_px: 480,
            uid: uuid::Uuid::from_u128(u128::from(n)),
            known_as: uuid::Uuid::from_u128(u128::from(n)),
            track: Track {
                id: n,
                bbox: Rect::new(1.0, 2.0, 30.0, 40.0),
                class: 0,
                score: 0.9,
                age_frames: 3,
                lost_frames: 0,
            },
            class_name: "person".to_owned(),
            first_seen: captured,
            labels: Vec::new(),
        }));
    }

    fn offer_detections(&self, seq: u64) {
        self.publisher.offer(Report::Sighting(Sighting {
            camera: "yard".into(),
            seq,
            captured: self.clock.now(),
            width_px: 640,
            height_px: 480,
            detections: vec![Detection { bbox: Rect::new(1.0, 2.0, 30.0, 40.0), class: 0, score: 0.9 }],
            classes: ClassNames::new(["person"]),
        }));
    }

    fn offer_camera(&self, state: CameraState) {
        let since = self.clock.now();
        let status = CameraStatus { camera: "yard".into(), state, since, reason: String::new(), size_px: None };
        self.publisher.offer(Report::Camera(status));
    }

    fn stop(self) -> bool {
        self.driver.stop(STOP_WITHIN)
    }
}

fn valid(seen: Seen) -> Seen {
    let kind = seen.body["type"].as_str().expect("every message has a type").replace('_', "-");
    let schemas = publish::payload::schemas();
    let (_, schema) = schemas.iter().find(|(f, _)| *f == format!("{kind}.schema.json")).expect("a schema of that name");
    let validator = jsonschema::validator_for(schema.as_value()).expect("a schema");
    if let Err(e) = validator.validate(&seen.body) {
        panic!("{}: {e}: {:#}", seen.topic, seen.body);
    }
    seen
}

fn state_of(subscriber: &Subscriber, state: &str) -> Seen {
    valid(subscriber.find(|s| s.topic == "peregrine/gate/status" && s.body["state"] == state))
}

fn every_message_arrives(version: MqttVersion) -> Vec<Seen> {
    let broker = Broker::open();
    let subscriber = broker.subscribe(&[]);
    let daemon = Daemon::started(config::Mqtt { version, ..mqtt(broker.port) });
    let mut all = vec![state_of(&subscriber, "online")];
    daemon.offer_camera(CameraState::Streaming);
    daemon.offer_detections(1);
    daemon.offer_track(1);
    for topic in ["status", "detections", "tracks"] {
        // The three may come in any order; each is looked for among those that have not been seen.
        let topic = format!("peregrine/gate/camera/yard/{topic}");
        if !all.iter().any(|s: &Seen| s.topic == topic) {
            loop {
                let seen = valid(subscriber.next());
                let found = seen.topic == topic;
                all.push(seen);
                if found {
                    break;
                }
            }
        }
    }
    assert!(daemon.stop(), "everything was delivered");
    let farewell = state_of(&subscriber, "offline");
    assert_eq!(farewell.body["reason"], "stopped");
    let late = broker.subscribe(&[]);
    let (a, b) = (valid(late.next()), valid(late.next()));
    assert!(a.retained && b.retained, "states are retained");
    all
}

#[test]
fn with_mqtt_5_every_message_arrives_and_says_what_it_is() {
    for seen in every_message_arrives(MqttVersion::V5) {
        assert_eq!(seen.content_type, "application/json", "{}", seen.topic);
        let kind = seen.body["type"].as_str().expect("checked");
        assert!(seen.user_properties.contains(&format!("peregrine/{kind}/1")), "{}", seen.user_properties);
    }
}

#[test]
fn with_mqtt_3_1_1_every_message_arrives() {
    assert_eq!(every_message_arrives(MqttVersion::V311).len(), 4);
}

#[test]
fn the_broker_says_offline_when_the_daemon_vanishes_and_the_daemon_says_online_again() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let broker = Broker::open();
        let wire = Wire::to(broker.port);
        let subscriber = broker.subscribe(&[]);
        let daemon = Daemon::started(config::Mqtt { version, ..mqtt(wire.port) });
        daemon.offer_camera(CameraState::Streaming);
        state_of(&subscriber, "online");
        valid(subscriber.find(|s| s.topic.ends_with("/yard/status")));
        wire.cut();
        assert_eq!(state_of(&subscriber, "offline").body["reason"], "connection lost");
        wire.mend();
        state_of(&subscriber, "online");
        let again = valid(subscriber.find(|s| s.topic.ends_with("/yard/status")));
        assert_eq!(again.body["state"], "streaming");
        assert!(daemon.stop());
    }
}

#[test]
fn a_broker_that_freezes_dies_and_forgets_costs_no_track_and_brings_no_stale_detections() {
    let mut broker = Broker::open();
    let wire = Wire::to(broker.port);
    let subscriber = broker.subscribe(&[]);
    let daemon = Daemon::started(mqtt(wire.port));
    let counters = &daemon.metrics.mqtt;
    let mut arrived = BTreeSet::new();
    daemon.wait_connected();

    (0..150).for_each(|n| daemon.offer_track(n));
    while arrived.len() < 150 {
        arrived.extend(valid(subscriber.next()).body["seq"].as_u64());
    }
    comes("all acknowledged", || counters.acknowledged_total.get() >= 151);

    broker.freeze();
    let written = counters.published_total.get();
    (150..350).for_each(|n| daemon.offer_track(n));
    comes("as many are in flight as may be", || counters.published_total.get() >= written + 4);
    assert_eq!(counters.acknowledged_total.get(), 151, "a frozen broker acknowledges nothing");

    broker.kill();
    wire.cut();
    comes("the loss is noticed", || counters.connected.get() == 0);
    (350..500).for_each(|n| daemon.offer_track(n));
    (1000..1100).for_each(|seq| daemon.offer_detections(seq));
    assert_eq!(counters.dropped_qos0_total.get(), 100);

    broker.restart();
    let subscriber = broker.subscribe(&[]);
    wire.mend();
    while arrived.len() < 500 {
        let seen = valid(subscriber.next());
        assert!(!seen.topic.ends_with("/detections"), "stale: {:#}", seen.body);
        if seen.topic.ends_with("/tracks") {
            arrived.extend(seen.body["seq"].as_u64());
        }
    }
    assert_eq!(arrived, (0..500).collect());
    assert_eq!(counters.dropped_outbox_total.get(), 0);
    assert!(daemon.stop(), "nothing is left behind");
}

#[test]
fn a_stop_without_a_broker_ends_in_time_and_says_that_something_was_left() {
    let daemon = Daemon::started(mqtt(1));
    daemon.wait_trouble("refused");
    daemon.offer_track(1);
    assert!(!daemon.driver.stop(Duration::from_millis(500)));
}

#[test]
fn a_stop_with_a_frozen_broker_ends_the_thread_in_time() {
    let broker = Broker::open();
    let daemon = Daemon::started(mqtt(broker.port));
    comes("the birth is acknowledged", || daemon.metrics.mqtt.acknowledged_total.get() == 1);
    broker.freeze();
    daemon.offer_track(1);
    let desk = daemon.publisher.clone();
    assert!(!daemon.driver.stop(Duration::from_millis(800)), "the track is left behind");
    assert_eq!(desk.trouble().as_deref(), Some("stopped"), "the thread has ended by itself");
}

#[test]
fn the_right_password_is_taken_and_a_wrong_one_is_called_so_without_showing_it() {
    let lines = "allow_anonymous false\npassword_file {dir}/passwords";
    let broker = Broker::start(lines, |dir| run(dir, "mosquitto_passwd", &["-b", "-c", "passwords", "eye", "s3cret"]));
    let login = |password: &str| Some(Login { username: "eye".to_owned(), password: Secret::new(password) });
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let good = Daemon::started(config::Mqtt { login: login("s3cret"), version, ..mqtt(broker.port) });
        good.wait_connected();
        assert!(good.stop());
        let bad = Daemon::started(config::Mqtt { login: login("hunter2"), version, ..mqtt(broker.port) });
        bad.wait_trouble("not authorised");
        assert!(!bad.publisher.trouble().expect("in trouble").contains("hunter2"));
        assert!(bad.stop());
    }
}

fn tls(dir: &Path, ca: &str, client: Option<(&str, &str)>) -> Option<Tls> {
    let client = client.map(|(cert, key)| ClientCert { cert_file: file(dir, cert), key_file: file(dir, key) });
    Some(Tls { ca_file: Some(file(dir, ca)), client })
}

#[test]
fn tls_connects_with_the_right_certificates_and_says_what_is_wrong_with_others() {
    let lines = "allow_anonymous true\ncafile {dir}/ca.pem\ncertfile {dir}/server.pem\nkeyfile {dir}/server.key\nrequire_certificate true";
    let broker = Broker::start(lines, make_certificates);
    let dir = broker.dir.path();
    let own = Some(("client.pem", "client.key"));
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let with = |tls| config::Mqtt { tls, version, ..mqtt(broker.port) };
        let good = Daemon::started(with(tls(dir, "ca.pem", own)));
        good.wait_connected();
        assert!(good.stop());
        let stranger = Daemon::started(with(tls(dir, "stranger.pem", own)));
        stranger.wait_trouble("an authority that we do not trust");
        assert!(stranger.stop());
        let nobody = Daemon::started(with(tls(dir, "ca.pem", None)));
        nobody.wait_trouble("does it want a client certificate");
        assert!(nobody.stop());
    }
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let lines = "allow_anonymous true\ncertfile {dir}/elsewhere.pem\nkeyfile {dir}/elsewhere.key";
    let broker = Broker::start(lines, make_certificates);
    let daemon = Daemon::started(config::Mqtt { tls: tls(broker.dir.path(), "ca.pem", None), ..mqtt(broker.port) });
    daemon.wait_trouble("is for another host");
    assert!(daemon.stop());
}

#[test]
fn wrong_tls_files_are_refused_at_start_with_the_files_name() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path();
    make_certificates(dir);
    std::fs::write(file(dir, "empty.pem"), "not a certificate\n").expect("written");
    let cases = [
        (tls(dir, "absent.pem", None), "absent.pem: cannot be read"),
        (tls(dir, "empty.pem", None), "empty.pem: holds no certificate"),
        (tls(dir, "ca.pem", Some(("client.pem", "absent.key"))), "absent.key: cannot be read"),
        (
            tls(dir, "ca.pem", Some(("client.pem", "client.pem"))),
            "client.pem: holds none; a PEM file with an unencrypted",
        ),
        (tls(dir, "ca.pem", Some(("client.pem", "server.key"))), "server.key: is not the key of the certificate in"),
    ];
    for (tls, words) in cases {
        let error = start(config::Mqtt { tls, ..mqtt(1) }).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{words}: {error}");
    }
}
