//! A budget through the whole daemon: its board stands as a tree of files, and gets as hot as the daemon works.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use peregrine::runtime::Clock;

use super::config;
use super::end_to_end::validate;
use super::telemetry::board;
use crate::support::{Broker, Daemon, Message, PATIENCE, Subscriber, comes, data};

/// The time between two steps, half a minute in real life; every other time here is a multiple of it.
const STEP: Duration = Duration::from_secs(1);
const LIMIT: f64 = 60.0;

fn budget(more: &str) -> String {
    format!("[budget]\nmax_celsius = {LIMIT}\nstep_secs = 1\nhold_secs = 2\n{more}\n")
}

pub(super) fn on_tree(tree: &Path) -> String {
    format!("[monitor]\nevery_secs = 1\nsysfs_root = \"{}\"\n", tree.display())
}

/// Two cameras, one of which matters less.
fn cameras() -> String {
    ["low", "high"]
        .map(|p| {
            format!("[camera.{p}]\nsource = \"test:ball\"\nwidth = 320\nheight = 240\nfps = 12\npriority = \"{p}\"\n")
        })
        .concat()
}

/// What a file of a board says from now on. One that is half written is read by nobody.
pub(super) fn says(tree: &Path, file: &str, number: f64) {
    let new = tree.join("new");
    std::fs::write(&new, format!("{number:.0}\n")).expect("written");
    std::fs::rename(&new, tree.join(file)).expect("in its place");
}

/// What the board shows as its temperature.
fn heat(tree: &Path, celsius: f64) {
    says(tree, "sys/class/thermal/thermal_zone0/temp", celsius * 1000.0);
}

