//! A clip, frame after frame, none dropped: its reader goes on a thread of its own, and waits for whoever takes the frames.
//!
//! Belongs here: opening, reading and letting go. Does not: what is done with a frame (see `recording`, `scene`).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::recording::ReplayError;
use crate::config::{Camera, Config};
use crate::ingest;
use crate::ring::{Bell, FrameRing, WhenFull};
use crate::runtime::{Clock, Hearts, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{CameraState, CameraStatus, Frame, SurfaceGate};

/// A clip does not stall; this bounds the wait for a thread that died.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Between two frames the reader looks whether it should end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A clip that is being read; dropped, it is read no more.
pub(super) struct Clip {
    bell: Bell,
    ring: Arc<FrameRing>,
    said: Receiver<CameraStatus>,
    /// It is told when the frames before it are taken.
    ended: Option<CameraStatus>,
    /// None when it was joined.
    worker: Option<Worker>,
    stop: Stop,
    clock: Clock,
}

/// What comes next of a clip.
pub(super) enum Next {
    /// It is being opened, or streams.
    Status(CameraStatus),
    /// A frame.
    Frame(Frame),
    /// That was all.
    Ended(CameraStatus),
}

impl Clip {
    /// Begins to read a file, as the camera of that name, so many frames ahead of whoever takes them.
    pub(super) fn open(
        (name, camera): (&str, &Camera),
        config: &Config,
        metrics: &Arc<Metrics>,
        clock: Clock,
        ahead: usize,
    ) -> Result<Self, ReplayError> {
        let (bell, stop) = (Bell::default(), Stop::new());
        let ring = Arc::new(FrameRing::new(ahead, WhenFull::Wait, bell.clone(), metrics.camera(name)));
        let (say, said) = channel::<CameraStatus>();
        let context = ingest::Context {
            camera: name.into(),
            settings: camera.clone(),
            ingest: config.ingest.clone(),
            pace: ingest::Pace::AsFastAsPossible,
            clock,
            metrics: Arc::clone(metrics),
            heart: Hearts::new(clock).add("clip", Duration::MAX),
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
        let worker = Worker::spawn("ingest-clip", {
            let stop = stop.clone();
            move || ingest::run(context, stop)
        })?;
        Ok(Self { bell, ring, said, ended: None, worker: Some(worker), stop, clock })
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// When the clip cannot be read.
    pub(super) fn next(&mut self) -> Result<Next, ReplayError> {
        loop {
            let rung = self.bell.count();
            while let Ok(status) = self.said.try_recv() {
                match status.state {
                    CameraState::Ended => self.ended = Some(status),
                    CameraState::Connecting | CameraState::Streaming => return Ok(Next::Status(status)),
                    _ => return Err(ReplayError::Source(status.reason)),
                }
            }
            // The end is said after the last frame was pushed, so a ring that is empty now stays so.
            if let Some(frame) = self.ring.take() {
                return Ok(Next::Frame(frame));
            }
            if let Some(ended) = self.ended.take() {
                return Ok(Next::Ended(ended));
            }
            if self.worker.as_ref().is_none_or(Worker::is_finished) && !self.ring.is_waiting() {
                return Err(ReplayError::Source("the clip ended without saying so".to_owned()));
            }
            self.bell.wait_past(rung, LOOK_AROUND);
        }
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        self.stop.set();
        self.ring.close();
        if self.worker.take().is_some_and(|worker| !worker.join_within(&self.clock, ENDS_WITHIN)) {
            log::warn!("the clip's reader did not end in time");
        }
    }
}
