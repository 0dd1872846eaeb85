//! What dashboards ask for at any time and events tell only once: how many are in a zone, how many crossed a line, how a camera fares.
//!
//! Belongs here: the states, and how events change them. Does not: their JSON (see `payload/state.rs`), their delivery (see `desk.rs`).
//! Pure. A state is told for as long as the daemon lives and begins at nothing: what was counted before a restart stands in the events.

use std::collections::BTreeMap;

use crate::types::{CameraId, Captured, Event, What};

/// A state that the broker retains.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Of a zone.
    Zone(ZoneState),
    /// Of a line.
    Line(LineState),
    /// Whether a camera's frames are analysed.
    Detection(DetectionState),
    /// Of a camera's frames.
    Camera(CameraHealth),
    /// Of the device.
    Device(DeviceHealth),
}

impl State {
    /// What it is the state of: a newer one with the same key takes its place.
    pub fn key(&self) -> String {
        match self {
            Self::Zone(z) => format!("zone/{}/{}", z.camera, z.zone),
            Self::Line(l) => format!("line/{}/{}", l.camera, l.line),
            Self::Detection(d) => format!("detection/{}", d.camera),
            Self::Camera(c) => format!("health/{}", c.camera),
            Self::Device(_) => "health".to_owned(),
        }
    }
}

/// How many are in a zone, as `occupancy` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneState {
    /// The camera.
    pub camera: CameraId,
    /// The zone.
    pub zone: String,
    /// How many.
    pub count: u32,
    /// Since when.
    pub since: Captured,
}

/// How many crossed a line since the daemon began to count, as `crossed` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct LineState {
    /// The camera.
    pub camera: CameraId,
    /// The line.
    pub line: String,
    /// By direction, then by class. A direction stands here before anybody took it.
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Since when is counted.
    pub since: Captured,
    /// When the last one crossed.
    pub last: Option<Captured>,
}

/// Whether a camera's frames are analysed, as it was ordered.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionState {
    /// The camera.
    pub camera: CameraId,
    /// Whether.
    pub enabled: bool,
    /// Since when.
    pub since: Captured,
}

/// How fast a camera's frames come and go.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraHealth {
    /// The camera.
    pub camera: CameraId,
    /// Frames a second that the source delivered, over the last interval.
    pub delivered_fps: f64,
    /// Frames a second that were analysed.
    pub analysed_fps: f64,
    /// From capture to hand-over to the broker's connection, 99 of 100 messages; None while there were none.
    pub latency_p99_ms: Option<f64>,
    /// When this was measured.
    pub at: Captured,
}

/// How the device fares.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceHealth {
    /// The warmest sensor: its name, and thousandths of a degree Celsius.
    pub warmest: Option<(String, i64)>,
    /// Events on disk that the broker does not have yet.
    pub events_waiting: u64,
    /// How many things are given up to keep the device's budget, and how many could be.
    pub budget: (u32, u32),
    /// How long the daemon has been running.
    pub uptime_secs: u64,
    /// When this was measured.
    pub at: Captured,
}

/// Follows events and knows what they amount to.
#[derive(Debug, Default)]
pub struct States {
    zones: BTreeMap<(CameraId, String), ZoneState>,
    lines: BTreeMap<(CameraId, String), LineState>,
}

impl States {
    /// Nobody in any zone and nothing counted: said at the start, since what the broker retains is of a life that is over.
    pub fn open(&mut self, camera: &CameraId, zones: &[String], lines: &[(String, Vec<String>)], at: Captured) {
        for zone in zones {
            let state = ZoneState { camera: CameraId::clone(camera), zone: zone.clone(), count: 0, since: at };
            self.zones.insert((CameraId::clone(camera), zone.clone()), state);
        }
        for (line, directions) in lines {
            let mut state = LineState::new(camera, line, at);
            state.counts.extend(directions.iter().map(|d| (d.clone(), BTreeMap::new())));
            self.lines.insert((CameraId::clone(camera), line.clone()), state);
        }
    }

    /// Forgets a camera that is watched no more, and names the states that the broker is to delete.
    pub fn close(&mut self, camera: &str) -> Vec<State> {
        let zones = self.zones.extract_if(.., |(of, _), _| &**of == camera).map(|(_, zone)| State::Zone(zone));
        let lines = self.lines.extract_if(.., |(of, _), _| &**of == camera).map(|(_, line)| State::Line(line));
        zones.chain(lines).collect()
    }

