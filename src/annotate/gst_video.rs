//! Frames into an MP4 file, by GStreamer: the second home of gstreamer beside `ingest`, because this is the only place that encodes.

use std::path::Path;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GstBinExt, ObjectExt};
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::canvas::Canvas;

/// Encoders in order of preference; the last one is in every installation and makes the largest file.
const ENCODERS: [(&str, &str); 4] = [
    ("x264enc", "x264enc speed-preset=veryfast key-int-max=50 ! video/x-h264,profile=main ! h264parse"),
    ("openh264enc", "openh264enc gop-size=50 ! h264parse"),
    ("v4l2h264enc", "v4l2h264enc ! video/x-h264,level=(string)4 ! h264parse"),
    ("jpegenc", "jpegenc quality=85"),
];

/// Frames that may wait for the encoder.
const WAITING_FRAMES: usize = 4;

/// How long the muxer may take to write its index after the last frame.
const FINISH_WITHIN: Duration = Duration::from_secs(30);

/// Why a video cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// GStreamer is not usable.
    #[error("cannot write {file}: {reason}")]
    Pipeline {
        /// The output file.
        file: String,
        /// What GStreamer said.
        reason: String,
    },
}

/// A video file that grows.
#[derive(Debug)]
pub struct VideoWriter {
    file: String,
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    size_px: Option<(usize, usize)>,
}

impl VideoWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// When no encoder is installed or the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, AnnotateError> {
        let file = path.display().to_string();
        let fail = |reason: String| AnnotateError::Pipeline { file: file.clone(), reason };
        gst::init().map_err(|e| fail(e.to_string()))?;
        let (_, encoder) = ENCODERS
            .iter()
            .find(|(name, _)| gst::ElementFactory::find(name).is_some())
            .ok_or_else(|| fail("no video encoder; install gstreamer1.0-plugins-ugly (x264enc)".to_owned()))?;
        let launch = format!(
            "appsrc name=source format=time max-bytes=0 ! videoconvert ! {encoder} ! mp4mux ! filesink name=sink"
        );
        let element = gst::parse::launch(&launch).map_err(|e| fail(e.to_string()))?;
        let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| fail("not a pipeline".to_owned()))?;
        let source = pipeline.by_name("source").and_then(|e| e.downcast::<gst_app::AppSrc>().ok());
        let source = source.ok_or_else(|| fail("no appsrc".to_owned()))?;
        let sink = pipeline.by_name("sink").ok_or_else(|| fail("no filesink".to_owned()))?;
        sink.set_property("location", path);
        let writer = Self { file: file.clone(), pipeline, source, size_px: None };
        writer.pipeline.set_state(gst::State::Playing).map_err(|e| writer.failure(&e.to_string()))?;
        Ok(writer)
    }

    /// Adds a frame that is shown at this time after the first one.
    ///
    /// # Errors
    /// When the encoder has failed. A frame of another size than the first is refused.
    pub fn write(&mut self, canvas: &Canvas, at: Duration) -> Result<(), AnnotateError> {
        let (width, height) = canvas.size_px();
        match self.size_px {
            None => {
                self.announce(width, height)?;
                self.size_px = Some((width, height));
            }
            Some(size) if size != (width, height) => {
                return Err(
                    self.failure(&format!("the picture changed from {}x{} to {width}x{height}", size.0, size.1))
                );
            }
            Some(_) => {}
        }
        let picture = packed(canvas);
        self.wait_for_space(picture.len())?;
        let mut buffer = gst::Buffer::from_slice(picture);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX - 1)));
        }
        self.source.push_buffer(buffer).map(drop).map_err(|e| self.failure(&e.to_string()))
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    /// When the encoder or the disk failed.
    pub fn finish(self) -> Result<(), AnnotateError> {
        self.source.end_of_stream().map_err(|e| self.failure(&e.to_string()))?;
        let bus = self.pipeline.bus().ok_or_else(|| self.failure("no bus"))?;
        let deadline = gst::ClockTime::from_seconds(FINISH_WITHIN.as_secs());
        let last = bus.timed_pop_filtered(deadline, &[gst::MessageType::Eos, gst::MessageType::Error]);
        match last.as_deref().map(gst::MessageRef::view) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(e)) => Err(self.failure(&e.error().to_string())),
            _ => Err(self.failure("the encoder did not finish")),
        }
    }

    /// A few frames may wait for the encoder. appsrc's own way of blocking is not used: it does not wake up when the encoder fails.
    fn wait_for_space(&self, frame_bytes: usize) -> Result<(), AnnotateError> {
        let bus = self.pipeline.bus().ok_or_else(|| self.failure("no bus"))?;
        while self.source.current_level_bytes() >= (WAITING_FRAMES * frame_bytes) as u64 {
            // The wait for an error is the pause between two looks.
            if let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(2), &[gst::MessageType::Error])
                && let gst::MessageView::Error(e) = message.view()
            {
                return Err(self.failure(&e.error().to_string()));
            }
        }
        Ok(())
    }

    fn announce(&self, width: usize, height: usize) -> Result<(), AnnotateError> {
        let (width, height) = even(width, height);
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width as u32, height as u32)
            .fps(gst::Fraction::new(0, 1))
            .build()
            .and_then(|info| info.to_caps())
            .map_err(|e| self.failure(&e.to_string()))?;
        self.source.set_caps(Some(&caps));
        Ok(())
    }

    // An error message on the bus says more than the call that it made fail.
    fn failure(&self, reason: &str) -> AnnotateError {
        let message = self.pipeline.bus().and_then(|b| b.pop_filtered(&[gst::MessageType::Error]));
        let told = message.as_ref().and_then(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        });
        AnnotateError::Pipeline { file: self.file.clone(), reason: told.unwrap_or_else(|| reason.to_owned()) }
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        // Nothing is left to save when this fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Encoders take 4:2:0 of even size only; a last odd column or row is left out.
fn even(width: usize, height: usize) -> (usize, usize) {
    (width & !1, height & !1)
}

