//! Events on disk. [`Store::offer`] takes an event without ever waiting; a thread of its own makes it durable and only then offers it to
//! whoever brings it to the broker, through [`Backlog`].
//!
//! ```text
//! offer ─► inbox ─► writer (names, lanes, segments, fdatasync) ─► index ─► Backlog::next ─► broker
//!          bounded    │ what cannot be written stays in memory      ▲               │
//!                     └─► history, for `peregrine events`           └─ acknowledged ┘
//! ```
//!
//! Belongs here: durability, order, what is given up when. Does not: what is worth an event (see `rules`), how it is sent (see `publish`).
//! The form on disk and the reasons for it: docs/decisions/0017-event-store.md.

mod acks;
mod aside;
mod counters;
mod crc;
pub mod history;
mod inbox;
mod index;
mod lane;
mod reader;
mod record;
mod recover;
#[cfg(test)]
mod samples;
mod segment;
mod shared;
mod sole;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use uuid::Uuid;

pub use history::{Query, history, is_store, newest};

use crate::config;
use crate::runtime::{Clock, Heart, Worker};
use crate::telemetry::Metrics;
use crate::types::{Backlog, Event, Lane, Stored};
use shared::Shared;
use writer::Writer;

/// All that keeping needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store's folder; made if it is not there.
    pub dir: PathBuf,
    /// `[store]`
    pub settings: config::Store,
    /// The daemon's clock.
    pub clock: Clock,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Beaten several times a second, but while the disk takes long.
    pub heart: Heart,
}

/// Why keeping cannot start. A disk that is full, read-only or broken is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system gives no thread.
    #[error("the store's thread cannot start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Takes events, and is the backlog. Clones share the disk.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    boot: Uuid,
}

impl Store {
    /// Takes an event. Never waits; what cannot be kept is counted and told by an event of its own.
    pub fn offer(&self, event: Event) {
        self.shared.inbox.offer(event);
    }

    /// Makes durable at once what was offered so far, for an end at which it should still be told. False when that takes longer than this, or
    /// the disk takes nothing.
    pub fn settle(&self, at_most: Duration) -> bool {
        let (done, settled) = sync_channel(1);
        self.shared.inbox.change(|contents| contents.settle.push(done));
        settled.recv_timeout(at_most).is_ok() && self.trouble().is_none()
    }

    /// Why the disk takes nothing; None while it does.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// The name of this life of the daemon.
    pub fn boot(&self) -> Uuid {
        self.boot
    }
}

impl Backlog for Store {
    fn next(&self, lane: Lane, above: u64) -> Option<(u64, Stored)> {
        self.shared.next(lane, above)
    }

    fn acknowledged(&self, lane: Lane, number: u64) {
        self.shared.acknowledged(lane, number);
    }

    fn refused(&self, lane: Lane, number: u64, why: &str) {
        self.shared.refused(lane, number, why);
    }

    fn waiting(&self) -> u64 {
        self.shared.waiting()
    }

    fn open_alerts(&self) -> Vec<Stored> {
        self.shared.open().clone()
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.on_news(wake);
    }
}

/// The running store. Dropped, it goes on without being stopped.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    clock: Clock,
    worker: Worker,
    acks: Worker,
}

impl Driver {
    /// Makes durable what was offered, writes down what was acknowledged, and ends the threads, within this time. True when nothing was left
    /// behind. Stop it after those who offer and those who acknowledge.
    pub fn stop(self, at_most: Duration) -> bool {
        self.shared.inbox.change(|contents| contents.stop = true);
        let deadline = self.clock.mono() + at_most;
        let ended = self.worker.join_within(&self.clock, at_most);
        // After the last who strikes something from the backlog.
        self.shared.acks.stop();
        let ended = self.acks.join_within(&self.clock, deadline.saturating_sub(self.clock.mono())) && ended;
        let contents = self.shared.inbox.lock();
        ended && self.shared.trouble().is_none() && Lane::ALL.into_iter().all(|lane| contents.len(lane) == 0)
    }

    /// Whether one of the threads has ended, which they do not do by themselves.
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished() || self.acks.is_finished()
    }
}

/// Reads what an earlier life left and starts the threads "store" and "store-acks". What can be read is in the backlog when this returns.
///
/// # Errors
/// When the system gives no thread.
pub fn start(context: Context) -> Result<(Store, Driver), StoreError> {
    let clock = context.clock;
    let boot = Uuid::now_v7();
    let shared = Arc::new(Shared::new(Arc::clone(&context.metrics)));
    let writer = Writer::new(Arc::clone(&shared), context, boot);
    let worker = Worker::spawn("store", move || writer.run())?;
    let acks = Worker::spawn("store-acks", {
        let shared = Arc::clone(&shared);
        move || acks::run(&shared)
    })?;
    Ok((Store { shared: Arc::clone(&shared), boot }, Driver { shared, clock, worker, acks }))
}
