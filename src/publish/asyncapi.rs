//! Every topic in one document that tools read: AsyncAPI 3, `docs/asyncapi.json`. What stands there is what `topics.rs` and `payload.rs` do;
//! a test holds them together.
//!
//! Belongs here: the list of topics with direction, QoS and retention. Does not: the payloads' fields, which stand in docs/schemas. Pure.

use serde_json::{Map, Value, json};

use super::payload::SCHEMA;

/// What a message is made of.
#[derive(Debug, Clone, Copy)]
enum Payload {
    /// A file below docs/schemas.
    Schema(&'static str),
    /// A JPEG.
    Picture,
    /// JSON whose form others define: where that is written.
    Foreign(&'static str),
}

/// Which way messages go, as the device sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Send,
    Receive,
}

/// A topic, or many that differ in names only.
#[derive(Debug, Clone, Copy)]
struct Channel {
    id: &'static str,
    address: &'static str,
    about: &'static str,
    action: Action,
    qos: u8,
    retained: bool,
    payload: Payload,
}

const fn sent(id: &'static str, address: &'static str, about: &'static str, payload: Payload) -> Channel {
    Channel { id, address, about, action: Action::Send, qos: 1, retained: false, payload }
}

impl Channel {
    const fn retained(self) -> Self {
        Self { retained: true, ..self }
    }

    const fn at_most_once(self) -> Self {
        Self { qos: 0, ..self }
    }

