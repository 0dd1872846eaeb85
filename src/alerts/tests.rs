//! What an owner relies on: an alert is open once, for as long as its cause lasts, and is not lost or doubled by time, labels or restarts.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use uuid::Uuid;

use super::{Alerts, Now};
use crate::config::{self, Alert};
use crate::types::{
    BudgetMove, Captured, Event, Label, Measured, Rect, Report, Severity, Stored, Subject, Track, TrackEvent,
    TrackPhase, What,
};

mod attributes;

const NOON: u16 = 12 * 60;

/// The alerts of a configuration file that has these sections, beside cameras and classifiers to name.
fn alerts(sections: &str) -> BTreeMap<String, Alert> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("p.toml");
    let around = "[camera.front]\nsource = \"test:\"\n[camera.yard]\nsource = \"test:\"\n\
                  [classify.vehicle]\nmodel = \"m\"\n";
    std::fs::write(&path, format!("{around}{sections}")).expect("written");
    config::load(&path, &config::Surroundings::default()).unwrap_or_else(|e| panic!("{e}")).config.alerts
}

pub(super) fn watching(sections: &str) -> Alerts {
    Alerts::new(&alerts(sections))
}

pub(super) fn captured(secs: f64) -> Captured {
    let wall = UNIX_EPOCH + Duration::from_secs(1_790_000_000) + Duration::from_secs_f64(secs);
    Captured { mono: Duration::from_secs_f64(secs), wall, wall_synced: true }
}

pub(super) fn at(secs: f64) -> Now {
    Now { at: captured(secs), local_minute: NOON }
}

fn at_minute(secs: f64, local_minute: u16) -> Now {
    Now { local_minute, ..at(secs) }
}

fn uid(track: u64) -> Uuid {
    Uuid::from_u128(u128::from(track))
}

fn event(secs: f64, track: u64, what: What) -> Event {
    let subject = Subject {
        uid: uid(track),
        track_id: track,
        tracked_as: None,
        class: "person".to_owned(),
        score: 0.8,
        bbox: Rect { x1: 1.0, y1: 1.0, x2: 9.0, y2: 9.0 },
        frame_px: (100, 100),
        first_seen: captured(secs),
        labels: Vec::new(),
    };
    Event {
        camera: Some("front".into()),
        at: captured(secs),
        frame_seq: Some(7),
        what,
        subject: Some(subject),
        snapshots: Vec::new(),
    }
}

fn entered(secs: f64, track: u64) -> Event {
    event(secs, track, What::Entered { zone: "door".to_owned() })
}

fn left(secs: f64, track: u64) -> Event {
    event(secs, track, What::Left { zone: "door".to_owned(), inside_ms: 1 })
}

fn crossed(secs: f64, track: u64) -> Event {
    event(secs, track, What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() })
}

/// What was told, each as "+NAME" or "-NAME".
pub(super) fn told(events: &[Event]) -> Vec<String> {
    let word = |e: &Event| match &e.what {
        What::AlertRaised { alert, .. } => format!("+{alert}"),
        What::AlertCleared { alert, .. } => format!("-{alert}"),
        other => panic!("no alert: {other:?}"),
    };
    events.iter().map(word).collect()
}

/// Feeds an event at its own time.
fn feed(alerts: &mut Alerts, event: &Event) -> Vec<String> {
    let secs = event.at.mono.as_secs_f64();
    told(&alerts.event(event, at(secs)))
}

pub(super) const NOTHING: [String; 0] = [];

#[test]
fn an_alert_is_open_from_the_first_that_enters_to_the_last_that_leaves() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\n");
    assert_eq!(feed(&mut alerts, &entered(1.0, 1)), ["+a"]);
    assert_eq!(feed(&mut alerts, &entered(2.0, 2)), NOTHING);
    assert_eq!(feed(&mut alerts, &left(3.0, 1)), NOTHING);
    assert_eq!(told(&alerts.tick(at(4000.0))), NOTHING, "somebody is still there");
    assert_eq!(alerts.open(), ["a"]);
    let cleared = alerts.event(&left(4001.0, 2), at(4001.0));
    let What::AlertCleared { severity, open_ms, reason, .. } = &cleared[0].what else { panic!("cleared") };
    assert_eq!(
        (*severity, *open_ms, reason.as_str()),
        (Severity::Warning, 4_000_000, "person left door (camera front)")
    );
    assert!(alerts.open().is_empty());
}

