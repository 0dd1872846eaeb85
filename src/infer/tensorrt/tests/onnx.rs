//! Tiny models in ONNX's wire format, made where they are needed: an image of three channels, one convolution, one output.
//!
//! Belongs here: the few fields of the format that such a model has. Does not: what TensorRT makes of them.

/// Element types of ONNX.
const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const INT8: u64 = 3;
const INT32: u64 = 6;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn text(field: u64, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

/// A node by name, operator, inputs and output.
fn node(name: &str, op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| text(1, i)).collect();
    bytes(1, &[inputs, text(2, output), text(3, name), text(4, op)].concat())
}

fn initializer(name: &str, dims: &[u64], kind: u64, raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| number(1, *d)).collect();
    bytes(5, &[dims, number(2, kind), text(8, name), bytes(9, raw)].concat())
}

fn floats(name: &str, dims: &[u64], value: f32) -> Vec<u8> {
    let count = dims.iter().product::<u64>() as usize;
    initializer(name, dims, FLOAT, &value.to_le_bytes().repeat(count))
}

/// The image's or the result's port; the batch is left open.
fn port(field: u64, name: &str, channels: u64) -> Vec<u8> {
    let open = bytes(1, &text(2, "N"));
    let fixed: Vec<u8> = [channels, 8, 8].iter().flat_map(|d| bytes(1, &number(1, *d))).collect();
    let shape = bytes(2, &[open, fixed].concat());
    bytes(field, &[text(1, name), bytes(2, &bytes(1, &[number(1, FLOAT), shape].concat()))].concat())
}

fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [parts.concat(), text(2, "tiny"), port(11, "x", 3), port(12, "y", 4)].concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 13))].concat()
}

/// A convolution in floats.
pub(super) fn convolution() -> Vec<u8> {
    model(&[node("head", "Conv", &["x", "w"], "y"), floats("w", &[4, 3, 1, 1], 0.25)])
}

/// A node that is no operator of ONNX's.
pub(super) fn unknown_operator() -> Vec<u8> {
    model(&[node("odd", "FrobConv", &["x", "w"], "y"), floats("w", &[4, 3, 1, 1], 0.25)])
}

/// The convolution in 8 bits as TensorRT wants it: everything symmetric and signed, no bias in it.
pub(super) fn signed_convolution() -> Vec<u8> {
    quantised(INT8, 0, &[])
}

/// As a CPU wants it: the image unsigned, around 128.
pub(super) fn unsigned_convolution() -> Vec<u8> {
    quantised(UINT8, 128, &[])
}

/// With a bias in 32-bit integers, as quantisers write it unless they are told not to.
pub(super) fn quantised_bias() -> Vec<u8> {
    let bias = [
        initializer("b_q", &[4], INT32, &[0; 16]),
        floats("b_scale", &[], 1e-4),
        node("head.b", "DequantizeLinear", &["b_q", "b_scale"], "b"),
    ];
    quantised(INT8, 0, &bias)
}

fn quantised(kind: u64, zero: u8, bias: &[Vec<u8>]) -> Vec<u8> {
    let inputs: &[&str] = if bias.is_empty() { &["x_f", "w_f"] } else { &["x_f", "w_f", "b"] };
    let mut parts = vec![
        floats("scale", &[], 0.02),
        initializer("zero", &[], kind, &[zero]),
        initializer("w_q", &[4, 3, 1, 1], INT8, &[7; 12]),
        initializer("w_zero", &[], INT8, &[0]),
        node("x.q", "QuantizeLinear", &["x", "scale", "zero"], "x_q"),
        node("x.f", "DequantizeLinear", &["x_q", "scale", "zero"], "x_f"),
        node("w.f", "DequantizeLinear", &["w_q", "scale", "w_zero"], "w_f"),
    ];
    parts.extend(bias.iter().cloned());
    parts.push(node("head", "Conv", inputs, "y"));
    model(&parts)
}
