//! From counters that only grow to how the device fares now: rates and quantiles since the last look, the hottest sensor, room on the disk.
//! Sensors are not read here but on a thread of their own (see `watch.rs`): a slow one holds up nobody.
//! What is judged by these numbers belongs to `alerts`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::disk;
use crate::telemetry::{CameraMetrics, HistogramMark, Metrics};
use crate::types::{CameraMeasured, Hottest, Measured, Readings};

/// A rate over less than this says more about the moment of the look than about the camera.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);
/// Of fewer messages than this the slowest one would be called the 99th of a hundred.
const LEAST_MESSAGES: u64 = 20;

/// Looks at the device. To be called as often as one likes: what takes an interval is told once it has passed.
#[derive(Debug)]
pub struct Gauges {
    metrics: Arc<Metrics>,
    state_folder: PathBuf,
    cameras: BTreeMap<String, Mark>,
    looked: Option<Duration>,
}

/// How far a camera's counters were at the last look.
#[derive(Debug)]
struct Mark {
    at: Duration,
    delivered: u64,
    frames: u64,
    published: HistogramMark,
}

impl Mark {
    fn of(metrics: &CameraMetrics, at: Duration) -> Self {
        let published = metrics.capture_to_publish.mark();
        let (delivered, frames) = (metrics.frames_total.get(), metrics.frames_analysed_total.get());
        Self { at, delivered, frames, published }
    }
}

impl Gauges {
    /// `state_folder` is where the daemon keeps things: the disk that must have room.
    pub fn new(metrics: Arc<Metrics>, state_folder: PathBuf) -> Self {
        Self { metrics, state_folder, cameras: BTreeMap::new(), looked: None }
    }

    /// A look at the device, with these cameras switched on; None where the last one is too short ago. `store_trouble` says why events
    /// cannot be written.
    pub fn look(&mut self, cameras: &[&str], store_trouble: Option<String>, now: Duration) -> Option<Measured> {
        if self.looked.is_some_and(|last| now.saturating_sub(last) < LEAST_INTERVAL) {
            return None;
        }
        self.looked = Some(now);
        self.cameras.retain(|camera, _| cameras.contains(&camera.as_str()));
        Some(Measured {
            cameras: cameras.iter().map(|camera| self.camera(camera, now)).collect(),
            hottest: self.metrics.readings(now).and_then(|readings| hottest(&readings)),
            disk_free_bytes: disk::free_bytes(&self.state_folder),
            store_trouble,
        })
    }

    fn camera(&mut self, camera: &str, now: Duration) -> CameraMeasured {
        let metrics = self.metrics.camera(camera);
        let before = self.cameras.insert(camera.to_owned(), Mark::of(&metrics, now));
        let (mut delivered_fps, mut analysed_fps, mut p99_ms) = (None, None, None);
        if let Some(before) = before {
            let rate = |total: u64, then: u64| {
                Some(total.saturating_sub(then) as f64 / now.saturating_sub(before.at).as_secs_f64())
            };
            delivered_fps = rate(metrics.frames_total.get(), before.delivered);
            analysed_fps = rate(metrics.frames_analysed_total.get(), before.frames);
            let late = metrics.capture_to_publish.quantile_ms_since(&before.published, 0.99);
            p99_ms = late.filter(|(_, messages)| *messages >= LEAST_MESSAGES).map(|(ms, _)| ms);
        }
        CameraMeasured { camera: camera.into(), delivered_fps, analysed_fps, p99_ms }
    }
}

fn hottest(readings: &Readings) -> Option<Hottest> {
    let hottest = readings.hottest()?;
    Some(Hottest { sensor: hottest.sensor.clone(), celsius: hottest.millicelsius as f64 / 1000.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Temperature;

    #[test]
    fn a_rate_and_a_quantile_are_of_the_time_since_the_last_look() {
        let metrics = Arc::new(Metrics::default());
        let camera = metrics.camera("front");
        let mut gauges = Gauges::new(Arc::clone(&metrics), std::env::temp_dir());
        camera.frames_analysed_total.add(1_000_000);
        (0..1000).for_each(|_| camera.capture_to_publish.record(Duration::from_secs(60)));
        let first = gauges.look(&["front"], None, Duration::from_secs(100)).expect("the first look");
        assert_eq!((first.cameras[0].analysed_fps, first.cameras[0].p99_ms), (None, None));
        assert!(first.disk_free_bytes.is_some(), "a temporary folder is on some disk");
        assert_eq!(gauges.look(&["front"], None, Duration::from_secs(104)), None);
        camera.frames_analysed_total.add(50);
        camera.frames_total.add(250);
        (0..100).for_each(|_| camera.capture_to_publish.record(Duration::from_millis(20)));
        let second = gauges.look(&["front"], Some("read-only".to_owned()), Duration::from_secs(110)).expect("a look");
        assert_eq!((second.cameras[0].delivered_fps, second.cameras[0].analysed_fps), (Some(25.0), Some(5.0)));
        let p99 = second.cameras[0].p99_ms.expect("enough messages");
        assert!((18.0..22.0).contains(&p99), "{p99}");
        assert_eq!(second.store_trouble.as_deref(), Some("read-only"));
    }

    #[test]
    fn few_messages_have_no_quantile_and_a_camera_that_comes_back_begins_anew() {
        let metrics = Arc::new(Metrics::default());
        let mut gauges = Gauges::new(Arc::clone(&metrics), "/nonexistent/peregrine".into());
        let at = Duration::from_secs;
        gauges.look(&["front"], None, at(0));
        metrics.camera("front").capture_to_publish.record(at(9));
        let look = gauges.look(&["front"], None, at(10)).expect("a look");
        assert_eq!((look.cameras[0].p99_ms, look.cameras[0].analysed_fps), (None, Some(0.0)));
        assert_eq!(look.disk_free_bytes, None, "no such folder");
        gauges.look(&[], None, at(20));
        let back = gauges.look(&["front"], None, at(30)).expect("a look");
        assert_eq!(back.cameras[0].analysed_fps, None);
    }

    #[test]
    fn the_hottest_sensor_is_that_of_the_last_readings_until_they_are_old() {
        let metrics = Arc::new(Metrics::default());
        let mut gauges = Gauges::new(Arc::clone(&metrics), std::env::temp_dir());
        let mut hottest = |secs| gauges.look(&[], None, Duration::from_secs(secs)).expect("a look").hottest;
        assert_eq!(hottest(0), None, "nobody has looked at the sensors yet");
        let temperature = |sensor: &str, millicelsius| Temperature { sensor: sensor.to_owned(), millicelsius };
        let temperatures = vec![temperature("cpu", 61_500), temperature("nvme", 48_000)];
        metrics.set_readings(Arc::new(Readings { temperatures, ..Readings::default() }), Duration::from_secs(30));
        assert_eq!(hottest(10), Some(Hottest { sensor: "cpu".to_owned(), celsius: 61.5 }));
        assert_eq!(hottest(31), None, "the sensors have not answered for too long");
    }
}
