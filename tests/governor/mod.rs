//! The governor against simulated devices over hours: limits are kept where the ladder allows it, nothing swings, everything comes back.

mod picture;
pub(crate) mod plant;

use std::time::Duration;

use peregrine::config::Budget;
use peregrine::monitor::Governor;
use peregrine::monitor::governor::{Ladder, Notice, Offer, Seen, Step};
use plant::{Plant, Sensor};
use proptest::prelude::*;

/// A governor with a rung for each of the device's.
fn governor(settings: Budget, plant: &Plant) -> Governor {
    let models = (0..plant.rungs.len()).map(|n| format!("model-{n}")).collect();
    let ladder = Ladder::new(&settings, &Offer { models, ..Offer::default() });
    Governor::new(settings, ladder)
}

/// A device with its sensors and its governor.
struct Run {
    plant: Plant,
    governor: Governor,
    heat: Sensor,
    power: Sensor,
    look_every: u64,
    at: u64,
    steps: Vec<(u64, Step)>,
}

impl Run {
    fn new(settings: Budget, plant: Plant, heat: Sensor, power: Sensor, look_every: u64) -> Self {
        let governor = governor(settings, &plant);
        Self { plant, governor, heat, power, look_every, at: 0, steps: Vec::new() }
    }

    /// So many seconds; `each` sees every one.
    fn seconds(&mut self, count: u64, mut each: impl FnMut(&Self)) {
        for _ in 0..count {
            if self.at.is_multiple_of(self.look_every) {
                let watts = self.power.shows(self.plant.watts(self.governor.level()));
                let celsius = self.heat.shows(self.plant.celsius());
                let seen = Seen { watts: Some(watts), celsius: Some(celsius), ..Seen::default() };
                let step = self.governor.look(&seen, Duration::from_secs(self.at));
                self.steps.extend(step.map(|step| (self.at, step)));
            }
            each(self);
            self.plant.second(self.governor.level());
            self.at += 1;
        }
    }

    fn settle(&mut self) {
        // Every rung may be needed, and the body has to come to rest.
        let rungs = self.plant.rungs.len() as u64;
        self.seconds(rungs * 40 + self.plant.tau_secs as u64 * 6 + 600, |_| {});
    }

    fn most_steps_within(&self, secs: u64) -> usize {
        let times = || self.steps.iter().map(|(at, _)| *at);
        times().map(|from| times().filter(|at| (from..from + secs).contains(at)).count()).max().unwrap_or(0)
    }
}

/// Devices of every kind: small and large heat sinks, coarse and fine ladders.
fn plants() -> impl Strategy<Value = Plant> {
    let rungs = prop::collection::vec(0.5f64..0.95, 4..12);
    (20.0f64..300.0, 1.5f64..4.0, rungs).prop_map(|(tau, gain, rungs)| Plant::new(tau, gain, rungs))
}

/// Devices with a heat sink, and rungs that are worth some degrees each.
fn slow_plants() -> impl Strategy<Value = Plant> {
    let rungs = prop::collection::vec(0.8f64..0.95, 6..12);
    (90.0f64..300.0, 1.5f64..4.0, rungs).prop_map(|(tau, gain, rungs)| Plant::new(tau, gain, rungs))
}

