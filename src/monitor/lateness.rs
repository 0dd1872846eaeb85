//! How late messages are of late: a quantile of all cameras' together, as the governor needs it.
//!
//! Belongs here: over which time it is taken. Does not: what is done about it (see `governor`); each camera's own is in `measure.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::{HistogramMark, Metrics, quantile_ms_since_all};

/// Of fewer messages than this the slowest one would be called the 99th of a hundred.
const LEAST_MESSAGES: u64 = 20;

/// Looks at latencies, and keeps how far it has looked.
#[derive(Debug)]
pub struct Lateness {
    metrics: Arc<Metrics>,
    /// A value older than this says nothing any more.
    keep: Duration,
    marks: Vec<(String, HistogramMark)>,
    last: Option<(Duration, f64)>,
}

impl Lateness {
    /// Messages from now on count. A value holds for at most `keep`, where too few messages come for a newer one.
    pub fn new(metrics: Arc<Metrics>, keep: Duration) -> Self {
        let mut this = Self { metrics, keep, marks: Vec::new(), last: None };
        this.forget();
        this
    }

    /// Something has changed: what was before does not count.
    pub fn forget(&mut self) {
        self.last = None;
        let mark =
            |(name, camera): (String, Arc<crate::telemetry::CameraMetrics>)| (name, camera.capture_to_publish.mark());
        self.marks = self.metrics.cameras().into_iter().map(mark).collect();
    }

    /// Milliseconds below which 99 of 100 of the last messages stayed; None where there were too few to tell.
    pub fn p99_ms(&mut self, now: Duration) -> Option<f64> {
        let cameras = self.metrics.cameras();
        let none = HistogramMark::default();
        let mark = |name: &str| self.marks.iter().find(|(n, _)| n == name).map_or(&none, |(_, mark)| mark);
        let since: Vec<_> = cameras.iter().map(|(name, camera)| (&camera.capture_to_publish, mark(name))).collect();
        let late = quantile_ms_since_all(&since, 0.99).filter(|(_, messages)| *messages >= LEAST_MESSAGES);
        if let Some((ms, _)) = late {
            self.forget();
            self.last = Some((now, ms));
        }
        self.last.filter(|(at, _)| now.saturating_sub(*at) <= self.keep).map(|(_, ms)| ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_messages_of_all_cameras_count_together_and_old_ones_do_not() {
        let metrics = Arc::<Metrics>::default();
        let tell = |camera: &str, count: u32, ms: u64| {
            (0..count).for_each(|_| metrics.camera(camera).capture_to_publish.record(Duration::from_millis(ms)));
        };
        tell("front", 1000, 5000);
        let mut lateness = Lateness::new(Arc::clone(&metrics), Duration::from_secs(30));
        let near =
            |ms: Option<f64>, want: f64| assert!(ms.is_some_and(|ms| (ms / want - 1.0).abs() < 0.1), "{ms:?} {want}");
        assert_eq!(lateness.p99_ms(Duration::ZERO), None, "what was before");
        tell("front", 15, 100);
        assert_eq!(lateness.p99_ms(Duration::from_secs(1)), None, "too few");
        // A camera that was not there at the first look.
        tell("yard", 15, 300);
        near(lateness.p99_ms(Duration::from_secs(5)), 300.0);
        tell("front", 10, 50);
        near(lateness.p99_ms(Duration::from_secs(10)), 300.0);
        tell("front", 10, 50);
        near(lateness.p99_ms(Duration::from_secs(15)), 50.0);
        lateness.forget();
        assert_eq!(lateness.p99_ms(Duration::from_secs(16)), None);
        tell("front", 20, 50);
        near(lateness.p99_ms(Duration::from_secs(20)), 50.0);
        assert_eq!(lateness.p99_ms(Duration::from_secs(51)), None, "nobody knows how it is now");
    }
}
