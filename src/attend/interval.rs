//! How many frames may pass until the next look, by what the tracker knows of everybody.
//!
//! Pure. Looks that follow each other evenly are worth more than looks that crowd together where something is uncertain: a detection counts
//! for all frames since the look before, so a new track is confirmed as early by one look after three frames as by three looks. That is
//! why nothing here but speed makes an interval shorter than the configured one. docs/attention.md has the measurements.

use super::Reason;
use crate::config;
use crate::types::TrackView;

/// Boxes that overlap by more than this may be taken for one another.
const BESIDE: f32 = 0.02;
/// How far a box may move between two looks, as a share of its side. On vtest people walk a fifth of their box's width a frame; whoever moves
/// as far as this changes his looks and his surroundings too much to be carried on.
const MOVES: f32 = 2.0;
/// The interval where nothing but the tracker's own filter carries boxes on, since the picture is out of the processor's reach.
const BLIND: u32 = 2;

/// The frames from the last look to the next one, and what makes them so few.
pub(super) fn until_look(settings: &config::Attend, tracks: &[TrackView], is_blind: bool) -> (u32, Reason) {
    let mut next = (settings.max_interval, Reason::Interval);
    let mut at_most = |frames: u32, reason| {
        if frames < next.0 {
            next = (frames, reason);
        }
    };
    if is_blind && !tracks.is_empty() {
        at_most(BLIND, Reason::Interval);
    }
    for (n, track) in tracks.iter().enumerate() {
        if track.lost_frames > 0 {
            // One that stays away is not waited for: only its first looks are worth more than others.
            if track.lost_frames <= settings.interval {
                at_most(settings.interval, Reason::Lost);
            }
            continue;
        }
        if !track.is_told {
            at_most(settings.interval, Reason::New);
        } else {
            at_most(frames_to_move(track), Reason::Fast);
        }
        if tracks[n + 1..].iter().any(|other| other.class == track.class && other.bbox.iou(&track.bbox) > BESIDE) {
            at_most(settings.interval, Reason::Beside);
        }
    }
    next
}

/// The frames in which a track moves as far as it may.
fn frames_to_move(track: &TrackView) -> u32 {
    let share = |speed: f32, side: f32| speed.abs() / side.max(1.0);
    let (dx, dy) = track.speed_px;
    let fastest = share(dx, track.bbox.width()).max(share(dy, track.bbox.height()));
    let frames = MOVES / fastest.max(f32::MIN_POSITIVE);
    if frames.is_finite() { (frames.min(1e6) as u32).max(1) } else { u32::MAX }
}
