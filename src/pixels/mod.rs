//! From a decoder's planes to a model's tensor, in one pass: letterbox for detectors, crop for classifiers.
//!
//! Both `detect` and `classify` need the same sampling, and a stage never imports another stage; so it stands here, beside `types`.
//! So do the masks that lie over whatever leaves the device (`cover.rs`).
//! Belongs here: where a model's pixel lies in the frame, interpolation, colour, scaling of values. Does not: which model wants
//! what (see the manifest), and who owns the buffers.
//!
//! The way of a row: two source rows are blended (`kernels::blend_rows`), neighbours are mixed where the output's pixels lie
//! (`kernels::mix_pairs`), YUV becomes 8-bit RGB (`kernels::yuv_to_rgb`), and a sink writes it as the engine wants it.

mod axis;
mod codes;
mod color;
mod cover;
mod geometry;
mod kernels;
mod sample;
pub(crate) mod sampling;
mod simd;
mod sink;

#[cfg(test)]
mod tests;

pub use codes::CodesMut;
pub use cover::{Cover, Run, SCALED_REACH_PX, Window};
pub use geometry::{Letterbox, Placement};

use crate::types::{ImageView, Rect};
use codes::U8Nhwc;
use sample::Sampler;
use sink::{F32Nchw, Sink};

/// The order in which a model takes its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How a pixel's value (0..255) becomes a model's: `value * scale + offset`, for each output channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalise {
    /// Factor, in the order of the output channels.
    pub scale: [f32; 3],
    /// Summand, in the order of the output channels.
    pub offset: [f32; 3],
    /// Which colour the first channel is.
    pub order: ChannelOrder,
    /// The value, before scaling, of whatever lies outside the picture.
    pub pad: u8,
}

/// Why pixels could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PixelError {
    /// Nothing to read.
    #[error("an image of {width_px}x{height_px} pixels has no content")]
    Empty {
        /// The view's width.
        width_px: u32,
        /// The view's height.
        height_px: u32,
    },
    /// A plane's memory ends before its last row does.
    #[error("plane {plane} has {have} bytes where its size and stride need {need}")]
    ShortPlane {
        /// Which of the three.
        plane: usize,
        /// Its length.
        have: usize,
        /// The least length that would do.
        need: usize,
    },
    /// A plane's rows overlap.
    #[error("plane {plane} has a stride of {stride} bytes where a row has {row}")]
    ShortStride {
        /// Which of the three.
        plane: usize,
        /// Its stride.
        stride: usize,
        /// Bytes in a row.
        row: usize,
    },
    /// The tensor is not 3 × height × width long.
    #[error("the tensor has {have} values where the geometry needs {need}")]
    WrongTensor {
        /// Its length.
        have: usize,
        /// 3 × height × width, or of codes what their layout needs.
        need: usize,
    },
    /// The pixels or the rows of a tensor of codes overlap.
    #[error(
        "codes with {pixel_bytes} bytes a pixel and {row_bytes} a row cannot hold rows of {width_px} pixels of 3 channels"
    )]
    WrongLayout {
        /// From one pixel to the next.
        pixel_bytes: usize,
        /// From one row to the next.
        row_bytes: usize,
        /// The tensor's width.
        width_px: usize,
    },
}

/// A picture, and where in a model's input it goes.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// The pixels.
    pub view: &'a ImageView<'a>,
    /// Which of them, and where to.
    pub place: Place,
    /// What becomes of their values.
    pub norm: &'a Normalise,
}

/// Where a picture goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// The whole picture, its proportions kept.
    Letterbox(Letterbox),
    /// A region, stretched over the whole of an input of this width and height.
    Crop(Rect, (usize, usize)),
}

