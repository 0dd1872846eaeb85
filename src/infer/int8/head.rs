//! YOLOv8's head: finds it in the graph, and computes boxes only where a score passes.
//!
//! Belongs here: the shape of that head, its arithmetic (distribution of distances, anchors, strides). Does not: thresholds and classes
//! themselves, which the caller brings; non-maximum suppression (see `detect`).

use std::collections::{HashMap, HashSet};

use super::super::onnx::graph::{Graph, Node};
use super::expr::Slot;
use super::quant::{Values, range};
use super::run::Machine;

/// Distances are told as a distribution over so many bins.
const BINS: usize = 16;
/// Numbers of a box.
const BOX: usize = 4;

/// The head as the graph tells it.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Names of the tensors with the distances' logits, one a scale.
    pub boxes: Vec<String>,
    /// Names of the tensors with the classes' logits, in the same order of scales.
    pub scores: Vec<String>,
    /// The distance that each bin stands for, in strides.
    bins: [f32; BINS],
    /// Centre of each place, in strides.
    anchors: Vec<[f32; 2]>,
    /// Pixels of a stride, for each place.
    strides: Vec<f32>,
}

/// A head, ready.
#[derive(Debug)]
pub(super) struct Head {
    pattern: Pattern,
    scales: Vec<Scale>,
    classes: usize,
}

/// One of the grids.
#[derive(Debug)]
struct Scale {
    boxes: Slot,
    /// e to the power of the logit, from its code.
    weight: Box<Values>,
    scores: Slot,
    /// The score, from its code.
    score: Box<Values>,
    hw: [usize; 2],
    /// Number of its first place.
    first: usize,
}

/// What the caller wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// For each scale the least code whose score passes; None when none does.
    least: Vec<Option<u8>>,
    /// For each class whether it counts; None counts all.
    classes: Option<Vec<bool>>,
}

impl Pattern {
    /// Finds the head, if the graph's only output is made by one.
    pub(super) fn find(graph: &Graph<'_>) -> Option<Self> {
        let [output] = graph.header.outputs.as_slice() else { return None };
        let walk = Walk {
            graph,
            makers: graph.nodes.iter().flat_map(|n| n.outputs.iter().map(move |o| (o.as_str(), n))).collect(),
        };
        let top = walk.maker(&output.name, "Concat")?;
        let sigmoid = walk.maker(top.input(1)?, "Sigmoid")?;
        let scores = walk.scales(sigmoid.input(0)?)?;
        let scaled = walk.maker(top.input(0)?, "Mul")?;
        let strides = walk.floats(scaled.input(1)?)?;
        let centred = walk.maker(scaled.input(0)?, "Concat")?;
        let halved = walk.maker(centred.input(0)?, "Div")?;
        let half = walk.maker(halved.input(0)?, "Add")?;
        let (low, high) = (walk.maker(half.input(0)?, "Sub")?, walk.maker(half.input(1)?, "Add")?);
        let anchors = walk.floats(low.input(0)?)?;
        let first = walk.cut(low.input(1)?, [0, 2])?;
        let distances = walk.maker(first.input(0)?, "Reshape")?;
        let expected = walk.maker(distances.input(0)?, "Conv")?;
        let bins: [f32; BINS] = walk.floats(expected.input(1)?)?.try_into().ok()?;
        let softmax = walk.maker(expected.input(0)?, "Softmax")?;
        let turned = walk.maker(softmax.input(0)?, "Transpose")?;
        let grouped = walk.maker(turned.input(0)?, "Reshape")?;
        let boxes = walk.scales(grouped.input(0)?)?;
        let size = walk.maker(centred.input(1)?, "Sub")?;
        let is_plain = size.inputs == [high.output(), low.output()]
            && walk.floats(high.input(0)?)? == anchors
            && walk.cut(high.input(1)?, [2, 4])?.input(0) == first.input(0)
            && walk.floats(halved.input(1)?)? == [2.0]
            && top.inputs.len() == 2
            && centred.inputs.len() == 2
            && turned.ints("perm") == Some(&[0, 2, 1, 3])
            && walk.ints(grouped.input(1)?)? == [1, BOX as i64, BINS as i64, strides.len() as i64]
            && (top.int("axis", 0), centred.int("axis", 0), softmax.int("axis", -1)) == (1, 1, 1);
        if !is_plain || boxes.len() != scores.len() || anchors.len() != 2 * strides.len() {
            return None;
        }
        let (x, y) = anchors.split_at(strides.len());
        let anchors = x.iter().zip(y).map(|(&x, &y)| [x, y]).collect();
        Some(Self { boxes, scores, bins, anchors, strides })
    }