/// Every file of a tree but the temperature.
fn files(tree: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")) {
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else if !path.ends_with("thermal_zone0/temp") {
                let bytes = std::fs::read(&path).unwrap_or_default();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Gives the processors of a board governors to choose from, the owner's own among them.
fn governors(tree: &Path) -> PathBuf {
    let policy = tree.join("sys/devices/system/cpu/cpufreq/policy0");
    std::fs::create_dir_all(&policy).expect("made");
    std::fs::write(policy.join("scaling_available_governors"), "performance powersave schedutil\n").expect("written");
    let file = policy.join("scaling_governor");
    std::fs::write(&file, "schedutil\n").expect("written");
    file
}

/// A body with one time constant, which the daemon's own work warms.
struct Plant<'a> {
    daemon: &'a Daemon,
    tree: &'a Path,
    clock: Clock,
    air: f64,
    celsius: f64,
    /// Degrees for each frame a second that is analysed, in the end.
    gain: f64,
    last: (Duration, f64),
}

/// Seconds after which two thirds of a change are there: four steps' time, two minutes in real life.
const TAU_SECS: f64 = 4.0;
/// How often it is computed.
const TICK: Duration = Duration::from_millis(100);

impl<'a> Plant<'a> {
    /// So that all of the work would bring it to this temperature. How much that is on this machine is measured.
    fn new(daemon: &'a Daemon, tree: &'a Path, at_full_load: f64) -> Self {
        let air = 25.0;
        let mut this =
            Self { daemon, tree, clock: Clock::start(), air, celsius: air, gain: 0.0, last: (Duration::ZERO, 0.0) };
        comes("both cameras", || this.analysed("low") > 10.0 && this.analysed("high") > 10.0);
        let (began, before) = (this.clock.mono(), this.all());
        comes("more frames", || this.all() > before + 60.0);
        let full = (this.all() - before) / (this.clock.mono() - began).as_secs_f64();
        this.gain = (at_full_load - air) / full;
        this.last = (this.clock.mono(), this.all());
        this
    }

    fn analysed(&self, camera: &str) -> f64 {
        self.daemon
            .metric(&format!("peregrine_camera_frames_analysed_total{{camera=\"{camera}\"}}"))
            .unwrap_or_default()
    }

    fn all(&self) -> f64 {
        self.analysed("low") + self.analysed("high")
    }

    /// Time passes, until this holds of the temperature or so much of it is over; gives the highest temperature.
    fn runs(&mut self, at_most: Duration, mut until: impl FnMut(&Self) -> bool) -> f64 {
        let (_never, ticks) = channel::<()>();
        let (ends, mut hottest) = (self.clock.mono() + at_most, f64::MIN);
        while self.clock.mono() < ends && !until(self) {
            // Heat takes its time, which nobody announces.
            let _ = ticks.recv_timeout(TICK);
            let (now, frames) = (self.clock.mono(), self.all());
            let secs = (now - self.last.0).as_secs_f64();
            let end = self.air + self.gain * (frames - self.last.1) / secs;
            self.celsius += (end - self.celsius) * (secs / TAU_SECS).min(1.0);
            self.last = (now, frames);
            heat(self.tree, self.celsius);
            hottest = hottest.max(self.celsius);
        }
        hottest
    }
}

pub(super) fn is_step(message: &Message) -> bool {
    message.topic == "peregrine/box/events" && message.body["event"] == "budget_step"
}

fn steps(messages: &mut Subscriber) -> Vec<serde_json::Value> {
    messages.all().into_iter().filter(is_step).map(|m| m.body).collect()
}

#[test]
fn a_board_that_its_own_work_heats_is_kept_below_its_limit_and_all_comes_back_when_it_cools() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/events");
    let tree = board("pi4");
    governors(tree.path());
    heat(tree.path(), 25.0);
    let untouched = files(tree.path());
    let text = config(&broker, &(budget("order = [\"rates\"]") + &on_tree(tree.path()) + &cameras()));
    let mut daemon = Daemon::start(&text);
    daemon.running();
    daemon.process.line("the ladder", |l| {
        l.contains("to keep the budget: rates low 1/2, rates low 1/4, rates high 1/2, rates high 1/4")
    });
    assert_eq!(daemon.metric("peregrine_budget_levels"), Some(4.0));

    // With all cameras at their rates it would end at 75 °C; the camera of low priority at a quarter leaves it at 56 °C.
    let mut plant = Plant::new(&daemon, tree.path(), 75.0);
    let level = |plant: &Plant<'_>| plant.daemon.metric("peregrine_budget_level").unwrap_or_default();
    plant.runs(PATIENCE, |plant| level(plant) > 0.0);
    assert!(plant.celsius > LIMIT - 8.0, "something was given up at {:.1} °C already", plant.celsius);
    // At rest: for eight steps' time nothing was given up or back.
    let mut at_rest = (plant.clock.mono(), level(&plant));
    plant.runs(PATIENCE, |plant| {
        let (now, level) = (plant.clock.mono(), level(plant));
        if level != at_rest.1 {
            at_rest = (now, level);
        }
        now - at_rest.0 > STEP * 8
    });
    let before = steps(&mut messages).len();
    let hottest = plant.runs(STEP * 10, |_| false);
    // A level that does not fit may be tried once, which costs less than a degree.
    assert!(
        hottest < LIMIT + 1.0 && plant.celsius < LIMIT,
        "{hottest:.1} °C after it had settled: {:#?}",
        steps(&mut messages)
    );
    let later = steps(&mut messages).len() - before;
    assert!(later <= 2, "{later} steps at rest: {:#?}", steps(&mut messages));
    assert!(level(&plant) > 0.0 && level(&plant) < 4.0);

    plant.air = -20.0;
    plant.runs(PATIENCE, |plant| level(plant) == 0.0);
    messages.first("the last step", |m| is_step(m) && m.body["level"] == 0);
    let told = steps(&mut messages);
    let mut level = 0;
    for step in &told {
        let now = step["level"].as_i64().expect("a level");
        assert_eq!(now - level, if step["step"] == "down" { 1 } else { -1 }, "{told:#?}");
        assert!(
            step["readings"]["celsius"].is_f64() && step["reason"].as_str().is_some_and(|r| !r.is_empty()),
            "{step}"
        );
        level = now;
    }
    assert_eq!(told[0]["rung"], "rates low 1/2");
    let at: Vec<jiff::Timestamp> =
        told.iter().map(|s| s["at"].as_str().expect("a time").parse().expect("RFC 3339")).collect();
    for three in at.windows(3) {
        let took = three[2].duration_since(three[0]).unsigned_abs();
        assert!(took > STEP * 2 - STEP / 10, "three steps within {took:?}: {told:#?}");
    }
    validate(&messages.first("a step", is_step));
    let (down, up) =
        (told.iter().filter(|s| s["step"] == "down").count(), told.iter().filter(|s| s["step"] == "up").count());
    let said = daemon.process.output();
    assert_eq!((said.matches("is given up, level").count(), said.matches("is given back, level").count()), (down, up));
    assert_eq!(daemon.get("/readyz").0, 200);
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.ends_within(Duration::from_secs(5)).code(), Some(0), "{}", daemon.process.output());
    assert!(files(tree.path()) == untouched, "nothing of the system may be set, and something was");
}

