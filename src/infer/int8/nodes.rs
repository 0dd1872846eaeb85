//! From ONNX's operators to expressions, one operator after the other; what cannot be said in 8 bits is left to others, with a reason.
//!
//! Belongs here: what an operator means. Does not: how it is computed (see `build`), convolutions' weights (see `filter`).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::super::onnx::graph::{Graph, Node};
use super::build::{Builder, Refusal};
use super::expr::{Expr, Kind, Pick, Source, Tables, Window};
use super::filter;
use super::quant::{Quant, Values};

/// Sides of a filter, strides, pads, at most: beyond it a file is hostile.
const MAX_TAPS: usize = 64;

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

/// A graph on its way to operations.
pub(super) struct Lowering<'a> {
    pub graph: &'a Graph<'a>,
    pub builder: Builder,
    /// Tensors by name.
    pub known: HashMap<String, Entry>,
    pub refused: Vec<Refused>,
    ranges: Ranges<'a>,
    uses: HashMap<&'a str, usize>,
    /// Constants that a `DequantizeLinear` made of integers: name of integers, of scales, of zero points.
    pub(super) integers: HashMap<String, (String, String, Option<String>)>,
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
        for name in graph.nodes.iter().flat_map(|n| &n.inputs) {
            *uses.entry(name.as_str()).or_insert(0) += 1;
        }
        let (builder, known, refused, integers) = Default::default();
        let mut this = Self { graph, builder, known, refused, ranges, uses, integers };
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
        match self.interpret(node) {
            Ok(Outcome::Known(entries)) => {
                for (name, entry) in node.outputs.iter().zip(entries) {
                    self.known.insert(name.clone(), entry);
                }
            }
            Ok(Outcome::Nothing) => {}
            Err(reason) => {
                for tensor in &node.outputs {
                    self.refused.push(Refused { op: node.op.clone(), tensor: tensor.clone(), reason: reason.clone() });
                }
            }
        }
    }

    fn interpret(&mut self, node: &'a Node<'a>) -> Result<Outcome, Refusal> {
        let one = |entry| Ok(Outcome::Known(vec![entry]));
        match node.op.as_str() {
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
                let bound = |i: usize, name: &str| self.scalar(node.input(i)).or_else(|| node.float(name));
                let (low, high) = (bound(1, "min"), bound(2, "max"));
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
    fn with_range(&self, name: &str, expr: Expr) -> Expr {
        let natural = expr.natural.or_else(|| (self.ranges)(name).map(|(low, high)| Quant::covering(low, high)));
        expr.with_natural(natural)
    }

    /// Values as they are after they were codes of `quant`.
    fn fixed(&mut self, expr: &Expr, quant: Quant) -> Result<Expr, Refusal> {
        match &*expr.kind {
            Kind::Image => {
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
                let quant = self.builder.natural(expr);
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
        if let (Kind::Raw(_) | Kind::Sum(..), true, Some((a, b))) =
            (&*entry.expr.kind, only_use, (self.ranges)(node.output()))
        {
            let quant = Quant::covering(a.max(low), b.min(high));
            let expr = self.fixed(&entry.expr, quant)?;
            let expr = self.mapped(&expr, |t| t.map(|x| x.clamp(low, high)))?;
            return Ok(Entry { expr: expr.with_natural(Some(quant)), ..entry });
        }
        self.function(node, |x| x.clamp(low, high))
    }

    fn quantize(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let entry = self.entry(node, 0)?;
        let quant = self.step(node)?;
        Ok(Entry { expr: self.fixed(&entry.expr, quant)?, ..entry })
    }

    fn dequantize(&mut self, node: &'a Node<'a>) -> Result<Outcome, Refusal> {
        let name = node.input(0).unwrap_or("");
        if self.graph.constants.contains_key(name) {
            let names = (name.to_owned(), node.input(1).unwrap_or("").to_owned(), node.input(2).map(str::to_owned));
            self.integers.insert(node.output().to_owned(), names);
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
            Some(name) => {
                let t = self.graph.constants.get(name).filter(|t| t.is_uint8());
                t.and_then(|t| t.ints()).filter(|z| z.len() == 1).map(|z| z[0])
            }
        };
        let zero = zero.ok_or("its codes are not unsigned bytes (uint8)")?;
        Quant::new(scale, zero).ok_or_else(|| format!("its scale {scale} makes no sense"))
    }

    fn scalar(&self, name: Option<&str>) -> Option<f32> {
        let values = self.graph.constants.get(name?)?.floats()?;
        (values.len() == 1).then(|| values[0])
    }

    /// One number for each channel, or one for all; None if the input is no such constant.
    fn per_channel(&self, node: &Node<'_>, i: usize, channels: usize) -> Option<Vec<f32>> {
        let tensor = self.graph.constants.get(node.input(i)?)?;
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
            let only_use = self.uses.get(node.input(other).unwrap_or("")) == Some(&1);
            if let (Kind::Raw(op), true) = (&*expr.kind, only_use) {
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

    fn concat(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        if node.int("axis", 0) != 1 {
            return Err("it joins along another axis than the channels".to_owned());
        }
        let parts = (0..node.inputs.len()).map(|i| self.value(node, i)).collect::<Result<Vec<_>, _>>()?;
        let [_, h, w] = parts.first().ok_or("it has no inputs")?.expr.chw;
        if parts.iter().any(|p| p.is_flat || p.expr.chw[1..] != [h, w]) {
            return Err("it joins tensors of different sizes".to_owned());
        }
        let channels = parts.iter().map(|p| p.expr.chw[0]).sum();
        let expr = Expr::new([channels, h, w], Kind::Concat(parts.into_iter().map(|p| p.expr).collect()));
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat: false })
    }

    fn split(&mut self, node: &Node<'_>) -> Result<Vec<Entry>, Refusal> {
        let Entry { expr, is_flat } = self.value(node, 0)?;
        let sizes = match (node.input(1), node.ints("split")) {
            (Some(name), _) => self.whole(name).ok_or("its sizes are no constant")?,
            (None, Some(sizes)) => sizes.to_vec(),
            (None, None) => vec![(expr.chw[0] / node.outputs.len().max(1)) as i64; node.outputs.len()],
        };
        let sizes: Vec<usize> = sizes.iter().filter_map(|&s| usize::try_from(s).ok().filter(|&s| s > 0)).collect();
        let total = sizes.iter().try_fold(0usize, |a, &b| a.checked_add(b));
        if node.int("axis", 0) != 1 || sizes.len() != node.outputs.len() || total != Some(expr.chw[0]) {
            return Err("it does not cut the channels into parts".to_owned());
        }
        let mut first = 0;
        let cut = sizes.into_iter().map(|n| {
            let expr = expr.part(first, n);
            first += n;
            Entry { expr, is_flat }
        });
        Ok(cut.collect())
    }

    fn whole(&self, name: &str) -> Option<Vec<i64>> {
        self.graph.constants.get(name)?.ints()
    }

    fn slice(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { mut expr, is_flat } = self.value(node, 0)?;
        let list = |i: usize| node.input(i).and_then(|n| self.whole(n));
        let (starts, ends) = (list(1).ok_or("its starts are no constant")?, list(2).ok_or("its ends are no constant")?);
        let axes = list(3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4).unwrap_or_else(|| vec![1; starts.len()]);
        if is_flat || [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
            return Err("its lists have different lengths".to_owned());
        }
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = if axis < 0 { axis.saturating_add(4) } else { axis };
            let axis = usize::try_from(axis).ok().filter(|a| (1..4).contains(a)).ok_or("it cuts the batch")?;
            let len = expr.chw[axis - 1];
            let within = |n: i64| if n < 0 { n.saturating_add(len as i64).max(0) } else { n.min(len as i64) } as usize;
            let (start, end) = (within(start), within(end));
            let step = usize::try_from(step).ok().filter(|&s| s > 0).ok_or("it goes backwards")?;
            if start >= end {
                return Err("it leaves nothing".to_owned());
            }
            let kept = (end - start).div_ceil(step);
            let pick = Pick { start, step, repeat: 1 };
            let mut chw = expr.chw;
            chw[axis - 1] = kept;
            expr = match axis {
                1 if step == 1 => expr.part(start, kept),
                1 => return Err("it picks channels with gaps".to_owned()),
                2 => sampled(&expr, chw, pick, Pick::ALL),
                _ => sampled(&expr, chw, Pick::ALL, pick),
            };
        }
        Ok(Entry { expr, is_flat })
    }

    fn max_pool(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let (window, out_hw) = window(node, expr.chw, None)?;
        if node.outputs.len() > 1 {
            return Err("its indices are wanted".to_owned());
        }
        let natural = expr.natural;
        let expr = Expr::new([expr.chw[0], out_hw[0], out_hw[1]], Kind::Pool { of: expr, window });
        Ok(Entry { expr: expr.with_natural(natural), is_flat: false })
    }

    fn resize(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let mode = node.text("mode").unwrap_or("nearest");
        let place = node.text("coordinate_transformation_mode").unwrap_or("half_pixel");
        let nearest = node.text("nearest_mode").unwrap_or("round_prefer_floor");
        let is_plain = matches!(
            (place, nearest),
            ("asymmetric", "floor") | ("half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        );
        if mode != "nearest" || !is_plain {
            return Err(format!("it resizes by {mode}, {place}, {nearest}; covered is nearest, by whole factors"));
        }
        let [c, h, w] = expr.chw;
        let scales =
            node.input(2).and_then(|n| self.graph.constants.get(n)).and_then(|t| t.floats()).filter(|s| s.len() == 4);
        let sizes = node.input(3).and_then(|n| self.whole(n)).filter(|s| s.len() == 4);
        let factors = match (scales, sizes) {
            (Some(s), _) => [s[2], s[3]],
            (None, Some(s)) => [s[2] as f32 / h as f32, s[3] as f32 / w as f32],
            _ => return Err("its factors are no constant".to_owned()),
        };
        let whole = |f: f32| (f.fract() == 0.0 && (1.0..=64.0).contains(&f)).then_some(f as usize);
        let (Some(y), Some(x)) = (whole(factors[0]), whole(factors[1])) else {
            return Err(format!("it resizes by {} and {}; covered are whole factors", factors[0], factors[1]));
        };
        let repeat = |repeat| Pick { start: 0, step: 1, repeat };
        let natural = expr.natural;
        let kind = Kind::Sample { of: expr, y: repeat(y), x: repeat(x) };
        Ok(Entry { expr: Expr::new([c, h * y, w * x], kind).with_natural(natural), is_flat: false })
    }

    fn average(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let expr = Expr::new([expr.chw[0], 1, 1], Kind::Average(expr));
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat: false })
    }

    fn reduce_mean(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let axes = node.ints("axes").map(<[i64]>::to_vec).or_else(|| self.whole(node.input(1)?));
        match axes.as_deref() {
            Some([2, 3] | [-2, -1]) => {
                let is_flat = node.int("keepdims", 1) == 0;
                Ok(Entry { is_flat, ..self.average(node)? })
            }
            _ => Err("it averages over other axes than height and width".to_owned()),
        }
    }

    /// Of a tensor with one pixel all shapes are the same.
    fn flatten(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let shape = node.input(1).and_then(|n| self.whole(n));
        let keeps_channels = match (node.op.as_str(), shape) {
            ("Flatten", _) => node.int("axis", 1) == 1,
            ("Reshape", Some(s)) => s.len() == 2 && (s[1] == -1 || s[1] == expr.chw[0] as i64),
            ("Squeeze", axes) => axes.is_none_or(|a| matches!(a.as_slice(), [2, 3] | [-2, -1])),
            _ => false,
        };
        if expr.chw[1..] != [1, 1] || !keeps_channels {
            return Err("it changes the shape of more than one pixel".to_owned());
        }
        Ok(Entry { expr, is_flat: true })
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
        let quant = self.builder.natural(&expr);
        Ok((self.builder.store(&expr, quant)?, Box::new(quant.values())))
    }
}

/// Rows and columns picked, at once with those that were picked before.
fn sampled(expr: &Expr, chw: [usize; 3], y: Pick, x: Pick) -> Expr {
    let joined = match &*expr.kind {
        Kind::Sample { of, y: by, x: bx } => {
            y.after(*by).zip(x.after(*bx)).map(|(y, x)| Kind::Sample { of: of.clone(), y, x })
        }
        _ => None,
    };
    let kind = joined.unwrap_or_else(|| Kind::Sample { of: expr.clone(), y, x });
    Expr::new(chw, kind).with_natural(expr.natural)
}

/// A convolution's or pool's window, and the height and width that come out.
pub(super) fn window(
    node: &Node<'_>,
    chw: [usize; 3],
    size: Option<[usize; 2]>,
) -> Result<(Window, [usize; 2]), Refusal> {
    let odd = |what: &str| format!("its {what} make no sense");
    if !matches!(node.text("auto_pad"), None | Some("NOTSET" | "VALID")) {
        return Err("it pads by auto_pad; covered are pads in numbers".to_owned());
    }
    let pair = |name: &str, otherwise: [usize; 2]| match node.ints(name) {
        None => Ok(otherwise),
        Some([a, b]) => match (usize::try_from(*a), usize::try_from(*b)) {
            (Ok(a), Ok(b)) if (1..=MAX_TAPS).contains(&a) && (1..=MAX_TAPS).contains(&b) => Ok([a, b]),
            _ => Err(odd(name)),
        },
        Some(_) => Err(odd(name)),
    };
    let size = match size {
        Some(size) => size,
        None => pair("kernel_shape", [0, 0])?,
    };
    let (stride, dilation) = (pair("strides", [1, 1])?, pair("dilations", [1, 1])?);
    let pads = node.ints("pads").unwrap_or(&[0; 4]);
    let pads: Vec<usize> = pads.iter().filter_map(|&p| usize::try_from(p).ok().filter(|&p| p <= MAX_TAPS)).collect();
    let &[top, left, bottom, right] = pads.as_slice() else { return Err(odd("pads")) };
    if size.contains(&0) || size.iter().any(|&s| s > MAX_TAPS) {
        return Err(odd("kernel_shape"));
    }
    let ceil = node.int("ceil_mode", 0) == 1;
    let out = |i: usize, before: usize, after: usize| {
        let reach = (size[i] - 1) * dilation[i] + 1;
        let room = (chw[i + 1] + before + after).checked_sub(reach)?;
        let steps = if ceil { room.div_ceil(stride[i]) } else { room / stride[i] };
        // A last window that would begin beyond the picture does not count.
        let beyond = ceil && steps * stride[i] >= chw[i + 1] + before;
        Some(steps + 1 - usize::from(beyond))
    };
    let (Some(h), Some(w)) = (out(0, top, bottom), out(1, left, right)) else {
        return Err("its window is larger than the picture".to_owned());
    };
    Ok((Window { size, stride, pad: [top, left], dilation }, [h, w]))
}
