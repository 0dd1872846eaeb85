//! The only home of gstreamer: one session of one camera. `build` makes the pipeline from a plan, `bus` reads what it reports, `frame` maps
//! its buffers, `reaper` takes it down. Which elements, and what happens after a session, is decided elsewhere.

mod build;
mod bus;
mod frame;
mod reaper;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use gstreamer as gst;

use self::build::Pipeline;
use self::bus::Heard;
use self::frame::Stamper;
use super::elements::{Elements, KNOWN};
use super::launch::{CONTAINER_HEAD_BYTES, Container, Given, plan};
use super::supervise::{End, Source};
use super::watchdog::Watchdog;
use super::{Context, IngestError, Pace, redact};
use crate::config::{self, Secret};
use crate::runtime::Stop;
use crate::types::{CameraState, Frame};

/// How long a wait for a frame may last before the bus, the stop and the watchdog are looked at.
const POLL: Duration = Duration::from_millis(100);

/// What this device has.
pub(super) fn elements() -> Result<Elements, IngestError> {
    // gst::init is safe to repeat, but a failure is remembered nowhere else.
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED.get_or_init(|| gst::init().map_err(|e| e.to_string())).clone().map_err(IngestError::Init)?;
    let present = KNOWN.iter().copied().filter(|name| gst::ElementFactory::find(name).is_some());
    let (major, minor, micro, _) = gst::version();
    Ok(Elements::new(present, format!("{major}.{minor}.{micro}")))
}

/// A camera behind GStreamer.
pub(super) struct GstSource {
    context: Context,
    stop: Stop,
    seq: u64,
    /// Hardware decoders that gave no frame here.
    banned: BTreeSet<&'static str>,
    secrets: Vec<Secret>,
}

impl Source for GstSource {
    fn run_once(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End {
        if self.stop.is_set() {
            return End::Stopped;
        }
        self.context.heart.beat();
        let pipeline = match self.open() {
            Ok(pipeline) => pipeline,
            Err(e) => return self.end_of(&e),
        };
        let mut session = Session::new(self, &pipeline);
        let end = session.watch(streaming);
        let delivered = session.delivered;
        drop(session);
        let end = self.judge(end, delivered, &pipeline);
        self.reap(pipeline);
        end
    }
}

impl GstSource {
    pub(super) fn new(context: Context, stop: Stop) -> Self {
        let secrets = match &context.settings.source {
            config::Source::Rtsp { login: Some(login), .. } => vec![login.password.clone()],
            _ => Vec::new(),
        };
        Self { context, stop, seq: 0, banned: BTreeSet::new(), secrets }
    }

    fn open(&self) -> Result<Pipeline, IngestError> {
        let elements = elements()?;
        let settings = &self.context.settings;
        let container = match &settings.source {
            config::Source::File { path, .. } => Some(container_of(path)?),
            _ => None,
        };
        let given = Given { settings, pace: self.context.pace, container, elements: &elements, banned: &self.banned };
        Pipeline::build(plan(given)?, elements.clone(), self.banned.clone(), &self.context.camera)
    }

    fn end_of(&self, e: &IngestError) -> End {
        let reason = redact::text(&e.to_string(), &self.secrets);
        match e.state() {
            CameraState::UnsupportedCodec => End::UnsupportedCodec(reason),
            _ => End::Failed(reason),
        }
    }

    /// What the end of a session means, once it is known what it delivered.
    fn judge(&mut self, end: End, delivered: u64, pipeline: &Pipeline) -> End {
        let suspect = pipeline.suspect_decoder(matches!(end, End::Stalled(_)));
        match end {
            End::Failed(reason) | End::Stalled(reason) if delivered == 0 && suspect.is_some() => {
                let decoder = suspect.expect("just seen");
                log::warn!(
                    "camera {}: {decoder} does not work here ({reason}); trying the next decoder",
                    self.context.camera
                );
                self.banned.insert(decoder);
                End::Again
            }
            End::Ended if delivered == 0 => End::Failed("the file ended before its first frame".into()),
            End::Ended => match self.context.settings.source {
                config::Source::File { repeat: true, .. } if self.context.pace == Pace::Live => End::Again,
                _ => End::Ended,
            },
            other => other,
        }
    }

