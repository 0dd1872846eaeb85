//! The int8 engine as callers see it: the covered part of a model in 8 bits, the rest, if there is one, through tract.
//!
//! Belongs here: what goes from one to the other and what comes out. Does not: the 8 bits themselves (see `int8`), tract (see `tract`).

use std::path::Path;

use super::int8::{self, Compiled, Settings};
use super::onnx::graph::Graph;
use super::onnx::{Header, ImageInput};
use super::tract::part::{Part, load_part};
use super::{
    Costs, Engine, Explanation, Focus, InferError, InputMut, ModelShape, Options, OutputShape, QuantisedInput,
    calibration,
};
use crate::runtime::{Clock, environment};

pub(super) const NAME: &str = "int8";
/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;

struct Joint {
    compiled: Compiled,
    tail: Option<Tail>,
    shape: ModelShape,
    /// One list of outputs a slot.
    outputs: Vec<Vec<Vec<f32>>>,
    places: Vec<Vec<f32>>,
    explanation: Explanation,
    remark: Option<String>,
}

/// What is computed in floats.
struct Tail {
    part: Part,
    inputs: Vec<Vec<f32>>,
}

/// Whether a file carries the scales that 8 bits need, itself or in a calibration beside it.
pub(super) fn is_meant_for_it(model: &Path, graph: &Graph<'_>) -> bool {
    graph.nodes.iter().any(|n| n.op == "QuantizeLinear") || calibration::beside(model).is_file()
}

/// Whether the kernel that the environment forces is one of this processor's.
pub(super) fn check_kernel() -> Result<(), String> {
    int8::check_kernel(environment::var("PEREGRINE_KERNEL").as_deref())
}

/// Loads a model whose head was already found good.
pub(super) fn load(
    model: &Path,
    bytes: &[u8],
    graph: &Graph<'_>,
    input: &ImageInput,
    options: &Options,
    remark: Option<String>,
) -> Result<impl Engine + use<>, String> {
    if let Some(port) = graph.header.outputs.iter().find(|p| p.element != FLOAT) {
        return Err(format!("its output \"{}\" is not float32", port.name));
    }
    let beside = calibration::beside(model);
    let calibration = match beside.is_file() {
        true => Some(calibration::read(&beside, bytes).map_err(|e| e.to_string())?),
        false => None,
    };
    let ranges = |tensor: &str| calibration.as_ref().and_then(|c| c.range(tensor));
    let kernel = environment::var("PEREGRINE_KERNEL");
    let compiled = Compiled::new(
        graph,
        &Settings {
            input_chw: input.chw,
            threads: options.threads,
            slots: options.max_batch,
            kernel: kernel.as_deref(),
            ranges: &ranges,
        },
    )?;
    let names: Vec<String> = graph.header.outputs.iter().map(|o| o.name.clone()).collect();
    let is_whole =
        compiled.head_dims().is_some() || names.iter().all(|n| compiled.exits().iter().any(|e| e.name == *n));
    let tail = if is_whole {
        None
    } else {
        let inputs: Vec<_> = compiled.exits().iter().map(|e| (e.name.clone(), e.dims.clone())).collect();
        let part =
            load_part(bytes, &inputs, &names, options.threads).map_err(|e| format!("the rest through tract: {e}"))?;
        let inputs = inputs.iter().map(|(_, dims)| vec![0.0; dims.iter().product()]).collect();
        Some(Tail { part, inputs })
    };
    let shape = ModelShape { input_chw: input.chw, outputs: output_shapes(&compiled, tail.as_ref(), &graph.header) };
    let zeros: Vec<Vec<f32>> = shape.outputs.iter().map(|o| vec![0.0; o.dims.iter().product()]).collect();
    let explanation = explain(&compiled, tail.as_ref(), graph);
    Ok(Joint {
        compiled,
        tail,
        outputs: vec![zeros; options.max_batch],
        places: vec![Vec::new(); options.max_batch],
        shape,
        explanation,
        remark,
    })
}