#[test]
fn what_may_be_set_of_the_system_is_set_and_put_back_at_the_end() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/box/events");
    let tree = board("orin-nano");
    let governor = governors(tree.path());
    let status = tree.path().join("var/lib/nvpmodel/status");
    nvpmodel(tree.path(), &status);
    let before = files(tree.path());
    heat(tree.path(), 90.0);
    let allowed = "order = [\"nvpmodel\", \"cpu_governor\"]\nmay_set = [\"nvpmodel\", \"cpu_governor\"]";
    let mut daemon = Daemon::start(&config(&broker, &(budget(allowed) + &on_tree(tree.path()))));
    daemon.running();
    for (level, rung) in [(1, "nvpmodel 25W"), (2, "nvpmodel 15W"), (3, "cpu_governor powersave")] {
        messages.next(rung, |m| is_step(m) && m.body["level"] == level && m.body["rung"] == rung);
    }
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    assert_eq!((read(&status).as_str(), read(&governor).as_str()), ("pmode:0000", "powersave"));
    daemon.process.line("that this is all", |l| l.contains("max_celsius: everything is given up"));
    daemon.process.signal("TERM");
    assert_eq!(daemon.process.ends_within(Duration::from_secs(5)).code(), Some(0), "{}", daemon.process.output());
    assert_eq!((read(&status).as_str(), read(&governor).as_str()), ("pmode:0002", "schedutil"));
    let end = messages.first("the end", |m| is_step(m) && m.body["level"] == 0);
    assert_eq!(end.body["reason"], "the daemon stops", "nobody shall believe in level 3 after that");
    let changed: Vec<_> =
        files(tree.path()).into_iter().filter(|(path, bytes)| before.get(path) != Some(bytes)).collect();
    let names: Vec<_> = changed.iter().map(|(path, _)| path.file_name().and_then(|n| n.to_str())).collect();
    // The same settings, as whoever wrote them last ends a line.
    assert!(names.iter().all(|name| [Some("status"), Some("scaling_governor")].contains(name)), "{names:?}");
}

/// A program that does as NVIDIA's does. Written by another process: what this one writes may be open in a child of another test.
fn nvpmodel(tree: &Path, status: &Path) {
    let program = tree.join("usr/sbin/nvpmodel");
    std::fs::create_dir_all(program.parent().expect("below the tree")).expect("made");
    let does = format!("printf 'pmode:%04d' \"$2\" > {}", status.display());
    let script = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\"; chmod +x \"$2\"";
    let made = Command::new("sh").args(["-c", script, "sh", &does]).arg(program).status().expect("sh runs");
    assert!(made.success());
}

/// A folder of models in which the tiny detector stands in two sizes, by their names.
fn models() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let sha = "0".repeat(64);
    let mut manifest = String::new();
    for name in ["tiny_64", "tiny_32"] {
        std::fs::copy(data("tiny_detector.onnx"), dir.path().join(format!("{name}.onnx"))).expect("copied");
        manifest += &format!(
            "[model.{name}]\nfile = \"{name}.onnx\"\nsha256 = \"{sha}\"\nsize_bytes = 1\nlicence = \"MIT\"\n\
             kind = \"detector\"\nhead = \"yolov8\"\nlabels = [\"person\", \"car\"]\n"
        );
    }
    std::fs::write(dir.path().join("manifest.toml"), manifest).expect("written");
    dir
}

/// The detector's model by the last word about it.
fn runs(messages: &mut Subscriber) -> Option<String> {
    let is_well = |m: &Message| m.topic == "peregrine/box/engine/detect" && m.body["state"] == "ok";
    let last = messages.all().into_iter().rfind(is_well)?;
    Some(last.body["model"].as_str()?.to_owned())
}

#[test]
fn a_smaller_model_takes_over_while_frames_go_on_and_a_reload_without_a_budget_brings_all_back() {
    let broker = Broker::start();
    let mut messages = broker.subscribe("peregrine/#");
    let (tree, models) = (board("pi4"), models());
    heat(tree.path(), 90.0);
    let state = tempfile::tempdir().expect("a folder");
    let paths = format!("[paths]\nstate = \"{}\"\nmodels = \"{}\"\n", state.path().display(), models.path().display());
    let common = config(&broker, &(paths + &on_tree(tree.path()) + &cameras()));
    let common = common.replace(&data("tiny_detector.onnx").display().to_string(), "tiny_64");
    let mut daemon = Daemon::start(&(common.clone() + &budget("order = [\"model\"]")));
    daemon.running();
    messages.first("the step", |m| is_step(m) && m.body["rung"] == "model tiny_32");
    comes("the smaller model", || runs(&mut messages) == Some("tiny_32".to_owned()));
    let frame = |m: &Message| m.topic == "peregrine/box/camera/high/detections";
    let seq = messages.next("a frame", frame).body["seq"].as_u64();
    messages.next("a later frame", |m| frame(m) && m.body["seq"].as_u64() > seq);
    daemon.write(&common);
    daemon.process.signal("HUP");
    let back = messages.next("the end of the budget", |m| is_step(m) && m.body["level"] == 0);
    assert!(back.body["reason"].as_str().is_some_and(|r| r.contains("configuration")), "{}", back.body);
    comes("the configured model", || runs(&mut messages) == Some("tiny_64".to_owned()));
    assert_eq!(daemon.metric("peregrine_budget_levels"), Some(0.0));
    let failed = daemon.metric("peregrine_camera_frames_failed_total{camera=\"high\"}");
    assert_eq!(failed, Some(0.0), "no frame was lost for it");
}
