//! A part of a model through tract: from inner tensors to tensors further on. For an engine that covers the rest of the model itself.
//!
//! Belongs here: cutting the part out of the file, running it. Does not: which part that is.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, TValue, TVec, Tensor, TractResult, TypedModel, TypedSimpleState,
};

use super::{guarded, reader, run_options};

/// A loaded part. Its outputs are empty before the first run.
pub(in crate::infer) struct Part {
    state: TypedSimpleState,
    inputs: Vec<Arc<Tensor>>,
    dims: Vec<Vec<usize>>,
    outputs: TVec<TValue>,
}

/// Loads what lies between `inputs` (names of tensors and their whole shapes, float32) and the tensors named `outputs`.
///
/// Nodes and weights that nothing of this asks for are dropped before tract sees them. As with a whole model, tract's panics are refusals.
pub(in crate::infer) fn load_part(
    bytes: &[u8],
    inputs: &[(String, Vec<usize>)],
    outputs: &[String],
    threads: usize,
) -> Result<Part, String> {
    guarded(|| build(bytes, inputs, outputs, threads))
}

fn build(bytes: &[u8], inputs: &[(String, Vec<usize>)], outputs: &[String], threads: usize) -> TractResult<Part> {
    let onnx = reader();
    let mut proto = onnx.proto_model_for_read(&mut &*bytes)?;
    let graph = proto.graph.as_mut().ok_or_else(|| anyhow::anyhow!("there is no graph in it"))?;
    let names: HashSet<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
    anyhow::ensure!(names.len() == inputs.len(), "an input is named twice");
    cut(graph, &names, outputs)?;
    let parsed = onnx.parse(&proto, None)?;
    drop(proto);
    let (mut model, outlets) = (parsed.model, parsed.outlets_by_name);
    // What the part's nodes read and none of them makes has become an input.
    if let Some(open) = parsed.unresolved_inputs.iter().find(|n| !names.contains(n.as_str())) {
        anyhow::bail!("the part also needs \"{open}\", which is not among its inputs");
    }
    let outlet = |name: &String| {
        outlets.get(name).copied().ok_or_else(|| anyhow::anyhow!("tensor \"{name}\" has no place in the part"))
    };
    model.inputs = inputs.iter().map(|(name, _)| outlet(name)).collect::<TractResult<_>>()?;
    model.outputs = outputs.iter().map(outlet).collect::<TractResult<_>>()?;
    for (i, (_, dims)) in inputs.iter().enumerate() {
        model.set_input_fact(i, f32::fact(dims).into())?;
    }
    let model = model.into_optimized()?;
    let dims = output_dims(&model, outputs)?;
    let state = model.into_runnable_with_options(&run_options(threads))?.spawn()?;
    let zeros = inputs.iter().map(|(_, dims)| Tensor::zero::<f32>(dims).map(Arc::new));
    Ok(Part { state, inputs: zeros.collect::<TractResult<_>>()?, dims, outputs: TVec::new() })
}

/// Leaves in the graph the nodes that lead from the inputs to the outputs, and their weights.
fn cut(graph: &mut GraphProto, inputs: &HashSet<&str>, outputs: &[String]) -> TractResult<()> {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(i, node)| node.output.iter().filter(|o| !o.is_empty()).map(move |o| (o.as_str(), i)))
        .collect();
    let mut needed = HashSet::new();
    let mut wanted: Vec<&str> = outputs.iter().map(String::as_str).collect();
    if let Some(absent) = wanted.iter().find(|o| !makers.contains_key(**o)) {
        anyhow::bail!("no node makes a tensor \"{absent}\"");
    }
    let mut read = HashSet::new();
    while let Some(name) = wanted.pop() {
        if inputs.contains(name) || !read.insert(name.to_owned()) {
            continue;
        }
        if let Some(&maker) = makers.get(name)
            && needed.insert(maker)
        {
            let node: &NodeProto = &graph.node[maker];
            let has_graph = node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
            anyhow::ensure!(!has_graph, "node \"{}\" ({}) holds a graph of its own", node.name, node.op_type);
            wanted.extend(node.input.iter().filter(|i| !i.is_empty()).map(String::as_str));
        }
    }
    let mut position = 0..;
    graph.node.retain(|_| position.next().is_some_and(|i| needed.contains(&i)));
    graph.node.iter_mut().flat_map(|n| &mut n.output).for_each(|o| hide_input(o, inputs));
    graph.initializer.retain(|t| read.contains(&t.name));
    graph.sparse_initializer.clear();
    graph.input.clear();
    graph.output.clear();
    Ok(())
}

/// A node of several outputs may make an input of the part beside what is needed of it; the name belongs to the input then.
fn hide_input(output: &mut String, inputs: &HashSet<&str>) {
    if inputs.contains(output.as_str()) {
        output.push_str(" (cut off)");
    }
}

fn output_dims(model: &TypedModel, names: &[String]) -> TractResult<Vec<Vec<usize>>> {
    let each = model.outputs.iter().zip(names).map(|(&outlet, name)| {
        let fact = model.outlet_fact(outlet)?;
        let dims = fact.shape.as_concrete().filter(|_| fact.datum_type == f32::datum_type());
        let found = || anyhow::anyhow!("output \"{name}\" is {fact:?}; needed is float32 of known size");
        dims.map(<[usize]>::to_vec).ok_or_else(found)
    });
    each.collect()
}

impl Part {
    /// Runs the part. After an error the outputs are empty; the next run may be tried.
    pub(in crate::infer) fn run(&mut self, inputs: &[&[f32]]) -> Result<(), String> {
        self.outputs.clear();
        let done = guarded(|| self.turn(inputs));
        if done.is_err() {
            // Values of a turn that failed half-way must not meet the next one.
            let _ = catch_unwind(AssertUnwindSafe(|| self.state.reset_turn()));
        }
        self.outputs = done?;
        Ok(())
    }

    fn turn(&mut self, inputs: &[&[f32]]) -> TractResult<TVec<TValue>> {
        anyhow::ensure!(inputs.len() == self.inputs.len(), "{} inputs where {} are", inputs.len(), self.inputs.len());
        for (i, (tensor, values)) in self.inputs.iter_mut().zip(inputs).enumerate() {
            // Between runs nobody else holds the tensor, so nothing but the values is copied.
            let mut view = Arc::make_mut(tensor).try_as_plain_ram_mut()?;
            let slice = view.as_slice_mut::<f32>()?;
            anyhow::ensure!(slice.len() == values.len(), "input {i} has {} values, not {}", values.len(), slice.len());
            slice.copy_from_slice(values);
        }
        let outputs = self.state.run(self.inputs.iter().map(|t| TValue::from_const(Arc::clone(t))).collect())?;
        anyhow::ensure!(outputs.len() == self.dims.len(), "{} outputs came", outputs.len());
        for (value, dims) in outputs.iter().zip(&self.dims) {
            let len = value.try_as_plain_ram()?.as_slice::<f32>()?.len();
            anyhow::ensure!(len == dims.iter().product::<usize>(), "an output came with {len} values, not {dims:?}");
        }
        Ok(outputs)
    }

    /// Output number `i` of the last run, row-major; empty before the first one and after one that failed.
    pub(in crate::infer) fn output(&self, i: usize) -> &[f32] {
        let Some(value) = self.outputs.get(i) else { return &[] };
        let plain = value.as_plain_ram().expect("checked when it came");
        plain.as_slice::<f32>().expect("checked when it came")
    }

    /// The whole shape of output number `i`, batch and all; empty where there is no such output.
    pub(in crate::infer) fn output_dims(&self, i: usize) -> &[usize] {
        self.dims.get(i).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
