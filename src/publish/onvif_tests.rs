//! Topics and payloads as the specification's examples have them, and properties that are true for as long as they say.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::publish::homeassistant::samples::{crossed, event, subject};
use crate::publish::samples::captured;
use crate::types::Severity;

fn at(secs: u64) -> Captured {
    captured(Duration::from_secs(secs))
}

fn by(n: u32, what: What, secs: u64) -> Event {
    Event { subject: Some(subject(n, "person")), ..event(Some("yard"), what, at(secs)) }
}

fn zone() -> String {
    "door".to_owned()
}

fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.body).expect("JSON")
}

fn render(onvif: &mut Onvif, event: &Event) -> Message {
    render_of(1, onvif, event)
}

/// In which life of the daemon it happened.
fn render_of(life: u128, onvif: &mut Onvif, event: &Event) -> Message {
    let stored = Stored { id: Uuid::nil(), boot: Uuid::from_u128(life), seq: 1, event: event.clone() };
    onvif.render(&stored, "gate", "peregrine")
}

/// One of every kind.
fn one_of_each() -> Vec<Event> {
    let (alert, reason) = ("intruder".to_owned(), "a person entered".to_owned());
    let (line, direction, class) = ("way".to_owned(), "in".to_owned(), "traffic light".to_owned());
    let severity = Severity::Warning;
    let kinds = [
        What::Appeared,
        What::Entered { zone: zone() },
        What::Dwell { zone: zone(), inside_ms: 1 },
        What::Crossed { line: line.clone(), direction: direction.clone() },
        What::Stopped,
        What::Moving { stopped_ms: 1 },
        What::Occupancy { zone: zone(), count: 1, before: 0 },
        What::Crowd { zone: zone(), count: 5 },
        What::CrowdEnd { zone: zone(), count: 4, lasted_ms: 1 },
        What::Count { line, direction, class, count: 1, total: 2, interval_ms: 1 },
        What::AlertRaised { alert: alert.clone(), severity, reason: reason.clone() },
        What::AlertCleared { alert, severity, reason: reason.clone(), open_ms: 1 },
        What::Lost { count: 3, alerts: 1, reason },
        crate::publish::samples::budget_step(),
        What::DwellEnd { zone: zone(), inside_ms: 1 },
        What::Left { zone: zone(), inside_ms: 1 },
        What::Gone { present_ms: 1 },
    ];
    kinds.into_iter().map(|what| by(1, what, 1)).collect()
}

#[test]
fn a_crossing_looks_as_in_the_specification() {
    let message = render(&mut Onvif::default(), &crossed("yard", "way", "in", "person", at(1)));
    assert_eq!(message.topic, "peregrine/gate/onvif-ej/RuleEngine/LineDetector/Crossed/&yard/peregrine/way");
    assert!(!message.retain, "it is no property");
    let expected = json!({
        "UtcTime": "2026-03-01T12:00:01.000Z",
        "Source": {"VideoSource": "yard", "AnalyticsConfiguration": "peregrine", "Rule": "way"},
        "Data": {"ObjectId": "1", "Class": "person", "Direction": "in"},
    });
    assert_eq!(body(&message), expected);
}

#[test]
fn a_field_is_occupied_until_the_last_one_left() {
    let mut onvif = Onvif::default();
    let mut inside = |event: Event| {
        let message = render(&mut onvif, &event);
        assert!(message.retain);
        let data = body(&message)["Data"].clone();
        (data["IsInside"].as_bool().expect("a truth"), data["ObjectId"].as_str().expect("a text").to_owned())
    };
    let entered = || What::Entered { zone: zone() };
    let left = || What::Left { zone: zone(), inside_ms: 1 };
    assert_eq!(inside(by(1, entered(), 1)), (true, "1".to_owned()));
    assert_eq!(inside(by(2, entered(), 2)), (true, "1 2".to_owned()));
    assert_eq!(inside(by(2, entered(), 2)), (true, "1 2".to_owned()), "shown again, after a lost connection");
    assert_eq!(inside(by(1, left(), 3)), (true, "2".to_owned()));
    assert_eq!(inside(by(2, left(), 4)), (false, String::new()));
}