    const fn received(self) -> Self {
        Self { action: Action::Receive, ..self }
    }
}

const HOME_ASSISTANT: &str =
    "MQTT device discovery of Home Assistant, https://www.home-assistant.io/integrations/mqtt/";
const ONVIF: &str = "JSON event payload of ONVIF's Core Specification, section Event Broker";

const CHANNELS: &[Channel] = &[
    sent(
        "deviceStatus",
        "{prefix}/{device}/status",
        "Whether the daemon is there; the last will.",
        Payload::Schema("device-status.schema.json"),
    )
    .retained(),
    sent(
        "deviceHealth",
        "{prefix}/{device}/health",
        "How warm the device is, and what waits for the broker.",
        Payload::Schema("device-health.schema.json"),
    )
    .retained(),
    sent(
        "telemetry",
        "{prefix}/{device}/telemetry",
        "What the board's sensors say: power, heat, what slows it down, load.",
        Payload::Schema("telemetry.schema.json"),
    )
    .at_most_once(),
    sent(
        "engineStatus",
        "{prefix}/{device}/engine/{stage}",
        "What runs a model.",
        Payload::Schema("engine-status.schema.json"),
    )
    .retained(),
    sent(
        "cameraStatus",
        "{prefix}/{device}/camera/{camera}/status",
        "What a camera is doing.",
        Payload::Schema("camera-status.schema.json"),
    )
    .retained(),
    sent(
        "cameraHealth",
        "{prefix}/{device}/camera/{camera}/health",
        "How fast a camera's frames come and go.",
        Payload::Schema("camera-health.schema.json"),
    )
    .retained(),
    sent(
        "detectionState",
        "{prefix}/{device}/camera/{camera}/detection",
        "Whether a camera's frames are analysed.",
        Payload::Schema("detection-state.schema.json"),
    )
    .retained(),
    sent(
        "zoneState",
        "{prefix}/{device}/camera/{camera}/zone/{zone}",
        "How many are in a zone.",
        Payload::Schema("zone-state.schema.json"),
    )
    .retained(),
    sent(
        "lineState",
        "{prefix}/{device}/camera/{camera}/line/{line}",
        "How many crossed a line since the daemon started.",
        Payload::Schema("line-state.schema.json"),
    )
    .retained(),
    sent(
        "detections",
        "{prefix}/{device}/camera/{camera}/detections",
        "Everything in one frame.",
        Payload::Schema("detections.schema.json"),
    )
    .at_most_once(),
    sent(
        "tracks",
        "{prefix}/{device}/camera/{camera}/tracks",
        "A track began, goes on, ended.",
        Payload::Schema("tracks.schema.json"),
    ),
    sent(
        "cameraEvents",
        "{prefix}/{device}/camera/{camera}/events",
        "What happened in front of a camera. Kept on disk until the broker has it; may come twice, with the same id and the same bytes.",
        Payload::Schema("event.schema.json"),
    ),
    sent(
        "deviceEvents",
        "{prefix}/{device}/events",
        "What happened to the device itself. Kept on disk until the broker has it; may come twice, with the same id and the same bytes.",
        Payload::Schema("event.schema.json"),
    ),
    sent(
        "alert",
        "{prefix}/{device}/alert/{alert}",
        "An alert that is open. An empty message takes it back.",
        Payload::Schema("alert.schema.json"),
    )
    .retained(),
    sent(
        "snapshot",
        "{prefix}/{device}/camera/{camera}/snapshot",
        "The newest picture of an event. Retained, and with QoS 1, if snapshots.mqtt says so.",
        Payload::Picture,
    )
    .at_most_once(),
    sent(
        "command",
        "{prefix}/{device}/cmd/{command}",
        "An order, where commands are enabled. One that is retained is ignored.",
        Payload::Schema("command.schema.json"),
    )
    .received(),
    sent(
        "commandResult",
        "{prefix}/{device}/cmd/{command}/result",
        "What became of an order.",
        Payload::Schema("command-result.schema.json"),
    ),
    sent(
        "homeAssistantDevice",
        "{discovery}/device/{node}/config",
        "What Home Assistant finds the device's entities by, where homeassistant.enabled.",
        Payload::Foreign(HOME_ASSISTANT),
    )
    .retained(),
    sent(
        "homeAssistantCamera",
        "{discovery}/device/{node}/{camera}/config",
        "What Home Assistant finds a camera's entities by. An empty message takes it back.",
        Payload::Foreign(HOME_ASSISTANT),
    )
    .retained(),
    sent(
        "homeAssistantBirth",
        "{discovery}/status",
        "Says online when Home Assistant has started; everything is announced again then.",
        Payload::Foreign("The text online or offline, https://www.home-assistant.io/integrations/mqtt/"),
    )
    .received(),
    sent(
        "onvifEvent",
        "{prefix}/{device}/onvif-ej/{topic}",
        "Events in the form of ONVIF, where onvif.enabled. The topic has several levels and ends in the source's values.",
        Payload::Foreign(ONVIF),
    ),
    sent(
        "onvifProperty",
        "{prefix}/{device}/onvif-ej/{topic}",
        "Properties in the form of ONVIF, where onvif.enabled. An empty message deletes the property.",
        Payload::Foreign(ONVIF),
    )
    .retained(),
];

/// Names in addresses, and what stands in their place.
const PARAMETERS: &[(&str, &str)] = &[
    ("prefix", "mqtt.prefix: one word or several."),
    ("device", "device.name"),
    ("stage", "What the model is for: detect, or classify. and the classifier's name."),
    ("camera", "The camera's name in the configuration."),
    ("zone", "The zone's name in the configuration."),
    ("line", "The line's name in the configuration."),
    ("alert", "The alert's name in the configuration."),
    ("command", "The order's name."),
    ("discovery", "homeassistant.discovery_prefix"),
    ("node", "mqtt.prefix and device.name as one word."),
    ("topic", "ONVIF's topic without its namespace, then /& and the source's values."),
];

/// The document.
pub fn document() -> String {
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Peregrine over MQTT",
            "version": format!("{SCHEMA}.0.0"),
            "description": "Every topic that a device writes or reads. Generated from the program; see mqtt.md for what people want to know.",
        },
        "defaultContentType": "application/json",
        "channels": CHANNELS.iter().map(|c| (c.id.to_owned(), channel(c))).collect::<Map<_, _>>(),
        "operations": CHANNELS.iter().map(|c| (c.operation(), operation(c))).collect::<Map<_, _>>(),
        "components": {
            "messages": CHANNELS.iter().map(|c| (c.id.to_owned(), message(c))).collect::<Map<_, _>>(),
            "parameters": PARAMETERS.iter().map(|(n, d)| ((*n).to_owned(), json!({"description": d}))).collect::<Map<_, _>>(),
        },
    });
    // A tree of JSON always has a JSON form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Every topic, with names in braces where topics differ.
pub fn addresses() -> impl Iterator<Item = &'static str> {
    CHANNELS.iter().map(|c| c.address)
}

