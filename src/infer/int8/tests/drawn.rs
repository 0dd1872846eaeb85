//! Small models by lot, for property tests and for the fuzzer that shares this file.
//!
//! Belongs here: which operators follow each other and with which numbers. Does not: what is expected of them. A wild draw also gives numbers, names and
//! lists that no exporter writes.

use super::written::{Attr, Model};

/// Bytes that decide; when they are used up, every throw is 0.
pub(crate) struct Dice<'a> {
    bytes: &'a [u8],
    /// Whether nonsense is drawn too.
    is_wild: bool,
}

/// Operators after the first convolution, at most.
const MOST_STEPS: usize = 10;

#[derive(Clone)]
struct Drawn {
    name: String,
    chw: [usize; 3],
}

struct Drawing<'a> {
    dice: Dice<'a>,
    model: Model,
    tensors: Vec<Drawn>,
    count: usize,
}

impl<'a> Dice<'a> {
    pub(crate) fn new(bytes: &'a [u8], is_wild: bool) -> Self {
        Self { bytes, is_wild }
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn is_odd(&mut self) -> bool {
        self.is_wild && self.byte() > 240
    }

    /// A number of the file, which may be any.
    fn number(&mut self, n: usize) -> i64 {
        if !self.is_odd() {
            return n as i64;
        }
        self.of(&[0, -1, 1, 2, 3, 16, 63, 64, 65, 1 << 20, 1 << 31, 1 << 40, i64::MAX, i64::MIN])
    }

    fn pair(&mut self, n: [usize; 2]) -> Attr {
        Attr::Ints(n.iter().map(|&n| self.number(n)).collect())
    }

    fn scale(&mut self, least: f32) -> f32 {
        if !self.is_odd() {
            return least * (1.0 + f32::from(self.byte()) / 64.0);
        }
        self.of(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40, 1e-37, 1e-20, 1e20, 1e29, f32::MAX])
    }
}

/// The file of a model that was drawn.
pub(crate) fn model(dice: Dice<'_>) -> Vec<u8> {
    let mut drawing = Drawing { dice, model: Model::default(), tensors: Vec::new(), count: 0 };
    let chw = [1 + drawing.dice.below(5), 1 + drawing.dice.below(13), 1 + drawing.dice.below(30)];
    drawing.model = Model::of_picture(chw.map(|n| drawing.dice.number(n)));
    drawing.rounded("images", chw);
    drawing.conv();
    for _ in 0..drawing.dice.below(MOST_STEPS + 1) {
        match drawing.dice.below(12) {
            0..=3 => drop(drawing.conv()),
            4 => drawing.add(),
            5 => drawing.concat(),
            6 => drawing.split(),
            7 => drawing.pool(),
            8 => drawing.resize(),
            9 => drawing.slice(),
            10 => drawing.function(),
            _ => drawing.scaled(),
        }
    }
    let last = drawing.conv();
    drawing.model.output(&last);
    for _ in 0..drawing.dice.below(3) {
        let drawn = drawing.any();
        drawing.model.output(&drawn.name);
    }
    drawing.model.file()
}

