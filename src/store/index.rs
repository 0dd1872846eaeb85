//! Which records there are, and which of them the broker does not have yet. One bit a record; the records themselves stay on disk. Pure.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::counters::wall_ms;
use crate::types::{Captured, Lane};

/// One segment, as far as it is durable.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: Arc<Path>,
    /// The number of the first record.
    pub(super) first: u64,
    /// The number after the last durable record's.
    pub(super) end: u64,
    /// Set for what nobody is to get any more: acknowledged, refused, or not to be read.
    pub(super) bits: Vec<u8>,
    /// The file's size.
    pub(super) bytes: u64,
    /// The latest wall time of an event in it, in milliseconds since 1970.
    pub(super) last_wall_ms: u64,
    /// When it was begun, by the monotonic clock; None for one of an earlier life.
    pub(super) begun: Option<Duration>,
    /// Whether nothing more comes.
    pub(super) sealed: bool,
    /// Whether the bits differ from those in the file.
    pub(super) dirty: bool,
}

impl Segment {
    /// Whether all in it is older than this. A wall clock that was set only lately makes everything old that came before: what this life
    /// began is no older than that.
    pub(super) fn is_older_than(&self, keep: Duration, now: Captured) -> bool {
        let oldest_ms = wall_ms(now.wall).saturating_sub(keep.as_millis() as u64);
        self.last_wall_ms < oldest_ms && self.begun.is_none_or(|begun| now.mono.saturating_sub(begun) > keep)
    }

    pub(super) fn is_done(&self, number: u64) -> bool {
        let at = (number - self.first) as usize;
        self.bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    /// Nobody is to get this record any more. False when that was so before.
    pub(super) fn strike(&mut self, number: u64) -> bool {
        if self.is_done(number) {
            return false;
        }
        let at = (number - self.first) as usize;
        if self.bits.len() <= at / 8 {
            self.bits.resize(at / 8 + 1, 0);
        }
        self.bits[at / 8] |= 1 << (at % 8);
        true
    }

    /// How many of its records wait.
    pub(super) fn waiting(&self) -> u64 {
        (self.end - self.first) - (self.bits.iter().map(|b| u64::from(b.count_ones())).sum::<u64>())
    }
}

/// Where a record is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    /// The file that it is in.
    pub(super) path: Arc<Path>,
    /// The number after the last record's that is durable in this file.
    pub(super) durable_end: u64,
}

/// The segments of both lanes, oldest first. Ranges of numbers grow and do not overlap.
#[derive(Debug, Default)]
pub(super) struct Index {
    lanes: [VecDeque<Segment>; 2],
    waiting: u64,
}

impl Index {
    /// A segment newer than all others of its lane. Bits beyond its records are cleared: a record that comes later must not be born done.
    pub(super) fn push(&mut self, lane: Lane, mut segment: Segment) {
        let records = segment.end - segment.first;
        segment.bits.truncate(records.div_ceil(8) as usize);
        let over = segment.bits.len() as u64 * 8 > records;
        if let (Some(last), true) = (segment.bits.last_mut(), over) {
            *last &= (1 << (records % 8)) - 1;
        }
        self.waiting += segment.waiting();
        self.lanes[lane as usize].push_back(segment);
    }

    /// The oldest waiting record above this number.
    pub(super) fn next(&self, lane: Lane, above: u64) -> Option<Place> {
        let segments = &self.lanes[lane as usize];
        let begin = segments.partition_point(|s| s.end <= above + 1);
        segments.range(begin..).find_map(|s| {
            let number = (s.first.max(above + 1)..s.end).find(|n| !s.is_done(*n))?;
            Some(Place { number, path: Arc::clone(&s.path), durable_end: s.end })
        })
    }

    /// Nobody is to get this record any more. False when that was so before.
    pub(super) fn done(&mut self, lane: Lane, number: u64) -> bool {
        let segments = &mut self.lanes[lane as usize];
        let at = segments.partition_point(|s| s.end <= number);
        let Some(segment) = segments.get_mut(at).filter(|s| s.first <= number) else { return false };
        if !segment.strike(number) {
            return false;
        }
        segment.dirty = true;
        self.waiting -= 1;
        true
    }

    /// Records up to `end` are durable in the newest segment.
    pub(super) fn durable(&mut self, lane: Lane, end: u64, wall_ms: u64) {
        if let Some(segment) = self.lanes[lane as usize].back_mut() {
            self.waiting += end - segment.end;
            segment.end = end;
            segment.last_wall_ms = segment.last_wall_ms.max(wall_ms);
        }
    }

