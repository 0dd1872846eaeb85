//! Drawing a frame that a decoder wrote where the GPU reaches it: the kernel reads its planes in place, or out of a copy that the GPU
//! makes when they lie in the hardware's own order.

use std::sync::Arc;

use super::{ALIGN_BYTES, Painter};
use crate::infer::InferError;
use crate::infer::tensorrt::cuda::{DeviceBuffer, Patch, Planes, Registered, Stream};
use crate::infer::tensorrt::failure::Failure;
use crate::pixels::sampling::{Cut, Geometry};
use crate::pixels::{Drawing, Normalise, Place};
use crate::types::{PixelFormat, Surface};

/// From one row of a copied plane to the next: a multiple of this, as cuMemAllocPitch would choose it. Others may be refused.
const PITCH_BYTES: usize = 512;

/// A frame while the GPU reads it.
pub(super) struct Held {
    image: Arc<Registered>,
    /// Keeps the decoder from writing into it.
    _surface: Arc<dyn Surface>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.image.fmt(f)
    }
}

impl Painter {
    /// Takes a frame over that stays where it is. It is held until [`Painter::release`] or the next picture.
    ///
    /// # Errors
    /// [`InferError::Pixels`] as [`Drawing::f32_nchw`] has it, with nothing but padding drawn; [`InferError::Run`] when the GPU cannot read
    /// the frame or has no memory: then nothing is drawn, and it may be tried by way of the processor.
    pub(in crate::infer::tensorrt) fn prepare_surface(
        &mut self,
        surface: Arc<dyn Surface>,
        (place, norm): (Place, &Normalise),
        dst_wh: (usize, usize),
    ) -> Result<(), InferError> {
        let failed = |e: Failure| InferError::Run { engine: "tensorrt", reason: e.to_string() };
        let outline = surface.outline();
        let drawing = Drawing { view: &outline, place, norm };
        let (geometry, answer) = match Geometry::of_outline(&drawing, dst_wh) {
            Ok(geometry) => (geometry, Ok(())),
            Err(e) => (Geometry::blank(outline.format, dst_wh), Err(e)),
        };
        self.job = None;
        self.held = None;
        self.settle(&geometry).map_err(failed)?;
        let image = self.registered(surface.as_ref()).map_err(failed)?;
        let planes = match image.planes() {
            Planes::Linear { addresses, pitch } => in_place(&self.cuts, addresses, pitch),
            Planes::Arrays => self.copied().map_err(failed)?,
        };
        self.job = Some((geometry.format, self.job(&drawing, &geometry, planes)));
        self.held = Some(Held { image, _surface: surface });
        answer.map_err(InferError::Pixels)
    }

    /// Lets go of the frame: the stream was waited for.
    pub(in crate::infer::tensorrt) fn release(&mut self) {
        if self.held.take().is_some() {
            self.job = None;
        }
    }

    /// The frame's buffer, registered the first time that this GPU meets it.
    fn registered(&self, surface: &dyn Surface) -> Result<Arc<Registered>, Failure> {
        let outline = surface.outline();
        if outline.format != PixelFormat::Nv12 {
            return Err(Failure::Surface(format!("{:?}; needed is NV12", outline.format)));
        }
        let image = surface.image().map_err(Failure::Surface)?;
        surface.kept().find_or_make(
            Registered::lives,
            |known: &Registered| known.is_of(&self.device, image),
            || Registered::new(&self.device, image, (outline.width_px, outline.height_px)),
        )
    }

    /// Memory for the parts of the planes that are copied, and where they will be.
    fn copied(&mut self) -> Result<[(u64, u32); 3], Failure> {
        let (begins, bytes) = rows_apart(&self.cuts);
        if self.linear.as_ref().is_none_or(|memory| memory.len() < bytes) {
            self.linear = None;
            self.linear = Some(DeviceBuffer::new(&self.device, bytes.next_power_of_two())?);
        }
        let memory = self.linear.as_ref().map_or(0, DeviceBuffer::address);
        Ok([0, 1, 2].map(|n| match (self.cuts.get(n), begins.get(n)) {
            (Some(cut), Some(&begin)) => (memory + begin as u64, pitch_of(cut) as u32),
            _ => (0, 0),
        }))
    }

    /// Enqueues the copies, if the planes are to be copied.
    pub(super) fn enqueue_arrays(&self, stream: &Stream, held: &Held) -> Result<(), Failure> {
        let (Planes::Arrays, Some(memory)) = (held.image.planes(), &self.linear) else { return Ok(()) };
        for (number, (cut, begin)) in self.cuts.iter().zip(rows_apart(&self.cuts).0).enumerate() {
            let patch = Patch {
                left_bytes: cut.first_column * cut.column_bytes,
                top: cut.first_row,
                row_bytes: cut.row_bytes(),
                rows: cut.rows,
            };
            stream.copy_plane((&held.image, number, patch), (memory, begin, pitch_of(cut)))?;
        }
        Ok(())
    }
}

/// Where the planes' parts are in the frame itself.
fn in_place(cuts: &[Cut], addresses: [u64; 2], pitch: u32) -> [(u64, u32); 3] {
    let at = |n: usize| {
        let (cut, address) = (cuts.get(n)?, addresses.get(n)?);
        let within = cut.first_row * pitch as usize + cut.first_column * cut.column_bytes;
        Some((address + within as u64, pitch))
    };
    [0, 1, 2].map(|n| at(n).unwrap_or_default())
}

fn pitch_of(cut: &Cut) -> usize {
    cut.row_bytes().next_multiple_of(PITCH_BYTES)
}

/// Where each copied part begins, and how long all of them are.
fn rows_apart(cuts: &[Cut]) -> (Vec<usize>, usize) {
    let mut end = 0_usize;
    let begins = cuts.iter().map(|cut| {
        let begin = end.next_multiple_of(ALIGN_BYTES);
        end = begin + pitch_of(cut) * cut.rows;
        begin
    });
    (begins.collect(), end)
}
