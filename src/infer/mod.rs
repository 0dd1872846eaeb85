//! Engines that run models. The trait stands here; each engine has one file or folder of its own and is named nowhere else.
//!
//! Belongs here: tensors in, tensors out, what a model file says of itself, what the manifest knows of it. Does not: what the numbers
//! mean (see `detect`, `classify`), threads of the pipeline.

use std::path::PathBuf;

use crate::pixels::{CodesMut, Drawing, Normalise, PixelError, Place};
use crate::runtime::Clock;
use crate::types::Pixels;

pub mod calibration;
mod calibrator;
pub mod catalog;
mod failover;
pub mod manifest;
pub mod onnx;
mod int8;
mod joint;
mod open;
mod options;
mod progress;
mod tensorrt;
mod tract;

pub use calibrator::Calibrator;
pub use catalog::{Activation, CatalogError, ClassifierHead, DetectorHead, Input, Kind, ModelCard};
pub use failover::{Change, Failover};
pub use int8::LayerCost;
pub use open::{input_chw, open};
pub use options::{FillPicture, Gpu, Options};
pub use progress::Progress;

/// The name of the engine that computes on an NVIDIA GPU.
pub const TENSORRT: &str = "tensorrt";

/// Whether this build was to have it; whether it has, its headers decided.
const IS_TENSORRT_WANTED: bool = cfg!(feature = "tensorrt");

/// The type and layout in which an engine wants its input. Letterbox and crop write it directly.
#[derive(Debug)]
pub enum InputMut<'a> {
    /// 32-bit floats, channel after channel (NCHW), values already scaled as the model's manifest says.
    F32Nchw(&'a mut [f32]),
    /// 8-bit codes, pixel after pixel (NHWC).
    U8Nhwc(QuantisedInput<'a>),
}

/// 8-bit codes, pixel after pixel: channel `c` of the pixel (x, y) stands at `codes[y * row_bytes + x * pixel_bytes + c]`.
/// A code means `(code - zero) * scale`, where a float tensor would have that value.
#[derive(Debug)]
pub struct QuantisedInput<'a> {
    /// The memory, from the first pixel on.
    pub codes: &'a mut [u8],
    /// From one row to the next; at least a row's pixels. What lies between two rows is the engine's.
    pub row_bytes: usize,
    /// From one pixel to the next; at least the model's channels. Those that are left over hold `zero`.
    pub pixel_bytes: usize,
    /// What one step of a code is worth.
    pub scale: f32,
    /// The code of the value 0.
    pub zero: u8,
}

impl<'a> From<QuantisedInput<'a>> for CodesMut<'a> {
    fn from(input: QuantisedInput<'a>) -> Self {
        let QuantisedInput { codes, row_bytes, pixel_bytes, scale, zero } = input;
        Self { codes, row_bytes, pixel_bytes, scale, zero }
    }
}

/// What of a detector's output a caller is going to read, so that an engine can leave out the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Focus {
    /// The least score that counts.
    pub confidence: f32,
    /// For each class whether it is wanted; None wants all.
    pub classes: Option<Vec<bool>>,
}

impl Focus {
    /// Whether a class is to be read; one that the list does not reach is not.
    pub fn wants(&self, class: usize) -> bool {
        self.classes.as_ref().is_none_or(|classes| classes.get(class).copied().unwrap_or(false))
    }
}

