//! Which conditions of an alert can be together, what stands for those that are left out, and whether what they name is there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alerts::{AlertFile, Between, Cause, OnEvent, OnSystem, SystemKind};
use super::resolve::Resolver;
use super::walk::did_you_mean;
use super::{Alert, Camera, Classify};
use crate::types::What;

/// How long something must be wrong with the device, where the file does not say: a camera that is opened anew is back by then.
const WRONG_FOR: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(60);

/// Events that tell how many there are, by themselves.
pub(super) fn tells_a_number(kind: &str) -> bool {
    matches!(kind, "occupancy" | "crowd" | "crowd_end" | "count" | "lost" | "budget_step")
}

pub(super) fn on_event(section: &str, kind: &str, typed: &AlertFile, r: &mut Resolver<'_>) -> OnEvent {
    let key = |k: &str| format!("{section}.{k}");
    let possible = || What::KINDS.into_iter().filter(|k| !k.starts_with("alert_"));
    if !possible().any(|k| k == kind) {
        let guess = did_you_mean(kind, possible());
        let all: Vec<_> = possible().map(|k| format!("{k:?}")).collect();
        r.error(&key("on"), format!("{kind:?} is no event; write one of {}{guess}", all.join(", ")));
    }
    let (of_zone, of_line) = (
        matches!(kind, "entered" | "left" | "dwell" | "dwell_end" | "occupancy" | "crowd" | "crowd_end"),
        matches!(kind, "crossed" | "count"),
    );
    let of_track = !tells_a_number(kind);
    let wrong = [
        ("zone", typed.zone.is_some() && !of_zone, "an event of a zone"),
        ("line", typed.line.is_some() && !of_line, "\"crossed\" or \"count\""),
        ("classes", typed.classes.is_some() && !of_track && kind != "count", "an event of one track, or \"count\""),
        ("min_score", typed.min_score.is_some() && !of_track, "an event of one track"),
        ("attributes", !typed.attributes.is_empty() && !of_track, "an event of one track"),
        ("cameras", typed.cameras.is_some() && kind == "lost", "an event of a camera"),
        ("limit", typed.limit.is_some(), "`system`"),
        ("for_secs", typed.for_secs.is_some(), "`system`"),
    ];
    for (name, _, owner) in wrong.iter().filter(|(_, is_wrong, _)| *is_wrong) {
        r.error(&key(name), format!("has no meaning with {kind:?}; it is for {owner}"));
    }
    let min_count = typed.min_count.unwrap_or(1);
    if typed.within_secs.is_some() && tells_a_number(kind) {
        r.error(&key("within_secs"), format!("has no meaning with {kind:?}, which tells a number by itself"));
    }
    OnEvent {
        kind: kind.to_owned(),
        zone: typed.zone.clone(),
        line: typed.line.clone(),
        classes: typed.classes.clone().unwrap_or_default(),
        attributes: typed.attributes.clone(),
        min_score: typed.min_score.unwrap_or(0.0) as f32,
        min_count,
        within: typed.within_secs.map_or(WITHIN, Duration::from_secs),
    }
}

pub(super) fn on_system(section: &str, kind: SystemKind, typed: &AlertFile, r: &mut Resolver<'_>) -> OnSystem {
    let key = |k: &str| format!("{section}.{k}");
    let set = [
        ("zone", typed.zone.is_some()),
        ("line", typed.line.is_some()),
        ("classes", typed.classes.is_some()),
        ("min_score", typed.min_score.is_some()),
        ("min_count", typed.min_count.is_some()),
        ("within_secs", typed.within_secs.is_some()),
        ("attributes", !typed.attributes.is_empty()),
        ("snapshot", typed.snapshot.is_some()),
    ];
    for (name, _) in set.iter().filter(|(_, is_set)| *is_set) {
        r.error(&key(name), "has no meaning with `system`; it is for `on`");
    }
    if typed.cameras.is_some() && !kind.is_of_a_camera() {
        r.error(&key("cameras"), format!("has no meaning with {:?}, which is of the device", kind.as_str()));
    }
    if typed.limit.is_some() && kind.default_limit() == Some(0.0) {
        r.error(&key("limit"), format!("has no meaning with {:?}", kind.as_str()));
    }
    let limit = typed.limit.or(kind.default_limit()).unwrap_or_else(|| {
        let unit = if kind == SystemKind::P99Above { "milliseconds" } else { "frames a second" };
        r.error(&key("limit"), format!("missing; write how many {unit} are the bound"));
        0.0
    });
    OnSystem { kind, limit, wrong_for: typed.for_secs.map_or(WRONG_FOR, Duration::from_secs) }
}

