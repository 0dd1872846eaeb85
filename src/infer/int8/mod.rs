//! The engine that computes in 8 bits: u8 codes from the picture to the head, i8 weights, i32 sums, on any CPU.
//!
//! Belongs here: what a caller sees of it. The way of a model: `onnx::graph` reads it, `nodes` turns operators into expressions, `build` decides
//! what is stored, `plan` where and in which order, `run` does it with a `team` of threads and a `kernel` for the processor. Numerics are in
//! `quant`. Does not belong here: tract, which runs what is not covered (see `infer`).

mod budget;
mod build;
mod expr;
mod filter;
mod head;
mod kernel;
mod layer;
mod moves;
mod nodes;
mod plan;
mod quant;
mod run;
mod shapes;
mod team;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use super::onnx::graph::{Graph, Node};
use expr::{Kind, Slot};
use head::{Grid, Head, Pattern, Wanted};
use nodes::Lowering;
use plan::Plan;
use quant::Values;
use run::Machine;

pub(super) use nodes::Refused;

/// Whether this processor has a kernel of that name.
pub(super) fn check_kernel(name: Option<&str>) -> Result<(), String> {
    kernel::choose(name).map(|_| ())
}

/// The name of the kernel that this processor gets.
pub(super) fn best_kernel() -> &'static str {
    kernel::all()[0].name()
}

/// A model, or the covered part of one, in 8 bits.
pub(super) struct Compiled {
    machine: Machine,
    exits: Vec<Exit>,
    head: Option<Head>,
    wanted: Option<Wanted>,
    refused: Vec<Refused>,
}

/// A tensor that leaves the 8 bits.
#[derive(Debug)]
pub(super) struct Exit {
    /// Its name in the file.
    pub(super) name: String,
    /// [1, C, H, W] or [1, C].
    pub(super) dims: Vec<usize>,
    slot: Slot,
    values: Box<Values>,
}

/// What one layer cost.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCost {
    /// Its output in the file; empty for what the file does not name.
    pub name: String,
    /// "conv 3x3 s2" and the like.
    pub what: String,
    /// Channels, height, width of its output.
    pub out_chw: [usize; 3],
    /// Multiply-accumulates.
    pub macs: usize,
    /// The median of its time.
    pub took: Duration,
}

/// How a model is to be compiled.
pub(super) struct Settings<'a> {
    /// Channels, height and width of the picture.
    pub input_chw: [usize; 3],
    /// Threads that run it.
    pub(super) threads: usize,
    /// Pictures that are held at a time.
    pub(super) slots: usize,
    /// The kernel by name; None takes the best.
    pub(super) kernel: Option<&'a str>,
    /// Least and greatest value of a tensor, where calibration knows them.
    pub(super) ranges: &'a dyn Fn(&str) -> Option<(f32, f32)>,
}

impl Compiled {
    /// Compiles what can be computed in 8 bits.
    ///
    /// # Errors
    /// A line for people when that is nothing worth while.
    pub(super) fn new(graph: &Graph<'_>, settings: &Settings<'_>) -> Result<Self, String> {
        let kernel = kernel::choose(settings.kernel)?;
        let pattern = Pattern::find(graph);
        let beyond = pattern.as_ref().map(|p| p.beyond(graph)).unwrap_or_default();
        let mut lowering = Lowering::run(graph, settings.input_chw, settings.ranges, &beyond);
        let (mut head, mut exits) = (None, Vec::new());
        if let Some(pattern) = pattern {
            let boxes = grids(&mut lowering, &pattern.boxes);
            let scores = grids(&mut lowering, &pattern.scores);
            head = boxes.zip(scores).and_then(|(boxes, scores)| Head::new(pattern, boxes, scores));
        }
        if head.is_none() {
            if !beyond.is_empty() {
                lowering = Lowering::run(graph, settings.input_chw, settings.ranges, &HashSet::new());
            }
            exits = frontier(graph, &mut lowering)?;
        }
        let refused = std::mem::take(&mut lowering.refused);
        let mut slots: Vec<Slot> = exits.iter().map(|e: &Exit| e.slot).collect();
        slots.extend(head.iter().flat_map(Head::slots));
        let threads = settings.threads.clamp(1, team::MAX_THREADS);
        let plan = Plan::new(lowering.builder, &slots, kernel, threads)?;
        if plan.layers.iter().all(|l| l.macs == 0) {
            return Err(first(&refused).unwrap_or_else(|| "it has no convolutions".to_owned()));
        }
        let machine =
            Machine::new(plan, kernel, settings.slots.max(1), threads).map_err(|e| format!("no threads: {e}"))?;
        Ok(Self { machine, exits, head, wanted: None, refused })
    }

