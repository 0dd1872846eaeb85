//! What codes mean: scale and zero point, tables from codes to values and back, sums of codes in integers.
//!
//! Belongs here: every formula of the engine's numerics but the accumulator's own rounding (see `kernel`). Does not: tensors.

use super::kernel::Mix;

/// `value = (code - zero) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quant {
    /// Width of one step.
    pub scale: f32,
    /// The code of 0.
    pub zero: u8,
}

/// The value of every code.
pub(super) type Values = [f32; 256];

impl Quant {
    /// One that a file names; None when its numbers make no sense.
    pub(super) fn new(scale: f32, zero: i64) -> Option<Self> {
        let zero = u8::try_from(zero).ok()?;
        (scale.is_finite() && scale > f32::MIN_POSITIVE && scale < 1e30).then_some(Self { scale, zero })
    }

    /// The finest one that holds all values from `low` to `high`, and 0 exactly.
    pub(super) fn covering(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / 255.0).max(1e-12);
        let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8;
        Self { scale, zero }
    }

    pub(super) fn value(self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.zero)) * self.scale
    }

    /// The nearest code; a value that is no number counts as 0.
    pub(super) fn code(self, value: f32) -> u8 {
        if value.is_nan() {
            return self.zero;
        }
        ((value / self.scale).round_ties_even() + f32::from(self.zero)).clamp(0.0, 255.0) as u8
    }

    pub(super) fn values(self) -> Values {
        std::array::from_fn(|code| self.value(code as u8))
    }

    /// The codes of values.
    pub(super) fn codes(self, values: &Values) -> [u8; 256] {
        std::array::from_fn(|code| self.code(values[code]))
    }

    /// Least and greatest value.
    pub(super) fn range(self) -> (f32, f32) {
        (self.value(0), self.value(255))
    }
}

/// Least and greatest of a table's values.
pub(super) fn range(values: &Values) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)))
}

/// How codes of `own` and `other` become codes of their sum in `to`; None when their steps are too far apart for integers.
pub(super) fn mix(own: Quant, other: Quant, to: Quant) -> Option<Mix> {
    /// More bits after the point than this add nothing to 8-bit codes.
    const MOST_SHIFT: u32 = 20;
    let ratios = [f64::from(own.scale) / f64::from(to.scale), f64::from(other.scale) / f64::from(to.scale)];
    let greatest = ratios[0].max(ratios[1]);
    let shift = (0..=MOST_SHIFT).rev().find(|&s| greatest * f64::from(1u32 << s) <= f64::from(i16::MAX))?;
    let [a, b] = ratios.map(|r| (r * f64::from(1u32 << shift)).round_ties_even() as i16);
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let zeros = i32::from(a) * i32::from(own.zero) + i32::from(b) * i32::from(other.zero);
    Some(Mix { own: a, other: b, offset: (i32::from(to.zero) << shift) + half - zeros, shift })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_covered_to_half_a_step_and_zero_exactly(a in -1e3f32..1e3, b in -1e3f32..1e3, t in 0f32..1.0) {
            let (low, high) = (a.min(b), a.max(b));
            let q = Quant::covering(low, high);
            let v = low + (high - low) * t;
            prop_assert!((q.value(q.code(v)) - v).abs() <= 0.501 * q.scale + 1e-6, "{q:?} {v}");
            prop_assert!(q.value(q.code(0.0)) == 0.0);
        }

        #[test]
        fn a_sum_in_integers_is_the_sum_of_the_values(s in [0.001f32..1.0, 0.001f32..1.0, 0.01f32..1.0], z in any::<[u8; 3]>(), c in any::<[u8; 2]>()) {
            let [own, other, to] = [0, 1, 2].map(|i| Quant { scale: s[i], zero: z[i] });
            let exact = (own.value(c[0]) + other.value(c[1])) / to.scale + f32::from(to.zero);
            let got = mix(own, other, to).expect("the scales are near").apply(c[0], c[1]);
            // Each factor is off by at most half of 2^-shift, which grows with the ratio of the scales.
            let slack = 0.51 + 255.0 * (own.scale.max(other.scale) / to.scale) / 32_000.0;
            prop_assert!((f32::from(got) - exact.clamp(0.0, 255.0)).abs() <= slack, "{got} {exact}");
        }
    }
}
