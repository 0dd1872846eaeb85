//! An alert of what is wrong with the device: cameras without frames, too few of them, messages that are late, heat, a full disk, a model
//! that another engine runs.
//!
//! Each thing that can be wrong (a camera, a sensor, a model) is judged alone, with two bounds: what is between them is neither wrong nor
//! well and changes nothing. The alert is raised when one thing has been wrong for long enough, and cleared when all have been well for
//! long enough, so that a value that swings around its limit opens it once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Now;
use super::state::{About, State};
use crate::config::{Alert, Clear, OnSystem, SystemKind};
use crate::types::{CameraId, CameraState, CameraStatus, EngineState, EngineStatus, Event, Measured};

/// Well is what is this far from the limit, as a share of it.
const MARGIN: f64 = 0.1;
/// Sensors swing by a degree or two with the load of a second.
const MARGIN_CELSIUS: f64 = 3.0;
const BYTES_PER_MB: f64 = 1_048_576.0;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct BySystem {
    on: OnSystem,
    cameras: Vec<String>,
    well_for: Duration,
    state: State,
    things: BTreeMap<String, Thing>,
    /// Cameras that have come to the end of their file: they are still measured, and nobody expects frames of them.
    ended: BTreeSet<CameraId>,
}

/// One thing that can be wrong.
#[derive(Debug)]
struct Thing {
    camera: Option<CameraId>,
    verdict: Verdict,
    since: Duration,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Wrong,
    Between,
    Well,
}

impl BySystem {
    pub(super) fn new(on: OnSystem, alert: &Alert, state: State) -> Self {
        let well_for = match alert.clear {
            Clear::After(time) => time,
            Clear::WhenOver => Duration::ZERO,
        };
        Self { on, cameras: alert.cameras.clone(), well_for, state, things: BTreeMap::new(), ended: BTreeSet::new() }
    }

    pub(super) fn state(&mut self) -> &mut State {
        &mut self.state
    }

    /// A camera's state is another one.
    pub(super) fn camera(&mut self, status: &CameraStatus, now: Now) -> Option<Event> {
        if status.state == CameraState::Ended {
            self.ended.insert(CameraId::clone(&status.camera));
        } else {
            self.ended.remove(&status.camera);
        }
        let is_away = matches!(status.state, CameraState::Stopped | CameraState::Ended);
        if is_away && self.is_of_cameras() {
            // Nobody expects frames of it any more, so nothing is wrong.
            return self.forget(&status.camera, now);
        }
        if self.on.kind != SystemKind::CameraStalled || !self.is_about(&status.camera) {
            return None;
        }
        let state = status.state.as_str().replace('_', " ");
        let reason = if status.reason.is_empty() { String::new() } else { format!(": {}", status.reason) };
        let verdict = if status.state == CameraState::Streaming { Verdict::Well } else { Verdict::Wrong };
        let why = format!("camera {} is {state}{reason}", status.camera);
        self.judge(&status.camera, Some(&status.camera), (verdict, why), now);
        self.tick(now)
    }

    /// What runs a model is another engine.
    pub(super) fn engine(&mut self, status: &EngineStatus, now: Now) -> Option<Event> {
        if self.on.kind != SystemKind::ModelFailedOver {
            return None;
        }
        let verdict = if status.state == EngineState::Ok { Verdict::Well } else { Verdict::Wrong };
        let (stage, state) = (&status.stage, status.state.as_str());
        let why = format!("{stage} is {state}, it runs on {}: {}", status.engine, status.reason);
        self.judge(stage, None, (verdict, why), now);
        self.tick(now)
    }

