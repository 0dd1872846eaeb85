//! Whether a plan's tensors are those of the model that it was built from, and how shapes are told to it. Pure but for the telling.

use super::failure::Failure;
use super::nvinfer::{Context, Kind, TensorInfo};
use crate::infer::onnx::{Header, ImageInput};
use crate::infer::{ModelShape, OutputShape};

/// What of a plan's tensors a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensors {
    /// The input's name.
    pub input: String,
    /// Values of one picture.
    pub input_len: usize,
    /// Pictures that the plan takes at once.
    pub at_once: usize,
    chw: [usize; 3],
    is_dynamic: bool,
}

impl Tensors {
    /// Compares a plan with the model.
    pub(super) fn new(tensors: &[TensorInfo], input: &ImageInput, header: &Header) -> Result<Self, Failure> {
        let wrong = |why: String| Err(Failure::Tensors(why));
        let inputs: Vec<_> = tensors.iter().filter(|t| t.is_input).collect();
        let [only] = inputs.as_slice() else { return wrong(format!("{} inputs", inputs.len())) };
        let is_dynamic = only.dims.first() == Some(&-1);
        let most = if is_dynamic { only.max_dims.as_deref() } else { Some(only.dims.as_slice()) };
        let at_once = most.and_then(|dims| usize::try_from(*dims.first()?).ok()).unwrap_or(0);
        let same_size = only.dims.len() == 4 && only.dims[1..].iter().zip(input.chw).all(|(d, n)| *d == n as i64);
        if only.name != input.name || only.kind != Kind::F32 || !same_size || at_once == 0 {
            return wrong(format!("input {:?} {:?} {:?} of at most {at_once}", only.name, only.kind, only.dims));
        }
        for port in &header.outputs {
            let Some(found) = tensors.iter().find(|t| !t.is_input && t.name == port.name) else {
                return wrong(format!("no output {:?}", port.name));
            };
            if found.kind != Kind::F32 {
                return wrong(format!("output {:?} holds {:?}; needed are 32-bit floats", port.name, found.kind));
            }
        }
        let input_len = input.chw.iter().product();
        Ok(Self { input: input.name.clone(), input_len, at_once, chw: input.chw, is_dynamic })
    }

    /// Tells how many pictures come.
    pub(super) fn set(&self, context: &mut Context, batch: usize) -> Result<(), Failure> {
        if !self.is_dynamic {
            return Ok(());
        }
        let [c, h, w] = self.chw.map(|n| n as i64);
        context.set_shape(&self.input, &[batch as i64, c, h, w])
    }

    /// The outputs for one picture, in the order of the file.
    pub(super) fn shape(&self, context: &mut Context, header: &Header) -> Result<ModelShape, Failure> {
        self.set(context, 1)?;
        let outputs = header.outputs.iter().map(|port| {
            let dims = context.shape(&port.name)?;
            let known = dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<Vec<_>>>();
            match known.as_deref() {
                Some([1, rest @ ..]) => Ok(OutputShape { name: port.name.clone(), dims: rest.to_vec() }),
                _ => Err(Failure::Tensors(format!("output {:?} has the shape {dims:?} for one picture", port.name))),
            }
        });
        Ok(ModelShape { input_chw: self.chw, outputs: outputs.collect::<Result<_, _>>()? })
    }
}
