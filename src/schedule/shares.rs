//! What each camera is entitled to when the engine cannot do all: a rate for each, from what it wants, its weight and what there is.
//!
//! `turns` gives these rates without ever computing them, frame by frame; this is the reckoning on paper, for tests, for `capacity` and for
//! the documents. Does not belong here: time, frames.

use crate::config::Priority;

/// Parts of the engine that a camera of this priority may claim.
pub fn weight(priority: Priority) -> u32 {
    match priority {
        Priority::High => 50,
        Priority::Medium => 30,
        Priority::Low => 20,
    }
}

/// What a camera could use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Frames a second: the least of what it asks for and what it sends; infinite for as many as there are.
    pub rate_hz: f64,
    /// Its priority.
    pub priority: Priority,
}

/// The rates, in the order of the demands, of an engine that does so many frames a second: the shares are max-min fair by weight. Nobody
/// gets more than they want, what they leave goes to the others by weight, and all is given away as long as somebody wants more.
pub fn entitled(capacity_hz: f64, demands: &[Demand]) -> Vec<f64> {
    let mut rates = vec![0.0; demands.len()];
    let weight_of = |i: usize| f64::from(weight(demands[i].priority));
    // Those are satisfied first whose wish is smallest for their weight.
    let mut open: Vec<usize> = (0..demands.len()).collect();
    open.sort_by(|&a, &b| (demands[a].rate_hz / weight_of(a)).total_cmp(&(demands[b].rate_hz / weight_of(b))));
    let mut left_hz = capacity_hz;
    let mut weights: f64 = open.iter().map(|&i| weight_of(i)).sum();
    for &i in &open {
        let share = left_hz.max(0.0) * weight_of(i) / weights;
        rates[i] = demands[i].rate_hz.min(share);
        left_hz -= rates[i];
        weights -= weight_of(i);
    }
    rates
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wants(rate_hz: f64, priority: Priority) -> Demand {
        Demand { rate_hz, priority }
    }

    fn demands() -> impl Strategy<Value = Vec<Demand>> {
        let priority = prop_oneof![Just(Priority::High), Just(Priority::Medium), Just(Priority::Low)];
        let rate = prop_oneof![0.1..60.0, Just(f64::INFINITY)];
        proptest::collection::vec((rate, priority).prop_map(|(r, p)| wants(r, p)), 1..40)
    }

    #[test]
    fn what_one_camera_leaves_goes_to_the_others_by_weight() {
        let all = f64::INFINITY;
        let three = [wants(all, Priority::High), wants(all, Priority::Medium), wants(all, Priority::Low)];
        assert_eq!(entitled(100.0, &three), [50.0, 30.0, 20.0]);
        let modest = [wants(10.0, Priority::High), three[1], three[2]];
        assert_eq!(entitled(100.0, &modest), [10.0, 54.0, 36.0]);
        assert_eq!(entitled(100.0, &[]), [0.0; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_is_given_away_and_nobody_gets_more_than_they_want_or_less_than_their_floor(
            demands in demands(), capacity in 0.1f64..1000.0
        ) {
            let rates = entitled(capacity, &demands);
            let wanted: f64 = demands.iter().map(|d| d.rate_hz).sum();
            let given: f64 = rates.iter().sum();
            prop_assert!((given - capacity.min(wanted)).abs() < 1e-6 * capacity, "{} of {}", given, capacity);
            let weights: f64 = demands.iter().map(|d| f64::from(weight(d.priority))).sum();
            for (rate, demand) in rates.iter().zip(&demands) {
                let floor = capacity * f64::from(weight(demand.priority)) / weights;
                prop_assert!(*rate <= demand.rate_hz && *rate >= demand.rate_hz.min(floor) * (1.0 - 1e-9));
            }
        }

        #[test]
        fn nobody_who_wants_more_has_less_for_their_weight_than_another(
            demands in demands(), capacity in 0.1f64..1000.0
        ) {
            let rates = entitled(capacity, &demands);
            let level = |i: usize| rates[i] / f64::from(weight(demands[i].priority));
            let highest = (0..rates.len()).map(level).fold(0.0, f64::max);
            for i in (0..rates.len()).filter(|&i| rates[i] < demands[i].rate_hz * (1.0 - 1e-9)) {
                prop_assert!(level(i) >= highest * (1.0 - 1e-9), "{} below {}", level(i), highest);
            }
        }
    }
}
