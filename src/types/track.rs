//! An object followed from frame to frame. How it is followed belongs to `track`.

use super::detection::ClassId;
use super::geometry::Rect;

/// A track's number: unique within one camera for as long as the daemon runs, never given twice.
pub type TrackId = u64;

/// A confirmed track as of the newest frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// Which one.
    pub id: TrackId,
    /// Where, in frame pixels: the filter's estimate.
    pub bbox: Rect,
    /// What it was seen as when it was last matched.
    pub class: ClassId,
    /// The score of the detection last matched.
    pub score: f32,
    /// Frames since the track began, the first one counted.
    pub age_frames: u32,
    /// Frames since a detection was last matched; 0 when this frame had one.
    pub lost_frames: u32,
}

/// A track as its tracker knows it, for whoever decides whether the next frame is worth a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackView {
    /// Which one.
    pub id: TrackId,
    /// Where it should be now, in frame pixels.
    pub bbox: Rect,
    /// What it was last seen as.
    pub class: ClassId,
    /// The score of the detection last matched.
    pub score: f32,
    /// How far its centre moves in one frame, to the right and downwards.
    pub speed_px: (f32, f32),
    /// The overlap of the prediction with the detection last matched, 0..1: how well it is foretold. 0 for one that was seen once.
    pub fit: f32,
    /// Looks in a row that saw it, the first one not counted.
    pub hits: u32,
    /// Whether it is confirmed, and the last look saw it.
    pub is_told: bool,
    /// Frames since a look missed it; 0 when the last one saw it.
    pub lost_frames: u32,
}

/// What one frame did to the tracks of a camera.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackUpdate {
    /// Confirmed tracks that this frame's detections matched: what SORT reports for the frame. Of a frame that nobody looked at: those
    /// that the last look saw, where they should be now.
    pub seen: Vec<Track>,
    /// Those of `seen` that were confirmed with this frame.
    pub born: Vec<TrackId>,
    /// Confirmed tracks given up with this frame, as they were last.
    pub ended: Vec<Track>,
}
