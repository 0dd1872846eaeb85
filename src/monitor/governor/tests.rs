//! What an owner relies on, look by look: which step when, in which order, why; what is never done. How it fares over hours against
//! simulated devices: tests/governor/.

use proptest::prelude::*;

use super::*;
use crate::types::BudgetMove;

const EVERY: u64 = 5;

fn ladder(rungs: u32) -> Ladder {
    let models = (0..rungs).map(|n| format!("m{n}")).collect();
    Ladder::new(&Budget::default(), &Offer { models, ..Offer::default() })
}

fn governor(max_watts: Option<f64>, max_celsius: Option<f64>, target_p99_ms: Option<f64>) -> Governor {
    Governor::new(Budget { max_watts, max_celsius, target_p99_ms, ..Budget::default() }, ladder(6))
}

fn heat(celsius: f64) -> Seen {
    Seen { celsius: Some(celsius), ..Seen::default() }
}

fn power(watts: f64) -> Seen {
    Seen { watts: Some(watts), ..Seen::default() }
}

/// Shows the same reading every 5 s; the steps with their seconds.
fn show(governor: &mut Governor, seen: Seen, from: u64, to: u64) -> Vec<(u64, Step)> {
    let looks = (from..to).step_by(EVERY as usize);
    looks.filter_map(|at| Some((at, governor.look(&seen, Duration::from_secs(at))?))).collect()
}

fn levels(steps: &[(u64, Step)]) -> Vec<(u64, usize)> {
    steps.iter().map(|(at, step)| (*at, step.to)).collect()
}

#[test]
fn too_much_heat_takes_rung_after_rung_half_a_minute_apart_and_the_reason_is_told() {
    let mut governor = governor(None, Some(80.0), None);
    let steps = show(&mut governor, heat(83.0), 0, 80);
    assert_eq!(levels(&steps), [(5, 1), (35, 2), (65, 3)]);
    let first = &steps[0].1;
    assert_eq!((first.from, first.rung.to_string().as_str()), (0, "model m0"));
    assert_eq!(first.reason, "temperature 83 °C, limit 80 °C");
    assert_eq!(governor.effect().model.as_deref(), Some("m2"));
    let expected = What::BudgetStep {
        level: 1,
        levels: 6,
        rung: "model m0".to_owned(),
        step: BudgetMove::Down,
        reason: first.reason.clone(),
        watts: None,
        celsius: Some(83.0),
        p99_ms: None,
    };
    assert_eq!(first.what(), expected);
}

#[test]
fn a_rise_is_met_before_the_limit() {
    let mut governor = governor(None, Some(80.0), None);
    let rise = |at: u64| heat(70.0 + at as f64 * 0.1);
    let step = (0..200).step_by(5).find_map(|at| Some((at, governor.look(&rise(at), Duration::from_secs(at))?)));
    let (at, step) = step.expect("it goes on rising");
    assert_eq!(at, 85, "2 °C and 20 s before the limit: {step:?}");
    assert_eq!(step.reason, "temperature 78.5 °C and rising by 6 °C a minute, limit 80 °C");
}

#[test]
fn what_was_given_up_is_given_back_in_reverse_when_there_is_room_to_spare() {
    let mut governor = governor(Some(15.0), Some(80.0), None);
    let both = |watts, celsius| Seen { watts: Some(watts), celsius: Some(celsius), ..Seen::default() };
    let down = show(&mut governor, both(16.0, 70.0), 0, 40);
    assert_eq!(levels(&down), [(5, 1), (35, 2)]);
    assert_eq!(down[0].1.reason, "power 16 W, limit 15 W");
    assert_eq!(show(&mut governor, both(14.5, 70.0), 40, 600), [], "kept, with nothing to spare");
    let up = show(&mut governor, both(12.0, 70.0), 600, 800);
    assert_eq!(levels(&up).iter().map(|(_, level)| *level).collect::<Vec<_>>(), [1, 0]);
    assert!(up[1].0 - up[0].0 >= 60, "one hold between two: {up:?}");
    assert_eq!((up[0].1.direction(), up[0].1.rung.to_string().as_str()), (BudgetMove::Up, "model m1"));
    assert_eq!(up[0].1.reason, "room to spare for 60 s: power 12 of 15 W, temperature 70 of 80 °C");
    assert_eq!(governor.effect(), Effect::default());
}

