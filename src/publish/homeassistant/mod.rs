//! Home Assistant finds its entities by itself: a retained message for the device and one for each camera says what there is, on which
//! topics, and how to read them (its device-based MQTT discovery).
//!
//! Belongs here: what is announced, and what of an earlier announcement is to go. Does not: the entities' states, which are the messages
//! that everybody gets (see `payload.rs`, `payload/state.rs`), nor the connection. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::payload::{Kind, Message, Qos};
use super::topics;

mod entities;
mod orders;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

/// After a birth of Home Assistant, announcements are spread over this time, so that a fleet does not answer at once.
const SPREAD: Duration = Duration::from_secs(5);

/// All that an announcement says about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// First word or words of our own topics.
    pub prefix: String,
    /// First word of Home Assistant's topics: "homeassistant", if its owner has not changed it.
    pub discovery_prefix: String,
    /// The device's name.
    pub device: String,
    /// What models are for: "detect", "classify.NAME".
    pub stages: Vec<String>,
    /// Alerts by their names.
    pub alerts: Vec<String>,
    /// The cameras that are switched on.
    pub cameras: Vec<Camera>,
    /// Which orders over MQTT are obeyed.
    pub orders: Orders,
}

/// Orders that entities may give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// A camera's detection on and off.
    pub detection: bool,
    /// A picture of a camera now.
    pub snapshot: bool,
    /// The configuration read again.
    pub reload: bool,
}

/// All that an announcement says about a camera.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Camera {
    /// Its name.
    pub name: String,
    /// Zones whose occupancy is told.
    pub zones: Vec<String>,
    /// Lines, each with the names of its directions.
    pub lines: Vec<(String, Vec<String>)>,
    /// Whether pictures of its events are published.
    pub snapshots: bool,
}

impl Site {
    /// The messages that announce everything; retained. To be sent with every connection and when [`Site::is_birth`] says so.
    pub fn announce(&self) -> Vec<Message> {
        let cameras = self.cameras.iter().map(|c| self.message(&self.camera_topic(&c.name), self.camera(c)));
        std::iter::once(self.message(&self.device_topic(), self.box_itself())).chain(cameras).collect()
    }

    /// What to subscribe to: Home Assistant's births, and our own announcements of cameras as the broker retains them.
    pub fn subscriptions(&self) -> [String; 2] {
        [self.birth_topic(), format!("{}/device/{}/+/config", self.discovery_prefix, self.node())]
    }

    /// Whether a message says that Home Assistant has started, so that announcements are due again (see [`announce_after`]): its broker may
    /// have forgotten what it retained. One that is retained tells of an earlier start.
    pub fn is_birth(&self, topic: &str, payload: &[u8], retained: bool) -> bool {
        !retained && payload == b"online" && topic == self.birth_topic()
    }

    /// What deletes an announcement of a camera that is no more; None where the announcement stands, or is not ours.
    pub fn retire(&self, topic: &str, payload: &[u8]) -> Option<Message> {
        let ours = format!("{}/device/{}/", self.discovery_prefix, self.node());
        let camera = topic.strip_prefix(&ours)?.strip_suffix("/config")?;
        let is_word = !camera.is_empty() && !camera.contains('/');
        let stands = self.cameras.iter().any(|c| self.camera_topic(&c.name) == topic);
        (is_word && !stands && !payload.is_empty()).then(|| Message { body: Vec::new(), ..discovery(topic) })
    }

    fn message(&self, topic: &str, body: Value) -> Message {
        // A tree of JSON always has a JSON form.
        Message { body: serde_json::to_vec(&body).unwrap_or_default(), ..discovery(topic) }
    }

    fn box_itself(&self) -> Value {
        let device = json!({
            "identifiers": [self.id()],
            "name": self.device,
            "manufacturer": "Peregrine",
            "model": "Video analytics",
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        self.body(device, entities::of_device(self))
    }

    fn camera(&self, camera: &Camera) -> Value {
        let device = json!({
            "identifiers": [self.camera_id(&camera.name)],
            "name": format!("{} {}", self.device, camera.name),
            "manufacturer": "Peregrine",
            "model": "Camera",
            "via_device": self.id(),
        });
        self.body(device, entities::of_camera(self, camera))
    }

    fn body(&self, device: Value, components: Map<String, Value>) -> Value {
        json!({
            "device": device,
            "origin": {
                "name": "Peregrine",
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "availability": [{
                "topic": topics::device_status(&self.prefix, &self.device),
                "value_template": "{{ value_json.state }}",
                "payload_available": "online",
                "payload_not_available": "offline",
            }],
            "qos": 1,
            "components": components,
        })
    }

    /// Unlike every other device's on the same broker, and the same after every start: the way to its topics.
    fn id(&self) -> String {
        topics::of_device(&self.prefix, &self.device)
    }

    fn camera_id(&self, camera: &str) -> String {
        format!("{}/camera/{camera}", self.id())
    }

    /// [`Site::id`] as one word that may stand in a discovery topic.
    fn node(&self) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        self.id().chars().map(fits).collect()
    }

    fn device_topic(&self) -> String {
        format!("{}/device/{}/config", self.discovery_prefix, self.node())
    }

    fn camera_topic(&self, camera: &str) -> String {
        format!("{}/device/{}/{camera}/config", self.discovery_prefix, self.node())
    }

    fn birth_topic(&self) -> String {
        format!("{}/status", self.discovery_prefix)
    }
}

/// How long to wait after a birth, given a random number.
pub fn announce_after(random: u64) -> Duration {
    Duration::from_millis(random % u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX))
}

fn discovery(topic: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        body: Vec::new(),
        retain: true,
        qos: Qos::AtLeastOnce,
        kind: Kind::HomeAssistant,
        expires_secs: None,
    }
}
