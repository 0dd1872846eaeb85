//! States of zones, lines, cameras' frames and the device, as they stand on the wire: retained, the same bytes each time they are sent.
//! How they come about is `states.rs`; the other messages stand in `payload.rs`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::{Kind, Message, Qos, SCHEMA, json, rfc3339, topics};
use crate::publish::states::{CameraHealth, DetectionState, DeviceHealth, LineState, State, ZoneState};

/// How many are in a zone, retained on `<prefix>/<device>/camera/<camera>/zone/<zone>`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "zone_state")]
struct ZoneStateBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "zone_state"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// The zone's name.
    zone: &'a str,
    /// How many are in it.
    count: u32,
    /// Whether anybody is.
    occupied: bool,
    /// Since when there are so many: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
}

/// How many crossed a line in one direction.
#[derive(Debug, Serialize, JsonSchema)]
struct DirectionCount<'a> {
    /// All classes together.
    total: u64,
    /// By the classes' names.
    classes: &'a BTreeMap<String, u64>,
}

/// How many crossed a line since the daemon started, retained on `<prefix>/<device>/camera/<camera>/line/<line>`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "line_state")]
struct LineStateBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "line_state"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// The line's name.
    line: &'a str,
    /// By the directions' names.
    directions: BTreeMap<&'a str, DirectionCount<'a>>,
    /// Since when is counted: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// When the last one crossed, or null.
    #[schemars(extend("format" = "date-time"))]
    last_at: Option<String>,
    /// Whether the device's wall clock was synchronised when counting began.
    clock_synced: bool,
}

/// Whether a camera's frames are analysed, retained on `<prefix>/<device>/camera/<camera>/detection`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "detection_state")]
struct DetectionStateBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "detection_state"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// On or off.
    #[schemars(extend("enum" = ["on", "off"]))]
    state: &'static str,
    /// Since when: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
}

/// How fast a camera's frames come and go, retained on `<prefix>/<device>/camera/<camera>/health`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "camera_health")]
struct CameraHealthBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "camera_health"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// Frames a second that the source delivered, over the last interval.
    #[schemars(range(min = 0))]
    delivered_fps: f64,
    /// Frames a second that were analysed.
    #[schemars(range(min = 0))]
    analysed_fps: f64,
    /// Milliseconds from capture to the hand-over of messages to the connection, for 99 of 100; null while there were none.
    #[schemars(range(min = 0))]
    latency_p99_ms: Option<f64>,
    /// When this was measured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Whether the device's wall clock was synchronised then.
    clock_synced: bool,
}

/// How the device fares, retained on `<prefix>/<device>/health`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "device_health")]
struct DeviceHealthBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "device_health"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// Degrees Celsius of the warmest sensor; null where there is none.
    temperature_celsius: Option<f64>,
    /// That sensor's name.
    sensor: Option<&'a str>,
    /// Events on disk that the broker did not have when this was measured.
    events_waiting: u64,
    /// How many things are given up to keep the device's budget; 0 is as configured.
    budget_level: u32,
    /// How many things can be given up; 0 where no limit is set.
    budget_levels: u32,
    /// How long the daemon has been running.
    uptime_secs: u64,
    /// The daemon's version.
    version: &'static str,
    /// When this was measured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Whether the device's wall clock was synchronised then.
    clock_synced: bool,
}

/// Writes a state as a message.
pub fn render_state(state: &State, device: &str, prefix: &str) -> Message {
    let (topic, kind, body) = match state {
        State::Zone(z) => (topics::zone(prefix, device, &z.camera, &z.zone), Kind::ZoneState, json(&zone(z, device))),
        State::Line(l) => (topics::line(prefix, device, &l.camera, &l.line), Kind::LineState, json(&line(l, device))),
        State::Detection(d) => {
            (topics::detection(prefix, device, &d.camera), Kind::DetectionState, json(&detection(d, device)))
        }
        State::Camera(c) => {
            (topics::camera_health(prefix, device, &c.camera), Kind::CameraHealth, json(&camera(c, device)))
        }
        State::Device(d) => (topics::device_health(prefix, device), Kind::DeviceHealth, json(&of_device(d, device))),
    };
    Message { topic, body, retain: true, qos: Qos::AtLeastOnce, kind, expires_secs: None }
}