#[test]
fn who_was_inside_when_the_daemon_was_killed_is_not_inside_for_ever() {
    let mut onvif = Onvif::default();
    render(&mut onvif, &by(1, What::Entered { zone: zone() }, 1));
    let next = render_of(2, &mut onvif, &by(9, What::Entered { zone: zone() }, 5));
    assert_eq!(body(&next)["Data"], json!({"IsInside": true, "ObjectId": "9"}));
    let over = render_of(2, &mut onvif, &by(9, What::Left { zone: zone(), inside_ms: 1 }, 6));
    assert_eq!(body(&over)["Data"], json!({"IsInside": false, "ObjectId": ""}));
}

#[test]
fn a_message_has_the_order_of_the_specification_s_grammar() {
    let message = render(&mut Onvif::default(), &crossed("yard", "way", "in", "person", at(1)));
    let text = String::from_utf8(message.body).expect("text");
    assert!(text.starts_with("{\"UtcTime\":\"2026-03-01T12:00:01.000Z\",\"Source\":{"), "{text}");
}

#[test]
fn the_property_of_those_who_stay_is_deleted_with_the_last_one() {
    let mut onvif = Onvif::default();
    let dwell = || What::Dwell { zone: zone(), inside_ms: 1 };
    let end = || What::DwellEnd { zone: zone(), inside_ms: 1 };
    render(&mut onvif, &by(1, dwell(), 1));
    let both = render(&mut onvif, &by(2, dwell(), 5));
    assert_eq!(body(&both)["Data"], json!({"ObjectId": "1 2", "Since": "2026-03-01T12:00:01.000Z"}));
    let one = render(&mut onvif, &by(1, end(), 7));
    assert_eq!(body(&one)["Data"], json!({"ObjectId": "2", "Since": "2026-03-01T12:00:05.000Z"}));
    let none = render(&mut onvif, &by(2, end(), 8));
    assert_eq!((none.topic, none.body.len(), none.retain), (one.topic, 0, true));
}

#[test]
fn an_alert_and_its_end_meet_on_one_retained_topic() {
    let (alert, reason, severity) = ("intruder".to_owned(), "x".to_owned(), Severity::Critical);
    let raised = What::AlertRaised { alert: alert.clone(), severity, reason: reason.clone() };
    let cleared = What::AlertCleared { alert, severity, reason, open_ms: 5 };
    let mut onvif = Onvif::default();
    let raised = render(&mut onvif, &event(None, raised, at(1)));
    let cleared = render(&mut onvif, &event(None, cleared, at(2)));
    assert_eq!(raised.topic, "peregrine/gate/onvif-ej/peregrine:Alert/&intruder");
    assert_eq!(raised.topic, cleared.topic);
    assert!(raised.retain && cleared.retain);
    assert_eq!((&body(&raised)["Data"]["State"], &body(&cleared)["Data"]["State"]), (&json!(true), &json!(false)));
    assert_eq!(body(&raised)["Data"]["Severity"], "critical");
}

#[test]
fn every_kind_of_event_has_its_form_on_a_documented_topic() {
    let events = one_of_each();
    let mut kinds: Vec<&str> = events.iter().map(|e| e.what.kind()).collect();
    kinds.sort_unstable();
    let mut all = What::KINDS.to_vec();
    all.sort_unstable();
    assert_eq!(kinds, all);
    let mut onvif = Onvif::default();
    for event in &events {
        let message = render(&mut onvif, event);
        assert!(message.topic.starts_with("peregrine/gate/onvif-ej/"), "{}", message.topic);
        assert!(!message.topic.contains(['#', '+']), "{}", message.topic);
        if !message.body.is_empty() {
            let body = body(&message);
            let values = body["Source"].as_object().into_iter().chain(body["Data"].as_object()).flatten();
            for (name, value) in values {
                assert!(
                    !value.is_null() && !value.is_object() && !value.is_array(),
                    "{name} is no simple item: {value}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn no_name_adds_a_level_or_a_wildcard_to_a_topic(line in any::<String>(), direction in any::<String>()) {
        let what = What::Crossed { line, direction };
        let message = render(&mut Onvif::default(), &by(1, what, 1));
        prop_assert_eq!(message.topic.matches('/').count(), 8);
        prop_assert!(!message.topic.contains(['#', '+', '\0']));
    }
}
