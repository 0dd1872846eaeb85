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
use crate::schedule::{self, next::Waiting};
use crate::types::{CameraId, Frame};

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
    camera: CameraId,
    served_turn: u64,
    /// None while a worker has it.
    at_home: Option<Follow>,
}

/// What a worker is to do with the seat that it was given.
#[derive(Debug)]
pub(super) enum Errand {
    /// Analyse this frame, then give the seat back.
    Frame(Arc<Lane>, Frame, Follow),
    /// The camera is silent, or switched off: end its tracks, then give the seat back.
    Silent(u64, Follow),
    /// No frame came, and yet there is something to tell: do so, then give the seat back.
    Due(u64, Follow),
    /// The camera is gone: end its tracks, then clear the seat away.
    Gone(u64, Follow),
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
        if let Some((number, follow)) = inner.take_gone(&open) {
            return Some(Errand::Gone(number, follow));
        }
        if let Some((number, follow)) = inner.take_silent(&open, now) {
            return Some(Errand::Silent(number, follow));
        }
        if let Some((number, follow)) = inner.take_due(&open, now) {
            return Some(Errand::Due(number, follow));
        }
        let waiting = open.iter().enumerate().filter(|(_, lane)| inner.is_free(lane) && lane.ring.is_waiting());
        let served = |lane: &Lane| inner.seats.get(&lane.number).map_or(0, |seat| seat.served_turn);
        let waiting = waiting.map(|(index, lane)| Waiting { index, served_turn: served(lane) });
        let lane = Arc::clone(&open[schedule::next(waiting)?]);
        // The lane may have been closed since; then its ring is empty.
        let frame = lane.ring.take()?;
        inner.turn += 1;
        let turn = inner.turn;
        let first = || Seat { camera: Arc::clone(&lane.camera), served_turn: 0, at_home: Some(sit(&lane)) };
        let seat = inner.seats.entry(lane.number).or_insert_with(first);
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

    /// The tracks of a camera that is gone have ended: a camera of its name may be served.
    pub(super) fn clear(&self, number: u64) {
        self.lock().seats.remove(&number);
        self.lanes.bell().ring();
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
    /// Whether nobody has the lane in hand, nor an earlier one of the same camera: what that still has to tell comes first.
    fn is_free(&self, lane: &Lane) -> bool {
        let is_in_the_way = |(number, seat): (&u64, &Seat)| {
            if *number == lane.number { seat.at_home.is_none() } else { seat.camera == lane.camera }
        };
        !self.seats.iter().any(is_in_the_way)
    }

    fn take_gone(&mut self, open: &[Arc<Lane>]) -> Option<(u64, Follow)> {
        let is_gone = |number: &u64| !open.iter().any(|lane| lane.number == *number);
        self.seats
            .iter_mut()
            .filter(|(number, _)| is_gone(number))
            .find_map(|(n, seat)| Some((*n, seat.at_home.take()?)))
    }

    /// A frame that waits tells more than the time does.
    fn take_due(&mut self, open: &[Arc<Lane>], now: Duration) -> Option<(u64, Follow)> {
        let is_waiting = |number: &u64| open.iter().any(|lane| lane.number == *number && lane.ring.is_waiting());
        let is_due = |seat: &Seat| seat.at_home.as_ref().is_some_and(|follow| follow.is_due(now));
        let due = self.seats.iter_mut().filter(|(number, seat)| is_due(seat) && !is_waiting(number));
        due.into_iter().find_map(|(number, seat)| Some((*number, seat.at_home.take()?)))
    }

    fn take_silent(&mut self, open: &[Arc<Lane>], now: Duration) -> Option<(u64, Follow)> {
        let is_off = |number: u64| open.iter().any(|lane| lane.number == number && lane.ring.is_off());
        let is_over = |number: u64, seat: &Seat| {
            let at_home = seat.at_home.as_ref();
            at_home.is_some_and(|follow| follow.is_silent(now) || (follow.has_begun() && is_off(number)))
        };
        let (number, seat) = self.seats.iter_mut().find_map(|(n, seat)| is_over(*n, seat).then_some((*n, seat)))?;
        Some((number, seat.at_home.take()?))
    }
}