/// Noise, rounding and how often it is looked at.
fn sensors() -> impl Strategy<Value = (f64, f64, u64, u64)> {
    (0.0f64..0.8, prop::sample::select(vec![0.0, 0.1, 0.5, 1.0]), 1u64..=10, any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// The whole promise: below the limit after settling where the ladder allows it, at most two steps a minute, hardly any step once the
    /// device is at rest, the same again after the air got warmer, and everything back when it got cool.
    #[test]
    fn heat_is_kept_below_its_limit_without_swinging_and_all_is_given_back_when_it_cools(
        plant in plants(),
        (noise, quantum, look_every, seed) in sensors(),
        above in 0.05f64..0.95,
        warmer in -8.0f64..8.0,
    ) {
        // Between what the last rung leaves and what no rung takes, and so that a warmer day can be met, too.
        let last = plant.end_celsius(plant.rungs.len()) + 4.0 + warmer.max(0.0);
        let limit = last + (plant.end_celsius(0) - last).max(0.0) * above;
        let settings = Budget { max_celsius: Some(limit), ..Budget::default() };
        let heat = Sensor::new(noise, quantum, seed);
        let mut run = Run::new(settings, plant, heat, Sensor::new(0.0, 0.0, 0), look_every);
        // A step too far back is seen at the second look after it, at the earliest 5 s after it: nobody can be faster.
        let seen_after = look_every.max(5) + look_every;
        let rung = |n: usize| run.plant.end_celsius(n) - run.plant.end_celsius(n + 1);
        let largest = (0..run.plant.rungs.len()).map(rung).fold(0.0, f64::max);
        let unseen = (largest * seen_after as f64 / run.plant.tau_secs).max(2.0);
        for degrees in [0.0, warmer] {
            run.plant.air_celsius += degrees;
            run.settle();
            let (before, mut hottest, mut over) = (run.steps.len(), f64::MIN, 0u32);
            run.seconds(4 * 3600, |run| {
                hottest = hottest.max(run.plant.celsius());
                over += u32::from(run.plant.celsius() > limit + 0.5 + quantum);
            });
            prop_assert!(hottest <= limit + unseen + quantum, "{hottest:.2} with a limit of {limit:.2}: {:?}", run.steps);
            prop_assert!(over <= 144, "above the limit for {over} s of four hours: {:?}", run.steps);
            // A level that fails is tried again after 4 and 16 minutes and then once an hour.
            let later = run.steps.len() - before;
            prop_assert!(later <= 30, "{later} steps in four hours at rest: {:?}", run.steps);
        }
        prop_assert!(run.most_steps_within(60) <= 2, "{:?}", run.steps);
        let notices = run.governor.notices();
        prop_assert!(!notices.iter().any(|n| matches!(n, Notice::Blind(_))), "{notices:?}");

        run.plant.air_celsius -= 60.0;
        let rungs = run.plant.rungs.len() as u64;
        run.seconds(rungs * 90 + run.plant.tau_secs as u64 * 6 + 600, |_| {});
        prop_assert_eq!(run.governor.level(), 0, "it is cold: {:?}", run.steps);
    }

    /// Air that gets warmer over half an hour is met rung by rung before the limit; air that is warmer at once costs hardly more rungs than
    /// it takes, though a large body shows late what they did.
    #[test]
    fn a_change_outside_is_met_in_time_and_with_no_more_than_it_takes(
        plant in slow_plants(),
        (noise, quantum, look_every, seed) in sensors(),
        above in 0.3f64..0.95,
        warmer in 1.0f64..6.0,
    ) {
        let last = plant.end_celsius(plant.rungs.len()) + 4.0 + warmer * 2.0;
        let limit = last + (plant.end_celsius(0) - last).max(0.0) * above;
        let settings = Budget { max_celsius: Some(limit), ..Budget::default() };
        let heat = Sensor::new(noise / 2.0, quantum, seed);
        let mut run = Run::new(settings, plant, heat, Sensor::new(0.0, 0.0, 0), look_every);
        run.settle();
        let mut hottest = f64::MIN;
        for _ in 0..1800 {
            run.plant.air_celsius += warmer / 1800.0;
            run.seconds(1, |run| hottest = hottest.max(run.plant.celsius()));
        }
        prop_assert!(hottest <= limit + 0.5 + quantum, "{hottest:.2} with a limit of {limit:.2}: {:?}", run.steps);
        let levels = run.plant.rungs.len();
        run.plant.air_celsius += warmer;
        let needed = (0..levels).find(|n| run.plant.end_celsius(*n) < limit - 0.5 - noise - quantum).unwrap_or(levels);
        let (mut highest, needed) = (0, needed.max(run.governor.level()));
        run.seconds(7200, |run| highest = highest.max(run.governor.level()));
        prop_assert!(highest <= needed + 1, "{highest} of {needed}: {:?}", run.steps);
    }

    /// Power jumps with every step; the limit is kept on average over the time that a limit of power is about.
    #[test]
    fn power_is_kept_below_its_limit_without_swinging_and_all_is_given_back_when_there_is_less_to_do(
        plant in plants(), noise in 0.0f64..0.6, look_every in 1u64..=10, seed in any::<u64>(), above in 0.02f64..0.98,
    ) {
        let last = plant.watts(plant.rungs.len()) * 1.06 + noise;
        let limit = last + (plant.watts(0) - last).max(0.0) * above;
        let settings = Budget { max_watts: Some(limit), ..Budget::default() };
        let power = Sensor::new(noise, 0.0, seed);
        let mut run = Run::new(settings, plant, Sensor::new(0.0, 0.0, 0), power, look_every);
        run.settle();
        let (before, mut over) = (run.steps.len(), 0u32);
        run.seconds(4 * 3600, |run| over += u32::from(run.plant.watts(run.governor.level()) > limit + noise / 2.0));
        // Each try costs the ten seconds or so that it takes to be sure, at most twenty.
        prop_assert!(over <= 200, "above the limit for {over} s of four hours: {:?}", run.steps);
        let later = run.steps.len() - before;
        prop_assert!(later <= 30, "{later} steps in four hours at rest: {:?}", run.steps);
        prop_assert!(run.most_steps_within(60) <= 2, "{:?}", run.steps);

        run.plant.load = 0.0;
        let rungs = run.plant.rungs.len() as u64;
        run.seconds(rungs * 90 + 600, |_| {});
        if run.plant.idle_watts < limit * 0.95 - noise {
            prop_assert_eq!(run.governor.level(), 0, "there is nothing to do: {:?}", run.steps);
        }
    }
}

#[test]
fn a_ladder_that_is_too_short_is_used_up_and_that_is_said() {
    let plant = Plant::new(60.0, 3.0, vec![0.9, 0.9]);
    let settings = Budget { max_celsius: Some(plant.end_celsius(2) - 5.0), ..Budget::default() };
    let mut run = Run::new(settings, plant, Sensor::new(0.2, 0.5, 1), Sensor::new(0.1, 0.0, 2), 5);
    run.seconds(3600, |_| {});
    assert_eq!((run.governor.level(), run.steps.len()), (2, 2));
    assert_eq!(run.governor.notices().len(), 1);
}
