//! Accuracy on labelled pictures, and the commands around it, over every engine that this build has.
//!
//! The scores come from COCO's own tools (`../shared/tools/eval_coco.py`), so that nothing of ours marks its own work. The floors lie a
//! little below ONNX Runtime's scores with OpenCV's resize (0.439, 0.349, 0.339).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use peregrine::runtime::environment;
use serde_json::Value;

use crate::tensorrt::support::Stage;

/// Model and least mAP (0.50:0.95).
const FLOORS: [(&str, &str, f64); 6] = [
    // Through the whole of the GPU's path, with a TensorRT that stands in and computes with tract.
    ("tensorrt", "yolov8n_320", 0.346),
    ("tract", "yolov8n_640", 0.436),
    ("tract", "yolov8n_320", 0.346),
    ("int8", "yolov8n_640_int8", 0.425),
    ("int8", "yolov8n_416_int8", 0.387),
    ("int8", "yolov8n_320_int8", 0.334),
];

/// Models, pictures and tools outside the repository.
fn shared() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return None;
    }
    Some(dir)
}

fn peregrine(args: &[&str], models: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peregrine"));
    command.args(args).env("PEREGRINE_MODELS", models).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn coco_map(shared: &Path, results: &Path) -> f64 {
    let python = environment::var("PEREGRINE_PYTHON").unwrap_or_else(|| "python3".to_owned());
    let mut command = Command::new(&python);
    command.arg(shared.join("tools/eval_coco.py")).arg(shared.join("data/coco/val/instances.json")).arg(results);
    let out = command.output().expect("python starts");
    let told = text(&out.stderr);
    assert!(out.status.success(), "{python} (PEREGRINE_PYTHON) must have pycocotools: {told}");
    let score: Value = serde_json::from_slice(&out.stdout).expect("a line of JSON");
    score["map"].as_f64().expect("a score")
}

#[test]
fn every_engine_finds_what_coco_labelled() {
    let Some(shared) = shared() else { return };
    let pictures = shared.join("data/coco/val/images");
    let dir = tempfile::tempdir().expect("a folder");
    let stage = Stage::new(10).inspect(|stage| stage.gpu("compute=87"));
    for (engine, model, floor) in FLOORS {
        let results = dir.path().join(format!("{engine}-{model}.json"));
        let (pictures, file) = (pictures.to_string_lossy(), results.to_string_lossy());
        let args = ["detect", &pictures, "--model", model, "--engine", engine, "--coco", &file];
        let out = match stage.as_ref().filter(|_| engine == "tensorrt") {
            Some(stage) => {
                let mut command = stage.command();
                command.args(args).arg("--state").arg(stage.dir()).env("PEREGRINE_MODELS", shared.join("models"));
                command.output().expect("the command starts")
            }
            None if engine == "tensorrt" => continue,
            None => peregrine(&args, &shared.join("models")),
        };
        let told = text(&out.stderr);
        assert!(out.status.success() && !told.contains("through tract"), "{engine} {model}: {told}");
        let map = coco_map(&shared, &results);
        println!("{engine} {model}: mAP {map:.4}");
        assert!(map >= floor, "{engine} {model}: mAP {map} is below {floor}");
    }
}

#[test]
fn a_broken_picture_is_told_and_the_others_are_still_looked_at() {
    let Some(shared) = shared() else { return };
    let good = shared.join("data/coco/val/images/000000000139.jpg");
    let dir = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(&good).expect("read");
    std::fs::write(dir.path().join("1-cut.jpg"), &whole[..whole.len() / 2]).expect("written");
    std::fs::write(dir.path().join("2-text.png"), "no picture").expect("written");
    std::fs::copy(&good, dir.path().join("3-good.jpg")).expect("copied");
    let out = peregrine(&["detect", &dir.path().to_string_lossy(), "--model", "yolov8n_320"], &shared.join("models"));
    assert_eq!(out.status.code(), Some(1));
    let told = text(&out.stderr);
    assert!(told.contains("1-cut.jpg") && told.contains("2-text.png") && told.contains("2 of 3"), "{told}");
    let lines: Vec<Value> =
        text(&out.stdout).lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect();
    assert_eq!(lines.len(), 1);
    let first = &lines[0]["detections"][0];
    assert_eq!((lines[0]["width"].as_u64(), first["class"].as_str()), (Some(640), Some("tv")));
    let edge = |key: &str, i: usize| first[key][i].as_f64().expect("a number");
    assert!((edge("box", 2) * 640.0 - edge("box_px", 2)).abs() < 0.02);
}

#[test]
fn bench_prints_what_it_measured_for_each_batch() {
    let Some(shared) = shared() else { return };
    let args = "bench --model vehicle_attributes_0039 --threads 1 --batch 1..3 --seconds 0.1 --json";
    let out = peregrine(&args.split(' ').collect::<Vec<_>>(), &shared.join("models"));
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["output"], "whole", "tract leaves nothing out");
    let runs = report["runs"].as_array().expect("runs");
    let batches: Vec<_> = runs.iter().filter_map(|r| r["batch"].as_u64()).collect();
    assert_eq!((report["engine"].as_str(), batches), (Some("tract"), vec![1, 2, 3]));
    assert!(runs.iter().all(|r| r["throughput_fps"].as_f64() > Some(0.0) && r["threads"] == 1));
}

#[test]
fn mistakes_end_with_the_code_and_the_words_that_help() {
    let Some(shared) = shared() else { return };
    let models = shared.join("models");
    let picture = shared.join("data/coco/val/images/000000000139.jpg").to_string_lossy().into_owned();
    for (args, code, words) in [
        (vec!["detect", &picture, "--model", "yolov8n_64"], 78, "did you mean \"yolov8n_640\""),
        (vec!["detect", &picture, "--model", "yolov8n_320", "--class", "persn"], 78, "did you mean \"person\""),
        (vec!["detect", &picture, "--model", "yolov8n_320", "--conf", "1.5"], 64, "not between 0 and 1"),
        (vec!["detect", &picture, "--model", "vehicle_attributes_0039"], 78, "a detector is needed"),
        (vec!["detect", "/nonexistent.jpg", "--model", "yolov8n_320"], 66, "/nonexistent.jpg"),
        (vec!["bench", "--model", &picture], 78, "the file is a picture"),
        (vec!["model", "fetch", "yolov12n_640"], 64, "--accept-licence"),
    ] {
        let out = peregrine(&args, &models);
        let told = text(&out.stderr);
        assert!(out.status.code() == Some(code) && told.contains(words), "{args:?}: {:?} {told}", out.status.code());
    }
}
