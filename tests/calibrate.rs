//! `peregrine model calibrate`: the file it writes, what it leaves out, what it says when it cannot.

use std::path::{Path, PathBuf};
use std::process::Output;

use peregrine::infer::calibration::{self, Calibration};
use serde_json::Value;

use super::support::{data, peregrine, shared};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a copy of a model of tests/data, and a folder of grey pictures beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(model: &str, greys: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::copy(data(model), dir.path().join(model)).expect("copied");
        std::fs::create_dir(dir.path().join("images")).expect("made");
        for (i, &grey) in greys.iter().enumerate() {
            let path = dir.path().join(format!("images/{i}.png"));
            image::RgbImage::from_pixel(40, 20, image::Rgb([grey; 3])).save(path).expect("saved");
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn calibrate(&self, model: &str, more: &[&str]) -> Output {
        let (model, images) = (self.path(model), self.path("images"));
        let mut args = vec!["model", "calibrate", model.to_str().expect("UTF-8"), "--images"];
        args.push(images.to_str().expect("UTF-8"));
        args.extend(more);
        peregrine(&args)
    }
}

fn read(file: &Path, model: &Path) -> Calibration {
    calibration::read(file, &std::fs::read(model).expect("read")).expect("sound")
}

#[test]
fn a_detector_s_pictures_are_letterboxed_and_the_ranges_lie_beside_the_model() {
    let place = Place::new("tiny_detector.onnx", &[0, 51, 255]);
    std::fs::write(place.path("images/broken.jpg"), "no picture").expect("written");
    let out = place.calibrate("tiny_detector.onnx", &["--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("broken.jpg"), "the broken one is named: {}", text(&out.stderr));
    let file = place.path("tiny_detector.calibration.json");
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let count = |key: &str| report[key].as_u64();
    assert_eq!((count("images"), count("skipped"), count("tensors")), (Some(3), Some(1), Some(5)));
    assert_eq!(report["file"].as_str(), file.to_str());
    let found = read(&file, &place.path("tiny_detector.onnx"));
    assert_eq!(found.range("images"), Some((0.0, 1.0)));
    // Half of the square is the picture, half is padding of 114.
    let mean = |grey: f32| (grey + 114.0) / 2.0 / 255.0;
    let (min, max) = found.mean_range("output0_mean").expect("measured");
    let want = (mean(0.0) + mean(51.0) + mean(255.0)) / 3.0;
    assert!(min == 0.0 && (max - want).abs() < 1e-3, "{max}, not {want}");
    let raw: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    assert_eq!((raw["version"].as_u64(), raw["model"].as_str()), (Some(1), Some("tiny_detector.onnx")));
    assert!(raw["sha256"].as_str().is_some_and(|s| s.len() == 64) && raw["tensors"]["images"]["mean_max"].is_number());
}

#[test]
fn a_classifier_s_pictures_are_stretched_and_the_limit_and_the_file_are_obeyed() {
    let place = Place::new("tiny_classifier.onnx", &[255, 0, 255, 0]);
    let file = place.path("mine.json");
    let more = ["--limit", "2", "--output", file.to_str().expect("UTF-8"), "--threads", "1"];
    let out = place.calibrate("tiny_classifier.onnx", &more);
    assert!(out.status.success() && text(&out.stdout).contains("over 2 pictures"), "{}", text(&out.stdout));
    assert!(!place.path("tiny_classifier.calibration.json").exists());
    let (min, max) = read(&file, &place.path("tiny_classifier.onnx")).range("type_mean").expect("measured");
    // Numbers 0 and 2 of four, both white, without padding.
    assert!(min == 0.0 && (max - 1.0).abs() < 1e-6, "{min} {max}");
}

#[test]
fn mistakes_leave_what_was_there_and_say_what_is_wrong() {
    let place = Place::new("tiny_detector.onnx", &[]);
    let file = place.path("tiny_detector.calibration.json");
    std::fs::write(&file, "earlier").expect("written");
    let fails = |model: &str, more: &[&str], code: i32, words: &str| {
        let out = place.calibrate(model, more);
        let told = text(&out.stderr);
        assert!(out.status.code() == Some(code) && told.contains(words), "{:?} {told}", out.status.code());
    };
    fails("tiny_detector.onnx", &[], 66, "no picture");
    std::fs::write(place.path("images/1.png"), "no picture").expect("written");
    fails("tiny_detector.onnx", &[], 1, "none of 1 pictures");
    fails("tiny_detektor.onnx", &[], 78, "neither a file nor in the manifest");
    fails("images/1.png", &[], 78, "not an ONNX model");
    fails("tiny_detector.onnx", &["--output", "/nonexistent/c.json"], 1, "/nonexistent/c.json");
    fails("tiny_detector.onnx", &["--limit", "0"], 64, "limit");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "earlier");
    assert!(!place.path("tiny_detector.calibration.json.part").exists());
}

#[test]
fn a_quantised_model_is_measured_as_well() {
    let Some(models) = shared("models") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.json");
    let (models_dir, images) = (models.to_str().expect("UTF-8"), models.join("../data/coco/calib/images"));
    let args = ["model", "calibrate", "yolov8n_320_int8", "--models", models_dir, "--limit", "2", "--images"];
    let more = [images.to_str().expect("UTF-8"), "--output", file.to_str().expect("UTF-8")];
    let out = peregrine(&[&args[..], &more].concat());
    assert!(out.status.success(), "{}", text(&out.stderr));
    let found = read(&file, &models.join("yolov8n_320_int8.onnx"));
    // A sigmoid's values, scores, and pixels.
    for (tensor, most) in
        [("/model.0/act/Sigmoid_output_0", 1.0), ("/model.22/Sigmoid_output_0", 1.0), ("output0", 400.0)]
    {
        let (min, max) = found.range(tensor).expect("measured");
        assert!(min <= 0.0 && max > most * 0.5 && max <= most, "{tensor}: {min} {max}");
    }
}
