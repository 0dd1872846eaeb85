//! What happened, as it stands on the wire. The same event gives the same bytes each time: nothing of the connection, no age.
//! The other messages stand in `payload.rs`, retained alerts in `alert.rs`.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::{Value, json};

use super::figures::{Corners, Size, hundredths, mono_ms, normalised, pixels, rfc3339, share};
use super::{Attribute, Kind, Message, Qos, SCHEMA, attribute, topics};
use crate::types::{BudgetMove, Severity, Stored, Subject, What};

/// The track that an event is about, as of the event.
#[derive(Debug, Serialize, JsonSchema)]
struct EventTrack<'a> {
    /// Unique over all devices and restarts (UUIDv7), from the first event about somebody to the last, whatever the tracker calls them.
    #[schemars(extend("format" = "uuid"))]
    uid: String,
    /// Unique within the camera until the daemon restarts; belongs to `uid`.
    id: u64,
    /// Their `uid` on `tracks`, where that is another one by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uuid"))]
    tracked_as: Option<String>,
    /// The class's name.
    class: &'a str,
    /// The score of the detection last matched.
    #[schemars(range(min = 0, max = 1))]
    score: f64,
    /// Width and height of the frame.
    frame: Size,
    /// As fractions of the frame, 0 to 1.
    r#box: Corners,
    /// In pixels of the frame.
    box_px: Corners,
    /// When the track's first confirmed frame was captured: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    first_seen_at: String,
    /// Answers of classifiers.
    labels: Vec<Attribute<'a>>,
}

/// What was read when the governor took a step.
#[derive(Debug, Serialize, JsonSchema)]
struct Readings {
    /// Power of the whole device in watts; null where it is not read.
    watts: Option<f64>,
    /// The hottest sensor in degrees Celsius; null where none is read.
    celsius: Option<f64>,
    /// Latency from capture to the broker's connection, 99 of 100 messages; null while there are too few.
    p99_ms: Option<f64>,
}

/// What happened, on `<prefix>/<device>/camera/<camera>/events`, or on `<prefix>/<device>/events` where no camera is concerned. Which of
/// the optional fields are there depends on `event`.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "event")]
struct EventBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "event"))]
    r#type: &'static str,
    /// What happened.
    #[schemars(extend("enum" = What::KINDS))]
    event: &'static str,
    /// Unique over all devices and restarts, the same when a message comes twice; sorts by age whatever the wall clock did (UUIDv7).
    #[schemars(extend("format" = "uuid"))]
    id: String,
    /// Counts the events of this camera (or of the device itself) from 1, without a gap, over restarts.
    seq: u64,
    /// Which life of the daemon it comes from: `mono_ms` of two lives cannot be compared.
    #[schemars(extend("format" = "uuid"))]
    boot_id: String,
    /// The device's name.
    device: &'a str,
    /// The camera's name; null for what concerns the device itself.
    camera: Option<&'a str>,
    /// When it happened: the capture time of the frame that showed it. RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// The same moment by the monotonic clock, which knows no leaps.
    mono_ms: u64,
    /// Whether the device's wall clock was synchronised at `at`.
    clock_synced: bool,
    /// The number of that frame; null where there is none.
    frame_seq: Option<u64>,
    /// The zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    /// The line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    /// The name of the direction in which the line was crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'a str>,
    /// For how long the track was in the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside_ms: Option<u64>,
    /// How many: tracks in the zone, crossings in the interval, events that were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// The number of tracks in the zone that was told before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u32>,
    /// How long it was a crowd.
    #[serde(skip_serializing_if = "Option::is_none")]
    lasted_ms: Option<u64>,
    /// The class that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    /// Crossings since the daemon started to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The interval's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u64>,
    /// For how long the track stood still.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_ms: Option<u64>,
    /// For how long the track was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    present_ms: Option<u64>,
    /// The alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'a str>,
    /// How bad the alert is.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// For how long the alert was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_ms: Option<u64>,
    /// How many of the lost events were alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<u64>,
    /// How many rungs of the governor's ladder are taken from now on; 0 is as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u32>,
    /// How many rungs there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<u32>,
    /// The rung that was taken or given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    rung: Option<&'a str>,
    /// Whether the rung was taken (`down`) or given back (`up`).
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<BudgetMove>,
    /// What was read when the step was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    readings: Option<Readings>,
    /// Whose doing it was; null for counts and the like.
    track: Option<EventTrack<'a>>,
    /// Names of the pictures that show it.
    snapshots: &'a [String],
}

