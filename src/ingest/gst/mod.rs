//! The only home of gstreamer: one session of one camera. `open` does what may block, `build` makes the pipeline from a plan, `bus` reads what it reports, `frame` maps
//! its buffers, `reaper` takes it down. Which elements, and what happens after a session, is decided elsewhere.

mod build;
mod bus;
mod frame;
mod nvmm;
mod open;
mod reaper;

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use gstreamer as gst;

use self::build::Pipeline;
use self::bus::Heard;
use self::frame::Stamper;
use super::bans::Bans;
use super::elements::{Elements, KNOWN};
use super::places::{Place, Turn};
use super::supervise::{End, Source};
use super::watchdog::Watchdog;
use super::{BEAT_EVERY, Context, IngestError, Pace};
use crate::config::{self, Secret};
use crate::runtime::{Stop, Worker};
use crate::telemetry::CameraMetrics;
use crate::types::{CameraState, Frame, Pixels};

/// How long a wait for a frame may last before the bus, the stop and the watchdog are looked at.
const POLL: Duration = Duration::from_millis(100);
/// Threads that may hang in one camera's pipelines. With so many, nothing is opened until one ends: each holds memory and perhaps a device.
const ABANDONED_MAX: usize = 2;

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
    bans: Bans,
    secrets: Vec<Secret>,
    counted: Arc<CameraMetrics>,
    /// Threads that hang in a pipeline's opening or teardown.
    abandoned: Vec<Worker>,
    /// When it is opened next, beside other cameras; None: at once, since it was streaming a moment ago.
    turn: Option<Turn>,
}

impl Source for GstSource {
    fn run_once(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End {
        if self.wait_for_room() {
            return End::Stopped;
        }
        let mut place = match self.take_place() {
            Ok(place) => place,
            Err(end) => return end,
        };
        // Opening counts as silence too; waiting for others does not.
        let watchdog = Watchdog::new(&self.context.ingest, self.context.clock.mono());
        let (pipeline, opener) = match self.open(&watchdog) {
            Ok(opened) => opened,
            Err(end) => {
                self.turn = Some(Turn::Repeated);
                return end;
            }
        };
        if let Some(place) = &place {
            place.built(&self.context.clock);
        }
        let mut session = Session::new(self, &pipeline, watchdog);
        let end = session.watch(&mut |size_px| {
            drop(place.take());
            streaming(size_px);
        });
        drop(place);
        let delivered = session.delivered;
        drop(session);
        let end = self.judge(end, delivered, &pipeline);
        self.turn = match (&end, delivered) {
            (End::Again, 0) => self.turn,
            (End::Again, _) => None,
            (_, 0) => Some(Turn::Repeated),
            _ => Some(Turn::Back),
        };
        if let Some(hanging) = reaper::reap(pipeline, opener, &self.context, &self.stop) {
            self.abandon(hanging);
        }
        end
    }
}

impl GstSource {
    pub(super) fn new(context: Context, stop: Stop) -> Self {
        let secrets = match &context.settings.source {
            config::Source::Rtsp { login: Some(login), .. } => vec![login.password.clone()],
            _ => Vec::new(),
        };
        let counted = context.metrics.camera(&context.camera);
        Self {
            context,
            stop,
            seq: 0,
            bans: Bans::default(),
            secrets,
            counted,
            abandoned: Vec::new(),
            turn: Some(Turn::First),
        }
    }

    /// Waits, beating, while too many threads hang in this camera's pipelines; true when the end was asked for.
    fn wait_for_room(&mut self) -> bool {
        let mut said = false;
        loop {
            self.context.heart.beat();
            self.abandoned.retain(|worker| !worker.is_finished());
            if self.abandoned.len() < ABANDONED_MAX || self.stop.is_set() {
                return self.stop.is_set();
            }
            if !said {
                let camera = &*self.context.camera;
                log::warn!(camera = camera, stage = "ingest"; "{ABANDONED_MAX} pipelines hang; it is opened again when one of them ends");
                said = true;
            }
            self.stop.wait(BEAT_EVERY);
        }
    }

    /// Waits, beating, until this camera may be opened beside the others; Err when the end was asked for.
    fn take_place(&self) -> Result<Option<Place>, End> {
        let Some(turn) = self.turn else { return Ok(None) };
        let (context, stop) = (&self.context, &self.stop);
        let place = context.places.take(turn, &context.clock, &mut || {
            context.heart.beat();
            stop.is_set()
        });
        place.map(Some).ok_or(End::Stopped)
    }

