//! Reads a region of an image, row by row, at the output's resolution, as planar 8-bit RGB.

use super::axis::{Columns, Span};
use super::color::YuvToRgb;
use super::simd::Simd;
use super::{PixelError, kernels};
use crate::types::{ImageView, PixelFormat, Plane, Rect};

/// A region of a view, scaled to `count` output pixels.
#[derive(Debug)]
pub(super) struct Sampler<'a> {
    view: &'a ImageView<'a>,
    full: Grid,
    /// Chroma's grid; the same as `full` for packed RGB.
    half: Grid,
    color: YuvToRgb,
    simd: Simd,
    scratch: Scratch,
}

/// The samples of one plane that the output needs.
#[derive(Debug)]
struct Grid {
    columns: Columns,
    rows: Span,
    /// Rows in the plane.
    height: usize,
}

impl Grid {
    fn new(across: Span, down: Span, count_w: usize, size: (usize, usize)) -> Self {
        Self { columns: Columns::new(across, count_w, size.0), rows: down, height: size.1 }
    }
}

/// One row on its way; reused for every row.
#[derive(Debug)]
struct Scratch {
    /// Blended samples of each channel, and a copy of the last one.
    blended: [Vec<i16>; 3],
    pairs: Vec<[i16; 2]>,
    mixed: [Vec<i16>; 3],
    rgb: [Vec<u8>; 3],
}

impl<'a> Sampler<'a> {
    /// `region` lies within the view and has an area.
    pub(super) fn new(view: &'a ImageView<'a>, region: Rect, count: (usize, usize)) -> Result<Self, PixelError> {
        check(view)?;
        let across = span(region.x1, region.x2, count.0);
        let down = span(region.y1, region.y2, count.1);
        let size = (view.width_px as usize, view.height_px as usize);
        let full = Grid::new(across, down, count.0, size);
        let half = match view.format {
            PixelFormat::Rgb => Grid::new(across, down, count.0, size),
            // A chroma sample stands in the middle of the four luma samples that it serves. Video usually has it a quarter of a pixel
            // further left, which no model can tell.
            PixelFormat::Nv12 | PixelFormat::I420 => {
                Grid::new(across.halved(), down.halved(), count.0, (size.0.div_ceil(2), size.1.div_ceil(2)))
            }
        };
        let scratch = Scratch {
            blended: [&full, &half, &half].map(|g| vec![0; g.columns.len + 1]),
            pairs: vec![[0; 2]; count.0],
            mixed: [(); 3].map(|()| vec![0; count.0]),
            rgb: [(); 3].map(|()| vec![0; count.0]),
        };
        let color = YuvToRgb::of(view.matrix, view.range);
        Ok(Self { view, full, half, color, simd: Simd::detect(), scratch })
    }

    /// Output row `y`: red, green and blue.
    pub(super) fn row(&mut self, y: usize) -> [&[u8]; 3] {
        self.blend(y);
        for (c, grid) in [&self.full, &self.half, &self.half].into_iter().enumerate() {
            let blended = &mut self.scratch.blended[c];
            let len = grid.columns.len;
            blended[len] = blended[len - 1];
            for (pair, &left) in self.scratch.pairs.iter_mut().zip(&grid.columns.left) {
                // One load of both neighbours, with one check of the bounds, where two indices would be two of each.
                *pair = *blended[left as usize..]
                    .first_chunk()
                    .expect("the row has one sample more than the last left neighbour");
            }
            self.simd.mix_pairs(&self.scratch.pairs, &grid.columns.weights, &mut self.scratch.mixed[c]);
        }
        let [y, u, v] = &self.scratch.mixed;
        let [r, g, b] = &mut self.scratch.rgb;
        match self.view.format {
            PixelFormat::Rgb => {
                for (samples, bytes) in [(y, &mut *r), (u, &mut *g), (v, &mut *b)] {
                    kernels::round_row(samples, bytes);
                }
            }
            PixelFormat::Nv12 | PixelFormat::I420 => self.simd.yuv_to_rgb(&self.color, [y, u, v], [r, g, b]),
        }
        [r, g, b]
    }

    /// Blends the two source rows that output row `y` lies between, for each channel.
    fn blend(&mut self, y: usize) {
        let [first, second, third] = &mut self.scratch.blended;
        let [y_plane, u_plane, v_plane] = &self.view.planes;
        let (full, half, simd) = (&self.full, &self.half, self.simd);
        match self.view.format {
            PixelFormat::Rgb => {
                let (top, bottom, weight) = rows(y_plane, full, y, 3);
                kernels::blend_rows_of_three(top, bottom, weight, [first, second, third]);
            }
            PixelFormat::Nv12 => {
                let (top, bottom, weight) = rows(y_plane, full, y, 1);
                simd.blend_rows(top, bottom, weight, first);
                let (top, bottom, weight) = rows(u_plane, half, y, 2);
                simd.blend_rows_of_two(top, bottom, weight, [second, third]);
            }
            PixelFormat::I420 => {
                for (plane, grid, out) in [(y_plane, full, first), (u_plane, half, second), (v_plane, half, third)] {
                    let (top, bottom, weight) = rows(plane, grid, y, 1);
                    simd.blend_rows(top, bottom, weight, out);
                }
            }
        }
    }
}

/// The source rows around output row `y`, cut to the columns that are needed, and the lower one's weight.
fn rows<'a>(plane: &Plane<'a>, grid: &Grid, y: usize, bytes_per_px: usize) -> (&'a [u8], &'a [u8], i16) {
    let (top, weight) = grid.rows.at(y, grid.height);
    let bottom = (top + 1).min(grid.height - 1);
    let columns = &grid.columns;
    let cut = |row: usize| {
        let begin = row * plane.stride + columns.first * bytes_per_px;
        &plane.data[begin..begin + columns.len * bytes_per_px]
    };
    (cut(top), cut(bottom), weight)
}

pub(super) fn span(from: f32, to: f32, count: usize) -> Span {
    Span { origin: f64::from(from), step: (f64::from(to) - f64::from(from)) / count.max(1) as f64 }
}

/// Every plane is as long as the view's size and strides need it, so that no row can be cut beyond its end.
pub(super) fn check(view: &ImageView<'_>) -> Result<(), PixelError> {
    let (w, h) = (view.width_px as usize, view.height_px as usize);
    if w == 0 || h == 0 {
        return Err(PixelError::Empty { width_px: view.width_px, height_px: view.height_px });
    }
    let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
    let needed: &[(usize, usize)] = match view.format {
        PixelFormat::Rgb => &[(w.saturating_mul(3), h)],
        PixelFormat::Nv12 => &[(w, h), (half_w * 2, half_h)],
        PixelFormat::I420 => &[(w, h), (half_w, half_h), (half_w, half_h)],
    };
    for (plane, (&(row, rows), memory)) in needed.iter().zip(&view.planes).enumerate() {
        if memory.stride < row {
            return Err(PixelError::ShortStride { plane, stride: memory.stride, row });
        }
        let need = memory.stride.saturating_mul(rows - 1).saturating_add(row);
        if memory.data.len() < need {
            return Err(PixelError::ShortPlane { plane, have: memory.data.len(), need });
        }
    }
    Ok(())
}
