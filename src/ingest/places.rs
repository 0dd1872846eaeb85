//! How many pipelines are built at once, and who is next. Opening costs the processor more than streaming does, so that a hundred cameras that
//! open together would take it from those that stream; and most of the hundred may be dead. What is opened belongs to the sources.
//!
//! Bounded is how many are built at once, and how fast one follows another; how many wait for an answer is not.
//!
//! A place is for the computing, and for a moment of waiting: whoever has no answer by then goes on without it. So a camera that swallows every
//! packet holds nobody up, however long it takes to be given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Thread, current, park_timeout};
use std::time::Duration;

use super::BEAT_EVERY;
use crate::runtime::Clock;

/// How long a place is kept while the pipeline is built. That takes milliseconds of computing, unless a device or a dead network drive hangs.
const BUILT_WITHIN: Duration = Duration::from_millis(250);
/// How long it is kept from then on, for the source's answer: long enough to spread connections out, short enough that with the 8 places of
/// the default a hundred cameras that never answer hold up the next one for little more than a tenth of a second.
const ANSWERS_WITHIN: Duration = Duration::from_millis(10);

/// Who goes first, in this order; within one, whoever came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// It has just streamed: most likely it will again.
    Back,
    /// Nobody knows yet.
    First,
    /// It gave no frame when it was opened last. The dead are here after one attempt, and in nobody's way.
    Repeated,
}

/// Bounds how many pipelines are built at once.
#[derive(Debug)]
pub struct Places {
    at_once: usize,
    queue: Mutex<Queue>,
}

/// Who waits and who has a place.
#[derive(Debug, Default)]
struct Queue {
    tickets: u64,
    waiting: BTreeMap<(Turn, u64), Thread>,
    /// Until when each place is kept, by ticket.
    kept: BTreeMap<u64, Duration>,
}

/// What a camera may do that asks for a place.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It has one.
    Enter,
    /// It is next, and a place is free after so long at the latest.
    Next(Duration),
    /// Others go before it.
    Wait,
}

impl Places {
    /// So many at once; 0 would open nothing and counts as 1.
    pub fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { at_once: at_once.max(1), queue: Mutex::default() })
    }

    /// Waits for a place, beating by `is_over`, which says whether the end was asked for: None then.
    pub(super) fn take(
        self: &Arc<Self>,
        turn: Turn,
        clock: &Clock,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Option<Place> {
        let ticket = self.lock().join(turn, current());
        // Whatever happens from here on, the ticket is given back.
        let place = Place { places: Arc::clone(self), turn, ticket };
        while !is_over() {
            let answer = self.lock().ask((turn, ticket), self.at_once, clock.mono());
            match answer {
                Answer::Enter => return Some(place),
                Answer::Next(within) => park_timeout(within.min(BEAT_EVERY)),
                Answer::Wait => park_timeout(BEAT_EVERY),
            }
        }
        None
    }

    // Each change is one call on a map: a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn join(&mut self, turn: Turn, thread: Thread) -> u64 {
        self.tickets += 1;
        self.waiting.insert((turn, self.tickets), thread);
        self.tickets
    }

    fn ask(&mut self, who: (Turn, u64), at_once: usize, now: Duration) -> Answer {
        self.kept.retain(|_, until| now < *until);
        if self.waiting.first_key_value().is_some_and(|(first, _)| *first != who) {
            // It may have overslept a place that is free: whoever is next looks for itself.
            return Answer::Wait;
        }
        if self.kept.len() >= at_once {
            let first_end = self.kept.values().min().copied().unwrap_or(now);
            return Answer::Next(first_end.saturating_sub(now));
        }
        self.waiting.remove(&who);
        self.kept.insert(who.1, now + BUILT_WITHIN);
        self.wake_next();
        Answer::Enter
    }

    fn built(&mut self, ticket: u64, now: Duration) {
        if let Some(until) = self.kept.get_mut(&ticket) {
            *until = (now + ANSWERS_WITHIN).min(*until);
            self.wake_next();
        }
    }

    fn leave(&mut self, who: (Turn, u64)) {
        let waited = self.waiting.remove(&who).is_some();
        if self.kept.remove(&who.1).is_some() || waited {
            self.wake_next();
        }
    }

    fn wake_next(&self) {
        if let Some((_, thread)) = self.waiting.first_key_value() {
            thread.unpark();
        }
    }
}

