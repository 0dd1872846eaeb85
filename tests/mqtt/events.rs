//! Events on their way from a store to a real mosquitto: nothing is lost, nothing is in the way of an alert, nothing blocks for ever.
//! The store is one in memory that keeps the contract of `Backlog`; the real one has its own tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peregrine::config::{self, MqttVersion};
use peregrine::publish::{Inbox, Incoming, Kind, Message, Outgoing, Qos};
use peregrine::runtime::Clock;
use peregrine::runtime::threads::pause;
use peregrine::types::{Backlog, Event, Lane, Severity, Stored, What};
use uuid::Uuid;

use super::broker::{Broker, Subscriber, Wire};
use super::{Daemon, context, mqtt, valid};
use crate::support::{PATIENCE, comes};

const BOOT: Uuid = Uuid::from_u128(7);

/// Keeps the contract of `Backlog`, and when each record was offered and acknowledged.
pub(super) struct Store {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Lane, u64), Stored>,
    numbers: HashMap<Lane, u64>,
    offered: HashMap<(Lane, u64), Duration>,
    delays: Vec<(Lane, Duration)>,
    refused: Vec<(Lane, u64, String)>,
    open: BTreeMap<String, Stored>,
    news: Option<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self { clock: Clock::start(), state: Mutex::default() })
    }

    fn offer(&self, what: What) {
        let event = Event {
            camera: Some("yard".into()),
            at: self.clock.now(),
            frame_seq: Some(1),
            what,
            subject: None,
            snapshots: Vec::new(),
        };
        let lane = if event.is_alert() { Lane::Alerts } else { Lane::Events };
        let mut state = self.state.lock().expect("no panic");
        let number = state.numbers.get(&lane).copied().unwrap_or(0) + 1;
        state.numbers.insert(lane, number);
        let seq = state.numbers.values().sum();
        let id = Uuid::from_u128((u128::from(lane == Lane::Alerts) << 64) + u128::from(number));
        let stored = Stored { id, boot: BOOT, seq, event };
        match &stored.event.what {
            What::AlertRaised { alert, .. } => drop(state.open.insert(alert.clone(), stored.clone())),
            What::AlertCleared { alert, .. } => drop(state.open.remove(alert)),
            _ => {}
        }
        state.waiting.insert((lane, number), stored);
        state.offered.insert((lane, number), self.clock.mono());
        if let Some(news) = &state.news {
            news();
        }
    }

    fn crossed(&self, count: u64) {
        (0..count).for_each(|_| self.offer(What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() }));
    }

    fn outgoing(self: &Arc<Self>) -> Option<Outgoing> {
        let (backlog, open_alerts, alerts) = (Arc::clone(self) as _, Vec::new(), Vec::new());
        Some(Outgoing { backlog, open_alerts, alerts, boot: BOOT })
    }

    fn refused(&self) -> Vec<(Lane, u64, String)> {
        self.state.lock().expect("no panic").refused.clone()
    }

    /// Sorted times from offer to acknowledgement.
    fn delays(&self, lane: Lane) -> Vec<Duration> {
        let state = self.state.lock().expect("no panic");
        let mut delays: Vec<_> = state.delays.iter().filter(|(l, _)| *l == lane).map(|(_, d)| *d).collect();
        delays.sort_unstable();
        delays
    }
}

impl Backlog for Store {
    fn next(&self, lane: Lane, above: u64) -> Option<(u64, Stored)> {
        let state = self.state.lock().expect("no panic");
        let (at, stored) = state.waiting.range((lane, above + 1)..=(lane, u64::MAX)).next()?;
        Some((at.1, stored.clone()))
    }

    fn acknowledged(&self, lane: Lane, number: u64) {
        let mut state = self.state.lock().expect("no panic");
        if state.waiting.remove(&(lane, number)).is_some() {
            let delay = self.clock.mono() - state.offered[&(lane, number)];
            state.delays.push((lane, delay));
        }
    }

    fn refused(&self, lane: Lane, number: u64, why: &str) {
        let mut state = self.state.lock().expect("no panic");
        state.waiting.remove(&(lane, number));
        state.refused.push((lane, number, why.to_owned()));
    }

    fn open_alerts(&self) -> Vec<Stored> {
        self.state.lock().expect("no panic").open.values().cloned().collect()
    }

    fn waiting(&self) -> u64 {
        self.state.lock().expect("no panic").waiting.len() as u64
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.state.lock().expect("no panic").news = Some(wake);
    }
}