impl Drawing<'_> {
    /// Draws floats, channel after channel.
    ///
    /// # Errors
    /// As [`letterbox_f32_nchw`].
    pub fn f32_nchw(&self, out: &mut [f32]) -> Result<(), PixelError> {
        match self.place {
            Place::Letterbox(geometry) => letterbox_f32_nchw(&geometry, self.norm, self.view, out),
            Place::Crop(region, dst_wh) => crop_f32_nchw(region, dst_wh, self.norm, self.view, out),
        }
    }

    /// Draws codes, pixel after pixel.
    ///
    /// # Errors
    /// As [`letterbox_u8_nhwc`].
    pub fn u8_nhwc(&self, out: &mut CodesMut<'_>) -> Result<(), PixelError> {
        match self.place {
            Place::Letterbox(geometry) => letterbox_u8_nhwc(&geometry, self.norm, self.view, out),
            Place::Crop(region, dst_wh) => crop_u8_nhwc(region, dst_wh, self.norm, self.view, out),
        }
    }
}

/// Scales the whole view into its place in the model's input and fills what remains with `norm.pad`. Channel after channel (NCHW).
///
/// A view of another size than the geometry was made for fills the same place.
///
/// # Errors
/// When the view's planes are shorter than its size says, or `out` is not 3 × height × width long. `out` is all padding then,
/// or all zeros when its length is what was wrong.
pub fn letterbox_f32_nchw(
    geometry: &Letterbox,
    norm: &Normalise,
    view: &ImageView<'_>,
    out: &mut [f32],
) -> Result<(), PixelError> {
    letterbox(F32Nchw::new(out, geometry.dst_wh(), norm)?, geometry, view)
}

/// As [`letterbox_f32_nchw`], quantised: the codes are exactly those that quantising its result would give.
///
/// # Errors
/// When the view's planes are shorter than its size says, or `out` cannot hold the geometry's pixels. `out` is all padding then, or
/// all zeros (that is, `out.zero`) when its layout is what was wrong.
pub fn letterbox_u8_nhwc(
    geometry: &Letterbox,
    norm: &Normalise,
    view: &ImageView<'_>,
    out: &mut CodesMut<'_>,
) -> Result<(), PixelError> {
    letterbox(U8Nhwc::new(out, geometry.dst_wh(), norm)?, geometry, view)
}

fn letterbox(mut sink: impl Sink, geometry: &Letterbox, view: &ImageView<'_>) -> Result<(), PixelError> {
    let whole = Rect::new(0.0, 0.0, view.width_px as f32, view.height_px as f32);
    let inner = geometry.inner();
    match Sampler::new(view, whole, (inner.width, inner.height)) {
        Ok(mut sampler) => {
            sink.pad_around(&inner);
            for y in 0..inner.height {
                sink.row(inner.top + y, inner.left, sampler.row(y));
            }
            Ok(())
        }
        Err(e) => {
            sink.pad_all();
            Err(e)
        }
    }
}

/// Stretches the part of `region` that lies within the frame over the whole of the model's input. A region without such a part (or
/// without sense) gives padding alone.
///
/// # Errors
/// As [`letterbox_f32_nchw`].
pub fn crop_f32_nchw(
    region: Rect,
    dst_wh: (usize, usize),
    norm: &Normalise,
    view: &ImageView<'_>,
    out: &mut [f32],
) -> Result<(), PixelError> {
    crop(F32Nchw::new(out, dst_wh, norm)?, region, dst_wh, view)
}

/// As [`crop_f32_nchw`], quantised: the codes are exactly those that quantising its result would give.
///
/// # Errors
/// As [`letterbox_u8_nhwc`].
pub fn crop_u8_nhwc(
    region: Rect,
    dst_wh: (usize, usize),
    norm: &Normalise,
    view: &ImageView<'_>,
    out: &mut CodesMut<'_>,
) -> Result<(), PixelError> {
    crop(U8Nhwc::new(out, dst_wh, norm)?, region, dst_wh, view)
}

fn crop(mut sink: impl Sink, region: Rect, dst_wh: (usize, usize), view: &ImageView<'_>) -> Result<(), PixelError> {
    let visible = region.clipped(view.width_px, view.height_px);
    if !visible.is_sane() {
        sink.pad_all();
        return Ok(());
    }
    match Sampler::new(view, visible, dst_wh) {
        Ok(mut sampler) => {
            (0..dst_wh.1).for_each(|y| sink.row(y, 0, sampler.row(y)));
            Ok(())
        }
        Err(e) => {
            sink.pad_all();
            Err(e)
        }
    }
}
