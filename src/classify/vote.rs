//! What classifiers said of each track, and what follows from it. Pure; time is an argument.
//!
//! One look is noisy: half a car, a shadow, a blur. So every look votes with its confidence, and the label is the value with most of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::types::{Label, TrackId};

/// When a track may be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Least time between two looks.
    pub interval: Duration,
    /// Looks at one track, at most; 0 for no limit.
    pub max_looks: u32,
}

/// The labels of one camera's tracks, for all classifiers. Whoever ends a track tells it by [`LabelBook::forget`].
#[derive(Debug, Clone, Default)]
pub struct LabelBook {
    tracks: BTreeMap<TrackId, Sheet>,
}

/// One track.
#[derive(Debug, Clone, Default)]
struct Sheet {
    looks: BTreeMap<Arc<str>, Looks>,
    heads: BTreeMap<Arc<str>, Tally>,
}

#[derive(Debug, Clone, Copy)]
struct Looks {
    count: u32,
    last: Duration,
}

/// One head's votes on one track.
#[derive(Debug, Clone, Default)]
struct Tally {
    votes: u32,
    confidence: BTreeMap<Arc<str>, f32>,
}

impl LabelBook {
    /// No track is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this classifier may look at this track now.
    pub fn is_due(&self, classifier: &str, track: TrackId, pace: Pace, now: Duration) -> bool {
        let Some(looks) = self.tracks.get(&track).and_then(|s| s.looks.get(classifier)) else { return true };
        let is_early = now.saturating_sub(looks.last) < pace.interval;
        let is_enough = pace.max_looks > 0 && looks.count >= pace.max_looks;
        !is_early && !is_enough
    }

    /// When this classifier looked at this track last; None before its first look.
    pub fn last_look(&self, classifier: &str, track: TrackId) -> Option<Duration> {
        Some(self.tracks.get(&track)?.looks.get(classifier)?.last)
    }

    /// Writes down that this classifier looked at this track.
    pub fn looked(&mut self, classifier: &Arc<str>, track: TrackId, now: Duration) {
        let looks = &mut self.tracks.entry(track).or_default().looks;
        let looks = looks.entry(Arc::clone(classifier)).or_insert(Looks { count: 0, last: now });
        looks.count = looks.count.saturating_add(1);
        looks.last = now;
    }

    /// Writes down one answer. A confidence that is no number above 0 is no vote.
    pub fn vote(&mut self, track: TrackId, head: &Arc<str>, value: &str, confidence: f32) {
        if !(confidence.is_finite() && confidence > 0.0) {
            return;
        }
        let tally = self.tracks.entry(track).or_default().heads.entry(Arc::clone(head)).or_default();
        tally.votes = tally.votes.saturating_add(1);
        match tally.confidence.get_mut(value) {
            Some(sum) => *sum += confidence.min(1.0),
            None => {
                tally.confidence.insert(value.into(), confidence.min(1.0));
            }
        }
    }

    /// What is known of a track, by head. The confidence is the winner's confidence over all votes: one sure vote against one
    /// for something else counts half.
    pub fn labels(&self, track: TrackId) -> Vec<Label> {
        let heads = self.tracks.get(&track).into_iter().flat_map(|s| &s.heads);
        heads.filter_map(|(name, tally)| tally.label(name)).collect()
    }

    /// Drops all about a track that has ended.
    pub fn forget(&mut self, track: TrackId) {
        self.tracks.remove(&track);
    }

    /// How many tracks have something written about them.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether nothing is written at all.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }
}

impl Tally {
    fn label(&self, name: &str) -> Option<Label> {
        // Of equal values the first by name, so that a label does not flicker.
        let (value, sum) = self.confidence.iter().rev().max_by(|a, b| a.1.total_cmp(b.1))?;
        Some(Label {
            name: name.to_owned(),
            value: value.as_ref().to_owned(),
            confidence: sum / self.votes as f32,
            votes: self.votes,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_millis(500), max_looks: 3 };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_value_with_most_confidence_wins_not_the_one_with_most_votes() {
        let (mut book, color) = (LabelBook::new(), Arc::from("vehicle.color"));
        for (value, confidence) in [("white", 0.9), ("gray", 0.4), ("gray", 0.4)] {
            book.vote(7, &color, value, confidence);
        }
        let labels = book.labels(7);
        assert_eq!((labels[0].name.as_str(), labels[0].value.as_str(), labels[0].votes), ("vehicle.color", "white", 3));
        assert!((labels[0].confidence - 0.3).abs() < 1e-6);
    }

    #[test]
    fn a_track_is_looked_at_no_more_often_than_asked() {
        let (mut book, name) = (LabelBook::new(), Arc::from("vehicle"));
        assert!(book.is_due(&name, 1, PACE, at(0)));
        book.looked(&name, 1, at(0));
        assert!(!book.is_due(&name, 1, PACE, at(499)) && book.is_due(&name, 1, PACE, at(500)));
        assert!(book.is_due(&name, 2, PACE, at(1)) && book.is_due("other", 1, PACE, at(1)));
        book.looked(&name, 1, at(500));
        book.looked(&name, 1, at(1000));
        assert!(!book.is_due(&name, 1, PACE, at(9000)), "three looks were all that was allowed");
        assert!(book.is_due(&name, 1, Pace { max_looks: 0, ..PACE }, at(9000)));
    }

    #[test]
    fn a_track_that_has_ended_is_forgotten() {
        let (mut book, name) = (LabelBook::new(), Arc::from("vehicle"));
        book.looked(&name, 1, at(0));
        book.vote(1, &name, "car", 0.8);
        book.forget(1);
        assert!(book.is_empty() && book.labels(1).is_empty());
    }

    proptest! {
        #[test]
        fn a_labels_confidence_is_a_share_whatever_was_voted(votes in prop::collection::vec((0_usize..3, any::<f32>()), 0..30)) {
            let (mut book, head) = (LabelBook::new(), Arc::from("h"));
            for (value, confidence) in votes {
                book.vote(1, &head, ["a", "b", "c"][value], confidence);
            }
            for label in book.labels(1) {
                prop_assert!(label.confidence > 0.0 && label.confidence <= 1.0 + 1e-6 && label.votes > 0);
            }
        }
    }
}
