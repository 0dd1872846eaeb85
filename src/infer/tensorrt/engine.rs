//! A plan at work: pictures in, numbers out, on a stream of its own.
//!
//! Belongs here: what happens in which order for a run. Does not: how a picture is drawn (see `letterbox`), memory and streams (see
//! `cuda`), where the plan comes from (see `builder`). Another engine on the same GPU runs beside this one: the copies and the processor's
//! work of one overlap with the computing of the other.

use std::sync::Arc;
use std::time::Duration;

use super::cuda::{Device, DeviceBuffer, Direction, PinnedBuffer, Stream, Transfer};
use super::failure::Failure;
use super::graphs::{Drawn, Graphs};
use super::letterbox::Painter;
use super::nvinfer::{Context, Plan};
use super::on_device::OnDevice;
use super::tensors::{Layout, Tensors};
use crate::infer::onnx::Header;
use crate::infer::{Engine, InferError, InputMut, ModelShape, TENSORRT as NAME};
use crate::pixels::{Drawing, Normalise, Place};
use crate::runtime::Clock;
use crate::types::Pixels;

/// A run that takes longer will not come back: the largest detectors take some hundred milliseconds on the smallest boards, and a GPU that
/// failed is to be replaced within five seconds.
const DONE_WITHIN: Duration = Duration::from_secs(3);
/// The first run of a plan loads its kernels.
const FIRST_DONE_WITHIN: Duration = Duration::from_secs(60);

/// What an engine is made of.
pub(super) struct Parts {
    pub device: Arc<Device>,
    pub plan: OnDevice<Arc<Plan>>,
    pub tensors: Tensors,
    pub max_batch: usize,
    pub remark: Option<String>,
    pub clock: Clock,
}

/// An engine on one GPU. The fields are dropped in this order: first what uses the others.
pub(super) struct GpuEngine {
    graphs: Graphs,
    work: Work,
    stream: Stream,
    shape: ModelShape,
    max_batch: usize,
    remark: Option<String>,
    clock: Clock,
    device: Arc<Device>,
}

/// What a run is made of.
struct Work {
    context: OnDevice<Context>,
    slots: Vec<Slot>,
    floats: PinnedBuffer,
    input: DeviceBuffer,
    /// Of the input, on both sides.
    layout: Layout,
    outputs: Vec<Output>,
    tensors: Tensors,
}

/// Where the next run's picture in one slot comes from.
struct Slot {
    painter: Painter,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Numbers that the caller wrote.
    Floats,
    /// Planes of a picture, drawn by the GPU.
    Planes,
    /// A frame that the GPU reads where it lies. Drawn before the run, since a recording would hold one buffer's address.
    Surface,
}

struct Output {
    name: String,
    layout: Layout,
    transfer: Transfer,
}

impl Slot {
    fn drawn(&self) -> Drawn {
        match self.source {
            Source::Floats => Drawn::Floats,
            Source::Planes => Drawn::Planes(self.painter.kind()),
            Source::Surface => Drawn::Surface,
        }
    }
}

impl Work {
    /// Everything that a run is, onto the stream, but for outputs that the driver copies by itself.
    fn enqueue(&mut self, stream: &Stream, batch: usize) -> Result<(), Failure> {
        for (i, slot) in self.slots.iter_mut().take(batch).enumerate() {
            let at = self.layout.at(i);
            match slot.source {
                Source::Floats => stream.copy_to_device(&self.floats, self.layout.bytes(i), &self.input, at)?,
                Source::Planes => slot.painter.enqueue(stream, self.input.address() + at as u64)?,
                Source::Surface => {}
            }
        }
        for first in (0..batch).step_by(self.tensors.at_once) {
            self.tensors.set(&mut self.context, self.tensors.at_once.min(batch - first))?;
            self.context.bind(&self.tensors.input, self.input.address() + self.layout.at(first) as u64)?;
            for output in &self.outputs {
                let at = output.layout.at(first) as u64;
                self.context.bind(&output.name, output.transfer.device_address() + at)?;
            }
            self.context.enqueue(stream.raw())?;
        }
        for output in self.outputs.iter_mut().filter(|o| !o.transfer.is_pageable()) {
            output.transfer.enqueue_first(stream, output.layout.end(batch))?;
        }
        Ok(())
    }

