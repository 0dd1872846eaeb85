//! What a user of the detector relies on, with an engine whose answers are written down.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::infer::{Input, InputMut, ModelShape, OutputShape, QuantisedInput};
use crate::pixels::{ChannelOrder, Normalise, Placement};
use crate::types::RgbImage;

/// Says the same whatever it is shown.
struct Parrot {
    shape: ModelShape,
    input: Vec<f32>,
    head: Vec<f32>,
}

impl Engine for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.input)
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.head
    }
}

/// Takes codes, of which it keeps a copy that a test can see, and tells those places alone that it was asked for.
struct Terse {
    shape: ModelShape,
    codes: Vec<u8>,
    shown: Arc<Mutex<Vec<u8>>>,
    head: Vec<f32>,
    focus: Option<Focus>,
    places: Vec<f32>,
}

impl Engine for Terse {
    fn name(&self) -> &'static str {
        "terse"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        let (row_bytes, codes) = (64 * 4, self.codes.as_mut_slice());
        InputMut::U8Nhwc(QuantisedInput { codes, row_bytes, pixel_bytes: 4, scale: 1.0 / 255.0, zero: 0 })
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        let focus = self.focus.as_ref().expect("a detector says what it will read");
        let dims = &self.shape.outputs[0].dims;
        self.shown.lock().expect("no test panicked").clone_from(&self.codes);
        self.places.clear();
        for place in 0..dims[1] {
            let at = |row: usize| self.head[row * dims[1] + place];
            if (4..dims[0]).any(|row| focus.wants(row - 4) && at(row) >= focus.confidence) {
                let value = |row: usize| if row < 4 || focus.wants(row - 4) { at(row) } else { 0.0 };
                self.places.extend((0..dims[0]).map(value));
            }
        }
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &[]
    }
    fn focus(&mut self, focus: Option<&Focus>) {
        self.focus = focus.cloned();
    }
    fn places(&self, _slot: usize) -> Option<&[f32]> {
        self.focus.as_ref().map(|_| self.places.as_slice())
    }
}

/// A parrot whose runs fail so often, the engine being lost each time.
struct Fickle {
    parrot: Box<dyn Engine>,
    losses: usize,
    /// Pictures drawn, runs tried.
    seen: Arc<Mutex<(usize, usize)>>,
}

impl Engine for Fickle {
    fn name(&self) -> &'static str {
        "fickle"
    }
    fn shape(&self) -> &ModelShape {
        self.parrot.shape()
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, slot: usize) -> InputMut<'_> {
        self.seen.lock().expect("no test panicked").0 += 1;
        self.parrot.input(slot)
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        let mut seen = self.seen.lock().expect("no test panicked");
        seen.1 += 1;
        let lost = || InferError::Lost { engine: "fickle", reason: "gone".to_owned() };
        if seen.1 <= self.losses { Err(lost()) } else { Ok(()) }
    }
    fn output(&self, output: usize, slot: usize) -> &[f32] {
        self.parrot.output(output, slot)
    }
}

#[test]
fn a_picture_is_drawn_once_more_when_the_engine_was_lost_and_not_a_third_time() {
    for (losses, sees) in [(1, true), (9, false)] {
        let seen = Arc::default();
        let fickle = Fickle { parrot: parrot(3, &[6, 3], &HEAD), losses, seen: Arc::clone(&seen) };
        let mut detector = Detector::new(Box::new(fickle), &card(), &settings(&[])).expect("a detector");
        let picture = RgbImage { width_px: 64, height_px: 64, data: vec![0; 3 * 64 * 64] };
        let found = detector.detect(&picture, &Clock::start(), &StageMetrics::default());
        assert_eq!(found.is_ok_and(|found| !found.is_empty()), sees);
        assert_eq!(*seen.lock().expect("no test panicked"), (2, 2));
    }
}

fn terse(dims: &[usize], head: &[f32], shown: &Arc<Mutex<Vec<u8>>>) -> Box<dyn Engine> {
    let outputs = vec![OutputShape { name: "output0".to_owned(), dims: dims.to_vec() }];
    let shape = ModelShape { input_chw: [3, 64, 64], outputs };
    let (codes, shown) = (vec![9; 64 * 64 * 4], Arc::clone(shown));
    Box::new(Terse { shape, codes, shown, head: head.to_vec(), focus: None, places: Vec::new() })
}

fn parrot(channels: usize, dims: &[usize], head: &[f32]) -> Box<dyn Engine> {
    let outputs = vec![OutputShape { name: "output0".to_owned(), dims: dims.to_vec() }];
    let shape = ModelShape { input_chw: [channels, 64, 64], outputs };
    Box::new(Parrot { shape, input: vec![0.0; channels * 64 * 64], head: head.to_vec() })
}

fn card() -> ModelCard {
    let normalise = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };
    ModelCard {
        name: "toy".to_owned(),
        path: PathBuf::from("toy.onnx"),
        kind: Kind::Detector,
        licence: None,
        input: Input { normalise, placement: Placement::Centered },
        head: DetectorHead::Yolov8,
        classes: ClassNames::new(["person", "car"]),
        confidence: 0.25,
        nms_iou: 0.7,
        heads: Vec::new(),
        note: None,
    }
}

