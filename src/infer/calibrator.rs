//! Measures which values a model's tensors take on pictures, for 8-bit engines to choose scales by.
//!
//! Belongs here: one float run a picture, and what becomes of many. Does not: where pictures come from and how they fill the input (see
//! `cli/calibrate.rs`), the file (see `calibration`).

use std::path::{Path, PathBuf};

use super::calibration::{Calibration, TensorRange};
use super::catalog::sha256_of_bytes;
use super::tract::{self, ranges};
use super::{InferError, onnx};

/// A float model that is shown pictures, one at a time. Of each run only the tensors' ranges are kept.
pub struct Calibrator {
    model: ranges::Watched,
    path: PathBuf,
    sha256: String,
    input_chw: [usize; 3],
    images: usize,
    tensors: Vec<Seen>,
}

/// What one tensor was seen to hold.
#[derive(Debug, Clone, Copy)]
struct Seen {
    min: f32,
    max: f32,
    sum_of_min: f64,
    sum_of_max: f64,
    /// On how many pictures it had values.
    times: usize,
}

const NEVER: Seen = Seen { min: f32::INFINITY, max: f32::NEG_INFINITY, sum_of_min: 0.0, sum_of_max: 0.0, times: 0 };

impl Calibrator {
    /// Loads a model.
    ///
    /// # Errors
    /// When the file cannot be read, is no model that takes one picture, or cannot be run in float32.
    pub fn open(model: &Path, threads: usize) -> Result<Self, InferError> {
        let bytes = std::fs::read(model).map_err(|source| InferError::Unreadable { path: model.to_owned(), source })?;
        let input = onnx::read(&bytes).and_then(|header| header.image_input());
        let input = input.map_err(|source| InferError::Model { path: model.to_owned(), source })?;
        let sha256 = sha256_of_bytes(&bytes);
        let loaded = ranges::load(bytes, &input, threads);
        let watched =
            loaded.map_err(|reason| InferError::Load { engine: tract::NAME, path: model.to_owned(), reason })?;
        let tensors = vec![NEVER; watched.names().len()];
        Ok(Self { model: watched, path: model.to_owned(), sha256, input_chw: input.chw, images: 0, tensors })
    }

    /// Input channels, height and width.
    pub fn input_chw(&self) -> [usize; 3] {
        self.input_chw
    }

    /// Where to write the next picture: floats, channel after channel.
    pub fn input(&mut self) -> &mut [f32] {
        self.model.input()
    }

    /// Runs the model on the picture in its input and takes the ranges down.
    ///
    /// # Errors
    /// When the run fails; the picture does not count then.
    pub fn look(&mut self) -> Result<(), InferError> {
        let ranges = self.model.run().map_err(|reason| InferError::Run { engine: tract::NAME, reason })?;
        for (seen, range) in self.tensors.iter_mut().zip(ranges) {
            if let Some(range) = range {
                seen.note(range);
            }
        }
        self.images += 1;
        Ok(())
    }

    /// The calibration, and the tensors left out of it because a value was not finite.
    pub fn finish(self) -> (Calibration, Vec<String>) {
        let seen = self.model.names().iter().zip(&self.tensors).filter(|(_, seen)| seen.times > 0);
        let all = seen.map(|(name, seen)| (name.clone(), seen.range()));
        let (sound, odd): (Vec<_>, Vec<_>) = all.partition(|(_, range)| range.is_sound());
        let tensors = sound.into_iter().collect();
        let odd = odd.into_iter().map(|(name, _)| name).collect();
        (Calibration::new(&self.path, self.sha256, self.images, tensors), odd)
    }
}

impl Seen {
    fn note(&mut self, (least, most): ranges::Range) {
        // These forget a NaN; the sums keep it, and a range without sense is left out at the end.
        self.min = self.min.min(least);
        self.max = self.max.max(most);
        self.sum_of_min += f64::from(least);
        self.sum_of_max += f64::from(most);
        self.times += 1;
    }

    fn range(&self) -> TensorRange {
        let mean = |sum: f64| (sum / self.times as f64) as f32;
        TensorRange { min: self.min, max: self.max, mean_min: mean(self.sum_of_min), mean_max: mean(self.sum_of_max) }
    }
}

#[cfg(test)]
#[path = "calibrator_tests.rs"]
mod tests;