fn output_shapes(compiled: &Compiled, tail: Option<&Tail>, header: &Header) -> Vec<OutputShape> {
    let dims = |i: usize, name: &str| match (compiled.head_dims(), tail) {
        (Some(dims), _) => dims.to_vec(),
        (None, Some(tail)) => tail.part.output_dims(i)[1..].to_vec(),
        (None, None) => {
            compiled.exits().iter().find(|e| e.name == name).map_or_else(Vec::new, |e| e.dims[1..].to_vec())
        }
    };
    let named = header.outputs.iter().enumerate();
    named.map(|(i, port)| OutputShape { name: port.name.clone(), dims: dims(i, &port.name) }).collect()
}

fn explain(compiled: &Compiled, tail: Option<&Tail>, graph: &Graph<'_>) -> Explanation {
    let layers = compiled.layers();
    let rest = match tail {
        None if compiled.head_dims().is_some() => "the head is computed where a score passes".to_owned(),
        None => "the whole model is in 8 bits".to_owned(),
        Some(_) => {
            let exits: Vec<_> = compiled.exits().iter().map(|e| e.name.as_str()).collect();
            format!("in floats through tract from {} on", exits.join(", "))
        }
    };
    let refused = compiled.refused().iter().map(ToString::to_string).collect();
    Explanation {
        kernel: compiled.kernel(),
        nodes: graph.nodes.len(),
        layers,
        rest,
        refused: if tail.is_some() { refused } else { Vec::new() },
        arena_bytes: compiled.arena_bytes(),
    }
}

impl Joint {
    fn finish(&mut self, slot: usize) -> Result<(), InferError> {
        if self.compiled.gives_places() {
            self.compiled.places(&mut self.places[slot]);
            return Ok(());
        }
        if self.compiled.head_dims().is_some() {
            self.compiled.whole(&mut self.outputs[slot][0]);
            return Ok(());
        }
        if let Some(tail) = &mut self.tail {
            for (exit, input) in self.compiled.exits().iter().zip(&mut tail.inputs) {
                self.compiled.values(exit, input);
            }
            let inputs: Vec<&[f32]> = tail.inputs.iter().map(Vec::as_slice).collect();
            tail.part.run(&inputs).map_err(|reason| InferError::Run { engine: NAME, reason })?;
            for (i, out) in self.outputs[slot].iter_mut().enumerate() {
                out.copy_from_slice(tail.part.output(i));
            }
            return Ok(());
        }
        for (shape, out) in self.shape.outputs.iter().zip(&mut self.outputs[slot]) {
            if let Some(exit) = self.compiled.exits().iter().find(|e| e.name == shape.name) {
                self.compiled.values(exit, out);
            }
        }
        Ok(())
    }
}

impl Engine for Joint {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn max_batch(&self) -> usize {
        self.outputs.len()
    }

    fn input(&mut self, slot: usize) -> InputMut<'_> {
        let (codes, row_bytes, pixel_bytes, scale, zero) = self.compiled.image(slot);
        InputMut::U8Nhwc(QuantisedInput { codes, row_bytes, pixel_bytes, scale, zero })
    }

    fn run(&mut self, batch: usize) -> Result<(), InferError> {
        for slot in 0..batch.min(self.max_batch()) {
            self.compiled.run(slot);
            self.finish(slot)?;
        }
        Ok(())
    }

    fn output(&self, output: usize, slot: usize) -> &[f32] {
        &self.outputs[slot][output]
    }

    fn focus(&mut self, focus: Option<&Focus>) {
        self.compiled.want(focus.map(|f| (f.confidence, f.classes.as_deref())));
        self.places.iter_mut().for_each(Vec::clear);
    }

    fn places(&self, slot: usize) -> Option<&[f32]> {
        self.compiled.gives_places().then(|| self.places[slot].as_slice())
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn explain(&self) -> Option<&Explanation> {
        Some(&self.explanation)
    }

    fn costs(&mut self, runs: usize, clock: &Clock) -> Costs {
        let layers = self.compiled.profile(runs, || clock.mono());
        Costs { layers, peak_macs_per_s: self.compiled.peak(|| clock.mono()) }
    }
}
