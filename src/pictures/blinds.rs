//! A frame of which the detector and the classifiers see only what they may: a copy with grey over the masks.
//!
//! A copy, and not grey drawn into each model's tensor: so every engine, every classifier and every format of frames is served alike, and
//! none of them can forget it. Only cameras with such a mask pay for it. A frame in the video hardware's memory is brought over for it.

use std::sync::Arc;

use crate::pixels::{Cover, Run, Window};
use crate::types::{ColorMatrix, ColorRange, Frame, ImageView, PixelFormat, Pixels, Plane, Surface};

/// The grey of letterboxes: models were trained to see nothing in it.
const GREY: u8 = 114;
/// Chroma without colour.
const COLOURLESS: u8 = 128;

/// Hides parts of one camera's frames.
#[derive(Debug)]
pub struct Blinds {
    cover: Cover,
    /// The covered pixels of frames of this size.
    runs: Option<((u32, u32), Vec<Run>)>,
    /// The last copy. Once everybody is through with it, its memory serves again.
    last: Option<Arc<Blinded>>,
}

impl Blinds {
    /// For masks that hide from the detector too; an empty cover hides nothing and costs nothing.
    pub fn new(cover: Cover) -> Self {
        Self { cover, runs: None, last: None }
    }

    /// The frame as models may see it.
    pub fn over(&mut self, frame: &Frame) -> Frame {
        if self.cover.is_empty() {
            return frame.clone();
        }
        let view = frame.pixels.view();
        let size_px = (view.width_px, view.height_px);
        if self.runs.as_ref().is_none_or(|(known, _)| *known != size_px) {
            self.runs = Some((size_px, self.cover.runs(&Window::whole(size_px), 0.0)));
        }
        let runs = self.runs.as_ref().map_or(&[][..], |(_, runs)| runs.as_slice());
        let mut copy = self.last.take().and_then(Arc::into_inner).unwrap_or_default();
        copy.take(&view);
        copy.hide(runs);
        let copy = Arc::new(copy);
        self.last = Some(Arc::clone(&copy));
        Frame { pixels: copy, ..frame.clone() }
    }
}

/// A frame's pixels in memory of their own.
#[derive(Debug)]
struct Blinded {
    format: PixelFormat,
    size_px: (u32, u32),
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
    matrix: ColorMatrix,
    range: ColorRange,
}

impl Default for Blinded {
    fn default() -> Self {
        Self {
            format: PixelFormat::Rgb,
            size_px: (0, 0),
            planes: Default::default(),
            strides: [0; 3],
            matrix: ColorMatrix::default(),
            range: ColorRange::default(),
        }
    }
}

impl Blinded {
    fn take(&mut self, view: &ImageView<'_>) {
        (self.format, self.size_px) = (view.format, (view.width_px, view.height_px));
        (self.matrix, self.range) = (view.matrix, view.range);
        for ((ours, stride), theirs) in self.planes.iter_mut().zip(&mut self.strides).zip(&view.planes) {
            ours.clear();
            ours.extend_from_slice(theirs.data);
            *stride = theirs.stride;
        }
    }

    fn hide(&mut self, runs: &[Run]) {
        for run in runs {
            let half = (run.y / 2, run.from / 2, run.to.div_ceil(2));
            match self.format {
                PixelFormat::Rgb => self.fill(0, run.y, (3 * run.from, 3 * run.to), GREY),
                PixelFormat::Nv12 => {
                    self.fill(0, run.y, (run.from, run.to), GREY);
                    self.fill(1, half.0, (2 * half.1, 2 * half.2), COLOURLESS);
                }
                PixelFormat::I420 => {
                    self.fill(0, run.y, (run.from, run.to), GREY);
                    self.fill(1, half.0, (half.1, half.2), COLOURLESS);
                    self.fill(2, half.0, (half.1, half.2), COLOURLESS);
                }
            }
        }
    }

    /// A plane may be shorter than it should be; then the detector refuses the frame, and here nothing lies beyond its end.
    fn fill(&mut self, plane: usize, row: usize, (from, to): (usize, usize), value: u8) {
        let begin = row * self.strides[plane];
        let end = (begin + to).min(self.planes[plane].len());
        if let Some(span) = self.planes[plane].get_mut(begin + from..end) {
            span.fill(value);
        }
    }
}

