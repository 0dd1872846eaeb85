//! scripts/convert_models.py: a float model becomes the two 8-bit forms, each as its engine wants it, or is refused and leaves nothing behind.

mod small;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use peregrine::config::EngineChoice;
use peregrine::infer::{self, Options};
use serde_json::Value;

use crate::quality::python;
use crate::support::shared;
use crate::tensorrt::rtx;
use crate::tensorrt::support::Stage;

/// What a file holds, as JSON: types of codes, shapes of scales, what is left in floats, whether two pictures at once give what each gives alone.
const FACTS: &str = r#"
import json, sys
import numpy as np, onnx, onnxruntime as ort
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
kinds, zeros, weights, floats = set(), True, True, []
by_output = {o: n for n in model.graph.node for o in n.output}
for node in model.graph.node:
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        zero = constants[node.input[2]]
        stored = node.op_type == "DequantizeLinear" and node.input[0] in constants
        kinds.add(("stored " if stored else "") + str(zero.dtype))
        zeros &= not zero.any()
    if node.op_type in ("Conv", "Gemm"):
        maker = by_output.get(node.input[1])
        if maker is None:
            floats.append(node.name)
            continue
        axis = [a.i for a in maker.attribute if a.name == "axis"]
        source = maker.input[0] if maker.input[0] in constants else by_output[maker.input[0]].input[0]
        weights &= axis == [0] and constants[maker.input[1]].shape == constants[source].shape[:1] and constants[maker.input[2]].dtype == np.int8
shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
batch = None
if shape[0] == 0:
    session = ort.InferenceSession(sys.argv[1])
    two = np.random.default_rng(1).random([2] + shape[1:], np.float32)
    run = lambda x: session.run(None, {model.graph.input[0].name: x})
    batch = max(float(np.abs(b - np.concatenate(a)).max() / np.abs(b).max()) for b, *a in zip(run(two), run(two[:1]), run(two[1:])))
print(json.dumps(dict(input=model.graph.input[0].name, kinds=sorted(kinds), zeros=bool(zeros), weights=bool(weights), floats=floats, batch=batch,
                      opsets={o.domain: o.version for o in model.opset_import}, about={p.key: p.value for p in model.metadata_props})))
"#;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/convert_models.py")
}

fn convert(args: &[&str]) -> Output {
    let mut command = Command::new(python());
    command.arg("-B").arg(script()).args(args).args(["--threads", "2"]).env("OMP_NUM_THREADS", "2");
    command.output().expect("python runs")
}

fn told(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn facts(file: &Path) -> Value {
    let out = Command::new(python()).args(["-B", "-c", FACTS]).arg(file).output().expect("python runs");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&out)))
}

fn files(dir: &Path) -> Vec<String> {
    let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("a file").file_name().to_string_lossy().into_owned();
    let mut found: Vec<String> = std::fs::read_dir(dir).expect("a folder").map(name).collect();
    found.sort();
    found
}

/// What every conversion here needs: models, pictures to calibrate on, pictures with labels.
struct Place {
    models: String,
    calibration: String,
    pictures: String,
    labels: String,
    out: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        let path = |name: &str| shared(name).map(|p| p.display().to_string());
        Some(Self {
            models: path("models")?,
            calibration: path("data/coco/calib/images")?,
            pictures: path("data/coco/val/images")?,
            labels: path("data/coco/val/instances.json")?,
            out: tempfile::tempdir().expect("a temporary folder"),
        })
    }

    fn out(&self) -> String {
        self.out.path().display().to_string()
    }

    fn convert(&self, model: &str, more: &[&str]) -> Output {
        let out = self.out();
        let mut args =
            vec![model, "--models", &self.models, "--images", &self.calibration, "--limit", "16", "--out", &out];
        args.extend(more);
        convert(&args)
    }
}

