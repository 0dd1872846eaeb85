//! What runs a model, as it stands on the wire. The other messages stand in `payload.rs`.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::{age_ms, rfc3339};
use super::{Kind, SCHEMA};
use crate::types::{Captured, EngineState, EngineStatus};

/// What runs a model, retained on `<prefix>/<device>/engine/<stage>`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "engine_status")]
pub(super) struct EngineStatusBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "engine_status"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// What the model is for: `detect`, or `classify.` and the classifier's name.
    stage: &'a str,
    /// The model's name.
    model: &'a str,
    /// What runs it now: `tensorrt`, `int8`, `tract`, several joined by `+` where workers differ, or `none`.
    engine: &'a str,
    /// `ok`: as chosen. `degraded`: another engine stands in for one that failed. `failed`: nothing runs it, frames are lost.
    #[schemars(extend("enum" = EngineState::ALL.map(EngineState::as_str)))]
    state: &'static str,
    /// Since when: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// How long it had been so when the message was handed to the connection, by the monotonic clock.
    age_ms: u64,
    /// Whether the device's wall clock was synchronised at `since`.
    clock_synced: bool,
    /// Why; empty while all is as chosen.
    reason: &'a str,
}

pub(super) fn engine_status_body<'a>(e: &'a EngineStatus, device: &'a str, now: Captured) -> EngineStatusBody<'a> {
    EngineStatusBody {
        schema: SCHEMA,
        r#type: Kind::EngineStatus.as_str(),
        device,
        stage: &e.stage,
        model: &e.model,
        engine: &e.engine,
        state: e.state.as_str(),
        since: rfc3339(e.since.wall),
        age_ms: age_ms(e.since, now),
        clock_synced: e.since.wall_synced,
        reason: &e.reason,
    }
}
