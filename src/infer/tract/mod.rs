//! The engine that is always there: tract, on the CPU, in float32. The only folder that knows tract.
//!
//! Whole models stand here; `part` runs what lies between inner tensors, `ranges` watches which values tensors take.
//! A batch is run input after input: on a CPU one picture already keeps every core busy, so a plan for larger batches would only take memory.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_linalg::multithread::Executor;
use tract_onnx::Onnx;
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, RunOptions, TValue, Tensor, TractResult, TypedModel,
    TypedSimpleState, tvec,
};

use super::onnx::{Header, ImageInput};
use super::{Engine, InferError, InputMut, ModelShape, Options, OutputShape};

// Its caller is the engine that takes what it covers itself and leaves the rest to tract.
pub(super) mod part;
pub(super) mod ranges;

pub(super) const NAME: &str = "tract";

struct Tract {
    state: TypedSimpleState,
    shape: ModelShape,
    inputs: Vec<Arc<Tensor>>,
    /// One list of outputs a slot.
    outputs: Vec<Vec<TValue>>,
    /// Why it was not the engine that was meant.
    remark: Option<String>,
}

/// Loads a model whose head was already found good.
///
/// tract asserts in places where it should refuse, so a panic of its own is taken for a refusal: a bad file must not end the daemon.
pub(super) fn load(
    bytes: Vec<u8>,
    header: &Header,
    input: &ImageInput,
    options: &Options,
    remark: Option<String>,
) -> Result<impl Engine + use<>, String> {
    guarded(|| build(bytes, header, input, options)).map(|loaded| Tract { remark, ..loaded })
}

fn build(bytes: Vec<u8>, header: &Header, input: &ImageInput, options: &Options) -> TractResult<Tract> {
    let [c, h, w] = input.chw;
    let parsed = reader().model_for_read(&mut &*bytes)?;
    // As large as the weights, which are in `parsed` now: both at once are what the daemon would be remembered for in `top`.
    drop(bytes);
    let model = parsed.with_input_fact(0, f32::fact([1, c, h, w]).into())?.into_optimized()?;
    let shape = ModelShape { input_chw: input.chw, outputs: output_shapes(&model, header)? };
    let state = model.into_runnable_with_options(&run_options(options.threads))?.spawn()?;
    let zeros = |o: &OutputShape| Tensor::zero::<f32>(&o.dims).map(TValue::from);
    let outputs: Vec<_> = shape.outputs.iter().map(zeros).collect::<TractResult<_>>()?;
    let inputs = (0..options.max_batch).map(|_| Tensor::zero::<f32>(&[1, c, h, w]).map(Arc::new));
    Ok(Tract {
        state,
        inputs: inputs.collect::<TractResult<_>>()?,
        outputs: vec![outputs; options.max_batch],
        shape,
        remark: None,
    })
}

/// tract's reader of ONNX files. Shapes that the file claims may contradict a batch of one; those that follow from the input cannot.
fn reader() -> Onnx {
    tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true)
}

fn run_options(threads: usize) -> RunOptions {
    let executor = match threads {
        0 | 1 => Executor::SingleThread,
        n => Executor::multithread_with_name(n, "tract"),
    };
    RunOptions { executor: Some(executor), ..RunOptions::default() }
}

fn output_shapes(model: &TypedModel, header: &Header) -> TractResult<Vec<OutputShape>> {
    let outlets = model.outputs.iter().zip(&header.outputs);
    outlets
        .map(|(&outlet, port)| {
            let name = port.name.clone();
            let fact = model.outlet_fact(outlet)?;
            let wrong =
                |what: &str| anyhow::anyhow!("output \"{name}\" is {what}; needed is float32 [1, …] of known size");
            if fact.datum_type != f32::datum_type() {
                return Err(wrong(&format!("{:?}", fact.datum_type)));
            }
            match fact.shape.as_concrete() {
                Some([1, dims @ ..]) => Ok(OutputShape { dims: dims.to_vec(), name }),
                Some(dims) => Err(wrong(&format!("{dims:?}"))),
                None => Err(wrong(&format!("{:?}", fact.shape))),
            }
        })
        .collect()
}

impl Tract {
    fn run_slot(&mut self, slot: usize) -> TractResult<Vec<TValue>> {
        let input = Arc::clone(&self.inputs[slot]);
        let outputs: Vec<_> = self.state.run(tvec![TValue::from_const(input)])?.into_iter().collect();
        anyhow::ensure!(outputs.len() == self.shape.outputs.len(), "{} outputs came", outputs.len());
        let checked = outputs.into_iter().zip(&self.shape.outputs).map(|(value, want)| {
            let len = value.try_as_plain_ram()?.as_slice::<f32>()?.len();
            anyhow::ensure!(
                len == want.dims.iter().product::<usize>(),
                "output \"{}\" came with {len} values",
                want.name
            );
            Ok(value)
        });
        checked.collect()
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn max_batch(&self) -> usize {
        self.inputs.len()
    }

    fn input(&mut self, slot: usize) -> InputMut<'_> {
        // Between runs nobody else holds the tensor, so nothing is copied here.
        let tensor = Arc::make_mut(&mut self.inputs[slot]);
        let view = tensor.to_plain_array_view_mut::<f32>().expect("the input was made of floats");
        InputMut::F32Nchw(view.into_slice().expect("the input was made without gaps"))
    }

    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        for slot in 0..batch.min(self.max_batch()) {
            self.outputs[slot] = guarded(|| self.run_slot(slot)).map_err(|reason| {
                // Values of a turn that failed half-way must not meet the next one.
                let _ = catch_unwind(AssertUnwindSafe(|| self.state.reset_turn()));
                InferError::Run { engine: NAME, reason }
            })?;
        }
        Ok(())
    }

    fn output(&self, output: usize, slot: usize) -> &[f32] {
        let tensor = &self.outputs[slot][output];
        let plain = tensor.as_plain_ram().expect("checked when it came");
        plain.as_slice::<f32>().expect("checked when it came")
    }
}

/// Runs tract's code; errors and panics alike become one line.
fn guarded<T>(body: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(done) => done.map_err(|e| one_line(&format!("{e:#}"))),
        Err(panic) => Err(format!("it panicked: {}", one_line(panic_text(&*panic)))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// tract's messages hold whole nodes over many lines; the head of them tells what a person can use.
fn one_line(text: &str) -> String {
    const KEEP_CHARS: usize = 400;
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(KEEP_CHARS) {
        line.truncate(cut);
        line.push('…');
    }
    line
}
