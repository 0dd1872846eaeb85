//! The configuration as the daemon uses it: every value present, checked and typed. How it is typed by people is `file.rs`, how one becomes
//! the other is `resolve.rs`, how it is shown again is `render.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod address;
mod alert_checks;
#[cfg(test)]
mod alert_tests;
mod alerts;
mod attend;
mod budget;
mod cameras;
mod commands;
mod diff;
mod error;
mod file;
mod integrations;
mod load;
mod login;
mod masks;
mod monitor;
mod outline;
mod profile;
mod redact;
mod render;
mod resolve;
mod schedule;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod walk;
mod zones;

pub use alerts::{Alert, Between, Cause, Clear, OnEvent, OnSystem, SystemKind};
pub use attend::Attend;
pub use budget::{Budget, MaySet, Saving};
pub use commands::{CommandName, Commands};
pub use diff::{Changes, diff};
pub use error::{ConfigError, ConfigErrors};
pub use file::ConfigFile;
pub use integrations::{HomeAssistant, Onvif};
pub use load::{Loaded, defaults, load};
pub use masks::{Mask, Snapshots, SnapshotsMqtt};
pub use monitor::Monitor;
pub use redact::redacted;
pub use render::{json_schema, reference, render};
pub use resolve::{Secrets, Surroundings};
pub use schedule::{Priority, Schedule};
pub use store::Store;
pub use zones::{Anchor, Crowd, Line, Zone};

/// Everything, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[device]`
    pub device: Device,
    /// `[paths]`
    pub paths: Paths,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// `[publish]`
    pub publish: Publish,
    /// `[ingest]`
    pub ingest: Ingest,
    /// `[schedule]`
    pub schedule: Schedule,
    /// `[detect]`
    pub detect: Detect,
    /// `[attend]`
    pub attend: Attend,
    /// `[tensorrt]`
    pub tensorrt: Tensorrt,
    /// `[track]`
    pub track: Track,
    /// `[classify.NAME]`, by name
    pub classify: BTreeMap<String, Classify>,
    /// `[camera.NAME]`, by name
    pub cameras: BTreeMap<String, Camera>,
    /// `[alert.NAME]`, by name
    pub alerts: BTreeMap<String, Alert>,
    /// `[budget]`
    pub budget: Budget,
    /// `[store]`
    pub store: Store,
    /// `[snapshots]`
    pub snapshots: Snapshots,
    /// `[homeassistant]`
    pub homeassistant: HomeAssistant,
    /// `[onvif]`
    pub onvif: Onvif,
    /// `[commands]`
    pub commands: Commands,
    /// `[monitor]`
    pub monitor: Monitor,
    /// `[api]`
    pub api: Api,
    /// `[log]`
    pub log: Log,
}

/// Who this box is.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name in topics and messages: `[A-Za-z0-9_-]{1,64}`; the host name if not set.
    pub name: String,
}

/// Where things lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    /// Models and, if there, a manifest.toml that overrides the built-in one.
    pub models: PathBuf,
    /// What is kept between two starts.
    pub state: PathBuf,
}

/// A password or the like: readable by code that needs it, never by a log line.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself: for the call that needs it, not for a variable that lives on.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Which MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum MqttVersion {
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

/// The broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS, when the URL says `mqtts://`.
    pub tls: Option<Tls>,
    /// Protocol version.
    pub version: MqttVersion,
    /// Who we are to the broker; the device's name with "peregrine-" before it if not set.
    pub client_id: String,
    /// First word of every topic.
    pub prefix: String,
    /// User name and password.
    pub login: Option<Login>,
    /// Keep-alive.
    pub keep_alive: Duration,
    /// Tracks' steps kept while the broker is away; the oldest goes when one more comes.
    pub outbox_capacity: usize,
}

/// TLS towards the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// PEM file of the authorities to trust; the system's bundle if none.
    pub ca_file: Option<PathBuf>,
    /// PEM files of our certificate and key.
    pub client: Option<ClientCert>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCert {
    /// PEM file of the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of the private key.
    pub key_file: PathBuf,
}

