//! How late messages are of late: a quantile of all cameras' together, as the governor needs it.
//!
//! Belongs here: over which time it is taken. Does not: what is done about it (see `governor`); each camera's own is in `measure.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::{HistogramMark, Metrics, quantile_ms_since_all};

/// Of fewer messages than this the slowest one would be called the 99th of a hundred.
const LEAST_MESSAGES: u64 = 100;

/// After a number, silence for this part of the longest time says nothing.
const SHORT: u32 = 10;

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Late {
    /// Milliseconds below which 99 of 100 of the last messages stayed. Each message is in one such number, which is told once.
    P99Ms(f64),
    /// Messages come, too few yet to tell: what was said last holds.
    Waits,
    /// No messages come, or so few that nobody can tell.
    Unknown,
}

/// Looks at latencies, and keeps how far it has looked.
#[derive(Debug)]
pub struct Lateness {
    metrics: Arc<Metrics>,
    /// Messages that are counted together are not further apart than this.
    at_most: Duration,
    marks: Vec<(String, HistogramMark)>,
    /// Since when messages are counted; None before the first look.
    since: Option<Duration>,
    /// When the last number was told.
    told: Option<Duration>,
    /// Whether too few messages came the last time: then nobody waits for them again until they are there.
    in_vain: bool,
}

impl Lateness {
    /// Messages from now on count, as many together as come in this time at most.
    pub fn new(metrics: Arc<Metrics>, at_most: Duration) -> Self {
        let mut this = Self { metrics, at_most, marks: Vec::new(), since: None, told: None, in_vain: false };
        this.forget();
        this
    }

    /// Something has changed: what was before does not count.
    pub fn forget(&mut self) {
        (self.since, self.told, self.in_vain) = (None, None, false);
        self.begin();
    }

    fn begin(&mut self) {
        let mark =
            |(name, camera): (String, Arc<crate::telemetry::CameraMetrics>)| (name, camera.capture_to_publish.mark());
        self.marks = self.metrics.cameras().into_iter().map(mark).collect();
    }

