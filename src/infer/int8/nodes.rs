//! From ONNX's operators to expressions, one operator after the other; what cannot be said in 8 bits is left to others, with a reason.
//!
//! Belongs here: what an operator means. Does not: how it is computed (see `build`), convolutions' weights (see `filter`).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::super::onnx::graph::{Graph, Node, Tensor};
use super::budget::MAX_BYTES;
use super::build::{Builder, Refusal};
use super::expr::{Expr, Kind, Source, Tables};
use super::filter;
use super::quant::{Quant, Values};

/// Channels of a tensor, at most.
const MAX_CHANNELS: usize = 1 << 16;

/// Expressions that lie within each other, at most: whoever goes through them calls himself so often.
const MAX_DEPTH: usize = 128;

/// Where ranges come from that the file does not tell.
pub(super) type Ranges<'a> = &'a dyn Fn(&str) -> Option<(f32, f32)>;

/// A tensor of the graph that is known in 8 bits.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub expr: Expr,
    /// Whether it is [1, C] and not [1, C, H, W].
    pub is_flat: bool,
}

/// A tensor that is not, and why.
#[derive(Debug, Clone)]
pub(in crate::infer) struct Refused {
    /// The operator that made it.
    pub(in crate::infer) op: String,
    /// Its name.
    pub(in crate::infer) tensor: String,
    /// Why it is not done in 8 bits.
    pub(in crate::infer) reason: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} \"{}\": {}", self.op, self.tensor, self.reason)
    }
}

/// Where the integers of a constant stand, by names, and along which axis they have scales of their own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Integers {
    /// Integers; floats where the file leaves it to its reader to make signed bytes of them.
    pub values: String,
    pub scales: String,
    pub zeros: Option<String>,
    pub axis: i64,
}

/// A graph on its way to operations.
pub(super) struct Lowering<'a> {
    pub graph: &'a Graph<'a>,
    pub builder: Builder,
    /// Tensors by name.
    pub known: HashMap<String, Entry>,
    pub refused: Vec<Refused>,
    ranges: Ranges<'a>,
    uses: HashMap<&'a str, usize>,
    /// Of each tensor a node that reads it.
    readers: HashMap<&'a str, &'a Node<'a>>,
    /// Constants that a `DequantizeLinear` made of integers.
    pub(super) integers: HashMap<String, Integers>,
    /// Constant floats that a `QuantizeLinear` makes signed bytes of, as files for TensorRT have them.
    rounded: HashMap<String, Integers>,
}

/// What a node came to.
enum Outcome {
    Known(Vec<Entry>),
    /// A constant, or codes whose values another node will ask for.
    Nothing,
}

impl<'a> Lowering<'a> {
    /// Reads the whole graph. `stop` names tensors that somebody else computes from here on; nodes beyond them need not be looked at.
    pub(super) fn run(graph: &'a Graph<'a>, input_chw: [usize; 3], ranges: Ranges<'a>, stop: &HashSet<String>) -> Self {
        let mut uses = HashMap::new();
        let outputs = graph.header.outputs.iter().map(|p| &p.name);
        for name in graph.nodes.iter().flat_map(|n| &n.inputs).chain(outputs) {
            *uses.entry(name.as_str()).or_insert(0) += 1;
        }
        let readers = graph.nodes.iter().flat_map(|n| n.inputs.iter().map(move |i| (i.as_str(), n))).collect();
        let (builder, known, refused, integers, rounded) = Default::default();
        let mut this = Self { graph, builder, known, refused, ranges, uses, readers, integers, rounded };
        if let Some(port) = graph.header.inputs.first() {
            let expr = Expr::new(input_chw, Kind::Image);
            this.known.insert(port.name.clone(), Entry { expr, is_flat: false });
        }
        for node in &graph.nodes {
            if node.outputs.iter().all(|o| stop.contains(o)) {
                continue;
            }
            this.node(node);
        }
        this
    }

    fn node(&mut self, node: &'a Node<'a>) {
        let outcome = self.interpret(node).and_then(|outcome| self.within_bounds(outcome));
        match outcome {
            Ok(Outcome::Known(entries)) => {
                for (name, entry) in node.outputs.iter().zip(entries) {
                    self.known.insert(name.clone(), entry);
                }
            }
            Ok(Outcome::Nothing) => {}
            Err(reason) => {
                self.refused.push(Refused { op: node.op.clone(), tensor: node.output().to_owned(), reason });
            }
        }
    }

