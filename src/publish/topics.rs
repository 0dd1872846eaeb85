//! Where each message goes. Pure; what stands in the messages is `payload.rs`.

use std::fmt::Write;

/// `<prefix>/<device>/status`: whether the daemon is there.
pub(super) fn device_status(prefix: &str, device: &str) -> String {
    format!("{}/{}/status", prefix_words(prefix), escaped(device))
}

/// `<prefix>/<device>/camera/<camera>/detections`: what a frame showed.
pub(super) fn detections(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "detections")
}

/// `<prefix>/<device>/camera/<camera>/tracks`: lives of tracks.
pub(super) fn tracks(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "tracks")
}

/// `<prefix>/<device>/camera/<camera>/status`: what the camera is doing.
pub(super) fn camera_status(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "status")
}

/// `<prefix>/<device>/engine/<stage>`: what runs a model.
pub(super) fn engine_status(prefix: &str, device: &str, stage: &str) -> String {
    // The dot of "classify.NAME" may stand in a topic, and nothing else can make one: names have none.
    let stage = stage.split('.').map(escaped).collect::<Vec<_>>().join(".");
    format!("{}/{}/engine/{stage}", prefix_words(prefix), escaped(device))
}

/// `<prefix>/<device>/camera/<camera>/events`, or `<prefix>/<device>/events` for the device's own.
pub(super) fn events(prefix: &str, device: &str, camera: Option<&str>) -> String {
    match camera {
        Some(camera) => of_camera(prefix, device, camera, "events"),
        None => format!("{}/{}/events", prefix_words(prefix), escaped(device)),
    }
}

/// `<prefix>/<device>/alert/<alert>`: an alert that is open.
pub(super) fn alert(prefix: &str, device: &str, alert: &str) -> String {
    format!("{}/{}/alert/{}", prefix_words(prefix), escaped(device), escaped(alert))
}

/// `<prefix>/<device>/cmd/`: what the topics of all orders begin with.
pub(super) fn commands(prefix: &str, device: &str) -> String {
    format!("{}/{}/cmd/", prefix_words(prefix), escaped(device))
}

/// `<prefix>/<device>/cmd/<name>/result`: what became of an order.
pub(super) fn command_result(prefix: &str, device: &str, name: &str) -> String {
    format!("{}{}/result", commands(prefix, device), escaped(name))
}

fn of_camera(prefix: &str, device: &str, camera: &str, what: &str) -> String {
    format!("{}/{}/camera/{}/{what}", prefix_words(prefix), escaped(device), escaped(camera))
}

/// A prefix may be several words (`site/hall`); each is escaped alone.
fn prefix_words(prefix: &str) -> String {
    prefix.split('/').filter(|w| !w.is_empty()).map(escaped).collect::<Vec<_>>().join("/")
}

/// Percent-encodes every byte outside `[A-Za-z0-9_-]`. The configuration allows no other names; should one come from elsewhere, a `+`, `#`
/// or `/` in it must not move a message into somebody else's topic.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `<prefix>/<device>/camera/<camera>/zone/<zone>`: how many are in a zone.
pub(super) fn zone(prefix: &str, device: &str, camera: &str, zone: &str) -> String {
    of_camera(prefix, device, camera, &format!("zone/{}", escaped(zone)))
}

/// `<prefix>/<device>/camera/<camera>/line/<line>`: how many crossed a line.
pub(super) fn line(prefix: &str, device: &str, camera: &str, line: &str) -> String {
    of_camera(prefix, device, camera, &format!("line/{}", escaped(line)))
}

/// `<prefix>/<device>/camera/<camera>/detection`: whether the camera's frames are analysed.
pub(super) fn detection(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "detection")
}

/// `<prefix>/<device>/camera/<camera>/health`: how fast the camera's frames come and go.
pub(super) fn camera_health(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "health")
}

