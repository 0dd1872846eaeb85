//! The wire format: the only home of JSON that leaves over MQTT. Pure: a report and the time in, a message out.
//! How often messages are sent is `pace.rs`, how they travel `mqtt.rs`, where they go `topics.rs`.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::topics;
use crate::types::{CameraState, CameraStatus, Captured, Label, Report, Sighting, TrackEvent, TrackPhase};

mod alert;
mod engine;
mod event;
mod figures;
mod picture;
mod state;
mod telemetry;

use alert::AlertBody;
pub use alert::{render_alert, render_alert_over};
use engine::{EngineStatusBody, engine_status_body};
pub use event::render_event;
pub(super) use figures::rfc3339;
use figures::{Corners, Size, age_ms, normalised, pixels, share};
pub use picture::render_picture;
pub use state::{render_state, schemas as state_schemas};
pub use telemetry::render_telemetry;

/// The version of the payloads. A field may be added within it; one that goes or changes its meaning makes it 2.
pub const SCHEMA: u32 = 1;

/// Detections are of no use to anyone who comes later than this: brokers that speak MQTT 5 throw them away.
const DETECTIONS_EXPIRE_SECS: u32 = 10;

/// How surely a message must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: sent once, lost if the connection is.
    AtMostOnce,
    /// QoS 1: sent until the broker acknowledges it.
    AtLeastOnce,
}

/// Which of the messages it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All detections of a frame.
    Detections,
    /// A step in a track's life.
    Tracks,
    /// What a camera is doing.
    CameraStatus,
    /// What runs a model.
    EngineStatus,
    /// Whether the daemon is there.
    DeviceStatus,
    /// What happened.
    Event,
    /// An alert that is open.
    Alert,
    /// JSON in the form of another system.
    Foreign,
    /// A JPEG.
    Picture,
    /// How many are in a zone.
    ZoneState,
    /// How many crossed a line.
    LineState,
    /// Whether a camera's frames are analysed.
    DetectionState,
    /// How fast a camera's frames come and go.
    CameraHealth,
    /// How the device fares.
    DeviceHealth,
    /// What the board's sensors say.
    Telemetry,
    /// What became of an order.
    CommandResult,
    /// What Home Assistant finds entities by.
    HomeAssistant,
    /// An event in the form of ONVIF.
    Onvif,
}

impl Kind {
    /// The name on the wire: the payload's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detections => "detections",
            Self::Tracks => "tracks",
            Self::CameraStatus => "camera_status",
            Self::EngineStatus => "engine_status",
            Self::DeviceStatus => "device_status",
            Self::Event => "event",
            Self::Alert => "alert",
            Self::Foreign => "foreign",
            Self::Picture => "picture",
            Self::ZoneState => "zone_state",
            Self::LineState => "line_state",
            Self::DetectionState => "detection_state",
            Self::CameraHealth => "camera_health",
            Self::DeviceHealth => "device_health",
            Self::Telemetry => "telemetry",
            Self::CommandResult => "command_result",
            Self::HomeAssistant => "homeassistant",
            Self::Onvif => "onvif",
        }
    }

    /// MQTT 5's user property `schema`: kind and version, readable without parsing the payload. None where the form is not ours.
    pub fn schema_name(self) -> Option<String> {
        (!matches!(self, Self::Foreign | Self::Picture)).then(|| format!("peregrine/{}/{SCHEMA}", self.as_str()))
    }

    /// MQTT 5's content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Picture => "image/jpeg",
            _ => "application/json",
        }
    }
}

/// A message, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// JSON; empty to take back what the broker retains.
    pub body: Vec<u8>,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
    /// How surely it must arrive.
    pub qos: Qos,
    /// What it is.
    pub kind: Kind,
    /// After how long the broker may throw it away (MQTT 5).
    pub expires_secs: Option<u32>,
}

/// One detected object.
#[derive(Debug, Serialize, JsonSchema)]
struct Object<'a> {
    /// The class's name.
    class: &'a str,
    /// The class's index in the model.
    class_id: u16,
    /// How sure the model is.
    #[schemars(range(min = 0, max = 1))]
    score: f64,
    /// As fractions of the frame, 0 to 1.
    r#box: Corners,
    /// In pixels of the frame.
    box_px: Corners,
}

/// All objects that were detected in one frame, on `<prefix>/<device>/camera/<camera>/detections`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "detections")]
struct Detections<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "detections"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// The frame's number: counts the camera's frames from 1, again from 1 when the camera is opened anew; gaps are frames that were not analysed or not published.
    seq: u64,
    /// When the frame was captured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    captured_at: String,
    /// How long ago that was when the message was handed to the connection, by the monotonic clock.
    age_ms: u64,
    /// Whether the device's wall clock was synchronised when the frame was captured.
    clock_synced: bool,
    frame: Size,
    detections: Vec<Object<'a>>,
}

