//! Where a piece of the picture went: a few hundred samples of an object as it was at the last look, and the place in a later frame where
//! they fit best. It corrects what the tracker foretells of a frame that nobody looks at, for some ten microseconds a track.
//!
//! Pure. Belongs here: samples of luma and their comparison. Does not: whose patch it is, and what a misfit means (`mod.rs`).

use crate::types::{ImageView, PixelFormat, Rect};

/// Samples across and down: enough to tell a person from the one beside, few enough for twenty of them in a millisecond.
const ACROSS: usize = 12;
const DOWN: usize = 20;
/// The part of the box's width and height that is sampled: its rim shows what is behind the object.
const INNER: (f32, f32) = (0.5, 0.7);
/// How far around the expected place it is looked for, as a share of the box's sides.
const REACH: (f32, f32) = (0.35, 0.1);
/// Smaller objects have too few pixels to be told apart.
const SMALLEST_PX: f32 = 8.0;

/// An object as it looked.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    /// The box at the look.
    bbox: Rect,
    samples: Vec<u8>,
}

/// Where a patch was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// The middle of the object, in pixels.
    pub(super) center_px: (f32, f32),
    /// The mean difference of its samples, in levels of luma.
    pub(super) misfit: f32,
}

/// Luma of a frame, whatever its format.
#[derive(Debug, Clone, Copy)]
struct Luma<'a> {
    data: &'a [u8],
    stride: usize,
    bytes_per_px: usize,
    offset: usize,
    size_px: (i32, i32),
}

impl<'a> Luma<'a> {
    fn of(view: &ImageView<'a>) -> Self {
        // Of packed RGB, green is the most of luma.
        let (bytes_per_px, offset) = if view.format == PixelFormat::Rgb { (3, 1) } else { (1, 0) };
        let plane = view.planes[0];
        let size_px = (view.width_px as i32, view.height_px as i32);
        Self { data: plane.data, stride: plane.stride, bytes_per_px, offset, size_px }
    }

    fn at(&self, x: i32, y: i32) -> u8 {
        let x = x.clamp(0, self.size_px.0 - 1) as usize;
        let y = y.clamp(0, self.size_px.1 - 1) as usize;
        self.data.get(y * self.stride + x * self.bytes_per_px + self.offset).copied().unwrap_or_default()
    }
}

impl Patch {
    /// Keeps how the object in this box looks; None for one that is too small, or not in the picture.
    pub(super) fn take(view: &ImageView<'_>, bbox: Rect) -> Option<Self> {
        let seen = bbox.clipped(view.width_px, view.height_px);
        let is_small = seen.width() < SMALLEST_PX || seen.height() < SMALLEST_PX;
        let is_huge = bbox.width() > 2.0 * view.width_px as f32 || bbox.height() > 2.0 * view.height_px as f32;
        if !seen.is_sane() || is_small || is_huge {
            return None;
        }
        let luma = Luma::of(view);
        let samples = grid(bbox).map(|(x, y)| luma.at(x, y)).collect();
        Some(Self { bbox, samples })
    }

    /// The place where it fits best, near the one that is expected.
    pub(super) fn find(&self, view: &ImageView<'_>, expected: Rect) -> Found {
        let luma = Luma::of(view);
        let (w, h) = (self.bbox.width(), self.bbox.height());
        let from = (middle(&self.bbox), middle(&expected));
        // Farther than the picture is wide is out of it, wherever that is.
        let moved = |from: f32, to: f32, most: i32| ((to - from).round() as i32).clamp(-most, most);
        let (most_x, most_y) = luma.size_px;
        let mut best = (moved(from.0.0, from.1.0, most_x), moved(from.0.1, from.1.1, most_y));
        let mut least = self.misfit(&luma, best);
        let reach = ((REACH.0 * w).max(3.0) as i32, (REACH.1 * h).max(3.0) as i32);
        // Coarsely over the whole reach, then finer around the best place: what is looked for is as wide as many steps.
        let mut step = ((w / 12.0) as i32).clamp(1, 16);
        let center = best;
        for dy in steps(reach.1, step) {
            for dx in steps(reach.0, step) {
                self.better(&luma, (center.0 + dx, center.1 + dy), &mut best, &mut least);
            }
        }
        while step > 1 {
            step = (step / 2).max(1);
            let center = best;
            for dy in [-step, 0, step] {
                for dx in [-step, 0, step] {
                    self.better(&luma, (center.0 + dx, center.1 + dy), &mut best, &mut least);
                }
            }
        }
        let center_px = (from.0.0 + best.0 as f32, from.0.1 + best.1 as f32);
        Found { center_px, misfit: least as f32 / self.samples.len() as f32 }
    }

    fn better(&self, luma: &Luma<'_>, at: (i32, i32), best: &mut (i32, i32), least: &mut u32) {
        let misfit = self.misfit(luma, at);
        if misfit < *least {
            (*best, *least) = (at, misfit);
        }
    }

    fn misfit(&self, luma: &Luma<'_>, (dx, dy): (i32, i32)) -> u32 {
        let places = grid(self.bbox).zip(&self.samples);
        places.map(|((x, y), was)| u32::from(luma.at(x + dx, y + dy).abs_diff(*was))).sum()
    }
}

/// Where the samples of a box lie.
fn grid(bbox: Rect) -> impl Iterator<Item = (i32, i32)> {
    let (w, h) = (bbox.width() * INNER.0, bbox.height() * INNER.1);
    let (x, y) = middle(&bbox);
    let across = move |i: usize| (x - w / 2.0 + w * (i as f32 + 0.5) / ACROSS as f32) as i32;
    let down = move |i: usize| (y - h / 2.0 + h * (i as f32 + 0.5) / DOWN as f32) as i32;
    (0..DOWN).flat_map(move |j| (0..ACROSS).map(move |i| (across(i), down(j))))
}

fn middle(bbox: &Rect) -> (f32, f32) {
    ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0)
}

/// From `-reach` to `reach`, the middle one included.
fn steps(reach: i32, step: i32) -> impl Iterator<Item = i32> {
    let n = reach / step;
    (-n..=n).map(move |i| i * step)
}
