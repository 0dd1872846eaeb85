//! What is remembered of each camera between two of its frames, and who of several workers has it.
//!
//! A camera's seat (tracker, label book) goes out with the worker that has its frame, and comes back with it: so a camera's frames are
//! analysed one at a time and in order, and its reports leave in order. Whose turn it is says `schedule`. Lock order: seats, then lanes
//! and rings, never the other way round.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::analyst::Follow;
use super::lanes::{Lane, Lanes};
use crate::schedule::{self, Waiting};
use crate::types::Frame;

/// The seats of all lanes, shared by all workers.
#[derive(Debug)]
pub struct Seats {
    lanes: Lanes,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    turn: u64,
    /// By the lane's number.
    seats: HashMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    served_turn: u64,
    /// None while a worker has it.
    at_home: Option<Follow>,
}

/// What a worker is to do with the seat that it was given.
#[derive(Debug)]
pub(super) enum Errand {
    /// Analyse this frame, then give the seat back.
    Frame(Arc<Lane>, Frame, Follow),
    /// The camera is silent: end its tracks, then give the seat back.
    Silent(u64, Follow),
    /// The camera is gone: end its tracks.
    Gone(Follow),
}

impl Seats {
    /// For these lanes; nobody has sat yet.
    pub fn new(lanes: Lanes) -> Self {
        Self { lanes, inner: Mutex::default() }
    }

    /// The cameras.
    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// What is to be done next, ends of tracks first; None when nothing is. `sit` makes the seat of a camera that has none.
    pub(super) fn next(&self, now: Duration, sit: &dyn Fn(&Lane) -> Follow) -> Option<Errand> {
        let mut inner = self.lock();
        // Under the lock: a list from before could lack a lane that another worker has seated since, and end its tracks.
        let open = self.lanes.now();
        if let Some(follow) = inner.take_gone(&open) {
            return Some(Errand::Gone(follow));
        }
        if let Some((number, follow)) = inner.take_silent(now) {
            return Some(Errand::Silent(number, follow));
        }
        let waiting = open.iter().enumerate().filter(|(_, lane)| inner.is_at_home(lane) && lane.ring.is_waiting());
        let served = |lane: &Lane| inner.seats.get(&lane.number).map_or(0, |seat| seat.served_turn);
        let waiting = waiting.map(|(index, lane)| Waiting { index, served_turn: served(lane) });
        let lane = Arc::clone(&open[schedule::next(waiting)?]);
        // The lane may have been closed since; then its ring is empty.
        let frame = lane.ring.take()?;
        inner.turn += 1;
        let turn = inner.turn;
        let seat = inner.seats.entry(lane.number).or_insert_with(|| Seat { served_turn: 0, at_home: Some(sit(&lane)) });
        seat.served_turn = turn;
        let follow = seat.at_home.take().expect("only lanes whose seat is at home were waiting");
        Some(Errand::Frame(lane, frame, follow))
    }

    /// A seat comes back. Those who sleep are woken where there is something for them to do: while the seat was out they passed over
    /// its lane.
    pub(super) fn give_back(&self, number: u64, follow: Follow) {
        let mut inner = self.lock();
        if let Some(seat) = inner.seats.get_mut(&number) {
            seat.at_home = Some(follow);
        }
        let open = self.lanes.now();
        let is_idle = open.iter().any(|lane| lane.number == number && !lane.ring.is_waiting());
        drop(inner);
        if !is_idle {
            self.lanes.bell().ring();
        }
    }

    /// At the end: a seat that is at home. Seats that are out are for the workers that have them.
    pub(super) fn leave(&self) -> Option<Follow> {
        let mut inner = self.lock();
        let number = inner.seats.iter().find_map(|(number, seat)| seat.at_home.is_some().then_some(*number))?;
        inner.seats.remove(&number)?.at_home
    }

    // A worker that panics does so outside of the lock, with its seat out: that camera is followed no more, and the daemon ends.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_at_home(&self, lane: &Lane) -> bool {
        self.seats.get(&lane.number).is_none_or(|seat| seat.at_home.is_some())
    }

    fn take_gone(&mut self, open: &[Arc<Lane>]) -> Option<Follow> {
        let is_gone = |number: &u64| !open.iter().any(|lane| lane.number == *number);
        let mut left = self.seats.iter().filter(|(number, seat)| is_gone(number) && seat.at_home.is_some());
        let number = *left.next()?.0;
        self.seats.remove(&number)?.at_home
    }

    fn take_silent(&mut self, now: Duration) -> Option<(u64, Follow)> {
        let is_silent = |seat: &&mut Seat| seat.at_home.as_ref().is_some_and(|follow| follow.is_silent(now));
        let (number, seat) = self.seats.iter_mut().find_map(|(n, seat)| is_silent(&seat).then_some((*n, seat)))?;
        Some((number, seat.at_home.take()?))
    }
}
