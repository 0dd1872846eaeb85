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
    /// Not yet, and what is awaited.
    Waiting(String),
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent: Vec<Silent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
}

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
    (code, Json(Health { status, silent, waiting_for: None })).into_response()
}

pub(super) fn ready(readiness: Readiness) -> Response {
    let (code, status, waiting_for) = match readiness {
        Readiness::Ready => (StatusCode::OK, "ready", None),
        Readiness::Waiting(what) => (StatusCode::SERVICE_UNAVAILABLE, "starting", Some(what)),
    };
    (code, Json(Health { status, silent: Vec::new(), waiting_for })).into_response()
}
