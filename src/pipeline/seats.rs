//! What is remembered of each camera between two of its frames, and who of several workers has it.
//!
//! A camera's seat (tracker, label book) goes out with the worker that has its frame, and comes back with it: so a camera's frames are
//! analysed one at a time and in order, and its reports leave in order. Whose turn it is says `schedule`. Lock order: seats, then lanes
//! and rings, never the other way round.
//!
//! One look at all cameras costs time in proportion to their number, whatever they do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::analyst::Follow;
use super::lanes::{Lane, Lanes};
use crate::config;
use crate::ring::Glimpse;
use crate::schedule::{Pick, Policy, Waiting, Wish};
use crate::types::{CameraId, Frame};

/// A measured rate that is off by less than this share is not told anew.
const SAME_RATE: f64 = 0.1;

/// The seats of all lanes, shared by all workers.
#[derive(Debug)]
pub struct Seats {
    lanes: Lanes,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    policy: Policy,
    /// By the lane's number.
    seats: HashMap<u64, Seat>,
    /// Looks at all lanes so far.
    looks: u64,
    /// Glances since somebody had a turn at the detector.
    glances: usize,
    interval_times: u32,
    /// By [`config::Priority`].
    rate_parts: [u32; 3],
}

#[derive(Debug)]
struct Seat {
    camera: CameraId,
    /// The look at which its lane was open last.
    look: u64,
    /// What the policy was told.
    wish: Wish,
    /// None while a worker has it.
    at_home: Option<Follow>,
}

/// A frame that was taken, with its camera's seat.
#[derive(Debug)]
pub(super) struct Taken {
    /// Where it came from.
    pub(super) lane: Arc<Lane>,
    /// The frame.
    pub(super) frame: Frame,
    /// The seat, to be given back.
    pub(super) follow: Follow,
}

/// What a worker is to do with the seats that it was given.
#[derive(Debug)]
pub(super) enum Errand {
    /// Analyse these frames together, most overdue first; then say [`Seats::done`].
    Frames(Vec<Taken>),
    /// Glance at this frame; then give back the seat, or put back the frame where it is worth a look.
    Glance(Taken),
    /// The camera is silent, or switched off: end its tracks, then give the seat back.
    Silent(u64, Follow),
    /// No frame is looked at, and yet there is something to tell: do so, then give the seat back.
    Due(u64, Follow),
    /// The camera is gone: end its tracks, then clear the seat away.
    Gone(u64, Follow),
    /// Nothing, until the bell rings, or until this time.
    Rest(Option<Duration>),
}

/// What one look at the lanes found.
struct Found {
    /// What is to be done before anything else.
    urgent: Option<Errand>,
    /// Lanes whose frame competes for the detector, in the order of the lanes.
    waiting: Vec<Waiting>,
    /// Of the lanes whose frame is to be glanced at, the one whose frame is the oldest.
    glance: Option<(Duration, Arc<Lane>)>,
}

impl Seats {
    /// For these lanes; nobody has sat yet.
    pub fn new(lanes: Lanes, schedule: config::Schedule) -> Self {
        let inner = Inner {
            policy: Policy::new(schedule),
            seats: HashMap::new(),
            looks: 0,
            glances: 0,
            interval_times: 1,
            rate_parts: [1; 3],
        };
        Self { lanes, inner: Mutex::new(inner) }
    }

    /// Cameras of low, medium and high priority get one `part`th of their rates from now on; 1 is as configured. The rate of a camera without
    /// `detect_fps` is what it sends.
    pub fn set_rate_parts(&self, parts: [u32; 3]) {
        self.lock().rate_parts = parts;
        self.lanes.bell().ring();
    }

    /// Looks are so many times rarer from now on, where little happens; 1 is as configured.
    pub fn set_interval_times(&self, times: u32) {
        self.lock().interval_times = times.max(1);
        self.lanes.bell().ring();
    }

    /// The cameras.
    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// What an engine takes at once, from now on. Where workers differ, whoever said so last is believed. Gives how many frames may go
    /// together now.
    pub(super) fn limit(&self, max_batch: usize) -> usize {
        let mut inner = self.lock();
        inner.policy.limit(max_batch);
        inner.policy.batch()
    }

