//! One limit and what was read of it lately: is it kept, is it about to be broken, is there room to spare. Pure.
//!
//! Belongs here: readings of one kind. Does not: what is done about them (see `governor.rs`).

use std::collections::VecDeque;
use std::time::Duration;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Power of the whole device.
    Watts,
    /// The hottest sensor.
    Celsius,
    /// Latency.
    P99,
}

impl Limit {
    /// Every one, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Watts, Self::Celsius, Self::P99];

    /// What is read, for messages.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Watts => "power",
            Self::Celsius => "temperature",
            Self::P99 => "latency (p99)",
        }
    }

    /// Its key in `[budget]`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Watts => "max_watts",
            Self::Celsius => "max_celsius",
            Self::P99 => "target_p99_ms",
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Watts => "W",
            Self::Celsius => "°C",
            Self::P99 => "ms",
        }
    }

    /// A reading that no sensor means: chips that are asleep answer with -256 °C, a counter that wrapped with millions of watts.
    pub(super) fn is_sane(self, reading: f64) -> bool {
        match self {
            Self::Watts => (0.0..=20_000.0).contains(&reading),
            Self::Celsius => (-60.0..=200.0).contains(&reading),
            Self::P99 => (0.0..=3_600_000.0).contains(&reading),
        }
    }

    /// How far below the limit there is room to spare. Degrees are absolute: a step is worth some of them, whatever the limit.
    pub(super) fn margin(self, bound: f64) -> f64 {
        match self {
            Self::Watts => bound * 0.05,
            Self::Celsius => 3.0,
            Self::P99 => bound * 0.2,
        }
    }
}

/// From how far below the limit a rise is taken seriously: a device that has just been started rises steeply and may end anywhere.
const NEAR_CELSIUS: f64 = 5.0;
/// Above the limit by less than this is no matter of seconds.
const BARELY_CELSIUS: f64 = 1.0;
/// Readings that are closer together than this part of a step are one: a caller that asks far too often costs no memory.
const READINGS_A_STEP: u32 = 100;

/// What a gauge says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Judged {
    /// The limit is broken and will stay so, or is about to be.
    Over,
    /// It is kept, with nothing to spare; or there are too few readings since the last step.
    Kept,
    /// It is kept with room to spare.
    Calm,
    /// There is no reading now.
    Unread,
}

/// A line through the last readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Where it is now: what noise and rounding make of a single reading is taken out.
    pub(super) value: f64,
    /// How fast it rises.
    pub(super) per_sec: f64,
    /// Over how long that was seen.
    span: Duration,
}

impl Trend {
    fn ahead(self, by: Duration) -> f64 {
        self.value + self.per_sec * by.as_secs_f64()
    }
}

/// One limit with its readings.
#[derive(Debug, Clone)]
pub(super) struct Gauge {
    pub(super) limit: Limit,
    pub(super) bound: f64,
    /// The time between two steps: what every other time here is a part or a multiple of.
    step: Duration,
    readings: VecDeque<(Duration, f64)>,
    /// Whether the last look had a reading.
    read_now: bool,
    ever_read: bool,
    unread_since: Option<Duration>,
}

impl Gauge {
    pub(super) fn new(limit: Limit, bound: f64, step: Duration) -> Self {
        let readings = VecDeque::new();
        Self { limit, bound, step, readings, read_now: false, ever_read: false, unread_since: None }
    }

    /// A look at the sensor.
    pub(super) fn take(&mut self, reading: Option<f64>, now: Duration) {
        let Some(reading) = reading.filter(|r| self.limit.is_sane(*r)) else {
            self.read_now = false;
            self.unread_since.get_or_insert(now);
            return;
        };
        self.forget_before_a_gap(now);
        (self.read_now, self.ever_read, self.unread_since) = (true, true, None);
        let newest = self.readings.back().map(|(at, _)| *at + self.step / READINGS_A_STEP);
        if newest.is_some_and(|soonest| now < soonest) {
            return;
        }
        self.readings.push_back((now, reading));
        let old = now.saturating_sub(self.window());
        // Three are kept however old: a caller that looks seldom shall have a trend, too.
        while self.readings.len() > 3 && self.readings[0].0 < old {
            self.readings.pop_front();
        }
    }