fn start(mqtt: config::Mqtt, store: &Arc<Store>, inbox: Option<Inbox>) -> Daemon {
    Daemon::with(|metrics, clock| peregrine::publish::Context {
        outgoing: store.outgoing(),
        inbox,
        ..context(mqtt, metrics, clock)
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

fn raised(alert: &str) -> What {
    What::AlertRaised { alert: alert.to_owned(), severity: Severity::Critical, reason: "a test".to_owned() }
}

fn cleared(alert: &str) -> What {
    let (severity, reason) = (Severity::Critical, "a test".to_owned());
    What::AlertCleared { alert: alert.to_owned(), severity, reason, open_ms: 1 }
}

#[test]
fn an_alert_is_retained_while_it_is_open_and_its_events_are_not() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let broker = Broker::open();
        let subscriber = broker.subscribe(&[]);
        let store = Store::new();
        let daemon = start(config::Mqtt { version, ..mqtt(broker.port) }, &store, None);
        store.offer(raised("fire"));
        let state = valid(subscriber.find(|s| s.topic == "peregrine/gate/alert/fire"));
        assert_eq!((&state.body["state"], &state.body["camera"]), (&"raised".into(), &"yard".into()));
        let event = valid(subscriber.next());
        assert_eq!(
            (event.topic.as_str(), &event.body["event"]),
            ("peregrine/gate/camera/yard/events", &"alert_raised".into())
        );
        assert_eq!(event.body["id"], state.body["id"], "the state comes before the event that it is about");
        comes("the broker has both", || store.waiting() == 0);
        let late = broker.subscribe(&[]);
        assert!(late.find(|s| s.topic.contains("/alert/")).retained);

        store.offer(cleared("fire"));
        assert!(subscriber.find(|s| s.topic == "peregrine/gate/alert/fire").body.is_null(), "it is deleted");
        assert_eq!(valid(subscriber.next()).body["event"], "alert_cleared");
        assert!(daemon.stop());
        let later = broker.subscribe(&[]);
        let first = later.next();
        assert_eq!((first.topic.as_str(), first.retained), ("peregrine/gate/status", true), "nothing else is retained");
    }
}

#[test]
fn an_alert_that_was_open_before_a_restart_is_said_again_and_taken_back() {
    let broker = Broker::open();
    let store = Store::new();
    store.offer(raised("fire"));
    let open = store.next(Lane::Alerts, 0).expect("just offered").1;
    store.acknowledged(Lane::Alerts, 1);
    let subscriber = broker.subscribe(&[]);
    let daemon = Daemon::with(|metrics, clock| {
        let outgoing = Outgoing { open_alerts: vec![open.clone()], ..store.outgoing().expect("some") };
        peregrine::publish::Context { outgoing: Some(outgoing), ..context(mqtt(broker.port), metrics, clock) }
    })
    .unwrap_or_else(|e| panic!("{e}"));
    let said = valid(subscriber.find(|s| s.topic == "peregrine/gate/alert/fire"));
    assert_eq!(said.body["id"], open.id.to_string());
    store.offer(cleared("fire"));
    assert!(subscriber.find(|s| s.topic == "peregrine/gate/alert/fire").body.is_null());
    assert!(daemon.stop());
}

#[test]
fn an_alert_that_the_broker_retains_of_a_life_whose_disk_is_gone_is_taken_back() {
    let broker = Broker::open();
    for alert in ["fire", "flood"] {
        broker.publish(&format!("peregrine/gate/alert/{alert}"), "{\"state\":\"raised\"}", true);
    }
    let store = Store::new();
    store.offer(raised("flood"));
    let daemon = Daemon::with(|metrics, clock| {
        let alerts = vec!["fire".to_owned(), "flood".to_owned()];
        let outgoing = Outgoing { alerts, ..store.outgoing().expect("some") };
        peregrine::publish::Context { outgoing: Some(outgoing), ..context(mqtt(broker.port), metrics, clock) }
    })
    .unwrap_or_else(|e| panic!("{e}"));
    comes("the broker has the alert", || store.waiting() == 0);
    let late = broker.subscribe(&[]);
    broker.publish("peregrine/all/was/said", "{}", false);
    let retained = std::iter::repeat_with(|| late.next()).take_while(|seen| seen.retained).map(|seen| seen.topic);
    let retained: std::collections::BTreeSet<_> = retained.collect();
    assert_eq!(retained, ["peregrine/gate/alert/flood", "peregrine/gate/status"].map(str::to_owned).into());
    assert!(daemon.stop());
}

#[test]
fn a_broker_that_freezes_dies_and_forgets_costs_no_event_and_no_order() {
    let mut broker = Broker::open();
    let wire = Wire::to(broker.port);
    let store = Store::new();
    let daemon = start(mqtt(wire.port), &store, None);
    let mut subscriber = broker.subscribe(&[]);
    let (mut bodies, mut order) = (HashMap::new(), Vec::new());
    for round in 1..=3 {
        store.crossed(100);
        // What a broker without persistence acknowledged and did not pass on dies with it; so it is given the time to.
        arrive(&subscriber, round * 200 - 100, &mut bodies, &mut order);
        broker.freeze();
        store.crossed(100);
        broker.kill();
        wire.cut();
        comes("the loss is noticed", || daemon.metrics.mqtt.connected.get() == 0);
        broker.restart();
        subscriber = broker.subscribe(&[]);
        wire.mend();
        arrive(&subscriber, round * 200, &mut bodies, &mut order);
        comes("everything is acknowledged", || store.waiting() == 0);
    }
    assert_eq!(order, (1..=600).collect::<Vec<u64>>(), "each one, the first time in order");
    assert_eq!(store.refused(), []);
    assert!(daemon.stop());
}

/// Reads until so many events were seen.
fn arrive(from: &Subscriber, count: usize, bodies: &mut HashMap<u64, serde_json::Value>, order: &mut Vec<u64>) {
    while order.len() < count {
        remember(valid(from.find(|s| s.topic.ends_with("/events"))).body, bodies, order);
    }
}

/// A message that comes again must be the same; the first time counts for the order.
fn remember(body: serde_json::Value, bodies: &mut HashMap<u64, serde_json::Value>, order: &mut Vec<u64>) {
    let seq = body["seq"].as_u64().expect("a number");
    if let Some(before) = bodies.insert(seq, body.clone()) {
        assert_eq!(before, body, "the same event is the same message");
    } else {
        order.push(seq);
    }
}

fn a_message_of_a_megabyte_is_set_aside(version: MqttVersion, limits: &str) -> String {
    let broker = Broker::start(&format!("allow_anonymous true\n{limits}"), |_| {});
    let store = Store::new();
    store.crossed(5);
    store.offer(What::Lost { count: 1, alerts: 0, reason: "x".repeat(1 << 20) });
    store.crossed(50);
    let daemon = start(config::Mqtt { version, ..mqtt(broker.port) }, &store, None);
    comes("all others arrive", || store.waiting() == 0);
    let refused = store.refused();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].0, refused[0].1), (Lane::Events, 6));
    assert_eq!(store.delays(Lane::Events).len(), 55);
    assert_eq!(daemon.metrics.mqtt.refused_total.get(), 1);
    assert!(daemon.stop());
    refused[0].2.clone()
}

