//! A part of a model gives what the whole model gives when it is fed with the whole model's inner tensors.

use super::*;
use crate::config::EngineChoice;
use crate::infer::tests::shared;
use crate::infer::{self, InputMut, Options};

const HEADS: [&str; 6] = [
    "/model.22/cv2.0/cv2.0.2/Conv_output_0",
    "/model.22/cv2.1/cv2.1.2/Conv_output_0",
    "/model.22/cv2.2/cv2.2.2/Conv_output_0",
    "/model.22/cv3.0/cv3.0.2/Conv_output_0",
    "/model.22/cv3.1/cv3.1.2/Conv_output_0",
    "/model.22/cv3.2/cv3.2.2/Conv_output_0",
];

fn tiny() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny_classifier.onnx")).expect("read")
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

fn refused(bytes: &[u8], inputs: &[(String, Vec<usize>)], outputs: &[&str]) -> String {
    load_part(bytes, inputs, &owned(outputs), 1).err().expect("refused")
}

/// Cuts the model at `inner` and compares what the tail makes of the head's tensors with what the whole model gives.
fn the_tail_agrees(model: &str, inner: &[&str]) {
    let Some(path) = shared(model) else { return };
    let mut whole = infer::open(EngineChoice::Tract, &path, &Options::default()).expect("opened");
    let InputMut::F32Nchw(tensor) = whole.input(0) else { unreachable!("tract takes floats") };
    tensor.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 251) as f32 / 251.0);
    let picture = tensor.to_vec();
    whole.run(1).expect("ran");
    let bytes = std::fs::read(&path).expect("read");
    let input = crate::infer::onnx::read(&bytes).and_then(|h| h.image_input()).expect("a picture");
    let dims = [&[1], input.chw.as_slice()].concat();
    let mut head = load_part(&bytes, &[(input.name, dims)], &owned(inner), 1).expect("the head");
    head.run(&[&picture]).expect("ran");
    let cut: Vec<_> = inner.iter().enumerate().map(|(i, &n)| (n.to_owned(), head.output_dims(i).to_vec())).collect();
    let outputs: Vec<_> = whole.shape().outputs.iter().map(|o| o.name.clone()).collect();
    let mut tail = load_part(&bytes, &cut, &outputs, 2).expect("the tail");
    let values: Vec<_> = (0..inner.len()).map(|i| head.output(i)).collect();
    for turn in 0..2 {
        tail.run(&values).expect("ran");
        for (i, output) in whole.shape().outputs.iter().enumerate() {
            let (mine, want) = (tail.output(i), whole.output(i, 0));
            assert_eq!(tail.output_dims(i), [&[1], output.dims.as_slice()].concat());
            assert_eq!(mine.len(), want.len());
            let most = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let off = mine.iter().zip(want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(
                most > 0.0 && off <= most * 1e-6,
                "{model}, turn {turn}, \"{}\": off by {off} of {most}",
                output.name
            );
        }
    }
}

#[test]
fn the_tail_of_a_detector_agrees_with_the_whole_model() {
    the_tail_agrees("yolov8n_320.onnx", &HEADS);
}

#[test]
fn the_tail_of_a_quantised_detector_agrees_with_the_whole_model() {
    the_tail_agrees("yolov8n_320_int8.onnx", &HEADS);
}

#[test]
fn the_tails_of_classifiers_agree_with_the_whole_models() {
    the_tail_agrees("efficientnet_lite0.onnx", &["gap"]);
    the_tail_agrees("vehicle_attributes_0039.onnx", &["pool_color/reduce", "pool_type/reduce"]);
}

#[test]
fn only_what_the_part_needs_is_loaded() {
    let mut part = load_part(&tiny(), &[("type_mean".to_owned(), vec![1])], &owned(&["type"]), 1).expect("loaded");
    assert!(part.output(0).is_empty(), "before the first run");
    assert_eq!(part.output_dims(0), [1, 2]);
    part.run(&[&[100.0]]).expect("ran");
    assert!(part.output(0).iter().zip([0.7, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", part.output(0));
    // The colour's nodes would need the picture; had they been kept, the part could not run without it.
    let mut proto = reader().proto_model_for_read(&mut &*tiny()).expect("a model");
    let graph = proto.graph.as_mut().expect("a graph");
    cut(graph, &HashSet::from(["type_mean"]), &owned(&["type"])).expect("cut");
    assert!(graph.node.iter().all(|n| n.output[0].starts_with("type")) && graph.node.len() == 2);
    assert!(graph.initializer.iter().all(|t| t.name.starts_with("type")) && graph.initializer.len() == 2);
}

#[test]
fn a_part_that_cannot_be_is_refused_with_the_tensor_s_name() {
    let mean = || vec![("type_mean".to_owned(), vec![1])];
    let twice = [mean(), mean()].concat();
    for (inputs, outputs, words) in [
        (mean(), vec!["nobody"], "no node makes a tensor \"nobody\""),
        (mean(), vec!["type", "color"], "also needs \"images\""),
        (vec![], vec!["type"], "also needs \"images\""),
        ([mean(), vec![("color_mean".to_owned(), vec![1])]].concat(), vec!["type"], "\"color_mean\" has no place"),
        (twice, vec!["type"], "named twice"),
    ] {
        let told = refused(&tiny(), &inputs, &outputs);
        assert!(told.contains(words), "{told}");
    }
    refused(&tiny()[..300], &mean(), &["type"]);
    refused(b"", &mean(), &["type"]);
}

#[test]
fn a_run_with_wrong_inputs_is_an_error_and_the_next_one_works() {
    let mut part = load_part(&tiny(), &[("type_mean".to_owned(), vec![1])], &owned(&["type"]), 1).expect("loaded");
    part.run(&[&[0.0]]).expect("ran");
    assert!(part.run(&[]).is_err() && part.run(&[&[1.0, 2.0]]).is_err());
    assert!(part.output(0).is_empty());
    part.run(&[&[0.0]]).expect("ran again");
    assert_eq!(part.output(0), [0.6, 0.4]);
}
