//! Reports as tests need them: plausible, with known content. Compiled for tests only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::types::{
    Backlog, BudgetMove, CameraState, CameraStatus, Captured, ClassNames, CoreUse, CpuUse, Detection, DiskUse,
    EngineState, EngineStatus, Event, EventCount, Fan, GpuUse, Label, Lane, MemoryUse, Power, PowerMode, Rail,
    Readings, Rect, Report, Severity, Sighting, Stored, Subject, Temperature, Throttle, TotalOf, Track, TrackEvent,
    TrackPhase, What,
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
        known_as: uid,
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

/// What the sensors of an Orin Nano might say.
pub(super) fn readings() -> Readings {
    let rail = |name: &str, mw, mv, ma| Rail {
        name: name.to_owned(),
        milliwatts: Some(mw),
        millivolts: Some(mv),
        milliamps: Some(ma),
    };
    let rails = vec![rail("VDD_IN", 4785, 4984, 960), rail("VDD_CPU_GPU_CV", 597, 4976, 120)];
    Readings {
        power: Power { total_mw: Some(4785), total_of: Some(TotalOf::Input), rails },
        temperatures: vec![Temperature { sensor: "cpu-thermal".to_owned(), millicelsius: 51_187 }],
        throttle: Throttle {
            now: Vec::new(),
            seen: vec!["oc1".to_owned()],
            events: vec![EventCount { name: "oc1".to_owned(), count: 2 }],
        },
        cpu: CpuUse {
            busy_permille: Some(375),
            cores: vec![CoreUse { number: 0, busy_permille: Some(375), clock_mhz: Some(1510) }],
        },
        gpus: vec![GpuUse {
            name: "17000000.gpu".to_owned(),
            busy_permille: Some(880),
            clock_mhz: Some(612),
            max_clock_mhz: Some(1020),
            governor: Some("nvhost_podgov".to_owned()),
        }],
        memory: Some(MemoryUse { total_bytes: 7_990_000_000, available_bytes: 5_200_000_000, swap_used_bytes: 0 }),
        disk: Some(DiskUse { total_bytes: 62_000_000_000, free_bytes: 31_000_000_000 }),
        fans: vec![Fan { name: "pwmfan".to_owned(), duty_permille: Some(345), rpm: Some(1893) }],
        mode: Some(PowerMode { id: 2, name: Some("MAXN_SUPER".to_owned()), clocks_fixed: false }),
    }
}

/// The life of the daemon that samples come from.
pub(super) const BOOT: uuid::Uuid = uuid::Uuid::from_u128(0x019c_a96c_1400_7000_8000_0000_0000_00b0);

/// An event as the store gives it; `n` becomes its number within the camera.
pub(super) fn stored(n: u64, camera: Option<&str>, what: What) -> Stored {
    let at = captured(Duration::from_millis(5_040));
    let about_nobody = matches!(
        what,
        What::Occupancy { .. }
            | What::Crowd { .. }
            | What::CrowdEnd { .. }
            | What::Count { .. }
            | What::Lost { .. }
            | What::BudgetStep { .. }
    );
    let subject = Subject {
        uid: uid(1),
        track_id: 17,
        tracked_as: None,
        class: "car".to_owned(),
        score: 0.87,
        bbox: Rect::new(320.0, 180.0, 640.0, 540.0),
        frame_px: (1280, 720),
        first_seen: captured(Duration::from_millis(3_800)),
        labels: vec![Label { name: "vehicle.color".to_owned(), value: "red".to_owned(), confidence: 0.81, votes: 4 }],
    };
    let event = Event {
        camera: camera.map(Arc::from),
        at,
        frame_seq: camera.map(|_| 1042),
        what,
        subject: (camera.is_some() && !about_nobody).then_some(subject),
        snapshots: Vec::new(),
    };
    Stored {
        id: uuid::Uuid::from_u128(0x019c_a96c_1c00_7000_8000_0000_00e0_0000 + u128::from(n)),
        boot: BOOT,
        seq: n,
        event,
    }
}

