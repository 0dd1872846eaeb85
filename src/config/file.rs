//! The configuration as people type it: every key optional, its comment the reference, its range in the schema.
//!
//! Belongs here: names, comments and ranges of keys. Does not: defaults and cross checks (see `resolve.rs`), how the reference is
//! written (see `render.rs`). The comments are shown to owners as they stand.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::AlertFile;
use super::attend::AttendFile;
use super::budget::BudgetFile;
use super::commands::CommandsFile;
use super::integrations::{HomeAssistantFile, OnvifFile};
use super::masks::{MaskFile, SnapshotsFile};
use super::monitor::MonitorFile;
use super::schedule::{Priority, ScheduleFile};
use super::store::StoreFile;
use super::zones::{LineFile, ZoneFile};
use super::{Codec, EngineChoice, MqttVersion, Nvmm, Precision, Transport};

/// What device, camera and classifier names look like: they become MQTT topics and metric labels.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// Peregrine's configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Peregrine configuration")]
pub struct ConfigFile {
    /// A set of values for a kind of device, under those of this file: "raspberry-pi-4", "raspberry-pi-5", "jetson-orin-nano",
    /// "jetson-xavier" or "pc".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["raspberry-pi-4"]))]
    pub profile: Option<String>,
    /// Who this device is.
    #[serde(default)]
    pub device: DeviceFile,
    /// Where files lie.
    #[serde(default)]
    pub paths: PathsFile,
    /// The broker that gets the messages.
    #[serde(default)]
    pub mqtt: MqttFile,
    /// How often what is published.
    #[serde(default)]
    pub publish: PublishFile,
    /// When a camera counts as stuck, and how it is opened again.
    #[serde(default)]
    pub ingest: IngestFile,
    /// How cameras share the engine.
    #[serde(default)]
    pub schedule: ScheduleFile,
    /// The detector.
    #[serde(default)]
    pub detect: DetectFile,
    /// Which frames the detector looks at.
    #[serde(default)]
    pub attend: AttendFile,
    /// How TensorRT runs models, where an engine is "tensorrt" or "auto" and there is an NVIDIA GPU.
    #[serde(default)]
    pub tensorrt: TensorrtFile,
    /// The tracker (SORT).
    #[serde(default)]
    pub track: TrackFile,
    /// Second-stage classifiers, one section each: [classify.NAME].
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub classify: BTreeMap<String, ClassifyFile>,
    /// Cameras, one section each: [camera.NAME].
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub camera: BTreeMap<String, CameraFile>,
    /// Alerts, one section each: [alert.NAME].
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub alert: BTreeMap<String, AlertFile>,
    /// What the device may use, and what it gives up to keep to that.
    #[serde(default)]
    pub budget: BudgetFile,
    /// Events on disk.
    #[serde(default)]
    pub store: StoreFile,
    /// Pictures of events.
    #[serde(default)]
    pub snapshots: SnapshotsFile,
    /// Discovery for Home Assistant.
    #[serde(default)]
    pub homeassistant: HomeAssistantFile,
    /// Events in the JSON form of ONVIF.
    #[serde(default)]
    pub onvif: OnvifFile,
    /// Orders over MQTT.
    #[serde(default)]
    pub commands: CommandsFile,
    /// Sensors of the board: power, heat, load.
    #[serde(default)]
    pub monitor: MonitorFile,
    /// The HTTP server for health, metrics and statistics.
    #[serde(default)]
    pub api: ApiFile,
    /// Log lines.
    #[serde(default)]
    pub log: LogFile,
}

/// Who this device is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFile {
    /// The device's name in topics and messages; the host name if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = NAME_PATTERN, "examples" = ["gate-1"]))]
    pub name: Option<String>,
}

