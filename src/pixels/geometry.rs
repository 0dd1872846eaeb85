//! Where a frame lies in a model's input, and the way back for boxes. Pure arithmetic; no pixel is touched here.

use crate::types::Rect;

/// Where the scaled frame stands when its shape differs from the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the middle, as YOLOv8 was trained.
    Centered,
    /// At the top left, as YOLOX was trained.
    TopLeft,
}

/// The frame's place in the model's input: as large as fits with its proportions kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    src_wh: (u32, u32),
    dst_wh: (usize, usize),
    inner: Inner,
}

/// The part of the model's input that the frame covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Letterbox {
    /// For frames of `src_wh` and a model's input of `dst_wh` pixels, width first; a size of 0 counts as 1.
    pub fn new(src_wh: (u32, u32), dst_wh: (usize, usize), placement: Placement) -> Self {
        let src_wh = (src_wh.0.max(1), src_wh.1.max(1));
        let dst_wh = (dst_wh.0.max(1), dst_wh.1.max(1));
        let (src_w, src_h) = (f64::from(src_wh.0), f64::from(src_wh.1));
        let ratio = (dst_wh.0 as f64 / src_w).min(dst_wh.1 as f64 / src_h);
        let width = ((src_w * ratio).round() as usize).clamp(1, dst_wh.0);
        let height = ((src_h * ratio).round() as usize).clamp(1, dst_wh.1);
        // An odd rest leaves the smaller half at the left and the top, where the models' own preprocessing has it.
        let (left, top) = match placement {
            Placement::Centered => ((dst_wh.0 - width) / 2, (dst_wh.1 - height) / 2),
            Placement::TopLeft => (0, 0),
        };
        Self { src_wh, dst_wh, inner: Inner { left, top, width, height } }
    }

    /// The frame's size, width first.
    pub fn src_wh(&self) -> (u32, u32) {
        self.src_wh
    }

    /// The model's input size, width first.
    pub fn dst_wh(&self) -> (usize, usize) {
        self.dst_wh
    }

    /// From pixels of the model's input to pixels of the frame. Nothing is clipped.
    pub fn to_frame(&self, r: Rect) -> Rect {
        let (sx, sy) = self.scale();
        let (dx, dy) = (self.inner.left as f32, self.inner.top as f32);
        Rect::new((r.x1 - dx) / sx, (r.y1 - dy) / sy, (r.x2 - dx) / sx, (r.y2 - dy) / sy)
    }

    /// From pixels of the frame to pixels of the model's input.
    pub fn to_model(&self, r: Rect) -> Rect {
        let (sx, sy) = self.scale();
        let (dx, dy) = (self.inner.left as f32, self.inner.top as f32);
        Rect::new(r.x1 * sx + dx, r.y1 * sy + dy, r.x2 * sx + dx, r.y2 * sy + dy)
    }

    pub(super) fn inner(&self) -> Inner {
        self.inner
    }

    // Rounding to whole pixels makes the two scales differ a little; each axis goes back by its own.
    fn scale(&self) -> (f32, f32) {
        (self.inner.width as f32 / self.src_wh.0 as f32, self.inner.height as f32 / self.src_wh.1 as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wide_frame_stands_in_the_middle_or_at_the_top() {
        let centered = Letterbox::new((1920, 1080), (640, 640), Placement::Centered);
        assert_eq!(centered.inner(), Inner { left: 0, top: 140, width: 640, height: 360 });
        let top = Letterbox::new((1920, 1080), (640, 640), Placement::TopLeft);
        assert_eq!(top.inner(), Inner { left: 0, top: 0, width: 640, height: 360 });
        assert_eq!(centered.to_frame(Rect::new(320.0, 320.0, 640.0, 500.0)), Rect::new(960.0, 540.0, 1920.0, 1080.0));
    }

    #[test]
    fn an_odd_rest_leaves_the_smaller_half_before_the_picture() {
        assert_eq!(Letterbox::new((640, 427), (640, 640), Placement::Centered).inner().top, 106);
    }

    proptest! {
        #[test]
        fn a_box_comes_back_from_the_model_where_it_was(
            src in (1_u32..5000, 1_u32..5000), dst in (1_usize..1300, 1_usize..1300), at in prop::array::uniform4(0.0_f32..1.0),
            centered: bool,
        ) {
            let placement = if centered { Placement::Centered } else { Placement::TopLeft };
            let geometry = Letterbox::new(src, dst, placement);
            let (w, h) = (src.0 as f32, src.1 as f32);
            let there = Rect::new(at[0] * w, at[1] * h, at[2] * w, at[3] * h);
            let model = geometry.to_model(there);
            let tolerance = 1e-3 * (w / geometry.inner().width as f32).max(h / geometry.inner().height as f32).max(1.0);
            for v in [model.x1, model.x2] {
                prop_assert!(v >= -tolerance && v <= dst.0 as f32 + tolerance);
            }
            let back = geometry.to_frame(model);
            for (a, b) in [(back.x1, there.x1), (back.y1, there.y1), (back.x2, there.x2), (back.y2, there.y2)] {
                prop_assert!((a - b).abs() <= tolerance, "{a} is not {b}");
            }
        }
    }
}
