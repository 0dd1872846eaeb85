//! What the store's thread and its callers both hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::acks::Acks;
use super::counters::Losses;
use super::inbox::{Inbox, Refused};
use super::index::{Index, Place};
use super::reader::{ReadError, Reader};
use crate::telemetry::Metrics;
use crate::types::{Backlog, Lane, Stored};

type Wake = Box<dyn Fn() + Send + Sync>;

/// No lock here is held while something is written.
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    pub(super) acks: Acks,
    pub(super) metrics: Arc<Metrics>,
    index: Mutex<Index>,
    reader: Mutex<Reader>,
    open: Mutex<Vec<Stored>>,
    trouble: Mutex<[Option<String>; 2]>,
    listeners: Mutex<Vec<Wake>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

// Every change under these locks is whole before anything could panic.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            inbox: Inbox::default(),
            acks: Acks::default(),
            metrics,
            index: Mutex::default(),
            reader: Mutex::default(),
            open: Mutex::default(),
            trouble: Mutex::default(),
            listeners: Mutex::default(),
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Held while alerts become part of the backlog, so that nobody finds one there that is not here. Taken before the index.
    pub(super) fn open(&self) -> MutexGuard<'_, Vec<Stored>> {
        lock(&self.open)
    }

    /// A lane cannot be written; true when that is news.
    pub(super) fn ill(&self, lane: Lane, why: String) -> bool {
        lock(&self.trouble)[lane as usize].replace(why).is_none()
    }

    /// It can again; true when that is news.
    pub(super) fn well(&self, lane: Lane) -> bool {
        lock(&self.trouble)[lane as usize].take().is_some()
    }

    pub(super) fn well_all(&self) {
        *lock(&self.trouble) = [None, None];
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let trouble: Vec<String> = lock(&self.trouble).iter().flatten().cloned().collect();
        (!trouble.is_empty()).then(|| trouble.join("; "))
    }

    /// Tells listeners that something can be sent.
    pub(super) fn wake(&self) {
        lock(&self.listeners).iter().for_each(|wake| wake());
    }

    fn read(&self, lane: Lane, place: &Place) -> Result<Stored, ReadError> {
        lock(&self.reader).read(lane, &place.path, place.number, place.durable_end)
    }

    /// The record is not there any more. Told as a loss, unless its segment went on purpose in the meantime.
    fn strike_rotten(&self, lane: Lane, number: u64, error: ReadError) {
        let was_there = self.index().done(lane, number);
        self.inbox.change(|contents| {
            match error {
                ReadError::Rotten(Some(rotten)) => contents.rotten.push(rotten),
                // Nothing is there to be set aside, which is where it would be counted.
                _ if was_there => self.metrics.store.rotten_total.inc(),
                _ => {}
            }
            contents.lose(Losses::of(lane, u64::from(was_there)), "records on the disk were damaged");
        });
        self.acks.ring();
    }
}

impl Backlog for Shared {
    fn next(&self, lane: Lane, above: u64) -> Option<(u64, Stored)> {
        loop {
            let place = self.index().next(lane, above)?;
            match self.read(lane, &place) {
                Ok(stored) => return Some((place.number, stored)),
                Err(ReadError::Later(e)) => {
                    log::warn!("store: {}: {e}; it is read later", place.path.display());
                    return None;
                }
                Err(rotten) => self.strike_rotten(lane, place.number, rotten),
            }
        }
    }

    fn acknowledged(&self, lane: Lane, number: u64) {
        if self.index().done(lane, number) {
            self.metrics.store.waiting.set(self.waiting() as i64);
            self.acks.ring();
        }
    }

    fn refused(&self, lane: Lane, number: u64, why: &str) {
        let above = number.saturating_sub(1);
        let Some(place) = self.index().next(lane, above).filter(|place| place.number == number) else { return };
        let stored = self.read(lane, &place).ok();
        let why = why.to_owned();
        self.inbox.change(|contents| contents.refuse(Refused { lane, number, why, stored }));
    }

    fn waiting(&self) -> u64 {
        self.index().waiting()
    }

    fn open_alerts(&self) -> Vec<Stored> {
        self.open().clone()
    }

    fn on_news(&self, wake: Wake) {
        // What is there already is news to whoever has just begun to listen.
        if self.waiting() > 0 {
            wake();
        }
        lock(&self.listeners).push(wake);
    }
}
