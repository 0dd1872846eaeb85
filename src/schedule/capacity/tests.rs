//! The search, against rules that can be reckoned, and against the policy with an engine that is a model.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::super::Wish;
use super::super::simulation::{Camera, Engine, run};
use super::*;
use crate::config::{Priority, Schedule};

impl Judged for bool {
    fn holds(&self) -> bool {
        *self
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Simulated {
    load: Load,
    bar: Bar,
}

impl Judged for Simulated {
    fn holds(&self) -> bool {
        self.load.holds(&self.bar)
    }
}

/// The batch size has found its place by then.
const COUNTED_FROM: Duration = Duration::from_secs(30);
const LENGTH: Duration = Duration::from_secs(40);

fn simulate(cameras: usize, fps: f64, engine: Engine, (max_batch, bar): (usize, Bar)) -> Simulated {
    let wish = Wish { rate_hz: None, priority: Priority::Medium, max_age: None };
    let camera = |n| Camera { fps, phase: phase(n), jitter: 0.0, wish, comes: Duration::ZERO, leaves: LENGTH };
    let cameras: Vec<_> = (0..cameras).map(camera).collect();
    let settings = Schedule { max_batch, target_p95: bar.target_p95, ..Schedule::default() };
    let outcome = run(&settings, &cameras, engine, (COUNTED_FROM, LENGTH), 7);
    let late = outcome.results.iter().filter(|(at, _)| *at >= COUNTED_FROM);
    let results: Vec<_> = late.map(|(at, late)| (*at - *late, *late)).collect();
    let lost: u64 = outcome.fates.iter().map(|f| f.displaced + f.stale).sum();
    let load = Load { cameras: cameras.len(), over: LENGTH - COUNTED_FROM, due: results.len() as u64 + lost, results };
    Simulated { load, bar }
}

fn of_ms(late: &[u64], due: u64) -> Load {
    let results = late.iter().map(|ms| (Duration::ZERO, Duration::from_millis(*ms))).collect();
    Load { cameras: 1, over: Duration::from_secs(2), due, results }
}

const BAR: Bar = Bar { target_p95: Duration::from_millis(100), most_dropped: 0.01 };

#[test]
fn percentiles_are_times_that_were_measured() {
    let load = of_ms(&(1..=100).rev().collect::<Vec<_>>(), 100);
    let ms = |share| load.percentile(share).map(|d| d.as_millis());
    assert_eq!((ms(0.5), ms(0.95), ms(0.99), ms(1.0)), (Some(50), Some(95), Some(99), Some(100)));
    assert_eq!(of_ms(&[], 3).percentile(0.5), None);
    assert_eq!(load.fps(), 50.0);
}

#[test]
fn a_load_is_carried_while_it_is_early_and_nothing_much_is_lost() {
    assert!(of_ms(&[50; 100], 100).holds(&BAR));
    assert!(!of_ms(&[100; 100], 100).holds(&BAR), "below the target, not at it");
    assert!(of_ms(&[50; 99], 100).holds(&BAR), "one of a hundred may be lost");
    assert!(!of_ms(&[50; 98], 100).holds(&BAR));
    assert!(!of_ms(&[], 100).holds(&BAR) && !of_ms(&[], 0).holds(&BAR), "nothing is no proof");
}

#[test]
fn a_single_disturbance_does_not_halve_the_answer() {
    let mut measured = 0;
    let found = search(64, &mut |n| {
        measured += 1;
        // The first look at 4 cameras is disturbed.
        Ok::<_, Infallible>(n <= 20 && measured != 3)
    });
    assert_eq!(found.map(|f| f.carried), Ok(Some(20)));
}

#[test]
fn a_count_that_does_not_last_is_given_up_for_one_that_does() {
    let mut tried = Vec::new();
    let settled = settle(42, &mut |n| {
        tried.push(n);
        Ok::<_, Infallible>(n <= 38)
    });
    assert_eq!((settled, tried), (Ok((37, Some(true))), vec![42, 39, 37]));
    assert_eq!(settle(2, &mut |_| Ok::<_, Infallible>(false)), Ok((0, Some(false))));
}

#[test]
fn an_error_ends_the_search() {
    assert_eq!(search(8, &mut |n| if n < 4 { Ok(true) } else { Err("lost") }), Err("lost"));
}

proptest! {
    #[test]
    fn where_more_cameras_are_never_easier_the_answer_is_the_knee(knee in 0usize..300, most in 0usize..300) {
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        let found = search(most, &mut |n| {
            *times.entry(n).or_default() += 1;
            Ok::<_, Infallible>(n <= knee)
        })
        .expect("never fails");
        prop_assert_eq!(found.carried.unwrap_or(0), knee.min(most));
        prop_assert!(times.keys().all(|n| (1..=most).contains(n)));
        prop_assert!(times.iter().all(|(n, times)| *times == if *n <= knee { 1 } else { 2 }), "{:?}", times);
        // Doubling and halving.
        prop_assert!(times.len() <= 2 * (most.max(1).ilog2() as usize + 2), "{:?}", times);
    }

    #[test]
    fn whatever_is_measured_the_answer_held_and_one_more_did_not(answers in prop::collection::vec(any::<bool>(), 1..100), most in 1usize..200) {
        let mut at = 0;
        let found = search(most, &mut |_| {
            at += 1;
            Ok::<_, Infallible>(answers[at % answers.len()])
        })
        .expect("never fails");
        let of = |n: usize| found.steps.iter().find(|(count, _)| *count == n).map(|(_, holds)| *holds);
        let carried = found.carried.unwrap_or(0);
        prop_assert!(carried == 0 || of(carried) == Some(true));
        prop_assert!(carried == most || of(carried + 1) == Some(false));
        prop_assert!(found.steps.is_sorted_by(|a, b| a.0 < b.0), "each count once, in order");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_engine_carries_no_more_than_it_computes_and_most_of_that_where_the_target_is_wide(
        each_ms in 2.0f64..40.0,
        fps in 1.0f64..15.0,
        target_ms in 20u64..400,
    ) {
        let engine = Engine { start_ms: 0.0, each_ms, noise: 0.1, workers: 1 };
        let bar = Bar { target_p95: Duration::from_millis(target_ms), most_dropped: 0.01 };
        let found = search(64, &mut |n| Ok::<_, Infallible>(simulate(n, fps, engine, (1, bar)))).expect("never fails");
        let carried = found.carried.unwrap_or(0);
        // The noise is even, so frames cost `each_ms` on average; one of a hundred may be lost.
        let bound = (1e3 / each_ms / fps) * 1.03 + 1.0;
        prop_assert!(carried as f64 <= bound, "{} cameras, bound {}", carried, bound);
        if target_ms as f64 > 12.0 * each_ms && bound < 60.0 && fps * each_ms * 8.0 < 1e3 {
            prop_assert!(carried as f64 >= 0.5 * (bound - 2.0), "{} cameras, bound {}", carried, bound);
        }
        if (target_ms as f64) < each_ms * 0.85 {
            prop_assert_eq!(found.carried, None, "not even one");
        }
    }

    #[test]
    fn an_engine_that_gains_by_batches_carries_more_with_them(start_ms in 8.0f64..20.0, each_ms in 0.5f64..2.0) {
        let engine = Engine { start_ms, each_ms, noise: 0.05, workers: 1 };
        let bar = Bar { target_p95: Duration::from_millis(300), most_dropped: 0.01 };
        let carried = |batch| {
            let found = search(256, &mut |n| Ok::<_, Infallible>(simulate(n, 5.0, engine, (batch, bar)))).expect("never fails");
            found.carried.unwrap_or(0)
        };
        let (one, eight) = (carried(1), carried(8));
        prop_assert!(eight as f64 >= 1.5 * one as f64, "{} one by one, {} by eights", one, eight);
    }
}
