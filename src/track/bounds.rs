//! A box in 64-bit floats, in which the filter computes: areas of megapixels squared leave 32 bits too little.

use crate::types::Rect;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) x1: f64,
    pub(super) y1: f64,
    pub(super) x2: f64,
    pub(super) y2: f64,
}

impl Bounds {
    pub(super) fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|v| v.is_finite())
    }

    pub(super) fn area(&self) -> f64 {
        (self.x2 - self.x1) * (self.y2 - self.y1)
    }

    /// Intersection over union; 0 for anything degenerate.
    pub(super) fn iou(&self, other: &Self) -> f64 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        if !(w > 0.0 && h > 0.0) {
            return 0.0;
        }
        let inter = w * h;
        let iou = inter / (self.area() + other.area() - inter);
        if iou.is_finite() { iou } else { 0.0 }
    }
}

impl From<Rect> for Bounds {
    fn from(r: Rect) -> Self {
        Self { x1: f64::from(r.x1), y1: f64::from(r.y1), x2: f64::from(r.x2), y2: f64::from(r.y2) }
    }
}

impl From<Bounds> for Rect {
    fn from(b: Bounds) -> Self {
        Self::new(b.x1 as f32, b.y1 as f32, b.x2 as f32, b.y2 as f32)
    }
}
