//! Points in a picture, as typed: what a line or a zone is drawn with, and what cannot be drawn.

use super::resolve::Resolver;

impl Resolver<'_> {
    /// Points of the picture; empty when one of them is wrong.
    pub(super) fn points(
        &mut self,
        section: &str,
        typed: Option<&[Vec<f64>]>,
        least: usize,
        example: &str,
    ) -> Vec<(f64, f64)> {
        let key = format!("{section}.points");
        let Some(typed) = typed else {
            self.error(&key, format!("missing; write points as fractions of the picture, e.g. {example}"));
            return Vec::new();
        };
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(typed.len());
        for (i, point) in typed.iter().enumerate() {
            let number = i + 1;
            let &[x, y] = point.as_slice() else {
                let count = point.len();
                self.error(&key, format!("point {number} has {count} numbers; write two, [x, y]"));
                return Vec::new();
            };
            if !((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y)) {
                let what = "points are fractions of the picture, from 0 to 1, not pixels";
                self.error(&key, format!("point {number} is [{x}, {y}]; {what}"));
                return Vec::new();
            }
            if points.last() == Some(&(x, y)) {
                self.error(&key, format!("point {number} is the same as the one before it"));
                return Vec::new();
            }
            points.push((x, y));
        }
        if points.len() < least {
            self.error(&key, format!("{} points; at least {least} are needed, e.g. {example}", points.len()));
            return Vec::new();
        }
        points
    }

    /// What crosses or covers itself has no inside, and no left and right.
    pub(super) fn refuse_crossings(&mut self, section: &str, points: &[(f64, f64)], closed: bool) {
        let key = format!("{section}.points");
        if closed && are_on_one_line(points) {
            self.error(&key, "all points lie on one line; a zone needs an area");
            return;
        }
        let sides = if closed { points.len() } else { points.len() - 1 };
        let side = |i: usize| (points[i], points[(i + 1) % points.len()]);
        for i in 0..sides {
            for j in i + 1..sides {
                let neighbours = j == i + 1 || (closed && i == 0 && j == sides - 1);
                if if neighbours { fold_back(side(i), side(j)) } else { meet(side(i), side(j)) } {
                    let what = "write the points in the order of a walk along it";
                    self.error(&key, format!("sides {} and {} cross or touch; {what}", i + 1, j + 1));
                    return;
                }
            }
        }
    }
}

type Point = (f64, f64);
type Side = (Point, Point);

/// Whether no three points make a triangle of more than a millionth of the picture. The polygon's own area does not tell: the two halves
/// of one that crosses itself may cancel each other.
fn are_on_one_line(points: &[Point]) -> bool {
    let far = |from: Point, p: &Point| (p.0 - from.0).hypot(p.1 - from.1);
    let ends = points.iter().max_by(|a, b| far(points[0], a).total_cmp(&far(points[0], b)));
    ends.is_none_or(|end| points.iter().all(|p| turn(points[0], *end, *p).abs() / 2.0 < 1e-6))
}

/// On which side of a → b a point lies: positive is right, as seen by a walker in a picture whose y grows downwards.
fn turn(a: Point, b: Point, p: Point) -> f64 {
    (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0)
}

/// Whether two sides have a point in common.
fn meet((a, b): Side, (c, d): Side) -> bool {
    let (c_side, d_side, a_side, b_side) = (turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b));
    let between = |p: f64, q: f64, v: f64| v >= p.min(q) && v <= p.max(q);
    let on = |p: Point, q: Point, v: Point| between(p.0, q.0, v.0) && between(p.1, q.1, v.1);
    let crosses = c_side * d_side < 0.0 && a_side * b_side < 0.0;
    crosses
        || (c_side == 0.0 && on(a, b, c))
        || (d_side == 0.0 && on(a, b, d))
        || (a_side == 0.0 && on(c, d, a))
        || (b_side == 0.0 && on(c, d, b))
}

/// Whether of two sides with one corner in common one lies on the other.
fn fold_back((a, b): Side, (c, d): Side) -> bool {
    // The corner is where the first ends, or, around the polygon's first point, where the second does.
    let (corner, from, to) = if b == c { (b, a, d) } else { (a, b, c) };
    let along = (from.0 - corner.0) * (to.0 - corner.0) + (from.1 - corner.1) * (to.1 - corner.1);
    turn(corner, from, to) == 0.0 && along > 0.0
}
