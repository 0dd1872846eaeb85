//! Pictures for TensorRT's own calibration: the way to 8 bits for models without scales, where TensorRT is older than 11. The table that
//! comes of it is kept, so that pictures are needed once.

use std::sync::Arc;
use std::time::Duration;

use super::builder::{Order, Site, stem};
use super::cache::{Cache, Key};
use super::cuda::{Device, Direction, Stream, Transfer};
use super::failure::Failure;
use super::network::Calibrate;
use crate::infer::catalog::sha256_of_bytes;
use crate::infer::{FillPicture, Progress};
use crate::runtime::Clock;

/// A copy to the GPU that takes longer has failed.
const COPIED_WITHIN: Duration = Duration::from_secs(5);

/// Gives one picture after the other, and remembers the table.
pub(super) struct Pictures {
    fill: Option<FillPicture>,
    number: usize,
    per_batch: usize,
    memory: Transfer,
    stream: Stream,
    device: Arc<Device>,
    cache: Option<Cache>,
    key: Key,
    name: String,
    progress: Progress,
    /// Whether the first batch lies ready.
    is_ready: bool,
}

impl Pictures {
    /// For an order that has pictures, or a table from an earlier build.
    pub(super) fn new(order: &Order<'_>, site: &Site<'_>, cache: Option<Cache>) -> Result<Self, Failure> {
        let sha256 = sha256_of_bytes(order.onnx);
        let key = Key::default().with("onnx", &sha256).with("tensorrt major", site.library.version().major);
        let name = format!("{}-{}.calibration", stem(&order.form.file), &sha256[..8]);
        let fill = order.options.gpu.pictures.clone();
        let is_known = cache.as_ref().is_some_and(|c| c.read(&name, &key).is_ok());
        if fill.is_none() && !is_known {
            return Err(Failure::Form(format!(
                "8 bits for {} take pictures to measure on: `peregrine model build {0} --precision int8 --images DIR`",
                order.form.file.display()
            )));
        }
        let bytes = order.input.chw.iter().product::<usize>() * order.max_batch * size_of::<f32>();
        let mut pictures = Self {
            fill,
            number: 0,
            per_batch: order.max_batch,
            memory: Transfer::new(site.device, bytes, Direction::ToDevice)?,
            stream: Stream::new(site.device)?,
            device: Arc::clone(site.device),
            cache,
            key,
            name,
            progress: order.options.progress.clone(),
            is_ready: false,
        };
        if pictures.fill.is_some() {
            // Before a build that takes minutes is begun in vain.
            pictures.is_ready = pictures.read();
            if !pictures.is_ready {
                let file = order.form.file.display();
                return Err(Failure::Form(format!(
                    "{file}: 8 bits are measured on pictures, and none of these can be read"
                )));
            }
        }
        Ok(pictures)
    }

    /// Reads the next batch; false when no picture is left. TensorRT takes whole batches: the last one begins again where it ends.
    fn read(&mut self) -> bool {
        let Some(fill) = &self.fill else { return false };
        let values = self.memory.len() / size_of::<f32>() / self.per_batch;
        let floats = self.memory.floats_mut();
        let mut read = 0;
        for tensor in floats.chunks_exact_mut(values) {
            if !fill(self.number, tensor) {
                break;
            }
            (self.number, read) = (self.number + 1, read + 1);
        }
        if read == 0 {
            return false;
        }
        for at in read..self.per_batch {
            let from = (at - read) * values;
            floats.copy_within(from..from + values, at * values);
        }
        true
    }

    fn copy(&mut self) -> Result<(), Failure> {
        let _entered = self.device.enter()?;
        self.memory.enqueue(&self.stream)?;
        self.stream.wait(COPIED_WITHIN, &Clock::start())
    }
}

impl Calibrate for Pictures {
    fn batch_size(&self) -> usize {
        self.per_batch
    }

    fn batch(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.is_ready) && !self.read() {
            return None;
        }
        self.progress.tell(&format!("measuring on picture {}", self.number));
        match self.copy() {
            Ok(()) => Some(self.memory.device_address()),
            Err(e) => {
                self.progress.remark(&format!("the calibration ends here: {e}"));
                None
            }
        }
    }

    fn cached(&mut self) -> Option<Vec<u8>> {
        // Who brings pictures wants them measured.
        if self.fill.is_some() {
            return None;
        }
        self.cache.as_ref()?.read(&self.name, &self.key).ok()
    }

    fn keep(&mut self, table: &[u8]) {
        if let Some(cache) = &self.cache
            && let Err(e) = cache.write(&self.name, &self.key, table)
        {
            self.progress.remark(&format!("{}: the calibration cannot be kept: {e}", cache.path(&self.name).display()));
        }
    }
}