    /// Tensors that need not be looked at in 8 bits: all that the head itself makes.
    pub(super) fn beyond(&self, graph: &Graph<'_>) -> HashSet<String> {
        let mut beyond: HashSet<String> = self.boxes.iter().chain(&self.scores).cloned().collect();
        let edge = beyond.clone();
        for node in &graph.nodes {
            if node.inputs.iter().any(|i| beyond.contains(i)) {
                beyond.extend(node.outputs.iter().cloned());
            }
        }
        beyond.retain(|name| !edge.contains(name));
        beyond
    }
}

/// A graph read backwards.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    makers: HashMap<&'a str, &'a Node<'a>>,
}

impl<'a> Walk<'a> {
    /// What makes a tensor, if it is of this kind.
    fn maker(&self, tensor: &str, op: &str) -> Option<&'a Node<'a>> {
        self.makers.get(tensor).copied().filter(|n| n.op == op)
    }

    fn floats(&self, tensor: &str) -> Option<Vec<f32>> {
        self.graph.constants.get(tensor)?.floats()
    }

    fn ints(&self, tensor: &str) -> Option<Vec<i64>> {
        self.graph.constants.get(tensor)?.ints()
    }

    /// What makes a tensor, if it cuts these rows out of the four distances.
    fn cut(&self, tensor: &str, rows: [i64; 2]) -> Option<&'a Node<'a>> {
        let slice = self.maker(tensor, "Slice")?;
        let list = |i: usize| self.ints(slice.input(i)?);
        let is_it = list(1)? == [rows[0]] && list(2)? == [rows[1]] && list(3)? == [1];
        is_it.then_some(slice)
    }

    /// The grids that a concatenation along the places joins.
    fn scales(&self, tensor: &str) -> Option<Vec<String>> {
        let concat = self.maker(tensor, "Concat").filter(|n| matches!(n.int("axis", 0), -1 | 2))?;
        concat.inputs.iter().map(|i| Some(self.maker(i, "Reshape")?.input(0)?.to_owned())).collect()
    }
}

impl Head {
    /// Joins the pattern with the tensors as they are stored: for each scale the slot, the values of its codes and its height and width.
    pub(super) fn new(pattern: Pattern, boxes: Vec<Grid>, scores: Vec<Grid>) -> Option<Self> {
        let classes = scores.first()?.slot.channels;
        let (mut scales, mut first) = (Vec::new(), 0);
        for (b, s) in boxes.into_iter().zip(scores) {
            if b.hw != s.hw || b.slot.channels != BOX * BINS || s.slot.channels != classes {
                return None;
            }
            let greatest = range(&b.values).1;
            let weight = Box::new(std::array::from_fn(|c| (b.values[c] - greatest).exp()));
            let score = Box::new(std::array::from_fn(|c| 1.0 / (1.0 + (-s.values[c]).exp())));
            scales.push(Scale { boxes: b.slot, weight, scores: s.slot, score, hw: b.hw, first });
            first += b.hw[0] * b.hw[1];
        }
        (first == pattern.strides.len()).then_some(Self { pattern, scales, classes })
    }

    /// Dimensions of the whole output.
    pub(super) fn dims(&self) -> [usize; 2] {
        [BOX + self.classes, self.pattern.strides.len()]
    }