/// Who names the form for CPUs gets the other one where a GPU runs it, and sees in a picture what the float model sees.
fn runs_on_a_gpu(place: &Place, name: &str) {
    let Some(stage) = Stage::new(10) else { return };
    stage.gpu("compute=87");
    let seen = |engine: &str, model: &Path| {
        let mut command = stage.command();
        command.args(["detect", "--conf", "0.5", "--engine", engine]).arg("--model").arg(model);
        command.arg(Path::new(&place.pictures).join("000000000139.jpg")).arg("--state").arg(stage.dir());
        let out = command.output().expect("it starts");
        let line: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&out)));
        let classes = line["detections"].as_array().expect("detections").iter().map(|d| d["class"].to_string());
        classes.collect::<std::collections::BTreeSet<_>>()
    };
    let wanted = seen("tract", &Path::new(&place.models).join("yolov8n_320.onnx"));
    assert_eq!((seen("tensorrt", &place.out.path().join(name)), wanted.is_empty()), (wanted, false));
    let builds = stage.builds();
    assert!(builds.len() == 1 && builds[0].settings["int8"] == "1", "{builds:?}");
}

#[test]
fn a_detector_becomes_both_forms_each_as_its_engine_wants_it() {
    let Some(place) = Place::new() else { return };
    // Few pictures make the score coarse: one box more or less is worth more than a whole model's loss on many.
    let gate =
        ["--labels", &place.labels, "--eval-images", &place.pictures, "--eval-limit", "24", "--max-drop", "0.03"];
    let out = place.convert("yolov8n_320", &gate);
    assert!(out.status.success(), "{}", told(&out));
    assert_eq!(
        files(place.out.path()),
        ["yolov8n_320_int8.onnx", "yolov8n_320_int8.tensorrt.onnx"],
        "nothing else is left"
    );

    let for_gpus = place.out.path().join("yolov8n_320_int8.tensorrt.onnx");
    rtx::takes(&for_gpus, "images", [3, 320, 320], 4);
    runs_on_a_gpu(&place, "yolov8n_320_int8.onnx");
    let tensorrt = facts(&for_gpus);
    assert_eq!(tensorrt["kinds"], serde_json::json!(["int8"]), "no bias of 32 bits, no weights but floats: {tensorrt}");
    assert!(tensorrt["zeros"] == true && tensorrt["weights"] == true, "{tensorrt}");
    assert!(tensorrt["batch"].as_f64().is_some_and(|far| far < 1e-3), "two pictures at once: {tensorrt}");

    let cpu = facts(&place.out.path().join("yolov8n_320_int8.onnx"));
    assert_eq!(cpu["kinds"], serde_json::json!(["stored int32", "stored int8", "uint8"]), "{cpu}");
    assert!(cpu["weights"] == true && cpu["batch"].is_null(), "{cpu}");

    for found in [&tensorrt, &cpu] {
        assert_eq!(found["floats"], serde_json::json!(["/model/22/dfl/conv/Conv"]), "edges are not computed in 8 bits");
        assert_eq!(found["opsets"], serde_json::json!({ "": 13 }));
        let about = &found["about"];
        assert_eq!(
            about["peregrine.source_sha256"],
            "72460b46cf51f022f8e8a1fda4c2b14dbd12f2deadd2f3d2de3019d0a8f15495"
        );
        assert_eq!((&about["peregrine.gate"], &about["peregrine.images"]), (&"mAP 50-95".into(), &"16".into()));
        let score = |key: &str| about[key].as_str().and_then(|v| v.parse::<f64>().ok()).expect("a score");
        let (before, after) = (score("peregrine.before"), score("peregrine.after"));
        println!("yolov8n_320, {}: mAP {before} -> {after} on 24 pictures", about["peregrine.form"]);
        assert!(before > 0.25 && before - after <= 0.03, "{about}");
    }
    let file = place.out.path().join("yolov8n_320_int8.onnx");
    let engine = infer::open(EngineChoice::Int8, &file, &Options::default()).expect("opened");
    assert_eq!(engine.name(), "int8");
}