    /// What is to be done next, ends of tracks first. `sit` makes the seat of a camera that has none.
    pub(super) fn next(&self, now: Duration, sit: &dyn Fn(&Lane) -> Follow) -> Errand {
        let mut inner = self.lock();
        // Under the lock: a list from before could lack a lane that another worker has seated since, and end its tracks.
        let open = self.lanes.now();
        inner.next(&open, now, sit)
    }

    /// A seat comes back. Those who sleep are woken where there is something for them to do: while the seat was out they passed over
    /// its lane.
    pub(super) fn give_back(&self, number: u64, follow: Follow) {
        self.come_home(self.lock(), vec![(number, follow)]);
    }

    /// A frame is worth a look: it competes for the detector, or the one that has displaced it.
    pub(super) fn put_back(&self, taken: Taken) {
        let inner = self.lock();
        taken.lane.ring.put_back(taken.frame);
        self.come_home(inner, vec![(taken.lane.number, taken.follow)]);
    }

    /// A batch is done, in that time from its taking to its results; for each result the time since its capture. Its seats come back. Gives
    /// how many frames may go together from now on.
    pub(super) fn done(&self, back: Vec<(u64, Follow)>, took: Duration, late: &[Duration], now: Duration) -> usize {
        let mut inner = self.lock();
        let lanes: Vec<u64> = back.iter().map(|(number, _)| *number).collect();
        inner.policy.done(&lanes, took, late, now);
        let batch = inner.policy.batch();
        self.come_home(inner, back);
        batch
    }

    fn come_home(&self, mut inner: MutexGuard<'_, Inner>, back: Vec<(u64, Follow)>) {
        let open = self.lanes.now();
        let mut is_idle = true;
        for (number, follow) in back {
            if let Some(seat) = inner.seats.get_mut(&number) {
                seat.at_home = Some(follow);
            }
            is_idle &= open.iter().any(|lane| lane.number == number && !lane.ring.is_waiting());
        }
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

    // A worker that panics does so outside of the lock, with its seats out: those cameras are followed no more, and the daemon ends.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next(&mut self, open: &[Arc<Lane>], now: Duration, sit: &dyn Fn(&Lane) -> Follow) -> Errand {
        self.looks += 1;
        for lane in open {
            if let Some(seat) = self.seats.get_mut(&lane.number) {
                seat.look = self.looks;
            }
        }
        if let Some((number, follow)) = self.take_gone() {
            self.policy.gone(number);
            return Errand::Gone(number, follow);
        }
        let found = self.look_around(open, now, sit);
        if let Some(errand) = found.urgent {
            return errand;
        }
        // Glances are cheap, and yet those of many cameras must not keep frames from the detector for ever.
        if self.glances < open.len() && found.glance.is_some() {
            return self.take_glance(found.glance);
        }
        match self.policy.pick(&found.waiting, now) {
            Pick::Take(lanes) => self.take_frames(&lanes, open, now),
            _ if found.glance.is_some() => self.take_glance(found.glance),
            Pick::Wait(until) => Errand::Rest(Some(until)),
            Pick::Nothing => Errand::Rest(None),
        }
    }

    /// A seat whose lane is open no more.
    fn take_gone(&mut self) -> Option<(u64, Follow)> {
        let looks = self.looks;
        let gone = self.seats.iter_mut().filter(|(_, seat)| seat.look != looks);
        gone.into_iter().find_map(|(number, seat)| Some((*number, seat.at_home.take()?)))
    }

