//! From a plan to a pipeline, and the pipeline's own affairs: linking pads as they appear, counting, starting, taking down.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::{
    Cast, ElementExt, ElementExtManual, GstBinExt, GstBinExtManual, GstObjectExt, GstValueExt, ObjectExt, PadExt,
    PadExtManual, ToValue,
};
use gstreamer_app::AppSink;

use super::bus::{self, Heard};
use super::nvmm::Buffers;
use crate::config::Secret;
use crate::ingest::IngestError;
use crate::ingest::decoders::{Chain, DECODER, Described, FROM_NVMM, IN_NVMM, Means, Video, Wrapping, chain};
use crate::ingest::elements::Elements;
use crate::ingest::launch::{Body, Plan, Step, Value, written};
use crate::runtime::threads::pause;
use crate::types::CameraId;

/// Between two looks for the end of stream that must follow.
const END_POLL: Duration = Duration::from_millis(10);

/// What pads, probes and the session tell each other.
#[derive(Default)]
struct Shared {
    /// Frames that reached the appsink.
    arrived: AtomicU64,
    /// Key frames that reached the decoder: before the first one no decoder can give a picture.
    keys_fed: AtomicU64,
    /// The encoded stream's size changed.
    resized: AtomicBool,
    /// The stream is MJPEG.
    jpeg: AtomicBool,
    /// A video pad was taken; further ones are left alone.
    linked: AtomicBool,
    /// The decoder's buffers, where frames stay in them.
    buffers: Buffers,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    /// Why the stream cannot be used.
    unusable: Option<IngestError>,
    decoder: Option<(&'static str, bool)>,
    decoder_failed: bool,
    warning: Option<String>,
}

impl Shared {
    // News is a handful of plain values: a panic elsewhere leaves none of them half written.
    fn news(&self) -> std::sync::MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self, why: IngestError) {
        self.news().unusable.get_or_insert(why);
    }
}

/// What a chain is chosen from, when the stream shows itself.
pub(super) struct Site {
    pub(super) elements: Elements,
    pub(super) banned: BTreeSet<&'static str>,
    pub(super) surfaces: Option<u32>,
}

impl Site {
    fn means(&self) -> Means<'_> {
        Means { elements: &self.elements, banned: &self.banned, surfaces: self.surfaces }
    }
}

/// A pipeline that was built; it runs from its `starter` to `take_down`.
pub(super) struct Pipeline {
    pipeline: gst::Pipeline,
    sink: AppSink,
    bus: gst::Bus,
    shared: Arc<Shared>,
    live: bool,
}

impl Pipeline {
    pub(super) fn build(plan: Plan, site: Site, camera: &CameraId) -> Result<Self, IngestError> {
        let pipeline = gst::Pipeline::new();
        let shared = Arc::new(Shared::default());
        let head = add_all(&pipeline, &plan.head)?;
        let sink = add_all(&pipeline, std::slice::from_ref(&plan.sink))?.remove(0);
        count_arrivals(&sink, &shared);
        match plan.body {
            Body::Fixed(chain) => {
                log::debug!(camera = &**camera, stage = "ingest"; "{} ! {} ! {}", written(&plan.head), written(&chain.steps), plan.sink);
                let last = head.last().expect("a plan has a source");
                link_chain(&pipeline, &chain, &last.static_pad("src").ok_or_else(|| no_pad(last))?, &sink, &shared)?;
            }
            Body::OnPad { wrapping, only } => {
                log::debug!(camera = &**camera, stage = "ingest"; "{} ! … ! {}", written(&plan.head), plan.sink);
                let ready = Grower { wrapping, only, site, camera: Arc::clone(camera) };
                ready.wait_for_pads(&pipeline, head.last().expect("a plan has a source"), &sink, &shared);
            }
        }
        let bus = pipeline.bus().ok_or_else(|| IngestError::Build("a pipeline without a bus".into()))?;
        let sink = sink.downcast().map_err(|_| IngestError::Build("appsink is no appsink".into()))?;
        Ok(Self { pipeline, sink, bus, shared, live: plan.live })
    }

    /// What begins to play; it may block for ever. A failure is heard on the bus or as `Unusable`.
    pub(super) fn starter(&self) -> impl FnOnce() + Send + use<> {
        let (pipeline, shared) = (self.pipeline.clone(), Arc::clone(&self.shared));
        move || {
            if pipeline.set_state(gst::State::Playing).is_err() {
                // Elements nearly always post an error of their own, which says more and is read first.
                shared.give_up(IngestError::Build("it does not start".into()));
            }
        }
    }

    /// The next frame, if one comes in time.
    pub(super) fn pull(&self, at_most: Duration) -> Option<gst::Sample> {
        if self.sink.is_eos() {
            // A sink at its end answers at once; the news of it comes on the bus a moment later.
            pause(END_POLL.min(at_most));
            return None;
        }
        self.sink.try_pull_sample(gst::ClockTime::from_nseconds(at_most.as_nanos() as u64))
    }

