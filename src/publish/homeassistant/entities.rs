//! The entities: which there are, on which topic each finds its state, and the template that reads it there.
//! Whose they are and how they travel is `mod.rs`; what those that give orders send is `orders.rs`.

use serde_json::{Map, Value, json};

use super::{Camera, Site, orders};
use crate::publish::topics;
use crate::types::{CameraState, What};

type Entities = Map<String, Value>;

/// States of a camera that somebody should look into. `connecting` is none: each new attempt passes through it.
const TROUBLED: [CameraState; 4] =
    [CameraState::Stalled, CameraState::AuthFailed, CameraState::UnsupportedCodec, CameraState::Failed];

/// Kinds of events that are on the device's own topic. Alerts may be a camera's too.
const OF_DEVICE: [&str; 4] = ["alert_raised", "alert_cleared", "lost", "budget_step"];
/// Those that are never a camera's.
const NO_CAMERAS: [&str; 2] = ["lost", "budget_step"];

/// Entities of the device itself.
pub(super) fn of_device(site: &Site) -> Entities {
    let (prefix, device) = (site.prefix.as_str(), site.device.as_str());
    let mut all = Adder { id: site.id(), entities: Entities::new() };
    let health = topics::device_health(prefix, device);
    let status = topics::device_status(prefix, device);
    all.add(
        "connected",
        "binary_sensor",
        "Connected",
        json!({
            "state_topic": status,
            "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            // Without this it would be unavailable just when it has something to say.
            "availability": [],
        }),
    );
    all.add(
        "temperature",
        "sensor",
        "Temperature",
        json!({
            "state_topic": health,
            "value_template": "{{ value_json.temperature_celsius }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "entity_category": "diagnostic",
        }),
    );
    all.add(
        "events_waiting",
        "sensor",
        "Events waiting",
        json!({
            "state_topic": health,
            "value_template": "{{ value_json.events_waiting }}",
            "state_class": "measurement",
            "entity_category": "diagnostic",
        }),
    );
    all.add(
        "budget_level",
        "sensor",
        "Budget level",
        json!({
            "state_topic": health,
            "value_template": "{{ value_json.budget_level }}",
            "json_attributes_topic": health,
            "json_attributes_template": attributes(&["budget_levels"]),
            "state_class": "measurement",
            "entity_category": "diagnostic",
        }),
    );
    for stage in &site.stages {
        let topic = topics::engine_status(prefix, device, stage);
        all.add(
            &format!("engine:{stage}"),
            "binary_sensor",
            &format!("Engine {stage}"),
            json!({
                "state_topic": topic,
                "value_template": "{{ 'OFF' if value_json.state == 'ok' else 'ON' }}",
                "json_attributes_topic": topic,
                "json_attributes_template": attributes(&["state", "engine", "model", "reason"]),
                "device_class": "problem",
                "entity_category": "diagnostic",
            }),
        );
    }
    for alert in &site.alerts {
        let topic = topics::alert(prefix, device, alert);
        all.add(
            &format!("alert:{alert}"),
            "binary_sensor",
            &format!("Alert {alert}"),
            json!({
                "state_topic": topic,
                // An alert that is over leaves an empty message, which is no JSON.
                "value_template": "{{ 'ON' if value_json is defined and value_json.state == 'raised' else 'OFF' }}",
                "json_attributes_topic": topic,
                "json_attributes_template": "{{ value_json | to_json if value_json is defined else '{}' }}",
                "device_class": "safety",
            }),
        );
    }
    all.events(topics::events(prefix, device, None), &OF_DEVICE);
    if site.orders.reload {
        all.add(
            "reload",
            "button",
            "Reload configuration",
            json!({
                "command_topic": topics::command(prefix, device, "reload"),
                "command_template": orders::reload(),
                "qos": 1,
                "retain": false,
                "entity_category": "config",
            }),
        );
    }
    all.entities
}

/// Entities of a camera.
pub(super) fn of_camera(site: &Site, camera: &Camera) -> Entities {
    let mut all = Adder { id: site.camera_id(&camera.name), entities: Entities::new() };
    all.state_of(site, camera);
    for zone in &camera.zones {
        all.zone(&topics::zone(&site.prefix, &site.device, &camera.name, zone), zone);
    }
    for (line, directions) in &camera.lines {
        let topic = topics::line(&site.prefix, &site.device, &camera.name, line);
        directions.iter().for_each(|direction| all.line(&topic, line, direction));
    }
    let kinds: Vec<&str> = What::KINDS.into_iter().filter(|k| !NO_CAMERAS.contains(k)).collect();
    all.events(topics::events(&site.prefix, &site.device, Some(&camera.name)), &kinds);
    if camera.snapshots {
        all.add(
            "snapshot",
            "image",
            "Snapshot",
            json!({
                "image_topic": topics::snapshot(&site.prefix, &site.device, &camera.name),
                "content_type": "image/jpeg",
            }),
        );
    }
    all.orders(site, camera);
    all.entities
}

/// Collects entities whose ids begin alike.
struct Adder {
    id: String,
    entities: Entities,
}

