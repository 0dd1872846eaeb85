//! What an owner of Home Assistant relies on: entities that are found, keep their identity, and go with their camera.

use std::collections::BTreeSet;

use serde_json::Value;

use super::samples::site;
use super::*;

fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.body).expect("JSON")
}

#[test]
fn the_device_and_every_camera_are_announced_and_kept_by_the_broker() {
    let messages = site().announce();
    let topics: Vec<&str> = messages.iter().map(|m| m.topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "homeassistant/device/peregrine-gate/config",
            "homeassistant/device/peregrine-gate/yard/config",
            "homeassistant/device/peregrine-gate/hall/config",
        ]
    );
    for message in &messages {
        assert!(message.retain && message.qos == Qos::AtLeastOnce);
        assert_eq!(body(message)["availability"][0]["topic"], "peregrine/gate/status");
    }
    assert_eq!(body(&messages[1])["device"]["via_device"], body(&messages[0])["device"]["identifiers"][0]);
}

#[test]
fn a_camera_has_an_entity_for_each_thing_that_it_tells() {
    let messages = site().announce();
    let found: BTreeSet<String> =
        body(&messages[1])["components"].as_object().expect("components").keys().cloned().collect();
    let expected = [
        "analysed_fps",
        "delivered_fps",
        "detection",
        "events",
        "latency_p99_ms",
        "line:way:in",
        "line:way:it's out",
        "problem",
        "snapshot",
        "state",
        "take_snapshot",
        "zone:door:count",
        "zone:door:occupied",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
    let plain = body(&messages[2]);
    let plain = plain["components"].as_object().expect("components");
    assert!(!plain.contains_key("snapshot") && !plain.contains_key("take_snapshot"), "it publishes no pictures");
}

#[test]
fn no_order_can_be_given_where_none_is_taken() {
    let site = Site { orders: Orders::default(), ..site() };
    for message in site.announce() {
        let text = String::from_utf8(message.body).expect("text");
        assert!(!text.contains("command_topic"), "{text}");
    }
}

#[test]
fn every_entity_of_two_devices_has_an_id_of_its_own_that_a_restart_does_not_change() {
    let other = Site { prefix: "peregrine/north".to_owned(), ..site() };
    let ids = |site: &Site| -> Vec<String> {
        let of = |m: &Message| -> Vec<String> {
            let body = body(m);
            let components = body["components"].as_object().expect("components").values();
            components.map(|c| c["unique_id"].as_str().expect("an id").to_owned()).collect()
        };
        site.announce().iter().flat_map(of).collect()
    };
    let all: Vec<String> = [ids(&site()), ids(&other)].concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.contains(&"peregrine/gate/camera/yard/zone:door:occupied".to_owned()), "{all:?}");
    assert_eq!(ids(&site()), ids(&site()));
}

#[test]
fn a_camera_that_is_no_more_is_taken_back_and_nothing_else_is() {
    let site = site();
    let gone = "homeassistant/device/peregrine-gate/cellar/config";
    let deletion = site.retire(gone, b"{}").expect("a deletion");
    assert_eq!((deletion.topic.as_str(), deletion.body.len(), deletion.retain), (gone, 0, true));
    assert_eq!(site.retire(gone, b""), None, "it is deleted already");
    for message in site.announce() {
        assert_eq!(site.retire(&message.topic, &message.body), None, "{} stands", message.topic);
    }
    for foreign in [
        "homeassistant/device/peregrine-gate2/cellar/config",
        "homeassistant/device/peregrine-gate/a/b/config",
        "homeassistant/device/peregrine-gate//config",
        "homeassistant/sensor/peregrine-gate/cellar/config",
        "homeassistant/status",
    ] {
        assert_eq!(site.retire(foreign, b"{}"), None, "{foreign} is not ours");
    }
}

#[test]
fn announcements_are_due_again_when_home_assistant_starts_and_only_then() {
    let site = site();
    assert_eq!(site.subscriptions(), ["homeassistant/status", "homeassistant/device/peregrine-gate/+/config"]);
    assert!(site.is_birth("homeassistant/status", b"online", false));
    assert!(!site.is_birth("homeassistant/status", b"online", true), "retained: an earlier start");
    assert!(!site.is_birth("homeassistant/status", b"offline", false));
    assert!(!site.is_birth("homeassistant/device/peregrine-gate/yard/config", b"online", false));
    for random in [0, 1, 4_999, 5_000, u64::MAX] {
        assert!(announce_after(random) < SPREAD);
    }
}

#[test]
fn every_topic_that_an_entity_reads_is_one_that_the_device_writes() {
    for message in site().announce() {
        let body = body(&message);
        for entity in body["components"].as_object().expect("components").values() {
            for key in ["state_topic", "json_attributes_topic", "command_topic", "image_topic"] {
                let Some(topic) = entity[key].as_str() else { continue };
                assert!(
                    crate::publish::asyncapi::addresses().any(|a| crate::publish::asyncapi::fits(a, topic)),
                    "{topic} is documented nowhere"
                );
            }
        }
    }
}
