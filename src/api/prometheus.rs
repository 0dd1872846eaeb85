//! Metrics as Prometheus text 0.0.4. Pure: numbers in, text out.
//!
//! Every metric has HELP and TYPE, the prefix `peregrine_` and a base unit; a test lets `promtool check metrics` read it.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::environment;
use crate::telemetry::{CameraMetrics, Counter, EngineMetrics, Histogram, Metrics};
use crate::types::CameraState;

mod board;

/// Upper edges of the shown histograms in milliseconds: coarse, since every one is a time series for each camera and stage.
const LE_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// All metrics, `up` after the daemon's start.
pub(super) fn text(metrics: &Metrics, up: Duration) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    process(&mut page, metrics, up);
    cameras(&mut page, &metrics.cameras());
    page.family("stage_duration_seconds", "histogram", "Time that a stage takes for one frame, all cameras together.");
    for (stage, histogram) in metrics.stages.all() {
        page.histogram("stage_duration_seconds", "stage", stage, histogram);
    }
    batches(&mut page, metrics);
    engines(&mut page, metrics);
    mqtt(&mut page, metrics);
    store(&mut page, metrics);
    pictures(&mut page, metrics);
    budget(&mut page, metrics);
    board::readings(&mut page, metrics.readings(up).as_deref());
    page.0
}