/// What is published how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Messages with all detections of a frame, at most so many a second and camera; 0 turns them off.
    pub detections_hz: f64,
    /// Updates of a track, at most so many a second and track; 0 turns updates off (`new` and `end` always go out).
    pub track_updates_hz: f64,
}

/// When a camera counts as stuck, and how it is opened again.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingest {
    /// Silence after which a streaming camera is stalled.
    pub stall_after: Duration,
    /// Silence after which a camera that never sent a frame is stalled.
    pub first_frame_within: Duration,
    /// First pause before a new attempt.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Longest pause after wrong credentials: cameras lock out those who insist.
    pub auth_backoff_max: Duration,
    /// Frames that a camera's ring keeps.
    pub ring_capacity: usize,
    /// Cameras that are opened at once.
    pub connects_at_once: usize,
    /// Whether frames may stay in memory of the video hardware.
    pub nvmm: Nvmm,
}

/// Whether decoded frames stay in NVIDIA's own memory (NVMM).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nvmm {
    /// Where TensorRT can read them there.
    Auto,
    /// Never: each is copied to the processor's memory.
    Off,
}

/// Which engine runs models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The best that this device has.
    Auto,
    /// Peregrine's own 8-bit CPU engine.
    Int8,
    /// tract, on the CPU.
    Tract,
    /// TensorRT, on an NVIDIA GPU.
    Tensorrt,
}

/// The numbers in which TensorRT computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 8 bits where the model's file has scales for them, else 16.
    Auto,
    /// 8 bits; a model without scales is calibrated.
    Int8,
    /// 16-bit floats.
    Fp16,
    /// 32-bit floats.
    Fp32,
}

/// TensorRT.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensorrt {
    /// GPUs by their numbers; at least one.
    pub devices: Vec<u32>,
    /// Frames under way on one GPU.
    pub workers_per_device: usize,
    /// Numbers.
    pub precision: Precision,
    /// Deep learning accelerator.
    pub dla_core: Option<u32>,
    /// GPU memory for the builder's trials.
    pub workspace_bytes: u64,
    /// First pause before a failed GPU is tried again.
    pub retry_after: Duration,
}

impl Default for Tensorrt {
    fn default() -> Self {
        Self {
            devices: vec![0],
            workers_per_device: 2,
            precision: Precision::Auto,
            dla_core: None,
            workspace_bytes: 512 << 20,
            retry_after: Duration::from_secs(30),
        }
    }
}

/// The detector.
#[derive(Debug, Clone, PartialEq)]
pub struct Detect {
    /// A name from the manifest, or a path.
    pub model: String,
    /// What runs it.
    pub engine: EngineChoice,
    /// Threads for one frame; as many as there are processors if the file says 0.
    pub threads: usize,
    /// Boxes below this score are not detections; None takes the model's own.
    pub confidence: Option<f32>,
    /// Overlap above which the weaker of two boxes of one class goes; None takes the model's own.
    pub nms_iou: Option<f32>,
    /// Classes to report, by name; all if empty.
    pub classes: Vec<String>,
}

/// SORT.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Frames that a track survives without a detection.
    pub max_age_frames: u32,
    /// Detections in a row that confirm a track.
    pub min_hits: u32,
    /// Least overlap of a prediction with a detection that may be the same object.
    pub iou: f32,
}

/// A second-stage classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classify {
    /// A name from the manifest, or a path.
    pub model: String,
    /// What runs it.
    pub engine: EngineChoice,
    /// Classes of tracks that it looks at, by the detector's names.
    pub classes: Vec<String>,
    /// Least time between two looks at one track.
    pub interval: Duration,
    /// Looks at one track, at most; 0 for no limit.
    pub max_looks: u32,
    /// Tracks narrower or lower than this are not looked at.
    pub min_size_px: u32,
    /// How far the crop reaches beyond the box, as a share of its size.
    pub margin: f32,
    /// A vote below this confidence is not counted.
    pub min_confidence: f32,
}

