//! `peregrine events`: the history on disk, beside a running daemon and without its help.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use jiff::Timestamp;

use super::Failure;
use super::configuration::{self, ConfigArg};
use super::output::stream;
use crate::app::wire_form;
use crate::config::{Config, Secrets};
use crate::runtime::Clock;
use crate::store::{Query, history, is_store};
use crate::types::{Captured, Stored, What};

/// Shows events that are kept on this device, oldest first: whether or not the broker has them, whether or not the daemon runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigArg,
    /// The folder of the events, in place of the one that the configuration names; then no configuration is needed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only what happened then or later: "2026-11-21T15:04:05Z", or how long ago: 90s, 15m, 2h, 3d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what this camera saw.
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = What::KINDS)]
    kind: Option<String>,
    /// One JSON object a line, the same that went over MQTT.
    #[arg(long)]
    json: bool,
    /// The device's name in JSON, in place of the configuration's: for a folder that comes from another device.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When an argument makes no sense, the configuration is wrong, or the folder cannot be read.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let query = query(args, Clock::start().wall())?;
    let config = config(args)?;
    let dir = args.dir.clone().unwrap_or_else(|| config.paths.state.join("events"));
    let device = args.device.as_deref().unwrap_or(&config.device.name);
    show(&dir, &query, args.json.then_some(device), &mut stream())
}

/// With a folder, a device may have no configuration; one that is there names the device.
fn config(args: &Args) -> Result<Config, Failure> {
    if args.dir.is_some() && !args.file.config.exists() {
        return configuration::defaults();
    }
    Ok(configuration::load(&args.file.config, Secrets::None)?.config)
}

fn query(args: &Args, now: SystemTime) -> Result<Query, Failure> {
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

/// `device`: in JSON, of the device of this name.
fn show(dir: &Path, query: &Query, device: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
    let unreadable = |e: std::io::Error| Failure::Input(format!("{}: {e}", dir.display()));
    // A folder that is not there is more likely a mistake than a store without events.
    std::fs::metadata(dir).map_err(unreadable)?;
    if !is_store(dir) {
        let what = "no events are kept in this folder; the one that is meant holds alerts/ and events/";
        return Err(Failure::Input(format!("{}: {what}", dir.display())));
    }
    for stored in history(dir, query).map_err(unreadable)? {
        let mut line = device.map_or_else(|| text(&stored).into_bytes(), |device| wire_form(&stored, device));
        line.push(b'\n');
        out.write_all(&line).context("the answer cannot be written")?;
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
        What::BudgetStep { level, levels, rung, step, reason, .. } => {
            line += &format!("{} to {level} of {levels}, {rung}: {reason}", step.as_str())
        }
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use clap::Parser;

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
    fn a_folder_without_a_store_is_a_mistake_and_no_empty_history() {
        let state = tempfile::tempdir().expect("a folder");
        let events = state.path().join("events");
        for lane in ["alerts", "events"] {
            std::fs::create_dir_all(events.join(lane)).expect("a folder");
        }
        let shown = |dir: &Path| show(dir, &Query::default(), None, &mut Vec::new());
        assert!(shown(&events).is_ok(), "nothing has happened yet");
        let Err(Failure::Input(told)) = shown(state.path()) else { panic!("the folder above is not it") };
        assert!(told.contains("holds alerts/ and events/"), "{told}");
        std::fs::remove_dir(events.join("alerts")).expect("removed");
        assert!(shown(&events).is_ok() && shown(state.path()).is_err(), "no alert could be kept yet");
    }

    #[test]
    fn a_type_that_there_is_not_is_told_with_those_that_there_are() {
        let told =
            super::super::Cli::try_parse_from(["peregrine", "events", "--type", "crosed"]).expect_err("not known");
        let told = told.to_string();
        assert!(told.contains("crosed") && told.contains("crossed") && told.contains("lost"), "{told}");
    }
}
