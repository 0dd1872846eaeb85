//! Pictures for cameras that are not there: made ones, or those of a clip. A few are made and shown again and again; two that follow each
//! other always differ, so nothing downstream can take a frame for the one before.
//!
//! Belongs here: pictures. Does not: when they come (see `rig`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clip::{Clip, Next};
use super::recording::ReplayError;
use crate::config::{Camera, Config, Source};
use crate::runtime::{Clock, environment};
use crate::telemetry::Metrics;
use crate::types::{ColorMatrix, ColorRange, Frame, ImageView, PixelFormat, Pixels, Plane};

/// Pictures of a scene. At 1280 by 720 they take 33 MB: more than processors keep near, as with cameras' own buffers.
const PICTURES: usize = 24;
/// Frames of a clip by which its decoding is measured, at most.
const DECODED: u64 = 300;

/// A picture as decoders give it: Y, then U and V side by side at half size.
struct Nv12Image {
    width_px: u32,
    height_px: u32,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Pixels for Nv12Image {
    fn view(&self) -> ImageView<'_> {
        let stride = self.width_px as usize;
        let planes = [Plane { data: &self.luma, stride }, Plane { data: &self.chroma, stride }, Plane::NONE];
        let (width_px, height_px) = (self.width_px, self.height_px);
        let (matrix, range) = (ColorMatrix::Bt601, ColorRange::Limited);
        ImageView { format: PixelFormat::Nv12, width_px, height_px, planes, matrix, range }
    }
}

/// What cameras show.
pub struct Scene {
    pictures: Vec<Arc<dyn Pixels>>,
    /// What it is, for people.
    pub about: String,
    /// Processor time that a frame's decoding took; None where nothing was decoded.
    pub decoding: Option<Duration>,
}

impl Scene {
    /// Noise with shapes that move through it. Detectors find next to nothing in it.
    pub fn made((width_px, height_px): (u32, u32)) -> Self {
        // Chroma has half the size.
        let (width_px, height_px) = ((width_px / 2).max(8) * 2, (height_px / 2).max(8) * 2);
        let pictures = (0..PICTURES).map(|n| Arc::new(made(width_px, height_px, n)) as Arc<dyn Pixels>).collect();
        Self { pictures, about: format!("made pictures, {width_px}x{height_px}"), decoding: None }
    }

    /// The first frames of a clip, and what its decoding costs.
    ///
    /// # Errors
    /// When the clip cannot be read.
    pub fn of_clip(path: &Path, config: &Config, clock: Clock) -> Result<Self, ReplayError> {
        let mut pictures: Vec<Arc<dyn Pixels>> = Vec::new();
        let (mut frames, mut copying) = (0, Duration::ZERO);
        let mut begun = None;
        let file = Camera::of(Source::File { path: path.to_owned(), repeat: false });
        let mut clip = Clip::open(("clip", &file), config, &Arc::new(Metrics::default()), clock, 1)?;
        while frames < DECODED {
            let frame = match clip.next()? {
                Next::Frame(frame) => frame,
                Next::Status(_) => continue,
                Next::Ended(_) => break,
            };
            // The first frame pays for the opening of the file.
            begun.get_or_insert_with(environment::processor_time);
            if pictures.len() < PICTURES {
                let before = environment::processor_time();
                pictures.push(copied(&frame));
                copying += environment::processor_time().saturating_sub(before);
            }
            frames += 1;
        }
        let first = pictures.first().ok_or_else(|| ReplayError::Source("the clip has no frame".to_owned()))?;
        let (width_px, height_px) = first.size_px();
        let took = environment::processor_time().saturating_sub(begun.unwrap_or_default()).saturating_sub(copying);
        let decoding = (frames > 1).then(|| took / u32::try_from(frames - 1).unwrap_or(u32::MAX));
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { pictures, about: format!("frames of {name}, {width_px}x{height_px}"), decoding })
    }

    /// What a camera shows in its frame of that number. Cameras begin at different places.
    pub(super) fn picture(&self, camera: usize, number: u64) -> Arc<dyn Pixels> {
        let at = (number as usize).wrapping_add(camera.wrapping_mul(7)) % self.pictures.len();
        Arc::clone(&self.pictures[at])
    }
}

fn made(width_px: u32, height_px: u32, number: usize) -> Nv12Image {
    let (width, height) = (width_px as usize, height_px as usize);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1) | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut luma: Vec<u8> = (0..width * height).map(|_| 96 + (next() % 48) as u8).collect();
    // Upright shapes of a person's proportions that walk to and fro.
    let (wide, high) = ((width / 24).max(2), (height / 5).max(4));
    for shape in 0..6 {
        let reach = width - wide;
        let along = (shape * reach / 5 + number * (shape + 2) * 4) % (2 * reach);
        let left = along.min(2 * reach - along);
        let top = height / 8 + shape * (height * 5 / 8 - high / 2) / 6;
        for row in luma.chunks_exact_mut(width).skip(top).take(high) {
            row[left..left + wide].iter_mut().for_each(|v| *v = 30 + shape as u8 * 30 + *v / 16);
        }
    }
    let chroma = (0..width * height / 2).map(|_| 120 + (next() % 16) as u8).collect();
    Nv12Image { width_px, height_px, luma, chroma }
}

/// Decoders have few buffers and want them back, so what is kept is a copy. Of a format other than NV12 the frame itself is kept: software
/// decoders make as many as it takes.
fn copied(frame: &Frame) -> Arc<dyn Pixels> {
    let view = frame.pixels.view();
    let (width, height) = (view.width_px as usize, view.height_px as usize);
    let is_even = width.is_multiple_of(2) && height.is_multiple_of(2);
    let rows = |plane: &Plane<'_>, count: usize, length: usize| {
        let lines = plane.data.chunks(plane.stride.max(1)).take(count);
        lines.flat_map(|line| line.iter().copied().take(length)).collect::<Vec<u8>>()
    };
    let halves = |plane: &Plane<'_>| rows(plane, height / 2, width / 2);
    let chroma = match view.format {
        PixelFormat::Nv12 if is_even => rows(&view.planes[1], height / 2, width),
        PixelFormat::I420 if is_even => {
            let (u, v) = (halves(&view.planes[1]), halves(&view.planes[2]));
            u.into_iter().zip(v).flat_map(|(u, v)| [u, v]).collect()
        }
        _ => return Arc::clone(&frame.pixels),
    };
    let luma = rows(&view.planes[0], height, width);
    Arc::new(Nv12Image { width_px: view.width_px, height_px: view.height_px, luma, chroma })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_frame_of_a_camera_is_the_one_before_and_no_two_cameras_are_in_step() {
        let scene = Scene::made((65, 49));
        let bytes = |camera, number| scene.picture(camera, number).view().planes[0].data.to_vec();
        for number in 0..2 * PICTURES as u64 {
            assert_ne!(bytes(0, number), bytes(0, number + 1), "{number}");
            assert_ne!(bytes(0, number), bytes(1, number), "{number}");
        }
        let view = scene.pictures[0].view();
        assert_eq!((view.width_px, view.height_px), (64, 48), "an even size, as NV12 needs");
        assert_eq!((view.planes[0].data.len(), view.planes[1].data.len()), (64 * 48, 32 * 48));
    }

    #[test]
    fn the_smallest_picture_is_one_too() {
        let view_of = |size| Scene::made(size).pictures[0].size_px();
        assert_eq!((view_of((0, 0)), view_of((1, 900))), ((16, 16), (16, 900)));
    }
}