    /// The device was measured.
    pub(super) fn measured(&mut self, measured: &Measured, now: Now) -> Option<Event> {
        let limit = self.on.limit;
        match self.on.kind {
            SystemKind::CameraStalled | SystemKind::ModelFailedOver => {}
            SystemKind::FrameRateBelow => {
                for c in &measured.cameras {
                    let judged = c.analysed_fps.map(|fps| {
                        let why = format!("{fps:.1} frames a second of camera {}, fewer than {limit}", c.camera);
                        (at_least(fps, limit, limit * (1.0 + MARGIN)), why)
                    });
                    self.judge_camera(&c.camera, judged, now);
                }
            }
            SystemKind::P99Above => {
                for c in &measured.cameras {
                    let judged = c.p99_ms.map(|p99| {
                        let why = format!("p99 of camera {} is {p99:.0} ms, above {limit} ms", c.camera);
                        (at_most(p99, limit, limit * (1.0 - MARGIN)), why)
                    });
                    self.judge_camera(&c.camera, judged, now);
                }
            }
            SystemKind::Heat => {
                // Whichever is the hottest: when another sensor takes over, it is as hot as before.
                if let Some(hottest) = &measured.hottest {
                    let why = format!("{} is {:.1} °C, above {limit} °C", hottest.sensor, hottest.celsius);
                    let verdict = at_most(hottest.celsius, limit, limit - MARGIN_CELSIUS);
                    self.judge("hottest", None, (verdict, why), now);
                }
            }
            SystemKind::Disk => self.judge_disk(measured, now),
        }
        self.tick(now)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now) -> Option<Event> {
        let lasted = |thing: &Thing| now.at.mono.saturating_sub(thing.since);
        if !self.state.is_open() {
            let wrong_for = self.on.wrong_for;
            let wrong = self.things.values().find(|t| t.verdict == Verdict::Wrong && lasted(t) >= wrong_for)?;
            let about = About { camera: wrong.camera.as_ref(), event: None };
            return self.state.may_raise(now).then(|| self.state.raise(about, now, wrong.why.clone()));
        }
        // After a start nothing is known yet, and nothing known is not well.
        let all_well = !self.things.is_empty()
            && self.things.values().all(|t| t.verdict == Verdict::Well && lasted(t) >= self.well_for);
        if !all_well {
            return None;
        }
        self.state.clear(About::default(), now, format!("well for {} s", self.well_for.as_secs()))
    }

    fn judge_disk(&mut self, measured: &Measured, now: Now) {
        let limit = self.on.limit;
        if let Some(free) = measured.disk_free_bytes {
            let free_mb = free as f64 / BYTES_PER_MB;
            let why = format!("{free_mb:.0} MB are free, fewer than {limit}");
            self.judge("disk", None, (at_least(free_mb, limit, limit * (1.0 + MARGIN)), why), now);
        }
        let judged = match &measured.store_trouble {
            Some(trouble) => (Verdict::Wrong, format!("events cannot be written: {trouble}")),
            None => (Verdict::Well, String::new()),
        };
        self.judge("store", None, judged, now);
    }

    /// What could not be measured leaves the camera as it was judged last.
    fn judge_camera(&mut self, camera: &CameraId, judged: Option<(Verdict, String)>, now: Now) {
        if let Some(judged) = judged.filter(|_| self.is_about(camera) && !self.ended.contains(camera)) {
            self.judge(camera, Some(camera), judged, now);
        }
    }

    fn judge(&mut self, name: &str, camera: Option<&CameraId>, (verdict, why): (Verdict, String), now: Now) {
        let since = self.things.get(name).filter(|t| t.verdict == verdict).map_or(now.at.mono, |t| t.since);
        self.things.insert(name.to_owned(), Thing { camera: camera.cloned(), verdict, since, why });
    }

    /// A camera is not watched any more. When it was the last thing, the alert is over.
    fn forget(&mut self, camera: &str, now: Now) -> Option<Event> {
        let gone = self.things.remove(camera)?;
        if !self.things.is_empty() {
            return self.tick(now);
        }
        let about = About { camera: gone.camera.as_ref(), event: None };
        self.state.clear(about, now, format!("camera {camera} is not watched any more"))
    }

    fn is_of_cameras(&self) -> bool {
        matches!(self.on.kind, SystemKind::CameraStalled | SystemKind::FrameRateBelow | SystemKind::P99Above)
    }

    fn is_about(&self, camera: &str) -> bool {
        self.cameras.is_empty() || self.cameras.iter().any(|c| c == camera)
    }
}

/// A value that must not be below its limit, and is well from `well` on.
fn at_least(value: f64, limit: f64, well: f64) -> Verdict {
    if value < limit {
        Verdict::Wrong
    } else if value >= well {
        Verdict::Well
    } else {
        Verdict::Between
    }
}

/// A value that must not be above its limit, and is well up to `well`.
fn at_most(value: f64, limit: f64, well: f64) -> Verdict {
    at_least(-value, -limit, -well)
}
