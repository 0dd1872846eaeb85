//! A frame as 80 by 45 means of its luma, and whether anything in it has changed: blocks that differ by more than the camera's noise.
//!
//! Pure. Belongs here: means, noise, changed blocks. Does not: what follows from a change (`mod.rs`).

use crate::types::{ImageView, PixelFormat, Rect};

/// Blocks across and down: one of a 768 by 576 picture is 10 by 13 pixels, half as wide as somebody on the far side of a yard.
pub(super) const ACROSS: usize = 80;
/// See [`ACROSS`].
pub(super) const DOWN: usize = 45;
/// Rows of a block that are read: the mean of four rows is steady enough, and a 4K picture costs little more than a small one.
const ROWS: usize = 4;
/// Parts of a level of luma in which means are kept.
const PARTS: u32 = 16;
/// A block has changed when it differs by so many times what blocks usually differ by from frame to frame (the median).
const TIMES_NOISE: f32 = 9.0;
/// And by as many levels at least: what a coder changes in a picture that stands still.
const LEAST_LEVELS: f32 = 1.5;
/// So many blocks have to have changed: a single one is a flicker.
pub(super) const FEWEST_BLOCKS: usize = 2;
/// How fast the noise that is believed follows the noise that is seen.
const FOLLOWS: f32 = 0.1;

/// The means of a frame's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumb {
    size_px: (u32, u32),
    /// Row by row.
    means: Vec<u16>,
}

impl Thumb {
    /// Of a frame; None for one whose planes are shorter than its size says, of which the detector will complain.
    pub fn of(view: &ImageView<'_>) -> Option<Self> {
        let (width, height) = (view.width_px as usize, view.height_px as usize);
        // Of packed RGB, green is the most of luma.
        let (bytes_per_px, offset) = if view.format == PixelFormat::Rgb { (3, 1) } else { (1, 0) };
        let plane = view.planes[0];
        if width < ACROSS || height < DOWN {
            return None;
        }
        let mut means = Vec::with_capacity(ACROSS * DOWN);
        for block in 0..DOWN {
            let (top, bottom) = (block * height / DOWN, (block + 1) * height / DOWN);
            let rows = (bottom - top).min(ROWS);
            let mut sums = [0_u32; ACROSS];
            for n in 0..rows {
                let begin = (top + n * (bottom - top) / rows) * plane.stride;
                let row = plane.data.get(begin..begin + width * bytes_per_px)?;
                for (x, sum) in sums.iter_mut().enumerate() {
                    let of_block = &row[x * width / ACROSS * bytes_per_px..(x + 1) * width / ACROSS * bytes_per_px];
                    *sum += of_block.iter().skip(offset).step_by(bytes_per_px).map(|&b| u32::from(b)).sum::<u32>();
                }
            }
            means.extend(sums.iter().enumerate().map(|(x, sum)| {
                let count = ((x + 1) * width / ACROSS - x * width / ACROSS) * rows;
                (sum * PARTS / count as u32) as u16
            }));
        }
        Some(Self { size_px: (view.width_px, view.height_px), means })
    }

    /// By how much each block differs from the same block of another frame, a change of the whole picture's brightness taken out.
    fn differences(&self, other: &Self) -> Vec<u16> {
        let pairs = || self.means.iter().zip(&other.means).map(|(a, b)| i32::from(*a) - i32::from(*b));
        // The median: whoever walks through the picture does not change what the rest of it is held against.
        let mut all: Vec<i32> = pairs().collect();
        let middle = all.len() / 2;
        let brightness = *all.select_nth_unstable(middle).1;
        pairs().map(|d| (d - brightness).unsigned_abs() as u16).collect()
    }
}

/// Tells change from noise.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    /// What blocks usually differ by from one frame to the next, in parts of a level; None before there were two frames.
    noise: Option<f32>,
}

/// What has changed from one frame to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    /// Blocks that differ.
    pub(super) blocks: usize,
    /// Those of them that lie in nobody's box.
    pub(super) unexplained: usize,
}

impl Gate {
    /// Learns the noise from two frames that follow each other.
    pub(super) fn learn(&mut self, before: &Thumb, now: &Thumb) {
        let mut differences = now.differences(before);
        let middle = differences.len() / 2;
        let seen = f32::from(*differences.select_nth_unstable(middle).1);
        self.noise = Some(self.noise.map_or(seen, |noise| noise + FOLLOWS * (seen - noise)));
    }

    /// What differs between two frames; `boxes` are those whose movement is known of.
    pub(super) fn compare(&self, then: &Thumb, now: &Thumb, boxes: &[Rect]) -> Changed {
        let least = (TIMES_NOISE * self.noise.unwrap_or_default()).max(LEAST_LEVELS * PARTS as f32);
        let mut changed = Changed { blocks: 0, unexplained: 0 };
        for (n, difference) in now.differences(then).into_iter().enumerate() {
            if f32::from(difference) <= least {
                continue;
            }
            changed.blocks += 1;
            let x = ((n % ACROSS) as f32 + 0.5) * now.size_px.0 as f32 / ACROSS as f32;
            let y = ((n / ACROSS) as f32 + 0.5) * now.size_px.1 as f32 / DOWN as f32;
            changed.unexplained += usize::from(!boxes.iter().any(|bbox| is_about(bbox, x, y)));
        }
        changed
    }
}

/// Whether a point is in a box or so near to it that what moves there is the same object, or its shadow.
fn is_about(bbox: &Rect, x: f32, y: f32) -> bool {
    let (w, h) = (bbox.width() / 2.0, bbox.height() / 4.0);
    (bbox.x1 - w..bbox.x2 + w).contains(&x) && (bbox.y1 - h..bbox.y2 + h).contains(&y)
}
