//! One line: who crossed it, in which direction, and how many did.
//!
//! The way from one sighting to the next is what crosses, so nobody jumps over a line between two frames, and nobody crosses one by
//! walking around its end. A crossing counts once the track is clear of the line, farther away than a box trembles; one that comes back
//! before has crossed nothing. Who appears on a line has crossed nothing either: nobody knows from where it came.

use std::collections::BTreeMap;
use std::time::Duration;

use super::geometry::{Point, Scale, anchor, is_on_line, net_crossings};
use super::zone::{counts, ms};
use crate::config;
use crate::types::{Rect, What};

/// How far from a line is clear of it, as a share of the box's height: the lower edge of a walking person's box, smoothed by the
/// tracker's filter, moves up and down by a few hundredths of that with every step.
const CLEAR_SHARE: f64 = 0.05;
/// For small boxes: as a share of the picture's diagonal, two pixels of a picture of 768 by 576.
const CLEAR_AT_LEAST: f64 = 0.002;
/// How long a track has to be clear of the line: a box that is cut by an obstacle for two frames jumps far, and jumps back.
const HOLD: Duration = Duration::from_millis(200);

/// One track and one line.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    /// Where it was seen last, off the line.
    last: Option<Point>,
    /// Whether it was clear of the line before it began to cross.
    was_clear: bool,
    /// Crossings from left to right, less those back, that are not told.
    net: i32,
    /// Since when it is clear of the line on the other side.
    over_since: Option<Duration>,
}

/// A line, and what was counted on it.
#[derive(Debug, Clone)]
pub(super) struct LineRule {
    name: String,
    settings: config::Line,
    /// When the interval began; None until there is a first moment.
    began: Option<Duration>,
    /// By direction and class: in this interval, and all in all.
    counted: BTreeMap<(usize, String), (u64, u64)>,
}

impl LineRule {
    pub(super) fn new(name: &str, settings: &config::Line) -> Self {
        Self { name: name.to_owned(), settings: settings.clone(), began: None, counted: BTreeMap::new() }
    }

    /// A track was seen.
    pub(super) fn see(
        &mut self,
        path: &mut Path,
        class: &str,
        bbox: &Rect,
        scale: Scale,
        now: Duration,
    ) -> Option<What> {
        if !counts(&self.settings.classes, class) {
            return None;
        }
        let points = &self.settings.points;
        let p = anchor(bbox, scale, self.settings.anchor);
        // On the line is on neither side: the way goes on from where it was before.
        if is_on_line(points, p) {
            path.over_since = None;
            return None;
        }
        if let Some(last) = path.last.replace(p) {
            path.net += net_crossings(points, last, p);
        }
        let clear_px = (CLEAR_SHARE * f64::from(bbox.height())).max(CLEAR_AT_LEAST * scale.diagonal_px());
        if scale.distance_to_line_px(points, p) < clear_px {
            path.over_since = None;
            return None;
        }
        if !std::mem::replace(&mut path.was_clear, true) || path.net == 0 {
            (path.net, path.over_since) = (0, None);
            return None;
        }
        let since = *path.over_since.get_or_insert(now);
        if now.saturating_sub(since) < HOLD {
            return None;
        }
        self.crossed(path, class)
    }

    /// A track is not there any more: if it was clear of the line when it was seen last, it stays on that side.
    pub(super) fn leave(&mut self, path: &mut Path, class: &str) -> Option<What> {
        path.over_since?;
        self.crossed(path, class)
    }

    fn crossed(&mut self, path: &mut Path, class: &str) -> Option<What> {
        let net = std::mem::take(&mut path.net);
        path.over_since = None;
        if net == 0 {
            return None;
        }
        let way = usize::from(net < 0);
        let count = self.counted.entry((way, class.to_owned())).or_default();
        (count.0, count.1) = (count.0 + 1, count.1 + 1);
        Some(What::Crossed { line: self.name.clone(), direction: self.settings.directions[way].clone() })
    }

    /// Time passed: the counts of an interval that is over. At the end (`is_end`) it is over, whatever its length.
    pub(super) fn pass(&mut self, now: Duration, is_end: bool) -> Vec<What> {
        let Some(every) = self.settings.count_every else { return Vec::new() };
        let began = *self.began.get_or_insert(now);
        let length = now.saturating_sub(began);
        if length < every && !is_end {
            return Vec::new();
        }
        // Intervals stand where they would if somebody had looked in time.
        let whole = length.as_nanos() / every.as_nanos().max(1);
        let next = began + Duration::from_nanos(u64::try_from(whole * every.as_nanos()).unwrap_or(u64::MAX));
        self.began = (!is_end).then_some(next);
        let interval_ms = if is_end { ms(length) } else { ms(next.saturating_sub(began)) };
        let name = &self.name;
        let directions = &self.settings.directions;
        let told =
            self.counted.iter_mut().filter(|(_, (count, _))| *count > 0).map(|((way, class), (count, total))| {
                What::Count {
                    line: name.clone(),
                    direction: directions[*way].clone(),
                    class: class.clone(),
                    count: std::mem::take(count),
                    total: *total,
                    interval_ms,
                }
            });
        told.collect()
    }

    /// When there is a count to tell.
    pub(super) fn due(&self) -> Option<Duration> {
        let every = self.settings.count_every.filter(|_| self.counted.values().any(|(count, _)| *count > 0))?;
        self.began.map(|began| began + every)
    }
}