impl Pixels for Blinded {
    fn view(&self) -> ImageView<'_> {
        let plane = |n: usize| Plane { data: &self.planes[n], stride: self.strides[n] };
        ImageView {
            format: self.format,
            width_px: self.size_px.0,
            height_px: self.size_px.1,
            planes: [plane(0), plane(1), plane(2)],
            matrix: self.matrix,
            range: self.range,
        }
    }

    fn size_px(&self) -> (u32, u32) {
        self.size_px
    }

    /// Never the original's: nothing is hidden there.
    fn surface(&self) -> Option<Arc<dyn Surface>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::still::tests::{Drawn, formats, masks};
    use super::*;
    use crate::types::Captured;
    use proptest::prelude::*;

    fn frame(pixels: Drawn) -> Frame {
        let captured = Captured { mono: Duration::ZERO, wall: UNIX_EPOCH, wall_synced: false };
        Frame { camera: "front".into(), seq: 1, captured, pixels: Arc::new(pixels) }
    }

    fn bytes(frame: &Frame) -> [Vec<u8>; 3] {
        frame.pixels.view().planes.map(|p| p.data.to_vec())
    }

    proptest! {
        #[test]
        fn models_see_nothing_of_what_is_hidden_and_all_of_the_rest(
            format in formats(), size_px in (2_u32..60, 2_u32..60), cover in masks(), seed: u8,
        ) {
            let image = Drawn::new(format, size_px, |p, i| (i as u8).wrapping_mul(29).wrapping_add(seed) ^ (p as u8) << 5);
            let other = image.with_another_secret(&cover);
            let shown = Blinds::new(cover.clone()).over(&frame(image.clone()));
            prop_assert_eq!(bytes(&shown), bytes(&Blinds::new(cover.clone()).over(&frame(other))));
            let changed = image.planes[0].iter().zip(&bytes(&shown)[0]).filter(|(a, b)| a != b).count();
            let hidden: usize = cover.runs(&Window::whole(size_px), 0.0).iter().map(|r| r.to - r.from).sum();
            let bytes_per_px = if format == PixelFormat::Rgb { 3 } else { 1 };
            prop_assert!(changed <= hidden * bytes_per_px);
        }
    }

    #[test]
    fn a_camera_without_such_a_mask_pays_nothing() {
        let original = frame(Drawn::new(PixelFormat::Nv12, (8, 8), |_, _| 1));
        let shown = Blinds::new(Cover::default()).over(&original);
        assert!(Arc::ptr_eq(&shown.pixels, &original.pixels));
    }

    #[test]
    fn models_are_not_given_the_video_hardware_s_buffer_of_what_is_hidden() {
        struct Buffer;
        impl Surface for Buffer {
            fn outline(&self) -> ImageView<'static> {
                unreachable!("nobody asks for it here")
            }
            fn image(&self) -> Result<crate::types::EglImage, String> {
                Err("nobody asks for it here".to_owned())
            }
            fn kept(&self) -> &crate::types::Kept {
                unreachable!("nobody asks for it here")
            }
            fn refuse(&self, _why: &str) {}
        }
        struct Buffered(Drawn);
        impl Pixels for Buffered {
            fn view(&self) -> ImageView<'_> {
                self.0.view()
            }
            fn surface(&self) -> Option<Arc<dyn Surface>> {
                Some(Arc::new(Buffer))
            }
        }
        let buffered = Frame {
            pixels: Arc::new(Buffered(Drawn::new(PixelFormat::Nv12, (8, 8), |_, _| 1))),
            ..frame(Drawn::new(PixelFormat::Nv12, (8, 8), |_, _| 1))
        };
        let corner = Cover::new([vec![(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)]]);
        assert!(Blinds::new(Cover::default()).over(&buffered).pixels.surface().is_some());
        assert!(Blinds::new(corner).over(&buffered).pixels.surface().is_none());
    }

    #[test]
    fn a_copy_that_is_still_held_is_not_written_into_and_a_change_of_size_is_followed() {
        let all = Cover::new([vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]]);
        let mut blinds = Blinds::new(all);
        let first = blinds.over(&frame(Drawn::new(PixelFormat::Rgb, (4, 2), |_, _| 1)));
        let before = bytes(&first);
        let second = blinds.over(&frame(Drawn::new(PixelFormat::Rgb, (2, 6), |_, _| 2)));
        assert_eq!((bytes(&first), first.pixels.size_px()), (before, (4, 2)));
        assert_eq!((second.pixels.size_px(), second.captured), ((2, 6), first.captured));
        assert!(bytes(&second)[0].iter().all(|b| *b == GREY));
    }
}
