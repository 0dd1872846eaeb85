//! What a user of second-stage classifiers relies on, with real models where they are.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::EngineChoice;
use crate::infer::{self, DetectorHead, Input, InputMut, ModelShape, OutputShape, QuantisedInput, catalog};
use crate::pixels::{ChannelOrder, Normalise, Placement};
use crate::types::{Label, RgbImage};

fn settings(classes: &[&str]) -> config::Classify {
    config::Classify {
        model: String::new(),
        engine: EngineChoice::Tract,
        classes: classes.iter().map(|c| (*c).to_owned()).collect(),
        interval: Duration::from_secs(1),
        max_looks: 2,
        min_size_px: 24,
        margin: 0.0,
        min_confidence: 0.0,
    }
}

fn detector_classes() -> ClassNames {
    ClassNames::new(["person", "bicycle", "car"])
}

fn classifier(name: &str, model: &str, settings: config::Classify) -> Option<Result<Classifier, ClassifyError>> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models"));
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return None;
    }
    let card = catalog::card(model, &dir).expect("in the manifest");
    let engine = infer::open(EngineChoice::Tract, &card.path, &infer::Options::default()).expect("opened");
    Some(Classifier::new(name, engine, &card, settings, &detector_classes()))
}

fn track(id: u64, class: ClassId, side_px: f32) -> Track {
    let bbox = Rect::new(8.0, 8.0, 8.0 + side_px, 8.0 + side_px);
    Track { id, bbox, class, score: 0.9, age_frames: 5, lost_frames: 0 }
}

fn red_square() -> RgbImage {
    RgbImage { width_px: 96, height_px: 96, data: [200, 20, 20].repeat(96 * 96) }
}

fn at(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn two_heads_label_the_chosen_classes_as_often_as_allowed() {
    let Some(made) = classifier("vehicle", "vehicle_attributes_0039", settings(&["car"])) else { return };
    let (mut vehicle, mut book, image) = (made.expect("made"), LabelBook::new(), red_square());
    let seen = [track(1, 2, 60.0), track(2, 0, 60.0), track(3, 2, 10.0)];
    for secs in [0, 0, 1, 2] {
        vehicle.label(&image, &seen, &mut book, at(secs), &mut || true).expect("looked");
    }
    let labels = book.labels(1);
    let names: Vec<_> = labels.iter().map(|l| (l.name.as_str(), l.votes)).collect();
    assert_eq!(names, [("vehicle.color", 2), ("vehicle.type", 2)]);
    assert_eq!(labels[0].value, "red", "{labels:?}");
    assert_eq!(book.labels(2), [], "a person is no vehicle");
    assert_eq!(book.labels(3), [], "10 px are too few to judge by");
}

#[test]
fn a_classifier_with_one_head_and_an_open_batch_works_by_its_manifest_entry_alone() {
    let Some(made) = classifier("what", "efficientnet_lite0", settings(&["person"])) else { return };
    let (mut what, mut book, image) = (made.expect("made"), LabelBook::new(), red_square());
    what.label(&image, &[track(1, 0, 80.0)], &mut book, at(0), &mut || true).expect("looked");
    let labels: Vec<Label> = book.labels(1);
    assert_eq!((labels.len(), labels[0].name.as_str()), (1, "what"));
    assert!(labels[0].confidence > 0.0 && labels[0].confidence <= 1.0);
}

/// Takes codes of 2x2 pixels, and answers with the first pixel's.
struct Echo {
    shape: ModelShape,
    codes: [u8; 16],
    output: [f32; 3],
}

impl Engine for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        let codes = &mut self.codes;
        InputMut::U8Nhwc(QuantisedInput { codes, row_bytes: 8, pixel_bytes: 4, scale: 1.0 / 255.0, zero: 0 })
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        self.output = std::array::from_fn(|c| f32::from(self.codes[c]) / 255.0);
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.output
    }
}