/// Whether a topic is one of an address. The prefix and an ONVIF topic may be several words, every other name is one.
pub fn fits(address: &str, topic: &str) -> bool {
    fn words(address: &[&str], topic: &[&str]) -> bool {
        let (Some(first), Some(word)) = (address.first(), topic.first()) else {
            return address.is_empty() && topic.is_empty();
        };
        match *first {
            "{prefix}" | "{topic}" => (1..=topic.len()).any(|n| words(&address[1..], &topic[n..])),
            name if name.starts_with('{') => !word.is_empty() && words(&address[1..], &topic[1..]),
            same => same == *word && words(&address[1..], &topic[1..]),
        }
    }
    words(&address.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

impl Channel {
    fn operation(&self) -> String {
        let verb = if self.action == Action::Send { "send" } else { "receive" };
        format!("{verb}-{}", self.id)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.address.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'))
    }
}

fn channel(c: &Channel) -> Value {
    let parameter = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/parameters/{name}")}));
    json!({
        "address": c.address,
        "description": c.about,
        "parameters": c.names().map(parameter).collect::<Map<_, _>>(),
        "messages": { c.id: {"$ref": format!("#/components/messages/{}", c.id)} },
    })
}

fn operation(c: &Channel) -> Value {
    json!({
        "action": if c.action == Action::Send { "send" } else { "receive" },
        "channel": {"$ref": format!("#/channels/{}", c.id)},
        "messages": [{"$ref": format!("#/channels/{}/messages/{}", c.id, c.id)}],
        "bindings": {"mqtt": {"qos": c.qos, "retain": c.retained, "bindingVersion": "0.2.0"}},
    })
}

fn message(c: &Channel) -> Value {
    match c.payload {
        Payload::Schema(file) => json!({"name": c.id, "payload": {"$ref": format!("schemas/{file}")}}),
        Payload::Picture => json!({
            "name": c.id,
            "contentType": "image/jpeg",
            "payload": {"type": "string", "format": "binary"},
        }),
        Payload::Foreign(defined) => json!({"name": c.id, "payload": {"description": defined}}),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::runtime::environment;

    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
    }

    #[test]
    fn the_document_is_current() {
        let path = docs().join("asyncapi.json");
        if environment::var("PEREGRINE_WRITE").is_some() {
            std::fs::write(&path, document()).expect("written");
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == document(), "docs/asyncapi.json is stale; run the tests once with PEREGRINE_WRITE=1");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|v| references(v, found));
                }
                Value::Array(items) => items.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            match reference.strip_prefix('#') {
                Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere"),
                None => assert!(docs().join(&reference).is_file(), "docs/{reference} is not there"),
            }
        }
    }

    #[test]
    fn no_two_channels_operations_or_messages_have_the_same_name_and_every_parameter_is_explained() {
        let ids: BTreeSet<&str> = CHANNELS.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), CHANNELS.len());
        let used: BTreeSet<&str> = CHANNELS.iter().flat_map(Channel::names).collect();
        let explained: BTreeSet<&str> = PARAMETERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(used, explained);
    }

    #[test]
    fn every_schema_in_docs_belongs_to_a_topic() {
        let named: BTreeSet<&str> = CHANNELS
            .iter()
            .filter_map(|c| if let Payload::Schema(file) = c.payload { Some(file) } else { None })
            .collect();
        for entry in std::fs::read_dir(docs().join("schemas")).expect("docs/schemas") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            assert!(named.contains(name.as_str()), "docs/schemas/{name} belongs to no topic in asyncapi.rs");
        }
    }

    #[test]
    fn an_address_fits_its_own_topics_only() {
        assert!(fits("{prefix}/{device}/status", "site/north/gate/status"));
        assert!(fits("{prefix}/{device}/onvif-ej/{topic}", "p/d/onvif-ej/RuleEngine/LineDetector/Crossed/&yard/p/way"));
        assert!(!fits("{prefix}/{device}/status", "gate/status"));
        assert!(!fits("{prefix}/{device}/camera/{camera}/zone/{zone}", "p/d/camera/c/zone/a/b"));
        assert!(!fits("{prefix}/{device}/camera/{camera}/zone/{zone}", "p/d/camera/c/line/a"));
    }
}
