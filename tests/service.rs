//! The systemd unit as systemd itself judges it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the threat model allows: cameras and decoders, hardly anything else. A Jetson may also make code while it runs.
const EXPOSURE_AT_MOST: f64 = 1.5;
const JETSON_EXPOSURE_AT_MOST: f64 = 2.0;

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/peregrine.service")
}

/// The unit alone or with a drop-in, in a folder of its own, its binary replaced by one that is surely there.
fn laid_out(drop_in: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(unit()).expect("the unit");
    let path = dir.path().join("peregrine.service");
    std::fs::write(&path, text.replace("/usr/bin/peregrine", "/bin/true")).expect("written");
    if let Some(name) = drop_in {
        let folder = dir.path().join("peregrine.service.d");
        std::fs::create_dir(&folder).expect("made");
        std::fs::copy(unit().with_file_name(name), folder.join(name)).expect("copied");
    }
    (dir, path)
}

fn analyze(args: &[&str], unit: &Path) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(args).arg(unit).output();
    if output.is_err() {
        eprintln!("skipped: systemd-analyze is not installed (Debian package systemd)");
    }
    output.ok()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    for drop_in in
        [None, Some("jetson.conf"), Some("raspberry-pi.conf"), Some("cpu-governor.conf"), Some("nvpmodel.conf")]
    {
        let (_dir, path) = laid_out(drop_in);
        let Some(output) = analyze(&["verify", "--man=no", "--recursive-errors=no"], &path) else { return };
        // A misspelt key ends with exit code 0 and a line.
        assert!(output.status.success() && said(&output).is_empty(), "{drop_in:?}: {}", said(&output));
    }
}

#[test]
fn the_unit_is_hardened_as_far_as_cameras_allow() {
    for (drop_in, at_most) in [
        (None, EXPOSURE_AT_MOST),
        (Some("raspberry-pi.conf"), EXPOSURE_AT_MOST),
        (Some("jetson.conf"), JETSON_EXPOSURE_AT_MOST),
    ] {
        let (_dir, path) = laid_out(drop_in);
        let Some(output) = analyze(&["security", "--offline=true", "--no-pager"], &path) else { return };
        let said = said(&output);
        let exposure =
            said.lines().find_map(|l| l.split("peregrine.service: ").nth(1)?.split(' ').next()?.parse::<f64>().ok());
        assert!(exposure.is_some_and(|e| e <= at_most), "{drop_in:?}: {exposure:?}\n{said}");
    }
}

#[test]
fn the_service_is_watched_and_not_restarted_on_a_wrong_configuration() {
    let text = std::fs::read_to_string(unit()).expect("the unit");
    for line in ["Type=notify", "WatchdogSec=15", "RestartPreventExitStatus=64 78", "TimeoutStopSec=10"] {
        assert!(text.lines().any(|l| l == line), "{line} is missing");
    }
}
