//! A picture of its own memory that can be drawn on, in I420 whatever it came from. Clips at its edges; never panics.

use super::font;
use crate::pixels::{Cover, Window};
use crate::types::{ImageView, PixelFormat, Rect};

/// A colour in BT.601, limited range: good enough for boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    y: u8,
    u: u8,
    v: u8,
}

impl Color {
    /// White.
    pub const WHITE: Self = Self { y: 235, u: 128, v: 128 };
    const BLACK: Self = Self { y: 16, u: 128, v: 128 };
    /// Green, yellow, cyan, magenta, orange, blue, red, violet: apart from each other and from most scenes.
    const PALETTE: [Self; 8] = [
        Self { y: 145, u: 54, v: 34 },
        Self { y: 210, u: 16, v: 146 },
        Self { y: 170, u: 166, v: 16 },
        Self { y: 106, u: 202, v: 222 },
        Self { y: 165, u: 42, v: 179 },
        Self { y: 90, u: 220, v: 90 },
        Self { y: 81, u: 90, v: 240 },
        Self { y: 120, u: 190, v: 170 },
    ];

    /// The colour that goes with a number.
    pub fn of_number(number: u64) -> Self {
        Self::PALETTE[(number % Self::PALETTE.len() as u64) as usize]
    }
}

/// The picture.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: usize,
    height: usize,
    /// Y, then U, then V, rows without padding.
    data: Vec<u8>,
}

impl Canvas {
    /// Copies an image. RGB becomes grey: marks are what one looks at.
    pub fn copy_of(view: &ImageView<'_>) -> Self {
        let (width, height) = (view.width_px as usize, view.height_px as usize);
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let mut canvas = Self { width, height, data: vec![128; width * height + 2 * chroma] };
        let byte = |plane: usize, x: usize, y: usize| {
            let p = &view.planes[plane];
            p.data.get(y * p.stride + x).copied().unwrap_or(0)
        };
        for y in 0..height {
            let row = &mut canvas.data[y * width..][..width];
            match view.format {
                PixelFormat::Rgb => {
                    for (x, out) in row.iter_mut().enumerate() {
                        *out = 16 + (u16::from(byte(0, 3 * x + 1, y)) * 219 / 255) as u8;
                    }
                }
                PixelFormat::Nv12 | PixelFormat::I420 => {
                    let from = y * view.planes[0].stride;
                    if let Some(source) = view.planes[0].data.get(from..from + width) {
                        row.copy_from_slice(source);
                    }
                }
            }
        }
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        for (i, (y, x)) in (0..ch).flat_map(|y| (0..cw).map(move |x| (y, x))).enumerate() {
            let (u, v) = match view.format {
                PixelFormat::Nv12 => (byte(1, 2 * x, y), byte(1, 2 * x + 1, y)),
                PixelFormat::I420 => (byte(1, x, y), byte(2, x, y)),
                PixelFormat::Rgb => (128, 128),
            };
            canvas.data[width * height + i] = u;
            canvas.data[width * height + chroma + i] = v;
        }
        canvas
    }