/// Where files lie.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathsFile {
    /// The folder of the models and, if there is one, of a manifest.toml that overrides the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<String>,
    /// The folder of what the daemon keeps between two starts: events in events/, pictures in snapshots/, TensorRT's engines in engines/.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The broker that gets the messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttFile {
    /// "mqtt://HOST[:1883]", or "mqtts://HOST[:8883]" for TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The protocol version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<MqttVersion>,
    /// The first word or words of every topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Who we are to the broker, unlike every other client of it; "peregrine-" and the device's name if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["peregrine-gate-1"]))]
    pub client_id: Option<String>,
    /// User name; "${credential:NAME}" reads the file NAME of the service's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["peregrine"]))]
    pub username: Option<String>,
    /// Password; "${credential:NAME}" reads the file NAME of the service's credentials. Better than writing it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["${credential:mqtt-password}"]))]
    pub password: Option<String>,
    /// A file that holds the password, in place of `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/peregrine/mqtt-password"]))]
    pub password_file: Option<String>,
    /// PEM file of the authorities to trust, with mqtts://; the system's own if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/peregrine/ca.pem"]))]
    pub ca_file: Option<String>,
    /// PEM file of our certificate, with mqtts:// and `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/peregrine/client.pem"]))]
    pub cert_file: Option<String>,
    /// PEM file of our private key, with `cert_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/peregrine/client.key"]))]
    pub key_file: Option<String>,
    /// Seconds of silence after which the connection is probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub keep_alive_secs: Option<u64>,
    /// Tracks' steps kept in memory while the broker is away; the oldest goes when one more comes. Events wait on disk: see `[store]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub outbox_capacity: Option<u64>,
}

/// How often what is published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishFile {
    /// Messages with all detections of a frame, at most so many a second and camera; 0 turns them off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 120.0))]
    pub detections_hz: Option<f64>,
    /// Updates of a track, at most so many a second and track; 0 turns updates off ("new" and "end" always go out).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 120.0))]
    pub track_updates_hz: Option<f64>,
}

/// When a camera counts as stuck, and how it is opened again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestFile {
    /// Milliseconds without a frame after which a streaming camera is stalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 600_000))]
    pub stall_ms: Option<u64>,
    /// Milliseconds within which the first frame must come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 600_000))]
    pub first_frame_ms: Option<u64>,
    /// First pause before a camera is opened again, in milliseconds; it doubles up to `backoff_max_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 600_000))]
    pub backoff_min_ms: Option<u64>,
    /// Longest pause, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub backoff_max_ms: Option<u64>,
    /// Longest pause after a wrong user name or password, in milliseconds: cameras lock out those who insist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub auth_backoff_max_ms: Option<u64>,
    /// Frames that a camera's ring keeps; more than 1 trades latency for fewer dropped frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub ring_capacity: Option<u64>,
    /// Cameras whose pipelines are built at once; each makes room for the next 10 ms after its pipeline stands, answered or not. Opening is
    /// paced by that; how many wait for their answers is not bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub connects_at_once: Option<u64>,
    /// Whether frames of NVIDIA's decoder stay in its own memory, where TensorRT reads them. "auto" does so where everything that it takes
    /// is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvmm: Option<Nvmm>,
}

/// The detector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetectFile {
    /// A model's name (`peregrine model list`), or the path of an ONNX file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What runs the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// Threads for one frame; 0 takes as many as there are processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 256))]
    pub threads: Option<u64>,
    /// Boxes below this score are not detections; the model's own value if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("examples" = [0.25]))]
    pub confidence: Option<f64>,
    /// Overlap above which the weaker of two boxes of one class goes; the model's own value if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("examples" = [0.7]))]
    pub nms_iou: Option<f64>,
    /// Classes to report, by the model's names; all if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// How TensorRT runs models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorrtFile {
    /// The GPUs to use, by their numbers. Frames go to whichever is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1))]
    pub devices: Option<Vec<u32>>,
    /// Frames that are under way on one GPU at the same time: with 2, the processor works on one while the GPU computes the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    pub workers_per_device: Option<u64>,
    /// The numbers in which a model is computed. "auto" takes 8 bits where the model's file has scales for them, else 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The deep learning accelerator to use in place of the GPU, where the board has one; layers that it cannot do go to the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 7), extend("examples" = [0]))]
    pub dla_core: Option<u32>,
    /// Megabytes of GPU memory that the builder may try out layers with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 65_536))]
    pub workspace_mb: Option<u64>,
    /// Seconds after which a GPU that failed is tried again; each further failure doubles them, up to an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub retry_secs: Option<u64>,
}

