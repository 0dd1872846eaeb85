//! An engine of fixed cost, which may be none: it sleeps, and sees four persons who stand still.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use peregrine::infer::{DetectorHead, Engine, InferError, Input, InputMut, Kind, ModelCard, ModelShape, OutputShape};
use peregrine::pixels::{ChannelOrder, Normalise, Place, Placement};
use peregrine::runtime::{Clock, environment, threads};
use peregrine::types::{ClassNames, Pixels};

const SIDE_PX: usize = 64;
const PERSONS: usize = 4;

/// How long a run takes, and what the runs since it was set took of the processor.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    start_ns: AtomicU64,
    each_ns: AtomicU64,
    runs: AtomicU64,
    processor_ns: AtomicU64,
}

impl Pace {
    /// A batch takes the first, and the second for each of its frames.
    pub(crate) fn set(&self, (start, each): (Duration, Duration)) {
        self.start_ns.store(start.as_nanos() as u64, Relaxed);
        self.each_ns.store(each.as_nanos() as u64, Relaxed);
        self.runs.store(0, Relaxed);
        self.processor_ns.store(0, Relaxed);
    }

    fn takes(&self, batch: usize) -> Duration {
        Duration::from_nanos(self.start_ns.load(Relaxed) + self.each_ns.load(Relaxed) * batch as u64)
    }

    /// What the engine itself takes of the processor: it goes to sleep, and wakes.
    pub(crate) fn processor_a_run(&self) -> Duration {
        Duration::from_nanos(self.processor_ns.load(Relaxed) / self.runs.load(Relaxed).max(1))
    }
}

pub(crate) struct Stub {
    shape: ModelShape,
    max_batch: usize,
    input: Vec<f32>,
    head: Vec<f32>,
    clock: Clock,
    pace: Arc<Pace>,
    /// For how much longer than it should the run before has slept. The next one sleeps less, so that on average runs cost what they should.
    overslept: Duration,
}

impl Stub {
    pub(crate) fn new(max_batch: usize, clock: Clock, pace: Arc<Pace>) -> Self {
        let outputs = vec![OutputShape { name: "out".to_owned(), dims: vec![5, PERSONS] }];
        let step = (SIDE_PX / PERSONS) as f32;
        let mut head: Vec<f32> = (0..PERSONS).map(|n| (n as f32 + 0.5) * step).collect();
        for value in [SIDE_PX as f32 / 2.0, step / 2.0, step, 0.9] {
            head.extend([value; PERSONS]);
        }
        let shape = ModelShape { input_chw: [3, SIDE_PX, SIDE_PX], outputs };
        let input = vec![0.0; 3 * SIDE_PX * SIDE_PX];
        Self { shape, max_batch, input, head, clock, pace, overslept: Duration::ZERO }
    }
}

impl Engine for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        self.max_batch
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.input)
    }
    // Its cost is fixed: pictures are not read.
    fn draw_frame(&mut self, _: usize, _: &dyn Pixels, _: Place, _: &Normalise) -> Result<(), InferError> {
        Ok(())
    }
    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        let (begun, spent) = (self.clock.mono(), environment::thread_time());
        let cost = self.pace.takes(batch);
        let rest = cost.saturating_sub(self.overslept);
        if !rest.is_zero() {
            threads::pause(rest);
        }
        let took = self.clock.mono().saturating_sub(begun);
        // A machine that was away for longer than a run is not made up for.
        self.overslept = (self.overslept + took).saturating_sub(cost).min(cost);
        self.pace.runs.fetch_add(1, Relaxed);
        let spent = environment::thread_time().saturating_sub(spent);
        self.pace.processor_ns.fetch_add(spent.as_nanos() as u64, Relaxed);
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.head
    }
}

pub(crate) fn card() -> ModelCard {
    let normalise = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };
    ModelCard {
        name: "stub".to_owned(),
        path: PathBuf::from("stub.onnx"),
        kind: Kind::Detector,
        licence: None,
        input: Input { normalise, placement: Placement::Centered },
        head: DetectorHead::Yolov8,
        classes: ClassNames::new(["person"]),
        confidence: 0.25,
        nms_iou: 0.7,
        heads: Vec::new(),
        note: None,
    }
}