impl Drawing<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        if !self.tensors.is_empty() && self.dice.is_odd() {
            return self.any().name;
        }
        format!("t{}", self.count)
    }

    /// A tensor; later ones more often than not.
    fn any(&mut self) -> Drawn {
        let n = self.tensors.len();
        if self.dice.below(2) == 0 {
            return self.tensors[n - 1].clone();
        }
        let i = self.dice.below(n);
        self.tensors[i].clone()
    }

    /// Rounds a tensor and keeps it for further steps.
    fn rounded(&mut self, input: &str, chw: [usize; 3]) {
        let name = self.name();
        let (scale, zero) = (self.dice.scale(0.01), self.dice.byte());
        self.model.rounded(input, &name, scale, zero);
        self.tensors.push(Drawn { name, chw });
    }

    /// Keeps a tensor, rounded first or as it is.
    fn keep(&mut self, name: String, chw: [usize; 3]) {
        if chw[1] * chw[2] * chw[0] > 40_000 {
            return;
        }
        match self.dice.below(3) {
            0 => self.tensors.push(Drawn { name, chw }),
            _ => self.rounded(&name, chw),
        }
    }

    /// A convolution; the name of its codes.
    fn conv(&mut self) -> String {
        let Drawn { name, chw } = self.any();
        let kernel = [self.dice.of(&[1, 1, 2, 3, 3, 5]), self.dice.of(&[1, 2, 3])];
        let kernel = if self.dice.below(2) == 0 { [kernel[0]; 2] } else { kernel };
        let (stride, dilation) = (self.dice.of(&[[1, 1], [2, 2], [1, 3]]), self.dice.of(&[[1, 1], [1, 1], [2, 1]]));
        let pad: [usize; 4] = std::array::from_fn(|_| self.dice.below(kernel[0] + 1));
        let reach = |i: usize| (kernel[i] - 1) * dilation[i] + 1;
        let out = |i: usize| Some((chw[i + 1] + pad[i] + pad[i + 2]).checked_sub(reach(i))? / stride[i] + 1);
        let (kernel, pad, [h, w]) = match (out(0), out(1)) {
            (Some(h), Some(w)) => (kernel, pad, [h, w]),
            // A filter of one tap fits always.
            _ => ([1, 1], [0; 4], [1, 2].map(|i| (chw[i] - 1) / stride[i - 1] + 1)),
        };
        let (groups, outputs) = match self.dice.below(4) {
            0 => (chw[0], chw[0]),
            1 if chw[0] % 2 == 0 => (2, 2 * (1 + self.dice.below(9))),
            _ => (1, 1 + self.dice.below(40)),
        };
        let (weights, bias) = (format!("w{}", self.count), format!("b{}", self.count));
        let dims = [outputs, chw[0] / groups, kernel[0], kernel[1]].map(|n| self.dice.number(n));
        let total = outputs * chw[0] / groups * kernel[0] * kernel[1];
        self.weights(&weights, &dims, outputs, total);
        let biases: Vec<f32> = (0..outputs).map(|_| f32::from(self.dice.byte().cast_signed()) / 64.0).collect();
        self.model.floats(&bias, &[outputs as i64], &biases);
        let sum = self.name();
        let attributes = [
            ("kernel_shape", self.dice.pair(kernel)),
            ("strides", self.dice.pair(stride)),
            ("dilations", self.dice.pair(dilation)),
            ("pads", Attr::Ints(pad.iter().map(|&p| self.dice.number(p)).collect())),
            ("group", Attr::Int(self.dice.number(groups))),
            ("ceil_mode", Attr::Int(i64::from(self.dice.is_odd()))),
        ];
        let inputs = [name.as_str(), &weights, &bias];
        self.model.node("Conv", &inputs[..2 + self.dice.below(2)], &sum, &attributes);
        let chw = [outputs, h, w];
        self.rounded(&sum, chw);
        let codes = self.tensors.last().map(|t| t.name.clone()).unwrap_or_default();
        match self.dice.below(3) {
            0 => {}
            1 => self.function(),
            _ => self.silu(),
        }
        codes
    }

    fn weights(&mut self, name: &str, dims: &[i64], outputs: usize, total: usize) {
        let codes: Vec<i8> = (0..total).map(|_| self.dice.byte().cast_signed()).collect();
        if self.dice.below(2) == 0 {
            let floats: Vec<f32> = codes.iter().map(|&c| f32::from(c) / 300.0).collect();
            return self.model.floats(name, dims, &floats);
        }
        let [ints, scales, zeros] = ["i", "s", "z"].map(|part| format!("{name}.{part}"));
        let steps: Vec<f32> = (0..outputs).map(|_| self.dice.scale(0.002)).collect();
        self.model.int8s(&ints, dims, &codes);
        self.model.floats(&scales, &[outputs as i64], &steps);
        self.model.int8s(&zeros, &[outputs as i64], &vec![0; outputs]);
        self.model.node("DequantizeLinear", &[&ints, &scales, &zeros], name, &[("axis", Attr::Int(0))]);
    }

    fn function(&mut self) {
        let Drawn { name, chw } = self.any();
        let op = self.dice.of(&["Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Identity"]);
        let (out, alpha) = (self.name(), self.dice.scale(0.05));
        self.model.node(op, &[&name], &out, &[("alpha", Attr::Float(alpha))]);
        self.keep(out, chw);
    }

    fn silu(&mut self) {
        let Some(Drawn { name, chw }) = self.tensors.last().cloned() else { return };
        let (sigmoid, out) = (self.name(), self.name());
        self.model.node("Sigmoid", &[&name], &sigmoid, &[]);
        self.model.node("Mul", &[&name, &sigmoid], &out, &[]);
        self.keep(out, chw);
    }

    /// A factor or a summand for each channel, or one for all.
    fn scaled(&mut self) {
        let Drawn { name, chw } = self.any();
        let (constant, out) = (format!("c{}", self.count), self.name());
        let n = if self.dice.below(2) == 0 { 1 } else { chw[0] };
        let values: Vec<f32> = (0..n).map(|_| self.dice.scale(0.5)).collect();
        let dims = [1, n, 1, 1].map(|n| self.dice.number(n));
        self.model.floats(&constant, &dims, &values);
        let op = self.dice.of(&["Mul", "Add"]);
        self.model.node(op, &[&name, &constant], &out, &[]);
        self.keep(out, chw);
    }

    fn add(&mut self) {
        let a = self.any();
        let fits: Vec<Drawn> = self.tensors.iter().filter(|t| t.chw == a.chw || self.dice.is_wild).cloned().collect();
        let (i, out) = (self.dice.below(fits.len()), self.name());
        self.model.node("Add", &[&a.name, &fits[i].name], &out, &[]);
        self.keep(out, a.chw);
    }

    fn concat(&mut self) {
        let a = self.any();
        let fits: Vec<Drawn> = self.tensors.iter().filter(|t| t.chw[1..] == a.chw[1..]).cloned().collect();
        let mut parts = vec![a.clone()];
        for _ in 0..1 + self.dice.below(3) {
            parts.push(fits[self.dice.below(fits.len())].clone());
        }
        let channels = parts.iter().map(|p| p.chw[0]).sum();
        let (names, out): (Vec<&str>, _) = (parts.iter().map(|p| p.name.as_str()).collect(), self.name());
        let axis = self.dice.number(1);
        self.model.node("Concat", &names, &out, &[("axis", Attr::Int(axis))]);
        self.keep(out, [channels, a.chw[1], a.chw[2]]);
    }

    fn split(&mut self) {
        let Drawn { name, chw } = self.any();
        if chw[0] < 2 {
            return;
        }
        let first = 1 + self.dice.below(chw[0] - 1);
        let sizes = [first, chw[0] - first];
        let list = format!("l{}", self.count);
        self.model.int64s(&list, &sizes.map(|n| self.dice.number(n)));
        let outs = [self.name(), self.name()];
        let outputs = [outs[0].as_str(), &outs[1]];
        self.model.node_with("Split", &[&name, &list], &outputs, &[("axis", Attr::Int(self.dice.number(1)))]);
        for (out, channels) in outs.into_iter().zip(sizes) {
            self.keep(out, [channels, chw[1], chw[2]]);
        }
    }

    fn slice(&mut self) {
        let Drawn { name, chw } = self.any();
        let axis = self.dice.below(3);
        let start = self.dice.below(chw[axis]);
        let step = if axis == 0 { 1 } else { 1 + self.dice.below(2) };
        let lists = ["b", "e", "a", "p"].map(|part| format!("{part}{}", self.count));
        for (list, n) in lists.iter().zip([start, chw[axis], axis + 1, step]) {
            let n = self.dice.number(n);
            self.model.int64s(list, &[n]);
        }
        let out = self.name();
        self.model.node("Slice", &[&name, &lists[0], &lists[1], &lists[2], &lists[3]], &out, &[]);
        let mut kept = chw;
        kept[axis] = (chw[axis] - start).div_ceil(step);
        self.keep(out, kept);
    }

    fn pool(&mut self) {
        let Drawn { name, chw } = self.any();
        let (size, stride) = (self.dice.of(&[2, 3, 5]), 1 + self.dice.below(2));
        let pad = self.dice.below(size / 2 + 1);
        let out = |n: usize| Some((n + 2 * pad).checked_sub(size)? / stride + 1);
        let (Some(h), Some(w)) = (out(chw[1]), out(chw[2])) else { return };
        let attributes = [
            ("kernel_shape", self.dice.pair([size; 2])),
            ("strides", self.dice.pair([stride; 2])),
            ("pads", Attr::Ints([pad; 4].iter().map(|&p| self.dice.number(p)).collect())),
        ];
        let out = self.name();
        self.model.node("MaxPool", &[&name], &out, &attributes);
        self.keep(out, [chw[0], h, w]);
    }

    fn resize(&mut self) {
        let Drawn { name, chw } = self.any();
        let (list, out) = (format!("r{}", self.count), self.name());
        let factors = [self.dice.of(&[1, 2, 3]), self.dice.of(&[1, 2])];
        let scales = [1, 1, factors[0], factors[1]].map(|n| self.dice.number(n) as f32);
        self.model.floats(&list, &[4], &scales);
        let attributes = [
            ("mode", Attr::Text("nearest")),
            ("coordinate_transformation_mode", Attr::Text("asymmetric")),
            ("nearest_mode", Attr::Text("floor")),
        ];
        self.model.node("Resize", &[&name, "", &list], &out, &attributes);
        self.keep(out, [chw[0], chw[1] * factors[0], chw[2] * factors[1]]);
    }
}
