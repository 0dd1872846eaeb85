//! Whether a frame is the very one that was looked at last, bit for bit: a camera that froze, a file that repeats a frame, a test picture.
//!
//! Pure. Only a frame whose thumb is the same is read as a whole, so a camera with any noise at all pays nothing.

use std::hash::{DefaultHasher, Hasher};

use super::motion::Thumb;
use crate::types::{ImageView, PixelFormat};

/// The last frame that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Print {
    thumb: Thumb,
    /// Of all its pixels; made when a frame was seen that may be the same one.
    whole: Option<u64>,
}

impl Print {
    /// Of a frame that is looked at. `may_repeat` says that frames are worth reading as a whole.
    pub(super) fn of(thumb: Thumb, view: &ImageView<'_>, may_repeat: bool) -> Self {
        Self { thumb, whole: may_repeat.then(|| whole(view)) }
    }

    /// The blocks of that frame.
    pub(super) fn thumb(&self) -> &Thumb {
        &self.thumb
    }

    /// Whether another frame may be the same one, as far as its blocks tell.
    pub(super) fn is_like(&self, thumb: &Thumb) -> bool {
        self.thumb == *thumb
    }

    /// Whether another frame is the same one.
    pub(super) fn is(&self, thumb: &Thumb, view: &ImageView<'_>) -> bool {
        self.is_like(thumb) && self.whole.is_some_and(|known| known == whole(view))
    }
}

/// One number for all pixels; what lies between two rows is not one.
fn whole(view: &ImageView<'_>) -> u64 {
    let (w, h) = (view.width_px as usize, view.height_px as usize);
    let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
    let sizes: &[(usize, usize)] = match view.format {
        PixelFormat::Rgb => &[(3 * w, h)],
        PixelFormat::Nv12 => &[(w, h), (2 * half_w, half_h)],
        PixelFormat::I420 => &[(w, h), (half_w, half_h), (half_w, half_h)],
    };
    let mut hasher = DefaultHasher::new();
    for (&(width, rows), plane) in sizes.iter().zip(&view.planes) {
        for row in plane.data.chunks(plane.stride.max(1)).take(rows) {
            hasher.write(&row[..width.min(row.len())]);
        }
    }
    hasher.finish()
}
