//! Names in a configuration that only the detector knows: a zone, line or alert whose class it does not have would be silent for ever.
//! Whether cameras, zones and the like are there is known without it: see `config`.

use crate::config::{Alert, Camera, Cause, Config};
use crate::types::ClassNames;
use crate::types::names::did_you_mean;

/// Every class of cameras' zones and lines, and of alerts, that this detector has not, or does not report.
pub(super) fn strangers(config: &Config, model: &str, known: &ClassNames) -> Vec<String> {
    let reported = &config.detect.classes;
    let mut told = Vec::new();
    for (key, class) in counted(config) {
        if known.id(class).is_none() {
            let hint = did_you_mean(class, known.iter());
            told.push(format!("{key}: {class:?} is no class of {model}{hint}"));
        } else if !reported.is_empty() && !reported.contains(class) {
            told.push(format!("{key}: {class:?} is never reported; add it to detect.classes"));
        }
    }
    told
}

fn counted(config: &Config) -> Vec<(String, &String)> {
    let cameras = config.cameras.iter().flat_map(|(name, camera)| of_camera(name, camera));
    cameras.chain(config.alerts.iter().flat_map(|(name, alert)| of_alert(name, alert))).collect()
}

fn of_camera<'a>(name: &'a str, camera: &'a Camera) -> impl Iterator<Item = (String, &'a String)> {
    let zones = camera.zones.iter().map(|(zone, settings)| ("zone", zone, &settings.classes));
    let lines = camera.lines.iter().map(|(line, settings)| ("line", line, &settings.classes));
    zones.chain(lines).flat_map(move |(kind, place, classes)| {
        classes.iter().map(move |class| (format!("camera.{name}.{kind}.{place}.classes"), class))
    })
}

fn of_alert<'a>(name: &'a str, alert: &'a Alert) -> impl Iterator<Item = (String, &'a String)> {
    let classes = if let Cause::Event(event) = &alert.cause { &event.classes[..] } else { &[] };
    classes.iter().map(move |class| (format!("alert.{name}.classes"), class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn told(classes: &str) -> Vec<String> {
        let text = format!(
            "[detect]\n{classes}\n[camera.a]\nsource = \"test:\"\n\
             [camera.a.zone.door]\npoints = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]\nclasses = [\"person\", \"persn\"]\n\
             [camera.a.line.gate]\npoints = [[0.1, 0.2], [0.5, 0.2]]\nclasses = [\"car\"]\n\
             [alert.x]\non = \"crossed\"\nclasses = [\"cra\"]\n[alert.hot]\nsystem = \"heat\"\n"
        );
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("p.toml");
        std::fs::write(&path, text).expect("written");
        let config = config::load(&path, &config::Surroundings::default()).unwrap_or_else(|e| panic!("{e}")).config;
        strangers(&config, "m", &ClassNames::new(["person", "car"]))
    }

    #[test]
    fn a_class_that_the_detector_has_not_is_told_with_its_place_and_a_guess() {
        let wrong = told("");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("camera.a.zone.door.classes: \"persn\" is no class of m"), "{wrong:?}");
        assert!(wrong[0].contains("did you mean \"person\"?"), "{wrong:?}");
        assert!(wrong[1].starts_with("alert.x.classes: \"cra\""), "{wrong:?}");
    }

    #[test]
    fn a_class_that_the_detector_is_told_not_to_report_would_never_be_seen_in_a_zone() {
        let wrong = told("classes = [\"person\"]");
        assert!(
            wrong.contains(
                &"camera.a.line.gate.classes: \"car\" is never reported; add it to detect.classes".to_owned()
            ),
            "{wrong:?}"
        );
    }
}
