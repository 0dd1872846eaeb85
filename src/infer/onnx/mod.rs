//! What an ONNX file says of itself: inputs, outputs, metadata. Read by a small protobuf reader that keeps no weight.
//!
//! Belongs here: whether a file is a model that takes one picture, told in words that help its owner. Does not: operators and weights,
//! which are the engines' affair. Pure and total: no bytes, however odd, make it panic.

use std::collections::{BTreeMap, HashSet};

pub mod graph;
mod wire;

use wire::{Fields, Value, text};

/// Largest side of a model's input: beyond it a file is damaged or not meant for pictures, and its tensor would not fit in memory.
const MAX_SIDE_PX: usize = 8192;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;
/// Inputs and outputs, at most: beyond it a file is hostile, and its list would be much larger than itself.
const MAX_PORTS: usize = 1 << 16;

/// What stands at the head of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// Inputs that a caller must give; those with an initializer are left out.
    pub inputs: Vec<Port>,
    /// Outputs in the file's order.
    pub outputs: Vec<Port>,
    /// `metadata_props`.
    pub metadata: BTreeMap<String, String>,
}

/// An input or output of the graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// `TensorProto.DataType`, 0 when not told.
    pub element: u64,
    /// Its dimensions; None where the file has a name or nothing instead of a number.
    pub dims: Vec<Option<usize>>,
}

/// The one input of a model that takes pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInput {
    /// Its name.
    pub name: String,
    /// Channels, height, width.
    pub chw: [usize; 3],
}

/// Why a file is not a model that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// Something else altogether.
    #[error("not an ONNX model: the file is {0}; needed is an ONNX file with its weights inside")]
    NotOnnx(String),
    /// It begins like a model and ends too early, or its bytes were changed.
    #[error("the ONNX file is truncated or damaged: {0}; fetch or export it again")]
    Damaged(&'static str),
    /// Its weights lie elsewhere.
    #[error(
        "the weights of \"{tensor}\" lie in another file (external data); needed is one ONNX file with its weights inside"
    )]
    External {
        /// The first tensor of which this is true.
        tensor: String,
    },
    /// It does not take a picture.
    #[error("found {found}; needed is one float32 input [batch, channels, height, width] with batch 1 or dynamic")]
    Input {
        /// What it takes.
        found: String,
    },
}

/// Reads a model's head.
///
/// # Errors
/// When the bytes are no ONNX model, are cut short, or refer to other files.
pub fn read(bytes: &[u8]) -> Result<Header, OnnxError> {
    if let Some(what) = recognise(bytes) {
        return Err(OnnxError::NotOnnx(what));
    }
    let (mut header, mut has_graph, mut has_version, mut has_opset) = (Header::default(), false, false, false);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(_)) => has_version = true,
            (7, Value::Bytes(graph)) => {
                has_graph = true;
                read_graph(graph, &mut header)?;
            }
            (8, Value::Bytes(_)) => has_opset = true,
            (14, Value::Bytes(pair)) => {
                let (key, value) = read_pair(pair)?;
                header.metadata.insert(key, value);
            }
            _ => {}
        }
    }
    match (has_version, has_graph, has_opset) {
        (false, false, _) => Err(OnnxError::NotOnnx("neither a model nor anything else that is known".to_owned())),
        (_, false, _) => Err(OnnxError::Damaged("there is no graph in it")),
        (_, _, false) => Err(OnnxError::Damaged("it does not say which operator set it uses")),
        _ => Ok(header),
    }
}

impl Header {
    /// The input, if it is the only one and takes one picture.
    ///
    /// # Errors
    /// When there are several inputs, or the one has another type or rank, a fixed batch above 1, or open sides.
    pub fn image_input(&self) -> Result<ImageInput, OnnxError> {
        let refuse = |found: String| Err(OnnxError::Input { found });
        let [port] = self.inputs.as_slice() else {
            let names: Vec<_> = self.inputs.iter().map(|p| p.name.as_str()).collect();
            return refuse(format!("{} inputs ({})", names.len(), names.join(", ")));
        };
        let found = port.describe();
        let [batch, c, h, w] = port.dims.as_slice() else { return refuse(found) };
        let (Some(c), Some(h), Some(w)) = (*c, *h, *w) else { return refuse(found) };
        let sides_fit = [c, h, w].iter().all(|&n| (1..=MAX_SIDE_PX).contains(&n));
        if port.element != FLOAT || !sides_fit || batch.is_some_and(|n| n != 1) {
            return refuse(found);
        }
        Ok(ImageInput { name: port.name.clone(), chw: [c, h, w] })
    }
}