#[test]
fn a_level_that_proved_too_much_is_left_alone_for_longer_each_time() {
    let mut governor = governor(Some(15.0), None, None);
    // The last level draws 12 W, the one before it 16: there is no level that fits.
    let mut ups = Vec::new();
    for at in (0..4 * 3600).step_by(5) {
        let watts = if governor.level() == 0 { 16.0 } else { 12.0 };
        if governor.look(&power(watts), Duration::from_secs(at)).is_some_and(|s| s.to == 0) {
            ups.push(at);
        }
    }
    let pauses: Vec<u64> = ups.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses[0] >= 240 && pauses[1] >= 960 && pauses[2..].iter().all(|p| *p >= 3600), "{pauses:?}");
    assert!(ups.len() >= 5, "it is tried again all the same: {ups:?}");
}

#[test]
fn when_things_have_changed_a_level_that_failed_is_tried_at_once() {
    let mut governor = governor(Some(15.0), None, None);
    let mut at = 0;
    let mut run = |governor: &mut Governor, watts: [f64; 2], secs: u64| {
        let until = at + secs;
        let mut steps = Vec::new();
        while at < until {
            let now = watts[governor.level().min(1)];
            steps.extend(governor.look(&power(now), Duration::from_secs(at)));
            at += 5;
        }
        steps
    };
    let failures = run(&mut governor, [16.0, 12.0], 1200);
    assert_eq!(failures.len(), 5, "down, and twice up and down: {failures:?}");
    let later = run(&mut governor, [13.0, 11.0], 120);
    assert_eq!(later.len(), 1, "the load fell: {later:?}");
    assert_eq!(governor.level(), 0);
}

#[test]
fn nothing_is_done_for_a_limit_that_cannot_be_read_and_that_is_said_once() {
    let mut governor = governor(Some(15.0), Some(80.0), Some(200.0));
    assert_eq!(show(&mut governor, heat(60.0), 0, 3600), []);
    assert_eq!(governor.notices(), [Notice::Blind(Limit::Watts)], "and not for latency, which need not be there");
    assert_eq!(governor.notices(), []);
    let (at, step) = (3600, Seen { watts: Some(12.0), ..heat(60.0) });
    assert_eq!(show(&mut governor, step, at, at + 10), []);
    assert_eq!(governor.notices(), [Notice::Sees(Limit::Watts)]);
}

#[test]
fn a_sensor_that_falls_silent_holds_what_was_given_up_and_one_that_never_spoke_does_not() {
    let mut hot = governor(Some(15.0), Some(80.0), None);
    assert_eq!(levels(&show(&mut hot, heat(85.0), 0, 30)), [(5, 1)]);
    assert_eq!(show(&mut hot, Seen::default(), 30, 7200), [], "who knows how hot it is");
    assert_eq!(hot.notices(), [Notice::Blind(Limit::Watts), Notice::Blind(Limit::Celsius)]);
    let cool = show(&mut hot, heat(60.0), 7200, 7300);
    assert_eq!(cool.iter().map(|(_, s)| s.to).collect::<Vec<_>>(), [0], "no sensor of power is no reason to wait");
}