impl InputMut<'_> {
    /// Writes the same values at the same pixels, whichever the type and layout: `value` of the number that a pixel's channel has
    /// in a tensor [channels, height, width].
    pub fn fill(self, [channels, h, w]: [usize; 3], value: impl Fn(usize) -> f32) {
        match self {
            InputMut::F32Nchw(tensor) => tensor.iter_mut().enumerate().for_each(|(i, v)| *v = value(i)),
            InputMut::U8Nhwc(input) => {
                let out = CodesMut::from(input);
                for i in 0..channels * h * w {
                    let (c, y, x) = (i / (h * w), i / w % h, i % w);
                    out.codes[y * out.row_bytes + x * out.pixel_bytes + c] = out.code(value(i));
                }
            }
        }
    }
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

    /// How many inputs one run takes at most. Where another engine may stand in, it is asked for anew after the first drawing of a run:
    /// until that run it holds.
    fn max_batch(&self) -> usize;

    /// Where to write input number `slot` (below `max_batch`) of the next run.
    fn input(&mut self, slot: usize) -> InputMut<'_>;

    /// Draws a picture into input number `slot`. Engines that can do so where they compute have a way of their own; what they draw
    /// is the same to the last digit.
    ///
    /// # Errors
    /// When the picture's planes are too short, or the engine fails; after [`InferError::Lost`] all pictures of the run are to be drawn
    /// again, once.
    fn draw(&mut self, slot: usize, drawing: &Drawing<'_>) -> Result<(), InferError> {
        match self.input(slot) {
            InputMut::F32Nchw(tensor) => drawing.f32_nchw(tensor)?,
            InputMut::U8Nhwc(input) => drawing.u8_nhwc(&mut input.into())?,
        }
        Ok(())
    }

    /// Draws a frame into input number `slot`, as [`Engine::draw`] does. Engines that can read a frame where its decoder wrote it do so;
    /// for all others it is brought to the processor.
    ///
    /// # Errors
    /// As [`Engine::draw`].
    fn draw_frame(
        &mut self,
        slot: usize,
        pixels: &dyn Pixels,
        place: Place,
        norm: &Normalise,
    ) -> Result<(), InferError> {
        self.draw(slot, &Drawing { view: &pixels.view(), place, norm })
    }

    /// Runs the first `batch` inputs.
    ///
    /// # Errors
    /// When the engine fails; the next run may be tried. After [`InferError::Lost`] another engine may stand in: whoever still has the
    /// pictures draws them again and runs again, once.
    fn run(&mut self, batch: usize) -> Result<(), InferError>;

    /// Output number `output` for input number `slot` of the last run, row-major without the batch dimension.
    /// Before the first run it is zeros; it always has the length that [`Engine::shape`] tells.
    /// An engine that gives [`Engine::places`] may leave it stale.
    fn output(&self, output: usize, slot: usize) -> &[f32];

    /// Says what will be read of a detector's head from the next run on; None: all of it. An engine that cannot make use of it
    /// gives the whole output as before.
    fn focus(&mut self, _focus: Option<&Focus>) {}

    /// The places of the head of input `slot` whose best wanted score reaches the confidence, in the head's order, one after the other:
    /// each cx, cy, w, h and then a score for every class (0 for unwanted ones). Empty before the first run.
    /// None while no focus is set, and from engines that give whole outputs only: then [`Engine::output`] is to be read.
    fn places(&self, _slot: usize) -> Option<&[f32]> {
        None
    }

    /// Why this engine runs the model and not the one that was meant; one line for whoever chose.
    fn remark(&self) -> Option<&str> {
        None
    }

    /// What of the model is computed how, for people; None from engines that have nothing to tell.
    fn explain(&self) -> Option<&Explanation> {
        None
    }

    /// How long each layer takes alone on one thread, the median of so many runs on the present input.
    fn costs(&mut self, _runs: usize, _clock: &Clock) -> Costs {
        Costs::default()
    }
}

/// What layers cost, and what they could.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Costs {
    /// In the order of computation; empty from engines that cannot tell.
    pub layers: Vec<LayerCost>,
    /// Products a second of the instruction that makes them, in a loop of nothing else; None where that is not known.
    pub peak_macs_per_s: Option<f64>,
}

/// How an engine computes a model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The kernel that does the products.
    pub kernel: &'static str,
    /// Operators in the file.
    pub nodes: usize,
    /// Layers that they became.
    pub layers: usize,
    /// What happens after the last of them.
    pub rest: String,
    /// What is not done in 8 bits, and why.
    pub refused: Vec<String>,
    /// Memory for all tensors of a frame.
    pub arena_bytes: usize,
}

/// Whether this build and device have an engine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EngineProbe {
    /// The name that `--engine` takes.
    pub name: &'static str,
    /// Whether models can be opened with it.
    pub available: bool,
    /// What it runs on, or why it is not there.
    pub detail: String,
}

/// The engines by name, the best one first.
pub fn probe() -> Vec<EngineProbe> {
    let gpu = tensorrt::probe();
    vec![
        EngineProbe {
            name: TENSORRT,
            available: gpu.is_ok(),
            detail: gpu.unwrap_or_else(|failure| failure.to_string()),
        },
        EngineProbe {
            name: joint::NAME,
            available: true,
            detail: format!("8 bits on the CPU, kernel {}", int8::best_kernel()),
        },
        EngineProbe { name: tract::NAME, available: true, detail: "ONNX on the CPU, float32".to_owned() },
    ]
}

/// Whether engines of this build and device can read frames where a decoder wrote them.
///
/// # Errors
/// Why not, in words.
pub fn takes_surfaces() -> Result<(), String> {
    tensorrt::takes_surfaces().map_err(|failure| failure.to_string())
}

/// Why a model cannot be had or run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The file cannot be read.
    #[error("{}: the model cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a model that can be used.
    #[error("{}: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: onnx::OnnxError,
    },
    /// The engine does not take the model.
    #[error("{}: engine {engine} cannot load the model: {reason}", path.display())]
    Load {
        /// Which engine.
        engine: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The engine does not take the model now, and may another time: its device is ill, or short of memory.
    #[error("{}: engine {engine} cannot load the model now: {reason}", path.display())]
    Unready {
        /// Which engine.
        engine: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The picture's pixels cannot be read.
    #[error("the picture cannot be read: {0}")]
    Pixels(#[from] PixelError),
    /// The engine failed while it ran.
    #[error("{engine}: {reason}")]
    Run {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// The engine will not run again, and what was drawn is gone with it.
    #[error("{engine} is lost: {reason}")]
    Lost {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
}

impl InferError {
    /// Whether it is worth drawing the same pictures again: another engine may have taken the place of the one that was lost.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// Whether the same may go well another time.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unready { .. })
    }
}

#[cfg(test)]
mod tests;
