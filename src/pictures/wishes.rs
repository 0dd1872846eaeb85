//! Which events ask for a picture. Pure.

use std::collections::{HashMap, HashSet};

use crate::types::{Event, What};

/// What the owner wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    cameras: HashMap<String, Places>,
    alerts: HashSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Places {
    zones: HashSet<String>,
    lines: HashSet<String>,
}

impl Wishes {
    /// What begins in this zone: somebody entered, dwells, or there is a crowd.
    pub fn zone(&mut self, camera: &str, zone: &str) {
        self.cameras.entry(camera.to_owned()).or_default().zones.insert(zone.to_owned());
    }

    /// Whoever crosses this line.
    pub fn line(&mut self, camera: &str, line: &str) {
        self.cameras.entry(camera.to_owned()).or_default().lines.insert(line.to_owned());
    }

    /// Whatever raises this alert.
    pub fn alert(&mut self, alert: &str) {
        self.alerts.insert(alert.to_owned());
    }

    /// Whether this event asks for a picture. What ends, and what only counts, has nothing to show that its beginning had not.
    pub fn ask(&self, event: &Event) -> bool {
        let places = event.camera.as_deref().and_then(|camera| self.cameras.get(camera));
        match &event.what {
            What::Entered { zone } | What::Dwell { zone, .. } | What::Crowd { zone, .. } => {
                places.is_some_and(|p| p.zones.contains(zone))
            }
            What::Crossed { line, .. } => places.is_some_and(|p| p.lines.contains(line)),
            What::AlertRaised { alert, .. } => self.alerts.contains(alert),
            _ => false,
        }
    }

    /// Whether any event of this camera may ask for one; an alert may be raised by whichever.
    pub fn may_ask(&self, camera: &str) -> bool {
        !self.alerts.is_empty() || self.cameras.contains_key(camera)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Captured, Severity};
    use std::time::{Duration, UNIX_EPOCH};

    fn event(camera: Option<&str>, what: What) -> Event {
        let at = Captured { mono: Duration::ZERO, wall: UNIX_EPOCH, wall_synced: false };
        Event { camera: camera.map(Into::into), at, frame_seq: None, what, subject: None, snapshots: Vec::new() }
    }

    #[test]
    fn only_what_was_asked_for_is_taken_and_only_its_beginning() {
        let mut wishes = Wishes::default();
        wishes.zone("front", "door");
        wishes.line("yard", "gate");
        let zone = || "door".to_owned();
        let crossed = |line: &str| What::Crossed { line: line.to_owned(), direction: "in".to_owned() };
        assert!(wishes.ask(&event(Some("front"), What::Entered { zone: zone() })));
        assert!(wishes.ask(&event(Some("front"), What::Crowd { zone: zone(), count: 3 })));
        assert!(!wishes.ask(&event(Some("front"), What::Left { zone: zone(), inside_ms: 1 })));
        assert!(!wishes.ask(&event(Some("yard"), What::Entered { zone: zone() })));
        assert!(wishes.ask(&event(Some("yard"), crossed("gate"))));
        assert!(!wishes.ask(&event(Some("yard"), crossed("door"))));
        assert!(!wishes.ask(&event(None, What::Lost { count: 1, alerts: 0, reason: String::new() })));
        assert!(wishes.may_ask("front") && !wishes.may_ask("attic"));
    }

    #[test]
    fn an_alert_asks_by_its_own_name_whichever_camera_raised_it() {
        let mut wishes = Wishes::default();
        wishes.alert("intruder");
        let raised = |alert: &str| What::AlertRaised {
            alert: alert.to_owned(),
            severity: Severity::Info,
            reason: String::new(),
        };
        assert!(wishes.ask(&event(Some("attic"), raised("intruder"))) && wishes.ask(&event(None, raised("intruder"))));
        assert!(!wishes.ask(&event(Some("attic"), raised("heat"))));
        assert!(wishes.may_ask("attic"));
    }
}