    /// How late the messages were that came since the last number.
    pub fn look(&mut self, now: Duration) -> Late {
        let cameras = self.metrics.cameras();
        let none = HistogramMark::default();
        let mark = |name: &str| self.marks.iter().find(|(n, _)| n == name).map_or(&none, |(_, mark)| mark);
        let since: Vec<_> = cameras.iter().map(|(name, camera)| (&camera.capture_to_publish, mark(name))).collect();
        let late = quantile_ms_since_all(&since, 0.99);
        let began = *self.since.get_or_insert(now);
        match late {
            Some((ms, LEAST_MESSAGES..)) => {
                self.begin();
                (self.since, self.told, self.in_vain) = (Some(now), Some(now), false);
                Late::P99Ms(ms)
            }
            _ if now.saturating_sub(began) > self.at_most => {
                self.begin();
                (self.since, self.told, self.in_vain) = (Some(now), None, true);
                Late::Unknown
            }
            Some(_) if !self.in_vain => Late::Waits,
            // Nobody expects a message at every look.
            None if self.told.is_some_and(|told| now.saturating_sub(told) <= self.at_most / SHORT) => Late::Waits,
            _ => Late::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Budget;
    use crate::monitor::Governor;
    use crate::monitor::governor::{Ladder, Offer, Seen, Step};

    fn tell(metrics: &Metrics, camera: &str, count: u32, ms: u64) {
        (0..count).for_each(|_| metrics.camera(camera).capture_to_publish.record(Duration::from_millis(ms)));
    }

    fn is_near(late: Late, want: f64) -> bool {
        matches!(late, Late::P99Ms(ms) if (ms / want - 1.0).abs() < 0.1)
    }

    #[test]
    fn the_last_messages_of_all_cameras_count_together_and_old_ones_do_not() {
        let (metrics, at) = (Arc::<Metrics>::default(), Duration::from_secs);
        tell(&metrics, "front", 1000, 5000);
        let mut lateness = Lateness::new(Arc::clone(&metrics), at(300));
        assert_eq!(lateness.look(at(0)), Late::Unknown, "what was before");
        tell(&metrics, "front", 60, 100);
        assert_eq!(lateness.look(at(1)), Late::Waits, "too few");
        // A camera that was not there at the first look.
        tell(&metrics, "yard", 60, 300);
        assert!(is_near(lateness.look(at(5)), 300.0));
        assert_eq!(lateness.look(at(6)), Late::Waits, "it is told once");
        tell(&metrics, "front", 50, 50);
        assert_eq!(lateness.look(at(10)), Late::Waits);
        tell(&metrics, "front", 60, 50);
        assert!(is_near(lateness.look(at(15)), 50.0));
        tell(&metrics, "front", 200, 50);
        lateness.forget();
        assert_eq!(lateness.look(at(16)), Late::Unknown);
        tell(&metrics, "front", 20, 5000);
        assert_eq!(lateness.look(at(20)), Late::Waits);
        assert_eq!(lateness.look(at(400)), Late::Unknown, "too few in all that time");
        tell(&metrics, "front", 20, 5000);
        assert_eq!(lateness.look(at(405)), Late::Unknown, "and nobody waits for more");
        assert_eq!(lateness.look(at(800)), Late::Unknown);
        tell(&metrics, "front", 100, 50);
        assert!(is_near(lateness.look(at(810)), 50.0), "what was counted in vain is forgotten");
        assert_eq!(lateness.look(at(830)), Late::Waits);
        assert_eq!(lateness.look(at(850)), Late::Unknown, "silence for longer");
    }

    /// A daemon with this budget, looked at every 5 s; each second these messages come.
    fn kept(secs: u64, mut messages: impl FnMut(&Metrics, u64)) -> Vec<(u64, Step)> {
        let metrics = Arc::<Metrics>::default();
        let budget = Budget { target_p99_ms: Some(200.0), ..Budget::default() };
        let offer = Offer { models: vec!["m0".to_owned(), "m1".to_owned()], ..Offer::default() };
        let mut lateness = Lateness::new(Arc::clone(&metrics), budget.step * 10);
        let mut governor = Governor::new(budget.clone(), Ladder::new(&budget, &offer));
        let mut steps = Vec::new();
        for now in 0..secs {
            messages(&metrics, now);
            if now % 5 == 0 {
                let at = Duration::from_secs(now);
                let mut seen = Seen::default();
                match lateness.look(at) {
                    Late::P99Ms(ms) => seen.p99_ms = Some(ms),
                    Late::Waits => seen.p99_waits = true,
                    Late::Unknown => {}
                }
                if let Some(step) = governor.look(&seen, at) {
                    lateness.forget();
                    steps.push((now, step));
                }
            }
        }
        steps
    }

    #[test]
    fn one_late_message_now_and_then_is_no_reason_to_give_anything_up() {
        let steps = kept(3600, |metrics, now| tell(metrics, "front", 1, if now % 110 == 7 { 5000 } else { 50 }));
        assert_eq!(steps, []);
    }

    #[test]
    fn hardly_any_messages_keep_nothing_from_being_given_back() {
        let messages = |metrics: &Metrics, now| match now {
            0..300 => tell(metrics, "front", 5, 900),
            _ if now % 20 == 0 => tell(metrics, "front", 1, 900),
            _ => {}
        };
        let levels: Vec<_> = kept(3600, messages).iter().map(|(_, step)| step.to).collect();
        assert_eq!(levels, [1, 2, 1, 0]);
    }

    #[test]
    fn lasting_lateness_is_a_reason_also_where_few_messages_come_and_what_is_given_up_stays_so_while_it_lasts() {
        let steps = kept(1200, |metrics, _| tell(metrics, "front", 1, 900));
        let levels: Vec<_> = steps.iter().map(|(_, step)| step.to).collect();
        assert_eq!(levels, [1, 2], "{steps:#?}");
        assert!(steps[0].0 >= 200, "two numbers of a hundred messages each: {steps:#?}");
        let better = |metrics: &Metrics, now| tell(metrics, "front", 5, if now < 300 { 900 } else { 50 });
        let steps = kept(1200, better);
        assert_eq!(steps.iter().map(|(_, step)| step.to).collect::<Vec<_>>(), [1, 2, 1, 0], "{steps:#?}");
    }
}