impl Port {
    /// "input "images" float32 [?, 3, 640, 640]"
    pub fn describe(&self) -> String {
        let dims: Vec<_> = self.dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
        format!("input \"{}\" {} [{}]", self.name, element_name(self.element), dims.join(", "))
    }
}

fn element_name(element: u64) -> &'static str {
    match element {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        6 => "int32",
        7 => "int64",
        10 => "float16",
        11 => "float64",
        16 => "bfloat16",
        _ => "of another type",
    }
}

/// Files that people give instead of a model, by what they begin with.
fn recognise(bytes: &[u8]) -> Option<String> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let known = match bytes {
        [] => "empty",
        _ if starts(b"version https://git-lfs") => "a Git LFS pointer, not the file that it points to",
        _ if starts(b"PK\x03\x04") => "a ZIP archive (a PyTorch .pt file, or a model that is still packed)",
        _ if starts(b"\x1f\x8b") => "compressed with gzip",
        _ if starts(b"ftrt") || starts(b"ptrt") => "a TensorRT engine",
        _ if bytes.get(4..8) == Some(b"TFL3".as_slice()) => "a TensorFlow Lite model",
        _ if starts(b"\x89HDF") => "an HDF5 (Keras) model",
        _ if starts(b"\x89PNG") || starts(b"\xff\xd8\xff") => "a picture",
        _ if bytes.iter().take(64).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => "text",
        // A ModelProto begins with one of its own fields, in practice with ir_version (0x08).
        _ if !matches!(bytes[0], 0x08 | 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72) => {
            let head: Vec<_> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
            return Some(format!("something that begins with the bytes {}", head.join(" ")));
        }
        _ => return None,
    };
    Some(known.to_owned())
}

fn read_graph(graph: &[u8], header: &mut Header) -> Result<(), OnnxError> {
    let mut initialized = HashSet::new();
    for field in Fields(graph) {
        match field? {
            (5, Value::Bytes(tensor)) => {
                initialized.insert(read_initializer(tensor)?);
            }
            (11, Value::Bytes(port)) => header.inputs.push(read_port(port)?),
            (12, Value::Bytes(port)) => header.outputs.push(read_port(port)?),
            _ => {}
        }
    }
    if header.inputs.len() + header.outputs.len() > MAX_PORTS {
        return Err(OnnxError::Damaged("it has more inputs and outputs than any model"));
    }
    header.inputs.retain(|p| !initialized.contains(&p.name));
    Ok(())
}

fn read_initializer(tensor: &[u8]) -> Result<String, OnnxError> {
    let (mut name, mut is_external) = (String::new(), false);
    for field in Fields(tensor) {
        match field? {
            (8, Value::Bytes(b)) => name = text(b),
            (13, Value::Bytes(_)) | (14, Value::Number(1)) => is_external = true,
            _ => {}
        }
    }
    if is_external { Err(OnnxError::External { tensor: name }) } else { Ok(name) }
}

fn read_port(bytes: &[u8]) -> Result<Port, OnnxError> {
    let mut port = Port::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(b)) => port.name = text(b),
            (2, Value::Bytes(kind)) => {
                for field in Fields(kind) {
                    if let (1, Value::Bytes(tensor)) = field? {
                        read_tensor_type(tensor, &mut port)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn read_tensor_type(bytes: &[u8], port: &mut Port) -> Result<(), OnnxError> {
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(n)) => port.element = n,
            (2, Value::Bytes(shape)) => {
                for field in Fields(shape) {
                    if let (1, Value::Bytes(dim)) = field? {
                        port.dims.push(read_dim(dim)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_dim(bytes: &[u8]) -> Result<Option<usize>, OnnxError> {
    let mut dim = None;
    for field in Fields(bytes) {
        if let (1, Value::Number(n)) = field? {
            // Some exporters write 0 or -1 for "any".
            dim = usize::try_from(n).ok().filter(|&n| n > 0 && n <= u32::MAX as usize);
        }
    }
    Ok(dim)
}

fn read_pair(bytes: &[u8]) -> Result<(String, String), OnnxError> {
    let mut pair = (String::new(), String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(b)) => pair.0 = text(b),
            (2, Value::Bytes(b)) => pair.1 = text(b),
            _ => {}
        }
    }
    Ok(pair)
}

#[cfg(test)]
mod tests;