    /// Waits until the outputs are there.
    fn finish(&mut self, stream: &Stream, batch: usize, within: Duration, clock: &Clock) -> Result<(), Failure> {
        stream.wait(within, clock)?;
        // The driver would have waited without end for the computing, so that it is asked for these only now.
        let late: Vec<_> = self.outputs.iter_mut().filter(|o| o.transfer.is_pageable()).collect();
        if late.is_empty() {
            return Ok(());
        }
        for output in late {
            output.transfer.enqueue_first(stream, output.layout.end(batch))?;
        }
        stream.wait(DONE_WITHIN, clock)
    }

    /// Draws the frames that are read where they lie.
    fn enqueue_surfaces(&mut self, stream: &Stream, batch: usize) -> Result<(), Failure> {
        for (i, slot) in self.slots.iter_mut().take(batch).enumerate() {
            if slot.source == Source::Surface {
                slot.painter.enqueue(stream, self.input.address() + self.layout.at(i) as u64)?;
            }
        }
        Ok(())
    }

    /// Whether one shape serves the whole run: a graph holds one.
    fn is_one_shape(&self, batch: usize) -> bool {
        batch <= self.tensors.at_once || batch.is_multiple_of(self.tensors.at_once)
    }
}

impl GpuEngine {
    /// Takes memory and runs once, so that whatever fails at first fails now.
    pub(super) fn new(parts: Parts, header: &Header) -> Result<Self, Failure> {
        let Parts { device, plan, tensors, max_batch, remark, clock } = parts;
        let entered = device.enter()?;
        let mut context = OnDevice::new(plan.context()?, &device);
        let shape = tensors.shape(&mut context, header)?;
        let layout = Layout::new(tensors.at_once, tensors.input_len);
        let outputs = shape.outputs.iter().map(|o| {
            let layout = Layout::new(tensors.at_once, o.dims.iter().product());
            let transfer = Transfer::new(&device, layout.end(max_batch), Direction::ToHost)?;
            Ok(Output { name: o.name.clone(), layout, transfer })
        });
        let slot = || Ok(Slot { painter: Painter::new(&device)?, source: Source::Floats });
        let mut work = Work {
            context,
            slots: (0..max_batch).map(|_| slot()).collect::<Result<_, Failure>>()?,
            floats: PinnedBuffer::new(&device, layout.end(max_batch))?,
            input: DeviceBuffer::new(&device, layout.end(max_batch))?,
            layout,
            outputs: outputs.collect::<Result<_, Failure>>()?,
            tensors,
        };
        let stream = Stream::new(&device)?;
        work.enqueue(&stream, 1)?;
        work.finish(&stream, 1, FIRST_DONE_WITHIN, &clock)?;
        let graphs = Graphs::new(device.has_graphs());
        drop(entered);
        Ok(Self { graphs, work, stream, shape, max_batch, remark, clock, device })
    }

    fn run_on_gpu(&mut self, batch: usize) -> Result<(), Failure> {
        let _entered = self.device.enter()?;
        let Self { graphs, work, stream, .. } = self;
        let run: Vec<Drawn> = work.slots.iter().take(batch).map(Slot::drawn).collect();
        work.enqueue_surfaces(stream, batch)?;
        if let Some(graph) = graphs.find(&run) {
            stream.launch(graph)?;
            return work.finish(stream, batch, DONE_WITHIN, &self.clock);
        }
        work.enqueue(stream, batch)?;
        work.finish(stream, batch, DONE_WITHIN, &self.clock)?;
        // Recorded after a run of its own: TensorRT does some of a shape's work in the first run that has it.
        if !work.is_one_shape(batch) || !graphs.is_worth_it(&run) {
            return Ok(());
        }
        match stream.capture(&mut || work.enqueue(stream, batch)) {
            Ok(graph) => graphs.keep(run, graph),
            Err(e) if e.is_fatal() => return Err(e),
            Err(e) => {
                log::info!(stage = "engine"; "runs are not recorded as graphs: {e}");
                graphs.give_up();
            }
        }
        Ok(())
    }