#[test]
fn what_raised_an_alert_stands_in_it() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\nseverity = \"critical\"\n");
    let mut cause = entered(1.0, 1);
    cause.snapshots = vec!["front/1.jpg".to_owned()];
    let raised = &alerts.event(&cause, at(1.1))[0];
    let What::AlertRaised { severity, reason, .. } = &raised.what else { panic!("raised") };
    assert_eq!((*severity, reason.as_str()), (Severity::Critical, "person entered door (camera front)"));
    assert_eq!((&raised.camera, raised.frame_seq), (&cause.camera, Some(7)));
    assert_eq!((&raised.subject, &raised.snapshots), (&cause.subject, &cause.snapshots));
    assert!(raised.is_alert());
}

#[test]
fn every_condition_must_hold() {
    let rule = "[alert.a]\non = \"entered\"\ncameras = [\"front\"]\nclasses = [\"person\"]\nmin_score = 0.5\n";
    type Change = (&'static str, fn(&mut Event));
    let changes: [Change; 6] = [
        ("another camera", |e| e.camera = Some("yard".into())),
        ("no camera", |e| e.camera = None),
        ("another class", |e| e.subject.as_mut().expect("one").class = "cat".to_owned()),
        ("a low score", |e| e.subject.as_mut().expect("one").score = 0.4),
        ("nobody", |e| e.subject = None),
        ("another event", |e| e.what = What::Appeared),
    ];
    for (what, change) in changes {
        let mut event = entered(1.0, 1);
        change(&mut event);
        assert_eq!(feed(&mut watching(rule), &event), NOTHING, "{what}");
    }
    assert_eq!(feed(&mut watching(rule), &entered(1.0, 1)), ["+a"]);
}

#[test]
fn another_zone_raises_nothing_and_its_end_clears_nothing() {
    // Whether a camera has the zone is checked by the configuration, which is not in question here.
    let mut rules = alerts("[alert.a]\non = \"entered\"\n");
    if let config::Cause::Event(on) = &mut rules.get_mut("a").expect("there").cause {
        on.zone = Some("door".to_owned());
    }
    let mut alerts = Alerts::new(&rules);
    let window = |what| event(1.0, 1, what);
    let there = What::Entered { zone: "window".to_owned() };
    assert_eq!(feed(&mut alerts, &window(there)), NOTHING);
    assert_eq!(feed(&mut alerts, &entered(2.0, 1)), ["+a"]);
    assert_eq!(feed(&mut alerts, &window(What::Left { zone: "window".to_owned(), inside_ms: 1 })), NOTHING);
    assert_eq!(feed(&mut alerts, &left(3.0, 1)), ["-a"]);
}

#[test]
fn what_only_happens_is_cleared_when_nothing_more_fits_for_a_while() {
    let mut alerts = watching("[alert.a]\non = \"crossed\"\nclear_after_secs = 20\n");
    assert_eq!(feed(&mut alerts, &crossed(0.0, 1)), ["+a"]);
    assert_eq!(feed(&mut alerts, &crossed(15.0, 2)), NOTHING);
    assert_eq!(told(&alerts.tick(at(34.9))), NOTHING);
    assert_eq!(told(&alerts.tick(at(35.0))), ["-a"]);
}

#[test]
fn a_number_of_events_must_fall_within_its_time() {
    let rule = "[alert.a]\non = \"crossed\"\nmin_count = 3\nwithin_secs = 10\n";
    let mut alerts = watching(rule);
    for secs in [0.0, 6.0, 12.0, 18.0] {
        assert_eq!(feed(&mut alerts, &crossed(secs, 1)), NOTHING, "{secs}");
    }
    let raised = alerts.event(&crossed(20.0, 1), at(20.0));
    let What::AlertRaised { reason, .. } = &raised[0].what else { panic!("raised") };
    assert!(reason.starts_with("3 times within 10 s: person crossed gate (in)"), "{reason}");
}

#[test]
fn after_it_was_raised_an_alert_keeps_quiet_for_its_cool_down() {
    let mut alerts = watching("[alert.a]\non = \"crossed\"\ncooldown_secs = 100\nclear_after_secs = 5\n");
    assert_eq!(feed(&mut alerts, &crossed(0.0, 1)), ["+a"]);
    assert_eq!(told(&alerts.tick(at(5.0))), ["-a"]);
    assert_eq!(feed(&mut alerts, &crossed(99.0, 2)), NOTHING);
    assert_eq!(told(&alerts.tick(at(101.0))), NOTHING, "what happened in the cool-down is past");
    assert_eq!(feed(&mut alerts, &crossed(102.0, 3)), ["+a"]);
}

#[test]
fn who_came_in_the_cool_down_and_stays_is_told_of_when_it_is_over() {
    let rule = "[alert.a]\non = \"entered\"\ncooldown_secs = 100\n";
    for stays in [true, false] {
        let mut alerts = watching(rule);
        feed(&mut alerts, &entered(0.0, 1));
        assert_eq!(feed(&mut alerts, &left(1.0, 1)), ["-a"]);
        assert_eq!(feed(&mut alerts, &entered(50.0, 2)), NOTHING);
        if !stays {
            assert_eq!(feed(&mut alerts, &left(60.0, 2)), NOTHING);
        }
        assert_eq!(told(&alerts.tick(at(99.0))), NOTHING);
        assert_eq!(told(&alerts.tick(at(100.0))), if stays { vec!["+a"] } else { vec![] });
    }
}

#[test]
fn a_time_of_day_may_go_over_midnight_and_holds_for_who_is_there_when_it_begins() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\nbetween = [\"22:00\", \"06:00\"]\ncooldown_secs = 0\n");
    assert_eq!(told(&alerts.event(&entered(0.0, 1), at_minute(0.0, 22 * 60 - 1))), NOTHING);
    assert_eq!(told(&alerts.tick(at_minute(60.0, 22 * 60))), ["+a"]);
    assert_eq!(told(&alerts.event(&left(61.0, 1), at_minute(61.0, 22 * 60))), ["-a"]);
    assert_eq!(told(&alerts.event(&entered(70.0, 2), at_minute(70.0, 5 * 60 + 59))), ["+a"]);
    assert_eq!(told(&alerts.event(&left(80.0, 2), at_minute(80.0, 6 * 60))), ["-a"], "it ends at any time");
    assert_eq!(told(&alerts.event(&entered(90.0, 3), at_minute(90.0, 6 * 60))), NOTHING);
}

