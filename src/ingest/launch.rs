//! From a camera's settings and the elements of a device to a fixed pipeline. Pure: no GStreamer, no I/O, no clock.
//! How an encoded stream is decoded belongs to `decoders`; how a plan becomes a pipeline, to `gst`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use super::decoders::{Chain, Means, Video, Wrapping, chain};
use super::elements::Elements;
use super::{IngestError, Pace};
use crate::config::{Camera, Codec, Login, Secret, Source, Transport};

/// What an appsink takes: what letterbox reads without a conversion.
const SINK_CAPS: &str = "video/x-raw,format=(string){NV12,I420}";
/// The same, where TensorRT reads frames in NVIDIA's memory.
pub(super) const SINK_CAPS_NVMM: &str =
    "video/x-raw(memory:NVMM),format=(string)NV12;video/x-raw,format=(string){NV12,I420}";
/// Size of a test picture when none is asked for.
const TEST_SIZE_PX: (u32, u32) = (1280, 720);
/// Frames a second of a test picture when none are asked for.
const TEST_FPS: u32 = 25;
/// Frames that wait for a slow taker in a replay: enough that decoder and taker work at the same time, few enough to be no memory.
const REPLAY_BUFFERS: u32 = 4;

/// A value of an element's property.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    /// May be shown.
    Shown(String),
    /// An address or a credential: never shown.
    Hidden(Secret),
}

/// One element and its properties.
#[derive(Clone, PartialEq)]
pub(super) struct Step {
    pub(super) element: &'static str,
    pub(super) name: Option<&'static str>,
    pub(super) properties: Vec<(&'static str, Value)>,
}

/// A whole pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The source, and what follows it whatever the stream is.
    pub(super) head: Vec<Step>,
    /// What follows then.
    pub(super) body: Body,
    /// The end: an appsink.
    pub(super) sink: Step,
    /// Whether an end of the stream is an end (a file) or a fault (a camera).
    pub(super) live: bool,
}

/// What stands between the head and the sink.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// Known from the settings.
    Fixed(Chain),
    /// Chosen when the head's last element shows a pad, by what the pad offers; `only` is the configured codec.
    OnPad { wrapping: Wrapping, only: Option<Video> },
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Mp4,
    Matroska,
    Avi,
    MpegTs,
}

/// Bytes from the beginning of a file that [`Container::of`] wants to see.
pub(super) const CONTAINER_HEAD_BYTES: usize = 3 * 188;

impl Container {
    /// By the file's first bytes: names lie.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
        if [&b"ftyp"[..], b"moov", b"mdat", b"free", b"wide", b"skip"].iter().any(|m| at(4, m)) {
            Some(Self::Mp4)
        } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
            Some(Self::Matroska)
        } else if at(0, b"RIFF") && at(8, b"AVI") {
            Some(Self::Avi)
        } else if at(0, &[0x47]) && at(188, &[0x47]) {
            Some(Self::MpegTs)
        } else {
            None
        }
    }

    const fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 => "qtdemux",
            Self::Matroska => "matroskademux",
            Self::Avi => "avidemux",
            Self::MpegTs => "tsdemux",
        }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) settings: &'a Camera,
    pub(super) pace: Pace,
    /// The kind of file, when the source is one.
    pub(super) container: Option<Container>,
    pub(super) elements: &'a Elements,
    /// Decoders that failed on this device before.
    pub(super) banned: &'a BTreeSet<&'static str>,
    /// As in [`Means`].
    pub(super) surfaces: Option<u32>,
}

impl<'a> Given<'a> {
    pub(super) fn means(self) -> Means<'a> {
        Means { elements: self.elements, banned: self.banned, surfaces: self.surfaces }
    }
}

/// The pipeline for a camera.
pub(super) fn plan(given: Given<'_>) -> Result<Plan, IngestError> {
    let Given { settings, elements, .. } = given;
    match &settings.source {
        Source::Rtsp { url, transport, login, latency } => {
            let latency_ms = u32::try_from(latency.as_millis()).unwrap_or(u32::MAX);
            let head = vec![rtspsrc(elements, url, *transport, login.as_ref(), latency_ms)?];
            on_pad(given, head, Wrapping::Rtp, true)
        }
        Source::File { path, .. } => {
            let container = given.container.ok_or_else(|| IngestError::UnknownContainer { path: path.clone() })?;
            let head = vec![
                step(elements, "filesrc")?.hidden("location", text_of(path)),
                step(elements, container.demuxer())?,
            ];
            on_pad(given, head, Wrapping::Plain, false)
        }
        Source::V4l2 { device } => v4l2(given, device),
        Source::Csi { sensor } => csi(given, *sensor),
        Source::Test { pattern } => test(given, pattern),
    }
}

fn rtspsrc(
    elements: &Elements,
    url: &str,
    transport: Transport,
    login: Option<&Login>,
    latency_ms: u32,
) -> Result<Step, IngestError> {
    // Certificates of rtsps:// are checked as GStreamer does by default: against the system's authorities.
    let mut src = step(elements, "rtspsrc")?
        .hidden("location", url.to_owned())
        .shown("protocols", if transport == Transport::Tcp { "tcp" } else { "udp" })
        .shown("latency", latency_ms)
        .shown("drop-on-latency", true)
        .shown("do-retransmission", false);
    if let Some(login) = login {
        src = src.hidden("user-id", login.username.clone()).hidden("user-pw", login.password.reveal().to_owned());
    }
    Ok(src)
}

