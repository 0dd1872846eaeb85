//! What an owner relies on when writing alerts and orders: defaults that fit the cause, and every contradiction told with its key.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::load::parse;
use super::{Between, Cause, Clear, Config, Surroundings, SystemKind, render};
use crate::types::Severity;

const AROUND: &str =
    "[camera.front]\nsource = \"test:\"\n[camera.yard]\nsource = \"test:\"\n[classify.vehicle]\nmodel = \"m\"\n";

fn no_secret(_: &Path) -> io::Result<String> {
    Err(io::Error::from(io::ErrorKind::NotFound))
}

fn resolved(sections: &str) -> Config {
    let text = format!("{AROUND}{sections}");
    parse(&text, &Surroundings::default(), &no_secret).unwrap_or_else(|e| panic!("{e:?}\n{text}")).0.config
}

fn refused(sections: &str) -> String {
    let errors = parse(&format!("{AROUND}{sections}"), &Surroundings::default(), &no_secret).expect_err("a mistake");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const FULL: &str = concat!(
    "[alert.night]\non = \"entered\"\ncameras = [\"front\"]\nclasses = [\"person\", \"car\"]\nmin_score = 0.3\nmin_count = 2\n",
    "within_secs = 10\nbetween = [\"22:00\", \"06:30\"]\nseverity = \"critical\"\ncooldown_secs = 5\n",
    "attributes = { \"vehicle.color\" = \"red\", vehicle = \"van\" }\n",
    "[alert.line]\non = \"crossed\"\n[alert.full]\non = \"occupancy\"\nmin_count = 9\nclear_after_secs = 7\n",
    "[alert.hot]\nsystem = \"heat\"\n[alert.slow]\nsystem = \"frame_rate_below\"\nlimit = 4.5\nfor_secs = 3\n",
    "[commands]\nenabled = true\nallow = [\"snapshot\"]\nwindow_secs = 60\n",
);

#[test]
fn an_alert_has_defaults_that_fit_its_cause() {
    let alerts = resolved(FULL).alerts;
    let night = &alerts["night"];
    assert_eq!(
        (night.severity, night.clear, night.cooldown),
        (Severity::Critical, Clear::WhenOver, Duration::from_secs(5))
    );
    assert_eq!(night.between, Some(Between { from_minute: 1320, to_minute: 390 }));
    let Cause::Event(on) = &night.cause else { panic!("an event") };
    assert_eq!(on.attributes["vehicle.color"], "red");
    assert_eq!(alerts["line"].clear, Clear::After(Duration::from_secs(60)));
    assert_eq!(alerts["full"].clear, Clear::After(Duration::from_secs(7)));
    let Cause::System(hot) = &alerts["hot"].cause else { panic!("the device") };
    assert_eq!((hot.kind, hot.limit, alerts["hot"].severity), (SystemKind::Heat, 80.0, Severity::Warning));
}

#[test]
fn alerts_and_orders_are_shown_as_they_are_meant() {
    let config = resolved(FULL);
    assert_eq!(parse(&render(&config), &Surroundings::default(), &no_secret).expect("valid").0.config, config);
}

#[test]
fn orders_are_off_unless_they_are_switched_on() {
    let commands = resolved("").commands;
    assert_eq!((commands.enabled, commands.allow.len(), commands.window), (false, 3, Duration::from_secs(30)));
    assert!(refused("[commands]\nenabled = true\nallow = []\n").contains("commands.allow: empty"));
    assert!(
        refused("[commands]\nallow = [\"reboot\"]\n").contains("\"reboot\" is not known; write one of \"detection\"")
    );
}

#[test]
fn every_contradiction_in_an_alert_is_told_with_its_key() {
    let cases = [
        ("severity = \"info\"", "alert.a.on: missing"),
        ("on = \"entered\"\nsystem = \"heat\"", "alert.a.system: set beside `on`"),
        ("on = \"enterd\"", "alert.a.on: \"enterd\" is no event; write one of \"appeared\""),
        ("on = \"enterd\"", "did you mean \"entered\"?"),
        ("on = \"alert_raised\"", "alert.a.on: \"alert_raised\" is no event"),
        ("on = \"crossed\"\nzone = \"z\"", "alert.a.zone: has no meaning with \"crossed\""),
        ("on = \"entered\"\nline = \"l\"", "alert.a.line: has no meaning with \"entered\""),
        ("on = \"crowd\"\nclasses = [\"person\"]", "alert.a.classes: has no meaning with \"crowd\""),
        ("on = \"count\"\nmin_score = 0.5", "alert.a.min_score: has no meaning"),
        ("on = \"occupancy\"\nwithin_secs = 5", "alert.a.within_secs: has no meaning"),
        ("on = \"entered\"\nlimit = 5", "alert.a.limit: has no meaning"),
        ("on = \"entered\"\nbetween = [\"22:00\"]", "alert.a.between: write two times"),
        ("on = \"entered\"\nbetween = [\"22:00\", \"24:00\"]", "alert.a.between: \"24:00\" is no time of day"),
        ("on = \"entered\"\nbetween = [\"2:00\", \"+3:00\"]", "alert.a.between: \"2:00\" is no time of day"),
        ("on = \"entered\"\nbetween = [\"08:00\", \"08:00\"]", "alert.a.between: begins when it ends"),
        (
            "on = \"entered\"\ncameras = [\"frnt\"]",
            "alert.a.cameras: there is no camera \"frnt\", did you mean \"front\"?",
        ),
        (
            "on = \"entered\"\nzone = \"door\"",
            "alert.a.zone: none of its cameras has a zone \"door\"; there is none at all",
        ),
        ("on = \"crossed\"\nline = \"gate\"", "alert.a.line: none of its cameras has a line \"gate\""),
        (
            "on = \"entered\"\nattributes = { \"vehicl.color\" = \"red\" }",
            "alert.a.attributes: there is no classifier \"vehicl\"",
        ),
        ("system = \"frame_rate_below\"", "alert.a.limit: missing; write how many frames a second"),
        ("system = \"p99_above\"", "alert.a.limit: missing; write how many milliseconds"),
        ("system = \"camera_stalled\"\nlimit = 3", "alert.a.limit: has no meaning with \"camera_stalled\""),
        ("system = \"heat\"\ncameras = [\"front\"]", "alert.a.cameras: has no meaning with \"heat\""),
        ("system = \"heat\"\nsnapshot = true", "alert.a.snapshot: has no meaning with `system`"),
        ("system = \"heat\"\nzone = \"z\"\nmin_count = 2", "alert.a.min_count: has no meaning with `system`"),
    ];
    for (keys, part) in cases {
        let told = refused(&format!("[alert.a]\n{keys}\n"));
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
}

#[test]
fn a_zone_of_another_camera_than_the_alerts_is_no_zone() {
    let sections = "[camera.yard.zone.door]\npoints = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n\
                    [alert.a]\non = \"entered\"\nzone = \"door\"\n";
    // Only the alert's own complaint counts: what a zone takes is judged elsewhere.
    let told = |cameras: &str| {
        let text = format!("{AROUND}{sections}{cameras}");
        let errors = parse(&text, &Surroundings::default(), &no_secret).err().unwrap_or_default();
        errors.iter().any(|e| e.key == "alert.a.zone")
    };
    assert!(!told("") && !told("cameras = [\"yard\"]\n"));
    assert!(told("cameras = [\"front\"]\n"));
}

#[test]
fn an_alert_that_waits_for_what_nobody_tells_is_warned_of_with_what_is_lacking() {
    let warned = |sections: &str| {
        let text = format!("{AROUND}{sections}");
        parse(&text, &Surroundings::default(), &no_secret).unwrap_or_else(|e| panic!("{e:?}\n{text}")).0.warnings
    };
    let zone = "[camera.front.zone.door]\npoints = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]\n";
    let line = "[camera.front.line.gate]\npoints = [[0.1, 0.2], [0.5, 0.2]]\n";
    for (on, lacking, with) in [
        ("appeared", "appearances = true", "[camera.c]\nsource = \"test:\"\nappearances = true\n".to_owned()),
        ("stopped", "stopped_secs", "[camera.c]\nsource = \"test:\"\nstopped_secs = 2\n".to_owned()),
        ("entered", "a zone", zone.to_owned()),
        ("dwell", "dwell_secs", format!("{zone}dwell_secs = 5\n")),
        ("crowd", "crowd_count", format!("{zone}crowd_count = 5\ncrowd_secs = 1\n")),
        ("crossed", "a line", line.to_owned()),
        ("count", "count_secs", format!("{line}count_secs = 60\n")),
    ] {
        let alert = format!("[alert.a]\non = \"{on}\"\n");
        let told = warned(&alert);
        assert!(told.iter().any(|w| w.starts_with("alert.a.on: ") && w.contains(lacking)), "{on}: {told:?}");
        assert_eq!(warned(&(alert + &with)), [""; 0], "{on}");
    }
}
