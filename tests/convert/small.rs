//! Conversions that need no ../shared: small models with real layers, and pictures that they are right on, made by tests/data/make_convertible.py.

use std::path::Path;
use std::process::Command;

use peregrine::config::EngineChoice;
use peregrine::infer::{self, Options};
use peregrine::runtime::environment;
use serde_json::json;

use super::{convert, facts, files, told};
use crate::quality::python;
use crate::support::data;
use crate::tensorrt::rtx;

/// Models, pictures and labels in a folder of their own, and an empty folder for what is written.
struct Small {
    made: tempfile::TempDir,
    out: tempfile::TempDir,
}

impl Small {
    fn new() -> Option<Self> {
        if environment::var("PEREGRINE_PYTHON").is_none() {
            eprintln!(
                "skipped: PEREGRINE_PYTHON names no Python with the packages of tests/requirements.txt (scripts/test.sh makes one)"
            );
            return None;
        }
        let folder = || tempfile::tempdir().expect("a temporary folder");
        let (made, out) = (folder(), folder());
        let script = data("make_convertible.py");
        let run = Command::new(python()).arg("-B").arg(script).arg(made.path()).output().expect("python runs");
        assert!(run.status.success(), "{}", told(&run));
        Some(Self { made, out })
    }

    fn path(&self, name: &str) -> String {
        self.made.path().join(name).display().to_string()
    }

    /// The exit code, and what was said.
    fn convert(&self, model: &str, more: &[&str]) -> (Option<i32>, String) {
        let (model, out) = (self.path(model), self.out.path().display().to_string());
        let run = convert(&[[model.as_str(), "--out", &out].as_slice(), more].concat());
        (run.status.code(), told(&run))
    }

    fn written(&self) -> Vec<String> {
        files(self.out.path())
    }
}

/// What NVIDIA's builder takes and what this daemon's engine opens.
fn is_sound(out: &Path, stem: &str, side: usize) {
    let for_gpus = out.join(format!("{stem}_int8.tensorrt.onnx"));
    rtx::takes(&for_gpus, "images", [3, side, side], 4);
    let found = facts(&for_gpus);
    assert_eq!((&found["kinds"], &found["floats"]), (&json!(["int8"]), &json!([])), "{found}");
    assert!(found["zeros"] == true && found["weights"] == true, "{found}");
    assert!(found["batch"].as_f64().is_some_and(|far| far < 1e-3), "two pictures at once: {found}");

    let for_cpus = out.join(format!("{stem}_int8.onnx"));
    let found = facts(&for_cpus);
    assert!(
        found["kinds"].as_array().is_some_and(|k| k.contains(&json!("uint8"))) && found["weights"] == true,
        "{found}"
    );
    infer::open(EngineChoice::Int8, &for_cpus, &Options::default()).expect("opened");
}

#[test]
fn small_models_become_both_forms() {
    let Some(small) = Small::new() else { return };
    let (scenes, colours) = (small.path("scenes"), small.path("colours"));
    let (code, said) = small.convert(
        "squares.onnx",
        &["--images", &scenes, "--labels", &small.path("labels.json"), "--eval-images", &scenes],
    );
    assert_eq!(code, Some(0), "{said}");
    for word in ["mAP 50-95 1.0000 -> ", "10 pictures are scored; 2 others of", "WARNING: a score of 10 pictures"] {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    let (code, said) = small.convert("colours.onnx", &["--images", &colours]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("agreement of classes 1.0000 -> 1.0000"), "{said}");
    assert_eq!(
        small.written(),
        ["colours_int8.onnx", "colours_int8.tensorrt.onnx", "squares_int8.onnx", "squares_int8.tensorrt.onnx"]
    );
    is_sound(small.out.path(), "squares", 64);
    is_sound(small.out.path(), "colours", 16);
}

#[test]
fn labels_that_are_not_the_models_let_nothing_through() {
    let Some(small) = Small::new() else { return };
    let (scenes, labels) = (small.path("scenes"), small.path("exchanged.json"));
    // The float model scores next to nothing, so that even a destroyed one would lose less than the limit.
    let spoilt = ["--method", "percentile", "--percentile", "51", "--images", &scenes];
    let (code, said) =
        small.convert("squares.onnx", &[spoilt.as_slice(), &["--labels", &labels, "--eval-images", &scenes]].concat());
    assert!(
        code == Some(1) && said.contains("the labels or the order of their classes are not the model's"),
        "{code:?} {said}"
    );
    assert!(said.contains("itself scores only 0.0") && !said.contains("only 0.0000"), "{said}");
    assert_eq!(small.written(), Vec::<String>::new());
}

#[test]
fn files_that_cannot_be_converted_are_told_without_a_traceback() {
    let Some(small) = Small::new() else { return };
    let (scenes, colours, bomb) = (small.path("scenes"), small.path("colours"), small.path("bomb"));
    let no_category = small.path("no_category.json");
    let tiny = data("tiny_detector.onnx").display().to_string();
    let cases: [(&str, &[&str], i32, &str); 10] = [
        ("squares.onnx", &["--images", &bomb], 66, "huge.png: not a picture that can be read"),
        ("overflows.onnx", &["--images", &scenes], 78, "infinite values or NaN for the picture 00.png"),
        ("overflows.onnx", &["--images", &scenes, "--no-gate"], 78, "infinite values or NaN in its tensor a1"),
        ("four_at_once.onnx", &["--images", &scenes], 78, "takes 4 pictures at once"),
        ("colours.onnx", &["--images", &colours, "--kind", "detector"], 78, "this model gives [1, 3]"),
        (
            "squares.onnx",
            &["--images", &scenes, "--labels", &no_category, "--eval-images", &scenes],
            66,
            "'category_id' is missing",
        ),
        ("squares.onnx", &["--images", &scenes, "--mean", "nan"], 64, "--mean: \"nan\""),
        ("broken.onnx", &["--images", &scenes], 78, "the weights of mix are not all finite"),
        ("halves.onnx", &["--images", &scenes], 78, "FLOAT16"),
        // A whole path takes the place of the folder that it would be joined to.
        (&tiny, &["--images", &scenes], 78, "has no convolution or matrix product"),
    ];
    for (model, more, wanted, word) in cases {
        let (code, said) = small.convert(model, more);
        assert!(code == Some(wanted) && said.contains(word), "{model} {more:?}: {code:?} {said}");
        assert!(!said.contains("Traceback"), "{said}");
    }
    assert_eq!(small.written(), Vec::<String>::new(), "no mistake leaves a file");
}
