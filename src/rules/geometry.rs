//! Points, zones and lines of a picture: what is inside, what was crossed, how far away something is.
//!
//! Points are fractions of the picture, so that its size does not matter; distances are in pixels, since a picture is wider than high.
//! x grows to the right, y downwards.

use crate::config::Anchor;
use crate::types::Rect;

/// A point, as fractions of the picture.
pub(super) type Point = (f64, f64);

/// Nearer than this to a border is on it: a millionth of a picture, far below a pixel and far above what rounding does.
const ON_BORDER: f64 = 1e-6;

/// Width and height of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    width_px: f64,
    height_px: f64,
}

impl Scale {
    pub(super) fn of((width_px, height_px): (u32, u32)) -> Self {
        Self { width_px: f64::from(width_px.max(1)), height_px: f64::from(height_px.max(1)) }
    }

    /// The length of the picture's diagonal.
    pub(super) fn diagonal_px(self) -> f64 {
        self.width_px.hypot(self.height_px)
    }

    /// From one point to another.
    pub(super) fn distance_px(self, a: Point, b: Point) -> f64 {
        ((b.0 - a.0) * self.width_px).hypot((b.1 - a.1) * self.height_px)
    }

    /// From a point to the nearest one of a line.
    pub(super) fn distance_to_line_px(self, line: &[Point], p: Point) -> f64 {
        sides(line).map(|(a, b)| self.distance_px(self.nearest(a, b, p), p)).fold(f64::INFINITY, f64::min)
    }

    /// The point between `a` and `b` that is nearest to `p`.
    fn nearest(self, a: Point, b: Point, p: Point) -> Point {
        let (dx, dy) = ((b.0 - a.0) * self.width_px, (b.1 - a.1) * self.height_px);
        let along = (p.0 - a.0) * self.width_px * dx + (p.1 - a.1) * self.height_px * dy;
        let length = dx * dx + dy * dy;
        let share = if length > 0.0 { (along / length).clamp(0.0, 1.0) } else { 0.0 };
        (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share)
    }
}