fn on_pad(given: Given<'_>, head: Vec<Step>, wrapping: Wrapping, live: bool) -> Result<Plan, IngestError> {
    let only = given.settings.codec.map(Video::from);
    if let Some(video) = only {
        // Said now rather than after a connection: what is missing does not depend on the camera.
        chain(video, wrapping, given.means())?;
    }
    Ok(Plan { head, body: Body::OnPad { wrapping, only }, sink: sink(given, live)?, live })
}

fn v4l2(given: Given<'_>, device: &Path) -> Result<Plan, IngestError> {
    let media = match given.settings.codec {
        None => "video/x-raw",
        Some(Codec::H264) => "video/x-h264",
        Some(Codec::H265) => "video/x-h265",
        Some(Codec::Mjpeg) => "image/jpeg",
    };
    let video = given.settings.codec.map_or(Video::Raw, Video::from);
    let head = vec![
        step(given.elements, "v4l2src")?.shown("device", text_of(device)),
        step(given.elements, "capsfilter")?.shown("caps", wanted_caps(media, given.settings)),
    ];
    fixed(given, head, chain(video, Wrapping::Plain, given.means())?)
}

fn csi(given: Given<'_>, sensor: u32) -> Result<Plan, IngestError> {
    let elements = given.elements;
    if elements.has("nvarguscamerasrc") {
        let head = vec![
            step(elements, "nvarguscamerasrc")?.shown("sensor-id", sensor),
            step(elements, "capsfilter")?
                .shown("caps", wanted_caps("video/x-raw(memory:NVMM),format=NV12", given.settings)),
        ];
        let steps = vec![step(elements, "nvvidconv")?];
        return fixed(given, head, Chain { video: Video::Raw, steps, decoder: None });
    }
    let source = step(elements, "libcamerasrc")?;
    if sensor != 0 {
        return Err(IngestError::Sensor { sensor });
    }
    let caps = wanted_caps("video/x-raw,format=NV12", given.settings);
    let head = vec![source, step(elements, "capsfilter")?.shown("caps", caps)];
    fixed(given, head, Chain { video: Video::Raw, steps: Vec::new(), decoder: None })
}

fn test(given: Given<'_>, pattern: &str) -> Result<Plan, IngestError> {
    let (width_px, height_px) = given.settings.size_px.unwrap_or(TEST_SIZE_PX);
    let fps = given.settings.fps.unwrap_or(TEST_FPS);
    let head = vec![
        step(given.elements, "videotestsrc")?.shown("is-live", given.pace == Pace::Live).shown("pattern", pattern),
        step(given.elements, "capsfilter")?
            .shown("caps", format!("video/x-raw,format=I420,width={width_px},height={height_px},framerate={fps}/1")),
    ];
    fixed(given, head, Chain { video: Video::Raw, steps: Vec::new(), decoder: None })
}

fn fixed(given: Given<'_>, head: Vec<Step>, chain: Chain) -> Result<Plan, IngestError> {
    Ok(Plan { head, body: Body::Fixed(chain), sink: sink(given, true)?, live: true })
}

fn wanted_caps(media: &str, settings: &Camera) -> String {
    let mut caps = media.to_owned();
    if let Some((width_px, height_px)) = settings.size_px {
        caps += &format!(",width={width_px},height={height_px}");
    }
    if let Some(fps) = settings.fps {
        caps += &format!(",framerate={fps}/1");
    }
    caps
}

/// Live: the newest frame only, and a camera's frames as soon as they are decoded, a file's at the file's own pace.
/// Replay: every frame, at once; a full appsink holds the decoder back.
fn sink(given: Given<'_>, live: bool) -> Result<Step, IngestError> {
    let replay = given.pace == Pace::AsFastAsPossible;
    Ok(step(given.elements, "appsink")?
        .shown("caps", if given.means().stay_in_nvmm().is_some() { SINK_CAPS_NVMM } else { SINK_CAPS })
        .shown("sync", !live && !replay)
        .shown("drop", !replay)
        .shown("max-buffers", if replay { REPLAY_BUFFERS } else { 1 })
        .shown("enable-last-sample", false))
}

/// An element that the device must have.
pub(super) fn step(elements: &Elements, element: &'static str) -> Result<Step, IngestError> {
    Ok(Step { element: elements.need(element)?, name: None, properties: Vec::new() })
}

impl Step {
    pub(super) fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    pub(super) fn shown(mut self, property: &'static str, value: impl ToString) -> Self {
        self.properties.push((property, Value::Shown(value.to_string())));
        self
    }

    fn hidden(mut self, property: &'static str, value: String) -> Self {
        self.properties.push((property, Value::Hidden(Secret::new(value))));
        self
    }
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.element)?;
        self.properties.iter().try_for_each(|(property, value)| match value {
            Value::Shown(text) => write!(f, " {property}={text}"),
            Value::Hidden(_) => write!(f, " {property}=[hidden]"),
        })
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Steps as gst-launch writes them, nothing secret shown: for log lines and tests.
pub(super) fn written(steps: &[Step]) -> String {
    steps.iter().map(Step::to_string).collect::<Vec<_>>().join(" ! ")
}

#[cfg(test)]
mod tests;
