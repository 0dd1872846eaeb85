//! What an owner relies on in alerts about the device: one alert a trouble, none for what passes by itself.

use super::Alerts;
use super::tests::{NOTHING, at, captured, stored, told, watching};
use crate::types::{
    CameraMeasured, CameraState, CameraStatus, EngineState, EngineStatus, Hottest, Measured, Report, What,
};

fn status(camera: &str, state: CameraState) -> Report {
    let reason = if state == CameraState::Failed { "connection refused".to_owned() } else { String::new() };
    Report::Camera(CameraStatus { camera: camera.into(), state, since: captured(0.0), reason, size_px: None })
}

#[test]
fn a_camera_that_comes_back_in_time_alarms_nobody_and_one_that_flaps_alarms_once() {
    let mut alerts = watching("[alert.a]\nsystem = \"camera_stalled\"\n");
    let mut say = |secs, state| told(&alerts.report(&status("front", state), at(secs)));
    assert_eq!(say(0.0, CameraState::Connecting), NOTHING);
    assert_eq!(say(5.0, CameraState::Streaming), NOTHING);
    assert_eq!(say(20.0, CameraState::Stalled), NOTHING);
    assert_eq!(say(24.0, CameraState::Connecting), NOTHING);
    assert_eq!(say(31.0, CameraState::Failed), ["+a"]);
    assert_eq!(say(40.0, CameraState::Streaming), NOTHING);
    assert_eq!(say(45.0, CameraState::Failed), NOTHING);
    assert_eq!(say(50.0, CameraState::Streaming), NOTHING);
    assert_eq!(told(&alerts.tick(at(59.0))), NOTHING);
    assert_eq!(told(&alerts.tick(at(60.0))), ["-a"]);
}

#[test]
fn time_alone_raises_the_alert_of_a_camera_that_says_nothing_more() {
    let mut alerts = watching("[alert.a]\nsystem = \"camera_stalled\"\n");
    alerts.report(&status("front", CameraState::Failed), at(0.0));
    let raised = alerts.tick(at(10.0));
    let What::AlertRaised { reason, .. } = &raised[0].what else { panic!("raised") };
    assert_eq!(reason, "camera front is failed: connection refused");
    assert_eq!(raised[0].camera.as_deref(), Some("front"));
    assert_eq!(told(&alerts.report(&status("front", CameraState::Stopped), at(11.0))), ["-a"], "nobody expects it");
}

#[test]
fn an_alert_of_two_cameras_ends_when_both_are_well() {
    let mut alerts = watching("[alert.a]\nsystem = \"camera_stalled\"\nfor_secs = 0\nclear_after_secs = 5\n");
    let mut say = |secs, camera, state| told(&alerts.report(&status(camera, state), at(secs)));
    assert_eq!(say(0.0, "front", CameraState::Stalled), ["+a"]);
    assert_eq!(say(1.0, "yard", CameraState::Stalled), NOTHING);
    assert_eq!(say(2.0, "front", CameraState::Streaming), NOTHING);
    assert_eq!(told(&alerts.tick(at(20.0))), NOTHING);
    alerts.report(&status("yard", CameraState::Streaming), at(21.0));
    assert_eq!(told(&alerts.tick(at(26.0))), ["-a"]);
}

#[test]
fn a_model_that_failed_over_is_an_alert_until_it_runs_as_chosen() {
    let mut alerts = watching("[alert.a]\nsystem = \"model_failed_over\"\nfor_secs = 0\nclear_after_secs = 1\n");
    let mut say = |secs, state| {
        let status = EngineStatus {
            stage: "detect".into(),
            model: "m".into(),
            engine: "int8".into(),
            state,
            since: captured(secs),
            reason: "out of memory".into(),
        };
        alerts.report(&Report::Engine(status), at(secs))
    };
    assert!(say(0.0, EngineState::Ok).is_empty());
    let raised = say(1.0, EngineState::Degraded);
    let What::AlertRaised { reason, .. } = &raised[0].what else { panic!("raised") };
    assert_eq!(reason, "detect is degraded, it runs on int8: out of memory");
    assert!(say(2.0, EngineState::Failed).is_empty());
    assert!(say(3.0, EngineState::Ok).is_empty());
    assert_eq!(told(&alerts.tick(at(4.0))), ["-a"]);
}