impl Adder {
    /// `key` is one word for each entity of a device; names of zones and the like have no colon, so a colon keeps them apart.
    fn add(&mut self, key: &str, platform: &str, name: &str, keys: Value) {
        let mut entity = json!({ "platform": platform, "unique_id": format!("{}/{key}", self.id), "name": name });
        if let (Value::Object(entity), Value::Object(keys)) = (&mut entity, keys) {
            entity.extend(keys);
        }
        self.entities.insert(key.to_owned(), entity);
    }

    fn state_of(&mut self, site: &Site, camera: &Camera) {
        let status = topics::camera_status(&site.prefix, &site.device, &camera.name);
        let health = topics::camera_health(&site.prefix, &site.device, &camera.name);
        let troubled = TROUBLED.map(|s| format!("'{}'", s.as_str())).join(", ");
        self.add("problem", "binary_sensor", "Problem", json!({
            "state_topic": status,
            // An empty answer leaves things as they are.
            "value_template": format!(
                "{{% set s = value_json.state %}}{{{{ 'ON' if s in [{troubled}] else '' if s == 'connecting' else 'OFF' }}}}"
            ),
            "json_attributes_topic": status,
            "json_attributes_template": attributes(&["state", "reason", "since"]),
            "device_class": "problem",
        }));
        self.add(
            "state",
            "sensor",
            "State",
            json!({
                "state_topic": status,
                "value_template": "{{ value_json.state }}",
                "device_class": "enum",
                "options": CameraState::ALL.map(CameraState::as_str),
                "entity_category": "diagnostic",
            }),
        );
        for (key, name) in [("delivered_fps", "Frames delivered"), ("analysed_fps", "Frames analysed")] {
            self.add(
                key,
                "sensor",
                name,
                json!({
                    "state_topic": health,
                    "value_template": format!("{{{{ value_json.{key} }}}}"),
                    "unit_of_measurement": "fps",
                    "state_class": "measurement",
                    "entity_category": "diagnostic",
                }),
            );
        }
        self.add(
            "latency_p99_ms",
            "sensor",
            "Latency (p99)",
            json!({
                "state_topic": health,
                "value_template": "{{ value_json.latency_p99_ms }}",
                "device_class": "duration",
                "unit_of_measurement": "ms",
                "state_class": "measurement",
                "entity_category": "diagnostic",
            }),
        );
    }

    fn zone(&mut self, topic: &str, zone: &str) {
        self.add(
            &format!("zone:{zone}:occupied"),
            "binary_sensor",
            &format!("{zone} occupied"),
            json!({
                "state_topic": topic,
                "value_template": "{{ 'ON' if value_json.occupied else 'OFF' }}",
                "device_class": "occupancy",
            }),
        );
        self.add(
            &format!("zone:{zone}:count"),
            "sensor",
            &format!("{zone} count"),
            json!({
                "state_topic": topic,
                "value_template": "{{ value_json.count }}",
                "state_class": "measurement",
            }),
        );
    }

    fn line(&mut self, topic: &str, line: &str, direction: &str) {
        self.add(
            &format!("line:{line}:{direction}"),
            "sensor",
            &format!("{line} {direction}"),
            json!({
                "state_topic": topic,
                "value_template": format!("{{{{ value_json.directions['{}'].total }}}}", in_quotes(direction)),
                "json_attributes_topic": topic,
                "json_attributes_template":
                    format!("{{{{ value_json.directions['{}'].classes | to_json }}}}", in_quotes(direction)),
                // Counts begin again at 0 with the daemon, which this class allows.
                "state_class": "total_increasing",
            }),
        );
    }

    fn events(&mut self, topic: String, kinds: &[&str]) {
        self.add(
            "events",
            "event",
            "Events",
            json!({
                "state_topic": topic,
                "value_template": "{{ dict(value_json, event_type=value_json.event) | to_json }}",
                "event_types": kinds,
            }),
        );
    }

    fn orders(&mut self, site: &Site, camera: &Camera) {
        let command = |name| topics::command(&site.prefix, &site.device, name);
        if site.orders.detection {
            self.add(
                "detection",
                "switch",
                "Detection",
                json!({
                    "state_topic": topics::detection(&site.prefix, &site.device, &camera.name),
                    "value_template": "{{ value_json.state }}",
                    "state_on": "on",
                    "state_off": "off",
                    "payload_on": "on",
                    "payload_off": "off",
                    "command_topic": command("detection"),
                    "command_template": orders::detection(&camera.name),
                    "qos": 1,
                    "retain": false,
                }),
            );
        }
        if site.orders.snapshot && camera.snapshots {
            self.add(
                "take_snapshot",
                "button",
                "Take snapshot",
                json!({
                    "command_topic": command("snapshot"),
                    "command_template": orders::snapshot(&camera.name),
                    "qos": 1,
                    "retain": false,
                }),
            );
        }
    }
}

/// A template for an object with these fields of the message.
fn attributes(fields: &[&str]) -> String {
    let pairs: Vec<String> = fields.iter().map(|f| format!("'{f}': value_json.{f}")).collect();
    format!("{{{{ {{{}}} | to_json }}}}", pairs.join(", "))
}

/// A text within a template's quotes.
pub(super) fn in_quotes(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