    /// The pipeline, and the thread that starts it.
    fn open(&mut self, watchdog: &Watchdog) -> Result<(Pipeline, Worker), End> {
        let (camera, settings) = (Arc::clone(&self.context.camera), self.context.settings.clone());
        let banned = self.bans.at(self.context.clock.mono());
        let order = open::Order {
            camera,
            settings,
            pace: self.context.pace,
            banned,
            surfaces: Arc::clone(&self.context.surfaces),
            ring_capacity: self.context.ingest.ring_capacity,
        };
        let opening = open::Opening::begin(order).map_err(|e| self.end_of(&e))?;
        let end = loop {
            self.context.heart.beat();
            match opening.built(POLL) {
                Some(Ok(pipeline)) => return Ok((pipeline, opening.into_worker())),
                Some(Err(e)) => return Err(self.end_of(&e)),
                None if self.stop.is_set() => break End::Stopped,
                None => {}
            }
            if let Some(reason) = watchdog.stalled(self.context.clock.mono()) {
                break End::Stalled(format!("the source does not open: {reason}"));
            }
        };
        if let Some(hanging) = reaper::settled(opening.into_worker(), &self.context, &self.stop) {
            self.abandon(hanging);
        }
        Err(end)
    }

    fn end_of(&self, e: &IngestError) -> End {
        let reason = config::redacted(&e.to_string(), &self.secrets);
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
                let camera = &*self.context.camera;
                log::warn!(camera = camera, stage = "ingest"; "{decoder} does not work here ({reason}); trying the next decoder");
                self.bans.add(decoder, self.context.clock.mono());
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

    fn abandon(&mut self, hanging: Worker) {
        self.context.metrics.pipelines_abandoned_total.inc();
        let camera = &*self.context.camera;
        log::warn!(camera = camera, stage = "ingest"; "{} did not end in time; its pipeline is abandoned", hanging.name());
        self.abandoned.push(hanging);
    }
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
    fn new(source: &'a mut GstSource, pipeline: &'a Pipeline, watchdog: Watchdog) -> Self {
        let context = &source.context;
        let stamper = Stamper::new(context.clock, context.pace);
        Self { source, pipeline, stamper, watchdog, layout: None, delivered: 0, displaced: 0 }
    }

    fn watch(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End {
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
        if self.pipeline.size_changed() || self.is_in_nvmm_for_nobody() {
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
        let pixels = match self.pixels(sample, layout) {
            Ok(pixels) => pixels,
            Err(_) if self.is_in_nvmm_for_nobody() => return Some(End::Again),
            Err(reason) => return Some(End::Failed(reason)),
        };
        let captured = self.stamper.captured(sample, self.pipeline.gst());
        self.source.seq += 1;
        self.delivered += 1;
        let context = &self.source.context;
        self.source.counted.frames_total.inc();
        let (camera, seq) = (Arc::clone(&context.camera), self.source.seq);
        (context.sink)(Frame { camera, seq, captured, pixels });
        // The taker may have held us for long (replay); that is not the source's silence.
        self.watchdog.frame(context.clock.mono());
        // One frame may wait in the appsink: it is not lost yet.
        self.count_displaced(1);
        None
    }

    fn pixels(&self, sample: &gst::Sample, layout: &frame::Layout) -> Result<Arc<dyn Pixels>, String> {
        if !layout.is_in_nvmm() {
            return Ok(Arc::new(frame::Mapped::new(sample, layout)?));
        }
        match self.pipeline.buffers().frame(sample, layout, &self.source.context.surfaces) {
            Ok(pixels) => Ok(Arc::new(pixels)),
            Err(reason) => {
                self.pipeline.blame_decoder();
                Err(reason)
            }
        }
    }

    /// Whether frames stay in NVIDIA's memory though nobody reads them there any more, of which the log hears.
    fn is_in_nvmm_for_nobody(&self) -> bool {
        let gate = &self.source.context.surfaces;
        let is_so = self.pipeline.is_in_nvmm() && !gate.is_open();
        if is_so {
            nvmm::tell(gate);
        }
        is_so
    }

    /// Counts what entered the appsink and never left it, but for those that may still wait there.
    fn count_displaced(&mut self, may_wait: u64) {
        if self.source.context.pace == Pace::AsFastAsPossible {
            return;
        }
        let lost = self.pipeline.arrived().saturating_sub(self.delivered + may_wait);
        self.source.counted.displaced_appsink_total.add(lost.saturating_sub(self.displaced));
        self.displaced = self.displaced.max(lost);
    }
}