#[test]
fn a_classifier_becomes_both_forms_and_the_same_bytes_again() {
    let Some(place) = Place::new() else { return };
    let mut seen = Vec::new();
    for _ in 0..2 {
        let out = place.convert("vehicle_attributes_0039", &[]);
        assert!(out.status.success(), "{}", told(&out));
        assert!(
            told(&out).contains("agreement of classes 1.0000 ->"),
            "without labels it says what it compares: {}",
            told(&out)
        );
        let names = files(place.out.path());
        assert_eq!(names, ["vehicle_attributes_0039_int8.onnx", "vehicle_attributes_0039_int8.tensorrt.onnx"]);
        seen.push(names.iter().map(|n| std::fs::read(place.out.path().join(n)).expect("read")).collect::<Vec<_>>());
    }
    assert!(seen[0] == seen[1], "two conversions give the same bytes");
    let for_gpus = place.out.path().join("vehicle_attributes_0039_int8.tensorrt.onnx");
    let input = facts(&for_gpus)["input"].as_str().expect("a name").to_owned();
    rtx::takes(&for_gpus, &input, [3, 72, 72], 4);
    let found = facts(&for_gpus);
    assert!(
        found["kinds"] == serde_json::json!(["int8"]) && found["zeros"] == true && found["weights"] == true,
        "{found}"
    );
    assert!(found["batch"].as_f64().is_some_and(|far| far < 1e-3), "{found}");
}

#[test]
fn a_spoilt_conversion_is_refused_with_both_scores_and_leaves_no_file() {
    let Some(place) = Place::new() else { return };
    // A tenth of all values beyond the codes: what a careless calibration does, only more so.
    let spoilt =
        ["--method", "percentile", "--percentile", "90", "--eval-images", &place.pictures, "--eval-limit", "12"];
    for gate in [["--labels", &place.labels].as_slice(), &[]] {
        let out = place.convert("yolov8n_320", &[spoilt.as_slice(), gate].concat());
        let said = told(&out);
        assert_eq!(out.status.code(), Some(1), "{said}");
        let measure = if gate.is_empty() { "agreement of boxes" } else { "mAP 50-95" };
        for word in ["the form cpu is refused", "the form tensorrt is refused", measure, " -> 0.", "limit 0."] {
            assert!(said.contains(word), "{word:?} in {said}");
        }
        assert_eq!(files(place.out.path()), Vec::<String>::new());
    }
    let out =
        place.convert("yolov8n_320", &["--method", "percentile", "--percentile", "90", "--form", "cpu", "--no-gate"]);
    assert!(out.status.success() && told(&out).contains("WARNING"), "only who asks for it gets it: {}", told(&out));
    assert_eq!(facts(&place.out.path().join("yolov8n_320_int8.onnx"))["about"]["peregrine.gate"], "none");
}

#[test]
fn mistakes_are_told_by_name_and_with_the_daemons_exit_codes() {
    let Some(place) = Place::new() else { return };
    let no_model = place.out.path().join("none.onnx");
    std::fs::write(&no_model, "words").expect("written");
    let no_model = no_model.display().to_string();
    let quantised = format!("{}/yolov8n_320_int8.onnx", place.models);
    let words = no_model.clone();
    let cases: [(&str, &[&str], i32, &str); 9] = [
        ("yolov8n_320", &["--images", "/nowhere"], 66, "/nowhere: there is no such folder"),
        ("yolov8n_320", &["--images", &place.models], 66, "holds no picture"),
        ("yolov8n_32", &[], 66, "did you mean yolov8n_320"),
        (&no_model, &[], 78, "not an ONNX model"),
        (&quantised, &[], 78, "quantised already"),
        ("yolov8n_320", &["--labels", &place.labels], 64, "--labels needs --eval-images"),
        ("yolov8n_320", &["--labels", &words, "--eval-images", &place.pictures], 66, "not COCO annotations"),
        ("vehicle_attributes_0039", &["--exclude", "Nothing"], 64, "there is no layer Nothing"),
        ("yolov8n_320", &["--method", "guess"], 64, "guess"),
    ];
    for (model, more, code, word) in cases {
        let out = place.convert(model, more);
        let said = told(&out);
        assert!(out.status.code() == Some(code) && said.contains(word), "{model} {more:?}: {:?} {said}", out.status);
        assert!(!said.contains("Traceback"), "{said}");
    }
    // Without site packages there are none of the packages that it needs.
    let bare = Command::new(python())
        .args(["-B", "-S"])
        .arg(script())
        .args(["m", "--images", "d"])
        .env_remove("PYTHONPATH")
        .output();
    let bare = bare.expect("python runs");
    assert!(bare.status.code() == Some(1) && told(&bare).contains("pip install numpy"), "{}", told(&bare));
    assert_eq!(files(place.out.path()), ["none.onnx"], "no mistake leaves a file");
}
