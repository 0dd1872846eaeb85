//! The way of events through the daemon: engines and the supervisor tell them, alerts see them pass, the store keeps them, publishing takes
//! them from there. Belongs here: how these parts are joined, begun and ended. Does not: what any of them decides.

use std::sync::Arc;
use std::time::Duration;

use super::AppError;
use super::neighbours::Neighbours;
use super::pictures::show_alert;
use crate::alerts::Watch;
use crate::config::Config;
use crate::monitor::Gauges;
use crate::pictures::Studio;
use crate::publish::{self, payload};
use crate::runtime::{Clock, Hearts};
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::types::{Backlog, Event, Measured, Report, Stored};

/// The store does not beat while a disk takes its time to make something durable.
const STORE_SILENCE: Duration = Duration::from_secs(60);

/// What is held while the daemon runs.
pub(super) struct Events {
    store: Store,
    driver: store::Driver,
    watch: Watch,
    gauges: Gauges,
    open_at_start: Vec<Stored>,
    alerts: Vec<String>,
}

/// Where events go to; clones share the way.
#[derive(Debug, Clone)]
pub(super) struct Way {
    watch: Watch,
    store: Store,
}

impl Way {
    /// Something happened.
    pub(super) fn event(&self, event: Event) {
        self.watch.event(event);
    }

    /// A report passes by on its own way: alerts look at it.
    pub(super) fn report(&self, report: &Report) {
        self.watch.report(report);
    }

    /// Why the disk takes nothing; None while it does.
    pub(super) fn store_trouble(&self) -> Option<String> {
        self.store.trouble()
    }
}

impl Events {
    /// Reads what an earlier life left, and takes up the alerts that were open in it.
    pub(super) fn start(
        config: &Config,
        clock: Clock,
        metrics: &Arc<Metrics>,
        hearts: &Hearts,
        studio: Option<Studio>,
        neighbours: &Neighbours,
    ) -> Result<Self, AppError> {
        let (store, driver) = store::start(store::Context {
            dir: config.paths.state.join("events"),
            settings: config.store.clone(),
            clock,
            metrics: Arc::clone(metrics),
            heart: hearts.add("store", STORE_SILENCE),
        })
        .map_err(|e| AppError::Start(e.into()))?;
        let open_at_start = store.open_alerts();
        let keep = {
            let (store, neighbours) = (store.clone(), neighbours.clone());
            move |mut event| {
                show_alert(studio.as_ref(), &mut event);
                neighbours.see(&event);
                store.offer(event);
            }
        };
        let watch = Watch::new(&config.alerts, &open_at_start, clock, keep);
        let gauges = Gauges::new(Arc::clone(metrics), config.paths.state.clone());
        let alerts = config.alerts.keys().cloned().collect();
        Ok(Self { store, driver, watch, gauges, open_at_start, alerts })
    }

    /// For whoever tells events.
    pub(super) fn way(&self) -> Way {
        Way { watch: self.watch.clone(), store: self.store.clone() }
    }

    /// For whoever brings them to the broker.
    pub(super) fn outgoing(&self) -> publish::Outgoing {
        publish::Outgoing {
            backlog: Arc::new(self.store.clone()),
            open_alerts: self.open_at_start.clone(),
            alerts: self.alerts.clone(),
            boot: self.store.boot(),
        }
    }

    /// Looks how the device fares; about once a second.
    pub(super) fn look(&mut self, cameras: &[&str], now: Duration) {
        let store_trouble = self.store.trouble();
        let measured = self.gauges.look(cameras, store_trouble.clone(), now);
        self.watch.look(&measured.unwrap_or_else(|| Measured { store_trouble, ..Measured::default() }));
    }

    /// Whether the store's thread has ended, which it does not do by itself.
    pub(super) fn is_finished(&self) -> bool {
        self.driver.is_finished()
    }

    /// Makes durable what was told last, so that it can still be sent. What cannot be is sent in the next life.
    pub(super) fn settle(&self, at_most: Duration) {
        if !self.store.settle(at_most) {
            log::warn!(stage = "store"; "events were told last that cannot be sent before the end");
        }
    }

    /// Makes durable what was told. True when nothing was left behind.
    pub(super) fn stop(self, at_most: Duration) -> bool {
        self.driver.stop(at_most)
    }
}

/// The history on disk as the server gives it.
pub(super) fn history(config: &Config) -> crate::api::History {
    let (dir, device) = (config.paths.state.join("events"), config.device.name.clone());
    Arc::new(move |asked| {
        let query =
            store::Query { since: asked.since, camera: asked.camera.clone(), kind: asked.kind.map(str::to_owned) };
        let newest = store::newest(&dir, &query, asked.limit).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(newest.iter().map(|stored| wire_form(stored, &device)).collect())
    })
}

/// An event as the broker gets it, without its topic: the history shows the same, byte for byte.
pub fn wire_form(stored: &Stored, device: &str) -> Vec<u8> {
    payload::render_event(stored, device, "").body
}