/// What a second-stage classifier says about a track.
#[derive(Debug, Serialize, JsonSchema)]
struct Attribute<'a> {
    /// The classifier, and its head where it has several: `vehicle.color`.
    name: &'a str,
    /// The answer.
    value: &'a str,
    /// The voted share of confidence.
    #[schemars(range(min = 0, max = 1))]
    confidence: f64,
    /// How many looks voted.
    votes: u32,
}

/// The track of a track message.
#[derive(Debug, Serialize, JsonSchema)]
struct TrackBody<'a> {
    /// Unique over all devices and restarts (UUIDv7).
    #[schemars(extend("format" = "uuid"))]
    uid: String,
    /// Unique within the camera until the daemon restarts.
    id: u64,
    /// `new` once, `update` at a limited rate, `end` once.
    #[schemars(extend("enum" = ["new", "update", "end"]))]
    phase: &'static str,
    /// The class's name.
    class: &'a str,
    /// The class's index in the model.
    class_id: u16,
    /// The score of the detection last matched.
    #[schemars(range(min = 0, max = 1))]
    score: f64,
    /// Frames since the track began, the first one counted.
    age_frames: u32,
    /// True where the frame was not looked at: the box is where the track should be. Never with `new`; with `end` the box is the last one seen.
    predicted: bool,
    /// When the track's first confirmed frame was captured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    first_seen_at: String,
    /// As fractions of the frame, 0 to 1. With `end`: where it was last.
    r#box: Corners,
    /// In pixels of the frame.
    box_px: Corners,
    /// Answers of classifiers.
    labels: Vec<Attribute<'a>>,
}

/// A step in a track's life, on `<prefix>/<device>/camera/<camera>/tracks`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "tracks")]
struct Tracks<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "tracks"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// The number of the frame with which the step happened.
    seq: u64,
    /// When that frame was captured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    captured_at: String,
    /// How long ago that was when the message was handed to the connection, by the monotonic clock: large after an outage of the broker.
    age_ms: u64,
    /// Whether the device's wall clock was synchronised when the frame was captured.
    clock_synced: bool,
    frame: Size,
    track: TrackBody<'a>,
}

/// What a camera is doing, retained on `<prefix>/<device>/camera/<camera>/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "camera_status")]
struct CameraStatusBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "camera_status"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The camera's name.
    camera: &'a str,
    /// The state.
    #[schemars(extend("enum" = CameraState::ALL.map(CameraState::as_str)))]
    state: &'static str,
    /// Since when the camera is in this state: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// How long it had been in this state when the message was handed to the connection, by the monotonic clock.
    age_ms: u64,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
    /// Why; empty when there is nothing to add.
    reason: &'a str,
    /// The frame size, once it is known.
    frame: Option<Size>,
}

/// Whether the daemon is there, retained on `<prefix>/<device>/status`: `online` from us with every connection, `offline` from us when we
/// stop and from the broker (last will) when we vanish.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "device_status")]
struct DeviceStatusBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "device_status"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// Online or offline.
    #[schemars(extend("enum" = ["online", "offline"]))]
    state: &'static str,
    /// The daemon's version.
    version: &'static str,
    /// Online: when the daemon started. Offline: when it stopped, or null when the broker says it for a daemon that vanished.
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
    /// Empty while online; else `stopped` or `connection lost`.
    reason: &'static str,
}

/// What the device says about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Presence {
    /// Running since then.
    Online(Captured),
    /// Stopped in order, then.
    Stopped(Captured),
    /// What the broker is to say when we vanish.
    Vanished,
}

/// Writes a report as a message. `now` gives the ages.
pub fn render(report: &Report, device: &str, prefix: &str, now: Captured) -> Message {
    match report {
        Report::Sighting(s) => Message {
            topic: topics::detections(prefix, device, &s.camera),
            body: json(&detections_body(s, device, now)),
            retain: false,
            qos: Qos::AtMostOnce,
            kind: Kind::Detections,
            expires_secs: Some(DETECTIONS_EXPIRE_SECS),
        },
        Report::Track(t) => Message {
            topic: topics::tracks(prefix, device, &t.camera),
            body: json(&tracks_body(t, device, now)),
            retain: false,
            qos: Qos::AtLeastOnce,
            kind: Kind::Tracks,
            expires_secs: None,
        },
        Report::Camera(c) => Message {
            topic: topics::camera_status(prefix, device, &c.camera),
            body: json(&camera_status_body(c, device, now)),
            retain: true,
            qos: Qos::AtLeastOnce,
            kind: Kind::CameraStatus,
            expires_secs: None,
        },
        Report::Engine(e) => Message {
            topic: topics::engine_status(prefix, device, &e.stage),
            body: json(&engine_status_body(e, device, now)),
            retain: true,
            qos: Qos::AtLeastOnce,
            kind: Kind::EngineStatus,
            expires_secs: None,
        },
    }
}

