//! `peregrine events`: the history on disk, beside a running daemon and without its help.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Failure;
use super::configuration::{self, ConfigArg};
use super::output::stream;
use crate::runtime::Clock;
use crate::store::{Query, history};
use crate::types::{Captured, Stored, Subject, What};

/// Shows events that are kept on this device, oldest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigArg,
    /// The folder of the events, in place of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only what happened then or later: "2026-11-21T15:04:05Z", or how long ago: 90s, 15m, 2h, 3d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what this camera saw.
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Only events of this type: crossed, entered, alert_raised …
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When an argument makes no sense, the configuration is wrong, or the folder cannot be read.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let query = query(args, Clock::start().wall())?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => configuration::load(&args.file.config)?.config.paths.state.join("events"),
    };
    show(&dir, &query, args.json, &mut stream())
}

fn query(args: &Args, now: SystemTime) -> Result<Query, Failure> {
    if let Some(kind) = args.kind.as_deref().filter(|k| !What::KINDS.contains(k)) {
        return Err(Failure::Usage(format!("--type {kind:?} is not known; write one of {}", What::KINDS.join(", "))));
    }
    let since = args.since.as_deref().map(|typed| {
        instant(typed, now).ok_or_else(|| {
            Failure::Usage(format!("--since {typed:?} is no time; write e.g. 2026-11-21T15:04:05Z, 90s, 15m, 2h or 3d"))
        })
    });
    Ok(Query { since: since.transpose()?, camera: args.camera.clone(), kind: args.kind.clone() })
}

fn instant(typed: &str, now: SystemTime) -> Option<SystemTime> {
    if let Ok(at) = typed.parse::<Timestamp>() {
        return Some(at.into());
    }
    let unit_secs = match typed.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let ago_secs = typed[..typed.len() - 1].parse::<u64>().ok()?.checked_mul(unit_secs)?;
    now.checked_sub(Duration::from_secs(ago_secs))
}

fn show(dir: &Path, query: &Query, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let unreadable = |e: std::io::Error| Failure::Input(format!("{}: {e}", dir.display()));
    // A folder that is not there is more likely a mistake than a store without events.
    std::fs::metadata(dir).map_err(unreadable)?;
    for stored in history(dir, query).map_err(unreadable)? {
        let line = if as_json { json(&stored)?.to_string() } else { text(&stored) };
        writeln!(out, "{line}").context("the answer cannot be written")?;
    }
    out.flush().context("the answer cannot be written")?;
    Ok(())
}

fn time(at: Captured) -> String {
    Timestamp::try_from(at.wall).map_or_else(|_| "?".to_owned(), |t| format!("{t:.3}"))
}

/// A line for people: when, where, what, and who.
fn text(stored: &Stored) -> String {
    let event = &stored.event;
    let camera = event.camera.as_deref().unwrap_or("-");
    let mut line = format!("{} {camera:<12} {:<14} {}", time(event.at), event.what.kind(), event.what.place());
    match &event.what {
        What::Crossed { direction, .. } => line += &format!(" {direction}"),
        What::Count { direction, class, count, total, .. } => {
            line += &format!(" {direction} {class} {count} of {total}")
        }
        What::Occupancy { count, before, .. } => line += &format!(" {count}, before {before}"),
        What::Crowd { count, .. } | What::CrowdEnd { count, .. } => line += &format!(" {count}"),
        What::AlertRaised { reason, .. } | What::AlertCleared { reason, .. } => line += &format!(": {reason}"),
        What::Lost { count, alerts, reason } => line += &format!("{count}, alerts among them {alerts}: {reason}"),
        _ => {}
    }
    if let Some(who) = &event.subject {
        line += &format!(" {} {}", who.class, who.track_id);
    }
    if !event.at.wall_synced {
        line += " (the clock was not set)";
    }
    line
}

/// The fields have the names that they have in messages.
fn json(stored: &Stored) -> Result<Value, Failure> {
    let event = &stored.event;
    let mut object = Map::new();
    object.insert("schema".to_owned(), json!(1));
    object.insert("type".to_owned(), json!("event"));
    object.insert("event".to_owned(), json!(event.what.kind()));
    object.insert("id".to_owned(), json!(stored.id));
    object.insert("seq".to_owned(), json!(stored.seq));
    object.insert("boot_id".to_owned(), json!(stored.boot));
    object.insert("camera".to_owned(), json!(event.camera));
    object.insert("at".to_owned(), json!(time(event.at)));
    object.insert("mono_ms".to_owned(), json!(event.at.mono.as_millis() as u64));
    object.insert("clock_synced".to_owned(), json!(event.at.wall_synced));
    object.insert("frame_seq".to_owned(), json!(event.frame_seq));
    let what = serde_json::to_value(&event.what).context("an event has no JSON form")?;
    // Its "type" is the event's name, which stands above.
    object.extend(what.as_object().cloned().into_iter().flatten().filter(|(key, _)| key != "type"));
    object.insert("track".to_owned(), event.subject.as_ref().map_or(Value::Null, track));
    object.insert("snapshots".to_owned(), json!(event.snapshots));
    Ok(Value::Object(object))
}

fn track(who: &Subject) -> Value {
    let (b, (width, height)) = (who.bbox, who.frame_px);
    let share = |px: f32, of: u32| if of == 0 { 0.0 } else { px / of as f32 };
    json!({
        "uid": who.uid,
        "id": who.track_id,
        "class": who.class,
        "score": who.score,
        "box": [share(b.x1, width), share(b.y1, height), share(b.x2, width), share(b.y2, height)],
        "box_px": [b.x1, b.y1, b.x2, b.y2],
        "first_seen_at": time(who.first_seen),
        "labels": who.labels,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_time_is_typed_as_a_moment_or_as_how_long_ago() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |secs| Some(now - Duration::from_secs(secs));
        for (typed, is) in [("90s", ago(90)), ("15m", ago(900)), ("2h", ago(7200)), ("1d", ago(86_400))] {
            assert_eq!(instant(typed, now), is, "{typed}");
        }
        assert_eq!(instant("1970-01-01T00:00:05Z", now), Some(UNIX_EPOCH + Duration::from_secs(5)));
        for typed in ["", "h", "2", "2 weeks", "yesterday", "99999999999999999999d", "3é"] {
            assert_eq!(instant(typed, now), None, "{typed}");
        }
    }

    #[test]
    fn a_type_that_there_is_not_is_told_with_those_that_there_are() {
        let args = Args {
            file: ConfigArg { config: PathBuf::new() },
            dir: None,
            since: None,
            camera: None,
            kind: Some("crosed".to_owned()),
            json: false,
        };
        let failure = query(&args, UNIX_EPOCH).expect_err("not known");
        assert!(matches!(&failure, Failure::Usage(text) if text.contains("crossed")), "{failure}");
    }
}