fn process(page: &mut Page, metrics: &Metrics, up: Duration) {
    page.family("build_info", "gauge", "The running version; the value is always 1.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)], 1);
    page.family("uptime_seconds", "gauge", "Time since the daemon started.");
    page.sample("uptime_seconds", &[], up.as_secs_f64());
    page.family("resident_memory_bytes", "gauge", "Memory that the process holds.");
    if let Some(bytes) = environment::resident_bytes() {
        page.sample("resident_memory_bytes", &[], bytes);
    }
    page.family("pipelines_abandoned_total", "counter", "Camera pipelines whose teardown outlasted its deadline.");
    page.sample("pipelines_abandoned_total", &[], metrics.pipelines_abandoned_total.get());
    page.family("config_reloads_total", "counter", "Reloads of the configuration, taken and refused.");
    page.sample("config_reloads_total", &[("result", "taken")], metrics.reloads_total.get());
    page.sample("config_reloads_total", &[("result", "refused")], metrics.reloads_refused_total.get());
}

type Cameras = [(String, Arc<CameraMetrics>)];
type CounterOf = fn(&CameraMetrics) -> &Counter;

fn cameras(page: &mut Page, cameras: &Cameras) {
    let counters: [(&str, &str, CounterOf); 9] = [
        ("camera_frames_total", "Frames that the source delivered.", |m| &m.frames_total),
        ("camera_frames_analysed_total", "Frames that went through the detector.", |m| &m.frames_analysed_total),
        ("camera_frames_coasted_total", "Frames not looked at, whose tracks were carried on.", |m| {
            &m.frames_coasted_total
        }),
        ("camera_frames_same_total", "Frames that were the one looked at last, bit for bit.", |m| &m.frames_same_total),
        ("camera_frames_failed_total", "Frames that the detector failed on.", |m| &m.frames_failed_total),
        ("camera_detections_total", "Objects detected.", |m| &m.detections_total),
        ("camera_tracks_total", "Tracks confirmed.", |m| &m.tracks_total),
        ("camera_reconnects_total", "Times the source was opened again after a fault.", |m| &m.reconnects_total),
        ("camera_stalls_total", "Times frames stopped coming.", |m| &m.stalls_total),
    ];
    for (name, help, of) in counters {
        page.family(name, "counter", help);
        for (camera, m) in cameras {
            page.sample(name, &[("camera", camera)], of(m).get());
        }
    }
    displaced(page, cameras);
    state(page, cameras);
    page.family("camera_tracks_active", "gauge", "Tracks alive now.");
    for (camera, m) in cameras {
        page.sample("camera_tracks_active", &[("camera", camera)], m.tracks_active.get());
    }
    page.family("camera_frame_size_pixels", "gauge", "Size of the frames, 0 until one came.");
    for (camera, m) in cameras {
        page.sample("camera_frame_size_pixels", &[("camera", camera), ("side", "width")], m.width_px.get());
        page.sample("camera_frame_size_pixels", &[("camera", camera), ("side", "height")], m.height_px.get());
    }
    let name = "camera_capture_to_publish_seconds";
    page.family(
        name,
        "histogram",
        "From a frame's capture to the hand-over of its messages to the broker's connection.",
    );
    for (camera, m) in cameras {
        page.histogram(name, "camera", camera, &m.capture_to_publish);
    }
}

fn displaced(page: &mut Page, cameras: &Cameras) {
    page.family(
        "camera_frames_displaced_total",
        "counter",
        "Frames dropped unseen: all but appsink, which came before, are among camera_frames_total.",
    );
    for (camera, m) in cameras {
        let reasons = [
            ("ring", &m.displaced_ring_total),
            ("appsink", &m.displaced_appsink_total),
            ("stopped", &m.displaced_stopped_total),
            ("off", &m.displaced_off_total),
            ("stale", &m.displaced_stale_total),
        ];
        for (reason, counter) in reasons {
            page.sample("camera_frames_displaced_total", &[("camera", camera), ("reason", reason)], counter.get());
        }
    }
}

fn state(page: &mut Page, cameras: &Cameras) {
    page.family("camera_state", "gauge", "1 for the state that the camera is in, 0 for the others.");
    for (camera, m) in cameras {
        let now = usize::try_from(m.state.get()).ok();
        for (i, state) in CameraState::ALL.iter().enumerate() {
            let labels = [("camera", camera.as_str()), ("state", state.as_str())];
            page.sample("camera_state", &labels, u8::from(now == Some(i)));
        }
    }
}

fn batches(page: &mut Page, metrics: &Metrics) {
    page.family("batch_size", "gauge", "Frames of different cameras that may be computed together at present.");
    page.sample("batch_size", &[], metrics.batch.size.get());
    page.family("batches_total", "counter", "Batches that went through the detector.");
    page.sample("batches_total", &[], metrics.batch.batches_total.get());
}

fn engines(page: &mut Page, metrics: &Metrics) {
    let engines = metrics.engines();
    /// Name, help and value of a gauge.
    type Of = (&'static str, &'static str, fn(&EngineMetrics) -> i64);
    let gauges: [Of; 3] = [
        ("engine_workers", "Workers that run the model.", |m| m.workers.get()),
        ("engine_fallback", "Workers on which another engine stands in for the one that failed.", |m| m.fallback.get()),
        ("engine_failed", "Workers on which nothing runs the model.", |m| m.failed.get()),
    ];
    for (name, help, of) in gauges {
        page.family(name, "gauge", help);
        for ((stage, model), m) in &engines {
            page.sample(name, &[("stage", stage), ("model", model)], of(m));
        }
    }
    page.family("engine_failures_total", "counter", "Times an engine was lost.");
    for ((stage, model), m) in &engines {
        page.sample("engine_failures_total", &[("stage", stage), ("model", model)], m.failures_total.get());
    }
}

fn mqtt(page: &mut Page, metrics: &Metrics) {
    let m = &metrics.mqtt;
    page.family("mqtt_connected", "gauge", "1 while connected to the broker.");
    page.sample("mqtt_connected", &[], m.connected.get());
    page.family("mqtt_messages_queued", "gauge", "Messages waiting for the broker.");
    page.sample("mqtt_messages_queued", &[], m.queued.get());
    let counters = [
        ("mqtt_connects_total", "Connections made to the broker.", &m.connects_total),
        ("mqtt_messages_published_total", "Messages handed to the broker's connection.", &m.published_total),
        ("mqtt_messages_acknowledged_total", "Messages that the broker acknowledged (QoS 1).", &m.acknowledged_total),
        (
            "mqtt_messages_refused_total",
            "Messages given up because the broker refused them for good.",
            &m.refused_total,
        ),
        ("mqtt_reports_held_back_total", "Reports held back to keep the configured rates.", &m.held_back_total),
    ];
    for (name, help, counter) in counters {
        page.family(name, "counter", help);
        page.sample(name, &[], counter.get());
    }
    page.family(
        "mqtt_messages_dropped_total",
        "counter",
        "Messages given up: the broker was away, or the outbox full.",
    );
    page.sample("mqtt_messages_dropped_total", &[("reason", "away")], m.dropped_qos0_total.get());
    page.sample("mqtt_messages_dropped_total", &[("reason", "outbox_full")], m.dropped_outbox_total.get());
}

fn store(page: &mut Page, metrics: &Metrics) {
    let m = &metrics.store;
    let gauges = [
        ("store_events_waiting", "Durable events that the broker does not have yet.", &m.waiting),
        ("store_size_bytes", "What events take up on the disk.", &m.size_bytes),
        ("store_degraded", "1 while the disk takes nothing and events are kept in memory.", &m.degraded),
    ];
    for (name, help, gauge) in gauges {
        page.family(name, "gauge", help);
        page.sample(name, &[], gauge.get());
    }
    let counters = [
        ("store_written_bytes_total", "Bytes handed to the disk for events.", &m.written_bytes_total),
        ("store_syncs_total", "Times the disk was asked to make events durable.", &m.syncs_total),
        ("store_events_lost_total", "Events that were not kept, alerts included.", &m.lost_total),
        ("store_alerts_lost_total", "Alerts that were not kept.", &m.lost_alerts_total),
        ("store_records_rotten_total", "Damaged pieces of the store that were set aside.", &m.rotten_total),
        ("store_events_refused_total", "Events that the broker refused for good, set aside.", &m.refused_total),
    ];
    for (name, help, counter) in counters {
        page.family(name, "counter", help);
        page.sample(name, &[], counter.get());
    }
}

fn pictures(page: &mut Page, metrics: &Metrics) {
    let m = &metrics.pictures;
    let counters = [
        ("pictures_taken_total", "Views of objects kept in memory because they were the best so far.", &m.taken_total),
        ("pictures_written_total", "Pictures of events written to disk.", &m.written_total),
        ("pictures_dropped_total", "Pictures left out because the encoder was busy.", &m.dropped_total),
        ("pictures_failed_total", "Pictures that could not be encoded or written.", &m.failed_total),
        ("pictures_removed_total", "Pictures removed to keep the bounds.", &m.removed_total),
    ];
    for (name, help, counter) in counters {
        page.family(name, "counter", help);
        page.sample(name, &[], counter.get());
    }
    let gauges = [
        ("pictures_files", "Pictures on disk.", &m.files),
        ("pictures_disk_bytes", "Size of the pictures on disk.", &m.bytes),
        ("pictures_memory_bytes", "Size of the views in memory.", &m.memory_bytes),
    ];
    for (name, help, gauge) in gauges {
        page.family(name, "gauge", help);
        page.sample(name, &[], gauge.get());
    }
}

fn budget(page: &mut Page, metrics: &Metrics) {
    let m = &metrics.budget;
    page.family(
        "budget_level",
        "gauge",
        "How many things are given up to keep the device's budget; 0 is as configured.",
    );
    page.sample("budget_level", &[], m.level.get());
    page.family("budget_levels", "gauge", "How many things can be given up; 0 where no limit is set.");
    page.sample("budget_levels", &[], m.levels.get());
    page.family("budget_steps_total", "counter", "Things given up (down) and given back (up).");
    page.sample("budget_steps_total", &[("step", "down")], m.steps_down_total.get());
    page.sample("budget_steps_total", &[("step", "up")], m.steps_up_total.get());
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP peregrine_{name} {help}\n# TYPE peregrine_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "peregrine_{name}");
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// Stages go on counting while this reads, so later sums are kept from falling below earlier ones.
    fn histogram(&mut self, name: &str, label: &str, text: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for ms in LE_MS {
            count = histogram.count_within(Duration::from_millis(ms)).max(count);
            let le = (ms as f64 * 1e-3).to_string();
            self.sample(&bucket, &[(label, text), ("le", &le)], count);
        }
        count = histogram.count().max(count);
        self.sample(&bucket, &[(label, text), ("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[(label, text)], histogram.sum_secs());
        self.sample(&format!("{name}_count"), &[(label, text)], count);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CoreUse, CpuUse, Power, Readings, Throttle, TotalOf};

    #[test]
    fn a_camera_shows_its_state_once_and_odd_names_stay_in_their_quotes() {
        let metrics = Metrics::default();
        metrics.camera("a\"b\\c\n").state.set(1);
        let text = text(&metrics, Duration::from_secs(2));
        let of_state: Vec<_> = text.lines().filter(|l| l.starts_with("peregrine_camera_state{")).collect();
        assert_eq!(of_state.len(), CameraState::ALL.len());
        let set: Vec<_> = of_state.iter().filter(|l| l.ends_with(" 1")).collect();
        assert_eq!(set, [&r#"peregrine_camera_state{camera="a\"b\\c\n",state="streaming"} 1"#]);
        assert!(text.contains("peregrine_uptime_seconds 2\n"));
    }

    #[test]
    fn readings_are_shown_in_base_units_until_they_are_old() {
        let metrics = Metrics::default();
        let power = Power { total_mw: Some(4785), total_of: Some(TotalOf::Input), rails: Vec::new() };
        let throttle = Throttle { now: Vec::new(), seen: vec!["throttled".to_owned()], events: Vec::new() };
        let readings = Readings { power, throttle, ..Readings::default() };
        metrics.set_readings(Arc::new(readings), Duration::from_secs(40));
        let fresh = text(&metrics, Duration::from_secs(40));
        for line in ["peregrine_power_watts{of=\"input\"} 4.785\n", "peregrine_throttled{reason=\"throttled\"} 0\n"] {
            assert!(fresh.contains(line), "{line} is missing");
        }
        assert!(
            !fresh.lines().any(|l| l.starts_with("peregrine_memory_size_bytes")),
            "what was not measured has no sample"
        );
        assert!(!text(&metrics, Duration::from_secs(41)).contains("4.785"));
    }

    #[test]
    fn the_share_of_all_cores_is_not_among_the_cores() {
        let metrics = Metrics::default();
        let core = |number| CoreUse { number, busy_permille: Some(100 * number), clock_mhz: None };
        let cpu = CpuUse { busy_permille: Some(150), cores: vec![core(1), core(2)] };
        metrics.set_readings(Arc::new(Readings { cpu, ..Readings::default() }), Duration::from_secs(40));
        let text = text(&metrics, Duration::ZERO);
        assert_eq!(text.lines().filter(|l| l.starts_with("peregrine_cpu_busy_ratio{")).count(), 2);
        assert!(text.contains("peregrine_processor_busy_ratio 0.15\n"));
    }

    #[test]
    fn a_histogram_ends_with_everything_that_was_counted() {
        let metrics = Metrics::default();
        metrics.stages.inference.record(Duration::from_millis(3));
        metrics.stages.inference.record(Duration::from_secs(60));
        let text = text(&metrics, Duration::ZERO);
        for line in [
            r#"stage_duration_seconds_bucket{stage="inference",le="0.002"} 0"#,
            r#"stage_duration_seconds_bucket{stage="inference",le="0.005"} 1"#,
            r#"stage_duration_seconds_bucket{stage="inference",le="+Inf"} 2"#,
            r#"stage_duration_seconds_count{stage="inference"} 2"#,
        ] {
            assert!(text.contains(&format!("peregrine_{line}\n")), "{line} is missing");
        }
    }

    #[test]
    fn what_rules_and_dashboard_of_docker_ask_for_is_on_the_page() {
        let metrics = Metrics::default();
        metrics.camera("front");
        let page = text(&metrics, Duration::ZERO);
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
        for file in ["prometheus/rules.yml", "grafana/dashboards/peregrine.json"] {
            let file = std::fs::read_to_string(folder.join(file)).expect("a file of the repository");
            let of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let names = file.split(|c| !of_a_name(c)).filter(|word| word.starts_with("peregrine_"));
            for name in names {
                let is_there = page.lines().any(|line| {
                    let family =
                        line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')).map(|(family, _)| family);
                    // A part of a histogram is a sample's name and no family's.
                    line.split('{').next() == Some(name) || family == Some(name)
                });
                assert!(is_there, "{name}: the daemon has no such metric");
            }
        }
    }
}
