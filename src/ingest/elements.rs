//! Which GStreamer elements a device has, and which Debian package brings one that is missing. How they are looked up belongs to `gst`.

use std::collections::BTreeSet;

use super::IngestError;
use super::decoders::{Video, candidates};

/// The names of elements that this device has, out of those that Peregrine may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elements {
    names: BTreeSet<&'static str>,
    version: String,
}

/// A decoder on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    /// What it decodes, as people write it: "H.264".
    pub codec: &'static str,
    /// GStreamer's element.
    pub element: &'static str,
    /// Whether it runs on video hardware.
    pub hardware: bool,
}

impl Elements {
    /// A set of elements, with the version of GStreamer for those who show it.
    pub(super) fn new(names: impl IntoIterator<Item = &'static str>, version: impl Into<String>) -> Self {
        Self { names: names.into_iter().collect(), version: version.into() }
    }

    /// Whether the device has this element.
    pub fn has(&self, element: &str) -> bool {
        self.names.contains(element)
    }

    /// GStreamer's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The decoders of this device, in the order in which they are tried for each codec.
    pub fn decoders(&self) -> Vec<Decoder> {
        [Video::H264, Video::H265, Video::Mjpeg]
            .into_iter()
            .flat_map(|video| candidates(video).iter().map(move |c| (video, c)))
            .filter(|(_, c)| c.usable(self))
            .map(|(video, c)| Decoder { codec: video.name(), element: c.element, hardware: c.hardware })
            .collect()
    }

    /// The element, or an error that says how to get it.
    pub(super) fn need(&self, element: &'static str) -> Result<&'static str, IngestError> {
        if self.has(element) {
            return Ok(element);
        }
        Err(IngestError::MissingElement { element, package: package(element) })
    }
}

/// Every element that a pipeline of ours can name.
pub(super) const KNOWN: &[&str] = &[
    "appsink",
    "avdec_h264",
    "avdec_h265",
    "avdec_mjpeg",
    "avdec_mpeg4",
    "avdec_msmpeg4",
    "avidemux",
    "capsfilter",
    "filesrc",
    "h264parse",
    "h265parse",
    "jpegdec",
    "libcamerasrc",
    "libde265dec",
    "matroskademux",
    "mpeg4videoparse",
    "nvarguscamerasrc",
    "nvv4l2decoder",
    "nvvidconv",
    "openh264dec",
    "qtdemux",
    "rtph264depay",
    "rtph265depay",
    "rtpjpegdepay",
    "rtspsrc",
    "tsdemux",
    "v4l2h264dec",
    "v4l2h265dec",
    "v4l2slh264dec",
    "v4l2slh265dec",
    "v4l2src",
    "vah264dec",
    "vah265dec",
    "videoconvert",
    "videotestsrc",
];

/// The Debian package of an element (NVIDIA's: of JetPack).
pub(super) fn package(element: &str) -> &'static str {
    match element {
        "filesrc" | "capsfilter" => "libgstreamer1.0-0",
        "appsink" | "videoconvert" | "videotestsrc" => "gstreamer1.0-plugins-base",
        "libcamerasrc" => "gstreamer1.0-libcamera",
        "h264parse" | "h265parse" | "mpeg4videoparse" | "tsdemux" | "openh264dec" | "libde265dec" => {
            "gstreamer1.0-plugins-bad"
        }
        e if e.starts_with("v4l2sl") || e.starts_with("va") => "gstreamer1.0-plugins-bad",
        e if e.starts_with("nv") => "nvidia-l4t-gstreamer",
        e if e.starts_with("avdec_") => "gstreamer1.0-libav",
        _ => "gstreamer1.0-plugins-good",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_is_named_with_its_package() {
        let e = Elements::default().need("rtspsrc").expect_err("nothing is there").to_string();
        assert!(e.contains("rtspsrc") && e.contains("gstreamer1.0-plugins-good"), "{e}");
    }

    #[test]
    fn the_decoders_of_a_device_are_listed_hardware_first() {
        let pi = Elements::new(["v4l2h264dec", "avdec_h264", "jpegdec", "nvv4l2decoder"], "1.22.0");
        let names: Vec<_> = pi.decoders().iter().map(|d| (d.codec, d.element, d.hardware)).collect();
        // nvv4l2decoder without nvvidconv gives memory that nobody here can read, so it is no decoder.
        let want = [("H.264", "v4l2h264dec", true), ("H.264", "avdec_h264", false), ("MJPEG", "jpegdec", false)];
        assert_eq!(names, want);
    }

    #[test]
    fn every_decoder_that_may_be_chosen_is_looked_for() {
        for video in Video::ALL {
            for c in candidates(video) {
                assert!(KNOWN.contains(&c.element), "{}", c.element);
            }
        }
    }
}
