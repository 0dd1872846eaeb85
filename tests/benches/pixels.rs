//! Letterbox of a 1080p NV12 frame into a 640 and a 320 model, beside GStreamer's converters, frame by frame in turns, one thread each:
//! `cargo bench --bench pixels`. Prints medians and judges nothing.
//!
//! GStreamer ends at 8-bit packed RGB of the inner size; ours ends at the padded tensor, of floats or of 8-bit codes, which is more work.
#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints what it measured")]

use std::time::Duration;

use anyhow::{Context, Result};
use gstreamer::prelude::{Cast, ElementExt, GstBinExt};
use gstreamer_app::{AppSink, AppSrc};
use peregrine::pixels::{
    ChannelOrder, CodesMut, Letterbox, Normalise, Placement, letterbox_f32_nchw, letterbox_u8_nhwc,
};
use peregrine::runtime::Clock;
use peregrine::types::{ColorMatrix, ColorRange, ImageView, PixelFormat, Plane};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const ROUNDS: usize = 300;

fn main() -> Result<()> {
    gstreamer::init()?;
    // Not noise: slopes, as pictures have them.
    let frame: Vec<u8> = (0..WIDTH * HEIGHT * 3 / 2).map(|i| ((i % WIDTH) / 8 + i / WIDTH / 5) as u8).collect();
    for (side, inner) in [(640, (640, 360)), (320, (320, 180))] {
        let mut buffer = gstreamer::Buffer::from_slice(frame.clone());
        buffer.make_mut().set_pts(gstreamer::ClockTime::ZERO);
        let convert_first = Peer::start("videoconvert n-threads=1 ! videoscale n-threads=1 method=bilinear", inner)?;
        let scale_first = Peer::start("videoscale n-threads=1 method=bilinear ! videoconvert n-threads=1", inner)?;
        let mut out = vec![0.0_f32; 3 * side * side];
        let mut codes = vec![0_u8; 4 * side * side];
        let mut times: [Vec<Duration>; 5] = Default::default();
        let view = view_of(&frame);
        let geometry = Letterbox::new((view.width_px, view.height_px), (side, side), Placement::Centered);
        let norm = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };
        let clock = Clock::start();
        for _ in 0..ROUNDS {
            let mut at = vec![clock.mono()];
            letterbox_f32_nchw(&geometry, &norm, &view, &mut out)?;
            at.push(clock.mono());
            // In steps of 1/255 every byte is its own code; in others it is looked up.
            for scale in [1.0 / 255.0, 1.0 / 254.0] {
                let (row_bytes, codes) = (4 * side, codes.as_mut_slice());
                let mut quantised = CodesMut { codes, row_bytes, pixel_bytes: 4, scale, zero: 0 };
                letterbox_u8_nhwc(&geometry, &norm, &view, &mut quantised)?;
                at.push(clock.mono());
            }
            for peer in [&convert_first, &scale_first] {
                peer.convert(&buffer)?;
                at.push(clock.mono());
            }
            for (all, pair) in times.iter_mut().zip(at.windows(2)) {
                all.push(pair[1] - pair[0]);
            }
        }
        let names = [
            "letterbox_f32_nchw",
            "letterbox_u8_nhwc",
            "letterbox_u8_nhwc, table",
            "videoconvert ! videoscale",
            "videoscale ! videoconvert",
        ];
        println!("1080p NV12 to {side}, median (least) of {ROUNDS}:");
        for (name, all) in names.iter().zip(&mut times) {
            all.sort_unstable();
            let ms = |t: Duration| t.as_secs_f64() * 1e3;
            println!("  {name:26} {:7.3} ms ({:.3})", ms(all[ROUNDS / 2]), ms(all[0]));
        }
    }
    Ok(())
}

fn view_of(frame: &[u8]) -> ImageView<'_> {
    let (luma, chroma) = frame.split_at(WIDTH * HEIGHT);
    let planes = [Plane { data: luma, stride: WIDTH }, Plane { data: chroma, stride: WIDTH }, Plane::NONE];
    ImageView {
        format: PixelFormat::Nv12,
        width_px: WIDTH as u32,
        height_px: HEIGHT as u32,
        planes,
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Limited,
    }
}

/// A running GStreamer pipeline that turns one frame at a time.
struct Peer {
    pipeline: gstreamer::Pipeline,
    source: AppSrc,
    sink: AppSink,
}

impl Peer {
    fn start(elements: &str, size: (usize, usize)) -> Result<Self> {
        let description = format!(
            "appsrc name=source format=time caps=video/x-raw,format=NV12,width={WIDTH},height={HEIGHT},framerate=25/1,colorimetry=bt709 \
             ! {elements} ! video/x-raw,format=RGB,width={},height={} ! appsink name=sink sync=false",
            size.0, size.1
        );
        let pipeline = gstreamer::parse::launch(&description)?;
        let pipeline = pipeline.downcast::<gstreamer::Pipeline>().ok().context("a pipeline")?;
        let source = pipeline.by_name("source").and_then(|e| e.downcast().ok()).context("an appsrc")?;
        let sink = pipeline.by_name("sink").and_then(|e| e.downcast().ok()).context("an appsink")?;
        pipeline.set_state(gstreamer::State::Playing)?;
        Ok(Self { pipeline, source, sink })
    }

    /// The buffer is shared, not copied: what is timed is the converters and the way through two queues.
    fn convert(&self, frame: &gstreamer::Buffer) -> Result<()> {
        self.source.push_buffer(frame.clone())?;
        self.sink.pull_sample()?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The program ends anyway.
        let _ = self.pipeline.set_state(gstreamer::State::Null);
    }
}