    /// Width and height in pixels.
    pub fn size_px(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The I420 planes, one after the other.
    pub fn i420(&self) -> &[u8] {
        &self.data
    }

    /// Black over every pixel that a mask touches; what is drawn later lies upon it.
    pub fn hide(&mut self, cover: &Cover) {
        if cover.is_empty() {
            return;
        }
        let frame_px = (self.width as u32, self.height as u32);
        for run in cover.runs(&Window::whole(frame_px), 0.0) {
            let y = run.y as i64;
            self.fill((run.from as i64, y), (run.to as i64, y + 1), Color::BLACK);
        }
    }

    /// A rectangle's outline, so many pixels thick.
    pub fn frame(&mut self, rect: &Rect, thickness_px: u32, color: Color) {
        if !rect.is_sane() {
            return;
        }
        let (x1, y1, x2, y2) = (rect.x1 as i64, rect.y1 as i64, rect.x2 as i64, rect.y2 as i64);
        let t = i64::from(thickness_px);
        self.fill((x1, y1), (x2, y1 + t), color);
        self.fill((x1, y2 - t), (x2, y2), color);
        self.fill((x1, y1), (x1 + t, y2), color);
        self.fill((x2 - t, y1), (x2, y2), color);
    }

    /// A line of text in black on its colour.
    pub fn text(&mut self, (x, y): (i64, i64), scale: u32, color: Color, text: &str) {
        let s = i64::from(scale);
        let (advance, height) = (i64::from(font::WIDTH + 1) * s, i64::from(font::HEIGHT + 2) * s);
        let width = advance * text.chars().count() as i64 + s;
        self.fill((x, y), (x + width, y + height), color);
        for (i, c) in text.chars().enumerate() {
            let left = x + s + advance * i as i64;
            for (column, bits) in font::glyph(c).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|r| bits >> r & 1 == 1) {
                    let (px, py) = (left + s * column as i64, y + s + s * i64::from(row));
                    self.fill((px, py), (px + s, py + s), Color::BLACK);
                }
            }
        }
    }

    fn fill(&mut self, (x1, y1): (i64, i64), (x2, y2): (i64, i64), color: Color) {
        let clip = |v: i64, limit: usize| v.clamp(0, limit as i64) as usize;
        let (x1, x2, y1, y2) =
            (clip(x1, self.width), clip(x2, self.width), clip(y1, self.height), clip(y2, self.height));
        if x1 >= x2 || y1 >= y2 {
            return;
        }
        for y in y1..y2 {
            self.data[y * self.width + x1..y * self.width + x2].fill(color.y);
        }
        let (luma, cw) = (self.width * self.height, self.width.div_ceil(2));
        let chroma = cw * self.height.div_ceil(2);
        for y in y1 / 2..y2.div_ceil(2) {
            let (from, to) = (luma + y * cw + x1 / 2, luma + y * cw + x2.div_ceil(2));
            self.data[from..to].fill(color.u);
            self.data[from + chroma..to + chroma].fill(color.v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Pixels, RgbImage};

    fn blank(width_px: u32, height_px: u32) -> Canvas {
        let image = RgbImage { width_px, height_px, data: vec![0; (width_px * height_px * 3) as usize] };
        Canvas::copy_of(&image.view())
    }

    #[test]
    fn a_frame_is_drawn_on_its_edges_and_nowhere_else() {
        let mut canvas = blank(20, 10);
        canvas.frame(&Rect::new(4.0, 2.0, 16.0, 8.0), 1, Color::WHITE);
        let at = |x: usize, y: usize| canvas.data[y * 20 + x];
        assert_eq!((at(4, 2), at(15, 7), at(4, 5)), (235, 235, 235));
        assert_eq!((at(3, 2), at(8, 5), at(16, 8)), (16, 16, 16));
    }

    #[test]
    fn what_is_masked_is_black_in_every_plane_and_the_rest_stays() {
        let image = RgbImage { width_px: 9, height_px: 7, data: vec![200; 9 * 7 * 3] };
        let mut canvas = Canvas::copy_of(&image.view());
        canvas.data[63..].fill(77);
        canvas.hide(&Cover::new([vec![(0.4, 0.0), (1.0, 0.0), (1.0, 0.5), (0.4, 0.5)]]));
        let luma: Vec<_> = canvas.data[..63].chunks(9).map(|row| row.iter().filter(|y| **y == 16).count()).collect();
        assert_eq!(luma, [6, 6, 6, 6, 0, 0, 0]);
        // Columns 3 to 8 and rows 0 to 3 lie in these chroma samples.
        let u: Vec<_> = canvas.data[63..83].chunks(5).map(|row| row.iter().filter(|u| **u == 128).count()).collect();
        assert_eq!(u, [4, 4, 0, 0]);
        assert_eq!(canvas.data[63..83], canvas.data[83..]);
    }

    #[test]
    fn whatever_lies_outside_is_clipped() {
        for (w, h) in [(1, 1), (3, 5), (16, 9)] {
            let mut canvas = blank(w, h);
            canvas.frame(&Rect::new(-50.0, -50.0, 500.0, 500.0), 9, Color::WHITE);
            canvas.frame(&Rect::new(f32::NAN, 0.0, 1.0, 1.0), 2, Color::WHITE);
            canvas.text((-3, -2), 3, Color::of_number(u64::MAX), "outside ü");
            canvas.text((i64::from(w) - 1, i64::from(h) - 1), 2, Color::WHITE, "edge");
        }
    }
}
