//! How a picture is drawn, as plain data, for whoever draws it elsewhere than on the processor: which samples of each plane, between
//! which neighbours each output pixel lies, the colour's factors. Whoever follows it gets the same bytes as `sample.rs`.

use super::axis::{Columns, Span};
use super::color::YuvToRgb;
use super::geometry::Inner;
use super::sample::{check, span};
use super::{Drawing, PixelError, Place};
use crate::types::{ColorMatrix, ColorRange, ImageView, PixelFormat, Rect};

/// What decides the tables; as long as it stays the same, they do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Geometry {
    pub(crate) format: PixelFormat,
    size: (usize, usize),
    region: Rect,
    /// The part of the output that is not padding: left, top, width, height. Nothing, when the region has no part in the picture.
    pub(crate) inner: [usize; 4],
    /// The output's width and height.
    pub(crate) dst_wh: (usize, usize),
}

/// An output pixel's left neighbour, counted from the cut's first column, and the weights of it and of the next one (which is the same
/// one where there is no next), in Q15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) left: u32,
    pub(crate) weights: [i16; 2],
}

/// An output row's upper neighbour, counted from the cut's first row, and the weight of the next one in Q15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) top: u32,
    pub(crate) weight: i16,
}

/// The part of a plane that the output needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) first_column: usize,
    pub(crate) columns: usize,
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// From one column to the next.
    pub(crate) column_bytes: usize,
}

/// One grid of samples: the luma's or the chroma's.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// Of each plane on this grid; `column_bytes` is 1.
    cut: Cut,
}

/// What the output needs of the planes.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Of luma, or of packed RGB.
    pub(crate) full: Grid,
    /// Of chroma; None for RGB.
    pub(crate) half: Option<Grid>,
    /// Of each plane that the format has.
    pub(crate) cuts: Vec<Cut>,
}

/// The colour's factors: black in 8.6; luma's less 1 in Q15; red's of V less 1, green's of U and V (to be taken away), and blue's of U
/// less 1, in Q14.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factors {
    pub(crate) black: i16,
    pub(crate) luma: i16,
    pub(crate) red_v: i16,
    pub(crate) green_u: i16,
    pub(crate) green_v: i16,
    pub(crate) blue_u: i16,
}

impl Factors {
    pub(crate) fn of(matrix: ColorMatrix, range: ColorRange) -> Self {
        let YuvToRgb { black, luma, red_v, green_u, green_v, blue_u } = YuvToRgb::of(matrix, range);
        Self { black, luma, red_v, green_u, green_v, blue_u }
    }
}

impl Geometry {
    /// Of a drawing into an output of this width and height. The view's planes are as long as it says, once this succeeds with
    /// something to draw.
    ///
    /// # Errors
    /// As [`Drawing::f32_nchw`] into a tensor of this size.
    pub(crate) fn of(drawing: &Drawing<'_>, dst_wh: (usize, usize)) -> Result<Self, PixelError> {
        let geometry = Self::of_outline(drawing, dst_wh)?;
        if !geometry.is_elsewhere() {
            check(drawing.view)?;
        }
        Ok(geometry)
    }

    /// As [`Geometry::of`], whatever the view's planes are: of a picture that lies where the processor does not see it.
    ///
    /// # Errors
    /// When the output is of another size than the place, or the picture of none.
    pub(crate) fn of_outline(drawing: &Drawing<'_>, dst_wh: (usize, usize)) -> Result<Self, PixelError> {
        let view = drawing.view;
        let (wanted_wh, inner, region) = match drawing.place {
            Place::Letterbox(letterbox) => {
                let Inner { left, top, width, height } = letterbox.inner();
                let whole = Rect::new(0.0, 0.0, view.width_px as f32, view.height_px as f32);
                (letterbox.dst_wh(), [left, top, width, height], Some(whole))
            }
            Place::Crop(region, wanted_wh) => {
                let visible = Some(region.clipped(view.width_px, view.height_px)).filter(Rect::is_sane);
                (wanted_wh, [0, 0, wanted_wh.0, wanted_wh.1], visible)
            }
        };
        if wanted_wh != dst_wh {
            let values = |wh: (usize, usize)| wh.0.saturating_mul(wh.1).saturating_mul(3);
            return Err(PixelError::WrongTensor { have: values(dst_wh), need: values(wanted_wh) });
        }
        let size = (view.width_px as usize, view.height_px as usize);
        let Some(region) = region else {
            return Ok(Self::blank(view.format, dst_wh));
        };
        if size.0 == 0 || size.1 == 0 {
            return Err(PixelError::Empty { width_px: view.width_px, height_px: view.height_px });
        }
        Ok(Self { format: view.format, size, region, inner, dst_wh })
    }

