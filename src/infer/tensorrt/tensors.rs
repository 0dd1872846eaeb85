//! Whether a plan's tensors are those of the model that it was built from, and how shapes are told to it. Pure but for the telling.

use std::ops::Range;

use super::failure::Failure;
use super::nvinfer::{Context, Kind, TensorInfo};
use crate::infer::onnx::{Header, ImageInput};
use crate::infer::{ModelShape, OutputShape};

/// TensorRT wants every tensor to begin at a multiple of this.
const ALIGN_BYTES: usize = 256;

/// Where the pictures of a run lie in one tensor's memory: those that the plan takes at once lie close, and each such part begins where a
/// tensor may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    at_once: usize,
    picture_bytes: usize,
}

impl Layout {
    /// For a tensor of so many floats a picture.
    pub(super) fn new(at_once: usize, values: usize) -> Self {
        Self { at_once, picture_bytes: values * size_of::<f32>() }
    }

    /// The byte at which a picture begins.
    pub(super) fn at(self, slot: usize) -> usize {
        let part_bytes = (self.at_once * self.picture_bytes).next_multiple_of(ALIGN_BYTES);
        slot / self.at_once * part_bytes + slot % self.at_once * self.picture_bytes
    }

    /// A picture's bytes.
    pub(super) fn bytes(self, slot: usize) -> Range<usize> {
        self.at(slot)..self.at(slot) + self.picture_bytes
    }

    /// A picture's floats.
    pub(super) fn floats(self, slot: usize) -> Range<usize> {
        let Range { start, end } = self.bytes(slot);
        start / size_of::<f32>()..end / size_of::<f32>()
    }

    /// Where so many pictures end.
    pub(super) fn end(self, batch: usize) -> usize {
        batch.checked_sub(1).map_or(0, |last| self.bytes(last).end)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_begins_where_a_tensor_may_and_no_picture_lies_on_another() {
        for (at_once, values) in [(1, 7), (1, 84 * 2100), (3, 5), (4, 64), (8, 1)] {
            let layout = Layout::new(at_once, values);
            for slot in 0..20 {
                if slot % at_once == 0 {
                    assert_eq!(layout.at(slot) % 256, 0, "{at_once} x {values}");
                } else {
                    assert_eq!(layout.at(slot), layout.bytes(slot - 1).end, "a part lies close");
                }
                assert!(layout.bytes(slot).end <= layout.at(slot + 1));
                assert_eq!((layout.floats(slot).len(), layout.end(slot + 1)), (values, layout.bytes(slot).end));
            }
            assert_eq!(layout.end(0), 0);
        }
    }
}
