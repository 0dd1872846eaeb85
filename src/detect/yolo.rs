//! Decodes YOLOv8's head: `[4+C, N]`, that is N places with centre, size and one score for each of C classes, each as a row of N values;
//! or those places alone that an engine found worth telling, one after the other. Unwanted classes count for nothing in either, so that
//! both give the same. Pure and total: no value, however odd, makes it panic or gives a box that cannot be drawn.

use crate::infer::Focus;
use crate::types::{ClassId, Detection, Rect};

/// Which candidates a place may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerPlace {
    /// The likeliest of the wanted classes alone: what a pipeline wants, one object under one name.
    Best,
    /// Every wanted class above the threshold: what COCO's measure rewards, since it ranks all answers.
    Every,
}

/// Reads candidates out of a head, ready for non-maximum suppression. Buffers are kept between frames.
#[derive(Debug, Clone)]
pub struct Decoder {
    classes: usize,
    places: usize,
    focus: Focus,
    per_place: PerPlace,
    best_score: Vec<f32>,
    best_class: Vec<ClassId>,
}

impl Decoder {
    /// For a head of `4 + classes` rows with `places` values each, of which the focus says what to read.
    pub fn new((classes, places): (usize, usize), focus: Focus, per_place: PerPlace) -> Self {
        Self { classes, places, focus, per_place, best_score: vec![0.0; places], best_class: vec![0; places] }
    }

    /// Appends all candidates of the whole head in focus, boxes in pixels of the model's input, in the order of places,
    /// then classes. A head that is too short has no candidates.
    pub fn decode(&mut self, head: &[f32], out: &mut Vec<Detection>) {
        if self.places == 0 || head.len() < (4 + self.classes) * self.places {
            return;
        }
        let (boxes, scores) = head.split_at(4 * self.places);
        let scores = &scores[..self.classes * self.places];
        self.scan(scores);
        for place in 0..self.places {
            let best = (self.best_class[place], self.best_score[place]);
            let is_sure = best.1 >= self.focus.confidence;
            if !is_sure {
                continue;
            }
            let values = std::array::from_fn(|row| boxes[row * self.places + place]);
            let column = scores.iter().skip(place).step_by(self.places);
            self.tell(values, column, best, out);
        }
    }

    /// The same for places that were picked already: each its centre, its size and a score for every class, in the order of places.
    pub fn decode_places(&self, places: &[f32], out: &mut Vec<Detection>) {
        for place in places.chunks_exact(4 + self.classes) {
            let Some((&values, scores)) = place.split_first_chunk::<4>() else { continue };
            let wanted = scores.iter().zip(0..).filter(|(_, class)| self.focus.wants(usize::from(*class)));
            let best =
                wanted.fold((0, f32::NEG_INFINITY), |best, (&s, class)| if s > best.1 { (class, s) } else { best });
            if best.1 >= self.focus.confidence {
                self.tell(values, scores.iter(), best, out);
            }
        }
    }

    /// Finds each place's likeliest class. Row after row, as the values lie in memory: the inner loop has no branch and becomes SIMD.
    fn scan(&mut self, scores: &[f32]) {
        self.best_score.fill(f32::NEG_INFINITY);
        self.best_class.fill(0);
        let rows = scores.chunks_exact(self.places).zip(0..);
        for (row, class) in rows.filter(|(_, class)| self.focus.wants(usize::from(*class))) {
            let best = self.best_score.iter_mut().zip(&mut self.best_class);
            for ((best_score, best_class), &score) in best.zip(row) {
                // A score that is not a number is never greater.
                let is_better = score > *best_score;
                *best_score = if is_better { score } else { *best_score };
                *best_class = if is_better { class } else { *best_class };
            }
        }
    }

