//! Where the output's pixels lie along one axis of a plane: the left neighbour of each, and how far beyond it.
//! Centres of pixels stand at half numbers on both sides, as in OpenCV's INTER_LINEAR; nothing is averaged over an area.

/// One in the fixed point of weights. A weight never reaches it: the next neighbour would be taken instead.
const ONE_Q15: f64 = 32768.0;

/// An output interval over a plane's samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Where the first output pixel begins, in samples.
    pub(super) origin: f64,
    /// How many samples one output pixel is wide.
    pub(super) step: f64,
}

impl Span {
    /// The same interval over a plane of half the size.
    pub(super) fn halved(self) -> Self {
        Self { origin: self.origin * 0.5, step: self.step * 0.5 }
    }

    /// The sample before output pixel `i` and the weight of the one after it.
    pub(super) fn at(&self, i: usize, samples: usize) -> (usize, i16) {
        let last = samples.saturating_sub(1) as f64;
        let at = (self.origin + (i as f64 + 0.5) * self.step - 0.5).clamp(0.0, last);
        let before = at.floor();
        let weight = ((at - before) * ONE_Q15).round().min(ONE_Q15 - 1.0);
        (before as usize, weight as i16)
    }
}

/// The horizontal table: for each output pixel its left neighbour, and the weights of both neighbours.
#[derive(Debug)]
pub(super) struct Columns {
    /// The first sample that is needed at all.
    pub(super) first: usize,
    /// How many samples from there on; the row buffer has one more, a copy of the last.
    pub(super) len: usize,
    /// Left neighbours, counted from `first`; all below `len`.
    pub(super) left: Vec<u32>,
    /// Weight of the left and of the right neighbour; together 32767, since 32768 is no i16.
    pub(super) weights: Vec<[i16; 2]>,
}

impl Columns {
    pub(super) fn new(span: Span, count: usize, samples: usize) -> Self {
        let ends = [0, count.saturating_sub(1)].map(|i| span.at(i, samples).0);
        let (first, last) = (ends[0], (ends[1] + 1).min(samples.saturating_sub(1)));
        let (mut left, mut weights) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for i in 0..count {
            let (before, right) = span.at(i, samples);
            left.push((before - first) as u32);
            weights.push([i16::MAX - right, right]);
        }
        Self { first, len: last - first + 1, left, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_size_takes_the_middle_of_three() {
        let columns = Columns::new(Span { origin: 0.0, step: 3.0 }, 640, 1920);
        assert_eq!((columns.first, columns.left[0], columns.left[639]), (1, 0, 1917));
        assert!(columns.weights.iter().all(|w| w[1] == 0));
    }

    #[test]
    fn the_edge_is_repeated_where_an_output_pixel_lies_beyond_it() {
        let columns = Columns::new(Span { origin: 0.0, step: 0.25 }, 8, 2);
        assert_eq!(columns.left, [0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((columns.weights[0], columns.weights[7]), ([i16::MAX, 0], [i16::MAX, 0]));
    }

    #[test]
    fn one_sample_serves_any_number_of_pixels() {
        let columns = Columns::new(Span { origin: 0.3, step: 0.1 }, 5, 1);
        assert_eq!((columns.first, columns.len), (0, 1));
        assert!(columns.left.iter().all(|&l| l == 0));
    }
}
