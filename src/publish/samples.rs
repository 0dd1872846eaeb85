//! Reports as tests need them: plausible, with known content. Compiled for tests only.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::types::{
    CameraState, CameraStatus, Captured, ClassNames, Detection, EngineState, EngineStatus, Label, Rect, Report,
    Sighting, Track, TrackEvent, TrackPhase,
};

/// 2026-03-01T12:00:00Z: when the samples' monotonic clock began.
const WALL_AT_START_SECS: u64 = 1_772_366_400;

pub(super) fn captured(mono: Duration) -> Captured {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(WALL_AT_START_SECS) + mono;
    Captured { mono, wall, wall_synced: true }
}

pub(super) fn uid(n: u32) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x019c_a96c_1c00_7000_8000_0000_0000_0000 + u128::from(n))
}

pub(super) fn sighting(camera: &str, at: Duration) -> Report {
    Report::Sighting(Sighting {
        camera: Arc::from(camera),
        seq: 1042,
        captured: captured(at),
        width_px: 1280,
        height_px: 720,
        detections: vec![
            Detection { bbox: Rect::new(320.0, 180.0, 640.0, 540.0), class: 0, score: 0.9134 },
            Detection { bbox: Rect::new(-4.2, 600.25, 100.0, 730.0), class: 1, score: 0.5 },
        ],
        classes: ClassNames::new(["person", "bicycle"]),
    })
}

pub(super) fn track_of(camera: &str, uid: uuid::Uuid, phase: TrackPhase, at: Duration) -> Report {
    Report::Track(TrackEvent {
        camera: Arc::from(camera),
        phase,
        seq: 1042,
        captured: captured(at),
        width_px: 1280,
        height_px: 720,
        uid,
        track: Track {
            id: 17,
            bbox: Rect::new(320.0, 180.0, 640.0, 540.0),
            class: 2,
            score: 0.87,
            age_frames: 31,
            lost_frames: 0,
        },
        class_name: "car".to_owned(),
        first_seen: captured(at.saturating_sub(Duration::from_millis(1240))),
        labels: vec![Label { name: "vehicle.color".to_owned(), value: "red".to_owned(), confidence: 0.81, votes: 4 }],
    })
}

pub(super) fn camera(camera: &str, state: CameraState, at: Duration) -> Report {
    Report::Camera(CameraStatus {
        camera: Arc::from(camera),
        state,
        since: captured(at),
        reason: String::new(),
        size_px: Some((1280, 720)),
    })
}

pub(super) fn engine(state: EngineState, at: Duration) -> Report {
    let (engine, reason) = match state {
        EngineState::Ok => ("tensorrt", ""),
        EngineState::Degraded => ("int8", "tensorrt: the GPU did not answer within 3000 ms"),
        EngineState::Failed => {
            ("none", "tensorrt: the GPU did not answer within 3000 ms; no other engine is loaded yet")
        }
    };
    Report::Engine(EngineStatus {
        stage: "detect".to_owned(),
        model: "yolov8n".to_owned(),
        engine: engine.to_owned(),
        state,
        since: captured(at),
        reason: reason.to_owned(),
    })
}