/// The point that stands for a box. One that lies outside of the picture is moved to its edge: a zone may reach that far, and no farther.
pub(super) fn anchor(bbox: &Rect, scale: Scale, which: Anchor) -> Point {
    let (left, top, right, bottom) = (f64::from(bbox.x1), f64::from(bbox.y1), f64::from(bbox.x2), f64::from(bbox.y2));
    let (middle_x, middle_y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let (x, y) = match which {
        Anchor::BottomCenter => (middle_x, bottom),
        Anchor::Center => (middle_x, middle_y),
        Anchor::TopCenter => (middle_x, top),
        Anchor::LeftCenter => (left, middle_y),
        Anchor::RightCenter => (right, middle_y),
    };
    ((x / scale.width_px).clamp(0.0, 1.0), (y / scale.height_px).clamp(0.0, 1.0))
}

/// On which side of the walk from `a` to `b` a point lies: below 0 is left of the walker, above 0 right.
pub(super) fn side(a: Point, b: Point, p: Point) -> f64 {
    (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0)
}

/// Whether a point lies in a polygon, convex or not. Its border belongs to it.
pub(super) fn is_inside(polygon: &[Point], p: Point) -> bool {
    let closing = polygon.last().copied().zip(polygon.first().copied());
    let mut odd = false;
    for (a, b) in sides(polygon).chain(closing) {
        if is_on(a, b, p) {
            return true;
        }
        // A corner belongs to the side below it, so that a ray through it is counted once.
        if (a.1 > p.1) != (b.1 > p.1) && p.0 < a.0 + (p.1 - a.1) / (b.1 - a.1) * (b.0 - a.0) {
            odd = !odd;
        }
    }
    odd
}

/// Whether a point lies on a line.
pub(super) fn is_on_line(line: &[Point], p: Point) -> bool {
    sides(line).any(|(a, b)| is_on(a, b, p))
}

/// How often the straight way from `from` to `to` crosses a line from its left to its right, less how often from right to left. A corner
/// is crossed once; its two ends are not crossed at all. Neither `from` nor `to` may lie on the line.
pub(super) fn net_crossings(line: &[Point], from: Point, to: Point) -> i32 {
    let last = line.len().saturating_sub(2);
    let mut net = 0;
    for (i, (a, b)) in sides(line).enumerate() {
        let (from_right, to_right) = (side(a, b, from) >= 0.0, side(a, b, to) >= 0.0);
        if from_right == to_right {
            continue;
        }
        let (a_side, b_side) = (side(from, to, a), side(from, to, b));
        let touches_an_end = (i == 0 && a_side == 0.0) || (i == last && b_side == 0.0);
        // Half open: a corner on the way belongs to one of its two sides only.
        if touches_an_end || (a_side >= 0.0) == (b_side >= 0.0) {
            continue;
        }
        net += if to_right { 1 } else { -1 };
    }
    net
}

fn sides(points: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    points.windows(2).map(|pair| (pair[0], pair[1]))
}

fn is_on(a: Point, b: Point, p: Point) -> bool {
    let near = Scale { width_px: 1.0, height_px: 1.0 };
    near.distance_px(near.nearest(a, b, p), p) < ON_BORDER
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAT: [Point; 2] = [(0.2, 0.5), (0.8, 0.5)];
    const CORNER: [Point; 3] = [(0.2, 0.2), (0.5, 0.5), (0.8, 0.2)];

    #[test]
    fn the_left_of_a_walk_to_the_right_is_above_it() {
        assert_eq!(net_crossings(&FLAT, (0.5, 0.4), (0.5, 0.6)), 1, "from left to right");
        assert_eq!(net_crossings(&FLAT, (0.5, 0.6), (0.5, 0.4)), -1, "and back");
    }

    #[test]
    fn going_around_an_end_or_through_it_crosses_nothing() {
        assert_eq!(net_crossings(&FLAT, (0.9, 0.4), (0.9, 0.6)), 0, "beside it");
        assert_eq!(net_crossings(&FLAT, (0.2, 0.4), (0.2, 0.6)), 0, "through its first point");
        assert_eq!(net_crossings(&FLAT, (0.8, 0.6), (0.8, 0.4)), 0, "through its last point");
        assert_eq!(net_crossings(&FLAT, (0.1, 0.5), (0.9, 0.5)), 0, "along it");
    }

    #[test]
    fn a_corner_is_crossed_once_and_touched_from_outside_not_at_all() {
        assert_eq!(net_crossings(&CORNER, (0.5, 0.4), (0.5, 0.6)).abs(), 1, "through the corner");
        assert_eq!(net_crossings(&CORNER, (0.4, 0.5), (0.6, 0.5)), 0, "past the corner");
        assert_eq!(net_crossings(&CORNER, (0.2, 0.3), (0.8, 0.3)), 0, "in through one leg, out through the other");
    }

    #[test]
    fn a_notch_of_a_concave_zone_is_outside_and_its_border_inside() {
        let u = [(0.1, 0.1), (0.3, 0.1), (0.3, 0.7), (0.7, 0.7), (0.7, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)];
        for (p, expected) in [
            ((0.5, 0.4), false),
            ((0.2, 0.4), true),
            ((0.8, 0.4), true),
            ((0.5, 0.8), true),
            ((0.5, 0.7), true),
            ((0.1, 0.1), true),
            ((0.95, 0.4), false),
            ((0.05, 0.9), false),
        ] {
            assert_eq!(is_inside(&u, p), expected, "{p:?}");
        }
    }

    #[test]
    fn a_zone_down_to_the_edge_holds_a_box_that_reaches_beyond_it() {
        let scale = Scale::of((100, 100));
        let p = anchor(&Rect::new(40.0, 80.0, 60.0, 104.0), scale, Anchor::BottomCenter);
        assert_eq!(p, (0.5, 1.0));
        assert!(is_inside(&[(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)], p));
    }

    #[test]
    fn distances_are_in_pixels_of_a_picture_that_is_wider_than_high() {
        let scale = Scale::of((200, 100));
        assert_eq!(scale.distance_to_line_px(&[(0.0, 0.0), (0.0, 1.0)], (0.5, 0.5)), 100.0);
        assert_eq!(scale.distance_to_line_px(&[(0.0, 0.0), (1.0, 0.0)], (0.5, 0.5)), 50.0);
        assert!((scale.distance_to_line_px(&FLAT, (0.9, 0.5)) - 20.0).abs() < 1e-9, "from its end");
    }

    fn point() -> impl Strategy<Value = Point> {
        (0.0..1.0, 0.0..1.0)
    }

    proptest! {
        /// Nobody gets in or out of a closed line without crossing it: inside and crossings tell the same story.
        #[test]
        fn a_closed_line_is_crossed_exactly_when_the_inside_changes(
            path in proptest::collection::vec(point(), 2..30),
        ) {
            // Clockwise on the screen, so its right is its inside.
            let zone = [(0.2, 0.2), (0.8, 0.25), (0.5, 0.5), (0.85, 0.8), (0.3, 0.75)];
            let around: Vec<_> = zone.iter().copied().chain([zone[0]]).collect();
            for way in path.windows(2) {
                prop_assume!(!is_on_line(&around, way[0]) && !is_on_line(&around, way[1]));
                let change = i32::from(is_inside(&zone, way[1])) - i32::from(is_inside(&zone, way[0]));
                prop_assert_eq!(net_crossings(&around, way[0], way[1]), change, "{:?}", way);
            }
        }

        /// On a grid of eighths all that is exact happens: corners hit, ways along sides and their extensions, three points in a line.
        #[test]
        fn a_way_through_corners_and_along_sides_is_told_as_any_other(
            path in proptest::collection::vec((0_u8..=8, 0_u8..=8), 2..40),
        ) {
            let corners = [(1, 1), (7, 1), (7, 3), (3, 3), (3, 5), (5, 4), (7, 5), (7, 7), (4, 6), (1, 7)];
            let at = |(x, y): (u8, u8)| (f64::from(x) / 8.0, f64::from(y) / 8.0);
            let zone = corners.map(at);
            let around: Vec<_> = zone.iter().copied().chain([zone[0]]).collect();
            let off: Vec<_> = path.into_iter().map(at).filter(|p| !is_on_line(&around, *p)).collect();
            for way in off.windows(2) {
                // The line's two ends, here one point, are not crossed.
                let from_first = side(way[0], way[1], zone[0]);
                if from_first == 0.0 {
                    continue;
                }
                let change = i32::from(is_inside(&zone, way[1])) - i32::from(is_inside(&zone, way[0]));
                prop_assert_eq!(net_crossings(&around, way[0], way[1]), change, "{:?}", way);
            }
        }

        #[test]
        fn the_way_back_undoes_the_way(line in proptest::collection::vec(point(), 2..6), a in point(), b in point()) {
            prop_assert_eq!(net_crossings(&line, a, b), -net_crossings(&line, b, a));
        }
    }
}
