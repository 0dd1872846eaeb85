//! From a GStreamer sample to a frame's pixels (mapped by reference, never copied) and its capture time.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::{ClockExt, ElementExt};
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

use crate::ingest::Pace;
use crate::runtime::Clock;
use crate::types::{Captured, ColorMatrix, ColorRange, ImageView, PixelFormat, Pixels, Plane};

/// A frame cannot have waited longer than this in jitter buffer and decoder: a capture time further back is a broken timestamp.
const OLDEST: Duration = Duration::from_secs(10);
/// Pictures of at least this height are HD, whose matrix is BT.709 unless they say otherwise.
const HD_HEIGHT_PX: u32 = 720;

/// How the pixels of a stream lie, until its caps change.
pub(super) struct Layout {
    caps: gst::Caps,
    info: gst_video::VideoInfo,
    format: PixelFormat,
    matrix: ColorMatrix,
    range: ColorRange,
}

impl Layout {
    /// The layout of this sample, and whether its size is another one than the last layout's.
    pub(super) fn of(sample: &gst::Sample, last: Option<Self>, jpeg: bool) -> Result<(Self, bool), String> {
        let caps = sample.caps_owned().ok_or("a frame without a format came")?;
        let last_size = match last {
            Some(last) if last.caps == caps => return Ok((last, false)),
            other => other.map(|l| l.size_px()),
        };
        let info = gst_video::VideoInfo::from_caps(&caps).map_err(|e| format!("a frame's format is odd: {e}"))?;
        let format = match info.format() {
            gst_video::VideoFormat::Nv12 => PixelFormat::Nv12,
            gst_video::VideoFormat::I420 => PixelFormat::I420,
            other => return Err(format!("a frame came as {other:?} instead of NV12 or I420")),
        };
        let (matrix, range) = colours(&info, jpeg);
        let layout = Self { caps, info, format, matrix, range };
        let changed = last_size != Some(layout.size_px());
        Ok((layout, changed))
    }

    pub(super) fn size_px(&self) -> (u32, u32) {
        (self.info.width(), self.info.height())
    }

    /// Whether the pixels are in NVIDIA's own memory.
    pub(super) fn is_in_nvmm(&self) -> bool {
        self.caps.features(0).is_some_and(|features| features.contains("memory:NVMM"))
    }

    /// What is known of the pixels without a look at them.
    pub(super) fn outline(&self) -> ImageView<'static> {
        ImageView {
            format: self.format,
            width_px: self.info.width(),
            height_px: self.info.height(),
            planes: [Plane::NONE; 3],
            matrix: self.matrix,
            range: self.range,
        }
    }
}

/// JPEG is BT.601 over the full range by its definition (JFIF); older decoders forget to say so in their caps.
fn colours(info: &gst_video::VideoInfo, jpeg: bool) -> (ColorMatrix, ColorRange) {
    if jpeg {
        return (ColorMatrix::Bt601, ColorRange::Full);
    }
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        gst_video::VideoColorMatrix::Bt601 | gst_video::VideoColorMatrix::Fcc => ColorMatrix::Bt601,
        gst_video::VideoColorMatrix::Bt709 | gst_video::VideoColorMatrix::Bt2020 => ColorMatrix::Bt709,
        _ if info.height() >= HD_HEIGHT_PX => ColorMatrix::Bt709,
        _ => ColorMatrix::Bt601,
    };
    let range = match colorimetry.range() {
        gst_video::VideoColorRange::Range0_255 => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    (matrix, range)
}

/// A decoder's buffer, mapped for reading until the last clone of the frame is gone.
pub(super) struct Mapped {
    frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    strides: [usize; 3],
    format: PixelFormat,
    matrix: ColorMatrix,
    range: ColorRange,
}

impl Mapped {
    pub(super) fn new(sample: &gst::Sample, layout: &Layout) -> Result<Self, String> {
        let buffer = sample.buffer_owned().ok_or("a frame without pixels came")?;
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &layout.info)
            .map_err(|_| "a frame's memory cannot be read".to_owned())?;
        let mut strides = [0; 3];
        for (ours, theirs) in strides.iter_mut().zip(frame.plane_stride()) {
            *ours = usize::try_from(*theirs).map_err(|_| "a frame lies upside down in memory".to_owned())?;
        }
        Ok(Self { frame, strides, format: layout.format, matrix: layout.matrix, range: layout.range })
    }

    fn plane(&self, index: u32) -> Plane<'_> {
        let data = self.frame.plane_data(index).unwrap_or(&[]);
        Plane { data, stride: self.strides[index as usize] }
    }
}

impl Pixels for Mapped {
    fn view(&self) -> ImageView<'_> {
        let third = if self.format == PixelFormat::I420 { self.plane(2) } else { Plane::NONE };
        ImageView {
            format: self.format,
            width_px: self.frame.width(),
            height_px: self.frame.height(),
            planes: [self.plane(0), self.plane(1), third],
            matrix: self.matrix,
            range: self.range,
        }
    }
}

/// Gives frames their capture times.
pub(super) struct Stamper {
    clock: Clock,
    pace: Pace,
    opened: Captured,
}

impl Stamper {
    pub(super) fn new(clock: Clock, pace: Pace) -> Self {
        Self { clock, pace, opened: clock.now() }
    }

    /// Live: when the frame reached this machine, before jitter buffer and decoder. Replay: its place in the clip.
    pub(super) fn captured(&self, sample: &gst::Sample, pipeline: &gst::Pipeline) -> Captured {
        let running = running_time(sample);
        if self.pace == Pace::AsFastAsPossible {
            let into_clip = running.unwrap_or_default();
            return Captured {
                mono: self.opened.mono + into_clip,
                wall: self.opened.wall + into_clip,
                wall_synced: self.opened.wall_synced,
            };
        }
        let now = self.clock.now();
        let age = running.and_then(|running| age(running, pipeline)).filter(|age| *age <= OLDEST).unwrap_or_default();
        Captured {
            mono: now.mono.saturating_sub(age),
            wall: now.wall.checked_sub(age).unwrap_or(now.wall),
            wall_synced: now.wall_synced,
        }
    }
}

fn running_time(sample: &gst::Sample) -> Option<Duration> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(pts).map(Duration::from)
}

/// How long ago the pipeline's clock showed this running time; None for a time that is still to come.
fn age(running: Duration, pipeline: &gst::Pipeline) -> Option<Duration> {
    let now: Duration = pipeline.clock()?.time().into();
    let base: Duration = pipeline.base_time()?.into();
    now.checked_sub(base)?.checked_sub(running)
}
