//! Which alerts the broker must retain. Pure: it follows the records of the store as they go to the broker.
//!
//! Records come again after a lost connection and after a restart, and then not all of them: one that was acknowledged stays away. A record
//! is therefore applied once; and of those that an earlier life of the daemon left behind, what is open was told at the start. A record may
//! also be lost on the way, and with it that an alert is over: where all have gone, the store's own word counts.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::types::{CameraId, Stored, What};

/// What the broker is to retain of an alert from now on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Retain {
    /// This.
    Raised(Box<Stored>),
    /// Nothing any more.
    Over,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct OpenAlerts {
    /// An alert may be open for several cameras; the newest one is shown.
    open: BTreeMap<String, Vec<Stored>>,
    boot: Uuid,
    applied: u64,
}

impl OpenAlerts {
    /// With those that are open at the start of this life of the daemon.
    pub(super) fn new(at_start: Vec<Stored>, boot: Uuid) -> Self {
        let mut alerts = Self { open: BTreeMap::new(), boot, applied: 0 };
        for stored in at_start {
            alerts.follow(&stored);
        }
        alerts
    }

    /// All that are open, with what is to be retained of them.
    pub(super) fn all(&self) -> Vec<(String, Retain)> {
        self.open.keys().map(|name| (name.clone(), self.of(name))).collect()
    }

    /// A record is about to go to the broker: which alert it changes, if it does.
    pub(super) fn apply(&mut self, number: u64, stored: &Stored) -> Option<(String, Retain)> {
        if number <= self.applied {
            return None;
        }
        self.applied = number;
        if stored.boot == self.boot {
            return self.follow(stored);
        }
        // Of an earlier life: nothing is raised by it, but its taking back may not have reached the broker then.
        match &stored.event.what {
            What::AlertCleared { alert, .. } => Some((alert.clone(), self.of(alert))),
            _ => None,
        }
    }

    /// All records have gone: what is open must be this, or some of them were lost. Which alert is another thing then; to be called until
    /// there is none.
    pub(super) fn agree(&mut self, with: &[Stored]) -> Option<(String, Retain)> {
        let mut truth: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
        for stored in with {
            if let What::AlertRaised { alert, .. } = &stored.event.what {
                truth.entry(alert).or_default().push(stored);
            }
        }
        let names = self.open.keys().map(String::as_str).chain(truth.keys().copied());
        let ids = |of: &[&Stored]| of.iter().map(|s| s.id).collect::<BTreeSet<_>>();
        let wrong = names.into_iter().find(|name| {
            let (ours, theirs) = (self.open.get(*name), truth.get(name));
            ids(&ours.into_iter().flatten().collect::<Vec<_>>()) != ids(theirs.map_or(&[], Vec::as_slice))
        });
        let name = wrong?.to_owned();
        let mut open: Vec<Stored> = truth.remove(&*name).into_iter().flatten().cloned().collect();
        open.sort_by_key(|s| s.id);
        self.open.remove(&name);
        if !open.is_empty() {
            self.open.insert(name.clone(), open);
        }
        let retain = self.of(&name);
        Some((name, retain))
    }

    fn follow(&mut self, stored: &Stored) -> Option<(String, Retain)> {
        let (alert, raised) = match &stored.event.what {
            What::AlertRaised { alert, .. } => (alert, true),
            What::AlertCleared { alert, .. } => (alert, false),
            _ => return None,
        };
        let camera: &Option<CameraId> = &stored.event.camera;
        let open = self.open.entry(alert.clone()).or_default();
        open.retain(|s| s.event.camera != *camera);
        if raised {
            open.push(stored.clone());
        } else if open.is_empty() {
            self.open.remove(alert);
        }
        Some((alert.clone(), self.of(alert)))
    }

    /// What is to be retained of an alert now.
    pub(super) fn of(&self, alert: &str) -> Retain {
        self.open.get(alert).and_then(|open| open.last()).map_or(Retain::Over, |s| Retain::Raised(Box::new(s.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::samples::{BOOT, cleared, raised, stored};

    fn name() -> String {
        "red_car".to_owned()
    }

    #[test]
    fn an_alert_is_retained_until_it_is_cleared() {
        let mut alerts = OpenAlerts::new(Vec::new(), BOOT);
        let first = stored(1, Some("yard"), raised("red_car"));
        assert_eq!(alerts.apply(1, &first), Some((name(), Retain::Raised(Box::new(first)))));
        assert_eq!(alerts.apply(2, &stored(2, Some("yard"), cleared("red_car"))), Some((name(), Retain::Over)));
        assert_eq!(alerts.all(), []);
    }

    #[test]
    fn an_alert_of_two_cameras_is_over_when_both_are() {
        let mut alerts = OpenAlerts::new(Vec::new(), BOOT);
        let yard = stored(1, Some("yard"), raised("red_car"));
        alerts.apply(1, &yard);
        alerts.apply(2, &stored(1, Some("door"), raised("red_car")));
        let after = alerts.apply(3, &stored(2, Some("door"), cleared("red_car")));
        assert_eq!(after, Some((name(), Retain::Raised(Box::new(yard)))));
        assert_eq!(alerts.apply(4, &stored(2, Some("yard"), cleared("red_car"))), Some((name(), Retain::Over)));
    }

    #[test]
    fn a_record_that_comes_again_raises_nothing_that_was_cleared_since() {
        let mut alerts = OpenAlerts::new(Vec::new(), BOOT);
        let first = stored(1, Some("yard"), raised("red_car"));
        alerts.apply(1, &first);
        alerts.apply(2, &stored(2, Some("yard"), cleared("red_car")));
        assert_eq!(alerts.apply(1, &first), None);
    }

    #[test]
    fn an_alert_whose_clearing_was_lost_is_over_once_all_that_is_left_has_gone() {
        let mut alerts = OpenAlerts::new(Vec::new(), BOOT);
        let (red, fire) = (stored(1, Some("yard"), raised("red_car")), stored(2, Some("yard"), raised("fire")));
        alerts.apply(1, &red);
        assert_eq!(alerts.agree(std::slice::from_ref(&red)), None);
        // Its clearing and the raising of another one were on a piece of the disk that is damaged.
        let open = [fire.clone()];
        assert_eq!(alerts.agree(&open), Some((name(), Retain::Over)));
        assert_eq!(alerts.agree(&open), Some(("fire".to_owned(), Retain::Raised(Box::new(fire)))));
        assert_eq!(alerts.agree(&open), None);
    }

    #[test]
    fn of_an_earlier_life_only_what_was_open_at_the_end_stays_open() {
        let of_before = |n, what| Stored { boot: Uuid::from_u128(1), ..stored(n, Some("yard"), what) };
        let open = of_before(3, raised("fire"));
        let mut alerts = OpenAlerts::new(vec![open.clone()], BOOT);
        assert_eq!(alerts.all(), [("fire".to_owned(), Retain::Raised(Box::new(open.clone())))]);
        assert_eq!(alerts.apply(1, &of_before(1, raised("red_car"))), None, "its clearing was acknowledged");
        assert_eq!(alerts.apply(2, &of_before(2, cleared("red_car"))), Some((name(), Retain::Over)));
        let again = alerts.apply(4, &of_before(1, cleared("fire")));
        assert_eq!(again, Some(("fire".to_owned(), Retain::Raised(Box::new(open)))), "raised again after that");
    }
}
