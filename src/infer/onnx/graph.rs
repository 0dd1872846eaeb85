//! The whole graph of an ONNX file: nodes, attributes, constants. Large constants stay where they are, in the file's bytes.
//!
//! Belongs here: what the file says. Does not: what an operator does (see `int8`). Pure and total, as `read` is; nothing is allocated
//! that is larger than the file.

use std::collections::{BTreeMap, HashMap};

use super::wire::{Fields, Value, floats, numbers, text};
use super::{Header, OnnxError, read};

/// Names of tensors in all nodes, and constants, at most: a name takes two bytes of a file and many more here, so that a file of nothing else
/// would fill the memory. The largest models have some ten thousand.
const MAX_NAMES: usize = 1 << 18;
/// Operations, at most.
const MAX_NODES: usize = 1 << 15;
/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: u64 = 1;

/// A model with all that it computes.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    /// Inputs, outputs, metadata.
    pub header: Header,
    /// In the file's order, which ONNX demands to be one of computation.
    pub nodes: Vec<Node<'a>>,
    /// Initializers and `Constant` nodes by name.
    pub constants: HashMap<String, Tensor<'a>>,
}

/// One operation.
#[derive(Debug, Default)]
pub struct Node<'a> {
    /// `Conv`, `Add` …; with the domain before it unless it is ONNX's own.
    pub op: String,
    /// Names of tensors; empty where an optional input is left out.
    pub inputs: Vec<String>,
    /// Names of tensors.
    pub outputs: Vec<String>,
    attributes: BTreeMap<String, Attribute<'a>>,
}

#[derive(Debug)]
enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Tensor(Tensor<'a>),
    Other,
}

/// A constant.
#[derive(Debug, Clone, Default)]
pub struct Tensor<'a> {
    /// Its dimensions; none for a scalar.
    pub dims: Vec<usize>,
    element: u64,
    raw: &'a [u8],
    floats: Vec<f32>,
    ints: Vec<i64>,
}

/// Reads a model with its graph.
///
/// # Errors
/// As [`read`].
pub fn graph(bytes: &[u8]) -> Result<Graph<'_>, OnnxError> {
    let (mut graph, mut names) = (Graph { header: read(bytes)?, ..Graph::default() }, 0);
    for field in Fields(bytes) {
        let (7, Value::Bytes(inner)) = field? else { continue };
        for field in Fields(inner) {
            match field? {
                (1, Value::Bytes(node)) => {
                    let node = read_node(node)?;
                    names += node.inputs.len() + node.outputs.len();
                    match node.constant() {
                        Some(tensor) => drop(graph.constants.insert(node.output().to_owned(), tensor)),
                        None => graph.nodes.push(node),
                    }
                }
                (5, Value::Bytes(tensor)) => {
                    let (name, tensor) = read_tensor(tensor)?;
                    graph.constants.insert(name, tensor);
                    names += 1;
                }
                _ => {}
            }
            if names > MAX_NAMES || graph.nodes.len() > MAX_NODES {
                return Err(OnnxError::Damaged("it has more operations than any model"));
            }
        }
    }
    Ok(graph)
}

impl<'a> Node<'a> {
    /// What a `Constant` node holds, whichever of its attributes says it.
    fn constant(&self) -> Option<Tensor<'a>> {
        if self.op != "Constant" || self.outputs.len() != 1 {
            return None;
        }
        let floats = |dims, floats| Tensor { dims, element: 1, floats, ..Tensor::default() };
        let ints = |dims, ints| Tensor { dims, element: 7, ints, ..Tensor::default() };
        self.attributes.iter().find_map(|(name, value)| match (name.as_str(), value) {
            ("value", Attribute::Tensor(t)) => Some(t.clone()),
            ("value_float", Attribute::Float(v)) => Some(floats(Vec::new(), vec![*v])),
            ("value_int", Attribute::Int(v)) => Some(ints(Vec::new(), vec![*v])),
            ("value_ints", Attribute::Ints(v)) => Some(ints(vec![v.len()], v.clone())),
            _ => None,
        })
    }

    /// A whole number, or what stands for it when it is left out.
    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        if let Some(Attribute::Int(n)) = self.attributes.get(name) { *n } else { otherwise }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Option<f32> {
        if let Some(Attribute::Float(n)) = self.attributes.get(name) { Some(*n) } else { None }
    }

    /// A list of whole numbers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        if let Some(Attribute::Ints(n)) = self.attributes.get(name) { Some(n) } else { None }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        if let Some(Attribute::Text(t)) = self.attributes.get(name) { Some(t) } else { None }
    }

    /// The name of input number `i`; None when it is left out.
    pub fn input(&self, i: usize) -> Option<&str> {
        self.inputs.get(i).map(String::as_str).filter(|n| !n.is_empty())
    }

    /// The first output.
    pub fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }
}

