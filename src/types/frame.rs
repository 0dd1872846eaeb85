//! A frame: the decoder's buffer by reference, and when it was captured. Cheap to clone; nobody copies its pixels.
//!
//! Belongs here: the view that letterbox and crop read. Does not: GStreamer (see `ingest/gst/frame.rs`), colour arithmetic (see `pixels`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Surface;

/// A camera's name, as the configuration has it; cheap to clone.
pub type CameraId = Arc<str>;

/// When a frame was captured, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    /// Monotonic time since the process's clock began: what timers and ages are made of.
    pub mono: Duration,
    /// Wall time: what people read. It may be wrong or jump.
    pub wall: SystemTime,
    /// Whether the wall clock was synchronised when the frame came.
    pub wall_synced: bool,
}

/// How pixels lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Y plane, then interleaved U and V at half size.
    Nv12,
    /// Y, U and V planes, the latter two at half size.
    I420,
    /// One plane of packed 8-bit R, G, B.
    Rgb,
}

/// Which matrix turns YUV into RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorMatrix {
    /// SD video and most USB cameras.
    #[default]
    Bt601,
    /// HD video.
    Bt709,
}

/// What luma values mean black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorRange {
    /// 16..235, as video has it.
    #[default]
    Limited,
    /// 0..255, as JPEG has it.
    Full,
}

/// One plane of an image; row `y` begins at `y * stride`.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// The bytes, at least `stride * (rows - 1) + row length`.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl Plane<'_> {
    /// A plane that a format does not use.
    pub const NONE: Plane<'static> = Plane { data: &[], stride: 0 };
}

/// A look at an image's pixels, whoever owns them.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    /// How the planes are laid out.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// The planes; those that the format does not use are [`Plane::NONE`].
    pub planes: [Plane<'a>; 3],
    /// YUV matrix; without meaning for RGB.
    pub matrix: ColorMatrix,
    /// YUV range; without meaning for RGB.
    pub range: ColorRange,
}

/// Whoever owns pixels: a mapped decoder buffer, or an image read from a file.
pub trait Pixels: Send + Sync {
    /// The pixels as they lie. Where they are out of the processor's reach, this brings them over.
    fn view(&self) -> ImageView<'_>;

    /// Width and height; nothing is brought over for it.
    fn size_px(&self) -> (u32, u32) {
        let view = self.view();
        (view.width_px, view.height_px)
    }

    /// The pixels as a GPU can read them where they lie; None where only the processor can.
    fn surface(&self) -> Option<Arc<dyn Surface>> {
        None
    }
}

/// One frame of one camera.
#[derive(Clone)]
pub struct Frame {
    /// Which camera.
    pub camera: CameraId,
    /// Counts the frames that this camera delivered since it was opened by a start or a reload, from 1; gaps are frames that were displaced.
    pub seq: u64,
    /// When.
    pub captured: Captured,
    /// The pixels.
    pub pixels: Arc<dyn Pixels>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width_px, height_px) = self.pixels.size_px();
        write!(f, "{}#{} {width_px}x{height_px}", self.camera, self.seq)
    }
}

/// An image of packed RGB that owns its pixels: still pictures, and tests.
#[derive(Debug, Clone)]
pub struct RgbImage {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Rows without padding, three bytes a pixel.
    pub data: Vec<u8>,
}

impl Pixels for RgbImage {
    fn view(&self) -> ImageView<'_> {
        ImageView {
            format: PixelFormat::Rgb,
            width_px: self.width_px,
            height_px: self.height_px,
            planes: [Plane { data: &self.data, stride: self.width_px as usize * 3 }, Plane::NONE, Plane::NONE],
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
        }
    }
}