/// I420 as GStreamer lays it out by default: each row padded to four bytes.
fn packed(canvas: &Canvas) -> Vec<u8> {
    let (width, height) = canvas.size_px();
    let (luma, chroma) = canvas.i420().split_at(width * height);
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let (u, v) = chroma.split_at(cw * ch);
    let (w, h) = even(width, height);
    let mut out = Vec::with_capacity(canvas.i420().len() + 4 * (h + h));
    for (plane, from, take, rows) in [(luma, width, w, h), (u, cw, w / 2, h / 2), (v, cw, w / 2, h / 2)] {
        for row in plane.chunks_exact(from.max(1)).take(rows) {
            out.extend_from_slice(&row[..take]);
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::{Mark, draw};
    use crate::pixels::Cover;
    use crate::types::{Pixels, Rect, RgbImage};

    #[test]
    fn a_video_of_odd_size_holds_what_was_written() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("out.mp4");
        let image = RgbImage { width_px: 161, height_px: 121, data: vec![90; 161 * 121 * 3] };
        let mut writer = VideoWriter::create(&file).expect("an encoder");
        for i in 0..10 {
            let bbox = Rect::from_xywh(10.0 * i as f32, 20.0, 40.0, 60.0);
            let mark = Mark { bbox, number: 1, text: "1 person 0.90".to_owned() };
            let canvas = draw(&image.view(), &Cover::default(), &[mark], "test");
            writer.write(&canvas, Duration::from_millis(100 * i)).expect("written");
        }
        writer.finish().expect("finished");
        let bytes = std::fs::read(&file).expect("the file");
        let has = |tag: &[u8]| bytes.windows(4).any(|w| w == tag);
        assert!(has(b"moov") && has(b"mdat"), "an MP4 with an index");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = VideoWriter::create(Path::new("/nonexistent/out.mp4")).expect_err("no such folder");
        assert!(error.to_string().contains("/nonexistent/out.mp4"), "{error}");
    }
}
