//! What the store has for the broker, as the publish thread sees it: the next record of each lane for this connection.
//! The thread reads the store itself, so that nobody else waits for a disk. What goes first is decided in `session`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::alerts::{OpenAlerts, Retain};
use crate::types::{Backlog, Lane, Stored};

/// One lane, for one connection.
#[derive(Debug, Default)]
struct Reading {
    /// Records up to this number were handed to the connection.
    above: u64,
    /// The record that goes next.
    ahead: Option<(u64, Stored)>,
    /// Nothing was there when last asked, and no news came since.
    dry: bool,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Events {
    backlog: Arc<dyn Backlog>,
    news: Arc<AtomicBool>,
    lanes: [Reading; 2],
    open: OpenAlerts,
    /// Whether what is retained is what the store says to be open, as of the last news.
    agreed: bool,
}

impl Events {
    /// Asks to be woken with `wake` when the store has something new.
    pub(super) fn new(backlog: Arc<dyn Backlog>, open: OpenAlerts, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let news = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&news);
        backlog.on_news(Box::new(move || {
            flag.store(true, Ordering::Release);
            wake();
        }));
        Self { backlog, news, lanes: Default::default(), open, agreed: false }
    }

    /// The record of a lane that this connection was not given yet.
    pub(super) fn next(&mut self, lane: Lane) -> Option<&(u64, Stored)> {
        if self.news.swap(false, Ordering::Acquire) {
            self.look_again();
        }
        let reading = &mut self.lanes[lane as usize];
        if reading.ahead.is_none() && !reading.dry {
            reading.ahead = self.backlog.next(lane, reading.above);
            reading.dry = reading.ahead.is_none();
        }
        reading.ahead.as_ref()
    }

    /// What the broker must retain before it gets the next alert: thus whoever hears of the alert finds the state with it, and an
    /// acknowledged alert has left nothing behind. Says each thing once.
    pub(super) fn retain_first(&mut self) -> Option<(String, Retain)> {
        if self.next(Lane::Alerts).is_none() {
            return self.agree();
        }
        let (number, stored) = self.lanes[Lane::Alerts as usize].ahead.as_ref()?;
        self.open.apply(*number, stored)
    }

    /// Where no alert waits to be sent, the store may still know of one that is over, or open: its record was lost.
    fn agree(&mut self) -> Option<(String, Retain)> {
        if self.agreed {
            return None;
        }
        let open = self.backlog.open_alerts();
        // One that has come meanwhile is among them, and is told when its turn comes.
        self.lanes[Lane::Alerts as usize].dry = false;
        if self.next(Lane::Alerts).is_some() {
            return None;
        }
        let wrong = self.open.agree(&open);
        self.agreed = wrong.is_none();
        wrong
    }

    /// The connection took the record that [`Events::next`] gave.
    pub(super) fn handed(&mut self, lane: Lane) {
        let reading = &mut self.lanes[lane as usize];
        if let Some((number, _)) = reading.ahead.take() {
            reading.above = number;
        }
    }

    /// The broker has a record.
    pub(super) fn acknowledged(&self, lane: Lane, number: u64) {
        self.backlog.acknowledged(lane, number);
    }

    /// The broker will never take a record.
    pub(super) fn refused(&self, lane: Lane, number: u64, why: &str) {
        self.backlog.refused(lane, number, why);
    }

    /// The next connection is given everything that was not acknowledged.
    pub(super) fn connection_lost(&mut self) {
        self.lanes = Default::default();
    }

    /// News may have been missed: dry lanes are asked again.
    pub(super) fn look_again(&mut self) {
        for reading in &mut self.lanes {
            reading.dry = false;
        }
        self.agreed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::samples::{BOOT, MemoryBacklog, cleared, raised, stored};
    use crate::types::What;

    fn events(backlog: &Arc<MemoryBacklog>) -> Events {
        Events::new(Arc::clone(backlog) as _, OpenAlerts::new(Vec::new(), BOOT), || ())
    }

    fn number(events: &mut Events, lane: Lane) -> Option<u64> {
        events.next(lane).map(|(number, _)| *number)
    }

    #[test]
    fn a_record_is_given_once_a_connection_until_it_is_acknowledged() {
        let backlog = Arc::new(MemoryBacklog::default());
        (1..=3).for_each(|n| backlog.offer(stored(n, Some("yard"), What::Appeared)));
        let mut events = events(&backlog);
        for n in 1..=3 {
            assert_eq!(number(&mut events, Lane::Events), Some(n));
            assert_eq!(number(&mut events, Lane::Events), Some(n), "until it is handed over");
            events.handed(Lane::Events);
        }
        assert_eq!(number(&mut events, Lane::Events), None);
        events.acknowledged(Lane::Events, 2);
        events.connection_lost();
        assert_eq!(number(&mut events, Lane::Events), Some(1));
        events.handed(Lane::Events);
        assert_eq!(number(&mut events, Lane::Events), Some(3));
    }

    #[test]
    fn news_is_found_and_a_dry_store_is_not_asked_again_and_again() {
        let backlog = Arc::new(MemoryBacklog::default());
        let mut events = events(&backlog);
        (0..10).for_each(|_| assert_eq!(number(&mut events, Lane::Events), None));
        assert_eq!(backlog.asked(), 1);
        backlog.offer(stored(1, Some("yard"), What::Appeared));
        assert_eq!(number(&mut events, Lane::Events), Some(1));
        assert_eq!(number(&mut events, Lane::Alerts), None, "each lane has its own records");
    }

    #[test]
    fn an_alert_whose_clearing_is_lost_is_retained_no_more_once_the_others_have_gone() {
        let backlog = Arc::new(MemoryBacklog::default());
        backlog.offer(stored(1, Some("yard"), raised("red_car")));
        let mut events = events(&backlog);
        assert!(matches!(events.retain_first(), Some((_, Retain::Raised(_)))));
        events.handed(Lane::Alerts);
        events.acknowledged(Lane::Alerts, 1);
        assert_eq!(events.retain_first(), None, "it is open");
        backlog.offer(stored(2, Some("yard"), cleared("red_car")));
        backlog.acknowledged(Lane::Alerts, 2);
        assert_eq!(events.retain_first(), Some(("red_car".to_owned(), Retain::Over)));
        assert_eq!(events.retain_first(), None);
    }

    #[test]
    fn what_is_retained_comes_before_its_alert_and_once() {
        let backlog = Arc::new(MemoryBacklog::default());
        backlog.offer(stored(1, Some("yard"), raised("red_car")));
        let mut events = events(&backlog);
        assert_eq!(events.retain_first().map(|(name, _)| name).as_deref(), Some("red_car"));
        assert_eq!(events.retain_first(), None);
        assert_eq!(number(&mut events, Lane::Alerts), Some(1));
    }
}
