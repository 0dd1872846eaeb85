//! Whether a track stands still: its box stays where it is, but for the trembling of boxes.

use std::time::Duration;

use super::geometry::{Point, Scale, anchor};
use super::zone::ms;
use crate::config::Anchor;
use crate::types::{Rect, What};

/// How far the middle of a box that stands still may wander, as a share of the box's mean side; whoever walks does that within a few
/// frames.
const STILL_SHARE: f64 = 0.15;
/// So many times as far from its place it moves: one that shifts its weight does not.
const MOVES_FROM: f64 = 2.0;
/// For so long it has to be away: a box that is cut by an obstacle for a moment jumps.
const AWAY_FOR: Duration = Duration::from_millis(500);

/// One track that may stand still.
#[derive(Debug, Clone, Default)]
pub(super) struct Stillness {
    /// Where it is, and since when.
    place: Option<(Point, Duration)>,
    /// Since when it is seen elsewhere.
    away_since: Option<Duration>,
    is_told: bool,
}

impl Stillness {
    /// A track was seen; `after` is how long it has to stand.
    pub(super) fn see(&mut self, bbox: &Rect, scale: Scale, now: Duration, after: Duration) -> Option<What> {
        let p = anchor(bbox, scale, Anchor::Center);
        let still_px = STILL_SHARE * f64::from(bbox.width() + bbox.height()) / 2.0;
        let (place, since) = *self.place.get_or_insert((p, now));
        let away_px = scale.distance_px(place, p);
        if self.is_told {
            if away_px <= still_px * MOVES_FROM {
                self.away_since = None;
                return None;
            }
            let away = *self.away_since.get_or_insert(now);
            if now.saturating_sub(away) < AWAY_FOR {
                return None;
            }
            *self = Self { place: Some((p, now)), ..Self::default() };
            return Some(What::Moving { stopped_ms: ms(away.saturating_sub(since)) });
        }
        if away_px > still_px {
            self.place = Some((p, now));
            return None;
        }
        self.is_told = now.saturating_sub(since) >= after;
        self.is_told.then_some(What::Stopped)
    }

    /// A track is not there any more; it was seen last at `seen`.
    pub(super) fn leave(&mut self, seen: Duration) -> Option<What> {
        let (_, since) = self.place.filter(|_| self.is_told)?;
        let until = self.away_since.unwrap_or(seen);
        *self = Self::default();
        Some(What::Moving { stopped_ms: ms(until.saturating_sub(since)) })
    }
}