fn settings(classes: &[&str]) -> Settings {
    let classes = classes.iter().map(|c| (*c).to_owned()).collect();
    Settings { confidence: None, nms_iou: None, classes, per_place: PerPlace::Best }
}

/// Three places: a person in the middle, a car that reaches beyond the left edge, a person in the padding above the picture.
const HEAD: [f32; 18] = [
    32.0, 0.0, 32.0, // cx
    32.0, 32.0, 4.0, // cy
    16.0, 16.0, 8.0, // w
    16.0, 8.0, 8.0, // h
    0.9, 0.1, 0.6, // person
    0.2, 0.8, 0.1, // car
];

fn seen(classes: &[&str]) -> Vec<Detection> {
    let mut detector = Detector::new(parrot(3, &[6, 3], &HEAD), &card(), &settings(classes)).expect("made");
    let image = RgbImage { width_px: 128, height_px: 64, data: vec![0; 128 * 64 * 3] };
    let (clock, stages) = (Clock::start(), StageMetrics::default());
    let found = detector.detect(&image, &clock, &stages).expect("detected");
    assert_eq!([&stages.letterbox, &stages.inference, &stages.decode].map(|h| h.count()), [1, 1, 1]);
    found
}

#[test]
fn boxes_come_back_in_frame_pixels_and_within_the_frame() {
    let found = seen(&[]);
    assert_eq!(found.len(), 2, "a box in the padding is none");
    assert_eq!((found[0].bbox, found[0].class), (crate::types::Rect::new(48.0, 16.0, 80.0, 48.0), 0));
    assert_eq!((found[1].bbox, found[1].class), (crate::types::Rect::new(0.0, 24.0, 16.0, 40.0), 1));
}

#[test]
fn only_wanted_classes_are_reported() {
    assert_eq!(seen(&["car"]).iter().map(|d| d.class).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_class_that_the_model_does_not_know_is_an_error_with_the_name_that_was_meant() {
    let told = Detector::new(parrot(3, &[6, 3], &HEAD), &card(), &settings(&["persn"])).err().expect("refused");
    assert_eq!(told.to_string(), "model toy has no class \"persn\" (did you mean \"person\"?)");
}

#[test]
fn tensors_that_are_no_detectors_are_refused_with_what_was_found_and_what_is_needed() {
    for (channels, dims, words) in [
        (1, &[6, 3][..], "an input of 1 channels"),
        (3, &[84, 3][..], "[84, 3]; needed is [4+C, N] with the 2 classes of its labels, that is 6 rows"),
        (3, &[3549, 7][..], "turned"),
        (3, &[1000][..], "outputs \"output0\" [1000]; needed is one output [4+C, N]"),
    ] {
        let told = Detector::new(parrot(channels, dims, &[]), &card(), &settings(&[])).err().expect("refused");
        assert!(told.to_string().contains(words), "{told}");
    }
}

#[test]
fn a_classifier_is_no_detector() {
    let card = ModelCard { kind: Kind::Classifier, ..card() };
    let told = Detector::new(parrot(3, &[6, 3], &HEAD), &card, &settings(&[])).err().expect("refused");
    assert!(matches!(told, DetectError::NotADetector { .. }));
}

#[test]
fn a_frame_whose_memory_is_too_short_is_an_error_and_the_next_one_is_seen() {
    let mut detector = Detector::new(parrot(3, &[6, 3], &HEAD), &card(), &settings(&[])).expect("made");
    let (clock, stages) = (Clock::start(), StageMetrics::default());
    let short = RgbImage { width_px: 128, height_px: 64, data: vec![0; 10] };
    assert!(matches!(detector.detect(&short, &clock, &stages), Err(DetectError::Infer(InferError::Pixels(_)))));
    let whole = RgbImage { width_px: 128, height_px: 64, data: vec![0; 128 * 64 * 3] };
    assert_eq!(detector.detect(&whole, &clock, &stages).expect("detected").len(), 2);
}

#[test]
fn an_engine_that_takes_codes_is_shown_the_letterboxed_picture() {
    let shown = Arc::default();
    let mut detector = Detector::new(terse(&[6, 3], &HEAD, &shown), &card(), &settings(&[])).expect("made");
    let image = RgbImage { width_px: 128, height_px: 64, data: [10, 20, 30].repeat(128 * 64) };
    detector.detect(&image, &Clock::start(), &StageMetrics::default()).expect("detected");
    let shown = shown.lock().expect("not poisoned");
    let pixel = |y: usize| &shown[y * 64 * 4..][..4];
    assert_eq!(
        (pixel(0), pixel(16), pixel(47), pixel(48)),
        (&[114, 114, 114, 0][..], &[10, 20, 30, 0][..], &[10, 20, 30, 0][..], &[114, 114, 114, 0][..],)
    );
}

proptest! {
    #[test]
    fn an_engine_that_tells_only_what_is_read_gives_the_same_detections(
        places in prop::collection::vec((prop::array::uniform4(0.0_f32..64.0), prop::array::uniform2(0.0_f32..1.0)), 1..40),
        confidence in 0.0_f32..1.0, chosen in 0_usize..3, every: bool,
    ) {
        let dims = [6, places.len()];
        let row = |row: usize| places.iter().map(move |(values, scores)| if row < 4 { values[row] } else { scores[row - 4] });
        let head: Vec<f32> = (0..6).flat_map(row).collect();
        let per_place = if every { PerPlace::Every } else { PerPlace::Best };
        let classes: &[&str] = [&[][..], &["car"], &["person", "car"]][chosen];
        let settings = Settings { confidence: Some(confidence), per_place, ..settings(classes) };
        let found = [parrot(3, &dims, &head), terse(&dims, &head, &Arc::default())].map(|engine| {
            let mut detector = Detector::new(engine, &card(), &settings).expect("made");
            let image = RgbImage { width_px: 128, height_px: 64, data: vec![0; 128 * 64 * 3] };
            detector.detect(&image, &Clock::start(), &StageMetrics::default()).expect("detected")
        });
        prop_assert_eq!(&found[0], &found[1]);
    }
}

/// May lose itself at its first run; who stands in takes one frame at once. As sure of both objects as the picture is bright.
struct Stacked {
    shape: ModelShape,
    inputs: Vec<Vec<f32>>,
    heads: Vec<Vec<f32>>,
    loses: bool,
    is_lost: bool,
    runs: Arc<Mutex<Vec<usize>>>,
}

impl Engine for Stacked {
    fn name(&self) -> &'static str {
        "stacked"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        if self.is_lost { 1 } else { self.inputs.len() }
    }
    fn input(&mut self, slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.inputs[slot])
    }
    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        self.runs.lock().expect("no test panicked").push(batch);
        if std::mem::take(&mut self.loses) {
            self.is_lost = true;
            return Err(InferError::Lost { engine: "stacked", reason: "fell off the bus".to_owned() });
        }
        for (input, head) in self.inputs.iter().zip(&mut self.heads).take(batch) {
            head.copy_from_slice(&[32.0, 32.0, 16.0, 16.0, input[64 * 32 + 32], 0.0]);
        }
        Ok(())
    }
    fn output(&self, _output: usize, slot: usize) -> &[f32] {
        &self.heads[slot]
    }
}