    /// Tensors at which the 8 bits end; none when the head is computed here too.
    pub(super) fn exits(&self) -> &[Exit] {
        &self.exits
    }

    /// What is not done in 8 bits, and why.
    pub(super) fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The kernel's name.
    pub(super) fn kernel(&self) -> &'static str {
        self.machine.kernel().name()
    }

    /// Whether the head of a detector is computed here, and the dimensions of its whole output.
    pub(super) fn head_dims(&self) -> Option<[usize; 2]> {
        self.head.as_ref().map(Head::dims)
    }

    /// The picture of a slot: codes from the first pixel on, bytes of a row and of a pixel, scale and zero point.
    pub(super) fn image(&mut self, slot: usize) -> (&mut [u8], usize, usize, f32, u8) {
        let plan = self.machine.plan();
        let quant = plan.places[plan.image.buffer].buffer.quant;
        let (codes, row, pixel) = self.machine.image(slot);
        (codes, row, pixel, quant.scale, quant.zero)
    }

    /// Computes one slot.
    pub(super) fn run(&mut self, slot: usize) {
        self.machine.run(slot);
    }

    /// Which places and classes [`Compiled::places`] is to give: a least score, and for each class whether it counts. None: no places.
    pub(super) fn want(&mut self, wanted: Option<(f32, Option<&[bool]>)>) {
        let Some(head) = &self.head else { return };
        self.wanted = wanted.map(|(confidence, classes)| head.wanted(confidence, classes));
        let classes = wanted.and_then(|(_, classes)| classes);
        let slots: Vec<Slot> = head.score_slots().collect();
        self.machine.leave_out(&slots, classes);
    }

    /// Layers of the part in 8 bits.
    pub(super) fn layers(&self) -> usize {
        self.machine.plan().layers.len()
    }

    /// Memory for the tensors of a frame.
    pub(super) fn arena_bytes(&self) -> usize {
        self.machine.plan().arena_bytes
    }

    /// Whether [`Compiled::want`] was asked and there is a head to give it.
    pub(super) fn gives_places(&self) -> bool {
        self.wanted.is_some()
    }

    /// The places of the last run; see [`super::Engine::places`].
    pub(super) fn places(&self, out: &mut Vec<f32>) {
        if let (Some(head), Some(wanted)) = (&self.head, &self.wanted) {
            head.places(&self.machine, wanted, out);
        }
    }

    /// The head's whole output of the last run.
    pub(super) fn whole(&self, out: &mut [f32]) {
        if let Some(head) = &self.head {
            head.whole(&self.machine, out);
        }
    }

    /// The values of an exit of the last run, channel after channel.
    pub(super) fn values(&self, exit: &Exit, out: &mut [f32]) {
        let [h, w] = self.machine.hw(exit.slot);
        for y in 0..h {
            let (codes, step) = self.machine.row(exit.slot, y);
            for c in 0..exit.slot.channels {
                let row = &mut out[(c * h + y) * w..][..w];
                let codes = codes[c..].iter().step_by(step);
                row.iter_mut().zip(codes).for_each(|(v, &code)| *v = exit.values[usize::from(code)]);
            }
        }
    }

    /// Products a second that the kernel's instruction makes in a loop of nothing else, the best of some tries; None where there is no such loop.
    pub(super) fn peak(&self, mut now: impl FnMut() -> Duration) -> Option<f64> {
        /// About ten milliseconds of a processor of 4 GHz.
        const TURNS: u32 = 6_000_000;
        const TRIES: usize = 9;
        let mut best = 0.0f64;
        for _ in 0..TRIES {
            let begun = now();
            let products = kernel::spin(self.kernel(), TURNS)?;
            best = best.max(products as f64 / now().saturating_sub(begun).as_secs_f64().max(1e-9));
        }
        Some(best)
    }

    /// How long each layer takes, alone on one thread.
    pub(super) fn profile(&mut self, runs: usize, now: impl FnMut() -> Duration) -> Vec<LayerCost> {
        let took = self.machine.profile(runs, now);
        let layers = self.machine.plan().layers.iter().zip(took);
        layers
            .map(|(l, took)| LayerCost {
                name: l.name.clone(),
                what: l.what.clone(),
                out_chw: l.out_chw,
                macs: l.macs,
                took,
            })
            .collect()
    }
}

