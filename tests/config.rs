//! The configuration as an owner meets it: the command, its exit code, its words.

use std::path::Path;
use std::process::{Command, Output};

fn check(text: &str, more: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("peregrine.toml");
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_peregrine"));
    command.env_remove("CREDENTIALS_DIRECTORY").arg("check").arg("--config").arg(&file).args(more);
    command.output().expect("the command runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for command in ["model list", "probe", "check --print --config config/default.toml", "--help"] {
        let script = format!("set -o pipefail; {} {command} | true", env!("CARGO_BIN_EXE_peregrine"));
        let root = env!("CARGO_MANIFEST_DIR");
        let out =
            std::process::Command::new("bash").args(["-c", &script]).current_dir(root).output().expect("bash runs");
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_wrong_file_ends_with_78_and_every_error_with_its_key_path() {
    let output =
        check("[camera.front]\nsource = \"ftp://u:hunter2@h/\"\nfps = 0\n[mqt]\n[api]\nlisten = \"8420\"\n", &[]);
    assert_eq!(output.status.code(), Some(78));
    let told = err(&output);
    for part in [
        "4 errors",
        "camera.front.source",
        "camera.front.fps",
        "mqt: unknown key, did you mean \"mqtt\"?",
        "api.listen",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_right_file_ends_with_0_and_is_printed_without_its_secrets() {
    let text = "[camera.front]\nsource = \"rtsp://viewer:hunter2@192.0.2.1/s\"\n";
    let output = check(text, &["--print"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let printed = out(&output);
    assert!(printed.contains("[camera.front]") && printed.contains("password = \"[hidden]\""), "{printed}");
    assert!(printed.contains("source = \"rtsp://192.0.2.1/s\""), "{printed}");
    assert!(!(printed + &err(&output)).contains("hunter2"));
    let table: toml::Table = out(&output).parse().expect("what is printed is TOML");
    assert_eq!(table["ingest"]["stall_ms"].as_integer(), Some(3000));
}

#[test]
fn every_file_that_is_shipped_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).expect("config/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let output = check(&std::fs::read_to_string(&path).expect("text"), &[]);
            assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), err(&output));
            checked += 1;
        }
    }
    assert!(checked >= 6, "default.toml and five profiles");
}

#[test]
fn a_missing_file_is_named_and_an_unknown_option_is_a_usage_error() {
    let command = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_peregrine")).args(args).output().expect("runs");
    let output = command(&["check", "--config", "/nonexistent/p.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(err(&output).contains("/nonexistent/p.toml"));
    assert_eq!(command(&["check", "--confg", "x"]).status.code(), Some(64));
}

#[test]
fn probe_tells_about_the_device_as_a_table_and_as_json() {
    let probe =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_peregrine")).arg("probe").args(args).output().expect("runs");
    assert!(out(&probe(&[])).contains("processor"));
    let output = probe(&["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["cpu"]["processors"].as_u64().is_some_and(|n| n >= 1), "{report}");
    for list in ["engines", "decoders", "sensors"] {
        assert!(report[list].is_array(), "{list}: {report}");
    }
}