#[test]
fn what_only_happens_does_not_count_out_of_its_time_of_day() {
    let rule = "[alert.a]\non = \"crossed\"\nmin_count = 2\nbetween = [\"08:00\", \"09:00\"]\n";
    let mut alerts = watching(rule);
    assert_eq!(told(&alerts.event(&crossed(0.0, 1), at_minute(0.0, 8 * 60 - 1))), NOTHING);
    assert_eq!(told(&alerts.event(&crossed(1.0, 1), at_minute(1.0, 8 * 60))), NOTHING);
    assert_eq!(told(&alerts.event(&crossed(2.0, 1), at_minute(2.0, 8 * 60))), ["+a"]);
}

#[test]
fn a_clock_that_was_never_set_hides_no_alert() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\nbetween = [\"22:00\", \"06:00\"]\n");
    let mut now = at_minute(0.0, NOON);
    now.at.wall_synced = false;
    assert_eq!(told(&alerts.event(&entered(0.0, 1), now)), ["+a"]);
}

fn track(secs: f64, track: u64, phase: TrackPhase, labels: &[(&str, &str)]) -> Report {
    let label = |(name, value): &(&str, &str)| Label {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        confidence: 0.9,
        votes: 3,
    };
    let bbox = Rect { x1: 1.0, y1: 1.0, x2: 9.0, y2: 9.0 };
    Report::Track(TrackEvent {
        camera: "front".into(),
        phase,
        seq: 8,
        captured: captured(secs),
        width_px: 100,
        height_px: 100,
        uid: uid(track),
        known_as: uid(track),
        track: Track { id: track, bbox, class: 0, score: 0.8, age_frames: 9, lost_frames: 0 },
        class_name: "person".to_owned(),
        first_seen: captured(0.0),
        labels: labels.iter().map(label).collect(),
    })
}

#[test]
fn a_track_that_is_gone_without_its_stay_being_ended_keeps_no_alert_open_for_ever() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\n");
    feed(&mut alerts, &entered(0.0, 1));
    alerts.report(&track(10.0, 1, TrackPhase::End, &[]), at(10.0));
    assert_eq!(told(&alerts.tick(at(69.0))), NOTHING, "the rules may still be waiting for it");
    assert_eq!(told(&alerts.tick(at(70.0))), ["-a"]);
}

