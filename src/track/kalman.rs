//! The motion of a box: centre, area and ratio of sides, of which all but the ratio have a constant speed.
//!
//! SORT writes this as one filter of seven states. Its matrices couple a value only with its own speed, so the seven fall apart into
//! three filters of two states and one of one, with the same result for a twentieth of the arithmetic.

use nalgebra::{Matrix2, Vector2};

use super::bounds::Bounds;

/// Variance of a new track's values, and of their speeds, which one box says nothing about.
const NEW_VALUE: f64 = 10.0;
const NEW_SPEED: f64 = 10_000.0;
/// What one frame adds to the variance of a value, of the centre's speed and of the area's.
const VALUE_NOISE: f64 = 1.0;
const CENTER_SPEED_NOISE: f64 = 1e-2;
const AREA_SPEED_NOISE: f64 = 1e-4;
/// Variance of a measured centre; of a measured area or ratio.
const CENTER_MEASURED: f64 = 1.0;
const SHAPE_MEASURED: f64 = 10.0;
/// Variance of a centre that was found without a look: a patch of picture trembles less than a detector's box.
const CENTER_FOUND: f64 = 0.3;

/// A value and its speed.
#[derive(Debug, Clone, Copy)]
struct Moving {
    state: Vector2<f64>,
    variance: Matrix2<f64>,
    speed_noise: f64,
    measured: f64,
}

impl Moving {
    fn new(value: f64, speed_noise: f64, measured: f64) -> Self {
        let variance = Matrix2::new(NEW_VALUE, 0.0, 0.0, NEW_SPEED);
        Self { state: Vector2::new(value, 0.0), variance, speed_noise, measured }
    }

    fn predict(&mut self) {
        let step = Matrix2::new(1.0, 1.0, 0.0, 1.0);
        self.state = step * self.state;
        let noise = Matrix2::new(VALUE_NOISE, 0.0, 0.0, self.speed_noise);
        self.variance = step * self.variance * step.transpose() + noise;
    }

    fn correct(&mut self, value: f64) {
        self.correct_by(value, self.measured);
    }

    fn correct_by(&mut self, value: f64, measured: f64) {
        let doubt = self.variance.m11 + measured;
        let gain = self.variance.column(0) / doubt;
        self.state += gain * (value - self.state.x);
        self.variance -= gain * gain.transpose() * doubt;
    }
}

/// A value that is taken as constant.
#[derive(Debug, Clone, Copy)]
struct Constant {
    value: f64,
    variance: f64,
}

impl Constant {
    fn correct(&mut self, value: f64) {
        let gain = self.variance / (self.variance + SHAPE_MEASURED);
        self.value += gain * (value - self.value);
        self.variance *= 1.0 - gain;
    }
}

/// The filter of one box.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoxFilter {
    x: Moving,
    y: Moving,
    area: Moving,
    ratio: Constant,
}

impl BoxFilter {
    /// `seen` has an area.
    pub(super) fn new(seen: Bounds) -> Self {
        let [x, y, area, ratio] = measure(seen);
        Self {
            x: Moving::new(x, CENTER_SPEED_NOISE, CENTER_MEASURED),
            y: Moving::new(y, CENTER_SPEED_NOISE, CENTER_MEASURED),
            area: Moving::new(area, AREA_SPEED_NOISE, SHAPE_MEASURED),
            ratio: Constant { value: ratio, variance: NEW_VALUE },
        }
    }

    /// One frame further.
    pub(super) fn predict(&mut self) {
        // An area that would shrink away stands still instead.
        if self.area.state.x + self.area.state.y <= 0.0 {
            self.area.state.y = 0.0;
        }
        self.x.predict();
        self.y.predict();
        self.area.predict();
        self.ratio.variance += VALUE_NOISE;
    }

    /// One frame further that nobody looked at: the area stays, since its speed is known too badly to be carried on.
    pub(super) fn coast(&mut self) {
        let area = self.area.state;
        self.predict();
        self.area.state = area;
    }

    /// Takes in where the centre was found without a look.
    pub(super) fn correct_center(&mut self, (x, y): (f64, f64)) {
        self.x.correct_by(x, CENTER_FOUND);
        self.y.correct_by(y, CENTER_FOUND);
    }

    /// Takes in what was seen.
    pub(super) fn correct(&mut self, seen: Bounds) {
        let [x, y, area, ratio] = measure(seen);
        self.x.correct(x);
        self.y.correct(y);
        self.area.correct(area);
        self.ratio.correct(ratio);
    }