    fn reap(&self, pipeline: Pipeline) {
        let reaped = reaper::reap(pipeline, &self.context, &self.stop);
        if !reaped {
            self.context.metrics.pipelines_abandoned_total.inc();
            log::warn!("camera {}: a pipeline could not be taken down in time and was abandoned", self.context.camera);
        }
    }
}

fn container_of(path: &std::path::Path) -> Result<Container, IngestError> {
    let failed = |cause| IngestError::File { path: path.to_owned(), cause };
    let mut head = Vec::with_capacity(CONTAINER_HEAD_BYTES);
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CONTAINER_HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    Container::of(&head).ok_or_else(|| IngestError::UnknownContainer { path: path.to_owned() })
}

/// One opened pipeline, from its start to the reason of its end.
struct Session<'a> {
    source: &'a mut GstSource,
    pipeline: &'a Pipeline,
    stamper: Stamper,
    watchdog: Watchdog,
    layout: Option<frame::Layout>,
    /// Frames handed on.
    delivered: u64,
    /// Frames that the appsink dropped and that are counted already.
    displaced: u64,
}

impl<'a> Session<'a> {
    fn new(source: &'a mut GstSource, pipeline: &'a Pipeline) -> Self {
        let context = &source.context;
        let stamper = Stamper::new(context.clock, context.pace);
        let watchdog = Watchdog::new(&context.ingest, context.clock.mono());
        Self { source, pipeline, stamper, watchdog, layout: None, delivered: 0, displaced: 0 }
    }

    fn watch(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End {
        if let Err(e) = self.pipeline.start(&self.source.context.camera) {
            return self.source.end_of(&e);
        }
        let end = loop {
            self.source.context.heart.beat();
            if let Some(end) = self.step(streaming) {
                break end;
            }
        };
        self.count_displaced(0);
        end
    }

    /// Waits for a frame, hands it on, looks at everything that can end the session.
    fn step(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> Option<End> {
        if self.source.stop.is_set() {
            return Some(End::Stopped);
        }
        if let Some(sample) = self.pipeline.pull(POLL) {
            if let Some(end) = self.take(&sample, streaming) {
                return Some(end);
            }
        } else if let Some(reason) = self.watchdog.stalled(self.source.context.clock.mono()) {
            return Some(End::Stalled(reason));
        }
        if self.pipeline.size_changed() {
            return Some(End::Again);
        }
        match self.pipeline.heard(&self.source.secrets)? {
            Heard::Unusable(e) => Some(self.source.end_of(&e)),
            Heard::Refused(reason) => Some(End::AuthFailed(reason)),
            Heard::Error(reason) => Some(End::Failed(reason)),
            Heard::EndOfStream(_) if !self.pipeline.live() => Some(End::Ended),
            Heard::EndOfStream(why) => Some(End::Failed(why)),
        }
    }

    fn take(&mut self, sample: &gst::Sample, streaming: &mut dyn FnMut((u32, u32))) -> Option<End> {
        match frame::Layout::of(sample, self.layout.take(), self.pipeline.jpeg()) {
            Err(reason) => return Some(End::Failed(reason)),
            Ok((layout, changed)) => {
                if changed {
                    // A hardware decoder may survive a change of size or wedge; a file cannot be entered again in the middle.
                    if self.delivered > 0 && self.pipeline.live() {
                        return Some(End::Again);
                    }
                    streaming(layout.size_px());
                }
                self.layout = Some(layout);
            }
        }
        let layout = self.layout.as_ref()?;
        let pixels = match frame::Mapped::new(sample, layout) {
            Ok(pixels) => pixels,
            Err(reason) => return Some(End::Failed(reason)),
        };
        let captured = self.stamper.captured(sample, self.pipeline.gst());
        self.source.seq += 1;
        self.delivered += 1;
        let context = &self.source.context;
        let counted = context.metrics.camera(&context.camera);
        counted.frames_total.inc();
        let (camera, seq) = (Arc::clone(&context.camera), self.source.seq);
        (context.sink)(Frame { camera, seq, captured, pixels: Arc::new(pixels) });
        // The taker may have held us for long (replay); that is not the source's silence.
        self.watchdog.frame(context.clock.mono());
        // One frame may wait in the appsink: it is not lost yet.
        self.count_displaced(1);
        None
    }

    /// Counts what entered the appsink and never left it, but for those that may still wait there.
    fn count_displaced(&mut self, may_wait: u64) {
        if self.source.context.pace == Pace::AsFastAsPossible {
            return;
        }
        let lost = self.pipeline.arrived().saturating_sub(self.delivered + may_wait);
        let context = &self.source.context;
        context.metrics.camera(&context.camera).displaced_appsink_total.add(lost.saturating_sub(self.displaced));
        self.displaced = self.displaced.max(lost);
    }
}