    /// News that ends the session.
    pub(super) fn heard(&self, secrets: &[Secret]) -> Option<Heard> {
        let mut warning = self.shared.news().warning.take();
        let heard = bus::next(&self.bus, secrets, &mut warning);
        let mut news = self.shared.news();
        news.warning = warning;
        // What a pad could not be linked for explains the not-linked error that follows from it.
        match (heard, news.unusable.take()) {
            (Some((Heard::Error(reason), src)), None | Some(IngestError::Build(_))) => {
                news.decoder_failed |= src.as_deref().is_some_and(|s| s == DECODER || s == FROM_NVMM);
                Some(Heard::Error(reason))
            }
            (Some((heard @ Heard::Refused(_), _)), _) => Some(heard),
            (_, Some(e)) => Some(Heard::Unusable(e)),
            (heard, None) => heard.map(|(heard, _)| heard),
        }
    }

    /// The hardware decoder that is to blame: it failed, or swallowed key frames and gave nothing.
    pub(super) fn suspect_decoder(&self, silent: bool) -> Option<&'static str> {
        let news = self.shared.news();
        let swallowed = silent && self.shared.keys_fed.load(Relaxed) > 0;
        news.decoder.filter(|(_, hardware)| *hardware && (news.decoder_failed || swallowed)).map(|(name, _)| name)
    }

    pub(super) fn gst(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    pub(super) fn live(&self) -> bool {
        self.live
    }

    pub(super) fn arrived(&self) -> u64 {
        self.shared.arrived.load(Relaxed)
    }

    pub(super) fn size_changed(&self) -> bool {
        self.live && self.shared.resized.load(Relaxed)
    }

    /// The decoder's buffers, where frames stay in them.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.shared.buffers
    }

    /// Whether the frames stay in NVIDIA's memory.
    pub(super) fn is_in_nvmm(&self) -> bool {
        self.shared.news().decoder.is_some_and(|(name, _)| name == IN_NVMM)
    }

    /// What came out of the decoder is of no use.
    pub(super) fn blame_decoder(&self) {
        self.shared.news().decoder_failed = true;
    }

    pub(super) fn jpeg(&self) -> bool {
        self.shared.jpeg.load(Relaxed)
    }

    /// Ends it; may block for ever, so only the reaper calls this.
    pub(super) fn take_down(self) {
        // Images of buffers go before the buffers do.
        self.shared.buffers.close();
        // There is nobody left to tell about a failure here, and nothing to do about it.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Makes the chain when a stream shows itself.
struct Grower {
    wrapping: Wrapping,
    only: Option<Video>,
    site: Site,
    camera: CameraId,
}

impl Grower {
    fn wait_for_pads(self, pipeline: &gst::Pipeline, from: &gst::Element, sink: &gst::Element, shared: &Arc<Shared>) {
        if self.wrapping == Wrapping::Rtp {
            // Only video is asked of the camera: sound would cost bandwidth for nothing.
            from.connect("select-stream", false, |args| {
                let caps = args.get(2).and_then(|c| c.get::<gst::Caps>().ok());
                Some(caps.is_none_or(|c| described(&c).media.as_deref() == Some("video")).to_value())
            });
        }
        // Weak: the elements own these closures, and the closures must not own the elements.
        let (weak_pipeline, weak_sink, told) = (pipeline.downgrade(), sink.downgrade(), Arc::clone(shared));
        from.connect_pad_added(move |_, pad| {
            let (Some(pipeline), Some(sink)) = (weak_pipeline.upgrade(), weak_sink.upgrade()) else { return };
            if let Err(e) = self.grow(&pipeline, pad, &sink, &told) {
                told.give_up(e);
            }
        });
        let told = Arc::clone(shared);
        from.connect_no_more_pads(move |_| {
            if !told.linked.load(Relaxed) {
                told.give_up(IngestError::NoVideo);
            }
        });
    }

    fn grow(
        &self,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        sink: &gst::Element,
        shared: &Arc<Shared>,
    ) -> Result<(), IngestError> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let found = described(&caps);
        let video = found.media.as_deref().map_or_else(
            || found.media_type.starts_with("video/") || found.media_type.starts_with("image/"),
            |media| media == "video",
        );
        if !video || shared.linked.swap(true, Relaxed) {
            return Ok(());
        }
        let video = Video::of(&found)?;
        if let Some(only) = self.only.filter(|only| *only != video) {
            return Err(IngestError::OtherCodec { found: video.name(), configured: only.name() });
        }
        let chain = chain(video, self.wrapping, self.site.means())?;
        log::debug!(camera = &*self.camera, stage = "ingest"; "{} through {}", video.name(), written(&chain.steps));
        link_chain(pipeline, &chain, pad, sink, shared)
    }
}

/// What caps say, as far as a choice depends on it.
fn described(caps: &gst::Caps) -> Described {
    let Some(s) = caps.structure(0) else { return Described::default() };
    let text = |field| s.get::<String>(field).ok();
    let version = ["mpegversion", "divxversion", "msmpegversion"].iter().find_map(|f| s.get::<i32>(*f).ok());
    Described { media_type: s.name().to_string(), media: text("media"), encoding: text("encoding-name"), version }
}

