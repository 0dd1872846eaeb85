//! A recorded clip through the whole pipeline: every frame, as fast as the models go, none dropped.

use std::sync::Arc;

use super::analyst::{AnalyseError, Analyst, Watch};
use super::clip::{Clip, Next};
use crate::config::{Camera, Config};
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::types::{CameraId, Event, Finding, Frame, Report};

/// Frames that the decoder may be ahead of the engine: enough to hide its jitter, few enough to hold in memory at 4K.
const AHEAD: usize = 3;

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
        let mut clip = Clip::open((self.name, &self.camera), self.config, self.metrics, self.clock, AHEAD)?;
        let camera: CameraId = self.name.into();
        let mut follow = Analyst::follow(Watch {
            camera: &camera,
            settings: &self.camera,
            track: &self.config.track,
            attend: Some(&self.config.attend).filter(|attend| attend.enabled),
            gap: self.config.ingest.stall_after,
            studio: None,
            metrics: self.metrics.camera(self.name),
        });
        let ended = loop {
            let frame = match clip.next()? {
                Next::Frame(frame) => frame,
                Next::Ended(status) => break status,
                Next::Status(status) => {
                    tell(Step::Report(&Report::Camera(status))).map_err(ReplayError::Output)?;
                    continue;
                }
            };
            let mut told = Ok(());
            analyst.analyse(&frame, &mut follow, &mut |finding| {
                if told.is_ok() {
                    told = tell(Step::of(&finding));
                }
            })?;
            told.and_then(|()| tell(Step::Frame(&frame))).map_err(ReplayError::Output)?;
        };
        let mut told = Ok(());
        analyst.part(&mut follow, &mut |finding| {
            if told.is_ok() {
                told = tell(Step::of(&finding));
            }
        });
        told.and_then(|()| tell(Step::Report(&Report::Camera(ended)))).map_err(ReplayError::Output)
    }
}
