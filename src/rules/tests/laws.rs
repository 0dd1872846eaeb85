//! What holds for every story that a tracker can tell.

use proptest::prelude::*;

use super::*;

/// Whatever a tracker tells: who is seen, where, and who is given up.
fn stories() -> impl Strategy<Value = Vec<Vec<(TrackId, f64, f64, bool)>>> {
    let step = (1u64..6, -0.1..1.1f64, -0.1..1.1f64, prop::bool::weighted(0.1));
    prop::collection::vec(prop::collection::vec(step, 0..4), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// What begins ends, in that order and once; numbers go on from one another; time never goes back.
    #[test]
    fn whatever_a_tracker_tells_the_accounts_are_right(story in stories(), settle in 0u64..400) {
        let camera = Camera {
            appearances: true,
            stopped: Some(Duration::from_millis(300)),
            lines: BTreeMap::from([("gate".to_owned(), Line { count_every: Some(Duration::from_secs(1)), ..middle_line() })]),
            ..with_zone(Zone {
                dwell: Some(Duration::from_millis(300)),
                crowd: Some(Crowd { count: 2, hold: Duration::from_millis(200) }),
                occupancy: true,
                settle: Duration::from_millis(settle),
                ..right_half()
            })
        };
        let mut scene = Scene::of(&camera);
        for frame in &story {
            let mut steps: Vec<TrackEvent> = Vec::new();
            for &(id, x, y, over) in frame {
                if steps.iter().all(|step| step.track.id != id) {
                    let phase = if over { TrackPhase::End } else { TrackPhase::Update };
                    steps.push(scene.step(At(id, x, y), "person", phase));
                }
            }
            scene.frame_of(&steps);
        }
        scene.end();
        let count = |kind: &str| scene.told.iter().filter(|event| event.what.kind() == kind).count();
        for (begin, end) in [("appeared", "gone"), ("entered", "left"), ("dwell", "dwell_end"), ("stopped", "moving"), ("crowd", "crowd_end")] {
            prop_assert_eq!(count(begin), count(end), "{} and {}", begin, end);
            let mut open = std::collections::BTreeSet::new();
            for event in &scene.told {
                let (kind, who) = (event.what.kind(), event.subject.as_ref().map(|s| s.uid));
                prop_assert!(kind != begin || open.insert(who), "{:?} {} twice", who, begin);
                prop_assert!(kind != end || open.remove(&who), "{:?} {} before {}", who, end, begin);
            }
        }
        let (mut told, mut inside, mut crossed, mut totals) = (0, 0i32, 0u64, 0u64);
        for event in &scene.told {
            match &event.what {
                What::Occupancy { count, before, .. } => {
                    prop_assert_eq!(*before, told);
                    prop_assert_ne!(count, before);
                    told = *count;
                }
                What::Entered { .. } => inside += 1,
                What::Left { .. } => inside -= 1,
                What::Crossed { .. } => crossed += 1,
                What::Count { count, .. } => totals += count,
                _ => {}
            }
            prop_assert!(inside >= 0, "nobody leaves who is not in");
        }
        prop_assert_eq!((told, inside), (0, 0));
        prop_assert_eq!(crossed, totals, "every crossing is in one interval's count");
        prop_assert!(scene.told.windows(2).all(|pair| pair[0].at.mono <= pair[1].at.mono));
    }

    /// Whoever crosses back and forth has crossed as often one way as the other, but for the side where they stay.
    #[test]
    fn crossings_of_one_who_stays_in_view_alternate(xs in prop::collection::vec(0.0..1.0f64, 2..80)) {
        let whole = Line { points: vec![(0.5, 0.0), (0.5, 1.0)], ..middle_line() };
        let mut scene = Scene::of(&with_line(whole));
        for x in &xs {
            scene.frame(&[At(1, *x, 0.5)]);
        }
        scene.end();
        let directions = scene.directions();
        prop_assert!(directions.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", directions);
    }
}
