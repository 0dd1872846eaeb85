//! The soak's parts that need no hour: its own tests, and the coded clip through the real pipeline, as `scripts/soak-events.sh` relies on.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::peregrine;

/// The soak's folder; its scripts need no package for what is run here.
const SOAK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/soak");
const DETECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/coded_detector.onnx");

fn python(args: &[&str]) -> Output {
    Command::new("python3").arg("-B").args(args).current_dir(SOAK).output().expect("python3 runs")
}

fn must_succeed(out: &Output) {
    let told = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{told}");
}

fn replayed(dir: &Path, clip: &str) -> String {
    let path = |name: &str| dir.join(name).display().to_string();
    let (config, messages) = (path("replay.toml"), path("messages.jsonl"));
    // More than the clip's frames a second: every frame is told.
    let text = format!(
        "[detect]\nmodel = \"{DETECTOR}\"\nengine = \"tract\"\nconfidence = 0.4\n[publish]\ndetections_hz = 120.0\n"
    );
    std::fs::write(&config, text).expect("written");
    must_succeed(&peregrine(&["replay", clip, "--config", &config, "--out", &messages]));
    messages
}

#[test]
fn the_soak_finds_each_mistake_in_what_it_is_told() {
    must_succeed(&python(&["-m", "unittest", "-q", "test_soak"]));
}

#[test]
fn the_measurement_of_many_cameras_sees_one_that_stops_for_good() {
    let folder = Path::new(SOAK).with_file_name("cameras");
    let out =
        Command::new("python3").args(["-B", "-m", "unittest", "-q", "test_measured"]).current_dir(folder).output();
    must_succeed(&out.expect("python3 runs"));
}

#[test]
fn every_frame_of_the_coded_clip_shows_what_its_script_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let clip = dir.path().join("coded.avi").display().to_string();
    must_succeed(&python(&["clip.py", &clip]));
    let messages = replayed(dir.path(), &clip);
    must_succeed(&python(&["preflight.py", &messages]));
}
