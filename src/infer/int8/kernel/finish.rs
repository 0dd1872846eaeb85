//! Where a tile's codes go: through a table, perhaps mixed with a residual, into a slice of a tensor.
//!
//! Belongs here: the portable form, which all kernels share unless they have a better one. Does not: accumulation and requantisation.

/// A destination of a block's codes, for one row.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer::int8) struct Dest {
    /// Code in, code out; null leaves codes as they are.
    pub table: *const [u8; 256],
    /// Where the row's first pixel has the channel `from`.
    pub out: *mut u8,
    /// Bytes from one pixel to the next.
    pub step: usize,
    /// First channel of the block that goes there.
    pub from: usize,
    /// One past the last channel of the block that goes there.
    pub to: usize,
    /// What is added after the table.
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
    pub mix: Mix,
}

/// `clamp((own · a + other · b + offset) >> shift, 0, 255)`: a sum of two quantised tensors in integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer::int8) struct Mix {
    /// Factor of the first code.
    pub own: i16,
    /// Factor of the second.
    pub other: i16,
    /// Zero points and rounding.
    pub offset: i32,
    /// Bits after the point.
    pub shift: u32,
}

impl Mix {
    /// The sum of two codes.
    #[inline(always)]
    pub(in crate::infer::int8) fn apply(self, own: u8, other: u8) -> u8 {
        let sum = i32::from(own) * i32::from(self.own) + i32::from(other) * i32::from(self.other) + self.offset;
        (sum >> self.shift).clamp(0, 255) as u8
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
                match dest.table.as_ref() {
                    Some(table) => out.iter_mut().zip(codes).for_each(|(o, &c)| *o = table[usize::from(c)]),
                    None => out.copy_from_slice(codes),
                }
                if let Some(r) = dest.residual {
                    let other = std::slice::from_raw_parts(r.codes.add((first + p) * r.step), channels);
                    out.iter_mut().zip(other).for_each(|(o, &x)| *o = r.mix.apply(*o, x));
                }
            }
        }
    }
}