/// The grids of a head, if all of them are in 8 bits.
fn grids(lowering: &mut Lowering<'_>, names: &[String]) -> Option<Vec<Grid>> {
    names
        .iter()
        .map(|name| {
            let [_, h, w] = lowering.known.get(name)?.expr.chw;
            let (slot, values) = lowering.leave(name).ok()?;
            Some(Grid { slot, values, hw: [h, w] })
        })
        .collect()
}

/// The first thing that could not be done: others mostly follow from it.
fn first(refused: &[Refused]) -> Option<String> {
    refused.first().map(ToString::to_string)
}

/// The tensors in 8 bits that the rest of the graph, or the caller, needs in floats.
fn frontier(graph: &Graph<'_>, lowering: &mut Lowering<'_>) -> Result<Vec<Exit>, String> {
    let mut needed: HashSet<&str> = graph.header.outputs.iter().map(|p| p.name.as_str()).collect();
    let mut names: Vec<&str> = Vec::new();
    let inputs: HashSet<&str> = graph.header.inputs.iter().map(|p| p.name.as_str()).collect();
    // What only joins or adds is better done in floats than stored in 8 bits for the last time.
    let is_known = |lowering: &Lowering<'_>, name: &str| {
        lowering.known.get(name).is_some_and(|e| !matches!(&*e.expr.kind, Kind::Sum(..) | Kind::Concat(_)))
            && !inputs.contains(name)
    };
    let codes: HashSet<&str> = graph.nodes.iter().filter(|n| n.op == "QuantizeLinear").map(Node::output).collect();
    for output in &graph.header.outputs {
        if is_known(lowering, &output.name) {
            names.push(&output.name);
        }
    }
    for node in graph.nodes.iter().rev() {
        if !node.outputs.iter().any(|o| needed.contains(o.as_str()) && !is_known(lowering, o)) {
            continue;
        }
        for input in node.inputs.iter().filter(|i| !graph.constants.contains_key(*i)) {
            if is_known(lowering, input) && needed.insert(input) {
                names.push(input);
            } else {
                needed.insert(input);
            }
        }
    }
    if needed.iter().any(|n| inputs.contains(n)) {
        let why = first(&lowering.refused).map_or_else(String::new, |first| format!(": {first}"));
        return Err(format!("what is not covered needs the picture itself{why}"));
    }
    if let Some(name) = names.iter().find(|n| codes.contains(**n)) {
        return Err(format!("the codes {name} are used as they are; covered are codes that become values again"));
    }
    names
        .into_iter()
        .map(|name| {
            let (chw, is_flat) =
                lowering.known.get(name).map(|e| (e.expr.chw, e.is_flat)).ok_or("a tensor is not known")?;
            let (slot, values) = lowering.leave(name)?;
            let dims = if is_flat { vec![1, chw[0]] } else { vec![1, chw[0], chw[1], chw[2]] };
            Ok(Exit { name: name.to_owned(), dims, slot, values })
        })
        .collect()
}
