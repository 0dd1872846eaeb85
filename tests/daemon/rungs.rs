//! The rungs of a budget that need no heat: watts that are over their limit, messages that come late, and what that does to the looks and the
//! classifiers of a real daemon. Temperature, models and what is set of the system: `budget`.

use std::path::Path;

use super::budget::{is_step, on_tree, says};
use super::telemetry::board;
use super::{config, test_camera};
use crate::support::{Broker, Daemon, Message, comes, data, shared};

/// A board that draws so much at its 4.984 V.
fn draws(tree: &Path, milliamperes: f64) {
    let sensor = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/curr1_input";
    says(tree, sensor, milliamperes);
}

/// Of the next so many frames of the camera: the part that was looked at.
fn looked_at(daemon: &Daemon, frames: f64) -> f64 {
    let count = |name: &str| {
        daemon.metric(&format!("peregrine_camera_frames_{name}_total{{camera=\"front\"}}")).unwrap_or_default()
    };
    let both = || (count("analysed"), count("coasted"));
    let (looks, coasted) = both();
    let mut now = (looks, coasted);
    comes("more frames", || {
        now = both();
        now.0 + now.1 >= looks + coasted + frames
    });
    (now.0 - looks) / (now.0 + now.1 - looks - coasted)
}

#[test]
fn watts_over_their_limit_have_quiet_cameras_looked_at_less_and_all_is_as_before_below_it() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/events");
    let tree = board("orin-nano");
    draws(tree.path(), 960.0);
    let budget = "[budget]\nmax_watts = 6.0\nstep_secs = 1\nhold_secs = 2\norder = [\"interval\"]\n";
    let mut daemon =
        Daemon::start(&config(&broker, &(budget.to_owned() + &on_tree(tree.path()) + &test_camera("front"))));
    daemon.running();
    // The tiny detector sees the same two things in each frame: nothing is quieter. Without a budget each frame is looked at.
    assert!(looked_at(&daemon, 20.0) > 0.99);

    draws(tree.path(), 2000.0);
    for (level, rung) in [(1, "interval x2"), (2, "interval x4")] {
        let step = messages.next(rung, |m| is_step(m) && m.body["level"] == level).body;
        assert_eq!((&step["rung"], &step["step"]), (&rung.into(), &"down".into()));
        assert!(step["reason"].as_str().is_some_and(|r| r.contains(" W") && r.contains("limit 6")), "{step}");
        assert!(step["readings"]["watts"].as_f64().is_some_and(|w| w > 6.0), "{step}");
    }
    let part = looked_at(&daemon, 60.0);
    assert!((0.15..0.4).contains(&part), "{part} of all frames were looked at, not one in four");

    draws(tree.path(), 960.0);
    messages.next("all given back", |m| is_step(m) && m.body["level"] == 0);
    comes("a look at each frame", || looked_at(&daemon, 20.0) > 0.99);
}

fn of_tracks(message: &Message, phase: &str) -> bool {
    message.topic.ends_with("/tracks") && message.body["track"]["phase"] == phase
}

fn is_labelled(message: &Message) -> bool {
    message.body["track"]["labels"].as_array().is_some_and(|labels| !labels.is_empty())
}

#[test]
fn messages_that_come_late_take_the_classifier_off_and_a_reload_without_that_target_brings_it_back() {
    let (Some(clip), Some(model)) = (shared("data/video/vtest.avi"), shared("models/yolov8n_320.onnx")) else { return };
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let camera = format!(
        "classes = [\"person\"]\n[track]\nmax_age_frames = 2\n[camera.street]\nsource = \"file://{}\"\n\
         [classify.clothes]\nmodel = \"{}\"\nclasses = [\"person\"]\nmin_size_px = 1\n",
        clip.display(),
        data("tiny_classifier.onnx").display()
    );
    let without = config(&broker, &camera)
        .replace(&data("tiny_detector.onnx").display().to_string(), &model.display().to_string());
    // A look takes longer than that by itself.
    let target = "[budget]\ntarget_p99_ms = 10.0\nstep_secs = 1\nhold_secs = 2\norder = [\"classifier\"]\n";
    let mut daemon = Daemon::start(&without);
    daemon.running();
    messages.next("somebody with a label", |m| of_tracks(m, "end") && is_labelled(m));
    let to = |daemon: &Daemon, text: &str| {
        daemon.write(text);
        daemon.process.signal("HUP");
    };
    to(&daemon, &(without.clone() + target));
    let step = messages.next("the step", |m| is_step(m) && m.body["level"] == 1).body;
    assert_eq!(step["rung"], "classifier off", "{step}");
    assert!(step["readings"]["p99_ms"].as_f64().is_some_and(|ms| ms > 10.0), "{step}");
    // The look that was under way may be one with the classifier: who came with it is not counted.
    messages.next("somebody new", |m| of_tracks(m, "new"));
    for _ in 0..3 {
        let id = messages.next("somebody new", |m| of_tracks(m, "new")).body["track"]["id"].clone();
        let end = messages.next("their end", |m| of_tracks(m, "end") && m.body["track"]["id"] == id);
        assert!(!is_labelled(&end), "nobody was to look a second time: {}", end.body);
    }
    to(&daemon, &without);
    messages.next("the end of the budget", |m| is_step(m) && m.body["level"] == 0);
    let newcomer = messages.next("somebody new", |m| of_tracks(m, "new")).body["track"]["id"].clone();
    let is_newer = |m: &Message| m.body["track"]["id"].as_u64() >= newcomer.as_u64();
    messages.next("somebody who is classified again", |m| of_tracks(m, "end") && is_newer(m) && is_labelled(m));
}
