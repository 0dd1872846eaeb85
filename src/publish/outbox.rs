//! What must reach the broker, kept until the broker has it. Pure data: no clock, no connection.
//!
//! The contract, which a store on disk keeps as well:
//! - a record is deleted by its own acknowledgement ([`Outbox::acknowledged`]) or, counted by the caller, because the outbox is full;
//! - records are offered in the order in which they came ([`Outbox::next`]), each once ([`Outbox::handed`]) in the life of a connection;
//! - after [`Outbox::connection_lost`] everything that was not acknowledged is offered again, in the same order: a record may arrive twice,
//!   never not at all;
//! - a full outbox gives up its oldest record: the newest tell more about the present;
//! - a record's id is given once and never again.

use std::collections::VecDeque;

/// Names a record for as long as the outbox lives.
pub(super) type RecordId = u64;

#[derive(Debug)]
struct Record<T> {
    id: RecordId,
    item: T,
    tried: bool,
}

/// Records waiting for their acknowledgement, oldest first.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    records: VecDeque<Record<T>>,
    capacity: usize,
    next_id: RecordId,
    /// Records below this id were handed to the connection that is up now.
    offered_below: RecordId,
}

impl<T> Outbox<T> {
    /// An empty outbox for at most `capacity` records (at least one).
    pub(super) fn new(capacity: usize) -> Self {
        Self { records: VecDeque::new(), capacity: capacity.max(1), next_id: 0, offered_below: 0 }
    }

    /// Takes a record; gives back the one that had to make room.
    pub(super) fn push(&mut self, item: T) -> Option<T> {
        let displaced = if self.records.len() >= self.capacity { self.records.pop_front() } else { None };
        self.records.push_back(Record { id: self.next_id, item, tried: false });
        self.next_id += 1;
        displaced.map(|r| r.item)
    }

    /// The oldest record that this connection was not offered yet, and whether it was handed to an earlier one.
    pub(super) fn next(&self) -> Option<(RecordId, &T, bool)> {
        let at = self.records.partition_point(|r| r.id < self.offered_below);
        self.records.get(at).map(|r| (r.id, &r.item, r.tried))
    }

    /// The connection has taken this record.
    pub(super) fn handed(&mut self, id: RecordId) {
        self.offered_below = self.offered_below.max(id + 1);
        if let Some(at) = self.find(id) {
            self.records[at].tried = true;
        }
    }

    /// The broker has this record (or refuses it for good): it is deleted. None when it had made room before.
    pub(super) fn acknowledged(&mut self, id: RecordId) -> Option<T> {
        let at = self.find(id)?;
        self.records.remove(at).map(|r| r.item)
    }

    /// The connection is gone, and what it had not acknowledged with it.
    pub(super) fn connection_lost(&mut self) {
        self.offered_below = 0;
    }

    /// How many records wait, handed or not.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    fn find(&self, id: RecordId) -> Option<usize> {
        self.records.binary_search_by_key(&id, |r| r.id).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_offered_once_a_connection_and_again_after_a_loss() {
        let mut outbox = Outbox::new(10);
        for n in 0..3 {
            outbox.push(n);
        }
        outbox.handed(0);
        outbox.handed(1);
        assert_eq!(outbox.next(), Some((2, &2, false)));
        assert_eq!(outbox.acknowledged(1), Some(1));
        outbox.connection_lost();
        assert_eq!(outbox.next(), Some((0, &0, true)));
        outbox.handed(0);
        assert_eq!(outbox.next(), Some((2, &2, false)));
    }

    #[test]
    fn a_full_outbox_gives_up_its_oldest_record() {
        let mut outbox = Outbox::new(2);
        assert_eq!((outbox.push('a'), outbox.push('b'), outbox.push('c')), (None, None, Some('a')));
        assert_eq!(outbox.acknowledged(0), None);
        assert_eq!(outbox.len(), 2);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Hand,
        Acknowledge(usize),
        Lose,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push),
            4 => Just(Step::Hand),
            3 => (0..20_usize).prop_map(Step::Acknowledge),
            1 => Just(Step::Lose),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_made_room_and_order_is_kept(steps in steps(), capacity in 1..30_usize) {
            let mut outbox = Outbox::new(capacity);
            let (mut pushed, mut displaced, mut acknowledged) = (0_u64, Vec::new(), Vec::new());
            let mut aloft: Vec<RecordId> = Vec::new();
            for step in steps {
                match step {
                    Step::Push => {
                        displaced.extend(outbox.push(pushed));
                        pushed += 1;
                    }
                    Step::Hand => {
                        if let Some((id, item, _)) = outbox.next() {
                            prop_assert_eq!(id, *item, "ids are given in order");
                            prop_assert!(aloft.last().is_none_or(|last| *last < id), "{} after {:?}", id, aloft);
                            aloft.push(id);
                            outbox.handed(id);
                        }
                    }
                    Step::Acknowledge(n) if !aloft.is_empty() => {
                        let id = aloft.remove(n % aloft.len());
                        acknowledged.extend(outbox.acknowledged(id));
                    }
                    Step::Acknowledge(_) => {}
                    Step::Lose => {
                        aloft.clear();
                        outbox.connection_lost();
                    }
                }
                prop_assert!(outbox.len() <= capacity);
                prop_assert_eq!(outbox.len() + displaced.len() + acknowledged.len(), pushed as usize);
            }
            // A connection that lasts brings the rest over.
            outbox.connection_lost();
            while let Some((id, ..)) = outbox.next() {
                outbox.handed(id);
                acknowledged.extend(outbox.acknowledged(id));
            }
            let mut all: Vec<u64> = displaced.into_iter().chain(acknowledged).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..pushed).collect::<Vec<_>>());
        }
    }
}