/// Writes the device's birth, farewell or last will.
pub fn render_presence(presence: Presence, device: &str, prefix: &str) -> Message {
    let (state, since, reason) = match presence {
        Presence::Online(since) => ("online", Some(since), ""),
        Presence::Stopped(since) => ("offline", Some(since), "stopped"),
        Presence::Vanished => ("offline", None, "connection lost"),
    };
    let body = DeviceStatusBody {
        schema: SCHEMA,
        r#type: Kind::DeviceStatus.as_str(),
        device,
        state,
        version: env!("CARGO_PKG_VERSION"),
        since: since.map(|s| rfc3339(s.wall)),
        clock_synced: since.is_some_and(|s| s.wall_synced),
        reason,
    };
    Message {
        topic: topics::device_status(prefix, device),
        body: json(&body),
        retain: true,
        qos: Qos::AtLeastOnce,
        kind: Kind::DeviceStatus,
        expires_secs: None,
    }
}

/// The JSON Schema of every message, with the name of its file below docs/schemas.
pub fn schemas() -> [(&'static str, Schema); 8] {
    [
        ("detections.schema.json", schema_for!(Detections<'static>)),
        ("tracks.schema.json", schema_for!(Tracks<'static>)),
        ("camera-status.schema.json", schema_for!(CameraStatusBody<'static>)),
        ("engine-status.schema.json", schema_for!(EngineStatusBody<'static>)),
        ("device-status.schema.json", schema_for!(DeviceStatusBody<'static>)),
        ("event.schema.json", event::schema()),
        ("alert.schema.json", schema_for!(AlertBody<'static>)),
        telemetry::schema(),
    ]
}

fn detections_body<'a>(s: &'a Sighting, device: &'a str, now: Captured) -> Detections<'a> {
    let frame = Size { width: s.width_px, height: s.height_px };
    let object = |d: &crate::types::Detection| Object {
        class: s.classes.name(d.class),
        class_id: d.class,
        score: share(d.score),
        r#box: normalised(d.bbox, frame),
        box_px: pixels(d.bbox, frame),
    };
    Detections {
        schema: SCHEMA,
        r#type: Kind::Detections.as_str(),
        device,
        camera: &s.camera,
        seq: s.seq,
        captured_at: rfc3339(s.captured.wall),
        age_ms: age_ms(s.captured, now),
        clock_synced: s.captured.wall_synced,
        frame,
        detections: s.detections.iter().map(object).collect(),
    }
}

fn tracks_body<'a>(t: &'a TrackEvent, device: &'a str, now: Captured) -> Tracks<'a> {
    let frame = Size { width: t.width_px, height: t.height_px };
    Tracks {
        schema: SCHEMA,
        r#type: Kind::Tracks.as_str(),
        device,
        camera: &t.camera,
        seq: t.seq,
        captured_at: rfc3339(t.captured.wall),
        age_ms: age_ms(t.captured, now),
        clock_synced: t.captured.wall_synced,
        frame,
        track: TrackBody {
            uid: t.uid.to_string(),
            id: t.track.id,
            phase: match t.phase {
                TrackPhase::New => "new",
                TrackPhase::Update => "update",
                TrackPhase::End => "end",
            },
            class: &t.class_name,
            class_id: t.track.class,
            score: share(t.track.score),
            age_frames: t.track.age_frames,
            predicted: t.phase == TrackPhase::Update && t.track.lost_frames > 0,
            first_seen_at: rfc3339(t.first_seen.wall),
            r#box: normalised(t.track.bbox, frame),
            box_px: pixels(t.track.bbox, frame),
            labels: t.labels.iter().map(attribute).collect(),
        },
    }
}

fn attribute(label: &Label) -> Attribute<'_> {
    Attribute { name: &label.name, value: &label.value, confidence: share(label.confidence), votes: label.votes }
}

fn camera_status_body<'a>(c: &'a CameraStatus, device: &'a str, now: Captured) -> CameraStatusBody<'a> {
    CameraStatusBody {
        schema: SCHEMA,
        r#type: Kind::CameraStatus.as_str(),
        device,
        camera: &c.camera,
        state: c.state.as_str(),
        since: rfc3339(c.since.wall),
        age_ms: age_ms(c.since, now),
        clock_synced: c.since.wall_synced,
        reason: &c.reason,
        frame: c.size_px.map(|(width, height)| Size { width, height }),
    }
}

// Plain structs of numbers and strings always have a JSON form; NaN, which has none, is taken out before.
fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a struct of strings and finite numbers")
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
