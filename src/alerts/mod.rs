//! Alerts: events that fit a condition, and what is wrong with the device, become one thing that is open until it is over.
//!
//! ```text
//! events ────────────► by_event  ─┐
//! tracks (labels) ───►            ├─► state (closed ⇄ open, cool-down) ─► AlertRaised, AlertCleared
//! cameras, models ───► by_system ─┘
//! measures ──────────►
//! ```
//!
//! An alert is of the device, not of a camera: under one name it is open once, whatever number of tracks or cameras keep it open.
//! Pure but for `watch.rs`: the time is an argument. Belongs here: when an alert is raised and cleared. Does not: what an event is (see
//! `rules`), what is kept (see `store`), how it is measured how the device fares (see `monitor`).

mod by_event;
mod by_system;
mod condition;
mod state;
#[cfg(test)]
mod system_tests;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;

pub use watch::Watch;

use crate::config::{Alert, Cause};
use crate::types::{Captured, Event, Measured, Report, Stored, What};
use by_event::ByEvent;
use by_system::BySystem;
use state::State;

/// The moment in which something is judged.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// On both clocks.
    pub at: Captured,
    /// Minutes since midnight, by the device's local time.
    pub local_minute: u16,
}

/// Every alert of the configuration.
#[derive(Debug)]
pub struct Alerts {
    rules: BTreeMap<String, Rule>,
}

#[derive(Debug)]
enum Rule {
    Event(Box<ByEvent>),
    System(Box<BySystem>),
}

impl Rule {
    fn state(&mut self) -> &mut State {
        match self {
            Self::Event(rule) => rule.state(),
            Self::System(rule) => rule.state(),
        }
    }
}

impl Alerts {
    /// All are closed.
    pub fn new(alerts: &BTreeMap<String, Alert>) -> Self {
        let rule = |name: &String, alert: &Alert| {
            let state = State::new(name, alert);
            match &alert.cause {
                Cause::Event(on) => Rule::Event(Box::new(ByEvent::new(on.clone(), alert, state))),
                Cause::System(on) => Rule::System(Box::new(BySystem::new(on.clone(), alert, state))),
            }
        };
        Self { rules: alerts.iter().map(|(name, alert)| (name.clone(), rule(name, alert))).collect() }
    }

    /// Takes up what was open when the daemon last ended. What gave rise to it belongs to another life: an alert by an event is cleared
    /// when nothing new fits for a while, one of the device when it is seen to be well. Alerts that the configuration does not have any
    /// more are cleared at once.
    pub fn restore(&mut self, open: &[Stored], now: Now) -> Vec<Event> {
        let mut cleared = Vec::new();
        for raised in open.iter().map(|stored| &stored.event) {
            let What::AlertRaised { alert, severity, .. } = &raised.what else { continue };
            match self.rules.get_mut(alert) {
                Some(Rule::Event(rule)) => rule.restore(raised, now),
                Some(Rule::System(rule)) => rule.state().restore(raised, now),
                None => cleared.push(state::forgotten(alert, *severity, raised, now)),
            }
        }
        cleared
    }

    /// Something happened. Gives what is to be told after it.
    pub fn event(&mut self, event: &Event, now: Now) -> Vec<Event> {
        // Alerts do not answer alerts: two that did might go on for ever.
        if event.is_alert() {
            return Vec::new();
        }
        self.each_by_event(|rule| rule.event(event, now))
    }

    /// A report passes by: labels that a track gets later than its event, states of cameras and models.
    pub fn report(&mut self, report: &Report, now: Now) -> Vec<Event> {
        match report {
            Report::Sighting(_) => Vec::new(),
            Report::Track(track) => self.each_by_event(|rule| rule.track(track, now)),
            Report::Camera(status) => self.each_by_system(|rule| rule.camera(status, now)),
            Report::Engine(status) => self.each_by_system(|rule| rule.engine(status, now)),
        }
    }

    /// The device was measured.
    pub fn measured(&mut self, measured: &Measured, now: Now) -> Vec<Event> {
        self.each_by_system(|rule| rule.measured(measured, now))
    }

    /// Time has passed. To be called about once a second.
    pub fn tick(&mut self, now: Now) -> Vec<Event> {
        let told = |rule: &mut Rule| match rule {
            Rule::Event(rule) => rule.tick(now),
            Rule::System(rule) => rule.tick(now),
        };
        self.rules.values_mut().filter_map(told).collect()
    }

    /// Names of the alerts that are open.
    pub fn open(&mut self) -> Vec<&str> {
        self.rules.iter_mut().filter_map(|(name, rule)| rule.state().is_open().then_some(name.as_str())).collect()
    }

    fn each_by_event(&mut self, tell: impl Fn(&mut ByEvent) -> Option<Event>) -> Vec<Event> {
        let told = |rule: &mut Rule| if let Rule::Event(rule) = rule { tell(rule) } else { None };
        self.rules.values_mut().filter_map(told).collect()
    }

    fn each_by_system(&mut self, tell: impl Fn(&mut BySystem) -> Option<Event>) -> Vec<Event> {
        let told = |rule: &mut Rule| if let Rule::System(rule) = rule { tell(rule) } else { None };
        self.rules.values_mut().filter_map(told).collect()
    }
}