#[test]
fn an_engine_that_takes_codes_is_shown_the_crop() {
    let normalise = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 0 };
    let labels = ClassNames::new(["red", "green", "blue"]);
    let color = "color".to_owned();
    let card = ModelCard {
        name: "echo".to_owned(),
        path: PathBuf::from("echo.onnx"),
        kind: Kind::Classifier,
        licence: None,
        input: Input { normalise, placement: Placement::Centered },
        head: DetectorHead::Yolov8,
        classes: ClassNames::new(Vec::<String>::new()),
        confidence: 0.0,
        nms_iou: 0.0,
        heads: vec![ClassifierHead {
            output: color.clone(),
            name: color.clone(),
            labels,
            activation: Activation::None,
        }],
        note: None,
    };
    let shape = ModelShape { input_chw: [3, 2, 2], outputs: vec![OutputShape { name: color, dims: vec![3] }] };
    let engine = Box::new(Echo { shape, codes: [0; 16], output: [0.0; 3] });
    let made = Classifier::new("paint", engine, &card, settings(&["car"]), &detector_classes());
    let (mut paint, mut book, image) = (made.expect("made"), LabelBook::new(), red_square());
    paint.label(&image, &[track(1, 2, 60.0)], &mut book, at(0), &mut || true).expect("looked");
    let labels = book.labels(1);
    assert_eq!(labels.iter().map(|l| l.value.as_str()).collect::<Vec<_>>(), ["red"]);
}

#[test]
fn a_lost_track_is_not_looked_at() {
    let Some(made) = classifier("vehicle", "vehicle_attributes_0039", settings(&["car"])) else { return };
    let (mut vehicle, mut book, image) = (made.expect("made"), LabelBook::new(), red_square());
    let lost = Track { lost_frames: 1, ..track(1, 2, 60.0) };
    vehicle.label(&image, &[lost], &mut book, at(0), &mut || true).expect("nothing to do");
    assert!(book.is_empty());
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let Some(made) = classifier("vehicle", "vehicle_attributes_0039", settings(&["cars"])) else { return };
    let told = made.err().expect("refused").to_string();
    assert_eq!(told, "classify.vehicle.classes: the detector has no class \"cars\" (did you mean \"car\"?)");
    let made = classifier("vehicle", "yolov8n_320", settings(&["car"])).expect("models are there");
    assert!(made.err().expect("refused").to_string().contains("yolov8n_320 is a detector"));
}

#[test]
fn labels_that_do_not_fit_the_model_are_refused() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models"));
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return;
    }
    let mut card = catalog::card("vehicle_attributes_0039", dir).expect("in the manifest");
    card.heads[0].labels = ClassNames::new(["red", "blue"]);
    let engine = infer::open(EngineChoice::Tract, &card.path, &infer::Options::default()).expect("opened");
    let told = Classifier::new("v", engine, &card, settings(&[]), &detector_classes()).err().expect("refused");
    assert!(told.to_string().contains("found 7 values in \"color\"; needed is 2"), "{told}");
}

#[test]
fn the_likeliest_class_is_found_among_odd_values() {
    assert_eq!(likeliest(&[0.1, f32::NAN, 0.7, 0.2], Activation::None), Some((2, 0.7)));
    assert_eq!(likeliest(&[f32::NAN], Activation::None), None);
    let (class, p) = likeliest(&[1000.0, 1000.0, -1000.0], Activation::Softmax).expect("a class");
    assert_eq!((class, p), (0, 0.5));
}

#[test]
fn where_there_is_no_time_for_all_tracks_each_has_its_look_in_turn() {
    let Some(made) = classifier("vehicle", "vehicle_attributes_0039", settings(&["car"])) else { return };
    let (mut vehicle, mut book, image) = (made.expect("made"), LabelBook::new(), red_square());
    let seen: Vec<_> = (1..=5).map(|id| track(id, 2, 60.0)).collect();
    let mut looked_at = |secs: u64, most: usize| {
        let mut left = most;
        let mut may_look = || left.checked_sub(1).map(|less| left = less).is_some();
        vehicle.label(&image, &seen, &mut book, at(secs), &mut may_look).expect("looked");
        seen.iter().map(|t| book.labels(t.id).first().map_or(0, |l| l.votes)).collect::<Vec<_>>()
    };
    assert_eq!(looked_at(0, 2), [1, 1, 0, 0, 0]);
    assert_eq!(looked_at(1, 2), [1, 1, 1, 1, 0], "though the first two are due again");
    assert_eq!(looked_at(2, 2), [2, 1, 1, 1, 1]);
    assert_eq!(looked_at(3, 9), [2, 2, 2, 2, 2]);
}
