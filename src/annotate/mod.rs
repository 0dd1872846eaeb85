//! Pictures for people: frames with boxes, numbers and labels drawn on them, written as a video.
//!
//! Belongs here: drawing (`canvas.rs`, `font.rs`) and the encoder (`gst_video.rs`). Does not: what is drawn, which tracking decides, and where
//! masks lie, which the owner does.

mod canvas;
mod font;
mod gst_video;

pub use canvas::{Canvas, Color};
pub use gst_video::{AnnotateError, VideoWriter};

use crate::pixels::Cover;
use crate::types::{ImageView, Rect};

/// A box with a line of text.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where.
    pub bbox: Rect,
    /// Chooses the colour: the same number has the same colour in every frame.
    pub number: u64,
    /// Drawn above the box.
    pub text: String,
}

/// A copy of the frame, masked, with marks on it.
pub fn draw(view: &ImageView<'_>, cover: &Cover, marks: &[Mark], caption: &str) -> Canvas {
    let mut canvas = Canvas::copy_of(view);
    canvas.hide(cover);
    // Text as high as a fortieth of the picture, but never less than the font's own size.
    let scale = (view.height_px / (40 * font::HEIGHT)).max(1);
    for mark in marks {
        let color = Color::of_number(mark.number);
        canvas.frame(&mark.bbox, scale.max(2), color);
        let (x, y) = (mark.bbox.x1 as i64, mark.bbox.y1 as i64 - i64::from((font::HEIGHT + 2) * scale));
        canvas.text((x, y.max(0)), scale, color, &mark.text);
    }
    canvas.text((0, 0), scale, Color::WHITE, caption);
    canvas
}
