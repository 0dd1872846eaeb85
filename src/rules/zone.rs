//! One zone: who is in it, for how long, and how many.
//!
//! Somebody is in or out once they were seen there for as long as the zone's `settle`: a box that trembles on the border changes nothing.

use std::time::Duration;

use super::geometry::{Scale, anchor, is_inside};
use crate::config;
use crate::types::{Rect, What};

/// One track and one zone.
#[derive(Debug, Clone, Default)]
pub(super) struct Stay {
    is_in: bool,
    /// Since when it is in.
    since: Duration,
    /// Since when it is seen on the other side, as long as that is not believed.
    other_since: Option<Duration>,
    /// The length that was told, once the stay was told of.
    told_ms: Option<u64>,
}

/// A zone, and what was told of it as a whole.
#[derive(Debug, Clone)]
pub(super) struct ZoneRule {
    name: String,
    settings: config::Zone,
    /// The number that was told last.
    told: u32,
    /// Since when the number is another one.
    differs_since: Option<Duration>,
    crowd: Gathering,
}

/// How far it is with a crowd.
#[derive(Debug, Clone, Copy, Default)]
struct Gathering {
    /// Since when there are enough.
    since: Option<Duration>,
    /// Since when there are too few again.
    short_since: Option<Duration>,
    is_told: bool,
}

impl Stay {
    pub(super) fn is_in(&self) -> bool {
        self.is_in
    }

    /// Where it is seen now. Gives whether it changed sides, and since when it is there.
    fn observe(&mut self, is_in: bool, now: Duration, settle: Duration) -> Option<Duration> {
        if is_in == self.is_in {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(now);
        if now.saturating_sub(since) < settle {
            return None;
        }
        (self.is_in, self.other_since) = (is_in, None);
        Some(since)
    }

    fn length_ms(&self, until: Duration) -> u64 {
        // What was told is not taken back.
        ms(until.saturating_sub(self.since)).max(self.told_ms.unwrap_or_default())
    }
}

impl ZoneRule {
    pub(super) fn new(name: &str, settings: &config::Zone) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            told: 0,
            differs_since: None,
            crowd: Gathering::default(),
        }
    }

    /// A track was seen.
    pub(super) fn see(&self, stay: &mut Stay, class: &str, bbox: &Rect, scale: Scale, now: Duration) -> Vec<What> {
        let mut told = Vec::new();
        if !counts(&self.settings.classes, class) {
            return told;
        }
        let is_in = is_inside(&self.settings.points, anchor(bbox, scale, self.settings.anchor));
        if let Some(since) = stay.observe(is_in, now, self.settings.settle) {
            if stay.is_in {
                (stay.since, stay.told_ms) = (since, None);
                told.push(What::Entered { zone: self.name.clone() });
            } else {
                told.extend(self.over(stay, since));
            }
        }
        told
    }

    /// Time passed for a track: a stay may be long enough to be told of.
    pub(super) fn pass(&self, stay: &mut Stay, now: Duration) -> Option<What> {
        if self.dwell_due(stay)? > now {
            return None;
        }
        let inside_ms = ms(now.saturating_sub(stay.since));
        stay.told_ms = Some(inside_ms);
        Some(What::Dwell { zone: self.name.clone(), inside_ms })
    }

    /// When a stay will be told of.
    pub(super) fn dwell_due(&self, stay: &Stay) -> Option<Duration> {
        // Somebody who is seen outside is waited for.
        let stays = stay.is_in && stay.told_ms.is_none() && stay.other_since.is_none();
        self.settings.dwell.filter(|_| stays).map(|dwell| stay.since + dwell)
    }

    /// A track is not there any more; it was seen last at `seen`.
    pub(super) fn leave(&self, stay: &mut Stay, seen: Duration) -> Vec<What> {
        if !stay.is_in {
            return Vec::new();
        }
        let until = stay.other_since.take().unwrap_or(seen);
        stay.is_in = false;
        self.over(stay, until)
    }

    fn over(&self, stay: &Stay, until: Duration) -> Vec<What> {
        let (zone, inside_ms) = (&self.name, stay.length_ms(until));
        let end = stay.told_ms.map(|_| What::DwellEnd { zone: zone.clone(), inside_ms });
        end.into_iter().chain([What::Left { zone: zone.clone(), inside_ms }]).collect()
    }

    /// So many are in it now. At the end (`settle` is false) nothing is waited for.
    pub(super) fn count(&mut self, count: u32, now: Duration, settle: bool) -> Vec<What> {
        let settle = if settle { self.settings.settle } else { Duration::ZERO };
        self.occupancy(count, now, settle).into_iter().chain(self.gathering(count, now, settle)).collect()
    }

    fn occupancy(&mut self, count: u32, now: Duration, settle: Duration) -> Option<What> {
        if !self.settings.occupancy || count == self.told {
            self.differs_since = None;
            return None;
        }
        // Measured from the number that was told: in a busy zone, where no number lasts, the newest one is told now and then.
        let since = *self.differs_since.get_or_insert(now);
        if now.saturating_sub(since) < settle {
            return None;
        }
        self.differs_since = None;
        let before = std::mem::replace(&mut self.told, count);
        Some(What::Occupancy { zone: self.name.clone(), count, before })
    }

    fn gathering(&mut self, count: u32, now: Duration, settle: Duration) -> Option<What> {
        let wanted = self.settings.crowd?;
        let g = &mut self.crowd;
        if count >= wanted.count {
            g.short_since = None;
            let since = *g.since.get_or_insert(now);
            if g.is_told || now.saturating_sub(since) < wanted.hold {
                return None;
            }
            g.is_told = true;
            return Some(What::Crowd { zone: self.name.clone(), count });
        }
        let since = g.since?;
        let short = *g.short_since.get_or_insert(now);
        if now.saturating_sub(short) < settle {
            return None;
        }
        let was_told = std::mem::take(g).is_told;
        let lasted_ms = ms(short.saturating_sub(since));
        was_told.then(|| What::CrowdEnd { zone: self.name.clone(), count, lasted_ms })
    }

    /// When there may be something to tell though nobody is seen.
    pub(super) fn due(&self) -> Option<Duration> {
        let g = &self.crowd;
        let wait = match (g.since, g.short_since) {
            (_, Some(short)) => Some(short + self.settings.settle),
            (Some(since), None) if !g.is_told => self.settings.crowd.map(|wanted| since + wanted.hold),
            _ => None,
        };
        [self.differs_since.map(|since| since + self.settings.settle), wait].into_iter().flatten().min()
    }
}

/// Whether a class is one of those that count; where none is named, all do.
pub(super) fn counts(classes: &[String], class: &str) -> bool {
    classes.is_empty() || classes.iter().any(|c| c == class)
}

/// Whole milliseconds.
pub(super) fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
