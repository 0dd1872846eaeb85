//! Numbers, boxes and times as they stand on the wire: finite, clipped, rounded. Which message holds them belongs to its own file.

use std::time::SystemTime;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::types::{Captured, Rect};

/// Width and height of the frames that pixel coordinates refer to.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Corners of a box: (x1, y1) is the top left one; within the frame.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct Corners {
    x1: f64,
    y1: f64,
    x2: f64,
    y2: f64,
}

/// The time between two moments, by the monotonic clock.
pub(super) fn age_ms(then: Captured, now: Captured) -> u64 {
    u64::try_from(now.mono.saturating_sub(then.mono).as_millis()).unwrap_or(u64::MAX)
}

/// A moment of the monotonic clock.
pub(super) fn mono_ms(at: Captured) -> u64 {
    u64::try_from(at.mono.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 knows the years 0 to 9999; a clock beyond them is broken, and is shown as the nearest time that can be written.
pub(in crate::publish) fn rfc3339(wall: SystemTime) -> String {
    let nearest = if wall < SystemTime::UNIX_EPOCH { Timestamp::UNIX_EPOCH } else { Timestamp::MAX };
    let stamp = Timestamp::try_from(wall).ok().filter(|t| *t >= Timestamp::UNIX_EPOCH).unwrap_or(nearest);
    stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Boxes come from models and filters: what is not finite becomes 0, what lies outside is clipped, swapped corners are put in order.
fn within(bbox: Rect, frame: Size) -> [f64; 4] {
    let fit = |v: f32, limit: u32| if v.is_finite() { f64::from(v).clamp(0.0, f64::from(limit)) } else { 0.0 };
    let (xa, xb) = (fit(bbox.x1, frame.width), fit(bbox.x2, frame.width));
    let (ya, yb) = (fit(bbox.y1, frame.height), fit(bbox.y2, frame.height));
    [xa.min(xb), ya.min(yb), xa.max(xb), ya.max(yb)]
}

/// Tenths of a pixel: finer than any detector is.
pub(super) fn pixels(bbox: Rect, frame: Size) -> Corners {
    let [x1, y1, x2, y2] = within(bbox, frame).map(|v| rounded(v, 10.0));
    Corners { x1, y1, x2, y2 }
}

/// Five digits: a twentieth of a pixel at 4K.
pub(super) fn normalised(bbox: Rect, frame: Size) -> Corners {
    let [x1, y1, x2, y2] = within(bbox, frame);
    let (w, h) = (f64::from(frame.width.max(1)), f64::from(frame.height.max(1)));
    let short = |v: f64| rounded(v, 1e5);
    Corners { x1: short(x1 / w), y1: short(y1 / h), x2: short(x2 / w), y2: short(y2 / h) }
}

/// A share from 0 to 1, in ten thousandths.
pub(super) fn share(v: f32) -> f64 {
    if v.is_finite() { rounded(f64::from(v).clamp(0.0, 1.0), 1e4) } else { 0.0 }
}

/// A reading, as fine as any sensor is.
pub(super) fn hundredths(v: f64) -> f64 {
    rounded(v, 1e2)
}

fn rounded(v: f64, per_unit: f64) -> f64 {
    (v * per_unit).round() / per_unit
}
