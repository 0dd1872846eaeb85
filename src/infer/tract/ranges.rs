//! Which values the tensors of a model take: the whole model in float32, every tensor watched as it comes, none of them kept.
//!
//! Belongs here: finding the tensors by the names in the file, least and largest value of each in one run. Does not: what is made of
//! many runs (see `calibrator`).

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, OutletId, TValue, Tensor, TractResult, TypedModel, TypedSimpleState,
    tvec,
};
use tract_onnx::tract_core::plan;

use super::super::onnx::ImageInput;
use super::{guarded, reader, run_options};

/// A model whose tensors are watched.
pub(in crate::infer) struct Watched {
    state: TypedSimpleState,
    input: Arc<Tensor>,
    /// The graph's input first, then what the nodes make, in the file's order.
    names: Vec<String>,
    /// Several tensors of the file may have become one.
    places: HashMap<OutletId, Vec<usize>>,
}

/// Least and largest value of a tensor in one run.
pub(in crate::infer) type Range = (f32, f32);

/// Loads a model whose head was already found good.
pub(in crate::infer) fn load(bytes: Vec<u8>, input: &ImageInput, threads: usize) -> Result<Watched, String> {
    guarded(|| build(bytes, input, threads))
}

fn build(bytes: Vec<u8>, input: &ImageInput, threads: usize) -> TractResult<Watched> {
    let [c, h, w] = input.chw;
    let onnx = reader();
    let proto = onnx.proto_model_for_read(&mut &*bytes)?;
    drop(bytes);
    let parsed = onnx.parse(&proto, None)?;
    let nodes = proto.graph.iter().flat_map(|g| &g.node);
    let made: Vec<String> = nodes.flat_map(|n| n.output.iter().cloned()).collect();
    // As large as the weights, which are in `parsed` too.
    drop(proto);
    let mut model = parsed.model;
    model.set_input_fact(0, f32::fact([1, c, h, w]).into())?;
    model.analyse(false)?;
    // Nodes that nothing asks for are not run when the model is.
    let alive: HashSet<usize> = model.eval_order()?.into_iter().collect();
    let floats = made.into_iter().filter_map(|name| {
        let outlet = *parsed.outlets_by_name.get(&name)?;
        let is_float = model.outlet_fact(outlet).is_ok_and(|f| f.datum_type == f32::datum_type().into());
        (is_float && alive.contains(&outlet.node)).then_some((name, outlet))
    });
    let (made, wanted): (Vec<String>, Vec<OutletId>) = floats.unzip();
    let own = model.outputs.len();
    // What is an output must survive the optimiser.
    model.outputs.extend(wanted);
    let mut model = model.into_optimized()?;
    let mut places = HashMap::<OutletId, Vec<usize>>::new();
    for (i, &outlet) in model.outputs[own..].iter().enumerate() {
        places.entry(outlet).or_default().push(i + 1);
    }
    forget_outputs(&mut model, own)?;
    let names = std::iter::once(input.name.clone()).chain(made).collect();
    let state = model.into_runnable_with_options(&run_options(threads))?.spawn()?;
    Ok(Watched { state, input: Arc::new(Tensor::zero::<f32>(&[1, c, h, w])?), names, places })
}

/// Takes from the outputs whatever is computed without being one: outputs are kept to the end of a run, all others freed after their last use.
fn forget_outputs(model: &mut TypedModel, own: usize) -> TractResult<()> {
    let (order, all) = (model.eval_order()?, model.outputs.clone());
    model.outputs.truncate(own);
    let mut covered: HashSet<usize> = model.eval_order()?.into_iter().collect();
    for node in order.into_iter().rev() {
        if let Some(&outlet) = all.iter().find(|o| o.node == node && !covered.contains(&node)) {
            model.outputs.push(outlet);
            covered = model.eval_order()?.into_iter().collect();
        }
    }
    Ok(())
}

impl Watched {
    /// Names of the tensors that are watched: those of float32, as the file calls them.
    pub(in crate::infer) fn names(&self) -> &[String] {
        &self.names
    }

    /// The input, channel after channel (NCHW).
    pub(in crate::infer) fn input(&mut self) -> &mut [f32] {
        // Between runs nobody else holds the tensor, so nothing is copied here.
        let view = Arc::make_mut(&mut self.input).to_plain_array_view_mut::<f32>();
        view.expect("the input was made of floats").into_slice().expect("the input was made without gaps")
    }

    /// Runs the model on the input and tells each tensor's range, in the order of the names; None for one that does not depend on the input.
    pub(in crate::infer) fn run(&mut self) -> Result<Vec<Option<Range>>, String> {
        let done = guarded(|| self.turn());
        if done.is_err() {
            // Values of a turn that failed half-way must not meet the next one.
            let _ = catch_unwind(AssertUnwindSafe(|| self.state.reset_turn()));
        }
        done
    }

    fn turn(&mut self) -> TractResult<Vec<Option<Range>>> {
        let mut ranges = vec![None; self.names.len()];
        ranges[0] = range(self.input.try_as_plain_ram()?.as_slice()?);
        let (places, input) = (&self.places, TValue::from_const(Arc::clone(&self.input)));
        self.state.run_plan_with_eval(tvec![input], |context, state, node, inputs| -> TractResult<_> {
            let outputs = plan::eval(context, state, node, inputs)?;
            for (slot, value) in outputs.iter().enumerate() {
                if let Some(all) = places.get(&OutletId::new(node.id, slot)) {
                    let range = range(value.try_as_plain_ram()?.as_slice()?);
                    all.iter().for_each(|&i| ranges[i] = range);
                }
            }
            Ok(outputs)
        })?;
        Ok(ranges)
    }
}

/// None for a tensor without values. A value that is no number makes the whole range none.
fn range(values: &[f32]) -> Option<Range> {
    let first = *values.first()?;
    let both = |(least, most): Range, &v: &f32| {
        if v.is_nan() {
            (f32::NAN, f32::NAN)
        } else {
            (if v < least { v } else { least }, if v > most { v } else { most })
        }
    };
    Some(values.iter().fold((first, first), both))
}