/// A place, or a ticket for one; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    turn: Turn,
    ticket: u64,
}

impl Place {
    /// The pipeline stands; now it is the source's turn to answer.
    pub(super) fn built(&self, clock: &Clock) {
        self.places.lock().built(self.ticket, clock.mono());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().leave((self.turn, self.ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Cameras that ask one after the other, the time, and who got in.
    #[derive(Default)]
    struct Door {
        queue: Queue,
        waiting: Vec<(Turn, u64)>,
    }

    impl Door {
        fn join(&mut self, turn: Turn) -> (Turn, u64) {
            let who = (turn, self.queue.join(turn, current()));
            self.waiting.push(who);
            who
        }

        /// Everybody who gets in now, in the order in which they do.
        fn let_in(&mut self, at_once: usize, now: Duration) -> Vec<(Turn, u64)> {
            let mut entered = Vec::new();
            while let Some(at) =
                (0..self.waiting.len()).find(|i| self.queue.ask(self.waiting[*i], at_once, now) == Answer::Enter)
            {
                entered.push(self.waiting.remove(at));
            }
            entered
        }
    }

    #[test]
    fn a_hundred_that_never_answer_are_through_within_their_moments_each() {
        let mut door = Door::default();
        for _ in 0..100 {
            door.join(Turn::First);
        }
        let live = door.join(Turn::First);
        let mut now = Duration::ZERO;
        loop {
            let entered = door.let_in(8, now);
            assert!(entered.len() <= 8, "{} at once", entered.len());
            if entered.contains(&live) {
                break;
            }
            entered.iter().for_each(|(_, ticket)| door.queue.built(*ticket, now));
            now += ANSWERS_WITHIN;
        }
        assert_eq!(now, 12 * ANSWERS_WITHIN, "twelve eights before it");
    }

    #[test]
    fn who_streamed_goes_first_and_who_gave_nothing_goes_last() {
        let mut door = Door::default();
        let blocking = door.join(Turn::First);
        assert_eq!(door.let_in(1, ms(0)), [blocking]);
        let (dead, dead_too) = (door.join(Turn::Repeated), door.join(Turn::Repeated));
        let (new, back) = (door.join(Turn::First), door.join(Turn::Back));
        assert!(door.let_in(1, ms(1)).is_empty());
        let mut order = Vec::new();
        for round in 1..5 {
            order.extend(door.let_in(1, BUILT_WITHIN * round));
        }
        assert_eq!(order, [back, new, dead, dead_too]);
    }

    #[test]
    fn a_place_that_is_given_back_early_is_the_next_ones_and_an_old_one_is_nobodys() {
        let mut door = Door::default();
        let (first, second, third) = (door.join(Turn::First), door.join(Turn::First), door.join(Turn::First));
        assert_eq!(door.let_in(1, ms(0)), [first]);
        assert_eq!(door.queue.ask(second, 1, ms(10)), Answer::Next(BUILT_WITHIN - ms(10)));
        assert_eq!(door.queue.ask(third, 1, ms(10)), Answer::Wait);
        door.queue.leave(first);
        assert_eq!(door.let_in(1, ms(10)), [second]);
        // The first gives back what it no longer has.
        door.queue.leave(first);
        assert!(door.let_in(1, ms(20)).is_empty());
        // Who waits and goes is not waited for.
        door.queue.leave(third);
        let fourth = door.join(Turn::Repeated);
        assert_eq!(door.queue.ask(fourth, 1, ms(10) + BUILT_WITHIN), Answer::Enter);
    }

    #[test]
    fn threads_that_ask_at_once_all_get_in_and_leave_nothing_behind_and_a_stop_ends_the_wait() {
        let (places, clock) = (Places::new(2), Clock::start());
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let place = places.take(Turn::First, &clock, &mut || false);
                    inside.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    drop(place);
                });
            }
        });
        assert_eq!(inside.into_inner(), 32);
        let queue = places.lock();
        assert!(queue.waiting.is_empty() && queue.kept.is_empty());
        drop(queue);
        assert!(places.take(Turn::Back, &clock, &mut || true).is_none());
        assert!(places.lock().waiting.is_empty());
    }
}
