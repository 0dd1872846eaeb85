//! What the store's thread has to do next: events to keep, records to set aside, acknowledgements to write down. Whoever puts something in
//! never waits for the disk.

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counters::Losses;
use crate::types::{Event, Lane, Stored};

/// Events that wait for a disk that takes nothing: some 10 MB of memory, more than an hour at 2 events a second.
const CAPACITY: usize = 10_000;

/// Refused records that wait to be set aside. A broker that refuses everything does so faster than a disk writes; what is beyond this stays
/// in the backlog and goes with the next connection.
const MOST_REFUSED: usize = 1000;

/// Bytes of a segment that are no record, or one that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rotten {
    /// The segment's file name and where in it they lay.
    pub(super) from: String,
    pub(super) bytes: Vec<u8>,
}

/// A record that the broker does not take.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) lane: Lane,
    pub(super) number: u64,
    pub(super) why: String,
    pub(super) stored: Option<Stored>,
}

/// An event, and the how manyth it is of both lanes.
pub(super) type Arrived = (u64, Event);

/// All that came.
#[derive(Debug, Default)]
pub(super) struct Contents {
    queues: [VecDeque<Arrived>; 2],
    arrivals: u64,
    /// Events that are gone, for whatever reason, since this was last asked.
    pub(super) lost: Losses,
    pub(super) reasons: BTreeSet<&'static str>,
    pub(super) rotten: Vec<Rotten>,
    pub(super) refused: Vec<Refused>,
    /// Who waits until all that is in the box is durable.
    pub(super) settle: Vec<SyncSender<()>>,
    pub(super) stop: bool,
}

impl Contents {
    /// The oldest events of a lane, at most so many.
    pub(super) fn take(&mut self, lane: Lane, at_most: usize) -> Vec<Arrived> {
        let queue = &mut self.queues[lane as usize];
        queue.drain(..queue.len().min(at_most)).collect()
    }

    /// How many events of a lane wait.
    pub(super) fn len(&self, lane: Lane) -> usize {
        self.queues[lane as usize].len()
    }

    /// Events are gone, and why.
    pub(super) fn lose(&mut self, losses: Losses, reason: &'static str) {
        if losses.count > 0 {
            self.lost.add(losses);
            self.reasons.insert(reason);
        }
    }

    /// A record is to be set aside.
    pub(super) fn refuse(&mut self, refused: Refused) {
        if self.refused.len() < MOST_REFUSED {
            self.refused.push(refused);
        }
    }

    /// Keeps the newest, and of those alerts rather than others.
    fn put(&mut self, event: Event) {
        let lane = if event.is_alert() { Lane::Alerts } else { Lane::Events };
        self.arrivals += 1;
        self.queues[lane as usize].push_back((self.arrivals, event));
        if self.queues.iter().map(VecDeque::len).sum::<usize>() > CAPACITY {
            let victim =
                [Lane::Events, Lane::Alerts].into_iter().find(|l| self.queues[*l as usize].pop_front().is_some());
            if let Some(victim) = victim {
                self.lose(Losses::of(victim, 1), "the disk took nothing for too long");
            }
        }
    }
}

/// The box, with a bell.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    contents: Mutex<Contents>,
    bell: Condvar,
}

impl Inbox {
    /// Puts an event in.
    pub(super) fn offer(&self, event: Event) {
        self.change(|contents| contents.put(event));
    }

    /// Changes what is in the box, and rings.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let done = change(&mut self.lock());
        self.bell.notify_one();
        done
    }

    /// Waits until there is something to do, or this long.
    pub(super) fn wait(&self, at_most: Duration, is_work: impl Fn(&Contents) -> bool) -> MutexGuard<'_, Contents> {
        let (contents, _) = self
            .bell
            .wait_timeout_while(self.lock(), at_most, |contents| !is_work(contents))
            .unwrap_or_else(PoisonError::into_inner);
        contents
    }

    // Every change above is whole before anything could panic.
    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{alert_raised, event};
    use super::*;

    #[test]
    fn a_full_box_gives_up_its_oldest_event_and_keeps_alerts_longest() {
        let inbox = Inbox::default();
        inbox.offer(alert_raised("front", "intruder"));
        for n in 0..CAPACITY as u64 + 4 {
            inbox.offer(event("front", n));
        }
        let mut contents = inbox.lock();
        assert_eq!(contents.lost, Losses { count: 5, alerts: 0 });
        assert_eq!(contents.len(Lane::Alerts), 1);
        assert_eq!(contents.take(Lane::Events, 1)[0].1.frame_seq, Some(5));
    }

    #[test]
    fn what_a_broker_refuses_is_taken_no_faster_than_it_is_set_aside() {
        let inbox = Inbox::default();
        for number in 1..=MOST_REFUSED as u64 + 1 {
            let refused = Refused { lane: Lane::Events, number, why: "no".to_owned(), stored: None };
            inbox.change(|contents| contents.refuse(refused));
        }
        assert_eq!(inbox.lock().refused.len(), MOST_REFUSED);
    }

    #[test]
    fn where_there_are_only_alerts_the_oldest_of_them_goes() {
        let inbox = Inbox::default();
        for _ in 0..=CAPACITY {
            inbox.offer(alert_raised("front", "intruder"));
        }
        assert_eq!(inbox.lock().lost, Losses { count: 1, alerts: 1 });
    }
}