/// Adds a chain between a pad and the sink, and brings it to the pipeline's state, last element first, so that no data meets an element asleep.
fn link_chain(
    pipeline: &gst::Pipeline,
    chain: &Chain,
    from: &gst::Pad,
    sink: &gst::Element,
    shared: &Arc<Shared>,
) -> Result<(), IngestError> {
    shared.linked.store(true, Relaxed);
    shared.jpeg.store(chain.video == Video::Mjpeg, Relaxed);
    shared.news().decoder = chain.decoder;
    let added = add_all(pipeline, &chain.steps)?;
    let first = added.first().unwrap_or(sink);
    if let Some(last) = added.last() {
        last.link(sink).map_err(|_| unlinked(last, sink))?;
    }
    if let Some(decoder) = pipeline.by_name(DECODER) {
        watch_decoder(&decoder, shared);
    }
    for element in added.iter().rev() {
        let failed = |_| {
            shared.news().decoder_failed |= [DECODER, FROM_NVMM].contains(&element.name().as_str());
            IngestError::Build(format!("{} does not start", element_name(element)))
        };
        element.sync_state_with_parent().map_err(failed)?;
    }
    let into = first.static_pad("sink").ok_or_else(|| no_pad(first))?;
    from.link(&into).map(drop).map_err(|e| IngestError::Build(format!("{}: {e}", element_name(first))))
}

fn add_all(pipeline: &gst::Pipeline, steps: &[Step]) -> Result<Vec<gst::Element>, IngestError> {
    let made = steps.iter().map(make).collect::<Result<Vec<_>, _>>()?;
    pipeline.add_many(&made).map_err(|e| IngestError::Build(e.to_string()))?;
    for pair in made.windows(2) {
        // A demuxer's pads come later.
        pair[0].link(&pair[1]).map_err(|_| unlinked(&pair[0], &pair[1]))?;
    }
    Ok(made)
}

fn make(step: &Step) -> Result<gst::Element, IngestError> {
    let factory = gst::ElementFactory::make(step.element);
    let factory = if let Some(name) = step.name { factory.name(name) } else { factory };
    let element = factory.build().map_err(|e| IngestError::Build(format!("{}: {e}", step.element)))?;
    for (property, value) in &step.properties {
        let (text, shown) = match value {
            Value::Shown(text) => (text.as_str(), format!("={text}")),
            Value::Hidden(secret) => (secret.reveal(), String::new()),
        };
        let refused = || IngestError::Property { element: step.element, property, value: shown.clone() };
        let kind = element.find_property(property).ok_or_else(refused)?.value_type();
        // Text goes in as it is: GStreamer's own reading of values would take quotes and backslashes of a password apart.
        let value = if kind == glib::Type::STRING {
            text.to_value()
        } else {
            glib::Value::deserialize(text, kind).map_err(|_| refused())?
        };
        element.set_property_from_value(property, &value);
    }
    decode_frame_by_frame(&element);
    Ok(element)
}

/// libav's decoders otherwise work on as many frames at once as there are processors: each waits for the next, and each is held in memory.
fn decode_frame_by_frame(element: &gst::Element) {
    let kind = element.find_property("thread-type").map(|p| p.value_type());
    if let Some(slices) = kind.and_then(|kind| glib::Value::deserialize("slice", kind).ok()) {
        element.set_property_from_value("thread-type", &slices);
    }
}

fn count_arrivals(sink: &gst::Element, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    if let Some(pad) = sink.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            shared.arrived.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
}

/// Counts the key frames that the decoder gets, and sees a change of size before the decoder does: some hardware decoders wedge on it.
fn watch_decoder(decoder: &gst::Element, shared: &Arc<Shared>) {
    let Some(pad) = decoder.static_pad("sink") else { return };
    let (shared, size) = (Arc::clone(shared), Mutex::new(None));
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data {
            if let gst::EventView::Caps(caps) = event.view()
                && let Some(new) = size_of(caps.caps())
            {
                let old = size.lock().unwrap_or_else(PoisonError::into_inner).replace(new);
                let is_another = old.is_some_and(|old| old != new);
                shared.resized.fetch_or(is_another, Relaxed);
                if is_another {
                    // The decoder makes itself other buffers when it hears of this.
                    shared.buffers.close();
                }
            }
        } else if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
        {
            shared.keys_fed.fetch_add(1, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}

fn size_of(caps: &gst::CapsRef) -> Option<(i32, i32)> {
    let s = caps.structure(0)?;
    Some((s.get("width").ok()?, s.get("height").ok()?))
}

fn element_name(element: &gst::Element) -> String {
    element.factory().map_or_else(|| element.name().to_string(), |f| f.name().to_string())
}

fn no_pad(element: &gst::Element) -> IngestError {
    IngestError::Build(format!("{} lacks a pad", element_name(element)))
}

fn unlinked(a: &gst::Element, b: &gst::Element) -> IngestError {
    IngestError::Build(format!("{} and {} do not fit together", element_name(a), element_name(b)))
}
