//! Privacy masks: polygons that nobody is to see through, and which pixels of a picture they touch.
//!
//! Belongs here: geometry alone, for every picture that leaves the device. Does not: who paints (see `pictures`, `annotate`), what
//! is typed (see `config`). Whatever is in doubt is covered: a pixel that a mask touches anywhere counts as under it.

use crate::types::Rect;

/// How far beyond its own place a pixel of a scaled picture looks, in pixels of the frame: two chroma samples side by side, each of
/// which stands for two pixels, lie within three pixels of the middle.
pub const SCALED_REACH_PX: f64 = 3.0;

/// Polygons, their points as fractions of the frame, so that a change of its size does not move them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cover {
    polygons: Vec<Vec<(f32, f32)>>,
}

/// A part of a frame as a picture of its own size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The frame's size.
    pub frame_px: (u32, u32),
    /// The part, in pixels of the frame.
    pub region: Rect,
    /// The size at which it is shown.
    pub size_px: (usize, usize),
}

/// Covered pixels of one row, `to` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The row.
    pub y: usize,
    /// The first pixel.
    pub from: usize,
    /// The pixel after the last.
    pub to: usize,
}

impl Window {
    /// The whole frame, shown at its own size.
    pub fn whole(frame_px: (u32, u32)) -> Self {
        let region = Rect::new(0.0, 0.0, frame_px.0 as f32, frame_px.1 as f32);
        Self { frame_px, region, size_px: (frame_px.0 as usize, frame_px.1 as usize) }
    }
}

impl Cover {
    /// Of these polygons; one that crosses itself covers all that it goes around.
    pub fn new(polygons: impl IntoIterator<Item = Vec<(f32, f32)>>) -> Self {
        Self { polygons: polygons.into_iter().filter(|points| !points.is_empty()).collect() }
    }

    /// Whether everything may be seen.
    pub fn is_empty(&self) -> bool {
        self.polygons.is_empty()
    }

    /// The pixels of the window that are covered, row by row from left to right. `reach_px` widens the polygons, in pixels of the frame:
    /// a picture that was scaled has mixed a pixel with its neighbours.
    pub fn runs(&self, window: &Window, reach_px: f64) -> Vec<Run> {
        let (width, height) = window.size_px;
        let Some(map) = Map::new(window).filter(|_| !self.is_empty()) else { return Vec::new() };
        let polygons: Vec<Vec<(f64, f64)>> =
            self.polygons.iter().map(|p| p.iter().map(|point| map.point(*point)).collect()).collect();
        let (reach_x, reach_y) = (reach_px * map.scale.0, reach_px * map.scale.1);
        let mut runs = Vec::new();
        let mut spans = Vec::new();
        for y in 0..height {
            spans.clear();
            let (top, bottom) = (y as f64 - reach_y, (y + 1) as f64 + reach_y);
            for polygon in &polygons {
                add_edges(polygon, (top, bottom), &mut spans);
                add_inside(polygon, top, &mut spans);
            }
            let clip = |x: f64| x.clamp(0.0, width as f64) as usize;
            let pixels = spans.iter().map(|(a, b)| (clip((a - reach_x).floor()), clip((b + reach_x).ceil())));
            merge(y, pixels.filter(|(from, to)| from < to).collect(), &mut runs);
        }
        runs
    }

    /// The share of a region that is covered, to a 32nd.
    pub fn share(&self, frame_px: (u32, u32), region: Rect) -> f32 {
        const GRID: usize = 32;
        let runs = self.runs(&Window { frame_px, region, size_px: (GRID, GRID) }, 0.0);
        runs.iter().map(|run| run.to - run.from).sum::<usize>() as f32 / (GRID * GRID) as f32
    }
}

/// From fractions of the frame to pixels of a window.
struct Map {
    frame: (f64, f64),
    origin: (f64, f64),
    /// Pixels of the window for one of the frame.
    scale: (f64, f64),
}

impl Map {
    fn new(window: &Window) -> Option<Self> {
        let r = window.region;
        r.is_sane().then(|| Self {
            frame: (f64::from(window.frame_px.0), f64::from(window.frame_px.1)),
            origin: (f64::from(r.x1), f64::from(r.y1)),
            scale: (window.size_px.0 as f64 / f64::from(r.width()), window.size_px.1 as f64 / f64::from(r.height())),
        })
    }

    fn point(&self, (x, y): (f32, f32)) -> (f64, f64) {
        let at = |share: f32, frame: f64, origin: f64, scale: f64| (f64::from(share) * frame - origin) * scale;
        (at(x, self.frame.0, self.origin.0, self.scale.0), at(y, self.frame.1, self.origin.1, self.scale.1))
    }
}

fn edges(polygon: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    polygon.iter().copied().zip(polygon.iter().copied().cycle().skip(1))
}

/// How far each edge reaches to both sides within the band. Together with what is inside at the band's upper end that is all of the
/// polygon in the band: who walks up from a point inside meets either an edge or the upper end.
fn add_edges(polygon: &[(f64, f64)], (top, bottom): (f64, f64), spans: &mut Vec<(f64, f64)>) {
    for (a, b) in edges(polygon) {
        if a.1.max(b.1) < top || a.1.min(b.1) > bottom {
            continue;
        }
        let (xa, xb) = if a.1 == b.1 {
            (a.0, b.0)
        } else {
            let at = |y: f64| a.0 + (b.0 - a.0) * ((y - a.1) / (b.1 - a.1)).clamp(0.0, 1.0);
            (at(a.1.clamp(top, bottom)), at(b.1.clamp(top, bottom)))
        };
        spans.push((xa.min(xb), xa.max(xb)));
    }
}