#[test]
fn an_event_that_tells_a_number_is_taken_at_its_word() {
    let occupancy = |secs, count| {
        let what = What::Occupancy { zone: "door".to_owned(), count, before: 0 };
        Event { subject: None, ..event(secs, 1, what) }
    };
    let mut alerts = watching("[alert.a]\non = \"occupancy\"\nmin_count = 3\n");
    assert_eq!(feed(&mut alerts, &occupancy(0.0, 2)), NOTHING);
    assert_eq!(feed(&mut alerts, &occupancy(1.0, 3)), ["+a"]);
    assert_eq!(feed(&mut alerts, &occupancy(2.0, 5)), NOTHING);
    assert_eq!(feed(&mut alerts, &occupancy(3.0, 2)), ["-a"]);
}

#[test]
fn a_budget_is_an_alert_from_the_level_that_was_asked_for_until_less_is_given_up() {
    let step = |secs, level| {
        let (rung, reason) = ("interval x2".to_owned(), "hot".to_owned());
        let step = BudgetMove::Down;
        let what =
            What::BudgetStep { level, levels: 9, rung, step, reason, watts: None, celsius: Some(80.5), p99_ms: None };
        Event { camera: None, subject: None, ..event(secs, 1, what) }
    };
    let mut alerts = watching("[alert.a]\non = \"budget_step\"\n[alert.b]\non = \"budget_step\"\nmin_count = 2\n");
    assert_eq!(feed(&mut alerts, &step(0.0, 1)), ["+a"]);
    assert_eq!(feed(&mut alerts, &step(30.0, 2)), ["+b"]);
    assert_eq!(feed(&mut alerts, &step(500.0, 1)), ["-b"]);
    assert_eq!(feed(&mut alerts, &step(600.0, 0)), ["-a"]);
}

#[test]
fn alerts_do_not_answer_alerts() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\n[alert.b]\non = \"lost\"\n");
    let raised = alerts.event(&entered(0.0, 1), at(0.0));
    assert_eq!(told(&alerts.event(&raised[0], at(0.0))), NOTHING);
    let lost = Event {
        camera: None,
        subject: None,
        ..event(1.0, 1, What::Lost { count: 3, alerts: 0, reason: "full".into() })
    };
    assert_eq!(feed(&mut alerts, &lost), ["+b"]);
}

pub(super) fn stored(event: Event) -> Stored {
    Stored { id: uid(99), boot: uid(98), seq: 1, event }
}

#[test]
fn an_open_alert_survives_a_restart_and_is_not_raised_twice() {
    let rule = "[alert.a]\non = \"entered\"\nseverity = \"critical\"\n[alert.b]\nsystem = \"camera_stalled\"\n";
    let before = watching(rule).event(&entered(5000.0, 1), at(5000.0));
    let mut alerts = watching(rule);
    // The next life begins at 0 of its own clock; the wall clock went on by ten minutes.
    let later = |secs: f64| {
        let wall = captured(5600.0 + secs).wall;
        Now { at: Captured { wall, ..captured(secs) }, local_minute: NOON }
    };
    assert!(alerts.restore(&[stored(before[0].clone())], later(0.0)).is_empty());
    assert_eq!(alerts.open(), ["a"]);
    assert_eq!(told(&alerts.event(&entered(10.0, 2), later(10.0))), NOTHING);
    let cleared = alerts.event(&left(20.0, 2), later(20.0));
    let What::AlertCleared { open_ms, .. } = cleared[0].what else { panic!("cleared") };
    assert_eq!(open_ms, 620_000);
}