/// Measures once a second, the n-th value at n seconds, and tells when what was told.
fn measured(alerts: &mut Alerts, looks: impl IntoIterator<Item = Measured>) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (n, look) in looks.into_iter().enumerate() {
        let now = at(n as f64);
        let mut events = alerts.measured(&look, now);
        events.extend(alerts.tick(now));
        all.extend(told(&events).into_iter().map(|t| (n, t)));
    }
    all
}

fn hot(celsius: f64) -> Measured {
    Measured { hottest: Some(Hottest { sensor: "cpu".into(), celsius }), ..Measured::default() }
}

#[test]
fn a_temperature_that_swings_around_its_limit_opens_one_alert() {
    let rule = "[alert.a]\nsystem = \"heat\"\nlimit = 80.0\nfor_secs = 2\nclear_after_secs = 3\n";
    let degrees = [79.0, 81.0, 79.0, 81.0, 81.0, 81.0, 79.0, 81.0, 78.0, 77.0, 76.9, 76.0, 76.0, 81.0];
    let all = measured(&mut watching(rule), degrees.map(hot));
    assert_eq!(all, [(5, "+a".to_owned()), (12, "-a".to_owned())]);
}

fn rate(analysed_fps: Option<f64>, p99_ms: Option<f64>) -> Measured {
    let camera = CameraMeasured { camera: "front".into(), delivered_fps: None, analysed_fps, p99_ms };
    Measured { cameras: vec![camera], ..Measured::default() }
}

#[test]
fn a_slow_camera_and_a_late_one_are_alerts_and_what_is_not_measured_changes_nothing() {
    let rule = "[alert.slow]\nsystem = \"frame_rate_below\"\nlimit = 5\nfor_secs = 1\nclear_after_secs = 1\n\
                [alert.late]\nsystem = \"p99_above\"\nlimit = 100\nfor_secs = 1\nclear_after_secs = 1\n";
    let looks = [
        rate(None, None),
        rate(Some(4.9), Some(99.0)),
        rate(None, Some(101.0)),
        rate(Some(5.4), None),
        rate(Some(5.5), Some(90.0)),
        rate(Some(5.5), Some(90.0)),
    ];
    let all = measured(&mut watching(rule), looks);
    let want = [(2, "+slow"), (3, "+late"), (5, "-late"), (5, "-slow")].map(|(n, t)| (n, t.to_owned()));
    assert_eq!(all, want);
}

#[test]
fn a_camera_at_the_end_of_its_file_is_not_slow_until_it_begins_again() {
    let mut alerts = watching("[alert.slow]\nsystem = \"frame_rate_below\"\nlimit = 5\nfor_secs = 1\n");
    alerts.report(&status("front", CameraState::Ended), at(0.0));
    assert_eq!(measured(&mut alerts, [(); 9].map(|()| rate(Some(0.0), None))), []);
    alerts.report(&status("front", CameraState::Connecting), at(10.0));
    assert_eq!(measured(&mut alerts, [(); 3].map(|()| rate(Some(0.0), None))), [(1, "+slow".to_owned())]);
}

#[test]
fn a_disk_without_room_and_events_that_cannot_be_written_are_one_alert() {
    let rule = "[alert.a]\nsystem = \"disk\"\nlimit = 100\nfor_secs = 0\nclear_after_secs = 1\n";
    let look = |mb: u64, trouble: Option<&str>| Measured {
        disk_free_bytes: Some(mb << 20),
        store_trouble: trouble.map(str::to_owned),
        ..Measured::default()
    };
    let looks = [look(200, None), look(99, None), look(200, Some("read-only")), look(200, None), look(200, None)];
    let all = measured(&mut watching(rule), looks);
    assert_eq!(all, [(1, "+a".to_owned()), (4, "-a".to_owned())]);
}

#[test]
fn a_system_alert_of_a_former_life_waits_until_the_device_is_seen_to_be_well() {
    let rule = "[alert.a]\nsystem = \"heat\"\nfor_secs = 0\nclear_after_secs = 5\n";
    let before = watching(rule).measured(&hot(90.0), at(50.0));
    let mut alerts = watching(rule);
    alerts.restore(&[stored(before[0].clone())], at(0.0));
    assert_eq!(told(&alerts.tick(at(500.0))), NOTHING, "nothing is known yet");
    assert!(alerts.measured(&hot(90.0), at(501.0)).is_empty(), "it is open already");
    assert!(alerts.measured(&hot(20.0), at(502.0)).is_empty());
    assert_eq!(told(&alerts.measured(&hot(20.0), at(507.0))), ["-a"]);
}