/// Video codecs that cameras speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264
    H264,
    /// H.265
    H265,
    /// Motion JPEG
    Mjpeg,
}

/// How RTP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing is lost on a bad network.
    Tcp,
    /// Datagrams: lower latency on a good network.
    Udp,
}

/// Where a camera's pictures come from.
#[derive(Clone, PartialEq)]
pub enum Source {
    /// `rtsp://` or `rtsps://`, without credentials in it.
    Rtsp {
        /// The address.
        url: String,
        /// TCP or UDP.
        transport: Transport,
        /// User name and password.
        login: Option<Login>,
        /// Jitter buffer.
        latency: Duration,
    },
    /// A video file.
    File {
        /// Its path.
        path: PathBuf,
        /// Begin again at its end.
        repeat: bool,
    },
    /// `v4l2:/dev/video0`
    V4l2 {
        /// The device.
        device: PathBuf,
    },
    /// `csi:0`
    Csi {
        /// The sensor's number.
        sensor: u32,
    },
    /// `test:` or `test:PATTERN`, a videotestsrc pattern.
    Test {
        /// The pattern, e.g. `smpte` or `ball`.
        pattern: String,
    },
}

// By hand: an address may hold a token in its query.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtsp { url, transport, login, latency } => f
                .debug_struct("Rtsp")
                .field("url", &redact::address(url))
                .field("transport", transport)
                .field("login", login)
                .field("latency", latency)
                .finish(),
            Self::File { path, repeat } => f.debug_struct("File").field("path", path).field("repeat", repeat).finish(),
            Self::V4l2 { device } => f.debug_struct("V4l2").field("device", device).finish(),
            Self::Csi { sensor } => f.debug_struct("Csi").field("sensor", sensor).finish(),
            Self::Test { pattern } => f.debug_struct("Test").field("pattern", pattern).finish(),
        }
    }
}

/// A camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Where the pictures come from.
    pub source: Source,
    /// The codec; None finds out from the stream (RTSP, files) or takes raw video (V4L2).
    pub codec: Option<Codec>,
    /// Asked of V4L2, CSI and test sources; the others send what they send.
    pub size_px: Option<(u32, u32)>,
    /// Asked of V4L2, CSI and test sources.
    pub fps: Option<u32>,
    /// Frames a second to look at; None looks at as many as come.
    pub detect_fps: Option<f64>,
    /// How much of the engine it may claim when there is too little for all.
    pub priority: Priority,
    /// A frame older than this is not looked at; None has no limit.
    pub max_age: Option<Duration>,
    /// False keeps the section but opens nothing.
    pub enabled: bool,
    /// Whether it is told that a track appeared, and that it is gone.
    pub appearances: bool,
    /// How long a track has to stand still to have stopped; None does not watch for it.
    pub stopped: Option<Duration>,
    /// `[camera.NAME.zone.NAME]`, by name
    pub zones: BTreeMap<String, Zone>,
    /// `[camera.NAME.line.NAME]`, by name
    pub lines: BTreeMap<String, Line>,
    /// `[camera.NAME.mask.NAME]`, by name
    pub masks: BTreeMap<String, Mask>,
}

impl Camera {
    /// A camera of which nothing but its source is known, and in whose picture nothing is watched.
    pub fn of(source: Source) -> Self {
        Self {
            source,
            codec: None,
            size_px: None,
            fps: None,
            detect_fps: None,
            priority: Priority::default(),
            max_age: None,
            enabled: true,
            appearances: false,
            stopped: None,
            zones: BTreeMap::new(),
            lines: BTreeMap::new(),
            masks: BTreeMap::new(),
        }
    }
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Whether there is one.
    pub enabled: bool,
    /// Where.
    pub listen: SocketAddr,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The least important that is shown.
    pub level: log::LevelFilter,
}
