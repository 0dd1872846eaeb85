//! How much a view of an object is worth: size × confidence × sharpness. Pure.

use crate::pixels::Cover;
use crate::types::{ImageView, PixelFormat, Rect};

/// Beyond this mean side a larger view shows nothing more: pictures of objects are shrunk to little more.
const LARGE_PX: f32 = 256.0;
/// Where sharpness counts half: the variance of the Laplacian of a view that is neither sharp nor blurred.
const HALF_SHARP: f32 = 120.0;
/// An object that reaches the frame's edge is likely cut by it.
const AT_THE_EDGE: f32 = 0.6;
/// So near to the edge counts as reaching it.
const EDGE_PX: f32 = 2.0;
/// Rows and columns at which sharpness is looked at; all of a large crop's pixels would say the same.
const PROBES: usize = 48;

/// The most that a view with this box and score can be worth, known without a look at its pixels.
pub(super) fn at_most(bbox: Rect, score: f32) -> f32 {
    if !bbox.is_sane() || !score.is_finite() {
        return 0.0;
    }
    (bbox.area().sqrt() / LARGE_PX).min(1.0) * score.clamp(0.0, 1.0)
}

/// What the view is worth, 0..1. What lies under a mask is worth nothing.
pub(super) fn of(view: &ImageView<'_>, cover: &Cover, bbox: Rect, score: f32) -> f32 {
    let seen = bbox.clipped(view.width_px, view.height_px);
    if !seen.is_sane() {
        return 0.0;
    }
    let (w, h) = (view.width_px as f32, view.height_px as f32);
    let is_cut = seen.x1 < EDGE_PX || seen.y1 < EDGE_PX || seen.x2 > w - EDGE_PX || seen.y2 > h - EDGE_PX;
    let open = if cover.is_empty() { 1.0 } else { 1.0 - cover.share((view.width_px, view.height_px), seen) };
    let variance = sharpness(view, seen);
    let sharp = variance / (variance + HALF_SHARP);
    at_most(seen, score) * sharp * open * if is_cut { AT_THE_EDGE } else { 1.0 }
}

/// The variance of the Laplacian of luma over a region: edges make it, blur takes it away.
pub(super) fn sharpness(view: &ImageView<'_>, region: Rect) -> f32 {
    // Of packed RGB, green is the most of luma.
    let (bytes_per_px, offset) = if view.format == PixelFormat::Rgb { (3, 1) } else { (1, 0) };
    let plane = view.planes[0];
    let luma =
        |x: usize, y: usize| plane.data.get(y * plane.stride + x * bytes_per_px + offset).map_or(0, |b| i32::from(*b));
    let axis = |from: f32, to: f32, length: u32| {
        // Each probe needs its four neighbours.
        let first = (from.max(0.0) as usize).max(1);
        let end = (to.max(0.0) as usize).min((length as usize).saturating_sub(1));
        let step = end.saturating_sub(first).div_ceil(PROBES).max(1);
        (first..end).step_by(step)
    };
    let (mut count, mut sum, mut squares) = (0_i64, 0_i64, 0_i64);
    for y in axis(region.y1, region.y2, view.height_px) {
        for x in axis(region.x1, region.x2, view.width_px) {
            let edge = 4 * luma(x, y) - luma(x - 1, y) - luma(x + 1, y) - luma(x, y - 1) - luma(x, y + 1);
            count += 1;
            sum += i64::from(edge);
            squares += i64::from(edge * edge);
        }
    }
    if count == 0 {
        return 0.0;
    }
    let mean = sum as f32 / count as f32;
    (squares as f32 / count as f32 - mean * mean).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::still::tests::{Drawn, formats};
    use super::*;
    use crate::types::Pixels;
    use proptest::prelude::*;

    /// Vertical bars with edges that go over so many pixels.
    fn bars(soft_px: usize) -> Drawn {
        let level = move |x: usize| {
            let into = x % 40;
            let (rise, top) = (soft_px.min(into), 20);
            if into < top { 60 + 120 * rise / soft_px } else { 180 - 120 * (into - top).min(soft_px) / soft_px }
        };
        Drawn::new(PixelFormat::Nv12, (400, 300), move |p, i| if p == 0 { level(i % 403) as u8 } else { 128 })
    }

    #[test]
    fn a_sharp_view_is_worth_more_than_a_blurred_one() {
        let bbox = Rect::new(50.0, 50.0, 250.0, 250.0);
        let worth = |soft_px| of(&bars(soft_px).view(), &Cover::default(), bbox, 0.9);
        assert!(worth(1) > 1.5 * worth(6), "{} {}", worth(1), worth(6));
        assert!(worth(6) > 1.5 * worth(18), "{} {}", worth(6), worth(18));
    }

    #[test]
    fn size_confidence_a_whole_object_and_an_open_view_are_worth_more() {
        let image = bars(2);
        let worth = |bbox, score, cover: &Cover| of(&image.view(), cover, bbox, score);
        let open = Cover::default();
        let large = Rect::new(50.0, 50.0, 250.0, 250.0);
        let best = worth(large, 0.9, &open);
        assert!(best > worth(Rect::new(50.0, 50.0, 150.0, 150.0), 0.9, &open));
        assert!(best > worth(large, 0.5, &open));
        assert!(best > worth(Rect::new(0.0, 50.0, 200.0, 250.0), 0.9, &open), "cut by the frame's edge");
        let half = Cover::new([vec![(0.0, 0.0), (0.375, 0.0), (0.375, 1.0), (0.0, 1.0)]]);
        assert!(best > 1.8 * worth(large, 0.9, &half), "half of it is masked");
    }

    proptest! {
        #[test]
        fn no_view_is_worth_more_than_its_box_promised(
            format in formats(), size_px in (1_u32..80, 1_u32..80), corners in proptest::array::uniform4(-100.0_f32..200.0),
            score in prop_oneof![-1.0_f32..2.0, Just(f32::NAN)],
        ) {
            let image = Drawn::new(format, size_px, |_, i| (i * 97) as u8);
            let [x1, y1, x2, y2] = corners;
            let bbox = Rect::new(x1, y1, x2, y2);
            let worth = of(&image.view(), &Cover::default(), bbox, score);
            prop_assert!((0.0..=1.0).contains(&worth) && worth <= at_most(bbox, score), "{}", worth);
        }
    }
}
