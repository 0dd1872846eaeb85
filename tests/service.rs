//! The systemd unit as systemd itself judges it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the threat model allows: cameras and decoders, hardly anything else. A Jetson may also make code while it runs.
const EXPOSURE_AT_MOST: f64 = 1.5;
const JETSON_EXPOSURE_AT_MOST: f64 = 2.0;
/// Two rights that the package does not give by itself (docs/budget.md): to write below /sys, and to be root without capabilities there.
const GOVERNOR_EXPOSURE_AT_MOST: f64 = 2.0;
const NVPMODEL_EXPOSURE_AT_MOST: f64 = 2.2;

/// The unit alone, then with the drop-ins that a board may have, together where a board may have them together.
const WAYS_TO_RUN: [(&[&str], f64); 9] = [
    (&[], EXPOSURE_AT_MOST),
    (&["raspberry-pi.conf"], EXPOSURE_AT_MOST),
    (&["jetson.conf"], JETSON_EXPOSURE_AT_MOST),
    (&["cpu-governor.conf"], GOVERNOR_EXPOSURE_AT_MOST),
    (&["raspberry-pi.conf", "cpu-governor.conf"], GOVERNOR_EXPOSURE_AT_MOST),
    (&["jetson.conf", "cpu-governor.conf"], GOVERNOR_EXPOSURE_AT_MOST),
    (&["nvpmodel.conf"], NVPMODEL_EXPOSURE_AT_MOST),
    (&["jetson.conf", "nvpmodel.conf"], NVPMODEL_EXPOSURE_AT_MOST),
    (&["jetson.conf", "nvpmodel.conf", "cpu-governor.conf"], NVPMODEL_EXPOSURE_AT_MOST),
];

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/peregrine.service")
}

/// The unit with these drop-ins, in a folder of its own, its binary replaced by one that is surely there.
fn laid_out(drop_ins: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(unit()).expect("the unit");
    let path = dir.path().join("peregrine.service");
    std::fs::write(&path, text.replace("/usr/bin/peregrine", "/bin/true")).expect("written");
    let folder = dir.path().join("peregrine.service.d");
    std::fs::create_dir(&folder).expect("made");
    for name in drop_ins {
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
    for (drop_ins, _) in WAYS_TO_RUN {
        let (_dir, path) = laid_out(drop_ins);
        let Some(output) = analyze(&["verify", "--man=no", "--recursive-errors=no"], &path) else { return };
        // A misspelt key ends with exit code 0 and a line.
        assert!(output.status.success() && said(&output).is_empty(), "{drop_ins:?}: {}", said(&output));
    }
}

#[test]
fn the_unit_is_hardened_as_far_as_cameras_allow() {
    for (drop_ins, at_most) in WAYS_TO_RUN {
        let (_dir, path) = laid_out(drop_ins);
        let Some(output) = analyze(&["security", "--offline=true", "--no-pager"], &path) else { return };
        let said = said(&output);
        let exposure =
            said.lines().find_map(|l| l.split("peregrine.service: ").nth(1)?.split(' ').next()?.parse::<f64>().ok());
        assert!(exposure.is_some_and(|e| e <= at_most), "{drop_ins:?}: {exposure:?}\n{said}");
    }
}

/// A program is refused what is not named here, and fails with words that say nothing of this file.
#[test]
fn a_jetsons_drop_in_names_what_cuda_and_the_decoders_open() {
    let text = std::fs::read_to_string(unit().with_file_name("jetson.conf")).expect("the drop-in");
    let allowed: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("DeviceAllow=")?.strip_suffix(" rw")).collect();
    for group in
        ["char-*gpu*", "char-*.ga10b", "/dev/nvmap", "char-nvhost*", "char-host1x*", "char-nvsciipc*", "char-nvidia*"]
    {
        assert!(allowed.contains(&group), "{group} is missing");
    }
}

#[test]
fn the_service_is_watched_and_not_restarted_on_a_wrong_configuration() {
    let text = std::fs::read_to_string(unit()).expect("the unit");
    for line in ["Type=notify", "WatchdogSec=15", "RestartPreventExitStatus=64 78", "TimeoutStopSec=10"] {
        assert!(text.lines().any(|l| l == line), "{line} is missing");
    }
}
