//! The lines and the edges of zones in a camera's picture: whoever should have come over one since the last look is looked at, so that what
//! happens there is told of early, and of what was seen.
//!
//! Pure. Belongs here: whether a way leads over a border. Does not: what counts as a crossing (`rules`).

use crate::config::{Anchor, Camera};
use crate::types::Rect;

type Point = (f64, f64);

/// One line, or the edge of one zone.
#[derive(Debug, Clone)]
pub(super) struct Border {
    /// As fractions of the picture; a zone's first corner stands at the end again.
    points: Vec<Point>,
    anchor: Anchor,
}

/// All borders of a camera's picture.
pub(super) fn of(camera: &Camera) -> Vec<Border> {
    let lines = camera.lines.values().map(|line| Border { points: line.points.clone(), anchor: line.anchor });
    let zones = camera.zones.values().map(|zone| {
        let closed = zone.points.iter().chain(zone.points.first()).copied().collect();
        Border { points: closed, anchor: zone.anchor }
    });
    lines.chain(zones).collect()
}

impl Border {
    /// Whether the way of a box from there to here leads over it.
    pub(super) fn is_passed(&self, from: &Rect, to: &Rect, size_px: (u32, u32)) -> bool {
        let (a, b) = (point(from, self.anchor, size_px), point(to, self.anchor, size_px));
        self.points.windows(2).any(|side| {
            (side_of(a, b, side[0]) * side_of(a, b, side[1]) < 0.0)
                && (side_of(side[0], side[1], a) * side_of(side[0], side[1], b) < 0.0)
        })
    }
}

fn point(bbox: &Rect, anchor: Anchor, (width_px, height_px): (u32, u32)) -> Point {
    let (middle_x, middle_y) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
    let (x, y) = match anchor {
        Anchor::BottomCenter => (middle_x, bbox.y2),
        Anchor::Center => (middle_x, middle_y),
        Anchor::TopCenter => (middle_x, bbox.y1),
        Anchor::LeftCenter => (bbox.x1, middle_y),
        Anchor::RightCenter => (bbox.x2, middle_y),
    };
    (f64::from(x) / f64::from(width_px.max(1)), f64::from(y) / f64::from(height_px.max(1)))
}

/// Below 0 on the one side of the way from `a` to `b`, above 0 on the other.
fn side_of(a: Point, b: Point, p: Point) -> f64 {
    (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0)
}
