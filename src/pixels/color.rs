//! From YUV to RGB: the constants of BT.601 and BT.709, in the fixed point that the kernels use.

use crate::types::{ColorMatrix, ColorRange};

/// What `kernels::yuv_to_rgb` needs. Each factor is split so that it fits 16 bits beside 8.6 fixed-point samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct YuvToRgb {
    /// Black, in 8.6.
    pub(super) black: i16,
    /// Luma's factor less 1, in Q15.
    pub(super) luma: i16,
    /// V's factor in red less 1, in Q14.
    pub(super) red_v: i16,
    /// U's factor in green, negated, in Q14.
    pub(super) green_u: i16,
    /// V's factor in green, negated, in Q14.
    pub(super) green_v: i16,
    /// U's factor in blue less 1, in Q14.
    pub(super) blue_u: i16,
}

/// The factors as the standards have them: luma's, V's in red, U's and V's in green (negated), U's in blue; and black.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors {
    pub(super) black: f64,
    pub(super) luma: f64,
    pub(super) red_v: f64,
    pub(super) green_u: f64,
    pub(super) green_v: f64,
    pub(super) blue_u: f64,
}

impl Factors {
    pub(super) fn of(matrix: ColorMatrix, range: ColorRange) -> Self {
        let (kr, kb) = match matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match range {
            ColorRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            ColorRange::Full => (0.0, 1.0, 1.0),
        };
        let (red_v, blue_u) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
        let kg = 1.0 - kr - kb;
        Self { black, luma, red_v, green_u: blue_u * kb / kg, green_v: red_v * kr / kg, blue_u }
    }
}

impl YuvToRgb {
    pub(super) fn of(matrix: ColorMatrix, range: ColorRange) -> Self {
        let f = Factors::of(matrix, range);
        let q = |x: f64, one: f64| (x * one).round() as i16;
        Self {
            black: q(f.black, 64.0),
            luma: q(f.luma - 1.0, 32768.0),
            red_v: q(f.red_v - 1.0, 16384.0),
            green_u: q(f.green_u, 16384.0),
            green_v: q(f.green_v, 16384.0),
            blue_u: q(f.blue_u - 1.0, 16384.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_those_of_the_standards() {
        let f = Factors::of(ColorMatrix::Bt601, ColorRange::Limited);
        for (ours, theirs) in
            [(f.luma, 1.164), (f.red_v, 1.596), (f.green_u, 0.392), (f.green_v, 0.813), (f.blue_u, 2.017)]
        {
            assert!((ours - theirs).abs() < 1e-3, "{ours} is not {theirs}");
        }
        let f = Factors::of(ColorMatrix::Bt709, ColorRange::Full);
        for (ours, theirs) in
            [(f.luma, 1.0), (f.red_v, 1.5748), (f.green_u, 0.1873), (f.green_v, 0.4681), (f.blue_u, 1.8556)]
        {
            assert!((ours - theirs).abs() < 1e-4, "{ours} is not {theirs}");
        }
    }
}