/// Fields that an event has beside those that all have.
const FIELDS: [(&str, &[&str]); 17] = [
    ("appeared", &[]),
    ("gone", &["present_ms"]),
    ("entered", &["zone"]),
    ("left", &["zone", "inside_ms"]),
    ("dwell", &["zone", "inside_ms"]),
    ("dwell_end", &["zone", "inside_ms"]),
    ("crossed", &["line", "direction"]),
    ("occupancy", &["zone", "count", "before"]),
    ("crowd", &["zone", "count"]),
    ("crowd_end", &["zone", "count", "lasted_ms"]),
    ("count", &["line", "direction", "class", "count", "total", "interval_ms"]),
    ("stopped", &[]),
    ("moving", &["stopped_ms"]),
    ("alert_raised", &["alert", "severity", "reason"]),
    ("alert_cleared", &["alert", "severity", "reason", "open_ms"]),
    ("lost", &["count", "alerts", "reason"]),
    ("budget_step", &["level", "levels", "rung", "step", "reason", "readings"]),
];

/// Writes a stored event as a message.
pub fn render_event(stored: &Stored, device: &str, prefix: &str) -> Message {
    let body = event_body(stored, device);
    Message {
        topic: topics::events(prefix, device, stored.event.camera.as_deref()),
        body: super::json(&body),
        retain: false,
        qos: Qos::AtLeastOnce,
        kind: Kind::Event,
        expires_secs: None,
    }
}

