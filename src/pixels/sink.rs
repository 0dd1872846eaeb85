//! Where finished rows of RGB go: a tensor in the layout and type that an engine takes. Floats stand here, codes in `codes.rs`.

use super::geometry::Inner;
use super::simd::Simd;
use super::{ChannelOrder, Normalise, PixelError};

/// A tensor that takes rows and padding.
pub(super) trait Sink {
    /// Writes rows of red, green and blue into output row `y` from column `left` on.
    fn row(&mut self, y: usize, left: usize, rgb: [&[u8]; 3]);

    /// Fills everything with padding.
    fn pad_all(&mut self);

    /// Fills what `inner` leaves free.
    fn pad_around(&mut self, inner: &Inner);
}

/// 32-bit floats, channel after channel.
#[derive(Debug)]
pub(super) struct F32Nchw<'a> {
    channels: [&'a mut [f32]; 3],
    width: usize,
    norm: Normalise,
    simd: Simd,
}

impl<'a> F32Nchw<'a> {
    pub(super) fn new(out: &'a mut [f32], dst_wh: (usize, usize), norm: &Normalise) -> Result<Self, PixelError> {
        let area = dst_wh.0.saturating_mul(dst_wh.1);
        let need = area.saturating_mul(3);
        if out.len() != need {
            out.fill(0.0);
            return Err(PixelError::WrongTensor { have: out.len(), need });
        }
        let (first, rest) = out.split_at_mut(area);
        let (second, third) = rest.split_at_mut(area);
        Ok(Self { channels: [first, second, third], width: dst_wh.0, norm: *norm, simd: Simd::detect() })
    }

    fn pad_value(&self, channel: usize) -> f32 {
        f32::from(self.norm.pad) * self.norm.scale[channel] + self.norm.offset[channel]
    }
}

impl Sink for F32Nchw<'_> {
    fn row(&mut self, y: usize, left: usize, rgb: [&[u8]; 3]) {
        let at = y * self.width + left;
        for (c, channel) in self.channels.iter_mut().enumerate() {
            let bytes = match self.norm.order {
                ChannelOrder::Rgb => rgb[c],
                ChannelOrder::Bgr => rgb[2 - c],
            };
            let out = &mut channel[at..at + bytes.len()];
            self.simd.scale_row(bytes, self.norm.scale[c], self.norm.offset[c], out);
        }
    }

    fn pad_all(&mut self) {
        for c in 0..3 {
            let pad = self.pad_value(c);
            self.channels[c].fill(pad);
        }
    }

    fn pad_around(&mut self, inner: &Inner) {
        for c in 0..3 {
            let pad = self.pad_value(c);
            let (above, rest) = self.channels[c].split_at_mut(inner.top * self.width);
            let (beside, below) = rest.split_at_mut(inner.height * self.width);
            above.fill(pad);
            below.fill(pad);
            if inner.width < self.width {
                for row in beside.chunks_exact_mut(self.width) {
                    row[..inner.left].fill(pad);
                    row[inner.left + inner.width..].fill(pad);
                }
            }
        }
    }
}
