//! `GET /events`: what happened, newest last, as it went over MQTT. What is kept, and how it is read, is the caller's: api knows no store.
//!
//! `?since=2026-03-01T12:00:00Z&camera=yard&type=crossed&limit=100`; all are optional. An unknown key or a value that cannot be is answered
//! with 400 and what would be right, so that a mistyped filter does not pass for an empty history.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::types::What;

/// Events of one answer when nothing else is asked for.
const USUAL: usize = 100;
/// Events of one answer at most: about a megabyte.
const AT_MOST: usize = 1000;

/// One history is read at a time: a filter that hardly anything fits reads all that is kept, and cameras need the processors, too.
static TURN: Semaphore = Semaphore::const_new(1);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Not older than this.
    pub since: Option<SystemTime>,
    /// Of this camera.
    pub camera: Option<String>,
    /// Of this kind.
    pub kind: Option<&'static str>,
    /// The newest so many.
    pub limit: usize,
}

/// Reads what is kept: each event as its JSON on the wire, oldest first. May wait for a disk. Err in words.
pub type History = Arc<dyn Fn(&EventQuery) -> Result<Vec<Vec<u8>>, String> + Send + Sync>;

/// Answers a query as it stands in the address.
pub(super) async fn answer(history: Option<History>, query: &str) -> Response {
    let Some(history) = history else {
        return (StatusCode::NOT_FOUND, "no events are kept\n").into_response();
    };
    let query = match parse(query) {
        Ok(query) => query,
        Err(why) => return (StatusCode::BAD_REQUEST, why + "\n").into_response(),
    };
    // Whoever has gone meanwhile is not read for.
    let Ok(turn) = TURN.acquire().await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the events could not be read\n").into_response();
    };
    let read = move || {
        let events = history(&query);
        drop(turn);
        events
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(events)) => {
            let mut body = b"{\"events\":[".to_vec();
            body.extend(events.join(&b','));
            body.extend(b"]}\n");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the events could not be read\n").into_response(),
    }
}

fn parse(text: &str) -> Result<EventQuery, String> {
    let mut query = EventQuery { since: None, camera: None, kind: None, limit: USUAL };
    for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
        match &*key {
            "since" => query.since = Some(moment(&value)?),
            "camera" => query.camera = Some(value.into_owned()),
            "type" => query.kind = Some(kind(&value)?),
            "limit" => {
                let limit = value.parse().ok().filter(|l| (1..=AT_MOST).contains(l));
                query.limit = limit.ok_or_else(|| format!("limit={value}: write a number from 1 to {AT_MOST}"))?;
            }
            _ => return Err(format!("{key}: no such filter; there is since, camera, type and limit")),
        }
    }
    Ok(query)
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let stamp: jiff::Timestamp =
        text.parse().map_err(|_| format!("since={text}: write a time like 2026-03-01T12:00:00Z"))?;
    Ok(stamp.into())
}

fn kind(text: &str) -> Result<&'static str, String> {
    let known = What::KINDS.into_iter().find(|k| *k == text);
    known.ok_or_else(|| format!("type={text}: no such event; there is {}", What::KINDS.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_filter_is_understood() {
        let query = parse("since=1970-01-01T00:00:05Z&camera=yard&type=crossed&limit=7");
        let since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!(query, Ok(EventQuery { since, camera: Some("yard".to_owned()), kind: Some("crossed"), limit: 7 }));
        assert_eq!(parse(""), Ok(EventQuery { since: None, camera: None, kind: None, limit: USUAL }));
    }

    #[test]
    fn a_mistake_is_named_with_what_would_be_right() {
        for (text, words) in [
            ("since=yesterday", "write a time like"),
            ("type=cross", "there is appeared, gone"),
            ("limit=0", "from 1 to 1000"),
            ("cam=yard", "there is since, camera"),
        ] {
            assert!(parse(text).is_err_and(|e| e.contains(words)), "{text}");
        }
    }
}