pub(super) fn between(section: &str, typed: &[String], r: &mut Resolver<'_>) -> Option<Between> {
    let key = format!("{section}.between");
    let [from, to] = typed else {
        r.error(&key, "write two times, e.g. [\"22:00\", \"06:00\"]");
        return None;
    };
    let mut minute = |text: &String| {
        let read = minute_of(text);
        if read.is_none() {
            r.error(&key, format!("{text:?} is no time of day; write hours and minutes, \"00:00\" to \"23:59\""));
        }
        read
    };
    let (from_minute, to_minute) = (minute(from), minute(to));
    let (from_minute, to_minute) = (from_minute?, to_minute?);
    if from_minute == to_minute {
        r.error(&key, "begins when it ends; leave the key out for the whole day");
        return None;
    }
    Some(Between { from_minute, to_minute })
}

fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|n| is_plain && *n < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// What alerts name must be there: an alert on a zone that no camera has would never be raised.
pub(super) fn check_names(
    alerts: &BTreeMap<String, Alert>,
    cameras: &BTreeMap<String, Camera>,
    classifiers: &BTreeMap<String, Classify>,
    r: &mut Resolver<'_>,
) {
    for (name, alert) in alerts {
        let key = |k: &str| format!("alert.{name}.{k}");
        for camera in alert.cameras.iter().filter(|c| !cameras.contains_key(*c)) {
            missing(r, &key("cameras"), &format!("there is no camera {camera:?}"), camera, cameras.keys());
        }
        let Cause::Event(event) = &alert.cause else { continue };
        let watched = || cameras.iter().filter(|(c, _)| alert.cameras.is_empty() || alert.cameras.contains(c));
        if let Some(zone) = &event.zone
            && !watched().any(|(_, c)| c.zones.contains_key(zone))
        {
            let known = watched().flat_map(|(_, c)| c.zones.keys());
            missing(r, &key("zone"), &format!("none of its cameras has a zone {zone:?}"), zone, known);
        }
        if let Some(line) = &event.line
            && !watched().any(|(_, c)| c.lines.contains_key(line))
        {
            let known = watched().flat_map(|(_, c)| c.lines.keys());
            missing(r, &key("line"), &format!("none of its cameras has a line {line:?}"), line, known);
        }
        let cameras: Vec<&Camera> = watched().map(|(_, camera)| camera).collect();
        if let Some(what) = never_told(event, &cameras) {
            r.warn(&key("on"), &format!("{:?} is never told: {what}", event.kind));
        }
        for attribute in event.attributes.keys() {
            let classifier = attribute.split('.').next().unwrap_or_default();
            if !classifiers.contains_key(classifier) {
                let problem = format!("there is no classifier {classifier:?}");
                missing(r, &key("attributes"), &problem, classifier, classifiers.keys());
            }
        }
    }
}

/// What its cameras lack, if none of them ever tells the event: the alert is not wrong, but it would wait in vain.
fn never_told(event: &OnEvent, cameras: &[&Camera]) -> Option<&'static str> {
    let zones = || {
        let all = cameras.iter().flat_map(|c| &c.zones);
        all.filter(|(name, _)| event.zone.as_ref().is_none_or(|zone| zone == *name)).map(|(_, zone)| zone)
    };
    let lines = || {
        let all = cameras.iter().flat_map(|c| &c.lines);
        all.filter(|(name, _)| event.line.as_ref().is_none_or(|line| line == *name)).map(|(_, line)| line)
    };
    let (is_told, lacking) = match event.kind.as_str() {
        "appeared" | "gone" => (cameras.iter().any(|c| c.appearances), "none of its cameras has appearances = true"),
        "stopped" | "moving" => (cameras.iter().any(|c| c.stopped.is_some()), "none of its cameras has stopped_secs"),
        "entered" | "left" => (zones().next().is_some(), "none of its cameras has a zone"),
        "dwell" | "dwell_end" => (zones().any(|z| z.dwell.is_some()), "no zone of it has dwell_secs"),
        "occupancy" => (zones().any(|z| z.occupancy), "no zone of it has occupancy = true"),
        "crowd" | "crowd_end" => (zones().any(|z| z.crowd.is_some()), "no zone of it has crowd_count and crowd_secs"),
        "crossed" => (lines().next().is_some(), "none of its cameras has a line"),
        "count" => (lines().any(|l| l.count_every.is_some()), "no line of it has count_secs"),
        _ => (true, ""),
    };
    (!is_told).then_some(lacking)
}

fn missing<'k>(r: &mut Resolver<'_>, key: &str, problem: &str, typed: &str, known: impl Iterator<Item = &'k String>) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let guess = did_you_mean(typed, known.iter().copied());
    let there =
        if known.is_empty() { "there is none at all".to_owned() } else { format!("known: {}", known.join(", ")) };
    r.error(key, format!("{problem}{guess}; {there}"));
}