#[test]
fn an_alert_of_a_former_life_ends_when_nothing_comes_or_nobody_has_it_any_more() {
    let rule = "[alert.a]\non = \"entered\"\n";
    let before = watching(rule).event(&entered(50.0, 1), at(50.0));
    let mut alerts = watching(rule);
    alerts.restore(&[stored(before[0].clone())], at(100.0));
    assert_eq!(told(&alerts.tick(at(159.0))), NOTHING);
    assert_eq!(told(&alerts.tick(at(160.0))), ["-a"]);
    let mut without = watching("");
    assert_eq!(told(&without.restore(&[stored(before[0].clone())], at(0.0))), ["-a"]);
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u64),
    Leave(u64),
    End(u64),
    Cross(u64),
    Restart,
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u64..4).prop_map(Step::Enter),
        (0u64..4).prop_map(Step::Leave),
        (0u64..4).prop_map(Step::End),
        (0u64..4).prop_map(Step::Cross),
        Just(Step::Restart),
        (1u16..90).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raised_and_cleared_take_turns_whatever_happens_and_all_ends_in_quiet(
        steps in steps(), count in 1u32..4, cooldown in 0u32..40, minute in 0u16..1440,
    ) {
        let rules = alerts(&format!(
            "[alert.e]\non = \"entered\"\nmin_count = {count}\ncooldown_secs = {cooldown}\n\
             [alert.c]\non = \"crossed\"\nmin_count = {count}\ncooldown_secs = {cooldown}\nclear_after_secs = 30\n\
             [alert.n]\non = \"entered\"\nbetween = [\"20:00\", \"04:00\"]\ncooldown_secs = {cooldown}\n"
        ));
        let mut alerts = Alerts::new(&rules);
        let (mut secs, mut open, mut last) = (0.0, BTreeMap::<String, Event>::new(), BTreeMap::<String, f64>::new());
        let quiet = [Step::Leave(0), Step::Leave(1), Step::Leave(2), Step::Leave(3), Step::Wait(60), Step::Wait(60)];
        for step in steps.into_iter().chain(quiet) {
            secs += 1.0;
            if let Step::Wait(more) = step {
                secs += f64::from(more);
            }
            let now = at_minute(secs, (minute + (secs / 60.0) as u16) % 1440);
            let mut events = match step {
                Step::Enter(n) => alerts.event(&entered(secs, n), now),
                Step::Leave(n) => alerts.event(&left(secs, n), now),
                Step::Cross(n) => alerts.event(&crossed(secs, n), now),
                Step::End(n) => alerts.report(&track(secs, n, TrackPhase::End, &[]), now),
                Step::Wait(_) => Vec::new(),
                Step::Restart => {
                    alerts = Alerts::new(&rules);
                    last.clear();
                    let before: Vec<_> = open.values().cloned().map(stored).collect();
                    alerts.restore(&before, now)
                }
            };
            events.extend(alerts.tick(now));
            for event in events {
                match &event.what {
                    What::AlertRaised { alert, .. } => {
                        let cool = last.insert(alert.clone(), secs).is_none_or(|l| secs - l >= f64::from(cooldown));
                        prop_assert!(cool, "{alert} was raised in its cool-down");
                        let night = now.local_minute >= 20 * 60 || now.local_minute < 4 * 60;
                        prop_assert!(alert != "n" || night, "{alert} was raised at minute {}", now.local_minute);
                        prop_assert!(open.insert(alert.clone(), event.clone()).is_none(), "{alert} was raised twice");
                    }
                    What::AlertCleared { alert, .. } => {
                        prop_assert!(open.remove(alert).is_some(), "{alert} was cleared though it was not open");
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            let known: Vec<&str> = open.keys().map(String::as_str).collect();
            prop_assert_eq!(alerts.open(), known);
        }
        prop_assert!(open.is_empty(), "all have left and time has passed, yet {open:?}");
    }

    #[test]
    fn a_time_of_day_and_its_complement_share_out_the_day(from in 0u16..1440, to in 0u16..1440, minute in 0u16..1440) {
        prop_assume!(from != to);
        let part = config::Between { from_minute: from, to_minute: to };
        let rest = config::Between { from_minute: to, to_minute: from };
        prop_assert!(part.contains(minute) != rest.contains(minute));
    }
}

#[test]
fn a_watch_passes_events_on_before_what_alerts_say_of_them() {
    use std::sync::{Arc, Mutex};
    let kept = Arc::<Mutex<Vec<Event>>>::default();
    let keep = {
        let kept = Arc::clone(&kept);
        move |event| kept.lock().expect("no panic").push(event)
    };
    let rules = alerts("[alert.a]\non = \"entered\"\n");
    let watch = super::Watch::new(&rules, &[], crate::runtime::Clock::start(), keep);
    watch.event(entered(0.0, 1));
    watch.look(&Measured::default());
    assert_eq!(watch.open(), ["a"]);
    watch.event(left(0.0, 1));
    let kinds: Vec<_> = kept.lock().expect("no panic").iter().map(|e| e.what.kind()).collect();
    assert_eq!(kinds, ["entered", "alert_raised", "left", "alert_cleared"]);
}
