//! Whether a frame is worth a look, or what is known of the frames before says enough: doing less with the same result.
//!
//! A frame is looked at (`Detect`), or its tracks are carried on by the tracker, corrected by where their patches of picture went (`Coast`), or it
//! is the very frame that was looked at last (`Same`). Pure: the frame's capture time is the only clock. Belongs here: when to look. Does not:
//! whose turn it is at the engine (`schedule`), how tracks move (`track`).

mod border;
mod interval;
mod motion;
mod patch;
mod same;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use crate::config;
use crate::types::{ImageView, Rect, TrackId, TrackView};
use border::Border;
use motion::Gate;
pub use motion::Thumb;
use patch::Patch;
use same::Print;

/// A patch that fits no better than this, in levels of luma a sample, was not found: something is before it, or it has left.
const MISFIT: f32 = 45.0;
/// After so many looks at frames of which none came again, frames are no longer read as a whole for it, until two look alike once more.
const IN_VAIN: u32 = 100;

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is worth a look.
    Detect(Reason),
    /// Tracks are carried on without.
    Coast,
    /// It is the frame that was looked at last: what was seen then holds.
    Same,
}

/// Why a frame is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing is known.
    First,
    /// So many frames were left out already.
    Interval,
    /// The last look was so long ago.
    Recheck,
    /// Somebody is not confirmed yet.
    New,
    /// Somebody was not seen at the last look.
    Lost,
    /// Somebody moves far from frame to frame.
    Fast,
    /// Two may be taken for one another.
    Beside,
    /// Somebody should have come over a line, or a zone's edge.
    Border,
    /// Something moves that is nobody's.
    Motion,
}

/// Decides for one camera. For every frame: [`Attention::judge`], and after each look [`Attention::saw`].
#[derive(Debug, Clone)]
pub struct Attention {
    configured: config::Attend,
    /// What holds: as configured, or stretched.
    settings: config::Attend,
    borders: Vec<Border>,
    gate: Gate,
    /// The blocks of the newest frame.
    newest: Option<Thumb>,
    /// Whether frames were seen that may be the ones before.
    may_repeat: bool,
    /// Looks since a frame was the one before.
    looks_in_vain: u32,
    last: Option<LastLook>,
}

#[derive(Debug, Clone)]
struct LastLook {
    at: Duration,
    size_px: (u32, u32),
    /// Frames since then.
    frames: u32,
    print: Option<Print>,
    /// Who was seen, where, and what it looked like.
    seen: HashMap<TrackId, (Rect, Option<Patch>)>,
}

/// A frame as it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    /// Its pixels, as models see them; None where they are out of the processor's reach.
    pub pixels: Option<&'a ImageView<'a>>,
    /// Width and height.
    pub size_px: (u32, u32),
    /// When it was captured.
    pub at: Duration,
}

impl Attention {
    /// For a camera, with its lines and zones.
    pub fn new(settings: &config::Attend, camera: &config::Camera) -> Self {
        Self {
            configured: settings.clone(),
            settings: settings.clone(),
            borders: border::of(camera),
            gate: Gate::default(),
            newest: None,
            may_repeat: false,
            looks_in_vain: 0,
            last: None,
        }
    }

    /// Whether frames may be left out at all.
    pub fn is_on(&self) -> bool {
        self.settings.enabled
    }

    /// Looks at quiet scenes are to be so many times rarer than configured, until another number is told; 1 is as configured. Where every
    /// frame is looked at by configuration, one in so many is then while nothing happens. Whoever is new, lost, fast, beside another or
    /// at a line has looks as before: what a quiet scene costs is given up, not what is known of those who are there.
    pub fn stretch(&mut self, times: u32) {
        let times = times.max(1);
        let of_all = config::Attend { enabled: times > 1, interval: 1, max_interval: 1, ..config::Attend::default() };
        let base = if self.configured.enabled { self.configured.clone() } else { of_all };
        let settings = config::Attend { max_interval: base.max_interval.saturating_mul(times), ..base };
        if settings.enabled != self.settings.enabled {
            self.forget();
        }
        self.settings = settings;
    }