    /// Looks at each lane once, as far as the first where something is to be done at once.
    fn look_around(&mut self, open: &[Arc<Lane>], now: Duration, sit: &dyn Fn(&Lane) -> Follow) -> Found {
        let Self { policy, seats, looks, interval_times, rate_parts, .. } = self;
        // What an earlier lane of a camera still has to tell comes first.
        let gone = seats.values().filter(|seat| seat.look != *looks);
        let in_the_way: Vec<CameraId> = gone.map(|seat| Arc::clone(&seat.camera)).collect();
        let mut found = Found { urgent: None, waiting: Vec::with_capacity(open.len()), glance: None };
        for lane in open {
            let seat = match seats.entry(lane.number) {
                Entry::Occupied(seat) => seat.into_mut(),
                Entry::Vacant(_) if in_the_way.contains(&lane.camera) || !lane.ring.is_waiting() => continue,
                Entry::Vacant(free) => {
                    let wish = Wish::from(&lane.settings);
                    policy.camera(lane.number, wish);
                    let camera = Arc::clone(&lane.camera);
                    free.insert(Seat { camera, look: *looks, wish, at_home: Some(sit(lane)) })
                }
            };
            if seat.at_home.is_none() {
                continue;
            }
            let glimpse = lane.ring.look(|captured| policy.stale(lane.number, captured, now));
            seat.keep_wish(lane, rate_parts[lane.settings.priority as usize], &glimpse, policy);
            let Some(follow) = &mut seat.at_home else { continue };
            follow.stretch(*interval_times);
            follow.heed(&glimpse, seat.wish.rate_hz);
            if follow.is_silent(now) || (follow.has_begun() && glimpse.is_off) {
                found.urgent = seat.at_home.take().map(|follow| Errand::Silent(lane.number, follow));
                return found;
            }
            // A frame that is looked at soon tells more than the time does.
            if follow.is_due(now) && (glimpse.captured.is_none() || !policy.is_due(lane.number, now)) {
                found.urgent = seat.at_home.take().map(|follow| Errand::Due(lane.number, follow));
                return found;
            }
            let Some(captured) = glimpse.captured else { continue };
            if !follow.wants_glance() {
                found.waiting.push(Waiting { lane: lane.number, captured });
            } else if found.glance.as_ref().is_none_or(|(oldest, _)| captured < *oldest) {
                found.glance = Some((captured, Arc::clone(lane)));
            }
        }
        found
    }

    fn take_glance(&mut self, of: Option<(Duration, Arc<Lane>)>) -> Errand {
        self.glances += 1;
        let taken = of.and_then(|(_, lane)| self.take(&lane));
        // The lane may have been closed since; then its ring is empty.
        taken.map_or(Errand::Rest(Some(Duration::ZERO)), Errand::Glance)
    }

    fn take_frames(&mut self, lanes: &[u64], open: &[Arc<Lane>], now: Duration) -> Errand {
        self.glances = 0;
        let mut frames = Vec::with_capacity(lanes.len());
        for number in lanes {
            match open.iter().find(|lane| lane.number == *number).and_then(|lane| self.take(lane)) {
                Some(taken) => frames.push(taken),
                None => self.policy.missed(*number),
            }
        }
        if frames.is_empty() { Errand::Rest(Some(now)) } else { Errand::Frames(frames) }
    }

    /// The lane's frame, and its seat.
    fn take(&mut self, lane: &Arc<Lane>) -> Option<Taken> {
        let seat = self.seats.get_mut(&lane.number).filter(|seat| seat.at_home.is_some())?;
        let frame = lane.ring.take()?;
        let follow = seat.at_home.take()?;
        Some(Taken { lane: Arc::clone(lane), frame, follow })
    }
}

impl Seat {
    /// Tells the policy what the camera wants, where that has changed: one `part`th of its rate.
    fn keep_wish(&mut self, lane: &Lane, part: u32, glimpse: &Glimpse, policy: &mut Policy) {
        let mut wish = Wish::from(&lane.settings);
        if part > 1 {
            let full_hz = wish.rate_hz.into_iter().chain(glimpse.rate_hz).reduce(f64::min);
            wish.rate_hz = full_hz.map(|hz| hz / f64::from(part));
        }
        let is_same = match self.wish.rate_hz.zip(wish.rate_hz) {
            Some((told, now)) if part > 1 => (told - now).abs() <= SAME_RATE * now,
            _ => self.wish == wish,
        };
        if !is_same {
            self.wish = wish;
            policy.camera(lane.number, wish);
        }
    }
}