/// The JSON Schema of every state, with the name of its file below docs/schemas.
pub fn schemas() -> [(&'static str, Schema); 5] {
    [
        ("zone-state.schema.json", schema_for!(ZoneStateBody<'static>)),
        ("line-state.schema.json", schema_for!(LineStateBody<'static>)),
        ("detection-state.schema.json", schema_for!(DetectionStateBody<'static>)),
        ("camera-health.schema.json", schema_for!(CameraHealthBody<'static>)),
        ("device-health.schema.json", schema_for!(DeviceHealthBody<'static>)),
    ]
}

fn zone<'a>(z: &'a ZoneState, device: &'a str) -> ZoneStateBody<'a> {
    ZoneStateBody {
        schema: SCHEMA,
        r#type: Kind::ZoneState.as_str(),
        device,
        camera: &z.camera,
        zone: &z.zone,
        count: z.count,
        occupied: z.count > 0,
        since: rfc3339(z.since.wall),
        clock_synced: z.since.wall_synced,
    }
}

fn line<'a>(l: &'a LineState, device: &'a str) -> LineStateBody<'a> {
    let direction = |(name, classes)| -> (&'a str, DirectionCount<'a>) {
        let name: &String = name;
        (name, DirectionCount { total: l.total(name), classes })
    };
    LineStateBody {
        schema: SCHEMA,
        r#type: Kind::LineState.as_str(),
        device,
        camera: &l.camera,
        line: &l.line,
        directions: l.counts.iter().map(direction).collect(),
        since: rfc3339(l.since.wall),
        last_at: l.last.map(|last| rfc3339(last.wall)),
        clock_synced: l.since.wall_synced,
    }
}

fn detection<'a>(d: &'a DetectionState, device: &'a str) -> DetectionStateBody<'a> {
    DetectionStateBody {
        schema: SCHEMA,
        r#type: Kind::DetectionState.as_str(),
        device,
        camera: &d.camera,
        state: if d.enabled { "on" } else { "off" },
        since: rfc3339(d.since.wall),
        clock_synced: d.since.wall_synced,
    }
}

fn camera<'a>(c: &'a CameraHealth, device: &'a str) -> CameraHealthBody<'a> {
    CameraHealthBody {
        schema: SCHEMA,
        r#type: Kind::CameraHealth.as_str(),
        device,
        camera: &c.camera,
        delivered_fps: tenths(c.delivered_fps),
        analysed_fps: tenths(c.analysed_fps),
        latency_p99_ms: c.latency_p99_ms.map(tenths),
        at: rfc3339(c.at.wall),
        clock_synced: c.at.wall_synced,
    }
}

fn of_device<'a>(d: &'a DeviceHealth, device: &'a str) -> DeviceHealthBody<'a> {
    DeviceHealthBody {
        schema: SCHEMA,
        r#type: Kind::DeviceHealth.as_str(),
        device,
        temperature_celsius: d.warmest.as_ref().map(|(_, millicelsius)| *millicelsius as f64 / 1000.0),
        sensor: d.warmest.as_ref().map(|(name, _)| name.as_str()),
        events_waiting: d.events_waiting,
        budget_level: d.budget.0,
        budget_levels: d.budget.1,
        uptime_secs: d.uptime_secs,
        version: env!("CARGO_PKG_VERSION"),
        at: rfc3339(d.at.wall),
        clock_synced: d.at.wall_synced,
    }
}

/// JSON has no NaN, and nobody reads a rate finer than this.
fn tenths(v: f64) -> f64 {
    if v.is_finite() { (v.max(0.0) * 10.0).round() / 10.0 } else { 0.0 }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(super) mod tests;