    /// The centre's speed, in pixels a frame.
    pub(super) fn speed(&self) -> (f64, f64) {
        (self.x.state.y, self.y.state.y)
    }

    /// The estimate; not finite when area or ratio went wrong.
    pub(super) fn bounds(&self) -> Bounds {
        let (x, y, area) = (self.x.state.x, self.y.state.x, self.area.state.x);
        let w = (area * self.ratio.value).sqrt();
        let h = area / w;
        Bounds { x1: x - w / 2.0, y1: y - h / 2.0, x2: x + w / 2.0, y2: y + h / 2.0 }
    }
}

/// Centre, area, ratio of width to height.
fn measure(b: Bounds) -> [f64; 4] {
    let (w, h) = (b.x2 - b.x1, b.y2 - b.y1);
    [b.x1 + w / 2.0, b.y1 + h / 2.0, w * h, w / h]
}

#[cfg(test)]
mod tests {
    use nalgebra::{SMatrix, SVector};
    use proptest::prelude::*;

    use super::*;

    fn bounds(x: f64, y: f64, w: f64, h: f64) -> Bounds {
        Bounds { x1: x, y1: y, x2: x + w, y2: y + h }
    }

    fn diagonal<const N: usize>(values: [f64; N]) -> SMatrix<f64, N, N> {
        SMatrix::from_diagonal(&SVector::from(values))
    }

    /// SORT's filter as it is written down: seven states, four of them measured.
    struct Whole {
        state: SVector<f64, 7>,
        variance: SMatrix<f64, 7, 7>,
    }

    impl Whole {
        fn new(seen: Bounds) -> Self {
            let [x, y, s, r] = measure(seen);
            let variance = diagonal([10.0, 10.0, 10.0, 10.0, 1e4, 1e4, 1e4]);
            Self { state: SVector::from([x, y, s, r, 0.0, 0.0, 0.0]), variance }
        }

        fn step(&mut self, seen: Option<Bounds>) {
            if self.state[6] + self.state[2] <= 0.0 {
                self.state[6] = 0.0;
            }
            let mut f = SMatrix::<f64, 7, 7>::identity();
            (0..3).for_each(|i| f[(i, i + 4)] = 1.0);
            self.state = f * self.state;
            self.variance = f * self.variance * f.transpose() + diagonal([1.0, 1.0, 1.0, 1.0, 0.01, 0.01, 0.0001]);
            if let Some(seen) = seen {
                let h = SMatrix::<f64, 4, 7>::identity();
                let s = h * self.variance * h.transpose() + diagonal([1.0, 1.0, 10.0, 10.0]);
                let gain = self.variance * h.transpose() * s.try_inverse().expect("a positive diagonal");
                self.state += gain * (SVector::from(measure(seen)) - h * self.state);
                self.variance = (SMatrix::identity() - gain * h) * self.variance;
            }
        }
    }

    proptest! {
        #[test]
        fn four_small_filters_are_the_whole_one(
            boxes in prop::collection::vec(prop::option::weighted(0.8, (0.0..2000.0, 0.0..1000.0, 1.0..500.0, 1.0..500.0)), 1..40)
        ) {
            let begin = bounds(100.0, 100.0, 50.0, 80.0);
            let (mut ours, mut whole) = (BoxFilter::new(begin), Whole::new(begin));
            for seen in boxes.into_iter().map(|b| b.map(|(x, y, w, h)| bounds(x, y, w, h))) {
                ours.predict();
                seen.iter().for_each(|&s| ours.correct(s));
                whole.step(seen);
                let have = [ours.x.state.x, ours.y.state.x, ours.area.state.x, ours.ratio.value];
                for (i, (a, b)) in have.into_iter().zip(whole.state.iter()).enumerate() {
                    prop_assert!((a - b).abs() <= 1e-7 * b.abs().max(1.0), "state {i}: {a} is not {b}");
                }
            }
        }
    }

    #[test]
    fn a_box_that_moves_evenly_is_found_where_it_will_be() {
        let mut filter = BoxFilter::new(bounds(0.0, 0.0, 20.0, 40.0));
        for i in 1..30 {
            filter.predict();
            filter.correct(bounds(f64::from(i) * 5.0, f64::from(i) * 2.0, 20.0, 40.0));
        }
        filter.predict();
        let found = filter.bounds();
        assert!((found.x1 - 150.0).abs() < 0.1 && (found.y1 - 60.0).abs() < 0.1, "{found:?}");
    }
}
