//! Engines that run models. The trait stands here; each engine has one file or folder of its own and is named nowhere else.
//!
//! Belongs here: tensors in, tensors out. Does not: what the numbers mean (see `detect`, `classify`), threads of the pipeline.

/// The type and layout in which an engine wants its input. Letterbox and crop write it directly.
#[derive(Debug)]
pub enum InputMut<'a> {
    /// 32-bit floats, channel after channel (NCHW), values already scaled as the model's manifest says.
    F32Nchw(&'a mut [f32]),
}

/// What a model takes and gives, as found in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelShape {
    /// Input channels, height and width.
    pub input_chw: [usize; 3],
    /// Name and shape of each output, the batch dimension left out.
    pub outputs: Vec<OutputShape>,
}

/// One output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputShape {
    /// The name in the file.
    pub name: String,
    /// Dimensions without the batch.
    pub dims: Vec<usize>,
}

/// A loaded model, ready to run. Buffers are the engine's and are reused: after the first frame nothing is allocated by it that a
/// caller could avoid.
pub trait Engine: Send {
    /// "tract", "int8" …
    fn name(&self) -> &'static str;

    /// What the model takes and gives.
    fn shape(&self) -> &ModelShape;

    /// How many inputs one run takes at most.
    fn max_batch(&self) -> usize;

    /// Where to write input number `slot` (below `max_batch`) of the next run.
    fn input(&mut self, slot: usize) -> InputMut<'_>;

    /// Runs the first `batch` inputs.
    ///
    /// # Errors
    /// When the engine fails; the next run may be tried.
    fn run(&mut self, batch: usize) -> Result<(), InferError>;

    /// Output number `output` for input number `slot` of the last run, row-major without the batch dimension.
    fn output(&self, output: usize, slot: usize) -> &[f32];
}

/// Why a model cannot be had or run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The engine failed while it ran.
    #[error("{engine}: {reason}")]
    Run {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
}
