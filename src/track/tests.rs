//! What a user relies on: who is reported when, numbers that are never given twice, and no input that breaks it.

use std::collections::HashSet;

use proptest::prelude::*;

use super::Tracker;
use crate::config;
use crate::types::{Detection, Rect, TrackId};

fn tracker(max_age_frames: u32, min_hits: u32) -> Tracker {
    Tracker::new(config::Track { max_age_frames, min_hits, iou: 0.3 })
}

fn at(x: f32, class: u16) -> Detection {
    Detection { bbox: Rect::from_xywh(x, 50.0, 40.0, 80.0), class, score: 0.9 }
}

fn ids(tracker: &mut Tracker, detections: &[Detection]) -> Vec<TrackId> {
    tracker.update(detections).seen.iter().map(|t| t.id).collect()
}

#[test]
fn a_track_is_confirmed_by_hits_in_a_row_and_ended_once() {
    let mut tracker = tracker(1, 3);
    (0..5).for_each(|_| assert!(tracker.update(&[]).seen.is_empty()));
    let seen: Vec<usize> = (0..4).map(|i| ids(&mut tracker, &[at(i as f32, 0)]).len()).collect();
    assert_eq!(seen, [0, 0, 0, 1]);
    assert!(tracker.update(&[]).ended.is_empty(), "it survives one frame");
    let ended = tracker.update(&[]).ended;
    assert_eq!((ended.len(), ended[0].id, ended[0].lost_frames, ended[0].age_frames), (1, 1, 2, 6));
    assert_eq!(tracker.alive(), 0);
    assert!(tracker.update(&[]).ended.is_empty());
}

#[test]
fn a_track_that_nobody_heard_of_ends_in_silence() {
    let mut tracker = tracker(0, 3);
    (0..5).for_each(|_| drop(tracker.update(&[])));
    tracker.update(&[at(0.0, 0)]);
    assert_eq!(tracker.update(&[]), crate::types::TrackUpdate::default());
}

#[test]
fn the_first_frames_report_at_once_and_birth_is_told_once() {
    let mut tracker = tracker(1, 3);
    let first = tracker.update(&[at(0.0, 0)]);
    assert_eq!((first.seen.len(), first.born), (1, vec![1]));
    let second = tracker.update(&[at(1.0, 0)]);
    assert_eq!((second.seen[0].id, second.born), (1, vec![]));
}

#[test]
fn a_detection_of_another_class_is_another_object() {
    let mut tracker = tracker(5, 1);
    assert_eq!(ids(&mut tracker, &[at(0.0, 0)]), [1]);
    tracker.update(&[at(0.0, 7)]);
    assert_eq!(ids(&mut tracker, &[at(0.0, 7)]), [2]);
    assert_eq!(ids(&mut tracker, &[at(0.0, 0)]), [1]);
}

#[test]
fn two_that_compete_are_matched_by_the_greatest_sum() {
    let mut tracker = tracker(1, 1);
    assert_eq!(ids(&mut tracker, &[at(0.0, 0), at(16.0, 0)]), [1, 2]);
    let mut seen = tracker.update(&[at(17.0, 0), at(2.0, 0)]).seen;
    seen.sort_by_key(|t| t.id);
    assert!(seen[0].bbox.x1 < 5.0 && seen[1].bbox.x1 > 12.0, "{seen:?}");
}

#[test]
fn a_thousand_equal_boxes_are_a_thousand_tracks() {
    let mut tracker = tracker(1, 1);
    let crowd = vec![at(0.0, 0); 1000];
    let first: HashSet<TrackId> = ids(&mut tracker, &crowd).into_iter().collect();
    let second: HashSet<TrackId> = ids(&mut tracker, &crowd).into_iter().collect();
    assert_eq!((first.len(), first == second), (1000, true));
}

fn walked(looks_every: usize) -> (Vec<TrackId>, f32) {
    let mut tracker = tracker(5, 1);
    let mut ids = Vec::new();
    let mut worst = 0.0_f32;
    for n in 0..40 {
        let x = n as f32 * 4.0;
        let update =
            if n < 6 || n % looks_every == 0 { tracker.update(&[at(x, 0)]) } else { tracker.coast(&mut |_| None) };
        ids.extend(update.seen.iter().map(|t| t.id));
        worst = update.seen.iter().map(|t| (t.bbox.x1 - x).abs()).fold(worst, f32::max);
    }
    (ids, worst)
}

#[test]
fn somebody_who_walks_evenly_keeps_number_and_place_where_few_frames_are_looked_at() {
    assert_eq!(walked(1).0, vec![1; 40]);
    let (ids, worst) = walked(6);
    assert_eq!(ids, vec![1; 40]);
    assert!(worst < 3.0, "{worst} px off");
}

