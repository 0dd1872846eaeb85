//! What the pipeline has to tell the world: frames' detections, tracks' lives, cameras' states, events.
//! How it is written as JSON belongs to `publish/payload.rs`; what an event is, to `event.rs`.

use serde::{Deserialize, Serialize};

use super::detection::{ClassNames, Detection};
use super::event::Event;
use super::frame::{CameraId, Captured};
use super::track::Track;

/// All that was detected in one frame.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Which camera.
    pub camera: CameraId,
    /// The frame's number.
    pub seq: u64,
    /// When it was captured.
    pub captured: Captured,
    /// The frame's width.
    pub width_px: u32,
    /// The frame's height.
    pub height_px: u32,
    /// What was found.
    pub detections: Vec<Detection>,
    /// Names of the detections' classes.
    pub classes: ClassNames,
}

/// Where in its life a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackPhase {
    /// Confirmed with this frame.
    New,
    /// Still there.
    Update,
    /// Given up; the box is the last one known.
    End,
}

/// An answer of a second-stage classifier, voted over a track's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Which head of which classifier: its name in the configuration, then the head where there are several ("vehicle.color").
    pub name: String,
    /// The answer.
    pub value: String,
    /// The voted share of confidence, 0..1.
    pub confidence: f32,
    /// How many crops voted.
    pub votes: u32,
}

/// One step in a track's life.
#[derive(Debug, Clone)]
pub struct TrackEvent {
    /// Which camera.
    pub camera: CameraId,
    /// New, update or end.
    pub phase: TrackPhase,
    /// The frame with which it happened.
    pub seq: u64,
    /// When that frame was captured.
    pub captured: Captured,
    /// The frame's width.
    pub width_px: u32,
    /// The frame's height.
    pub height_px: u32,
    /// A name for the track that is unique over all devices and restarts (UUIDv7).
    pub uid: uuid::Uuid,
    /// Who it is to the rules ([`Subject::uid`](super::Subject::uid)); the same as `uid` unless it goes on under another track's name.
    pub known_as: uuid::Uuid,
    /// The track.
    pub track: Track,
    /// The name of the track's class.
    pub class_name: String,
    /// When the track's first confirmed frame was captured.
    pub first_seen: Captured,
    /// What classifiers say about it.
    pub labels: Vec<Label>,
}

/// What a camera is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// Opening, no frame yet.
    Connecting,
    /// Frames arrive.
    Streaming,
    /// Frames stopped, though the source has not said why.
    Stalled,
    /// The source refused the user name or password.
    AuthFailed,
    /// The source sends a codec that this device cannot decode.
    UnsupportedCodec,
    /// The source failed; a new attempt follows.
    Failed,
    /// A file came to its end, and was not to be looped.
    Ended,
    /// Switched off, or removed from the configuration.
    Stopped,
}

impl CameraState {
    /// Every state, for metrics that show one line a state.
    pub const ALL: [Self; 8] = [
        Self::Connecting,
        Self::Streaming,
        Self::Stalled,
        Self::AuthFailed,
        Self::UnsupportedCodec,
        Self::Failed,
        Self::Ended,
        Self::Stopped,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Stalled => "stalled",
            Self::AuthFailed => "auth_failed",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::Failed => "failed",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
        }
    }
}

/// A change of a camera's state. Sent once for each change, never repeated.
#[derive(Debug, Clone)]
pub struct CameraStatus {
    /// Which camera.
    pub camera: CameraId,
    /// The state it is in now.
    pub state: CameraState,
    /// Since when.
    pub since: Captured,
    /// Why, without any credential in it; empty when there is nothing to add.
    pub reason: String,
    /// The frame size once it is known.
    pub size_px: Option<(u32, u32)>,
}

/// How a model fares with the engine that was chosen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// It runs as chosen.
    Ok,
    /// Another engine stands in: frames are analysed, perhaps fewer of them.
    Degraded,
    /// Nothing runs it: frames are lost.
    Failed,
}

impl EngineState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Failed];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// A change of what runs a model, all workers together.
#[derive(Debug, Clone)]
pub struct EngineStatus {
    /// What the model is for: "detect", "classify.NAME".
    pub stage: String,
    /// The model's name.
    pub model: String,
    /// What runs it now; several are joined by "+", "none" stands for nothing.
    pub engine: String,
    /// How it fares; the worst of all workers.
    pub state: EngineState,
    /// Since when.
    pub since: Captured,
    /// Why; empty while all is as chosen.
    pub reason: String,
}

/// Anything that the pipeline tells the world.
#[derive(Debug, Clone)]
pub enum Report {
    /// A frame's detections.
    Sighting(Sighting),
    /// A step in a track's life.
    Track(TrackEvent),
    /// A camera's change of state.
    Camera(CameraStatus),
    /// A change of what runs a model.
    Engine(EngineStatus),
}

/// Anything that looking at a frame gives.
#[derive(Debug, Clone)]
pub enum Finding {
    /// For whoever listens now.
    Report(Report),
    /// For the store, which keeps it until somebody has it.
    Event(Event),
}
