//! From a camera to frames: opens the source, decodes it, hands each frame on by reference, and opens it again whenever it fails.
//!
//! `launch` decides which elements (pure), `gst` runs them (the only home of gstreamer), `watchdog` and `backoff` know when to give up and
//! when to try again (pure), `places` who opens next, `supervise` is the only loop that retries. What happens to a frame afterwards does not belong here.

mod backoff;
mod bans;
mod decoders;
mod elements;
mod gst;
mod launch;
mod places;
mod supervise;
mod teller;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::runtime::{Clock, Heart, Stop, random};
use crate::telemetry::Metrics;
use crate::types::{CameraId, CameraState, CameraStatus, Frame, SurfaceGate};

pub use elements::{Decoder, Elements};
pub use places::Places;

/// Waiting threads look up this often, to beat and to see a stop.
const BEAT_EVERY: Duration = Duration::from_millis(250);

/// Everything that a camera's thread needs.
pub struct Context {
    /// Which camera.
    pub camera: CameraId,
    /// Its section of the configuration.
    pub settings: config::Camera,
    /// When a camera counts as stuck, and how it is opened again.
    pub ingest: config::Ingest,
    /// Live, or as fast as frames are taken.
    pub pace: Pace,
    /// The clocks.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The thread's pulse.
    pub heart: Heart,
    /// Whether frames may stay in memory of the video hardware.
    pub surfaces: Arc<SurfaceGate>,
    /// Bounds how many cameras are opened at once: shared by all of them.
    pub places: Arc<Places>,
    /// Takes each frame. With [`Pace::AsFastAsPossible`] it may block, and the source waits.
    pub sink: Arc<dyn Fn(Frame) + Send + Sync>,
    /// Hears each change of state, once.
    pub status: Arc<dyn Fn(CameraStatus) + Send + Sync>,
}

/// Who sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The source does: a file plays at its own speed, and what nobody takes in time is displaced by newer frames.
    Live,
    /// Whoever takes the frames does: every frame of a file is delivered, none twice, none dropped. A frame's capture time is then its time
    /// within the clip, counted from the opening of the file, so that a replay gives the same results on a fast machine and on a slow one.
    AsFastAsPossible,
}

/// Body of the thread `ingest-<camera>`: sessions and pauses between them, until `stop` is set or a file that is not repeated has ended.
pub fn run(context: Context, stop: Stop) {
    let teller = teller::Teller::new(
        Arc::clone(&context.camera),
        context.clock,
        context.metrics.camera(&context.camera),
        Arc::clone(&context.status),
    );
    let mut backoff = backoff::Backoff::new(&context.ingest);
    let (clock, heart, counted) = (context.clock, context.heart.clone(), context.metrics.camera(&context.camera));
    let mut source = gst::GstSource::new(context, stop.clone());
    supervise::supervise(
        &mut source,
        &mut backoff,
        teller,
        &counted,
        supervise::Surroundings {
            now: &|| clock.mono(),
            random: &mut random::share,
            wait: &mut |pause| wait_beating(&clock, &heart, &stop, pause),
        },
    );
}

/// What this device has, for the choice of pipelines and for `peregrine probe`.
///
/// # Errors
/// When GStreamer itself cannot be started.
pub fn elements() -> Result<Elements, IngestError> {
    gst::elements()
}

/// Waits and keeps beating; true when the end was asked for.
fn wait_beating(clock: &Clock, heart: &Heart, stop: &Stop, pause: Duration) -> bool {
    let until = clock.mono() + pause;
    loop {
        heart.beat();
        let left = until.saturating_sub(clock.mono());
        if left.is_zero() {
            return stop.is_set();
        }
        if stop.wait(left.min(BEAT_EVERY)) {
            return true;
        }
    }
}

/// Why a source cannot be opened. No text in here holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// GStreamer does not start.
    #[error("GStreamer cannot be started: {0}")]
    Init(String),
    /// A plugin is not installed.
    #[error("GStreamer has no element \"{element}\"; install the package {package}")]
    MissingElement {
        /// The element.
        element: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// No decoder is installed for a codec that we know.
    #[error("no decoder for {codec} on this device (looked for {wanted}); install the package {package}")]
    NoDecoder {
        /// The codec.
        codec: &'static str,
        /// The decoders that would do.
        wanted: String,
        /// The Debian package of the one that every machine can run.
        package: &'static str,
    },
    /// The stream's codec is none of ours.
    #[error("the stream is {found}, which is not supported; set the camera to H.264, H.265 or MJPEG")]
    UnsupportedStream {
        /// What it is, in GStreamer's words.
        found: String,
    },
    /// The stream's codec is not the configured one.
    #[error("the stream is {found}, but the camera's `codec` says {configured}; correct or remove `codec`")]
    OtherCodec {
        /// What the stream is.
        found: &'static str,
        /// What the configuration says.
        configured: &'static str,
    },
    /// No video in it.
    #[error("the source has no video stream")]
    NoVideo,
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A folder, a FIFO, a device or a socket where a video file should be.
    #[error("{} is not a regular file; name a video file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// The file is not a video that we know.
    #[error("{} is neither MP4, MOV, Matroska, WebM, AVI nor MPEG-TS", path.display())]
    UnknownContainer {
        /// The file.
        path: PathBuf,
    },
    /// libcamera names its cameras by path, not by number.
    #[error("csi:{sensor} cannot be told apart with libcamerasrc, which opens the first sensor: use csi:0")]
    Sensor {
        /// The number asked for.
        sensor: u32,
    },
    /// An element does not take a setting.
    #[error("GStreamer's {element} does not take {property}{value}")]
    Property {
        /// The element.
        element: &'static str,
        /// Its property.
        property: &'static str,
        /// "=value" where that may be shown.
        value: String,
    },
    /// Elements do not fit together, or do not start.
    #[error("the pipeline cannot be built: {0}")]
    Build(String),
}

impl IngestError {
    /// The state in which it leaves the camera.
    const fn state(&self) -> CameraState {
        match self {
            Self::NoDecoder { .. } | Self::UnsupportedStream { .. } | Self::OtherCodec { .. } | Self::NoVideo => {
                CameraState::UnsupportedCodec
            }
            _ => CameraState::Failed,
        }
    }
}