#[test]
fn a_message_that_the_broker_announced_not_to_take_is_not_sent() {
    let why = a_message_of_a_megabyte_is_set_aside(MqttVersion::V5, "max_packet_size 100000");
    assert!(why.contains("larger than it takes"), "{why}");
}

#[test]
fn a_message_over_which_a_broker_ends_every_connection_is_set_aside_alone() {
    let why = a_message_of_a_megabyte_is_set_aside(MqttVersion::V311, "max_packet_size 100000");
    assert!(why.contains("ends every connection"), "{why}");
}

#[test]
fn a_message_that_the_broker_refuses_is_set_aside_with_its_reason() {
    let why = a_message_of_a_megabyte_is_set_aside(MqttVersion::V5, "message_size_limit 100000");
    assert!(why.contains("PacketTooLarge") || why.contains("ends every connection"), "{why}");
}

#[test]
fn alerts_overtake_a_backlog_that_drains() {
    const EVENTS: u64 = 20_000;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let broker = Broker::open();
        let _subscriber = broker.subscribe(&[]);
        let store = Store::new();
        store.crossed(EVENTS);
        let daemon = start(config::Mqtt { version, ..mqtt(broker.port) }, &store, None);
        daemon.wait_connected();
        let begun = daemon.clock.mono();
        let mut waited_behind = Vec::new();
        for n in 0..100 {
            store.offer(if n % 2 == 0 { raised("fire") } else { cleared("fire") });
            comes("the alert arrives", || store.delays(Lane::Alerts).len() == n + 1);
            waited_behind.push(store.waiting());
            pause(Duration::from_millis(10));
        }
        assert!(waited_behind[0] > 0, "the first alert did not wait for the backlog");
        comes("everything arrives", || store.waiting() == 0);
        let took = daemon.clock.mono() - begun;
        let delays = store.delays(Lane::Alerts);
        println!(
            "{version:?}: {EVENTS} events in {:.2} s ({:.0} a second); alerts meanwhile: median {:?}, p99 {:?}",
            took.as_secs_f64(),
            EVENTS as f64 / took.as_secs_f64(),
            delays[50],
            delays[98],
        );
        assert!(daemon.stop());
    }
}