    /// All that it reads.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.scales.iter().flat_map(|s| [s.boxes, s.scores])
    }

    /// Slots of the classes' logits.
    pub(super) fn score_slots(&self) -> impl Iterator<Item = Slot> {
        self.scales.iter().map(|s| s.scores)
    }

    /// What a caller asks for, in codes.
    pub(super) fn wanted(&self, confidence: f32, classes: Option<&[bool]>) -> Wanted {
        let least = |s: &Scale| (0..=255u8).find(|&code| s.score[usize::from(code)] >= confidence);
        let classes = classes.map(|c| (0..self.classes).map(|i| c.get(i).copied().unwrap_or(false)).collect());
        Wanted { least: self.scales.iter().map(least).collect(), classes }
    }

    /// The places whose best wanted score passes: cx, cy, w, h, then the scores, 0 for what is not wanted.
    pub(super) fn places(&self, machine: &Machine, wanted: &Wanted, out: &mut Vec<f32>) {
        out.clear();
        for (scale, least) in self.scales.iter().zip(&wanted.least) {
            let Some(least) = *least else { continue };
            for y in 0..scale.hw[0] {
                let ((scores, score_step), (boxes, box_step)) =
                    (machine.row(scale.scores, y), machine.row(scale.boxes, y));
                for x in 0..scale.hw[1] {
                    let codes = &scores[x * score_step..][..self.classes];
                    if !passes(codes, least, wanted.classes.as_deref()) {
                        continue;
                    }
                    let place = scale.first + y * scale.hw[1] + x;
                    out.extend(self.found(scale, place, &boxes[x * box_step..][..BOX * BINS]));
                    let is_wanted = |c: usize| wanted.classes.as_ref().is_none_or(|w| w[c]);
                    out.extend(
                        codes
                            .iter()
                            .enumerate()
                            .map(|(c, &code)| if is_wanted(c) { scale.score[usize::from(code)] } else { 0.0 }),
                    );
                }
            }
        }
    }

    /// The whole output: [4 + classes, places].
    pub(super) fn whole(&self, machine: &Machine, out: &mut [f32]) {
        let places = self.pattern.strides.len();
        for scale in &self.scales {
            for y in 0..scale.hw[0] {
                let ((scores, score_step), (boxes, box_step)) =
                    (machine.row(scale.scores, y), machine.row(scale.boxes, y));
                let first = scale.first + y * scale.hw[1];
                for x in 0..scale.hw[1] {
                    let found = self.found(scale, first + x, &boxes[x * box_step..][..BOX * BINS]);
                    found.iter().enumerate().for_each(|(i, &v)| out[i * places + first + x] = v);
                }
                for class in 0..self.classes {
                    let row = &mut out[(BOX + class) * places + first..][..scale.hw[1]];
                    let codes = scores[class..].iter().step_by(score_step);
                    row.iter_mut().zip(codes).for_each(|(v, &code)| *v = scale.score[usize::from(code)]);
                }
            }
        }
    }

    /// cx, cy, w, h in pixels from the codes of the four distributions.
    fn found(&self, scale: &Scale, place: usize, codes: &[u8]) -> [f32; BOX] {
        let mut distances = [0.0f32; BOX];
        for (distance, codes) in distances.iter_mut().zip(codes.chunks_exact(BINS)) {
            let (mut sum, mut mean) = (0.0f32, 0.0f32);
            for (bin, &code) in self.pattern.bins.iter().zip(codes) {
                let weight = scale.weight[usize::from(code)];
                sum += weight;
                mean += weight * bin;
            }
            *distance = mean / sum;
        }
        let ([x, y], stride) = (self.pattern.anchors[place], self.pattern.strides[place]);
        let [left, top, right, bottom] = distances;
        let (x0, y0, x1, y1) = (x - left, y - top, x + right, y + bottom);
        [(x0 + x1) / 2.0 * stride, (y0 + y1) / 2.0 * stride, (x1 - x0) * stride, (y1 - y0) * stride]
    }
}

/// A grid of logits as it is stored.
#[derive(Debug)]
pub(super) struct Grid {
    pub slot: Slot,
    pub values: Box<Values>,
    pub hw: [usize; 2],
}

/// Whether any code that counts reaches the least one.
fn passes(codes: &[u8], least: u8, classes: Option<&[bool]>) -> bool {
    // A fold over all of them becomes a few vector instructions; leaving early would not.
    let passes_any = codes.iter().fold(0u8, |m, &c| m.max(c)) >= least;
    match classes {
        Some(wanted) if passes_any => codes.iter().zip(wanted).any(|(&c, &w)| w && c >= least),
        _ => passes_any,
    }
}