impl Tensor<'_> {
    /// How many values it has by its dimensions; None when the number is beyond all sense.
    pub fn count(&self) -> Option<usize> {
        self.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Whether as many values are there as the dimensions say.
    pub fn is_whole(&self) -> bool {
        let bytes = match self.element {
            2 | 3 => 1,
            1 | 6 => 4,
            7 => 8,
            _ => return false,
        };
        let listed = if self.element == 1 { self.floats.len() } else { self.ints.len() };
        let there = if self.raw.is_empty() { Some(listed) } else { Some(self.raw.len() / bytes) };
        self.count() == there
    }

    /// Its values as floats; None when it is of another type or its bytes do not fit its dimensions.
    pub fn floats(&self) -> Option<Vec<f32>> {
        if !self.is_whole() {
            return None;
        }
        let found: Vec<f32> = match self.element {
            1 if self.raw.is_empty() => self.floats.clone(),
            1 => self.raw.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
            _ => return None,
        };
        Some(found)
    }

    /// Its values as whole numbers; None when it is of another type or its bytes do not fit its dimensions.
    pub fn ints(&self) -> Option<Vec<i64>> {
        if !self.is_whole() {
            return None;
        }
        let raw = self.raw;
        let found: Vec<i64> = match self.element {
            2 | 3 | 6 | 7 if raw.is_empty() => self.ints.clone(),
            2 => raw.iter().map(|&b| i64::from(b)).collect(),
            3 => raw.iter().map(|&b| i64::from(b.cast_signed())).collect(),
            6 => raw.chunks_exact(4).map(|c| i64::from(i32::from_le_bytes([c[0], c[1], c[2], c[3]]))).collect(),
            7 => {
                let eight = |c: &[u8]| i64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]);
                raw.chunks_exact(8).map(eight).collect()
            }
            _ => return None,
        };
        Some(found)
    }

    /// Whether codes of this tensor are bytes without a sign.
    pub fn is_uint8(&self) -> bool {
        self.element == 2
    }

    /// Whether codes of this tensor are bytes with a sign.
    pub fn is_int8(&self) -> bool {
        self.element == 3
    }
}

fn read_node(bytes: &[u8]) -> Result<Node<'_>, OnnxError> {
    let (mut node, mut domain) = (Node::default(), String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(b)) => node.inputs.push(text(b)),
            (2, Value::Bytes(b)) => node.outputs.push(text(b)),
            (4, Value::Bytes(b)) => node.op = text(b),
            (5, Value::Bytes(b)) => {
                let (name, attribute) = read_attribute(b)?;
                node.attributes.insert(name, attribute);
            }
            (7, Value::Bytes(b)) => domain = text(b),
            _ => {}
        }
        if node.inputs.len() + node.outputs.len() > MAX_NAMES {
            return Err(OnnxError::Damaged("an operation has more inputs and outputs than any model"));
        }
    }
    if !matches!(domain.as_str(), "" | "ai.onnx") {
        node.op = format!("{domain}.{}", node.op);
    }
    Ok(node)
}

fn read_attribute(bytes: &[u8]) -> Result<(String, Attribute<'_>), OnnxError> {
    let (mut name, mut kind, mut int, mut float) = (String::new(), 0, 0, 0.0);
    let (mut string, mut tensor, mut ints) = (String::new(), None, Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(b)) => name = text(b),
            (2, Value::Fixed32(b)) => float = f32::from_le_bytes(b),
            (3, Value::Number(n)) => int = n.cast_signed(),
            (4, Value::Bytes(b)) => string = text(b),
            (5, Value::Bytes(b)) => tensor = Some(read_tensor(b)?.1),
            (8, value) => numbers(&value, &mut ints)?,
            (20, Value::Number(n)) => kind = n,
            _ => {}
        }
    }
    let attribute = match (kind, tensor) {
        (1, _) => Attribute::Float(float),
        (2, _) => Attribute::Int(int),
        (3, _) => Attribute::Text(string),
        (4, Some(tensor)) => Attribute::Tensor(tensor),
        (7, _) => Attribute::Ints(ints),
        _ => Attribute::Other,
    };
    Ok((name, attribute))
}

fn read_tensor(bytes: &[u8]) -> Result<(String, Tensor<'_>), OnnxError> {
    let (mut name, mut tensor, mut dims) = (String::new(), Tensor::default(), Vec::new());
    let mut is_external = false;
    for field in Fields(bytes) {
        match field? {
            (1, value) => numbers(&value, &mut dims)?,
            (2, Value::Number(n)) => tensor.element = n,
            (13, Value::Bytes(_)) | (14, Value::Number(EXTERNAL)) => is_external = true,
            (4, value) => floats(&value, &mut tensor.floats),
            (5 | 7, value) => numbers(&value, &mut tensor.ints)?,
            (8, Value::Bytes(b)) => name = text(b),
            (9, Value::Bytes(b)) => tensor.raw = b,
            _ => {}
        }
    }
    if is_external {
        return Err(OnnxError::External { tensor: name });
    }
    let dim = |d: &i64| usize::try_from(*d).map_err(|_| OnnxError::Damaged("a tensor has a negative dimension"));
    tensor.dims = dims.iter().map(dim).collect::<Result<_, _>>()?;
    Ok((name, tensor))
}
