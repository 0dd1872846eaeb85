//! What is told of models that cannot be opened, and that those which can give the numbers that their shape promises.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::EngineChoice;

pub(super) fn shared(model: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models")).join(model);
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn refused(choice: EngineChoice, path: &Path) -> String {
    open(choice, path, &Options::default()).err().expect("refused").to_string()
}

fn fill(engine: &mut dyn Engine, slot: usize, value: f32) {
    let chw = engine.shape().input_chw;
    engine.input(slot).fill(chw, |i| value * (i % 17) as f32 / 17.0);
}

#[test]
fn an_engine_that_is_not_there_says_what_it_lacks_and_nobody_else_minds() {
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny_detector.onnx"));
    let probed = probe();
    let gpu = probed.iter().find(|p| p.name == "tensorrt").expect("named");
    if !gpu.available {
        let told = refused(EngineChoice::Tensorrt, model);
        assert!(
            told.contains("tiny_detector.onnx: engine tensorrt cannot load") && told.contains(&gpu.detail),
            "{told}"
        );
        let engine = open(EngineChoice::Auto, model, &Options::default()).expect("opened by another");
        assert_eq!(engine.remark(), None, "who has no GPU does not want to hear of it");
    }
    assert!(["int8", "tract"].iter().all(|name| probed.iter().any(|p| p.name == *name && p.available)));
}

#[test]
fn a_file_that_is_missing_or_no_model_is_named() {
    assert!(refused(EngineChoice::Auto, Path::new("/nonexistent/a.onnx")).contains("/nonexistent/a.onnx"));
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("page.onnx");
    std::fs::write(&path, "<html>404</html>").expect("written");
    let told = refused(EngineChoice::Auto, &path);
    assert!(told.contains("page.onnx") && told.contains("not an ONNX model"), "{told}");
}

#[test]
fn a_model_that_was_cut_short_is_called_truncated() {
    let Some(path) = shared("yolov8n_320_int8.onnx") else { return };
    let bytes = std::fs::read(path).expect("read");
    let dir = tempfile::tempdir().expect("a folder");
    let cut = dir.path().join("cut.onnx");
    for share in [0.01, 0.5, 0.99] {
        std::fs::write(&cut, &bytes[..(bytes.len() as f64 * share) as usize]).expect("written");
        let told = refused(EngineChoice::Tract, &cut);
        assert!(told.contains("cut.onnx") && told.contains("truncated or damaged"), "{share}: {told}");
    }
}

#[test]
fn a_model_with_an_operator_that_nobody_knows_is_refused_without_ending_the_process() {
    let Some(path) = shared("vehicle_attributes_0039.onnx") else { return };
    let mut bytes = std::fs::read(path).expect("read");
    // Protobuf field 4 of a node, of length 4: its operator.
    let conv = b"\x22\x04Conv";
    let at = bytes.windows(conv.len()).position(|w| w == conv).expect("a convolution");
    bytes[at + 2..at + 6].copy_from_slice(b"Conw");
    let dir = tempfile::tempdir().expect("a folder");
    let odd = dir.path().join("odd.onnx");
    std::fs::write(&odd, bytes).expect("written");
    let told = refused(EngineChoice::Tract, &odd);
    assert!(told.contains("odd.onnx") && told.contains("tract cannot load"), "{told}");
}

#[test]
fn every_slot_of_a_batch_has_its_own_answer_of_the_length_that_the_shape_tells() {
    let Some(path) = shared("vehicle_attributes_0039.onnx") else { return };
    let mut engine = open(EngineChoice::Tract, &path, &Options { max_batch: 3, ..Options::default() }).expect("opened");
    let names: Vec<_> = engine.shape().outputs.iter().map(|o| (o.name.clone(), o.dims.clone())).collect();
    assert_eq!(names, [("type".to_owned(), vec![4, 1, 1]), ("color".to_owned(), vec![7, 1, 1])]);
    assert_eq!(engine.output(1, 2), [0.0; 7]);
    fill(engine.as_mut(), 0, 30.0);
    fill(engine.as_mut(), 1, 250.0);
    engine.run(2).expect("ran");
    let (dark, bright) = (engine.output(1, 0).to_vec(), engine.output(1, 1).to_vec());
    assert_ne!(dark, bright);
    assert!((dark.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{dark:?}");
    fill(engine.as_mut(), 0, 250.0);
    engine.run(1).expect("ran again");
    assert_eq!(engine.output(1, 0), bright, "the same input gives the same answer in every slot");
}

#[test]
fn threads_do_not_change_the_answer() {
    let Some(path) = shared("yolov8n_320.onnx") else { return };
    let answers: Vec<Vec<f32>> = [1, 2]
        .iter()
        .map(|&threads| {
            let mut engine =
                open(EngineChoice::Auto, &path, &Options { threads, ..Options::default() }).expect("opened");
            fill(engine.as_mut(), 0, 1.0);
            engine.run(1).expect("ran");
            engine.output(0, 0).to_vec()
        })
        .collect();
    assert_eq!(answers[0].len(), 84 * 2100);
    assert_eq!(answers[0], answers[1]);
}