    /// Refuses what no model needs and what would take time or memory without end further on.
    fn within_bounds(&mut self, outcome: Outcome) -> Result<Outcome, Refusal> {
        let Outcome::Known(entries) = &outcome else { return Ok(outcome) };
        for Entry { expr, .. } in entries {
            let size = expr.chw.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if size.is_none_or(|n| n > MAX_BYTES) || expr.chw[0] > MAX_CHANNELS {
                return Err(format!("a tensor of {:?} is too large", expr.chw));
            }
            if expr.depth > MAX_DEPTH {
                return Err("too many operations follow each other without a convolution".to_owned());
            }
            if let (Kind::Map { tables: Tables::Each(all), .. }, 1) = (&*expr.kind, Rc::strong_count(&expr.kind)) {
                self.builder.budget.tabulate(all.len())?;
            }
        }
        Ok(outcome)
    }

    /// A constant of a few values, so that no large one is read again and again.
    pub(super) fn few(&self, name: &str, most: usize) -> Option<&'a Tensor<'a>> {
        self.graph.constants.get(name).filter(|t| t.count().is_some_and(|n| n <= most))
    }

    fn interpret(&mut self, node: &'a Node<'a>) -> Result<Outcome, Refusal> {
        let one = |entry| Ok(Outcome::Known(vec![entry]));
        match node.op.as_str() {
            "QuantizeLinear" if self.is_constant(node) => self.round(node),
            "QuantizeLinear" => one(self.quantize(node)?),
            "DequantizeLinear" => self.dequantize(node),
            "Conv" => {
                let expr = filter::conv(self, node)?;
                one(Entry { expr, is_flat: false })
            }
            "Gemm" => {
                let expr = filter::gemm(self, node)?;
                one(Entry { expr, is_flat: true })
            }
            "Relu" => one(self.clip(node, Some(0.0), None)?),
            "Clip" => {
                // Up to operator set 10 bounds are attributes, later inputs.
                let bound = |i: usize, name: &str| match node.input(i) {
                    Some(input) => self.scalar(Some(input)).map(Some).ok_or("its bound is no constant"),
                    None => Ok(node.float(name)),
                };
                let (low, high) = (bound(1, "min")?, bound(2, "max")?);
                one(self.clip(node, low, high)?)
            }
            "Sigmoid" => one(self.function(node, |x| 1.0 / (1.0 + (-x).exp()))?),
            "Tanh" => one(self.function(node, f32::tanh)?),
            "HardSwish" => one(self.function(node, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))?),
            "HardSigmoid" => {
                let (a, b) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
                one(self.function(node, move |x| (a * x + b).clamp(0.0, 1.0))?)
            }
            "LeakyRelu" => {
                let a = node.float("alpha").unwrap_or(0.01);
                one(self.function(node, move |x| if x < 0.0 { a * x } else { x })?)
            }
            "Identity" | "Dropout" => one(self.entry(node, 0)?),
            "Mul" => one(self.mul(node)?),
            "Add" => one(self.add(node)?),
            "Concat" => one(self.concat(node)?),
            "Split" => Ok(Outcome::Known(self.split(node)?)),
            "Slice" => one(self.slice(node)?),
            "MaxPool" => one(self.max_pool(node)?),
            "Resize" => one(self.resize(node)?),
            "GlobalAveragePool" => one(self.average(node)?),
            "ReduceMean" => one(self.reduce_mean(node)?),
            "Flatten" | "Reshape" | "Squeeze" => one(self.flatten(node)?),
            other => Err(format!("the operator {other} is not covered")),
        }
    }

    pub(super) fn entry(&self, node: &Node<'_>, i: usize) -> Result<Entry, Refusal> {
        let name = node.input(i).unwrap_or("");
        self.known.get(name).cloned().ok_or_else(|| format!("its input {name} is not in 8 bits"))
    }

    /// The input as something whose values are known: sums and pictures get codes, if a range is known.
    pub(super) fn value(&mut self, node: &Node<'_>, i: usize) -> Result<Entry, Refusal> {
        let entry = self.entry(node, i)?;
        if !matches!(&*entry.expr.kind, Kind::Raw(_) | Kind::Image) {
            return Ok(entry);
        }
        let name = node.input(i).unwrap_or("").to_owned();
        let quant = self.calibrated(&name)?;
        let entry = Entry { expr: self.fixed(&entry.expr, quant)?, ..entry };
        self.known.insert(name, entry.clone());
        Ok(entry)
    }

    fn calibrated(&self, name: &str) -> Result<Quant, Refusal> {
        let range = (self.ranges)(name);
        range
            .map(|(low, high)| Quant::covering(low, high))
            .ok_or_else(|| format!("the range of {name} is not known; calibrate the model"))
    }

    /// The step that calibration gives a tensor, for expressions that have none of their own.
    pub(super) fn with_range(&self, name: &str, expr: Expr) -> Expr {
        let natural = expr.natural.or_else(|| (self.ranges)(name).map(|(low, high)| Quant::covering(low, high)));
        expr.with_natural(natural)
    }

    /// Values as they are after they were codes of `quant`.
    fn fixed(&mut self, expr: &Expr, quant: Quant) -> Result<Expr, Refusal> {
        match &*expr.kind {
            Kind::Image => {
                if let Some(slot) = self.builder.image {
                    if self.builder.quant(slot) != quant {
                        return Err("the picture is wanted in two steps".to_owned());
                    }
                    return Ok(Expr::codes(expr.chw, Source::Stored(slot), quant));
                }
                let [c, h, w] = expr.chw;
                // Pixels of three channels lie in four bytes, so that rows of taps lie together.
                let slot = self.builder.buffer([c.next_multiple_of(4), h, w], quant)?.part(0, c);
                self.builder.image = Some(slot);
                Ok(Expr::codes(expr.chw, Source::Stored(slot), quant))
            }
            Kind::Raw(op) => {
                let conv = self.builder.conv(*op);
                if *conv.quant.get_or_insert(quant) == quant {
                    return Ok(Expr::codes(expr.chw, Source::Producer(*op), quant));
                }
                Err("its sums are wanted in two steps".to_owned())
            }
            // Whoever reads the map in another step reads what codes of this one stand for, as the file says.
            Kind::Map { source, first, tables } => {
                let rounded = |t: &Values| -> Values { std::array::from_fn(|i| quant.value(quant.code(t[i]))) };
                let tables = match tables {
                    Tables::One(t) => Tables::One(Rc::new(rounded(t))),
                    Tables::Each(all) => Tables::Each(Rc::new(all.iter().map(rounded).collect())),
                };
                Ok(Expr::new(expr.chw, Kind::Map { source: *source, first: *first, tables }).with_natural(Some(quant)))
            }
            _ => Ok(Expr::new(expr.chw, Kind::Fixed { of: expr.clone(), quant }).with_natural(Some(quant))),
        }
    }

    /// A function of the values: of those of a map it is a map, all else is stored first.
    fn mapped(&mut self, expr: &Expr, change: impl Fn(&Tables) -> Tables) -> Result<Expr, Refusal> {
        let (source, first, tables) = match &*expr.kind {
            Kind::Map { source, first, tables } => (*source, *first, change(tables)),
            _ => {
                let quant = Builder::natural(expr);
                let slot = self.builder.store(expr, quant)?;
                (Source::Stored(slot), 0, change(&Tables::One(Rc::new(quant.values()))))
            }
        };
        Ok(Expr::new(expr.chw, Kind::Map { source, first, tables }))
    }

    fn function(&mut self, node: &Node<'_>, f: impl Fn(f32) -> f32) -> Result<Entry, Refusal> {
        let Entry { expr, is_flat } = self.value(node, 0)?;
        let expr = self.mapped(&expr, |t| t.map(&f))?;
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat })
    }

    /// Bounds on values. Where codes are yet to be made, their range is that of the bounded values, and none are spent on what is cut off.
    fn clip(&mut self, node: &Node<'_>, low: Option<f32>, high: Option<f32>) -> Result<Entry, Refusal> {
        let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
        if low.is_nan() || high.is_nan() || low > high {
            return Err("its bounds make no sense".to_owned());
        }
        let entry = self.entry(node, 0)?;
        let only_use = self.uses.get(node.input(0).unwrap_or("")) == Some(&1);
        let measured = || (self.ranges)(node.output()).map(|(a, b)| Quant::covering(a.max(low), b.min(high)));
        let quant = self.asked(node.output()).or_else(measured);
        if let (Kind::Raw(_) | Kind::Sum(..), true, Some(quant)) = (&*entry.expr.kind, only_use, quant) {
            let expr = self.fixed(&entry.expr, quant)?;
            let expr = self.mapped(&expr, |t| t.map(|x| x.clamp(low, high)))?;
            return Ok(Entry { expr: expr.with_natural(Some(quant)), ..entry });
        }
        self.function(node, |x| x.clamp(low, high))
    }

    /// The step in which a tensor's only reader wants it, if that is a quantisation.
    fn asked(&self, tensor: &str) -> Option<Quant> {
        let reader = self.readers.get(tensor).filter(|n| n.op == "QuantizeLinear")?;
        if self.uses.get(tensor) == Some(&1) { self.step(reader).ok() } else { None }
    }

    fn quantize(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let entry = self.entry(node, 0)?;
        let quant = self.step(node)?;
        Ok(Entry { expr: self.fixed(&entry.expr, quant)?, ..entry })
    }

    fn is_constant(&self, node: &Node<'_>) -> bool {
        node.input(0).is_some_and(|name| self.graph.constants.contains_key(name))
    }

    /// The integers that a node makes of a constant, or reads as one.
    fn integers_of(node: &Node<'_>) -> Integers {
        let name = |i: usize| node.input(i).unwrap_or("").to_owned();
        let zeros = node.input(2).map(str::to_owned);
        Integers { values: name(0), scales: name(1), zeros, axis: node.int("axis", 1) }
    }

    fn round(&mut self, node: &Node<'_>) -> Result<Outcome, Refusal> {
        let integers = Self::integers_of(node);
        let zeros = integers.zeros.as_deref().and_then(|name| self.graph.constants.get(name));
        if !zeros.is_some_and(|z| z.is_int8()) {
            return Err("it makes other than signed bytes (int8) of constants".to_owned());
        }
        self.rounded.insert(node.output().to_owned(), integers);
        Ok(Outcome::Nothing)
    }

    fn dequantize(&mut self, node: &'a Node<'a>) -> Result<Outcome, Refusal> {
        let name = node.input(0).unwrap_or("");
        if let Some(constant) = self.graph.constants.get(name) {
            if constant.floats().is_some() {
                return Err("it reads floats as codes".to_owned());
            }
            self.integers.insert(node.output().to_owned(), Self::integers_of(node));
            return Ok(Outcome::Nothing);
        }
        if let Some(written) = self.rounded.get(name) {
            if (Integers { values: written.values.clone(), ..Self::integers_of(node) }) != *written {
                return Err("it reads codes in another step than they were written in".to_owned());
            }
            self.integers.insert(node.output().to_owned(), written.clone());
            return Ok(Outcome::Nothing);
        }
        let entry = self.entry(node, 0)?;
        if entry.expr.natural != Some(self.step(node)?) {
            return Err("it reads codes in another step than they were written in".to_owned());
        }
        Ok(Outcome::Known(vec![entry]))
    }

    fn step(&self, node: &Node<'_>) -> Result<Quant, Refusal> {
        let scale = self.scalar(node.input(1)).ok_or("its scale is not one number")?;
        let zero = match node.input(2) {
            None => Some(0),
            Some(name) => self.graph.constants.get(name).and_then(|t| {
                // Signed codes (int8) are the same ones 128 further down.
                let shift = if t.is_uint8() { Some(0) } else { t.is_int8().then_some(128) }?;
                t.ints().filter(|z| z.len() == 1).map(|z| z[0] + shift)
            }),
        };
        let zero = zero.ok_or("its codes are not bytes (uint8 or int8)")?;
        Quant::new(scale, zero).ok_or_else(|| format!("its scale {scale} makes no sense"))
    }

    fn scalar(&self, name: Option<&str>) -> Option<f32> {
        self.few(name?, 1)?.floats()?.first().copied()
    }

    /// One number for each channel, or one for all; None if the input is no such constant.
    fn per_channel(&self, node: &Node<'_>, i: usize, channels: usize) -> Option<Vec<f32>> {
        let tensor = self.few(node.input(i)?, channels)?;
        let values = tensor.floats()?;
        let is_per_channel =
            tensor.dims.len() >= 3 && tensor.dims[tensor.dims.len() - 3] == channels && values.len() == channels;
        match values.len() {
            1 => Some(vec![values[0]; channels]),
            _ => is_per_channel.then_some(values),
        }
    }

    fn mul(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        for (constant, other) in [(1, 0), (0, 1)] {
            let Ok(Entry { expr, .. }) = self.entry(node, other) else { continue };
            let Some(factors) = self.per_channel(node, constant, expr.chw[0]) else { continue };
            let Entry { expr, is_flat } = self.value(node, other)?;
            let expr = self.mapped(&expr, |t| t.map_each(&factors, |x, f| x * f))?;
            return Ok(Entry { expr: self.with_range(node.output(), expr), is_flat });
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        self.same_codes(&a, &b, |x, y| x * y)
            .ok_or_else(|| "two tensors are multiplied that do not come from the same codes".to_owned())
    }

    /// A function of two tensors that are both functions of the same codes: SiLU is `x` times a sigmoid of `x`.
    fn same_codes(&self, a: &Entry, b: &Entry, f: impl Fn(f32, f32) -> f32) -> Option<Entry> {
        let (Kind::Map { source: s, first: x, tables: t }, Kind::Map { source: r, first: y, tables: u }) =
            (&*a.expr.kind, &*b.expr.kind)
        else {
            return None;
        };
        if s != r || x != y || a.expr.chw != b.expr.chw {
            return None;
        }
        let kind = Kind::Map { source: *s, first: *x, tables: t.zip(u, f)? };
        Some(Entry { expr: Expr::new(a.expr.chw, kind), is_flat: a.is_flat })
    }

    fn add(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        for (constant, other) in [(1, 0), (0, 1)] {
            let Ok(Entry { expr, is_flat }) = self.entry(node, other) else { continue };
            let Some(summands) = self.per_channel(node, constant, expr.chw[0]) else { continue };
            let name = node.input(other).unwrap_or("");
            let only_use = self.uses.get(name) == Some(&1);
            // Under another name the sums may be wanted without the summands.
            if let (Kind::Raw(op), true) = (&*expr.kind, only_use)
                && self.builder.conv(*op).name == name
            {
                let conv = self.builder.conv(*op);
                conv.bias.iter_mut().zip(&summands).for_each(|(b, s)| *b += f64::from(*s));
                return Ok(Entry { expr, is_flat });
            }
            let Entry { expr, is_flat } = self.value(node, other)?;
            let expr = self.mapped(&expr, |t| t.map_each(&summands, |x, s| x + s))?;
            return Ok(Entry { expr: self.with_range(node.output(), expr), is_flat });
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        if a.expr.chw != b.expr.chw {
            return Err("tensors of different shapes are added".to_owned());
        }
        if let Some(entry) = self.same_codes(&a, &b, |x, y| x + y) {
            return Ok(entry);
        }
        let expr = Expr::new(a.expr.chw, Kind::Sum(a.expr, b.expr));
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat: a.is_flat })
    }

    /// Where a tensor's codes are stored and what each means: for whoever goes on in floats.
    pub(super) fn leave(&mut self, name: &str) -> Result<(super::expr::Slot, Box<Values>), Refusal> {
        let mut expr = self.known.get(name).ok_or_else(|| format!("{name} is not in 8 bits"))?.expr.clone();
        if matches!(&*expr.kind, Kind::Raw(_) | Kind::Image) {
            let quant = self.calibrated(name)?;
            expr = self.fixed(&expr, quant)?;
        }
        if let Kind::Map { source, first, tables: Tables::One(values) } = &*expr.kind {
            let slot = match source {
                Source::Producer(op) => self.builder.codes_of(*op)?,
                Source::Stored(slot) => *slot,
            };
            return Ok((slot.part(*first, expr.chw[0]), Box::new(**values)));
        }
        let quant = Builder::natural(&expr);
        Ok((self.builder.store(&expr, quant)?, Box::new(quant.values())))
    }
}
