//! The store against what happens to devices: processes that are killed, power that goes, disks that are full or read-only.

#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the daemon: it has an environment, a clock and pauses of its own"
)]

pub(crate) mod disk; // file systems of a test's own
mod faults; // a full disk, a read-only one, one that fails while it is written
mod losses; // kill -9 and power cuts: what was durable is there afterwards
mod writer; // the process that is killed: what it keeps, what it says of it

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, UNIX_EPOCH};

use peregrine::config;
use peregrine::runtime::{Clock, Hearts};
use peregrine::store::{Context, Driver, Store, start};
use peregrine::telemetry::Metrics;
use peregrine::types::{Backlog, Captured, Event, Lane, Severity, What};

use crate::support::PATIENCE;

/// A store, and what tells that something has become durable.
pub(crate) struct Life {
    pub(crate) store: Store,
    pub(crate) driver: Driver,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) news: Receiver<()>,
}

impl Life {
    pub(crate) fn begin(dir: &Path) -> Self {
        let clock = Clock::start();
        let (metrics, heart) = (Arc::<Metrics>::default(), Hearts::new(clock).add("store", PATIENCE));
        let settings = config::Store::default();
        let context = Context { dir: dir.to_owned(), settings, clock, metrics: Arc::clone(&metrics), heart };
        let (store, driver) = start(context).expect("a thread");
        let (tell, news) = channel();
        store.on_news(Box::new(move || {
            // Nobody listens any more once the test is over.
            let _ = tell.send(());
        }));
        Self { store, driver, metrics, news }
    }

    /// Waits for something to become durable until this holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.news.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }

    /// The losses that were told and wait for the broker.
    pub(crate) fn told(&self) -> u64 {
        let waiting =
            std::iter::successors(self.store.next(Lane::Events, 0), |(n, _)| self.store.next(Lane::Events, *n));
        let counts =
            waiting.map(|(_, stored)| if let What::Lost { count, .. } = stored.event.what { count } else { 0 });
        counts.sum()
    }
}

/// An event of a camera; each tenth is an alert.
pub(crate) fn event(camera: &str, n: u64) -> Event {
    let wall = UNIX_EPOCH + Duration::from_secs(n);
    let what = if n % 10 == 9 {
        What::AlertRaised {
            alert: format!("alert{}", n % 20),
            severity: Severity::Warning,
            reason: "a test".to_owned(),
        }
    } else {
        What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() }
    };
    Event {
        camera: Some(camera.into()),
        // A clock that was never set: ids and order must not care.
        at: Captured { mono: Duration::from_secs(n), wall, wall_synced: false },
        frame_seq: Some(n),
        what,
        subject: None,
        snapshots: vec!["x".repeat(400)],
    }
}
