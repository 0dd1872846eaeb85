//! An alert that is open, as the broker retains it; and the empty message that takes it back. That it was raised and cleared is told by events.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::{mono_ms, rfc3339};
use super::{Kind, Message, Qos, SCHEMA, json, topics};
use crate::types::{Severity, Stored, What};

/// An alert that is open, retained on `<prefix>/<device>/alert/<alert>`; deleted there when it is cleared.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "alert")]
pub(super) struct AlertBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "alert"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// The alert's name.
    alert: &'a str,
    /// Always `raised`: what is not open is not there.
    #[schemars(extend("const" = "raised"))]
    state: &'static str,
    /// How bad it is.
    severity: Severity,
    /// What it was raised for, in words.
    reason: &'a str,
    /// The camera; null for what concerns the device itself.
    camera: Option<&'a str>,
    /// The `id` of the event `alert_raised` that told of it.
    #[schemars(extend("format" = "uuid"))]
    id: String,
    /// Which life of the daemon that event comes from.
    #[schemars(extend("format" = "uuid"))]
    boot_id: String,
    /// Since when: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// The same moment by the monotonic clock.
    mono_ms: u64,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
    /// The class's name of the track that raised it; null where there is none.
    class: Option<&'a str>,
    /// Names of the pictures that show it.
    snapshots: &'a [String],
}

/// Writes what the broker is to retain after this event: the alert that it raised, or nothing when it raised none.
pub fn render_alert(stored: &Stored, device: &str, prefix: &str) -> Message {
    let event = &stored.event;
    let What::AlertRaised { alert, severity, reason } = &event.what else {
        return render_alert_over(event.what.place(), device, prefix);
    };
    let body = AlertBody {
        schema: SCHEMA,
        r#type: Kind::Alert.as_str(),
        device,
        alert,
        state: "raised",
        severity: *severity,
        reason,
        camera: event.camera.as_deref(),
        id: stored.id.to_string(),
        boot_id: stored.boot.to_string(),
        since: rfc3339(event.at.wall),
        mono_ms: mono_ms(event.at),
        clock_synced: event.at.wall_synced,
        class: event.subject.as_ref().map(|s| s.class.as_str()),
        snapshots: &event.snapshots,
    };
    retained(topics::alert(prefix, device, alert), json(&body))
}

/// Takes back what the broker retains of an alert.
pub fn render_alert_over(alert: &str, device: &str, prefix: &str) -> Message {
    retained(topics::alert(prefix, device, alert), Vec::new())
}

fn retained(topic: String, body: Vec<u8>) -> Message {
    Message { topic, body, retain: true, qos: Qos::AtLeastOnce, kind: Kind::Alert, expires_secs: None }
}
