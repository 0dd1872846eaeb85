//! The quantised sink: 8-bit codes, pixel after pixel. A byte of a pixel has one code in each channel, so a table has them all.
//!
//! Belongs here: what a code is, where it stands. Does not: who chose scale and layout (an engine, see `infer`).

use super::geometry::Inner;
use super::simd::Simd;
use super::sink::Sink;
use super::{ChannelOrder, Normalise, PixelError, kernels};

/// A tensor of 8-bit codes to be written: channel `c` of the pixel (x, y) stands at `codes[y * row_bytes + x * pixel_bytes + c]`.
#[derive(Debug)]
pub struct CodesMut<'a> {
    /// The memory, from the first pixel on; more than the pixels need is left alone.
    pub codes: &'a mut [u8],
    /// From one row to the next; at least a row's pixels. What lies between two rows is left alone.
    pub row_bytes: usize,
    /// From one pixel to the next, at least 3; bytes beyond the 3 channels are set to `zero`.
    pub pixel_bytes: usize,
    /// What one step of a code is worth, in the values that [`Normalise`] gives; above 0.
    pub scale: f32,
    /// The code of the value 0.
    pub zero: u8,
}

impl CodesMut<'_> {
    /// A value's code, as ONNX's QuantizeLinear has it: value over scale, rounded with ties to even, and what lies beyond 8 bits
    /// takes the last code.
    pub fn code(&self, value: f32) -> u8 {
        ((value / self.scale).round_ties_even() + f32::from(self.zero)).clamp(0.0, 255.0) as u8
    }

    /// The codes of `count` pixels of row `y` from column `left` on.
    fn span(&mut self, y: usize, left: usize, count: usize) -> &mut [u8] {
        if count == 0 {
            return &mut [];
        }
        let begin = y * self.row_bytes + left * self.pixel_bytes;
        &mut self.codes[begin..begin + count * self.pixel_bytes]
    }
}

/// Writes codes.
#[derive(Debug)]
pub(super) struct U8Nhwc<'a, 'b> {
    out: &'a mut CodesMut<'b>,
    dst_wh: (usize, usize),
    /// The code of each byte, in the order of the output channels.
    tables: [[u8; 256]; 3],
    /// Whether every byte is its own code: YOLO's input divided by 255, in steps of 1/255.
    is_identity: bool,
    /// The padding's codes.
    pad: [u8; 3],
    order: ChannelOrder,
    simd: Simd,
}

impl<'a, 'b> U8Nhwc<'a, 'b> {
    pub(super) fn new(out: &'a mut CodesMut<'b>, dst_wh: (usize, usize), norm: &Normalise) -> Result<Self, PixelError> {
        if let Err(e) = check(out, dst_wh) {
            out.codes.fill(out.zero);
            return Err(e);
        }
        // Made anew for each picture: 768 divisions, while the smallest letterbox in use has a hundred thousand pixels.
        let code = |c: usize, byte: u8| out.code(f32::from(byte) * norm.scale[c] + norm.offset[c]);
        let tables: [[u8; 256]; 3] =
            std::array::from_fn(|c| std::array::from_fn(|byte| code(c, byte.to_le_bytes()[0])));
        let is_identity = tables.iter().all(|t| t.iter().zip(0_u8..=255).all(|(&code, byte)| code == byte));
        let pad = tables.map(|t| t[usize::from(norm.pad)]);
        Ok(Self { out, dst_wh, tables, is_identity, pad, order: norm.order, simd: Simd::detect() })
    }

    fn pad_span(&mut self, y: usize, left: usize, count: usize) {
        let (pixel_bytes, pad, zero) = (self.out.pixel_bytes, self.pad, self.out.zero);
        let span = self.out.span(y, left, count);
        let Some(first) = span.get_mut(..pixel_bytes) else { return };
        first.fill(zero);
        first[..3].copy_from_slice(&pad);
        // Doubling what is done makes it a few copies of memory, whatever the size of a pixel.
        let mut done = pixel_bytes;
        while done < span.len() {
            let more = done.min(span.len() - done);
            span.copy_within(..more, done);
            done += more;
        }
    }

    fn pad_rows(&mut self, rows: std::ops::Range<usize>) {
        rows.for_each(|y| self.pad_span(y, 0, self.dst_wh.0));
    }
}

impl Sink for U8Nhwc<'_, '_> {
    fn row(&mut self, y: usize, left: usize, rgb: [&[u8]; 3]) {
        let [red, green, blue] = rgb;
        let rows = match self.order {
            ChannelOrder::Rgb => [red, green, blue],
            ChannelOrder::Bgr => [blue, green, red],
        };
        let (pixel_bytes, zero) = (self.out.pixel_bytes, self.out.zero);
        let span = self.out.span(y, left, red.len());
        if self.is_identity {
            self.simd.interleave(rows, pixel_bytes, zero, span);
        } else {
            kernels::look_up(&self.tables, rows, pixel_bytes, zero, span);
        }
    }

    fn pad_all(&mut self) {
        self.pad_rows(0..self.dst_wh.1);
    }

    fn pad_around(&mut self, inner: &Inner) {
        let (width, height) = self.dst_wh;
        let (right, bottom) = (inner.left + inner.width, inner.top + inner.height);
        self.pad_rows(0..inner.top);
        self.pad_rows(bottom..height);
        for y in inner.top..bottom {
            self.pad_span(y, 0, inner.left);
            self.pad_span(y, right, width - right);
        }
    }
}

/// Pixels and rows do not overlap, and the last row's last pixel lies within the memory, so that no span can lie outside.
fn check(out: &CodesMut<'_>, dst_wh: (usize, usize)) -> Result<(), PixelError> {
    let (width_px, height_px) = dst_wh;
    let (pixel_bytes, row_bytes) = (out.pixel_bytes, out.row_bytes);
    let row = width_px.saturating_mul(pixel_bytes);
    if pixel_bytes < 3 || row_bytes < row {
        return Err(PixelError::WrongLayout { pixel_bytes, row_bytes, width_px });
    }
    let need = match (width_px, height_px) {
        (0, _) | (_, 0) => 0,
        _ => row_bytes.saturating_mul(height_px - 1).saturating_add(row),
    };
    if out.codes.len() < need {
        return Err(PixelError::WrongTensor { have: out.codes.len(), need });
    }
    Ok(())
}

#[cfg(test)]
#[path = "codes_tests.rs"]
mod tests;
