//! What codes mean: scale and zero point, tables from codes to values and back, sums of codes.
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

/// How values of `own`'s codes and codes in steps of `other` become codes of their sum in `to`; None when they are too far beyond it.
pub(super) fn mix(own: &Values, other: Quant, to: Quant) -> Option<Mix> {
    /// Sums are rounded to 32 bits; this is far from them and farther from anything that a code can hold.
    const FARTHEST: f32 = 1e8;
    if own.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let (low, high) = range(own);
    let (other_low, other_high) = other.range();
    let reach = low.abs().max(high.abs()) + other_low.abs().max(other_high.abs());
    let mix = Mix::new(*own, (other.scale, other.zero), (to.scale, to.zero));
    (reach * mix.inverse < FARTHEST).then_some(mix)
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
        fn a_sum_of_codes_is_the_code_of_the_sum(s in [0.01f32..1.0, 0.01f32..1.0, 0.02f32..1.0], z in any::<[u8; 3]>(), c in any::<[u8; 2]>()) {
            let [own, other, to] = [0, 1, 2].map(|i| Quant { scale: s[i], zero: z[i] });
            let mix = mix(&own.values(), other, to).expect("the scales are near");
            let exact = (own.value(c[0]) + other.value(c[1])) / to.scale + f32::from(to.zero);
            let got = f32::from(mix.apply(c[0], c[1]));
            prop_assert!((got - exact.clamp(0.0, 255.0)).abs() <= 0.5001, "{got} {exact}");
        }
    }
}
