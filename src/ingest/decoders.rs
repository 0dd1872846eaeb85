//! From an encoded stream to NV12 or I420 in system memory, or in NVIDIA's own where that is wanted: which elements, hardware first. Pure:
//! no GStreamer, no I/O.

use std::collections::BTreeSet;

use super::IngestError;
use super::elements::{Elements, package};
use super::launch::{Step, step};
use crate::config::Codec;

/// What a stream can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Video {
    H264,
    H265,
    Mjpeg,
    /// MPEG-4 part 2: old cameras' recordings. Files only, software only.
    Mpeg4,
    /// Microsoft's third MPEG-4, known as DivX 3. Files only, software only.
    Msmpeg4v3,
    /// Not encoded at all.
    Raw,
}

/// How a stream is wrapped when it leaves its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// RTP packets.
    Rtp,
    /// As a demuxer or a USB camera gives it.
    Plain,
}

/// What GStreamer's caps say about a stream, as far as the choice depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    /// The media type, e.g. `video/x-h264` or `application/x-rtp`.
    pub(super) media_type: String,
    /// RTP's `media`, e.g. `video`.
    pub(super) media: Option<String>,
    /// RTP's `encoding-name`.
    pub(super) encoding: Option<String>,
    /// `mpegversion`, `divxversion` or `msmpegversion`.
    pub(super) version: Option<i32>,
}

/// The elements between a source and the sink.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    pub(super) video: Video,
    pub(super) steps: Vec<Step>,
    /// The decoder, if there is one, and whether it is hardware.
    pub(super) decoder: Option<(&'static str, bool)>,
}

/// A decoder that may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) element: &'static str,
    pub(super) hardware: bool,
    after: After,
}

/// What must follow a decoder.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// It gives NV12 or I420.
    Nothing,
    /// It may give 4:2:2, 4:4:4 or 10 bits; videoconvert costs nothing while it has nothing to do.
    Convert,
    /// It gives NVMM memory, which stays where it is if somebody can read it there; else nvvidconv copies it to system memory as NV12.
    FromNvmm,
}

const fn candidate(element: &'static str, hardware: bool, after: After) -> Candidate {
    Candidate { element, hardware, after }
}

impl Candidate {
    pub(super) fn usable(&self, elements: &Elements) -> bool {
        elements.has(self.element) && (self.after != After::FromNvmm || elements.has("nvvidconv"))
    }
}

/// Every decoder for a codec, the best first.
pub(super) const fn candidates(video: Video) -> &'static [Candidate] {
    match video {
        Video::H264 => {
            const {
                &[
                    candidate("nvv4l2decoder", true, After::FromNvmm),
                    candidate("v4l2h264dec", true, After::Nothing),
                    candidate("v4l2slh264dec", true, After::Nothing),
                    candidate("vah264dec", true, After::Nothing),
                    candidate("avdec_h264", false, After::Convert),
                    candidate("openh264dec", false, After::Nothing),
                ]
            }
        }
        Video::H265 => {
            const {
                &[
                    candidate("nvv4l2decoder", true, After::FromNvmm),
                    candidate("v4l2slh265dec", true, After::Nothing),
                    candidate("v4l2h265dec", true, After::Nothing),
                    candidate("vah265dec", true, After::Nothing),
                    candidate("avdec_h265", false, After::Convert),
                    candidate("libde265dec", false, After::Convert),
                ]
            }
        }
        Video::Mjpeg => {
            const { &[candidate("jpegdec", false, After::Convert), candidate("avdec_mjpeg", false, After::Convert)] }
        }
        Video::Mpeg4 => const { &[candidate("avdec_mpeg4", false, After::Convert)] },
        Video::Msmpeg4v3 => const { &[candidate("avdec_msmpeg4", false, After::Convert)] },
        Video::Raw => const { &[] },
    }
}

impl Video {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [Self::H264, Self::H265, Self::Mjpeg, Self::Mpeg4, Self::Msmpeg4v3, Self::Raw];