    /// What is read takes its time (a quantile takes messages), and is on its way. What was read before it holds until it is there; it is
    /// not counted twice. Before the first one nobody knows whether there is room to spare.
    pub(super) fn wait(&mut self, now: Duration) {
        self.forget_before_a_gap(now);
        (self.read_now, self.unread_since) = (true, None);
    }

    /// What was read before a gap says nothing about how it changes now.
    fn forget_before_a_gap(&mut self, now: Duration) {
        if self.unread_since.is_some_and(|since| now.saturating_sub(since) > self.step) {
            self.readings.clear();
        }
    }

    /// How far back readings are kept, not beyond the last step: heat is slow and often rounded to degrees.
    fn window(&self) -> Duration {
        match self.limit {
            Limit::Celsius => self.step * 3,
            Limit::Watts | Limit::P99 => self.step,
        }
    }

    /// A step was taken: readings from before it say nothing about what holds now. Heat goes on from where it is.
    pub(super) fn step_taken(&mut self) {
        let newest = self.readings.pop_back().filter(|_| self.limit == Limit::Celsius);
        self.readings.clear();
        self.readings.extend(newest);
    }

    /// Since when there is no reading, though one is needed. Latency is not needed: where few messages are sent there is none.
    pub(super) fn blind_since(&self) -> Option<Duration> {
        self.unread_since.filter(|_| self.limit != Limit::P99)
    }

    /// Whether it may hold back what is given back. A sensor that never was there cannot have caused a step.
    pub(super) fn objects(&self) -> bool {
        match self.judge() {
            Judged::Calm => false,
            Judged::Unread => self.ever_read && self.limit != Limit::P99,
            Judged::Over | Judged::Kept => true,
        }
    }

    /// Whether the last step back has shown what it does: a large body that is still on its way above the limit has room to spare for
    /// minutes, in which one step back after the other would look harmless.
    pub(super) fn at_rest(&self) -> bool {
        let below = |trend: Trend| trend.ahead(self.step * 10) < self.bound;
        self.limit != Limit::Celsius || !self.read_now || self.long_trend().is_some_and(below)
    }

    pub(super) fn judge(&self) -> Judged {
        if !self.read_now {
            return Judged::Unread;
        }
        let Some(trend) = self.trend() else { return Judged::Kept };
        let (calm, over) = match self.limit {
            Limit::Celsius => (self.is_cool(trend), self.is_hot(trend)),
            Limit::Watts | Limit::P99 => (self.has_room(trend.value), trend.value > self.bound),
        };
        match (over, calm) {
            (true, _) => Judged::Over,
            (false, true) => Judged::Calm,
            (false, false) => Judged::Kept,
        }
    }

    pub(super) fn has_room(&self, value: f64) -> bool {
        value < self.bound - self.limit.margin(self.bound)
    }

    /// Above the limit: it will still be there in ten steps' time. Below it: it will be above before the next step could help. A body
    /// that warms towards a temperature below the limit is never taken for one that will pass it, if its time constant is not shorter
    /// than the time that is looked ahead: a tangent of an exponential reaches its end after one time constant.
    fn is_hot(&self, trend: Trend) -> bool {
        let stays_above = |trend: Trend| trend.ahead(self.step * 10) > self.bound;
        if trend.value > self.bound {
            let barely = trend.ahead(self.step) < self.bound + BARELY_CELSIUS;
            // A sensor that shows whole degrees shows a slow fall late. What is barely above and does not rise can wait for that.
            return stays_above(trend) && (!barely || self.long_trend().is_some_and(stays_above));
        }
        // Nor can anybody look far ahead who has seen little.
        let ahead = trend.ahead((self.step * 2 / 3).min(trend.span * 2));
        trend.value > self.bound - NEAR_CELSIUS && trend.per_sec > 0.0 && ahead > self.bound
    }