    /// Nothing but padding.
    pub(crate) fn blank(format: PixelFormat, dst_wh: (usize, usize)) -> Self {
        Self { format, size: (0, 0), region: Rect::default(), inner: [0; 4], dst_wh }
    }

    /// Whether nothing of the picture is asked for.
    fn is_elsewhere(&self) -> bool {
        self.size == (0, 0)
    }

    /// Whether there is nothing but padding.
    pub(crate) fn is_blank(&self) -> bool {
        self.inner[2] == 0 || self.inner[3] == 0
    }

    /// The tables; a blank geometry has none.
    pub(crate) fn tables(&self) -> Option<Tables> {
        if self.is_blank() {
            return None;
        }
        let [_, _, width, height] = self.inner;
        let across = span(self.region.x1, self.region.x2, width);
        let down = span(self.region.y1, self.region.y2, height);
        let full = Grid::new((across, width, self.size.0), (down, height, self.size.1));
        let (half_w, half_h) = (self.size.0.div_ceil(2), self.size.1.div_ceil(2));
        let halved = || Grid::new((across.halved(), width, half_w), (down.halved(), height, half_h));
        let wide = |cut: Cut, column_bytes: usize| Cut { column_bytes, ..cut };
        let (half, cuts) = match self.format {
            PixelFormat::Rgb => (None, vec![wide(full.cut, 3)]),
            PixelFormat::Nv12 => {
                let half = halved();
                let cuts = vec![full.cut, wide(half.cut, 2)];
                (Some(half), cuts)
            }
            PixelFormat::I420 => {
                let half = halved();
                let cuts = vec![full.cut, half.cut, half.cut];
                (Some(half), cuts)
            }
        };
        Some(Tables { full, half, cuts })
    }
}

impl Grid {
    /// Each axis: the span, how many output pixels, how many samples.
    fn new(across: (Span, usize, usize), down: (Span, usize, usize)) -> Self {
        let Columns { first, len, left, weights } = Columns::new(across.0, across.1, across.2);
        let columns = left.into_iter().zip(weights).map(|(left, weights)| Column { left, weights }).collect();
        let (down, count, samples) = down;
        let first_row = down.at(0, samples).0;
        let last_row = (down.at(count.saturating_sub(1), samples).0 + 1).min(samples.saturating_sub(1));
        let row = |y: usize| {
            let (top, weight) = down.at(y, samples);
            Row { top: (top - first_row) as u32, weight }
        };
        let cut = Cut { first_column: first, columns: len, first_row, rows: last_row - first_row + 1, column_bytes: 1 };
        Self { columns, rows: (0..count).map(row).collect(), cut }
    }
}

impl Cut {
    /// Bytes in a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.columns * self.column_bytes
    }

    /// Copies the part out of plane `number` of a view that [`Geometry::of`] took, row after row without gaps.
    pub(crate) fn copy(&self, view: &ImageView<'_>, number: usize, out: &mut [u8]) {
        let (plane, row_bytes) = (&view.planes[number], self.row_bytes());
        let begin = self.first_row * plane.stride + self.first_column * self.column_bytes;
        if plane.stride == row_bytes {
            out.copy_from_slice(&plane.data[begin..begin + out.len()]);
            return;
        }
        for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
            out.copy_from_slice(&plane.data[begin + row * plane.stride..][..row_bytes]);
        }
    }
}
