//! The int8 engine on whole models: every kernel, any number of threads and any way of asking give the same answer, and what it cannot take
//! goes through tract with one line.

use std::path::Path;
use std::process::{Command, Output};

use peregrine::config::EngineChoice;
use peregrine::infer::{self, Engine, Focus, InputMut, Options};
use serde_json::Value;

use crate::support::shared;

fn opened(model: &Path, choice: EngineChoice, threads: usize, max_batch: usize) -> Box<dyn Engine> {
    infer::open(choice, model, &Options { threads, max_batch, ..Options::default() }).expect("opened")
}

/// Shows a slot a picture of stripes; `turn` makes it another one.
fn show(engine: &mut dyn Engine, slot: usize, turn: usize) {
    let [channels, h, w] = engine.shape().input_chw;
    let value = |c: usize, y: usize, x: usize| ((x / 7 + y / 5 * 3 + c * 50 + turn * 31) * 29 % 256) as u8;
    match engine.input(slot) {
        InputMut::U8Nhwc(input) => {
            for (y, row) in input.codes.chunks_mut(input.row_bytes).take(h).enumerate() {
                for (x, pixel) in row.chunks_mut(input.pixel_bytes).take(w).enumerate() {
                    pixel.iter_mut().take(channels).enumerate().for_each(|(c, v)| *v = value(c, y, x));
                }
            }
        }
        InputMut::F32Nchw(tensor) => {
            for (i, v) in tensor.iter_mut().enumerate() {
                *v = f32::from(value(i / (h * w), i / w % h, i % w)) / 255.0;
            }
        }
    }
}

fn answer(engine: &mut dyn Engine, slot: usize) -> Vec<u32> {
    engine.output(0, slot).iter().map(|v| v.to_bits()).collect()
}