    /// Room to spare, and not on the way to where there is none.
    fn is_cool(&self, trend: Trend) -> bool {
        self.has_room(trend.value) && trend.ahead(self.step * 4) < self.bound
    }

    /// What the readings since the last step amount to; None while they are too few.
    pub(super) fn trend(&self) -> Option<Trend> {
        let ((first, _), (last, _)) = (self.readings.front()?, self.readings.back()?);
        let span = last.saturating_sub(*first);
        if self.readings.len() < 2 || span < self.step / 6 {
            return None;
        }
        let (value, per_sec) = match self.limit {
            Limit::Watts => (self.mean(), 0.0),
            Limit::P99 => (self.median(), 0.0),
            Limit::Celsius => self.line(self.step),
        };
        Some(Trend { value, per_sec, span: span.min(self.step) })
    }

    /// The same of heat over three steps' time; None until that has passed since the last one.
    fn long_trend(&self) -> Option<Trend> {
        let ((first, _), (last, _)) = (self.readings.front()?, self.readings.back()?);
        let span = last.saturating_sub(*first);
        let (value, per_sec) = self.line(self.window());
        // The oldest reading has just been dropped, or is about to be.
        (span >= self.window() * 5 / 6).then_some(Trend { value, per_sec, span })
    }

    fn mean(&self) -> f64 {
        self.readings.iter().map(|(_, r)| r).sum::<f64>() / self.readings.len() as f64
    }