    /// As people write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Mjpeg => "MJPEG",
            Self::Mpeg4 => "MPEG-4 part 2",
            Self::Msmpeg4v3 => "DivX 3",
            Self::Raw => "raw video",
        }
    }

    /// What the stream is; an error that names it when it is nothing that we decode.
    pub(super) fn of(described: &Described) -> Result<Self, IngestError> {
        let found = match (described.media_type.as_str(), described.version) {
            ("application/x-rtp", _) => match described.encoding.as_deref() {
                Some("H264") => Some(Self::H264),
                Some("H265") => Some(Self::H265),
                Some("JPEG") => Some(Self::Mjpeg),
                _ => None,
            },
            ("video/x-h264", _) => Some(Self::H264),
            ("video/x-h265", _) => Some(Self::H265),
            ("image/jpeg", _) => Some(Self::Mjpeg),
            ("video/mpeg", Some(4)) | ("video/x-divx", Some(4 | 5)) | ("video/x-xvid", _) => Some(Self::Mpeg4),
            ("video/x-divx", Some(3)) | ("video/x-msmpeg", Some(43)) => Some(Self::Msmpeg4v3),
            ("video/x-raw", _) => Some(Self::Raw),
            _ => None,
        };
        found.ok_or_else(|| IngestError::UnsupportedStream {
            found: described.encoding.clone().unwrap_or_else(|| described.media_type.clone()),
        })
    }

    fn depayloader(self) -> Option<&'static str> {
        match self {
            Self::H264 => Some("rtph264depay"),
            Self::H265 => Some("rtph265depay"),
            Self::Mjpeg => Some("rtpjpegdepay"),
            _ => None,
        }
    }

    fn parser(self) -> Option<&'static str> {
        match self {
            Self::H264 => Some("h264parse"),
            Self::H265 => Some("h265parse"),
            Self::Mpeg4 => Some("mpeg4videoparse"),
            _ => None,
        }
    }
}

impl From<Codec> for Video {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
            Codec::Mjpeg => Self::Mjpeg,
        }
    }
}

/// What there is to decode with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) elements: &'a Elements,
    /// Decoders that failed on this device before; they are passed over.
    pub(super) banned: &'a BTreeSet<&'static str>,
    /// Buffers that a decoder is to have beyond its own, so that frames can stay in them; None where they are to be copied.
    pub(super) surfaces: Option<u32>,
}

impl Means<'_> {
    /// Whether frames of NVIDIA's decoder stay where they are.
    pub(super) fn stay_in_nvmm(&self) -> Option<u32> {
        self.surfaces.filter(|_| !self.banned.contains(IN_NVMM))
    }
}

/// The elements for a stream.
pub(super) fn chain(video: Video, wrapping: Wrapping, means: Means<'_>) -> Result<Chain, IngestError> {
    let Means { elements, banned, .. } = means;
    if video == Video::Raw {
        return Ok(Chain { video, steps: vec![step(elements, "videoconvert")?], decoder: None });
    }
    let mut steps = Vec::new();
    if wrapping == Wrapping::Rtp {
        let Some(depayloader) = video.depayloader() else {
            return Err(IngestError::UnsupportedStream { found: format!("{} over RTP", video.name()) });
        };
        steps.push(step(elements, depayloader)?);
    }
    if let Some(parser) = video.parser() {
        steps.push(step(elements, parser)?);
    }
    let best = candidates(video).iter().find(|c| c.usable(elements) && !banned.contains(c.element));
    let best = best.ok_or_else(|| no_decoder(video))?;
    let decoder = step(elements, best.element)?.named(DECODER);
    if let (After::FromNvmm, Some(extra)) = (&best.after, means.stay_in_nvmm()) {
        steps.push(decoder.shown("num-extra-surfaces", extra));
        return Ok(Chain { video, steps, decoder: Some((IN_NVMM, true)) });
    }
    steps.push(decoder);
    match best.after {
        After::Nothing => {}
        After::Convert => steps.push(step(elements, "videoconvert")?),
        After::FromNvmm => steps.push(step(elements, "nvvidconv")?.named(FROM_NVMM)),
    }
    Ok(Chain { video, steps, decoder: Some((best.element, best.hardware)) })
}