    /// Nothing that is known holds any more: the next frame is looked at.
    pub fn forget(&mut self) {
        (self.last, self.newest) = (None, None);
        self.may_repeat = false;
    }

    /// What to do with a frame. `tracks` are as of the frame before.
    pub fn judge(&mut self, glance: &Glance<'_>, tracks: &[TrackView]) -> Look {
        let thumb = glance.pixels.and_then(Thumb::of);
        let before = std::mem::replace(&mut self.newest, thumb);
        if let (Some(before), Some(now)) = (&before, &self.newest) {
            self.may_repeat |= before == now;
            self.gate.learn(before, now);
        }
        let Some(last) = self.last.as_mut().filter(|last| last.size_px == glance.size_px) else {
            return Look::Detect(Reason::First);
        };
        last.frames = last.frames.saturating_add(1);
        if let (Some(print), Some(thumb), Some(pixels)) = (&last.print, &self.newest, glance.pixels) {
            if print.is(thumb, pixels) {
                self.looks_in_vain = 0;
                return Look::Same;
            }
            self.may_repeat |= print.is_like(thumb);
        }
        self.reason(glance, tracks).map_or(Look::Coast, Look::Detect)
    }

    /// Why this frame is to be looked at; None when it need not be.
    fn reason(&self, glance: &Glance<'_>, tracks: &[TrackView]) -> Option<Reason> {
        let last = self.last.as_ref()?;
        if glance.at.saturating_sub(last.at) >= self.settings.recheck {
            return Some(Reason::Recheck);
        }
        let (mut frames, mut reason) = interval::until_look(&self.settings, tracks, self.newest.is_none());
        if self.settings.motion_gate
            && let (Some(now), Some(print)) = (&self.newest, &last.print)
        {
            let known: Vec<Rect> = tracks.iter().map(|track| track.bbox).collect();
            let changed = self.gate.compare(print.thumb(), now, &known);
            if changed.blocks < motion::FEWEST_BLOCKS {
                return None;
            }
            if changed.unexplained >= motion::FEWEST_BLOCKS && self.settings.interval < frames {
                (frames, reason) = (self.settings.interval, Reason::Motion);
            }
        }
        if last.frames >= frames {
            return Some(reason);
        }
        self.is_over_a_border(last, tracks, glance.size_px).then_some(Reason::Border)
    }

    fn is_over_a_border(&self, last: &LastLook, tracks: &[TrackView], size_px: (u32, u32)) -> bool {
        tracks.iter().filter(|track| track.is_told && track.lost_frames == 0).any(|track| {
            let Some((from, _)) = last.seen.get(&track.id) else { return false };
            self.borders.iter().any(|border| border.is_passed(from, &track.bbox, size_px))
        })
    }

    /// A frame was looked at, and these are the tracks after it.
    pub fn saw(&mut self, glance: &Glance<'_>, tracks: impl Iterator<Item = TrackView>) {
        self.looks_in_vain += u32::from(self.may_repeat);
        if self.looks_in_vain >= IN_VAIN {
            (self.may_repeat, self.looks_in_vain) = (false, 0);
        }
        let seen = tracks.filter(|track| track.lost_frames == 0);
        let patch = |bbox| glance.pixels.and_then(|pixels| Patch::take(pixels, bbox));
        let pixels = self.newest.as_ref().zip(glance.pixels);
        self.last = Some(LastLook {
            at: glance.at,
            size_px: glance.size_px,
            frames: 0,
            print: pixels.map(|(thumb, pixels)| Print::of(thumb.clone(), pixels, self.may_repeat)),
            seen: seen.map(|track| (track.id, (track.bbox, patch(track.bbox)))).collect(),
        });
    }

    /// Where the middle of somebody is in a frame that is not looked at, by where the patch of picture went that the last look saw.
    pub fn find(&self, glance: &Glance<'_>, track: &TrackView) -> Option<(f32, f32)> {
        let (_, patch) = self.last.as_ref()?.seen.get(&track.id)?;
        let found = patch.as_ref()?.find(glance.pixels?, track.bbox);
        (found.misfit <= MISFIT).then_some(found.center_px)
    }
}