#[test]
fn at_the_end_of_the_ladder_it_is_said_once_that_it_was_not_enough() {
    let mut governor = governor(None, None, Some(200.0));
    let late = Seen { p99_ms: Some(900.0), ..Seen::default() };
    let steps = show(&mut governor, late, 0, 3600);
    assert_eq!(steps.len(), 6);
    assert_eq!(governor.notices(), [Notice::Spent(Limit::P99)]);
    assert_eq!(levels(&show(&mut governor, Seen::default(), 3600, 3665)), [(3660, 5)], "no messages, nothing late");
}

#[test]
fn without_a_limit_or_a_rung_nothing_is_ever_done() {
    let everything = Seen { watts: Some(5000.0), celsius: Some(120.0), p99_ms: Some(60_000.0), p99_waits: false };
    assert_eq!(show(&mut governor(None, None, None), everything, 0, 600), []);
    let budget = Budget { max_watts: Some(5.0), ..Budget::default() };
    let mut bare = Governor::new(budget, Ladder::default());
    assert_eq!(show(&mut bare, everything, 0, 600), []);
    assert_eq!(bare.notices(), [Notice::Spent(Limit::Watts)]);
}

#[test]
fn another_budget_keeps_what_is_given_up_and_judges_by_its_own_limits() {
    let mut governor = governor(None, Some(80.0), None);
    show(&mut governor, heat(90.0), 0, 100);
    let level = governor.level();
    assert!(level > 1, "{level}");
    let settings = Budget { max_watts: Some(10.0), ..Budget::default() };
    governor.change(settings, ladder(4));
    assert_eq!(governor.level(), level);
    let seen = Seen { celsius: Some(90.0), ..power(5.0) };
    let back = show(&mut governor, seen, 100, 400);
    assert!(back.iter().all(|(_, step)| step.to < step.from) && governor.level() < level, "{back:?}");
}

#[test]
fn another_ladder_keeps_as_many_rungs_as_it_has() {
    let mut governor = governor(Some(15.0), None, None);
    show(&mut governor, power(20.0), 0, 100);
    assert_eq!(governor.level(), 4);
    governor.change_ladder(ladder(2));
    assert_eq!((governor.level(), governor.effect().model.as_deref()), (2, Some("m1")));
    assert_eq!(levels(&show(&mut governor, power(5.0), 100, 300)), [(165, 1), (235, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is read, by whatever clock: one rung at a time, no more than two steps a minute, nothing done blindly.
    #[test]
    fn the_rules_hold_whatever_is_read(
        looks in prop::collection::vec((0u64..40, prop::option::of(-300.0f64..300.0), prop::option::of(0.0f64..40.0)), 1..400),
        limits in (prop::option::of(50.0f64..90.0), prop::option::of(5.0f64..30.0)),
    ) {
        let mut governor = governor(limits.1, limits.0, None);
        let (mut at, mut level) = (0, 0);
        let mut steps: Vec<u64> = Vec::new();
        for (pause, celsius, watts) in looks {
            at += pause;
            let seen = Seen { watts, celsius, ..Seen::default() };
            let Some(step) = governor.look(&seen, Duration::from_secs(at)) else { continue };
            prop_assert_eq!(step.from, level);
            prop_assert!(step.to.abs_diff(level) == 1 && step.to <= 6, "{:?}", step);
            prop_assert_eq!(&step.rung, &governor.ladder().rungs()[step.from.min(step.to)]);
            prop_assert!(!step.reason.is_empty());
            level = step.to;
            let why = if step.direction() == BudgetMove::Up { "room to spare" } else { "limit" };
            prop_assert!(step.reason.contains(why), "{}", step.reason);
            if step.reason.starts_with("power") {
                prop_assert!(watts.is_some() && limits.1.is_some());
            } else if step.reason.starts_with("temperature") {
                prop_assert!(celsius.is_some_and(|c| c > -60.0) && limits.0.is_some());
            }
            steps.push(at);
            let last_minute = steps.iter().filter(|t| at - **t < 60).count();
            prop_assert!(last_minute <= 2, "{:?}", steps);
        }
        prop_assert_eq!(governor.level(), level);
    }
}
