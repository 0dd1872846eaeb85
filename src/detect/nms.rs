//! Non-maximum suppression: of boxes of one class that overlap too much, the surest stays. Pure, total and deterministic.

use std::cmp::Ordering;

use crate::types::Detection;

/// Keeps the surest boxes, at most `max_boxes` of them, such that no two of one class overlap by more than `max_iou`.
///
/// The result is sorted by score, the surest first. Equal scores keep the order in which they came, so the same input gives the same
/// answer on every machine. A box is compared only with those kept, so thousands of candidates cost thousands of times `max_boxes` at most.
pub fn suppress(candidates: &mut Vec<Detection>, max_iou: f32, max_boxes: usize) {
    candidates.sort_by(surer_first);
    let mut kept = 0;
    for i in 0..candidates.len() {
        if kept == max_boxes {
            break;
        }
        let candidate = candidates[i];
        let is_repeated = |k: &Detection| k.class == candidate.class && k.bbox.iou(&candidate.bbox) > max_iou;
        if !candidates[..kept].iter().any(is_repeated) {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

/// A score that is not a number counts as the least sure of all.
fn surer_first(a: &Detection, b: &Detection) -> Ordering {
    let key = |d: &Detection| if d.score.is_nan() { f32::NEG_INFINITY } else { d.score };
    key(b).total_cmp(&key(a))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Rect;

    fn detection(x: f32, class: u16, score: f32) -> Detection {
        Detection { bbox: Rect::new(x, 0.0, x + 10.0, 10.0), class, score }
    }

    #[test]
    fn the_surer_of_two_boxes_on_one_object_stays() {
        let mut boxes = vec![detection(0.0, 0, 0.5), detection(1.0, 0, 0.9), detection(30.0, 0, 0.3)];
        suppress(&mut boxes, 0.5, 300);
        assert_eq!(boxes, [detection(1.0, 0, 0.9), detection(30.0, 0, 0.3)]);
    }

    #[test]
    fn boxes_of_different_classes_do_not_suppress_each_other() {
        let mut boxes = vec![detection(0.0, 0, 0.5), detection(0.0, 1, 0.9)];
        suppress(&mut boxes, 0.5, 300);
        assert_eq!(boxes.len(), 2);
    }

    /// The textbook: take the surest of the rest, strike out what overlaps it, begin again.
    fn textbook(boxes: &[Detection], max_iou: f32, max_boxes: usize) -> Vec<Detection> {
        let mut rest: Vec<Detection> = boxes.to_vec();
        let mut kept = Vec::new();
        while !rest.is_empty() && kept.len() < max_boxes {
            let mut best = 0;
            for i in 1..rest.len() {
                if rest[i].score > rest[best].score {
                    best = i;
                }
            }
            let surest = rest.remove(best);
            rest.retain(|d| d.class != surest.class || d.bbox.iou(&surest.bbox) <= max_iou);
            kept.push(surest);
        }
        kept
    }

    fn any_detection() -> impl Strategy<Value = Detection> {
        // Coarse numbers make equal scores and exact overlaps common.
        (0_u8..20, 0_u8..20, 1_u8..15, 1_u8..15, 0_u16..3, 0_u8..6).prop_map(|(x, y, w, h, class, score)| Detection {
            bbox: Rect::from_xywh(f32::from(x), f32::from(y), f32::from(w), f32::from(h)),
            class,
            score: f32::from(score) / 5.0,
        })
    }

    proptest! {
        #[test]
        fn the_answer_is_the_textbooks(
            boxes in prop::collection::vec(any_detection(), 0..60), max_iou in 0.0_f32..1.0, max_boxes in 0_usize..40,
        ) {
            let mut fast = boxes.clone();
            suppress(&mut fast, max_iou, max_boxes);
            prop_assert_eq!(fast, textbook(&boxes, max_iou, max_boxes));
        }

        #[test]
        fn odd_numbers_do_no_harm(
            boxes in prop::collection::vec((any::<f32>(), any::<f32>(), any::<f32>(), any::<f32>(), any::<f32>(), 0_u16..2), 0..40),
            max_iou: f32,
        ) {
            let mut all: Vec<_> = boxes.into_iter()
                .map(|(x1, y1, x2, y2, score, class)| Detection { bbox: Rect::new(x1, y1, x2, y2), class, score })
                .collect();
            let before = all.len();
            suppress(&mut all, max_iou, 20);
            prop_assert!(all.len() <= before.min(20));
        }
    }
}
