//! The rungs of a budget that need no heat: watts that are over their limit, messages that come late, and what that does to the looks and the
//! classifiers of a real daemon. Temperature, models and what is set of the system: `budget`.

use std::path::Path;

use super::budget::is_step;
use super::telemetry::board;
use super::{config, test_camera};
use crate::support::{Broker, Daemon, Message, Subscriber, comes, data, shared};

/// A board that draws so many milliamperes at its 4.984 V.
fn draws(tree: &Path, milliamperes: u32) {
    let sensor = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/curr1_input";
    let new = tree.join("new");
    std::fs::write(&new, format!("{milliamperes}\n")).expect("written");
    std::fs::rename(&new, tree.join(sensor)).expect("in its place");
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
    draws(tree.path(), 960);
    let budget = "[budget]\nmax_watts = 6.0\nstep_secs = 1\nhold_secs = 2\norder = [\"interval\"]\n";
    let sensors = format!("[monitor]\nevery_secs = 1\nsysfs_root = \"{}\"\n", tree.path().display());
    let mut daemon = Daemon::start(&config(&broker, &(budget.to_owned() + &sensors + &test_camera("front"))));
    daemon.running();
    // The tiny detector sees the same two things in each frame: nothing is quieter. Without a budget each frame is looked at.
    assert!(looked_at(&daemon, 20.0) > 0.99);

    draws(tree.path(), 2000);
    for (level, rung) in [(1, "interval x2"), (2, "interval x4")] {
        let step = messages.next(rung, |m| is_step(m) && m.body["level"] == level).body;
        assert_eq!((&step["rung"], &step["step"]), (&rung.into(), &"down".into()));
        assert!(step["reason"].as_str().is_some_and(|r| r.contains("W")), "{step}");
        assert!(step["readings"]["watts"].as_f64().is_some_and(|w| w > 6.0), "{step}");
    }
    let part = looked_at(&daemon, 60.0);
    assert!((0.15..0.4).contains(&part), "{part} of all frames were looked at, not one in four");

    draws(tree.path(), 960);
    messages.next("all given back", |m| is_step(m) && m.body["level"] == 0);
    // The look that was due when it came back is the last that was left out.
    assert!(looked_at(&daemon, 40.0) > 0.9);
}

/// The end of somebody who comes from now on.
fn comes_and_goes(messages: &mut Subscriber) -> serde_json::Value {
    let track = |m: &Message, phase: &str| m.topic.ends_with("/tracks") && m.body["track"]["phase"] == phase;
    messages.all();
    let id = messages.next("somebody new", |m| track(m, "new")).body["track"]["id"].clone();
    messages.next("their end", |m| track(m, "end") && m.body["track"]["id"] == id).body["track"].clone()
}

fn is_labelled(track: &serde_json::Value) -> bool {
    track["labels"].as_array().is_some_and(|labels| !labels.is_empty())
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
    let mut daemon = Daemon::start(&(without.clone() + target));
    daemon.running();
    let step = messages.first("the step", |m| is_step(m) && m.body["level"] == 1).body;
    assert_eq!(step["rung"], "classifier off", "{step}");
    assert!(step["readings"]["p99_ms"].as_f64().is_some_and(|ms| ms > 10.0), "{step}");
    for _ in 0..3 {
        let track = comes_and_goes(&mut messages);
        assert!(!is_labelled(&track), "nobody looks at them a second time: {track}");
    }
    daemon.write(&without);
    daemon.process.signal("HUP");
    messages.first("the end of the budget", |m| is_step(m) && m.body["level"] == 0);
    comes("somebody who is classified again", || is_labelled(&comes_and_goes(&mut messages)));
}
