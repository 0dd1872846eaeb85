//! Health and readiness as answers: 200, or 503 with what is missing.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Whether the daemon's start is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The engine is loaded and every camera has been tried.
    Ready,
    /// Complete, and frames are analysed, but not by the engine that was chosen; in sentences. No reason to restart anything.
    Degraded(Vec<String>),
    /// Not yet, and what is awaited.
    Waiting(String),
}

#[derive(Default, Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent: Vec<Silent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What a person who reads the answer should know.
const DEGRADED_IS_NOT_UNHEALTHY: &str =
    "degraded is not unhealthy: another engine stands in until the one that failed is back; a restart is not needed";

#[derive(Serialize)]
struct Silent {
    stage: String,
    silent_ms: u64,
}

pub(super) fn alive(silent: &[(String, Duration)]) -> Response {
    let millis = |d: &Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let silent: Vec<_> = silent.iter().map(|(s, d)| Silent { stage: s.clone(), silent_ms: millis(d) }).collect();
    let (code, status) =
        if silent.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "silent") };
    (code, Json(Health { status, silent, ..Health::default() })).into_response()
}

pub(super) fn ready(readiness: Readiness) -> Response {
    let (code, health) = match readiness {
        Readiness::Ready => (StatusCode::OK, Health { status: "ready", ..Health::default() }),
        Readiness::Degraded(degraded) => {
            let note = Some(DEGRADED_IS_NOT_UNHEALTHY);
            (StatusCode::OK, Health { status: "ready", degraded, note, ..Health::default() })
        }
        Readiness::Waiting(what) => {
            let waiting_for = Some(what);
            (StatusCode::SERVICE_UNAVAILABLE, Health { status: "starting", waiting_for, ..Health::default() })
        }
    };
    (code, Json(health)).into_response()
}
