//! Alerts among threads: one lock around them, the clock, and where events go on to. What is decided stands in the other files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Alerts, Now};
use crate::config::Alert;
use crate::runtime::Clock;
use crate::types::{Captured, Event, Measured, Report, Stored};

/// Every event passes here on its way to the store; what alerts have to say about it follows it. Clones share the alerts.
#[derive(Clone)]
pub struct Watch {
    alerts: Arc<Mutex<Alerts>>,
    clock: Clock,
    keep: Arc<dyn Fn(Event) + Send + Sync>,
}

impl Watch {
    /// Begins with what was open when the daemon last ended. `keep` is called in whichever thread, under the lock: it must not wait,
    /// nor come back here.
    pub fn new(
        alerts: &BTreeMap<String, Alert>,
        open: &[Stored],
        clock: Clock,
        keep: impl Fn(Event) + Send + Sync + 'static,
    ) -> Self {
        let mut alerts = Alerts::new(alerts);
        alerts.restore(open, now(clock.now())).into_iter().for_each(&keep);
        Self { alerts: Arc::new(Mutex::new(alerts)), clock, keep: Arc::new(keep) }
    }

    /// Something happened: it goes on, and alerts after it.
    pub fn event(&self, event: Event) {
        // Under the lock until all is kept, so that an alert is never cleared before it was raised.
        let mut alerts = self.lock();
        let told = alerts.event(&event, now(self.clock.now()));
        (self.keep)(event);
        told.into_iter().for_each(&*self.keep);
    }

    /// A report passes by; it is not kept, only looked at.
    pub fn report(&self, report: &Report) {
        let mut alerts = self.lock();
        alerts.report(report, now(self.clock.now())).into_iter().for_each(&*self.keep);
    }

    /// Time has passed, and the device was measured. To be called about once a second.
    pub fn look(&self, measured: &Measured) {
        let mut alerts = self.lock();
        let now = now(self.clock.now());
        alerts.measured(measured, now).into_iter().for_each(&*self.keep);
        alerts.tick(now).into_iter().for_each(&*self.keep);
    }

    /// Names of the alerts that are open.
    pub fn open(&self) -> Vec<String> {
        self.lock().open().into_iter().map(str::to_owned).collect()
    }

    // No call under the lock panics half-way, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("alerts", &self.alerts).finish_non_exhaustive()
    }
}

fn now(at: Captured) -> Now {
    Now { at, local_minute: crate::runtime::clock::local_minute(at.wall) }
}
