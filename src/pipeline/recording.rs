//! A recorded clip through the whole pipeline: every frame, as fast as the models go, none dropped.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::analyst::{AnalyseError, Analyst, Watch};
use crate::config::{Camera, Config};
use crate::ingest;
use crate::ring::{Bell, FrameRing, WhenFull};
use crate::runtime::{Clock, Hearts, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{CameraId, CameraState, CameraStatus, Event, Finding, Frame, Report, SurfaceGate};

/// Frames that the decoder may be ahead of the engine: enough to hide its jitter, few enough to hold in memory at 4K.
const AHEAD: usize = 3;
/// A clip does not stall; this bounds the wait for a thread that died.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// Why a clip did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The clip cannot be read.
    #[error("{0}")]
    Source(String),
    /// The system has no thread to give.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
    /// A model failed.
    #[error(transparent)]
    Analyse(#[from] AnalyseError),
    /// Whoever receives the reports cannot go on.
    #[error("{0:#}")]
    Output(anyhow::Error),
}

/// What a replay tells while it goes on.
#[derive(Debug)]
pub enum Step<'a> {
    /// Something that would be published.
    Report(&'a Report),
    /// Something that would be kept.
    Event(&'a Event),
    /// All that this frame gave has been told.
    Frame(&'a Frame),
}

impl<'a> Step<'a> {
    fn of(finding: &'a Finding) -> Self {
        match finding {
            Finding::Report(report) => Self::Report(report),
            Finding::Event(event) => Self::Event(event),
        }
    }
}

/// A clip and what is needed to look at it.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The camera's name in reports.
    pub name: &'a str,
    /// The clip, and what is watched in it.
    pub camera: Camera,
    /// Trackers' and watchdog's settings.
    pub config: &'a Config,
    /// Where things are counted.
    pub metrics: &'a Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
}

impl Replay<'_> {
    /// Plays the clip to its end.
    ///
    /// # Errors
    /// When the clip cannot be read, a model fails, or `tell` does.
    pub fn run(
        self,
        analyst: &mut Analyst,
        tell: &mut dyn FnMut(Step<'_>) -> anyhow::Result<()>,
    ) -> Result<(), ReplayError> {
        let bell = Bell::default();
        let metrics = self.metrics.camera(self.name);
        let ring = Arc::new(FrameRing::new(AHEAD, WhenFull::Wait, bell.clone(), Arc::clone(&metrics)));
        let stop = Stop::new();
        let (say, said) = channel::<CameraStatus>();
        let context = ingest::Context {
            camera: self.name.into(),
            settings: self.camera.clone(),
            ingest: self.config.ingest.clone(),
            pace: ingest::Pace::AsFastAsPossible,
            clock: self.clock,
            metrics: Arc::clone(self.metrics),
            heart: Hearts::new(self.clock).add("replay", Duration::MAX),
            surfaces: SurfaceGate::closed("a clip is looked at by the processor too"),
            places: ingest::Places::new(1),
            sink: Arc::new({
                let ring = Arc::clone(&ring);
                move |frame| ring.push(frame)
            }),
            status: Arc::new({
                let bell = bell.clone();
                move |status| {
                    // After an early end nobody listens, and nobody needs to.
                    let _ = say.send(status);
                    bell.ring();
                }
            }),
        };
        let worker = Worker::spawn("ingest-replay", {
            let stop = stop.clone();
            move || ingest::run(context, stop)
        })?;
        let camera: CameraId = self.name.into();
        let mut follow = Analyst::follow(Watch {
            camera: &camera,
            settings: &self.camera,
            track: &self.config.track,
            attend: Some(&self.config.attend).filter(|attend| attend.enabled),
            gap: self.config.ingest.stall_after,
            studio: None,
            metrics,
        });
        let mut ended = None;
        let mut played = || loop {
            let rung = bell.count();
            while let Ok(status) = said.try_recv() {
                match status.state {
                    // It is told when the frames before it are.
                    CameraState::Ended => ended = Some(status),
                    CameraState::Connecting | CameraState::Streaming => {
                        tell(Step::Report(&Report::Camera(status))).map_err(ReplayError::Output)?;
                    }
                    _ => return Err(ReplayError::Source(status.reason)),
                }
            }
            // The end is said after the last frame was pushed, so a ring that is empty now stays so.
            let Some(frame) = ring.take() else {
                if let Some(ended) = ended.take() {
                    return Ok(ended);
                }
                if worker.is_finished() && !ring.is_waiting() {
                    return Err(ReplayError::Source("the clip ended without saying so".to_owned()));
                }
                bell.wait_past(rung, LOOK_AROUND);
                continue;
            };
            let mut told = Ok(());
            analyst.analyse(&frame, &mut follow, &mut |finding| {
                if told.is_ok() {
                    told = tell(Step::of(&finding));
                }
            })?;
            told.and_then(|()| tell(Step::Frame(&frame))).map_err(ReplayError::Output)?;
        };
        let result = played().and_then(|ended| {
            let mut told = Ok(());
            analyst.part(&mut follow, &mut |finding| {
                if told.is_ok() {
                    told = tell(Step::of(&finding));
                }
            });
            told.and_then(|()| tell(Step::Report(&Report::Camera(ended)))).map_err(ReplayError::Output)
        });
        stop.set();
        ring.close();
        if !worker.join_within(&self.clock, Duration::from_secs(5)) {
            log::warn!("the clip's reader did not end in time");
        }
        result
    }
}