    /// Nothing more comes to the newest segment.
    pub(super) fn seal(&mut self, lane: Lane) -> Option<&Segment> {
        let segment = self.lanes[lane as usize].back_mut()?;
        segment.sealed = true;
        Some(segment)
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// What all segments take up.
    pub(super) fn bytes(&self) -> u64 {
        self.lanes.iter().flatten().map(|s| s.bytes).sum()
    }

    /// The bits of segments whose files do not have them yet.
    pub(super) fn take_dirty(&mut self) -> Vec<(Arc<Path>, Vec<u8>)> {
        let dirty = self.lanes.iter_mut().flatten().filter(|s| s.dirty);
        dirty
            .map(|s| {
                s.dirty = false;
                (Arc::clone(&s.path), s.bits.clone())
            })
            .collect()
    }

    /// These bits did not reach their file.
    pub(super) fn still_dirty(&mut self, path: &Path) {
        for segment in self.lanes.iter_mut().flatten().filter(|s| *s.path == *path) {
            segment.dirty = true;
        }
    }

    /// Takes out what has to go for so many bytes to fit: the oldest segments of events, then those of alerts; never one that is written to.
    pub(super) fn make_room(&mut self, budget: u64) -> Vec<(Lane, Segment)> {
        let mut gone = Vec::new();
        while self.bytes() > budget {
            let oldest =
                [Lane::Events, Lane::Alerts].into_iter().find_map(|lane| Some((lane, self.pop(lane, |_| true)?)));
            match oldest {
                Some(oldest) => gone.push(oldest),
                None => break,
            }
        }
        gone
    }

    /// Takes out the oldest segment of events, or else of alerts, of which the broker has everything.
    pub(super) fn pop_finished(&mut self, is_old: impl Fn(&Segment) -> bool) -> Option<Segment> {
        let finished = |s: &Segment| s.waiting() == 0 && is_old(s);
        [Lane::Events, Lane::Alerts].into_iter().find_map(|lane| self.pop(lane, finished))
    }

    fn pop(&mut self, lane: Lane, may_go: impl Fn(&Segment) -> bool) -> Option<Segment> {
        let segments = &mut self.lanes[lane as usize];
        // The newest stays even when it is sealed: its checkpoint is what counts go on from.
        if segments.len() < 2 || !segments.front().is_some_and(may_go) {
            return None;
        }
        let gone = segments.pop_front()?;
        self.waiting -= gone.waiting();
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn segment(first: u64, end: u64, bits: &[u8]) -> Segment {
        Segment {
            path: Path::new(&format!("{first}.log")).into(),
            first,
            end,
            bits: bits.to_vec(),
            bytes: 100,
            last_wall_ms: 0,
            begun: None,
            sealed: true,
            dirty: false,
        }
    }

    proptest! {
        #[test]
        fn the_backlog_is_what_is_neither_done_nor_gone(
            lengths in prop::collection::vec(0_u64..30, 1..6),
            done in prop::collection::vec(0_u64..160, 0..80),
            drops in 0_usize..3,
        ) {
            let mut index = Index::default();
            let (mut next, mut model) = (1, BTreeSet::new());
            let mut ends = Vec::new();
            for length in lengths {
                index.push(Lane::Events, segment(next, next + length, &[]));
                model.extend(next..next + length);
                next += length;
                ends.push(next);
            }
            for number in done {
                prop_assert_eq!(index.done(Lane::Events, number), model.remove(&number));
            }
            let keep = ends.len().saturating_sub(drops).max(1);
            for _ in index.make_room(keep as u64 * 100) {
                let end = ends.remove(0);
                model.retain(|n| *n >= end);
            }
            prop_assert_eq!(index.waiting(), model.len() as u64);
            let mut above = 0;
            for number in model {
                prop_assert_eq!(index.next(Lane::Events, above).map(|place| place.number), Some(number));
                above = number;
            }
            prop_assert_eq!(index.next(Lane::Events, above), None);
        }
    }

    #[test]
    fn bits_of_records_that_are_not_there_count_for_nothing() {
        let mut index = Index::default();
        index.push(Lane::Alerts, segment(1, 4, &[0b1111_1010, 0xff]));
        assert_eq!(index.waiting(), 2);
        index.durable(Lane::Alerts, 6, 0);
        assert_eq!(index.waiting(), 4);
        assert_eq!(index.next(Lane::Alerts, 3).map(|place| place.number), Some(4));
    }

    #[test]
    fn alerts_go_last_and_the_newest_segments_never() {
        let mut index = Index::default();
        for (lane, first) in [(Lane::Alerts, 1), (Lane::Alerts, 9), (Lane::Events, 1), (Lane::Events, 5)] {
            index.push(lane, segment(first, first + 4, &[]));
        }
        let gone: Vec<_> = index.make_room(0).into_iter().map(|(lane, s)| (lane, s.first)).collect();
        assert_eq!(gone, [(Lane::Events, 1), (Lane::Alerts, 1)]);
        assert_eq!((index.bytes(), index.waiting()), (200, 8));
    }

    #[test]
    fn what_this_life_kept_under_a_clock_of_1970_is_not_old_because_the_clock_is_set() {
        let (keep, wall) = (Duration::from_secs(3600), UNIX_EPOCH + Duration::from_secs(1_772_366_400));
        let now = |mono| Captured { mono: Duration::from_secs(mono), wall, wall_synced: true };
        let young = Segment { begun: Some(Duration::from_secs(5)), ..segment(1, 3, &[]) };
        assert!(!young.is_older_than(keep, now(60)));
        assert!(young.is_older_than(keep, now(3700)));
        assert!(segment(1, 3, &[]).is_older_than(keep, now(60)), "of an earlier life nothing else is known");
    }

    #[test]
    fn history_is_given_up_only_when_the_broker_has_it() {
        let mut index = Index::default();
        index.push(Lane::Events, segment(1, 3, &[0b01]));
        index.push(Lane::Events, segment(3, 4, &[]));
        assert!(index.pop_finished(|_| true).is_none());
        assert!(index.done(Lane::Events, 2));
        assert!(index.pop_finished(|_| false).is_none());
        assert_eq!(index.pop_finished(|_| true).map(|s| s.first), Some(1));
    }
}