    /// The lower of the two in the middle: one burst is no trend.
    fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.readings.iter().map(|(_, r)| *r).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    }

    /// Value and slope of the last readings by least squares: of this window, and of three readings at least.
    fn line(&self, window: Duration) -> (f64, f64) {
        let last = self.readings.back().map_or(Duration::ZERO, |(at, _)| *at);
        let old = self.readings.partition_point(|(at, _)| *at + window < last);
        let used = || self.readings.iter().skip(old.min(self.readings.len().saturating_sub(3)));
        let ago = |at: &Duration| -last.saturating_sub(*at).as_secs_f64();
        let count = used().count() as f64;
        let mean_t = used().map(|(at, _)| ago(at)).sum::<f64>() / count;
        let mean_r = used().map(|(_, reading)| reading).sum::<f64>() / count;
        let (mut both, mut squares) = (0.0, 0.0);
        for (at, reading) in used() {
            let t = ago(at) - mean_t;
            both += t * (reading - mean_r);
            squares += t * t;
        }
        let per_sec = if squares > 0.0 { both / squares } else { 0.0 };
        (mean_r - per_sec * mean_t, per_sec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(30);

    /// A gauge that was looked at every 5 s.
    fn after(limit: Limit, bound: f64, readings: &[f64]) -> Gauge {
        let mut gauge = Gauge::new(limit, bound, STEP);
        for (n, reading) in readings.iter().enumerate() {
            gauge.take(Some(*reading), Duration::from_secs(5 * n as u64));
        }
        gauge
    }

    fn heat(readings: &[f64]) -> Judged {
        after(Limit::Celsius, 80.0, readings).judge()
    }

    #[test]
    fn a_rise_is_met_before_the_limit_and_a_rise_far_below_it_is_not() {
        assert_eq!(heat(&[75.5, 76.5, 77.5, 78.5]), Judged::Over, "it would be above in 8 s");
        assert_eq!(heat(&[30.0, 40.0, 50.0, 60.0]), Judged::Kept, "a start says nothing about the end");
        assert_eq!(heat(&[77.0, 77.1, 77.2, 77.3]), Judged::Kept);
        assert_eq!(heat(&[78.5, 77.5, 76.5, 75.5]), Judged::Calm);
        assert_eq!(heat(&[60.0, 60.0, 60.0]), Judged::Calm);
    }

    #[test]
    fn what_falls_from_above_the_limit_is_given_time_and_what_does_not_fall_is_not() {
        assert_eq!(heat(&[86.0, 85.5, 85.0, 84.5]), Judged::Kept);
        assert_eq!(heat(&[84.5, 84.5, 84.5, 84.5]), Judged::Over);
        assert_eq!(heat(&[80.5; 10]), Judged::Kept, "barely above, and a minute tells nothing of a slow fall");
        assert_eq!(heat(&[80.5; 20]), Judged::Over, "a minute and a half does");
        assert_eq!(heat(&[88.02, 88.01, 88.0]), Judged::Over, "it would take an hour");
    }

    #[test]
    fn one_burst_is_neither_a_latency_nor_a_power() {
        assert_eq!(after(Limit::P99, 200.0, &[90.0, 90.0, 900.0, 90.0]).judge(), Judged::Calm);
        assert_eq!(after(Limit::P99, 200.0, &[90.0, 210.0, 230.0, 250.0]).judge(), Judged::Over);
        assert_eq!(after(Limit::Watts, 15.0, &[14.9, 15.1, 14.9]).judge(), Judged::Kept);
        assert_eq!(after(Limit::Watts, 15.0, &[14.5, 15.9, 15.5, 14.9]).judge(), Judged::Over);
        assert_eq!(after(Limit::Watts, 15.0, &[14.5, 16.1, 14.4, 14.6]).judge(), Judged::Kept);
        assert_eq!(after(Limit::Watts, 15.0, &[14.0, 14.0, 14.0]).judge(), Judged::Calm);
    }

    #[test]
    fn nothing_is_said_without_a_reading_or_with_one_that_no_sensor_means() {
        let mut gauge = after(Limit::Celsius, 80.0, &[90.0, 91.0, 92.0]);
        for (n, nonsense) in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-256.0)].into_iter().enumerate() {
            gauge.take(nonsense, Duration::from_secs(20 + n as u64));
            assert_eq!(gauge.judge(), Judged::Unread, "{nonsense:?}");
        }
        assert_eq!(gauge.blind_since(), Some(Duration::from_secs(20)));
        assert!(gauge.objects(), "it was hot when it was last seen");
        assert!(!Gauge::new(Limit::Celsius, 80.0, STEP).objects(), "it never was there");
        gauge.take(Some(93.0), Duration::from_secs(60));
        assert_eq!((gauge.judge(), gauge.blind_since()), (Judged::Kept, None), "one reading after a gap is no trend");
    }

    #[test]
    fn no_latency_is_no_objection() {
        let mut gauge = after(Limit::P99, 200.0, &[300.0, 300.0, 300.0]);
        assert!(gauge.objects());
        gauge.take(None, Duration::from_secs(20));
        assert!(!gauge.objects(), "nothing was late");
        assert_eq!(gauge.blind_since(), None);
    }

    #[test]
    fn a_latency_that_is_on_its_way_leaves_what_was_said_and_is_no_room_to_spare_after_a_step() {
        let mut gauge = after(Limit::P99, 200.0, &[300.0, 300.0]);
        gauge.wait(Duration::from_secs(10));
        assert_eq!((gauge.judge(), gauge.readings.len()), (Judged::Over, 2));
        gauge.step_taken();
        gauge.take(None, Duration::from_secs(15));
        gauge.wait(Duration::from_secs(20));
        assert_eq!(gauge.judge(), Judged::Kept);
        assert!(gauge.objects());
    }

    #[test]
    fn who_looks_seldom_has_a_trend_too_and_who_looks_without_end_costs_no_memory() {
        let mut seldom = Gauge::new(Limit::Celsius, 80.0, STEP);
        for n in 0..4u32 {
            seldom.take(Some(78.0 + f64::from(n)), Duration::from_secs(120) * n);
        }
        assert_eq!(seldom.judge(), Judged::Over);
        let mut often = Gauge::new(Limit::Celsius, 80.0, STEP);
        (0..100_000).for_each(|n| often.take(Some(70.0), Duration::from_millis(n)));
        assert!(often.readings.len() <= 1 + 3 * READINGS_A_STEP as usize, "{}", often.readings.len());
        assert_eq!(often.judge(), Judged::Calm);
    }
}
