//! A convolution's weights: from the file's floats or integers to 8 bits for each output channel.
//!
//! Belongs here: `Conv`, `Gemm`, their weights and biases. Does not: packing for a processor (see `kernel`).

use super::super::onnx::graph::{Node, Tensor};
use super::build::{Builder, Conv, Op, Refusal};
use super::expr::{Expr, Kind, Window};
use super::nodes::{Integers, Lowering};
use super::shapes::window;

/// Weights `[output][input][row][column]` as integers with a step for each output.
struct Weights {
    dims: [usize; 4],
    values: Vec<i8>,
    scale: Vec<f32>,
}

pub(super) fn conv(lowering: &mut Lowering<'_>, node: &Node<'_>) -> Result<Expr, Refusal> {
    let input = lowering.value(node, 0)?;
    let [channels, ..] = input.expr.chw;
    let weights_name = node.input(1).ok_or("it has no weights")?;
    let dims =
        dims_of(lowering, weights_name).filter(|d| d.len() == 4).ok_or("its weights are not of four dimensions")?;
    let dims = [dims[0], dims[1], dims[2], dims[3]];
    let groups = usize::try_from(node.int("group", 1)).ok().filter(|&g| g > 0).ok_or("its groups make no sense")?;
    if input.is_flat || dims[1].checked_mul(groups) != Some(channels) || dims[0] % groups != 0 || dims.contains(&0) {
        return Err("its weights do not fit its input".to_owned());
    }
    let (window, [h, w]) = window(node, input.expr.chw, Some([dims[2], dims[3]]))?;
    let bias = bias_of(lowering, node.input(2), dims[0])?;
    let is_depthwise = groups > 1 && groups == channels && dims[0] == channels;
    let layer = Layer { name: node.output(), groups, is_depthwise, window, out_chw: [dims[0], h, w], bias };
    finish(lowering, &input.expr, weights_name, dims, layer)
}

pub(super) fn gemm(lowering: &mut Lowering<'_>, node: &Node<'_>) -> Result<Expr, Refusal> {
    let input = lowering.value(node, 0)?;
    let name = node.input(1).ok_or("it has no weights")?;
    let dims = dims_of(lowering, name).filter(|d| d.len() == 2).ok_or("its weights are not of two dimensions")?;
    let is_one = |v: Option<f32>| v.is_none_or(|v| v == 1.0);
    if node.int("transB", 0) != 1
        || node.int("transA", 0) != 0
        || !is_one(node.float("alpha"))
        || !is_one(node.float("beta"))
    {
        return Err("covered is a fully connected layer with transposed weights and without factors".to_owned());
    }
    if !input.is_flat || dims[1] != input.expr.chw[0] || dims[0] == 0 {
        return Err("its weights do not fit its input".to_owned());
    }
    let bias = bias_of(lowering, node.input(2), dims[0])?;
    let window = Window { size: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    let out_chw = [dims[0], 1, 1];
    let layer = Layer { name: node.output(), groups: 1, is_depthwise: false, window, out_chw, bias };
    finish(lowering, &input.expr, name, [dims[0], dims[1], 1, 1], layer)
}

struct Layer<'n> {
    name: &'n str,
    groups: usize,
    is_depthwise: bool,
    window: Window,
    out_chw: [usize; 3],
    bias: Vec<f64>,
}

fn finish(
    lowering: &mut Lowering<'_>,
    input: &Expr,
    weights: &str,
    dims: [usize; 4],
    layer: Layer<'_>,
) -> Result<Expr, Refusal> {
    let inputs = if layer.is_depthwise { 1 } else { input.chw[0] };
    lowering.builder.budget.weigh(dims[0], dims[2] * dims[3], inputs)?;
    lowering.builder.budget.step()?;
    let quant = Builder::natural(input);
    let weights = weights_of(lowering, weights, dims, &layer.bias, quant.scale)?;
    let sum_scale: Vec<f32> = weights.scale.iter().map(|&s| s * quant.scale).collect();
    let weights = in_memory_order(&weights, layer.groups, layer.is_depthwise)?;
    let from = lowering.builder.store(input, quant)?;
    let border = border_for(layer.window, input.chw, layer.out_chw);
    lowering.builder.widen(from.buffer, border)?;
    lowering.builder.ops.push(Op::Conv(Box::new(Conv {
        name: layer.name.to_owned(),
        from,
        window: layer.window,
        is_depthwise: layer.is_depthwise,
        out_chw: layer.out_chw,
        weights,
        sum_scale,
        bias: layer.bias,
        quant: None,
        dests: Vec::new(),
    })));
    Ok(Expr::new(layer.out_chw, Kind::Raw(lowering.builder.ops.len() - 1)))
}

/// How far the window looks beyond the picture on any side.
fn border_for(window: Window, chw: [usize; 3], out_chw: [usize; 3]) -> usize {
    let beyond = |i: usize| {
        let last = (out_chw[i + 1] - 1) * window.stride[i] + (window.size[i] - 1) * window.dilation[i] + 1;
        window.pad[i].max(last.saturating_sub(window.pad[i] + chw[i + 1]))
    };
    beyond(0).max(beyond(1))
}

fn dims_of(lowering: &Lowering<'_>, name: &str) -> Option<Vec<usize>> {
    let name = lowering.integers.get(name).map_or(name, |i| i.values.as_str());
    lowering.graph.constants.get(name).filter(|t| t.is_whole()).map(|t| t.dims.clone())
}