/// The decoder's name in the pipeline, by which errors of it are known.
pub(super) const DECODER: &str = "decoder";
/// The converter's name after an NVIDIA decoder; its failures are the decoder's.
pub(super) const FROM_NVMM: &str = "from-nvmm";
/// What NVIDIA's decoder is called when its frames are not copied: where that fails, the same decoder is tried with the copy.
pub(super) const IN_NVMM: &str = "nvv4l2decoder in NVMM";

fn no_decoder(video: Video) -> IngestError {
    let wanted: Vec<_> = candidates(video).iter().map(|c| c.element).collect();
    let software = candidates(video).iter().find(|c| !c.hardware).map_or("", |c| package(c.element));
    IngestError::NoDecoder { codec: video.name(), wanted: wanted.join(", "), package: software }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(media_type: &str, encoding: Option<&str>, version: Option<i32>) -> Described {
        Described { media_type: media_type.into(), encoding: encoding.map(Into::into), version, media: None }
    }

    #[test]
    fn caps_tell_the_codec() {
        let cases = [
            (described("application/x-rtp", Some("H264"), None), Video::H264),
            (described("application/x-rtp", Some("H265"), None), Video::H265),
            (described("application/x-rtp", Some("JPEG"), None), Video::Mjpeg),
            (described("video/x-h264", None, None), Video::H264),
            (described("image/jpeg", None, None), Video::Mjpeg),
            (described("video/mpeg", None, Some(4)), Video::Mpeg4),
            (described("video/x-divx", None, Some(3)), Video::Msmpeg4v3),
            (described("video/x-msmpeg", None, Some(43)), Video::Msmpeg4v3),
            (described("video/x-raw", None, None), Video::Raw),
        ];
        for (caps, want) in cases {
            assert_eq!(Video::of(&caps).expect("known"), want, "{caps:?}");
        }
    }

    #[test]
    fn a_codec_that_we_do_not_decode_is_named() {
        for (caps, name) in [
            (described("application/x-rtp", Some("VP8"), None), "VP8"),
            (described("video/x-vp9", None, None), "video/x-vp9"),
            (described("video/mpeg", None, Some(2)), "video/mpeg"),
        ] {
            let e = Video::of(&caps).expect_err("unknown");
            assert!(e.to_string().contains(name), "{e}");
            assert_eq!(e.state(), crate::types::CameraState::UnsupportedCodec);
        }
    }

    #[test]
    fn a_banned_decoder_gives_way_to_the_next_one() {
        let pc = Elements::new(["h264parse", "vah264dec", "avdec_h264", "videoconvert"], "1.22.0");
        let first =
            chain(Video::H264, Wrapping::Plain, Means { elements: &pc, banned: &BTreeSet::new(), surfaces: None })
                .expect("a decoder");
        assert_eq!(first.decoder, Some(("vah264dec", true)));
        let second = chain(
            Video::H264,
            Wrapping::Plain,
            Means { elements: &pc, banned: &BTreeSet::from(["vah264dec"]), surfaces: None },
        )
        .expect("a decoder");
        assert_eq!(second.decoder, Some(("avdec_h264", false)));
    }

    #[test]
    fn without_a_decoder_the_error_names_what_to_install() {
        let bare = Elements::new(["h265parse", "rtph265depay"], "1.22.0");
        let e = chain(Video::H265, Wrapping::Rtp, Means { elements: &bare, banned: &BTreeSet::new(), surfaces: None })
            .expect_err("no decoder");
        let text = e.to_string();
        assert!(text.contains("H.265") && text.contains("avdec_h265") && text.contains("gstreamer1.0-libav"), "{text}");
    }
}