fn peregrine(args: &[&str], models: &Path, kernel: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peregrine"));
    command.args(args).env("PEREGRINE_MODELS", models);
    if let Some(kernel) = kernel {
        command.env("PEREGRINE_KERNEL", kernel);
    }
    command.output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn threads_slots_and_batches_do_not_change_a_bit() {
    let Some(model) = shared("models/yolov8n_320_int8.onnx") else { return };
    let mut alone = opened(&model, EngineChoice::Int8, 1, 1);
    assert_eq!(alone.name(), "int8");
    let wanted: Vec<Vec<u32>> = (0..3)
        .map(|turn| {
            show(alone.as_mut(), 0, turn);
            alone.run(1).expect("ran");
            answer(alone.as_mut(), 0)
        })
        .collect();
    assert_eq!(wanted[0].len(), 84 * 2100);
    assert_ne!(wanted[0], wanted[1]);
    for threads in [1, 2, 5] {
        let mut engine = opened(&model, EngineChoice::Auto, threads, 3);
        (0..3).for_each(|slot| show(engine.as_mut(), slot, slot));
        for _ in 0..5 {
            engine.run(3).expect("ran");
            for (slot, wanted) in wanted.iter().enumerate() {
                assert!(answer(engine.as_mut(), slot) == *wanted, "{threads} threads, slot {slot}");
            }
        }
    }
}

#[test]
fn places_are_those_of_the_whole_output_that_pass() {
    let Some(model) = shared("models/yolov8n_320_int8.onnx") else { return };
    let mut engine = opened(&model, EngineChoice::Int8, 2, 1);
    show(engine.as_mut(), 0, 3);
    engine.run(1).expect("ran");
    let whole = engine.output(0, 0).to_vec();
    let wanted_class = |c: usize| c.is_multiple_of(3);
    let classes = (0..80).map(wanted_class).collect();
    let best =
        |place: usize| (0..80).filter(|&c| wanted_class(c)).map(|c| whole[(4 + c) * 2100 + place]).fold(0.0, f32::max);
    // The confidence of the tenth best place, so that some pass whatever the picture holds.
    let mut scores: Vec<f32> = (0..2100).map(best).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let focus = Focus { confidence: scores[9], classes: Some(classes) };
    engine.focus(Some(&focus));
    engine.run(1).expect("ran");
    let places = engine.places(0).expect("the engine has the head").to_vec();
    let want: Vec<f32> = (0..2100)
        .filter(|&place| best(place) >= focus.confidence)
        .flat_map(|place| (0..84).map(move |i| (i, place)))
        .map(|(i, place)| if i < 4 || wanted_class(i - 4) { whole[i * 2100 + place] } else { 0.0 })
        .collect();
    assert!(places.len() >= 10 * 84 && places == want, "{} values, wanted {}", places.len(), want.len());
    engine.focus(None);
    engine.run(1).expect("ran");
    assert!(engine.places(0).is_none() && engine.output(0, 0) == whole, "all is computed again");
}

#[test]
fn every_kernel_finds_the_same_objects_to_the_last_digit() {
    let Some(models) = shared("models") else { return };
    let Some(images) = shared("data/coco/val/images") else { return };
    let mut pictures: Vec<String> =
        std::fs::read_dir(images).expect("a folder").map(|e| e.expect("a file").path().display().to_string()).collect();
    pictures.sort();
    let mut args = vec!["detect", "--model", "yolov8n_320_int8", "--engine", "int8", "--conf", "0.05"];
    args.extend(pictures.iter().take(6).map(String::as_str));
    let refusal = text(&peregrine(&args, &models, Some("none")).stderr);
    let (_, here) = refusal.split_once("it has ").expect("a list of kernels");
    let names: Vec<&str> = here.lines().next().unwrap_or("").split(", ").map(str::trim).collect();
    assert!(names.contains(&"scalar"), "{refusal}");
    let found: Vec<String> = names.iter().map(|k| text(&peregrine(&args, &models, Some(k)).stdout)).collect();
    assert!(found[0].lines().count() == 6 && found[0].contains("person"), "{}", found[0]);
    for (name, found_by) in names.iter().zip(&found) {
        assert!(*found_by == found[0], "{name} found other things than {}", names[0]);
    }
}

#[test]
fn a_model_without_scales_goes_through_tract_with_one_line_and_with_a_calibration_it_does_not() {
    let Some(models) = shared("models") else { return };
    let Some(pictures) = shared("data/coco/calib/images") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::copy(models.join("vehicle_attributes_0039.onnx"), dir.path().join("vehicle_attributes_0039.onnx"))
        .expect("copied");
    let bench = [
        "bench",
        "--model",
        "vehicle_attributes_0039",
        "--engine",
        "int8",
        "--seconds",
        "0.05",
        "--json",
        "--explain",
        "--layers",
    ];
    let out = peregrine(&bench, dir.path(), None);
    let told = text(&out.stderr);
    assert!(told.matches("through tract").count() == 1 && told.contains("calibrate"), "{told}");
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!((report["engine"].as_str(), report["explain"].is_null()), (Some("tract"), true));

    let pictures = pictures.to_string_lossy();
    let calibrate = ["model", "calibrate", "vehicle_attributes_0039", "--images", &pictures, "--limit", "24"];
    let out = peregrine(&calibrate, dir.path(), None);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let out = peregrine(&bench, dir.path(), None);
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["engine"], "int8", "{}", text(&out.stderr));
    let refused = report["explain"]["refused"].as_array().expect("reasons");
    assert!(
        refused.iter().all(|r| r.as_str().is_some_and(|r| r.contains("Softmax"))) && refused.len() == 2,
        "{refused:?}"
    );
    let layers = report["layers"].as_array().expect("layers");
    let share: f64 = layers.iter().filter_map(|l| l["share"].as_f64()).sum();
    assert!(layers.len() > 10 && (share - 1.0).abs() < 0.01, "{share}");

    // The same answers as in floats, nearly: which colour and which type.
    let model = dir.path().join("vehicle_attributes_0039.onnx");
    let mut floats = opened(&model, EngineChoice::Tract, 1, 1);
    let mut eight = opened(&model, EngineChoice::Auto, 1, 1);
    assert_eq!((eight.name(), eight.shape()), ("int8", floats.shape()));
    for turn in 0..5 {
        show(eight.as_mut(), 0, turn);
        let InputMut::F32Nchw(tensor) = floats.input(0) else { unreachable!("tract takes floats") };
        let InputMut::U8Nhwc(codes) = eight.input(0) else { unreachable!("int8 takes codes") };
        for (i, v) in tensor.iter_mut().enumerate() {
            let (c, y, x) = (i / (72 * 72), i / 72 % 72, i % 72);
            let code = codes.codes[y * codes.row_bytes + x * codes.pixel_bytes + c];
            *v = (f32::from(code) - f32::from(codes.zero)) * codes.scale;
        }
        eight.run(1).expect("ran");
        floats.run(1).expect("ran");
        for output in 0..2 {
            let apart = eight.output(output, 0).iter().zip(floats.output(output, 0)).map(|(a, b)| (a - b).abs());
            let apart = apart.fold(0.0, f32::max);
            assert!(apart < 0.1, "output {output} of picture {turn}: {apart}");
        }
    }
}

#[test]
fn a_calibration_of_another_model_is_not_used() {
    let Some(models) = shared("models") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let name = "vehicle_attributes_0039";
    std::fs::copy(models.join(format!("{name}.onnx")), dir.path().join(format!("{name}.onnx"))).expect("copied");
    let other = r#"{"version":1,"model":"x.onnx","sha256":"00","images":1,"tensors":{}}"#;
    std::fs::write(dir.path().join(format!("{name}.calibration.json")), other).expect("written");
    let out = peregrine(&["bench", "--model", name, "--seconds", "0.05"], dir.path(), None);
    let told = text(&out.stderr);
    assert!(out.status.success() && told.contains("calibration.json") && told.contains("through tract"), "{told}");
}