fn bias_of(lowering: &Lowering<'_>, name: Option<&str>, outputs: usize) -> Result<Vec<f64>, Refusal> {
    let Some(name) = name else { return Ok(vec![0.0; outputs]) };
    let few = |name: &str| lowering.few(name, outputs);
    let values: Option<Vec<f64>> = match lowering.integers.get(name) {
        None => few(name).and_then(Tensor::floats).map(|v| v.into_iter().map(f64::from).collect()),
        Some(i) => {
            let zeros = i.zeros.as_deref().map_or(Some(Vec::new()), |z| few(z).and_then(Tensor::ints));
            if zeros.is_none_or(|z| z.iter().any(|&z| z != 0)) {
                return Err("its bias has a zero point".to_owned());
            }
            let ints = few(&i.values).and_then(Tensor::ints);
            let scales = few(&i.scales).and_then(Tensor::floats);
            ints.zip(scales).filter(|(i, s)| s.len() == i.len() || s.len() == 1).map(|(ints, scales)| {
                let scale = |c: usize| f64::from(scales[if scales.len() == 1 { 0 } else { c }]);
                ints.iter().enumerate().map(|(c, &n)| n as f64 * scale(c)).collect()
            })
        }
    };
    values
        .filter(|v| v.len() == outputs && v.iter().all(|b| b.is_finite()))
        .ok_or_else(|| "its bias does not fit".to_owned())
}

fn weights_of(
    lowering: &Lowering<'_>,
    name: &str,
    dims: [usize; 4],
    bias: &[f64],
    input_scale: f32,
) -> Result<Weights, Refusal> {
    let constants = &lowering.graph.constants;
    let depth = dims[1] * dims[2] * dims[3];
    if let Some(Integers { values, scales, zeros, axis }) = lowering.integers.get(name) {
        let scales = lowering.few(scales, dims[0]).and_then(Tensor::floats);
        let scales = scales.ok_or("its weights have scales along another axis than the outputs")?;
        let zeros = match zeros {
            None => Vec::new(),
            Some(name) => {
                lowering.few(name, dims[0]).and_then(Tensor::ints).ok_or("its weights' zero points are odd")?
            }
        };
        let scale = match scales.len() {
            1 => vec![scales[0]; dims[0]],
            n if n == dims[0] && *axis == 0 => scales,
            _ => return Err("its weights have scales along another axis than the outputs".to_owned()),
        };
        if scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err("a scale of its weights makes no sense".to_owned());
        }
        let tensor = constants.get(values).ok_or("its weights are no constant")?;
        let values = tensor.ints().or_else(|| rounded(&tensor.floats()?, &scale)).ok_or("its weights are damaged")?;
        if zeros.iter().any(|&z| z != 0) || values.iter().any(|v| i8::try_from(*v).is_err()) {
            return Err("its weights are not signed bytes with the zero point 0".to_owned());
        }
        // -128 occurs where a quantiser uses the whole range; kernels without a dot product have no room for it.
        return Ok(Weights { dims, values: values.iter().map(|&v| (v as i8).max(-127)).collect(), scale });
    }
    let floats = constants.get(name).and_then(|t| t.floats()).ok_or("its weights are no constant floats")?;
    if floats.len() != depth * dims[0] || floats.iter().any(|w| !w.is_finite()) {
        return Err("its weights are damaged".to_owned());
    }
    let rows = || floats.chunks_exact(depth);
    let scale: Vec<f32> = rows().zip(bias).map(|(row, &bias)| step_for(row, bias, input_scale)).collect();
    let code = |w: f32, s: f32| (w / s).round_ties_even().clamp(-127.0, 127.0) as i8;
    let values = rows().zip(&scale).flat_map(|(row, &s)| row.iter().map(move |&w| code(w, s))).collect();
    Ok(Weights { dims, values, scale })
}

/// Signed bytes of weights that the file has as floats, each output in its own step.
fn rounded(floats: &[f32], scale: &[f32]) -> Option<Vec<i64>> {
    let depth = floats.len().checked_div(scale.len()).filter(|&d| d > 0 && d * scale.len() == floats.len())?;
    let code = |w: f32, s: f32| (w / s).round_ties_even().clamp(-128.0, 127.0) as i64;
    let is_sane = floats.iter().all(|w| w.is_finite());
    is_sane.then(|| {
        floats.chunks_exact(depth).zip(scale).flat_map(|(row, &s)| row.iter().map(move |&w| code(w, s))).collect()
    })
}

/// The step of one output's weights: so that the greatest is 127, but never so fine that the bias would not fit the sum.
fn step_for(row: &[f32], bias: f64, input_scale: f32) -> f32 {
    const LARGEST_BIAS: f64 = (1u32 << 29) as f64;
    let greatest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    let for_bias = (bias.abs() / (f64::from(input_scale) * LARGEST_BIAS)) as f32;
    (greatest / 127.0).max(for_bias).max(1e-12)
}

/// From `[output][input][row][column]` to `[output][row][column][input]`. A filter with groups is written out with zeros; one with a
/// filter for each channel stays as it is.
fn in_memory_order(weights: &Weights, groups: usize, is_depthwise: bool) -> Result<Vec<i8>, Refusal> {
    let [outputs, inputs, h, w] = weights.dims;
    if weights.values.len() != outputs * inputs * h * w {
        return Err("its weights are damaged".to_owned());
    }
    if is_depthwise {
        return Ok(weights.values.clone());
    }
    let all = inputs * groups;
    let mut out = vec![0i8; outputs * all * h * w];
    for o in 0..outputs {
        let base = o / (outputs / groups) * inputs;
        for i in 0..inputs {
            for (tap, &value) in weights.values[(o * inputs + i) * h * w..][..h * w].iter().enumerate() {
                out[(o * h * w + tap) * all + base + i] = value;
            }
        }
    }
    Ok(out)
}