/// The tracker (SORT).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackFile {
    /// Frames that a track survives without a detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_age_frames: Option<u32>,
    /// Detections in a row that confirm a track.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub min_hits: Option<u32>,
    /// Least overlap of a prediction with a detection that may be the same object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub iou: Option<f64>,
}

/// A second-stage classifier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyFile {
    /// A model's name (`peregrine model list`), or the path of an ONNX file. Must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["vehicle_attributes_0039"]))]
    pub model: Option<String>,
    /// What runs the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// Classes of tracks to look at, by the detector's names; all if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Least time between two looks at one track, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600_000))]
    pub interval_ms: Option<u64>,
    /// Looks at one track, at most; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_looks: Option<u32>,
    /// Tracks narrower or lower than this many pixels are not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8192))]
    pub min_size_px: Option<u32>,
    /// How far the crop reaches beyond the box, as a share of its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: Option<f64>,
    /// Answers below this confidence are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_confidence: Option<f64>,
}

/// A camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CameraFile {
    /// "rtsp://HOST/PATH", "rtsps://…", the path of a video file, "v4l2:/dev/video0", "csi:0", or "test:PATTERN". Must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["rtsp://192.0.2.10/stream1"]))]
    pub source: Option<String>,
    /// The codec, if it should not be found out from the stream; raw video from V4L2 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["h264"]))]
    pub codec: Option<Codec>,
    /// How RTSP cameras send: "tcp" loses nothing on a bad network, "udp" is faster on a good one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// User name for RTSP; "${credential:NAME}" reads the file NAME of the service's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["viewer"]))]
    pub username: Option<String>,
    /// Password for RTSP; "${credential:NAME}" reads the file NAME of the service's credentials. Better than writing it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["${credential:camera-front}"]))]
    pub password: Option<String>,
    /// A file that holds the password, in place of `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/peregrine/camera-front"]))]
    pub password_file: Option<String>,
    /// Jitter buffer of RTSP cameras, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 60_000))]
    pub latency_ms: Option<u64>,
    /// Whether a video file begins again at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub repeat: Option<bool>,
    /// Width in pixels asked of V4L2, CSI and test sources, with `height`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 8192), extend("examples" = [1280]))]
    pub width: Option<u32>,
    /// Height in pixels asked of V4L2, CSI and test sources, with `width`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 8192), extend("examples" = [720]))]
    pub height: Option<u32>,
    /// Frames a second asked of V4L2, CSI and test sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 240), extend("examples" = [15]))]
    pub fps: Option<u32>,
    /// Frames a second that are looked at; as many as come, as far as the engine can, if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 240.0), extend("examples" = [5.0]))]
    pub detect_fps: Option<f64>,
    /// How much of the engine the camera may claim when there is too little for all: "high" 50 parts, "medium" 30, "low" 20. What it does
    /// not use goes to the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Milliseconds after which a frame that was not looked at yet is dropped, and counted; no limit if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000), extend("examples" = [500]))]
    pub max_age_ms: Option<u64>,
    /// False keeps the section but opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it is told that a track appeared, and that it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub appearances: Option<bool>,
    /// Seconds of standing still after which a track has stopped; 0 never tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400), extend("examples" = [0]))]
    pub stopped_secs: Option<f64>,
    /// Zones in the picture, one section each: [camera.NAME.zone.NAME].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub zone: BTreeMap<String, ZoneFile>,
    /// Lines in the picture, one section each: [camera.NAME.line.NAME].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub line: BTreeMap<String, LineFile>,
    /// Parts of the picture that nobody is to see, one section each: [camera.NAME.mask.NAME].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": NAME_PATTERN}))]
    pub mask: BTreeMap<String, MaskFile>,
}

/// The HTTP server for health, metrics and statistics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiFile {
    /// Whether there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Address and port. It has no password: whoever reaches it may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What needs a person.
    Error,
    /// What may need one.
    Warn,
    /// What changes.
    Info,
    /// What explains a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Log lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// The least important lines that are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
}