    /// Every state of a place as it is now.
    pub fn all(&self) -> impl Iterator<Item = State> + '_ {
        let zones = self.zones.values().cloned().map(State::Zone);
        zones.chain(self.lines.values().cloned().map(State::Line))
    }

    /// What an event makes of a state; None where it changes none, or its place is not watched any more. Each event is to be shown once.
    pub fn take(&mut self, event: &Event) -> Option<State> {
        let camera = event.camera.as_ref()?;
        match &event.what {
            What::Occupancy { zone, count, .. } => {
                let state = self.zones.get_mut(&(CameraId::clone(camera), zone.clone()))?;
                (state.count, state.since) = (*count, event.at);
                Some(State::Zone(state.clone()))
            }
            What::Crossed { line, direction } => {
                let state = self.lines.get_mut(&(CameraId::clone(camera), line.clone()))?;
                let class = event.subject.as_ref().map_or("", |s| s.class.as_str());
                *state.counts.entry(direction.clone()).or_default().entry(class.to_owned()).or_default() += 1;
                state.last = Some(event.at);
                Some(State::Line(state.clone()))
            }
            _ => None,
        }
    }
}

impl LineState {
    fn new(camera: &CameraId, line: &str, since: Captured) -> Self {
        let camera = CameraId::clone(camera);
        Self { camera, line: line.to_owned(), counts: BTreeMap::new(), since, last: None }
    }

    /// How many crossed in a direction, all classes together.
    pub fn total(&self, direction: &str) -> u64 {
        self.counts.get(direction).map_or(0, |classes| classes.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::publish::homeassistant::samples::{crossed, event};

    fn camera(name: &str) -> CameraId {
        CameraId::from(name)
    }

    fn at(secs: u64) -> Captured {
        crate::publish::samples::captured(Duration::from_secs(secs))
    }

    fn opened() -> States {
        let mut states = States::default();
        let way = ("way".to_owned(), vec!["in".to_owned(), "out".to_owned()]);
        states.open(&camera("yard"), &["door".to_owned()], &[way], at(0));
        states.open(&camera("hall"), &["door".to_owned()], &[], at(0));
        states
    }

    #[test]
    fn a_start_says_that_nobody_is_anywhere_and_nothing_was_counted() {
        let all: Vec<State> = opened().all().collect();
        assert_eq!(all.len(), 3);
        for state in &all {
            match state {
                State::Zone(zone) => assert_eq!(zone.count, 0),
                State::Line(line) => {
                    assert_eq!((line.total("in"), line.total("out"), line.last), (0, 0, None));
                    assert_eq!(line.counts.len(), 2, "a direction that nobody took is told as zero");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn crossings_are_summed_by_direction_and_class_and_zones_follow_their_own_camera() {
        let mut states = opened();
        for (direction, class) in [("in", "person"), ("in", "person"), ("out", "person"), ("in", "car")] {
            states.take(&crossed("yard", "way", direction, class, at(1)));
        }
        let Some(State::Line(line)) = states.take(&crossed("yard", "way", "in", "car", at(2))) else {
            panic!("a line")
        };
        assert_eq!((line.total("in"), line.total("out")), (4, 1));
        assert_eq!(line.counts["in"]["car"], 2);
        assert_eq!((line.since, line.last), (at(0), Some(at(2))));
        let occupied = event(Some("yard"), What::Occupancy { zone: "door".to_owned(), count: 3, before: 0 }, at(3));
        let Some(State::Zone(zone)) = states.take(&occupied) else { panic!("a zone") };
        assert_eq!((&*zone.camera, zone.count, zone.since), ("yard", 3, at(3)));
        let counts: Vec<u32> =
            states.all().filter_map(|s| if let State::Zone(z) = s { Some(z.count) } else { None }).collect();
        assert_eq!(counts, [0, 3], "the zone of the same name at the other camera is still empty");
    }

    #[test]
    fn other_events_change_no_state() {
        let mut states = opened();
        let zone = "door".to_owned();
        assert_eq!(states.take(&event(Some("yard"), What::Entered { zone }, at(1))), None);
        assert_eq!(states.take(&event(None, What::Lost { count: 1, alerts: 0, reason: String::new() }, at(1))), None);
    }

    #[test]
    fn a_camera_that_goes_takes_its_states_with_it() {
        let mut states = opened();
        let gone: Vec<String> = states.close("yard").iter().map(State::key).collect();
        assert_eq!(gone, ["zone/yard/door", "line/yard/way"]);
        assert_eq!(states.all().map(|s| s.key()).collect::<Vec<_>>(), ["zone/hall/door"]);
        let late = event(Some("yard"), What::Occupancy { zone: "door".to_owned(), count: 0, before: 1 }, at(1));
        assert_eq!(states.take(&late), None, "what its last tracks still tell does not bring it back");
    }
}
