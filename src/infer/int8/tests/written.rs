//! Writes small ONNX files, for tests and for the fuzzer that shares this file.
//!
//! Belongs here: protobuf's bytes for the few messages that a graph needs. Does not: what the graph computes; nothing here checks that it makes sense.

/// A graph that is being written.
#[derive(Debug, Default)]
pub(crate) struct Model {
    graph: Vec<u8>,
}

/// The value of an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Attr {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A field that holds bytes.
pub(crate) fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend(content);
    out
}

/// A field that holds a whole number.
pub(crate) fn number(number: u64, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3, &mut out);
    varint(value.cast_unsigned(), &mut out);
    out
}

fn numbers(field: u64, values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|&v| number(field, v)).collect()
}

impl Model {
    /// A model that takes one picture, "images".
    pub(crate) fn of_picture(chw: [i64; 3]) -> Self {
        let mut model = Self::default();
        model.port(11, "images", &[1, chw[0], chw[1], chw[2]]);
        model
    }

    fn port(&mut self, field: u64, name: &str, dims: &[i64]) {
        let shape: Vec<u8> = dims.iter().flat_map(|&d| bytes(1, &number(1, d))).collect();
        let kind = bytes(1, &[number(1, 1), bytes(2, &shape)].concat());
        self.graph.extend(bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat()));
    }

    /// An output; its shape is left open.
    pub(crate) fn output(&mut self, name: &str) {
        self.port(12, name, &[]);
    }

    fn tensor(&mut self, name: &str, element: i64, dims: &[i64], raw: &[u8]) {
        let parts = [numbers(1, dims), number(2, element), bytes(8, name.as_bytes()), bytes(9, raw)];
        self.graph.extend(bytes(5, &parts.concat()));
    }

    /// Constant floats.
    pub(crate) fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        self.tensor(name, 1, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    }

    /// Constant bytes without a sign.
    pub(crate) fn uint8s(&mut self, name: &str, dims: &[i64], values: &[u8]) {
        self.tensor(name, 2, dims, values);
    }

    /// Constant bytes with a sign.
    pub(crate) fn int8s(&mut self, name: &str, dims: &[i64], values: &[i8]) {
        self.tensor(name, 3, dims, &values.iter().map(|v| v.cast_unsigned()).collect::<Vec<_>>());
    }

    /// A list of constant whole numbers.
    pub(crate) fn int64s(&mut self, name: &str, values: &[i64]) {
        self.tensor(name, 7, &[values.len() as i64], &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    }

    /// An operation with one output.
    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attr)]) {
        self.node_with(op, inputs, &[output], attributes);
    }

    /// An operation.
    pub(crate) fn node_with(&mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attr)]) {
        let mut node: Vec<u8> = inputs.iter().flat_map(|i| bytes(1, i.as_bytes())).collect();
        node.extend(outputs.iter().flat_map(|o| bytes(2, o.as_bytes())));
        node.extend(bytes(4, op.as_bytes()));
        for (name, value) in attributes {
            let value = match value {
                Attr::Int(n) => [number(3, *n), number(20, 2)].concat(),
                Attr::Ints(n) => [numbers(8, n), number(20, 7)].concat(),
                Attr::Float(f) => [[2 << 3 | 5].as_slice(), &f.to_le_bytes(), &number(20, 1)].concat(),
                Attr::Text(t) => [bytes(4, t.as_bytes()), number(20, 3)].concat(),
            };
            node.extend(bytes(5, &[bytes(1, name.as_bytes()), value].concat()));
        }
        self.graph.extend(bytes(1, &node));
    }

    /// `QuantizeLinear` and `DequantizeLinear`: values of `input` as codes and back, as `output`.
    pub(crate) fn rounded(&mut self, input: &str, output: &str, scale: f32, zero: u8) {
        let [s, z, q] = ["s", "z", "q"].map(|part| format!("{output}.{part}"));
        self.floats(&s, &[], &[scale]);
        self.uint8s(&z, &[], &[zero]);
        self.node("QuantizeLinear", &[input, &s, &z], &q, &[]);
        self.node("DequantizeLinear", &[&q, &s, &z], output, &[]);
    }

    /// As [`Model::rounded`], with signed codes whose zero is 0.
    pub(crate) fn rounded_signed(&mut self, input: &str, output: &str, scale: f32) {
        let [s, z, q] = ["s", "z", "q"].map(|part| format!("{output}.{part}"));
        self.floats(&s, &[], &[scale]);
        self.int8s(&z, &[], &[0]);
        self.node("QuantizeLinear", &[input, &s, &z], &q, &[]);
        self.node("DequantizeLinear", &[&q, &s, &z], output, &[]);
    }

    /// The file.
    pub(crate) fn file(&self) -> Vec<u8> {
        [number(1, 8), bytes(7, &self.graph), bytes(8, &number(2, 13))].concat()
    }
}
