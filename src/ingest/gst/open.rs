//! Opens a source on a thread of its own: a device, or a file on a dead network drive, may block for ever, and the camera's own thread must
//! go on beating and see a stop. What is done with an opened pipeline belongs to the session.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, sync_channel};
use std::time::Duration;

use super::build::{Pipeline, Site};
use super::nvmm;
use crate::config;
use crate::ingest::launch::{CONTAINER_HEAD_BYTES, Container, Given, plan};
use crate::ingest::{IngestError, Pace};
use crate::runtime::Worker;
use crate::types::{CameraId, SurfaceGate};

/// What is to be opened.
pub(super) struct Order {
    pub(super) camera: CameraId,
    pub(super) settings: config::Camera,
    pub(super) pace: Pace,
    pub(super) banned: BTreeSet<&'static str>,
    /// Whether frames may stay in the decoder's memory.
    pub(super) surfaces: Arc<SurfaceGate>,
    /// Frames that the ring may hold.
    pub(super) ring_capacity: usize,
}

/// A source that is being opened.
pub(super) struct Opening {
    worker: Worker,
    built: Receiver<Result<Pipeline, IngestError>>,
}

impl Opening {
    /// Begins: looks at the file, builds the pipeline, hands it over and starts it.
    pub(super) fn begin(order: Order) -> Result<Self, IngestError> {
        // Without a buffer: a pipeline that nobody waits for any more comes back to the thread, which takes it down.
        let (hand_over, built) = sync_channel(0);
        // The name's first 15 bytes are what Linux shows.
        let worker = Worker::spawn(&format!("open-{}", order.camera), move || {
            let pipeline = order.pipeline();
            let start = pipeline.as_ref().ok().map(Pipeline::starter);
            match (hand_over.send(pipeline), start) {
                (Ok(()), Some(start)) => start(),
                (Err(SendError(Ok(unwanted))), _) => unwanted.take_down(),
                _ => {}
            }
        });
        let worker = worker.map_err(|e| IngestError::Build(format!("no thread: {e}")))?;
        Ok(Self { worker, built })
    }

    /// The pipeline or why there is none, if that is known in time. The pipeline may still be starting.
    pub(super) fn built(&self, at_most: Duration) -> Option<Result<Pipeline, IngestError>> {
        match self.built.recv_timeout(at_most) {
            Ok(built) => Some(built),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(IngestError::Build("opening it was broken off".into()))),
        }
    }

    /// The thread. From now on it disposes itself of a pipeline that was not taken.
    pub(super) fn into_worker(self) -> Worker {
        self.worker
    }
}

impl Order {
    fn pipeline(&self) -> Result<Pipeline, IngestError> {
        let elements = super::elements()?;
        let container = match &self.settings.source {
            config::Source::File { path, .. } => Some(container_of(path)?),
            _ => None,
        };
        let (settings, banned) = (&self.settings, &self.banned);
        let surfaces = nvmm::offered(&elements, &self.surfaces, self.ring_capacity);
        let plan = plan(Given { settings, pace: self.pace, container, elements: &elements, banned, surfaces })?;
        Pipeline::build(plan, Site { elements, banned: banned.clone(), surfaces }, &self.camera)
    }
}

fn container_of(path: &Path) -> Result<Container, IngestError> {
    let failed = |cause| IngestError::File { path: path.to_owned(), cause };
    // Opening a FIFO waits for its writer, and none of the others can be sought in.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(IngestError::NotAFile { path: path.to_owned() });
    }
    let mut head = Vec::with_capacity(CONTAINER_HEAD_BYTES);
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CONTAINER_HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    Container::of(&head).ok_or_else(|| IngestError::UnknownContainer { path: path.to_owned() })
}
