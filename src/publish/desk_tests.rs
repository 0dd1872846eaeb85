//! What lies on the desk, in which order it is given away, and what is counted.

use super::*;
use crate::publish::samples;
use crate::types::{CameraState, EngineState, TrackPhase};

fn desk(capacity: usize) -> Desk {
    let settings = config::Publish { detections_hz: 1000.0, track_updates_hz: 1000.0 };
    let presence = Presence::Online(samples::captured(Duration::ZERO));
    Desk::new(&settings, capacity, presence, Arc::default())
}

/// Hands over everything that is due, as a connection would; keys of states, ids of records.
fn handed(desk: &Desk) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(due) = desk.next_state(false).or_else(|| desk.next_record()) {
        match due {
            Due::Statement { key, version, .. } => {
                desk.statement_handed(&key, version);
                out.push(format!("state {key}"));
            }
            Due::Record { id, .. } => {
                desk.record_handed(id);
                out.push(format!("record {id}"));
            }
            Due::Event { .. } => unreachable!("events do not lie here"),
        }
    }
    out
}

fn track(n: u32) -> Report {
    samples::track_of("yard", samples::uid(n), TrackPhase::New, Duration::ZERO)
}

#[test]
fn the_birth_goes_first_then_states_then_records_and_all_again_after_a_loss() {
    let desk = desk(10);
    desk.offer(track(0), Duration::ZERO);
    desk.offer(samples::camera("yard", CameraState::Connecting, Duration::ZERO), Duration::ZERO);
    desk.connected();
    let all = ["state ", "state camera/yard", "record 0"];
    assert_eq!(handed(&desk), all);
    desk.disconnected("gone");
    desk.connected();
    assert_eq!(handed(&desk), all);
}

#[test]
fn only_a_models_newest_state_is_said_and_again_after_a_loss() {
    let desk = desk(10);
    desk.offer(samples::engine(EngineState::Ok, Duration::ZERO), Duration::ZERO);
    desk.offer(samples::engine(EngineState::Degraded, Duration::ZERO), Duration::ZERO);
    desk.connected();
    assert_eq!(handed(&desk), ["state ", "state engine/detect"]);
    desk.disconnected("gone");
    desk.connected();
    assert_eq!(handed(&desk), ["state ", "state engine/detect"]);
}

#[test]
fn only_a_cameras_newest_state_is_said() {
    let desk = desk(10);
    desk.connected();
    desk.offer(samples::camera("yard", CameraState::Connecting, Duration::ZERO), Duration::ZERO);
    let Some(Due::Statement { .. }) = desk.next_state(true) else { panic!("the birth is due") };
    assert_eq!(handed(&desk).len(), 2);
    desk.offer(samples::camera("yard", CameraState::Streaming, Duration::ZERO), Duration::ZERO);
    desk.offer(samples::camera("yard", CameraState::Stalled, Duration::ZERO), Duration::ZERO);
    // The acknowledgement of the version before must not pass for one of this version.
    desk.statement_done("camera/yard", 2);
    let Some(Due::Statement { statement: Statement::Camera(status), .. }) = desk.next_state(false) else {
        panic!("a state is due")
    };
    assert_eq!(status.state, CameraState::Stalled);
}

#[test]
fn detections_are_taken_only_while_connected_and_each_loss_is_counted() {
    let desk = desk(10);
    let dropped = || desk.metrics.mqtt.dropped_qos0_total.get();
    let offer = |n: u64| {
        let at = Duration::from_secs(n);
        desk.offer(samples::sighting("yard", at), at);
    };
    offer(0);
    assert_eq!((dropped(), desk.take_fleeting().is_none()), (1, true));
    desk.connected();
    (1..=FLEETING as u64 + 5).for_each(offer);
    assert_eq!(dropped(), 6);
    desk.disconnected("gone");
    assert_eq!(dropped(), 6 + FLEETING as u64);
    assert!(desk.take_fleeting().is_none(), "nothing stale is left for the next connection");
}

#[test]
fn what_an_alert_left_with_the_broker_is_taken_back_until_the_broker_has_done_so() {
    let desk = desk(10);
    desk.connected();
    let stored = samples::stored(1, Some("yard"), samples::raised("red_car"));
    desk.say_alert("red_car", Retain::Raised(Box::new(stored)));
    assert_eq!(handed(&desk), ["state ", "state alert/red_car"]);
    desk.say_alert("red_car", Retain::Over);
    assert_eq!(handed(&desk), ["state alert/red_car"]);
    desk.disconnected("gone");
    desk.connected();
    let Some(Due::Statement { .. }) = desk.next_state(true) else { panic!("the birth is due") };
    desk.statement_handed("", 1);
    let Some(Due::Statement { key, version, statement: Statement::AlertOver(name) }) = desk.next_state(true) else {
        panic!("the broker has not said that it forgot")
    };
    assert_eq!(name, "red_car");
    desk.statement_done(&key, version);
    desk.disconnected("gone");
    desk.connected();
    assert_eq!(handed(&desk), ["state "], "nothing is left to say about it");
}

#[test]
fn a_message_is_treated_as_it_asks() {
    let desk = desk(10);
    desk.connected();
    let message = |topic: &str, retain, qos| Message {
        topic: topic.to_owned(),
        body: b"{}".to_vec(),
        retain,
        qos,
        kind: crate::publish::Kind::Foreign,
        expires_secs: None,
    };
    desk.send(message("a", true, Qos::AtLeastOnce), Duration::ZERO);
    desk.send(message("b", false, Qos::AtLeastOnce), Duration::ZERO);
    desk.send(message("c", false, Qos::AtMostOnce), Duration::ZERO);
    assert_eq!(handed(&desk), ["state ", "state other/a", "record 0"]);
    assert!(desk.take_fleeting().is_some_and(|o| matches!(o.content, Content::Message(m) if m.topic == "c")));
}

#[test]
fn every_track_step_is_accounted_for() {
    let desk = desk(3);
    for n in 0..10 {
        desk.offer(track(n), Duration::ZERO);
    }
    assert_eq!(desk.records_left(), 3);
    assert_eq!(desk.metrics.mqtt.dropped_outbox_total.get(), 7);
    desk.close();
    desk.offer(track(10), Duration::ZERO);
    assert_eq!(desk.metrics.mqtt.dropped_outbox_total.get(), 8);
}