#[test]
fn nobody_is_lost_or_born_by_a_frame_that_nobody_looked_at_and_whoever_was_missed_grows_older() {
    let mut tracker = tracker(3, 1);
    (0..4).for_each(|_| drop(tracker.update(&[at(0.0, 0), at(200.0, 0)])));
    // The second one was missed by the last look: nobody says that it is there.
    tracker.update(&[at(0.0, 0)]);
    let coasted = tracker.coast(&mut |_| None);
    assert_eq!(coasted.seen.iter().map(|t| (t.id, t.lost_frames)).collect::<Vec<_>>(), [(1, 1)]);
    assert!(coasted.born.is_empty() && coasted.ended.is_empty());
    tracker.coast(&mut |_| None);
    let ended = tracker.coast(&mut |_| None).ended;
    assert_eq!((ended.len(), ended[0].id, ended[0].bbox.x1.round()), (1, 2, 200.0), "where it was seen last");
    (0..50).for_each(|_| assert_eq!(tracker.coast(&mut |_| None).seen.len(), 1));
    assert_eq!(ids(&mut tracker, &[at(0.0, 0)]), [1]);
}

#[test]
fn one_look_after_three_frames_confirms_as_three_looks_do() {
    let mut tracker = tracker(5, 3);
    (0..5).for_each(|_| drop(tracker.update(&[])));
    assert!(tracker.update(&[at(0.0, 0)]).born.is_empty());
    (0..2)
        .for_each(|_| assert!(tracker.coast(&mut |_| None).seen.is_empty(), "nobody is told of who is not confirmed"));
    assert_eq!(tracker.update(&[at(1.0, 0)]).born, [1]);
}

#[test]
fn a_track_goes_where_it_is_found() {
    let mut tracker = tracker(5, 1);
    (0..6).for_each(|_| drop(tracker.update(&[at(0.0, 0)])));
    let found = tracker.coast(&mut |view| Some((view.bbox.x1 + view.bbox.width() / 2.0 + 10.0, 90.0)));
    assert!((found.seen[0].bbox.x1 - 8.0).abs() < 2.0, "{found:?}");
    let nonsense = tracker.coast(&mut |_| Some((f32::NAN, f32::INFINITY)));
    assert!(nonsense.seen[0].bbox.is_sane());
}

fn any_detection() -> impl Strategy<Value = Detection> {
    let coordinate = || prop_oneof![4 => 0.0_f32..200.0, 1 => prop::num::f32::ANY, 1 => Just(0.0)];
    let near = (0.0_f32..200.0, 0.0_f32..200.0, 1.0_f32..80.0, 1.0_f32..80.0);
    let bbox = prop_oneof![
        3 => near.prop_map(|(x, y, w, h)| Rect::from_xywh(x, y, w, h)),
        1 => (coordinate(), coordinate(), coordinate(), coordinate()).prop_map(|(a, b, c, d)| Rect::new(a, b, c, d)),
    ];
    (bbox, 0_u16..3, prop::num::f32::ANY).prop_map(|(bbox, class, score)| Detection { bbox, class, score })
}

fn any_frames() -> impl Strategy<Value = Vec<Vec<Detection>>> {
    prop::collection::vec(prop::collection::vec(any_detection(), 0..12), 1..25)
}

proptest! {
    #[test]
    fn whatever_is_detected_numbers_stay_unique_and_lives_have_an_order(
        frames in any_frames(), looks in prop::collection::vec(prop::bool::weighted(0.6), 25),
        max_age in 0_u32..4, min_hits in 0_u32..4, iou in -0.5_f32..1.5,
    ) {
        let mut tracker = Tracker::new(config::Track { max_age_frames: max_age, min_hits, iou });
        let (mut born, mut ended) = (HashSet::new(), HashSet::new());
        for (detections, look) in frames.into_iter().zip(looks) {
            let update = if look { tracker.update(&detections) } else { tracker.coast(&mut |_| None) };
            for id in &update.born {
                prop_assert!(born.insert(*id), "{id} was born twice");
            }
            let mut now = HashSet::new();
            for track in &update.seen {
                prop_assert!(now.insert(track.id), "{} is twice in one frame", track.id);
                prop_assert!(born.contains(&track.id) && !ended.contains(&track.id));
                prop_assert_eq!(track.lost_frames == 0, look);
            }
            for track in &update.ended {
                prop_assert!(born.contains(&track.id) && ended.insert(track.id) && !now.contains(&track.id));
            }
        }
    }

    #[test]
    fn each_class_is_tracked_as_if_it_were_alone(frames in any_frames()) {
        let mut all = tracker(1, 1);
        let mut alone = [tracker(1, 1), tracker(1, 1), tracker(1, 1)];
        for detections in frames {
            let together = all.update(&detections);
            for (class, tracker) in (0_u16..).zip(&mut alone) {
                let own: Vec<Detection> = detections.iter().filter(|d| d.class == class).copied().collect();
                let boxes = |seen: Vec<crate::types::Track>| -> Vec<[u32; 4]> {
                    let of_class = seen.into_iter().filter(|t| t.class == class).map(|t| t.bbox);
                    of_class.map(|b| [b.x1, b.y1, b.x2, b.y2].map(f32::to_bits)).collect()
                };
                prop_assert_eq!(boxes(together.seen.clone()), boxes(tracker.update(&own).seen));
            }
        }
    }
}