#[test]
fn a_stop_leaves_on_disk_what_it_has_no_time_for_and_says_so_to_nobody() {
    let broker = Broker::open();
    let store = Store::new();
    store.crossed(200_000);
    let daemon = start(mqtt(broker.port), &store, None);
    comes("the backlog drains", || store.delays(Lane::Events).len() > 10);
    let subscriber = broker.subscribe(&[]);
    assert!(daemon.driver.stop(Duration::from_secs(1)), "what is on disk is not lost");
    assert!(store.waiting() > 0);
    let farewell = subscriber.find(|s| s.topic == "peregrine/gate/status" && s.body["state"] == "offline");
    assert_eq!(farewell.body["reason"], "stopped");
    let without_broker = start(mqtt(1), &store, None);
    without_broker.wait_trouble("refused");
    assert!(without_broker.driver.stop(Duration::from_secs(5)));
}

#[test]
fn messages_of_others_are_heard_on_every_connection_and_answered() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let broker = Broker::open();
        let wire = Wire::to(broker.port);
        let (tell, heard) = std::sync::mpsc::channel::<Incoming>();
        let hear = move |message| tell.send(message).expect("the test listens");
        let inbox = Inbox { filters: vec!["peregrine/gate/cmd/+".to_owned()], hear: Arc::new(hear) };
        let store = Store::new();
        let daemon = start(config::Mqtt { version, ..mqtt(wire.port) }, &store, Some(inbox));
        for (round, retain) in [(1, true), (2, false)] {
            comes("the birth is acknowledged", || daemon.metrics.mqtt.acknowledged_total.get() >= round);
            broker.publish("peregrine/gate/cmd/reload", &format!("{{\"id\":{round}}}"), retain);
            let seen = heard.recv_timeout(PATIENCE).expect("heard in time");
            assert_eq!(seen.topic, "peregrine/gate/cmd/reload");
            assert_eq!(seen.body, format!("{{\"id\":{round}}}").into_bytes());
            assert!(!seen.retained, "it came while we listened");
            // Packet identifiers go round several times behind the subscription's.
            store.crossed(100);
            comes("events go on", || store.waiting() == 0);
            if round == 1 {
                wire.cut();
                comes("the loss is noticed", || daemon.metrics.mqtt.connected.get() == 0);
                wire.mend();
                let kept = heard.recv_timeout(PATIENCE).expect("heard in time");
                assert!(kept.retained, "the broker kept it");
                daemon.wait_connected();
            }
        }
        let subscriber = broker.subscribe(&[]);
        daemon.publisher.send(Message {
            topic: "peregrine/gate/cmd/reload/result".to_owned(),
            body: b"{\"ok\":true}".to_vec(),
            retain: false,
            qos: Qos::AtLeastOnce,
            kind: Kind::Foreign,
            expires_secs: None,
        });
        assert_eq!(subscriber.find(|s| s.topic.ends_with("/result")).body["ok"], true);
        assert!(daemon.stop());
    }
}

#[test]
fn a_retained_message_that_is_too_large_for_us_holds_up_no_event() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let broker = Broker::open();
        broker.retain_bytes("peregrine/gate/cmd/reload", 2 << 20);
        let inbox = Inbox { filters: vec!["peregrine/gate/cmd/+".to_owned()], hear: Arc::new(|_| ()) };
        let store = Store::new();
        let daemon = start(config::Mqtt { version, ..mqtt(broker.port) }, &store, Some(inbox));
        store.crossed(500);
        comes("events go on", || store.waiting() == 0);
        assert_eq!(store.refused(), []);
        assert!(daemon.metrics.mqtt.connects_total.get() <= 2, "it is not tried again and again");
        assert!(daemon.stop());
    }
}

#[test]
fn a_frozen_broker_is_noticed_while_events_are_on_their_way() {
    let broker = Broker::open();
    let store = Store::new();
    let daemon = start(mqtt(broker.port), &store, None);
    daemon.wait_connected();
    broker.freeze();
    let frozen = daemon.clock.mono();
    store.crossed(5);
    daemon.wait_trouble("the broker does not answer");
    println!("a frozen broker was noticed after {:.1} s", (daemon.clock.mono() - frozen).as_secs_f64());
    assert!(daemon.stop(), "the events are on disk");
    assert_eq!(store.waiting(), 5);
}