/// The schema: the fields as they stand above, and for each event those that it must have.
pub(super) fn schema() -> Schema {
    let mut schema = schema_for!(EventBody<'static>);
    let rules: Vec<Value> = FIELDS
        .iter()
        .filter(|(_, fields)| !fields.is_empty())
        .map(|(kind, fields)| json!({"if": {"properties": {"event": {"const": kind}}}, "then": {"required": fields}}))
        .collect();
    schema.insert("allOf".to_owned(), Value::Array(rules));
    schema
}

fn event_body<'a>(stored: &'a Stored, device: &'a str) -> EventBody<'a> {
    let event = &stored.event;
    let common = EventBody {
        schema: SCHEMA,
        r#type: Kind::Event.as_str(),
        event: event.what.kind(),
        id: stored.id.to_string(),
        seq: stored.seq,
        boot_id: stored.boot.to_string(),
        device,
        camera: event.camera.as_deref(),
        at: rfc3339(event.at.wall),
        mono_ms: mono_ms(event.at),
        clock_synced: event.at.wall_synced,
        frame_seq: event.frame_seq,
        track: event.subject.as_ref().map(track),
        snapshots: &event.snapshots,
        ..EventBody::default()
    };
    with_what(common, &event.what)
}

fn with_what<'a>(body: EventBody<'a>, what: &'a What) -> EventBody<'a> {
    match what {
        What::Appeared | What::Stopped => body,
        What::Gone { present_ms } => EventBody { present_ms: Some(*present_ms), ..body },
        What::Entered { zone } => EventBody { zone: Some(zone), ..body },
        What::Left { zone, inside_ms } | What::Dwell { zone, inside_ms } | What::DwellEnd { zone, inside_ms } => {
            EventBody { zone: Some(zone), inside_ms: Some(*inside_ms), ..body }
        }
        What::Crossed { line, direction } => EventBody { line: Some(line), direction: Some(direction), ..body },
        What::Occupancy { zone, count, before } => {
            EventBody { zone: Some(zone), count: Some((*count).into()), before: Some(*before), ..body }
        }
        What::Crowd { zone, count } => EventBody { zone: Some(zone), count: Some((*count).into()), ..body },
        What::CrowdEnd { zone, count, lasted_ms } => {
            EventBody { zone: Some(zone), count: Some((*count).into()), lasted_ms: Some(*lasted_ms), ..body }
        }
        What::Count { line, direction, class, count, total, interval_ms } => EventBody {
            line: Some(line),
            direction: Some(direction),
            class: Some(class),
            count: Some(*count),
            total: Some(*total),
            interval_ms: Some(*interval_ms),
            ..body
        },
        What::Moving { stopped_ms } => EventBody { stopped_ms: Some(*stopped_ms), ..body },
        What::AlertRaised { alert, severity, reason } => {
            EventBody { alert: Some(alert), severity: Some(*severity), reason: Some(reason), ..body }
        }
        What::AlertCleared { alert, severity, reason, open_ms } => EventBody {
            alert: Some(alert),
            severity: Some(*severity),
            reason: Some(reason),
            open_ms: Some(*open_ms),
            ..body
        },
        What::Lost { count, alerts, reason } => {
            EventBody { count: Some(*count), alerts: Some(*alerts), reason: Some(reason), ..body }
        }
        What::BudgetStep { level, levels, rung, step, reason, watts, celsius, p99_ms } => EventBody {
            level: Some(*level),
            levels: Some(*levels),
            rung: Some(rung),
            step: Some(*step),
            reason: Some(reason),
            readings: Some(Readings {
                watts: watts.map(hundredths),
                celsius: celsius.map(hundredths),
                p99_ms: p99_ms.map(hundredths),
            }),
            ..body
        },
    }
}

fn track(subject: &Subject) -> EventTrack<'_> {
    let frame = Size { width: subject.frame_px.0, height: subject.frame_px.1 };
    EventTrack {
        uid: subject.uid.to_string(),
        id: subject.track_id,
        tracked_as: subject.tracked_as.map(|uid| uid.to_string()),
        class: &subject.class,
        score: share(subject.score),
        frame,
        r#box: normalised(subject.bbox, frame),
        box_px: pixels(subject.bbox, frame),
        first_seen_at: rfc3339(subject.first_seen.wall),
        labels: subject.labels.iter().map(attribute).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::samples;

    /// What only some events have, in the schema's properties.
    const SHARED: [&str; 14] = [
        "schema",
        "type",
        "event",
        "id",
        "seq",
        "boot_id",
        "device",
        "camera",
        "at",
        "mono_ms",
        "clock_synced",
        "frame_seq",
        "track",
        "snapshots",
    ];

    #[test]
    fn every_event_has_its_fields_and_no_others() {
        let whats = samples::every_what();
        let kinds: Vec<_> = whats.iter().map(What::kind).collect();
        assert_eq!(kinds, What::KINDS, "the samples hold each event once");
        for (what, (kind, fields)) in whats.into_iter().zip(FIELDS) {
            assert_eq!(what.kind(), kind);
            let message = render_event(&samples::stored(1, Some("yard"), what), "gate", "peregrine");
            let body: Value = serde_json::from_slice(&message.body).expect("JSON");
            let own = body.as_object().expect("an object").keys().filter(|k| !SHARED.contains(&k.as_str()));
            let (mut own, mut wanted): (Vec<_>, Vec<_>) = (own.map(String::as_str).collect(), fields.to_vec());
            own.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(own, wanted, "{kind}");
        }
    }

    #[test]
    fn the_same_event_gives_the_same_bytes_again() {
        for what in samples::every_what() {
            let stored = samples::stored(7, None, what);
            let read_again: Stored =
                serde_json::from_slice(&serde_json::to_vec(&stored).expect("JSON")).expect("as written");
            let (a, b) = (render_event(&stored, "gate", "p"), render_event(&read_again, "gate", "p"));
            assert_eq!(a, b, "after a restart, too");
            assert_eq!((a.topic.as_str(), a.retain, a.qos), ("p/gate/events", false, Qos::AtLeastOnce));
        }
    }
}