fn stacked(loses: bool) -> (Detector, Arc<Mutex<Vec<usize>>>) {
    let outputs = vec![OutputShape { name: "output0".to_owned(), dims: vec![6, 1] }];
    let runs = Arc::<Mutex<Vec<usize>>>::default();
    let engine = Stacked {
        shape: ModelShape { input_chw: [3, 64, 64], outputs },
        inputs: vec![vec![0.0; 3 * 64 * 64]; 4],
        heads: vec![vec![0.0; 6]; 4],
        loses,
        is_lost: false,
        runs: Arc::clone(&runs),
    };
    (Detector::new(Box::new(engine), &card(), &settings(&[])).expect("made"), runs)
}

fn evenly(brightness: u8, width_px: u32, height_px: u32) -> RgbImage {
    RgbImage { width_px, height_px, data: vec![brightness; (3 * width_px * height_px) as usize] }
}

#[test]
fn frames_that_go_together_have_each_their_own_letterbox_and_answer_and_one_that_cannot_be_read_costs_no_other() {
    let (mut detector, _) = stacked(false);
    let short = RgbImage { width_px: 128, height_px: 64, data: vec![0; 10] };
    let frames = [evenly(200, 64, 64), short, evenly(240, 128, 64), evenly(220, 64, 128)];
    let pixels: Vec<&dyn Pixels> = frames.iter().map(|f| f as &dyn Pixels).collect();
    let found = detector.detect_all(&pixels, &Clock::start(), &StageMetrics::default());
    let seen = |n: usize| {
        let d = found[n].as_ref().expect("seen")[0];
        ((d.score * 255.0).round() as u8, (d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2))
    };
    assert_eq!(seen(0), (200, (24.0, 24.0, 40.0, 40.0)));
    assert!(matches!(found[1], Err(DetectError::Infer(InferError::Pixels(_)))));
    assert_eq!(seen(2), (240, (48.0, 16.0, 80.0, 48.0)));
    assert_eq!(seen(3), (220, (16.0, 48.0, 48.0, 80.0)));
}

#[test]
fn frames_whose_engine_is_lost_are_computed_by_the_one_that_stands_in_though_it_takes_fewer_at_once() {
    let (mut detector, runs) = stacked(true);
    let frames = [evenly(200, 64, 64), evenly(210, 64, 64), evenly(220, 64, 64)];
    let pixels: Vec<&dyn Pixels> = frames.iter().map(|f| f as &dyn Pixels).collect();
    let found = detector.detect_all(&pixels, &Clock::start(), &StageMetrics::default());
    let scores: Vec<_> = found.iter().map(|f| (f.as_ref().expect("seen")[0].score * 255.0).round() as u8).collect();
    assert_eq!(scores, [200, 210, 220]);
    assert_eq!(*runs.lock().expect("no panic"), [3, 1, 1, 1]);
    assert_eq!(detector.max_batch(), 1);
}
