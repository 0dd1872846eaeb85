//! Rectangles in frame pixels. No other shape lives here yet; polygons and lines belong to the rules that use them.

use serde::{Deserialize, Serialize};

/// An axis-aligned rectangle in frame pixels; (x1, y1) is the top left corner, (x2, y2) the bottom right one.
///
/// Nothing forces the corners to be ordered or finite: boxes come from models and files, and every consumer
/// must survive what those may hold. [`Rect::is_sane`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl Rect {
    /// From two corners.
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// From the top left corner and a size, as MOTChallenge and COCO write boxes.
    pub fn from_xywh(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self::new(x, y, x + w, y + h)
    }

    /// Width; negative when the corners are swapped.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height; negative when the corners are swapped.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area in square pixels, never negative.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The middle of the rectangle.
    pub fn center(&self) -> (f32, f32) {
        ((self.x1 + self.x2) * 0.5, (self.y1 + self.y2) * 0.5)
    }

    /// Finite, ordered and of positive area: a box that can be drawn.
    pub fn is_sane(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|v| v.is_finite()) && self.x2 > self.x1 && self.y2 > self.y1
    }

    /// Intersection over union, 0 for anything degenerate.
    pub fn iou(&self, other: &Self) -> f32 {
        if !(self.is_sane() && other.is_sane()) {
            return 0.0;
        }
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        if !(w > 0.0 && h > 0.0) {
            return 0.0;
        }
        let inter = w * h;
        let union = self.area() + other.area() - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// The part that lies within a frame of this size.
    pub fn clipped(&self, width_px: u32, height_px: u32) -> Self {
        let (w, h) = (width_px as f32, height_px as f32);
        Self::new(self.x1.clamp(0.0, w), self.y1.clamp(0.0, h), self.x2.clamp(0.0, w), self.y2.clamp(0.0, h))
    }

    /// The same rectangle as fractions of a frame of this size.
    pub fn normalised(&self, width_px: u32, height_px: u32) -> Self {
        let (w, h) = (width_px.max(1) as f32, height_px.max(1) as f32);
        Self::new(self.x1 / w, self.y1 / h, self.x2 / w, self.y2 / h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_of_a_box_with_itself_is_one_and_with_a_stranger_zero() {
        let a = Rect::new(10.0, 10.0, 20.0, 30.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Rect::new(20.0, 10.0, 30.0, 30.0)), 0.0);
        assert!((a.iou(&Rect::new(15.0, 10.0, 25.0, 30.0)) - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn odd_boxes_overlap_nothing() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        for odd in [Rect::new(f32::NAN, 0.0, 1.0, 1.0), Rect::new(5.0, 5.0, 5.0, 5.0), Rect::new(8.0, 8.0, 2.0, 2.0)] {
            assert_eq!(a.iou(&odd), 0.0, "{odd:?}");
            assert!(!odd.is_sane());
        }
    }
}
