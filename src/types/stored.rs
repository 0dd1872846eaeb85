//! An event that is on disk, and what the store offers to whoever brings events to the broker.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::Event;

/// Which of the store's two logs. Each is in order in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Alerts: durable sooner, sent first, given up last.
    Alerts,
    /// All other events.
    Events,
}

impl Lane {
    /// Both, in the order in which they are sent.
    pub const ALL: [Self; 2] = [Self::Alerts, Self::Events];
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Unique over all devices and restarts; sorts by age whatever the wall clock did (UUIDv7).
    pub id: Uuid,
    /// Which life of the daemon it comes from: monotonic times of two lives cannot be compared.
    pub boot: Uuid,
    /// Counts the events of its camera (or of the device) from 1, without a gap, over restarts.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Durable events that the broker does not have yet. Whoever calls must not be kept waiting for a disk that is slow to write.
///
/// The contract: [`Backlog::next`] gives durable records only, in order; a record is in the backlog until its own
/// [`Backlog::acknowledged`] or [`Backlog::refused`], whatever happens to process, disk or clock.
pub trait Backlog: Send + Sync + std::fmt::Debug {
    /// The oldest record of a lane above this number (numbers begin at 1) that is neither acknowledged nor refused.
    fn next(&self, lane: Lane, above: u64) -> Option<(u64, Stored)>;

    /// The broker has it.
    fn acknowledged(&self, lane: Lane, number: u64);

    /// The broker does not take it, ever: it is set aside, with the reason, where its owner finds it.
    fn refused(&self, lane: Lane, number: u64, why: &str);

    /// How many records wait.
    fn waiting(&self) -> u64;

    /// Alerts that are raised and not cleared, as of all records that [`Backlog::next`] gives: also of those that are lost.
    fn open_alerts(&self) -> Vec<Stored>;

    /// Calls this, from whichever thread, whenever something became durable that can be sent.
    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>);
}