/// `<prefix>/<device>/camera/<camera>/snapshot`: the newest picture of an event.
pub(super) fn snapshot(prefix: &str, device: &str, camera: &str) -> String {
    of_camera(prefix, device, camera, "snapshot")
}

/// `<prefix>/<device>/health`: how warm the device is, and what waits for the broker.
pub(super) fn device_health(prefix: &str, device: &str) -> String {
    format!("{}/health", of_device(prefix, device))
}

/// `<prefix>/<device>/telemetry`: what the board's sensors say.
pub(super) fn telemetry(prefix: &str, device: &str) -> String {
    format!("{}/telemetry", of_device(prefix, device))
}

/// `<prefix>/<device>/cmd/<name>`: an order.
pub(super) fn command(prefix: &str, device: &str, name: &str) -> String {
    format!("{}/cmd/{}", of_device(prefix, device), escaped(name))
}

/// `<prefix>/<device>`: what every topic of this device begins with.
pub(super) fn of_device(prefix: &str, device: &str) -> String {
    format!("{}/{}", prefix_words(prefix), escaped(device))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_are_those_of_the_documentation() {
        assert_eq!(device_status("peregrine", "gate"), "peregrine/gate/status");
        assert_eq!(detections("peregrine", "gate", "yard"), "peregrine/gate/camera/yard/detections");
        assert_eq!(tracks("site/north", "gate", "yard"), "site/north/gate/camera/yard/tracks");
        assert_eq!(camera_status("peregrine", "gate", "a_b-1"), "peregrine/gate/camera/a_b-1/status");
        assert_eq!(engine_status("peregrine", "gate", "detect"), "peregrine/gate/engine/detect");
        assert_eq!(engine_status("peregrine", "gate", "classify.a_b"), "peregrine/gate/engine/classify.a_b");
        assert_eq!(events("peregrine", "gate", Some("yard")), "peregrine/gate/camera/yard/events");
        assert_eq!(events("peregrine", "gate", None), "peregrine/gate/events");
        assert_eq!(alert("peregrine", "gate", "red_car"), "peregrine/gate/alert/red_car");
        assert_eq!(engine_status("peregrine", "gate", "classify.#/+"), "peregrine/gate/engine/classify.%23%2F%2B");
    }

    #[test]
    fn topics_of_places_and_health_are_those_of_the_documentation() {
        assert_eq!(zone("peregrine", "gate", "yard", "door"), "peregrine/gate/camera/yard/zone/door");
        assert_eq!(line("peregrine", "gate", "yard", "way"), "peregrine/gate/camera/yard/line/way");
        assert_eq!(line("p", "d", "c", "a/+"), "p/d/camera/c/line/a%2F%2B");
        assert_eq!(detection("peregrine", "gate", "yard"), "peregrine/gate/camera/yard/detection");
        assert_eq!(camera_health("peregrine", "gate", "yard"), "peregrine/gate/camera/yard/health");
        assert_eq!(snapshot("peregrine", "gate", "yard"), "peregrine/gate/camera/yard/snapshot");
        assert_eq!(device_health("site/north", "gate"), "site/north/gate/health");
        assert_eq!(telemetry("peregrine", "gate"), "peregrine/gate/telemetry");
        assert_eq!(command("peregrine", "gate", "detection"), "peregrine/gate/cmd/detection");
    }

    #[test]
    fn a_hostile_name_stays_one_word_without_wildcards() {
        assert_eq!(tracks("p", "d", "a/+/#"), "p/d/camera/a%2F%2B%2F%23/tracks");
        assert_eq!(device_status("p/", "$SYS é"), "p/%24SYS%20%C3%A9/status");
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_level_or_meets_another_ones_topic(a in any::<String>(), b in any::<String>()) {
            let (ta, tb) = (tracks("p", "d", &a), tracks("p", "d", &b));
            prop_assert_eq!(ta.matches('/').count(), 4);
            prop_assert!(!ta.contains(['+', '#', '\0']));
            prop_assert_eq!(a == b, ta == tb);
        }
    }
}
