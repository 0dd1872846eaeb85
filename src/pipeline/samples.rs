//! An analyst for tests, around an engine of theirs that sees persons.

use std::path::PathBuf;
use std::sync::Arc;

use super::analyst::Analyst;
use crate::detect::{Detector, PerPlace, Settings};
use crate::infer::{DetectorHead, Engine, InferError, Input, InputMut, Kind, ModelCard, ModelShape, OutputShape};
use crate::pixels::{ChannelOrder, Normalise, Placement};
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::types::ClassNames;

/// A model of one class and one place, whose input is a square.
pub(super) fn shape(side_px: usize) -> ModelShape {
    let outputs = vec![OutputShape { name: "out".to_owned(), dims: vec![5, 1] }];
    ModelShape { input_chw: [3, side_px, side_px], outputs }
}

/// Sees nothing, ever.
struct Blind(ModelShape, Vec<f32>);

impl Engine for Blind {
    fn name(&self) -> &'static str {
        "blind"
    }
    fn shape(&self) -> &ModelShape {
        &self.0
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.1)
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &[0.0; 5]
    }
}

/// A detector of this name.
pub(super) fn detector(name: &str) -> Detector {
    named(name, Box::new(Blind(shape(8), vec![0.0; 3 * 8 * 8])), 0.25)
}

/// Believes the engine from this confidence on, and has no second stage.
pub(super) fn analyst(engine: Box<dyn Engine>, confidence: f32) -> Analyst {
    let detector = named(engine.name(), engine, confidence);
    Analyst::new(detector, Vec::new(), Arc::<Metrics>::default(), Clock::start())
}

fn named(name: &str, engine: Box<dyn Engine>, confidence: f32) -> Detector {
    let normalise = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };
    let card = ModelCard {
        name: name.to_owned(),
        path: PathBuf::from("sample.onnx"),
        kind: Kind::Detector,
        licence: None,
        input: Input { normalise, placement: Placement::Centered },
        head: DetectorHead::Yolov8,
        classes: ClassNames::new(["person"]),
        confidence,
        nms_iou: 0.7,
        heads: Vec::new(),
        note: None,
    };
    let settings = Settings { confidence: None, nms_iou: None, classes: Vec::new(), per_place: PerPlace::Best };
    Detector::new(engine, &card, &settings).expect("a detector")
}