    /// What the failure means for whoever runs frames: after a fatal one nothing more is asked of this GPU.
    fn told(&self, failure: Failure) -> InferError {
        // TensorRT does not pass on what the driver told it; the driver itself tells again.
        let asked = self.device.free_bytes();
        let gpu = format!("GPU {} ({})", self.device.ordinal(), self.device.name());
        let reason = match (&failure, asked) {
            (Failure::Tensorrt { .. }, Err(driver)) if driver.is_fatal() => format!("{gpu}: {failure}; {driver}"),
            _ => format!("{gpu}: {failure}"),
        };
        if failure.is_fatal() || self.device.is_lost() {
            self.device.set_lost();
            return InferError::Lost { engine: NAME, reason };
        }
        InferError::Run { engine: NAME, reason }
    }
}

impl Engine for GpuEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn input(&mut self, slot: usize) -> InputMut<'_> {
        self.work.slots[slot].source = Source::Floats;
        let range = self.work.layout.floats(slot);
        InputMut::F32Nchw(&mut self.work.floats.floats_mut()[range])
    }

    fn draw(&mut self, slot: usize, drawing: &Drawing<'_>) -> Result<(), InferError> {
        let [_, h, w] = self.shape.input_chw;
        let prepared = match self.device.enter() {
            Ok(_entered) => self.work.slots[slot].painter.prepare(drawing, (w, h)),
            Err(e) => return Err(self.told(e)),
        };
        self.work.slots[slot].source = Source::Planes;
        match prepared {
            Err(InferError::Run { .. }) if self.device.is_lost() => Err(self.told(Failure::Lost)),
            done => done,
        }
    }

    fn draw_frame(
        &mut self,
        slot: usize,
        pixels: &dyn Pixels,
        place: Place,
        norm: &Normalise,
    ) -> Result<(), InferError> {
        let Some(surface) = pixels.surface() else {
            return self.draw(slot, &Drawing { view: &pixels.view(), place, norm });
        };
        let [_, h, w] = self.shape.input_chw;
        let prepared = match self.device.enter() {
            Ok(_entered) => self.work.slots[slot].painter.prepare_surface(Arc::clone(&surface), (place, norm), (w, h)),
            Err(e) => return Err(self.told(e)),
        };
        match prepared {
            Err(InferError::Run { .. }) if self.device.is_lost() => Err(self.told(Failure::Lost)),
            Err(InferError::Run { reason, .. }) => {
                surface.refuse(&reason);
                self.draw(slot, &Drawing { view: &pixels.view(), place, norm })
            }
            done => {
                self.work.slots[slot].source = Source::Surface;
                done
            }
        }
    }

    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        let batch = batch.min(self.max_batch);
        let mut done = self.run_on_gpu(batch);
        if done.as_ref().is_err_and(|e| !e.is_fatal()) && !self.device.is_lost() {
            // Something of the run may be under way, and reads what is let go of below.
            done = self.stream.wait(DONE_WITHIN, &self.clock).and(done);
        }
        // Decoders have few buffers.
        self.work.slots.iter_mut().for_each(|slot| slot.painter.release());
        done.map_err(|e| self.told(e))
    }

    fn output(&self, output: usize, slot: usize) -> &[f32] {
        let Output { layout, transfer, .. } = &self.work.outputs[output];
        &transfer.floats()[layout.floats(slot)]
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }
}