    /// Appends a place's candidates; none if its box cannot be drawn.
    fn tell<'s>(
        &self,
        [cx, cy, w, h]: [f32; 4],
        scores: impl Iterator<Item = &'s f32>,
        best: (ClassId, f32),
        out: &mut Vec<Detection>,
    ) {
        let bbox = Rect::new(cx - w * 0.5, cy - h * 0.5, cx + w * 0.5, cy + h * 0.5);
        if !bbox.is_sane() {
            return;
        }
        let mut push = |class, score: f32| out.push(Detection { bbox, class, score: score.min(1.0) });
        match self.per_place {
            PerPlace::Best => push(best.0, best.1),
            PerPlace::Every => {
                let sure = scores
                    .zip(0..)
                    .filter(|(s, class)| **s >= self.focus.confidence && self.focus.wants(usize::from(*class)));
                sure.for_each(|(s, class)| push(class, *s));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(confidence: f32) -> Focus {
        Focus { confidence, classes: None }
    }

    fn decoded(shape: (usize, usize), head: &[f32], focus: &Focus, per_place: PerPlace) -> Vec<Detection> {
        let mut out = Vec::new();
        Decoder::new(shape, focus.clone(), per_place).decode(head, &mut out);
        out
    }

    /// Place by place, class by class.
    fn slow((classes, places): (usize, usize), head: &[f32], focus: &Focus, per_place: PerPlace) -> Vec<Detection> {
        let at = |row: usize, place: usize| head[row * places + place];
        let mut out = Vec::new();
        for place in 0..places {
            let (cx, cy, w, h) = (at(0, place), at(1, place), at(2, place), at(3, place));
            let bbox = Rect::new(cx - w * 0.5, cy - h * 0.5, cx + w * 0.5, cy + h * 0.5);
            let mut found: Vec<Detection> = (0..classes)
                .filter(|&class| focus.wants(class))
                .map(|class| Detection { bbox, class: class as ClassId, score: at(4 + class, place) })
                .filter(|d| d.score >= focus.confidence && bbox.is_sane())
                .collect();
            if per_place == PerPlace::Best {
                let best = found.iter().map(|d| d.score).fold(f32::NEG_INFINITY, f32::max);
                found = found.into_iter().find(|d| d.score == best).into_iter().collect();
            }
            out.extend(found.into_iter().map(|d| Detection { score: d.score.min(1.0), ..d }));
        }
        out
    }

    /// What an engine gives that leaves out the rest.
    fn picked((classes, places): (usize, usize), head: &[f32], focus: &Focus) -> Vec<f32> {
        let mut out = Vec::new();
        for place in 0..places {
            let at = |row: usize| head[row * places + place];
            let score = |class: usize| if focus.wants(class) { at(4 + class) } else { 0.0 };
            if (0..classes).any(|class| focus.wants(class) && at(4 + class) >= focus.confidence) {
                out.extend((0..4).map(at).chain((0..classes).map(score)));
            }
        }
        out
    }

    #[test]
    fn a_box_is_read_from_centre_and_size_with_its_likeliest_class() {
        // Two places, two classes; rows: cx, cy, w, h, class 0, class 1.
        let head = [50.0, 10.0, 40.0, 10.0, 20.0, 4.0, 10.0, 4.0, 0.3, 0.1, 0.8, 0.2];
        let found = decoded((2, 2), &head, &all(0.25), PerPlace::Best);
        assert_eq!(found, [Detection { bbox: Rect::new(40.0, 35.0, 60.0, 45.0), class: 1, score: 0.8 }]);
        assert_eq!(decoded((2, 2), &head, &all(0.25), PerPlace::Every).len(), 2);
    }

    #[test]
    fn a_wanted_class_is_found_where_an_unwanted_one_is_likelier() {
        let head = [50.0, 40.0, 20.0, 10.0, 0.3, 0.8];
        let focus = Focus { confidence: 0.25, classes: Some(vec![true, false]) };
        for per_place in [PerPlace::Best, PerPlace::Every] {
            let found = decoded((2, 1), &head, &focus, per_place);
            assert_eq!(found.iter().map(|d| (d.class, d.score)).collect::<Vec<_>>(), [(0, 0.3)]);
        }
    }

    #[test]
    fn a_model_of_one_class_and_a_head_cut_short_are_no_trouble() {
        let head = [5.0, 5.0, 2.0, 2.0, 0.9];
        assert_eq!(decoded((1, 1), &head, &all(0.5), PerPlace::Best).len(), 1);
        assert!(decoded((1, 1), &head[..4], &all(0.5), PerPlace::Best).is_empty());
        assert!(decoded((0, 0), &[], &all(0.5), PerPlace::Every).is_empty());
        let mut out = Vec::new();
        Decoder::new((1, 9), all(0.5), PerPlace::Best).decode_places(&[&head[..], &head[..4]].concat(), &mut out);
        assert_eq!(out.len(), 1, "a place cut short is none");
    }

    fn odd_value() -> impl Strategy<Value = f32> {
        prop_oneof![8 => 0.0_f32..1.0, 4 => -50.0_f32..700.0, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY), 1 => any::<f32>()]
    }

    fn any_head() -> impl Strategy<Value = ((usize, usize), Vec<f32>, Focus)> {
        (1_usize..7, 1_usize..20).prop_flat_map(|(classes, places)| {
            let wanted = prop::option::of(prop::collection::vec(any::<bool>(), classes));
            let focus = (prop_oneof![4 => 0.0_f32..1.0, 1 => Just(0.0)], wanted);
            let focus = focus.prop_map(|(confidence, classes)| Focus { confidence, classes });
            (Just((classes, places)), prop::collection::vec(odd_value(), (4 + classes) * places), focus)
        })
    }

    proptest! {
        #[test]
        fn the_fast_way_and_the_slow_way_find_the_same((shape, head, focus) in any_head(), every: bool) {
            let per_place = if every { PerPlace::Every } else { PerPlace::Best };
            let fast = decoded(shape, &head, &focus, per_place);
            prop_assert!(fast.iter().all(|d| d.bbox.is_sane() && (0.0..=1.0).contains(&d.score)));
            prop_assert_eq!(fast, slow(shape, &head, &focus, per_place));
        }

        #[test]
        fn places_that_were_picked_give_what_the_whole_head_gives((shape, head, focus) in any_head(), every: bool) {
            let per_place = if every { PerPlace::Every } else { PerPlace::Best };
            let mut sparse = Vec::new();
            Decoder::new(shape, focus.clone(), per_place).decode_places(&picked(shape, &head, &focus), &mut sparse);
            prop_assert_eq!(sparse, decoded(shape, &head, &focus, per_place));
        }
    }
}