/// What lies inside at a height: wherever the polygon goes around at least once, in either direction.
fn add_inside(polygon: &[(f64, f64)], y: f64, spans: &mut Vec<(f64, f64)>) {
    let mut crossings: Vec<(f64, i32)> = edges(polygon)
        .filter(|(a, b)| (a.1 <= y) != (b.1 <= y))
        .map(|(a, b)| (a.0 + (b.0 - a.0) * (y - a.1) / (b.1 - a.1), if b.1 > a.1 { 1 } else { -1 }))
        .collect();
    crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut around = 0;
    for pair in crossings.windows(2) {
        around += pair[0].1;
        if around != 0 {
            spans.push((pair[0].0, pair[1].0));
        }
    }
}

fn merge(y: usize, mut pixels: Vec<(usize, usize)>, runs: &mut Vec<Run>) {
    pixels.sort_unstable();
    let first = runs.len();
    for (from, to) in pixels {
        match runs[first..].last_mut() {
            Some(last) if from <= last.to => last.to = last.to.max(to),
            _ => runs.push(Run { y, from, to }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(cover: &Cover, window: &Window, reach_px: f64) -> Vec<String> {
        let mut rows = vec![vec!['.'; window.size_px.0]; window.size_px.1];
        for run in cover.runs(window, reach_px) {
            rows[run.y][run.from..run.to].fill('#');
        }
        rows.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    #[test]
    fn every_pixel_that_is_touched_is_covered() {
        let square = Cover::new([vec![(0.24, 0.25), (0.51, 0.25), (0.51, 0.5), (0.24, 0.5)]]);
        let picture = drawn(&square, &Window::whole((8, 4)), 0.0);
        // A row that is touched along its edge only counts as touched.
        assert_eq!(picture, [".####...", ".####...", ".####...", "........"]);
    }

    #[test]
    fn a_concave_mask_leaves_its_bay_open_and_one_that_crosses_itself_has_no_hole() {
        let bay = Cover::new([vec![
            (0.0, 0.0),
            (0.25, 0.0),
            (0.25, 0.75),
            (0.75, 0.75),
            (0.75, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
        ]]);
        assert_eq!(drawn(&bay, &Window::whole((8, 8)), 0.0)[3], "##....##");
        // A five-pointed star in one stroke goes around its middle twice.
        let star = Cover::new([vec![(0.5, 0.0), (0.8, 1.0), (0.0, 0.35), (1.0, 0.35), (0.2, 1.0)]]);
        assert_eq!(&drawn(&star, &Window::whole((20, 20)), 0.0)[10][9..11], "##");
    }

    #[test]
    fn a_window_shows_its_part_of_the_mask_at_its_own_size() {
        let left_half = Cover::new([vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]]);
        let window = Window { frame_px: (100, 100), region: Rect::new(40.0, 40.0, 60.0, 60.0), size_px: (4, 2) };
        assert_eq!(drawn(&left_half, &window, 0.0), ["##..", "##.."]);
        // One pixel of the window is five of the frame.
        assert_eq!(drawn(&left_half, &window, 3.0), ["###.", "###."]);
        assert!((left_half.share((100, 100), window.region) - 0.5).abs() < 0.04);
        let nowhere = Window { region: Rect::new(f32::NAN, 0.0, 1.0, 1.0), ..window };
        assert!(left_half.runs(&nowhere, 0.0).is_empty());
    }

    /// Whether a point lies inside, found by another way than the one above: the angle under which it sees the polygon.
    fn is_inside(polygon: &[(f32, f32)], at: (f64, f64)) -> bool {
        let angle = |p: (f32, f32)| (f64::from(p.1) - at.1).atan2(f64::from(p.0) - at.0);
        let turn = |(a, b): (&(f32, f32), &(f32, f32))| {
            let d = angle(*b) - angle(*a);
            d - (d / std::f64::consts::TAU).round() * std::f64::consts::TAU
        };
        let all: f64 = polygon.iter().zip(polygon.iter().cycle().skip(1)).map(turn).sum();
        all.abs() > 1.0
    }

    proptest! {
        #[test]
        fn no_point_inside_a_mask_is_left_open(
            points in proptest::collection::vec((0.0_f32..1.0, 0.0_f32..1.0), 3..8), size in (1_u32..90, 1_u32..90),
            at in proptest::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 1..60),
        ) {
            let cover = Cover::new([points.clone()]);
            let picture = drawn(&cover, &Window::whole(size), 0.0);
            for (x, y) in at.into_iter().filter(|at| is_inside(&points, *at)) {
                let (px, py) = ((x * f64::from(size.0)) as usize, (y * f64::from(size.1)) as usize);
                prop_assert_eq!(&picture[py][px..=px], "#", "{} {}", x, y);
            }
        }

        #[test]
        fn runs_are_in_order_and_within_the_window(
            points in proptest::collection::vec((-1.0_f32..2.0, -1.0_f32..2.0), 1..7), corner in (-50.0_f32..150.0, -50.0_f32..150.0),
            extent in (0.1_f32..120.0, 0.1_f32..120.0), size_px in (0_usize..50, 0_usize..50), reach in 0.0_f64..5.0,
        ) {
            let region = Rect::from_xywh(corner.0, corner.1, extent.0, extent.1);
            let runs = Cover::new([points]).runs(&Window { frame_px: (100, 100), region, size_px }, reach);
            prop_assert!(runs.iter().all(|r| r.y < size_px.1 && r.from < r.to && r.to <= size_px.0));
            prop_assert!(runs.windows(2).all(|w| w[0].y < w[1].y || w[0].to < w[1].from));
        }
    }
}
