//! What classifiers say of a track, when they say it, and under which of its numbers.

use super::*;

/// A step of a track that goes on with another one.
fn heir(secs: f64, of: u64, phase: TrackPhase, labels: &[(&str, &str)]) -> Report {
    let Report::Track(step) = track(secs, 99, phase, labels) else { unreachable!("a track's step") };
    Report::Track(TrackEvent { known_as: uid(of), ..step })
}

#[test]
fn who_is_lost_and_found_under_another_number_keeps_the_alert_open_until_they_leave() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\n");
    assert_eq!(feed(&mut alerts, &entered(0.0, 1)), ["+a"]);
    assert_eq!(told(&alerts.report(&track(5.0, 1, TrackPhase::End, &[]), at(5.0))), NOTHING);
    assert_eq!(told(&alerts.report(&heir(6.0, 1, TrackPhase::New, &[]), at(6.0))), NOTHING);
    assert_eq!(told(&alerts.tick(at(300.0))), NOTHING, "somebody is still there");
    assert_eq!(feed(&mut alerts, &left(301.0, 1)), ["-a"]);
}

#[test]
fn labels_under_another_number_count_for_the_same_thing() {
    let mut alerts = watching("[alert.a]\non = \"entered\"\nattributes = { \"vehicle.color\" = \"red\" }\n");
    assert_eq!(feed(&mut alerts, &entered(0.0, 1)), NOTHING);
    let red = [("vehicle.color", "red")];
    assert_eq!(told(&alerts.report(&heir(2.0, 1, TrackPhase::Update, &red), at(2.0))), ["+a"]);
}

#[test]
fn a_colour_that_is_known_later_than_the_event_still_counts() {
    let rule = "[alert.a]\non = \"entered\"\nattributes = { \"vehicle.color\" = \"red\" }\n";
    let mut alerts = watching(rule);
    assert_eq!(feed(&mut alerts, &entered(0.0, 1)), NOTHING);
    assert_eq!(feed(&mut alerts, &entered(0.0, 2)), NOTHING);
    let blue = track(1.0, 1, TrackPhase::Update, &[("vehicle.color", "blue"), ("vehicle.type", "red")]);
    assert_eq!(told(&alerts.report(&blue, at(1.0))), NOTHING);
    let red = track(2.0, 1, TrackPhase::Update, &[("vehicle.color", "red")]);
    let raised = alerts.report(&red, at(2.0));
    assert_eq!(told(&raised), ["+a"]);
    assert_eq!(raised[0].subject.as_ref().expect("a track").labels[0].value, "red");
    assert_eq!(told(&alerts.report(&red, at(2.5))), NOTHING, "told once");
    assert_eq!(feed(&mut alerts, &left(3.0, 2)), NOTHING, "the other one was never part of it");
    assert_eq!(feed(&mut alerts, &left(3.0, 1)), ["-a"]);
}

#[test]
fn a_colour_that_is_known_late_counts_at_the_time_of_its_event() {
    let rule = "[alert.a]\non = \"crossed\"\nbetween = [\"22:00\", \"06:00\"]\n\
                attributes = { \"vehicle.color\" = \"red\" }\n";
    let red = |secs| track(secs, 1, TrackPhase::Update, &[("vehicle.color", "red")]);
    let mut night = watching(rule);
    assert_eq!(told(&night.event(&crossed(0.0, 1), at_minute(0.0, 6 * 60 - 1))), NOTHING);
    assert_eq!(told(&night.report(&red(3.0), at_minute(3.0, 6 * 60))), ["+a"], "it crossed at night");
    let mut day = watching(rule);
    assert_eq!(told(&day.event(&crossed(0.0, 1), at_minute(0.0, 22 * 60 - 1))), NOTHING);
    assert_eq!(told(&day.report(&red(3.0), at_minute(3.0, 22 * 60))), NOTHING, "it crossed by day");
}

#[test]
fn who_left_or_ended_before_its_colour_was_known_raises_nothing() {
    let rule = "[alert.a]\non = \"entered\"\nattributes = { \"vehicle.color\" = \"red\" }\n";
    let red = |secs| track(secs, 1, TrackPhase::Update, &[("vehicle.color", "red")]);
    let mut alerts = watching(rule);
    feed(&mut alerts, &entered(0.0, 1));
    feed(&mut alerts, &left(1.0, 1));
    assert_eq!(told(&alerts.report(&red(2.0), at(2.0))), NOTHING);
    feed(&mut alerts, &entered(3.0, 1));
    alerts.report(&track(4.0, 1, TrackPhase::End, &[]), at(4.0));
    assert_eq!(told(&alerts.report(&red(5.0), at(5.0))), NOTHING);
}
