//! Where a tile's codes go: through a table, perhaps mixed with a residual, into a slice of a tensor.
//!
//! Belongs here: the portable form, which all kernels share unless they have a better one. Does not: accumulation and requantisation.

use super::translate::translate;

/// A destination of a block's codes, for one row.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer::int8) struct Dest {
    /// Code in, code out, after the residual; null leaves codes as they are.
    pub table: *const [u8; 256],
    /// Where the row's first pixel has the channel `from`.
    pub out: *mut u8,
    /// Bytes from one pixel to the next.
    pub step: usize,
    /// First channel of the block that goes there.
    pub from: usize,
    /// One past the last channel of the block that goes there.
    pub to: usize,
    /// What is added first.
    pub residual: Option<Residual>,
}

impl Dest {
    /// Nowhere.
    pub(in crate::infer::int8) const NONE: Self =
        Self { table: std::ptr::null(), out: std::ptr::null_mut(), step: 0, from: 0, to: 0, residual: None };

    /// The part of it that lies in `width` channels from `first` on, counted from there.
    pub(super) fn within(&self, first: usize, width: usize) -> Option<Self> {
        let (low, high) = (self.from.max(first), self.to.min(first + width));
        (low < high).then(|| {
            let skip = low - self.from;
            let residual = self.residual.map(|r| Residual { codes: r.codes.wrapping_add(skip), ..r });
            Self { out: self.out.wrapping_add(skip), from: low - first, to: high - first, residual, ..*self }
        })
    }
}

/// A tensor that is added, pixel by pixel.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer::int8) struct Residual {
    /// The row's first pixel, at the channel `from`.
    pub codes: *const u8,
    /// Bytes from one pixel to the next.
    pub step: usize,
    /// How both become one.
    pub mix: *const Mix,
}

/// A sum of two quantised tensors in steps of a third, in floats and in this order:
/// `clamp(round_half_even((own[a] + (b - other_zero) * other_scale) / scale) + zero, 0, 255)`.
///
/// The division is IEEE's. Where it is slow, `q = x * inverse`, `r = x - q * scale` and `q + r * inverse`, the last two fused, are the same to the bit,
/// since `inverse` is the nearest float to one by `scale` (Markstein).
#[derive(Debug, Clone, PartialEq)]
pub(in crate::infer::int8) struct Mix {
    /// What a code of the first stands for.
    pub own: [f32; 256],
    /// The same: byte `i` of each float in plane `i`, as vector instructions look them up.
    pub planes: [[u8; 256]; 4],
    /// The zero point of the second.
    pub other_zero: f32,
    /// The step of the second.
    pub other_scale: f32,
    /// The step of the sum.
    pub scale: f32,
    /// One by it.
    pub inverse: f32,
    /// The zero point of the sum.
    pub zero: u8,
}

impl Mix {
    /// `other` and `to` are a step and a zero point each.
    pub(in crate::infer::int8) fn new(own: [f32; 256], other: (f32, u8), to: (f32, u8)) -> Self {
        let planes = std::array::from_fn(|i| std::array::from_fn(|code| own[code].to_le_bytes()[i]));
        let other_zero = f32::from(other.1);
        Self { own, planes, other_zero, other_scale: other.0, scale: to.0, inverse: 1.0 / to.0, zero: to.1 }
    }

    /// The sum of two codes.
    #[inline(always)]
    pub(in crate::infer::int8) fn apply(&self, own: u8, other: u8) -> u8 {
        let sum = self.own[usize::from(own)] + (f32::from(other) - self.other_zero) * self.other_scale;
        let rounded = (sum / self.scale).round_ties_even() as i32;
        rounded.saturating_add(i32::from(self.zero)).clamp(0, 255) as u8
    }
}

/// Writes `pixels` pixels of codes, `width` bytes each in the channels' natural order, to all destinations; the tile begins at the row's pixel `first`.
///
/// # Safety
/// `codes` holds `pixels * width` bytes; destinations are as [`super::Kernel::row`] demands.
#[inline(always)]
pub(super) unsafe fn write(codes: *const u8, width: usize, first: usize, pixels: usize, dests: &[Dest]) {
    for dest in dests {
        let channels = dest.to - dest.from;
        for p in 0..pixels {
            // SAFETY: the caller's promise; destinations never lie within the scratch memory that holds the codes.
            unsafe {
                let codes = std::slice::from_raw_parts(codes.add(p * width + dest.from), channels);
                let out = std::slice::from_raw_parts_mut(dest.out.add((first + p) * dest.step), channels);
                match dest.residual {
                    Some(r) => {
                        let other = std::slice::from_raw_parts(r.codes.add((first + p) * r.step), channels);
                        let mix = &*r.mix;
                        out.iter_mut().zip(codes.iter().zip(other)).for_each(|(o, (&c, &x))| *o = mix.apply(c, x));
                        if let Some(table) = dest.table.as_ref() {
                            out.iter_mut().for_each(|o| *o = table[usize::from(*o)]);
                        }
                    }
                    None => match dest.table.as_ref() {
                        Some(table) => translate(codes, table, out),
                        None => out.copy_from_slice(codes),
                    },
                }
            }
        }
    }
}
