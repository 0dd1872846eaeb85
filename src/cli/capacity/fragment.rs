//! The settings that were chosen, as sections for a configuration.

use std::time::Duration;

use super::report::Report;
use super::trial::Tried;
use crate::config::{self, Config};

/// The sections that a choice is made of.
const SECTIONS: [&str; 2] = ["detect", "schedule"];

/// What `schedule.target_p95_ms` says for a latency that was asked for: the key takes whole milliseconds, from 10 on.
pub(super) fn target(p95: Duration) -> Duration {
    let ms = u64::try_from(p95.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Duration::from_millis(ms.clamp(10, 60_000))
}

/// Whole sections, so that they can stand in the place of those of a configuration.
pub(super) fn of(config: &Config, report: &Report, chosen: &Tried) -> String {
    let mut config = config.clone();
    config.detect.model.clone_from(&chosen.model);
    config.schedule.max_batch = chosen.max_batch;
    let mut whole: toml::Table = config::render(&config).parse().expect("what is rendered is TOML");
    whole.retain(|section, _| SECTIONS.contains(&section));
    let sentence = report.sentence(chosen).unwrap_or_default();
    let mut remarks = vec![
        format!("Measured on this device: {sentence}"),
        format!("({}).", report.conditions(chosen)),
        "These sections stand in for the configuration's own.".to_owned(),
    ];
    if let Some(fps) = report.fps {
        remarks.push(format!("Into each [camera.NAME] belongs, where it sends more: detect_fps = {fps}"));
    }
    // A file's name may hold a line's end.
    let remark = |text: &String| format!("# {}\n", text.replace(char::is_control, " "));
    let head: String = remarks.iter().map(remark).collect();
    format!("{head}\n{}", toml::to_string(&whole).expect("tables of plain keys are TOML"))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::of as report_of;
    use super::*;
    use crate::cli::configuration;

    #[test]
    fn the_fragment_is_a_configuration_with_what_was_chosen_in_it() {
        let report = report_of(&[("models/o\"wn\n.onnx", 1, 2), ("yolov8n_320_int8", 4, 8)]);
        let mut measured = configuration::defaults().expect("the defaults are valid");
        measured.detect.classes = vec!["person".to_owned()];
        measured.schedule.target_p95 = std::time::Duration::from_millis(100);
        for chosen in &report.trials {
            let text = of(&measured, &report, chosen);
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join("p.toml");
            let camera = "\n[camera.gate]\nsource = \"test:\"\ndetect_fps = 5\n";
            std::fs::write(&file, format!("{text}{camera}")).expect("written");
            let read = configuration::read(&file).unwrap_or_else(|e| panic!("{e}\n{text}")).config;
            assert_eq!((&read.detect.model, read.schedule.max_batch), (&chosen.model, chosen.max_batch));
            assert_eq!(read.detect.classes, ["person"], "what was not chosen stays as it was");
            assert_eq!(read.schedule.target_p95, measured.schedule.target_p95);
            assert!(text.contains("cameras at 5 fps, p95 84 ms"), "{text}");
        }
    }

    #[test]
    fn whatever_latency_is_asked_for_the_fragment_is_a_configuration() {
        let report = report_of(&[("yolov8n_320_int8", 1, 2)]);
        let mut measured = configuration::defaults().expect("the defaults are valid");
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("p.toml");
        for (asked, written_ms) in [("1ms", 10), ("9.9ms", 10), ("33.4ms", 34), ("100ms", 100), ("60s", 60_000)] {
            measured.schedule.target_p95 = target(super::super::values::latency(asked).expect("a latency"));
            let text = of(&measured, &report, &report.trials[0]);
            std::fs::write(&file, format!("{text}\n[camera.gate]\nsource = \"test:\"\n")).expect("written");
            let read = configuration::read(&file).unwrap_or_else(|e| panic!("{asked}: {e}\n{text}")).config;
            assert_eq!(read.schedule.target_p95, Duration::from_millis(written_ms), "{asked}");
        }
    }
}
