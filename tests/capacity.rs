//! `peregrine capacity` and `bench --cameras` with the real program and the smallest model: the shape of the answer, what it writes, what it
//! refuses. How large the numbers are depends on the machine, so no test says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::shared;

const MODEL: &str = "yolov8n_320_int8";

fn peregrine(args: &str, models: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peregrine"));
    command.args(args.split(' ')).env("PEREGRINE_MODELS", models).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn told(out: &Output) -> Value {
    assert!(out.status.success(), "{}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// A configuration of one camera whose zone is the whole picture.
fn config(dir: &Path) -> PathBuf {
    let file = dir.join("p.toml");
    let text = format!(
        "[detect]\nmodel = \"{MODEL}\"\nclasses = [\"person\"]\n[camera.gate]\nsource = \"test:\"\n\
         [camera.gate.zone.all]\npoints = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]\n"
    );
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn the_answer_is_what_was_measured_and_its_settings_are_a_configuration() {
    let Some(models) = shared("models") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).display().to_string();
    // A target that even a busy machine reaches, and few frames: this is about the command.
    let args = format!(
        "capacity {} --p95 20s --fps 20 --most 2 --dropped 50 --seconds 0.2 --hold 0.5 --size 320x180 --json --plot {} --write {}",
        config(dir.path()).display(),
        at("load.svg"),
        at("chosen.toml")
    );
    let report = told(&peregrine(&args, &models));
    let trial = &report["trials"][0];
    assert_eq!((report["mode"].as_str(), trial["model"].as_str()), (Some("sustained"), Some(MODEL)));
    let steps = trial["steps"].as_array().expect("steps");
    let counts: Vec<_> = steps.iter().filter_map(|s| s["cameras"].as_u64()).collect();
    assert_eq!(counts, [1, 2], "{report:#}");
    for step in steps {
        let number = |key: &str| step[key].as_f64().expect("a number");
        assert!(number("p50_ms") > 0.0 && number("p50_ms") <= number("p95_ms") && number("p95_ms") <= number("p99_ms"));
        assert!(number("fps") > 0.0 && number("fps") <= number("due_fps") + 1e-6 && number("rss_mb") > 1.0);
        assert!(number("cpu_ms_per_frame") > 0.0, "{step:#}");
    }
    let answer = &report["answer"];
    let (cameras, p95) = (answer["cameras"].as_u64(), answer["p95_ms"].as_f64().expect("a number"));
    assert!(cameras.is_some_and(|n| (1..=2).contains(&n)) && p95 < 20e3, "{answer:#}");
    let sentence = answer["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("at 20 fps, p95 ") && sentence.contains(" ms"), "{sentence}");
    assert!(!trial["seconds"].as_array().expect("the course of the last measurement").is_empty());

    let drawn = std::fs::read_to_string(at("load.svg")).expect("drawn");
    assert!(drawn.contains(sentence), "the knee is marked");
    assert!(std::fs::read_to_string(at("load.time.svg")).expect("drawn").starts_with("<svg"));
    let mut chosen = std::fs::read_to_string(at("chosen.toml")).expect("written");
    assert!(chosen.contains(sentence));
    chosen.push_str("\n[camera.gate]\nsource = \"test:\"\ndetect_fps = 20\n");
    std::fs::write(at("whole.toml"), chosen).expect("written");
    let checked = peregrine(&format!("check --config {} --print", at("whole.toml")), &models);
    let printed = text(&checked.stdout);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(
        printed.contains(&format!("model = \"{MODEL}\"")) && printed.contains("target_p95_ms = 20000"),
        "{printed}"
    );
}

#[test]
fn one_camera_alone_and_a_clip_are_measured_too() {
    let (Some(models), Some(clip)) = (shared("models"), shared("data/video/vtest.avi")) else { return };
    let clip = clip.display();
    let args = format!("capacity --p95 30s --mode single --model {MODEL} --seconds 0.1 --video {clip} --json");
    let report = told(&peregrine(&args, &models));
    let step = &report["trials"][0]["steps"][0];
    assert_eq!((step["cameras"].as_u64(), step["dropped_percent"].as_f64()), (Some(1), Some(0.0)), "{step:#}");
    assert!(step["detections_per_frame"].as_f64() > Some(1.0), "people walk in this clip: {step:#}");
    assert!(report["decoding_cpu_ms_per_frame"].as_f64() > Some(0.0));
    assert!(report.get("fps").is_none(), "no rate was asked for: {report:#}");
    assert!(
        report["answer"]["sentence"].as_str().is_some_and(|s| s.starts_with("1 camera, one frame after the other"))
    );
}

#[test]
fn what_was_measured_is_told_and_kept_though_a_later_model_cannot_be_loaded() {
    let Some(models) = shared("models") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).display().to_string();
    // A detector as far as its header goes: it has a card, and no engine can load it.
    let whole = std::fs::read(models.join("yolov8n_640_int8.onnx")).expect("a model");
    std::fs::write(at("yolov8n_640_int8.onnx"), &whole[..whole.len() / 2]).expect("written");
    let args = format!(
        "capacity {} --p95 20s --most 1 --dropped 50 --seconds 0.1 --hold 0.1 --size 320x180 --json --plot {} --write {} --model {MODEL},{}",
        config(dir.path()).display(),
        at("load.svg"),
        at("chosen.toml"),
        at("yolov8n_640_int8.onnx"),
    );
    let out = peregrine(&args, &models);
    assert_eq!(out.status.code(), Some(78), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["trials"][0]["model"].as_str(), Some(MODEL), "{report:#}");
    let remark = report["remarks"][0].as_str().expect("a remark");
    assert!(remark.starts_with("gate has no detect_fps"), "{remark}");
    for written in ["load.svg", "load.time.svg", "chosen.toml"] {
        assert!(std::fs::read_to_string(at(written)).is_ok_and(|text| !text.is_empty()), "{written}");
    }
}

#[test]
fn bench_measures_the_counts_that_were_named_and_judges_none() {
    let Some(models) = shared("models") else { return };
    let args = format!("bench --model {MODEL} --threads 1 --cameras 2..3 --fps 30 --seconds 0.1 --json");
    let report = told(&peregrine(&args, &models));
    let trial = &report["trials"][0];
    let counts: Vec<_> =
        trial["steps"].as_array().into_iter().flatten().filter_map(|s| s["cameras"].as_u64()).collect();
    assert_eq!((counts, trial["threads"].as_u64()), (vec![2, 3], Some(1)));
    assert!(report.get("answer").is_none() && trial["steps"][0].get("holds").is_none(), "{report:#}");
}

#[test]
fn what_cannot_be_is_refused_with_the_words_that_help() {
    let Some(models) = shared("models") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (own, folder) = (config(dir.path()).display().to_string(), dir.path().display());
    for (args, code, words) in [
        ("capacity --p95 100".to_owned(), 64, "100ms or 0.2s"),
        ("capacity".to_owned(), 64, "--p95"),
        (format!("capacity {own} --p95 100ms --write {own}"), 64, "would be overwritten"),
        ("capacity --p95 100ms --model yolov8n_32".to_owned(), 78, "did you mean \"yolov8n_320\""),
        ("capacity --p95 100ms --model vehicle_attributes_0039".to_owned(), 78, "detector"),
        ("capacity /nonexistent.toml --p95 100ms".to_owned(), 78, "/nonexistent.toml"),
        (format!("capacity {own} --p95 100ms --video /nonexistent.mp4"), 66, "/nonexistent.mp4"),
        (format!("capacity {own} --p95 100ms --video {folder}"), 66, "not a file"),
        ("capacity --p95 100ms --plot load.png".to_owned(), 64, "plots are SVG"),
        (
            format!("capacity {own} --p95 100ms --plot /nonexistent/load.svg"),
            1,
            "/nonexistent/load.svg cannot be written",
        ),
        (format!("capacity {own} --p95 100ms --write {folder}"), 1, "cannot be written"),
        // No processor looks at a frame of this size within a millisecond.
        (
            format!("capacity {own} --p95 1ms --fps 30 --seconds 0.1 --engine int8 --model yolov8n_640_int8"),
            1,
            "try yolov8n_320_int8",
        ),
    ] {
        let out = peregrine(&args, &models);
        let told = text(&out.stderr);
        assert!(out.status.code() == Some(code) && told.contains(words), "{args}: {:?} {told}", out.status.code());
    }
}