/// One of each, in the order of [`What::KINDS`].
pub(super) fn every_what() -> Vec<What> {
    let (zone, line, direction) = (|| "door".to_owned(), || "gate".to_owned(), || "in".to_owned());
    vec![
        What::Appeared,
        What::Gone { present_ms: 61_200 },
        What::Entered { zone: zone() },
        What::Left { zone: zone(), inside_ms: 12_400 },
        What::Dwell { zone: zone(), inside_ms: 10_000 },
        What::DwellEnd { zone: zone(), inside_ms: 12_400 },
        What::Crossed { line: line(), direction: direction() },
        What::Occupancy { zone: zone(), count: 3, before: 2 },
        What::Crowd { zone: zone(), count: 5 },
        What::CrowdEnd { zone: zone(), count: 4, lasted_ms: 30_500 },
        What::Count {
            line: line(),
            direction: direction(),
            class: "car".to_owned(),
            count: 12,
            total: 340,
            interval_ms: 60_000,
        },
        What::Stopped,
        What::Moving { stopped_ms: 45_000 },
        raised("red_car"),
        cleared("red_car"),
        What::Lost { count: 1_250, alerts: 0, reason: "the disk is full".to_owned() },
        budget_step(),
    ]
}

pub(super) fn budget_step() -> What {
    What::BudgetStep {
        level: 3,
        levels: 9,
        rung: "rates low 1/2".to_owned(),
        step: BudgetMove::Down,
        reason: "temperature 78.6 °C and rising by 4.8 °C a minute, limit 80 °C".to_owned(),
        watts: Some(13.204),
        celsius: Some(78.5),
        p99_ms: None,
    }
}

pub(super) fn raised(alert: &str) -> What {
    let reason = "entered door: car, vehicle.color = red".to_owned();
    What::AlertRaised { alert: alert.to_owned(), severity: Severity::Warning, reason }
}

pub(super) fn cleared(alert: &str) -> What {
    let (severity, reason) = (Severity::Warning, "left door".to_owned());
    What::AlertCleared { alert: alert.to_owned(), severity, reason, open_ms: 12_400 }
}

/// A store that forgets with the process.
#[derive(Default)]
pub(super) struct MemoryBacklog {
    kept: Mutex<Kept>,
    news: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

#[derive(Default)]
struct Kept {
    lanes: BTreeMap<(Lane, u64), Stored>,
    given: [u64; 2],
    asked: u64,
    open: BTreeMap<String, Stored>,
}

impl std::fmt::Debug for MemoryBacklog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBacklog").finish_non_exhaustive()
    }
}

impl MemoryBacklog {
    /// Becomes the lane's next record.
    pub(super) fn offer(&self, stored: Stored) {
        let lane = if stored.event.is_alert() { Lane::Alerts } else { Lane::Events };
        let mut kept = self.kept.lock().expect("no panic");
        let given = &mut kept.given[usize::from(lane == Lane::Events)];
        *given += 1;
        let number = *given;
        match &stored.event.what {
            What::AlertRaised { alert, .. } => drop(kept.open.insert(alert.clone(), stored.clone())),
            What::AlertCleared { alert, .. } => drop(kept.open.remove(alert)),
            _ => {}
        }
        kept.lanes.insert((lane, number), stored);
        drop(kept);
        if let Some(news) = &*self.news.lock().expect("no panic") {
            news();
        }
    }

    /// How often it was asked for a record.
    pub(super) fn asked(&self) -> u64 {
        self.kept.lock().expect("no panic").asked
    }
}

impl Backlog for MemoryBacklog {
    fn next(&self, lane: Lane, above: u64) -> Option<(u64, Stored)> {
        let mut kept = self.kept.lock().expect("no panic");
        kept.asked += 1;
        let found = kept.lanes.range((lane, above + 1)..=(lane, u64::MAX)).next();
        found.map(|((_, number), stored)| (*number, stored.clone()))
    }

    fn acknowledged(&self, lane: Lane, number: u64) {
        self.kept.lock().expect("no panic").lanes.remove(&(lane, number));
    }

    fn refused(&self, lane: Lane, number: u64, _why: &str) {
        self.acknowledged(lane, number);
    }

    fn open_alerts(&self) -> Vec<Stored> {
        self.kept.lock().expect("no panic").open.values().cloned().collect()
    }

    fn waiting(&self) -> u64 {
        self.kept.lock().expect("no panic").lanes.len() as u64
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        *self.news.lock().expect("no panic") = Some(wake);
    }
}
