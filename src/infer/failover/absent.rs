//! What stands where an engine was, while no other is loaded: it refuses every frame, in words.

use crate::infer::{Engine, InferError, InputMut, ModelShape};
use crate::pixels::{Drawing, Normalise, Place};
use crate::types::Pixels;

pub(super) struct Absent {
    shape: ModelShape,
    max_batch: usize,
    was: &'static str,
    reason: String,
    /// Taken by callers that write their input themselves; made when one does.
    input: Vec<f32>,
    outputs: Vec<Vec<f32>>,
}

impl Absent {
    pub(super) fn new(shape: ModelShape, max_batch: usize, was: &'static str, reason: &str) -> Self {
        let outputs = shape.outputs.iter().map(|o| vec![0.0; o.dims.iter().product()]).collect();
        Self { shape, max_batch, was, reason: reason.to_owned(), input: Vec::new(), outputs }
    }

    fn refusal(&self) -> InferError {
        let reason = format!("{} (and no other engine is loaded)", self.reason);
        InferError::Lost { engine: self.was, reason }
    }
}

impl Engine for Absent {
    fn name(&self) -> &'static str {
        "none"
    }

    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        self.input.resize(self.shape.input_chw.iter().product(), 0.0);
        InputMut::F32Nchw(&mut self.input)
    }

    fn draw(&mut self, _slot: usize, _drawing: &Drawing<'_>) -> Result<(), InferError> {
        Err(self.refusal())
    }

    fn draw_frame(&mut self, _: usize, _: &dyn Pixels, _: Place, _: &Normalise) -> Result<(), InferError> {
        Err(self.refusal())
    }

    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        Err(self.refusal())
    }

    fn output(&self, output: usize, _slot: usize) -> &[f32] {
        &self.outputs[output]
    }
}
