//! Folds repeats of log lines: what is said again word for word is counted and told as one line; a place that floods the log is stemmed.
//!
//! Pure: time is an argument. Belongs here: which line is written when. Does not: how a line looks or where it goes.

use std::collections::HashMap;
use std::time::Duration;

/// The same words are not repeated for so long; then one line says how often they came.
const WINDOW: Duration = Duration::from_secs(60);
/// Different lines that one place may write within [`BURST_WITHIN`]; the rest becomes one line.
const BURST: u32 = 20;
const BURST_WITHIN: Duration = Duration::from_secs(1);
/// Words, and places, that are remembered; beyond this many something makes them up.
const REMEMBERED: usize = 512;

/// Remembers what was said lately. `L` is a line as its writer wants it.
#[derive(Debug)]
pub struct Fold<L> {
    /// By the words, with whatever else makes two lines equal.
    said: HashMap<String, Said<L>>,
    /// By the place in the program.
    places: HashMap<String, Place<L>>,
    /// What was held back for words that had to be forgotten: it goes out with the next that is due.
    spilled: Vec<Folded<L>>,
}

#[derive(Debug)]
struct Said<L> {
    written: Duration,
    held: Option<Held<L>>,
}

#[derive(Debug)]
struct Place<L> {
    since: Duration,
    written: u32,
    held: Option<Held<L>>,
}

#[derive(Debug)]
struct Held<L> {
    newest: L,
    at: Duration,
    times: u64,
}

/// What the lines that were held back have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    /// Their words.
    Words,
    /// Only the place in the program that wrote them.
    Place,
}

/// A line that stands for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded<L> {
    /// The newest of them.
    pub line: L,
    /// When that one came.
    pub at: Duration,
    /// How many were held back.
    pub times: u64,
    /// Over how long.
    pub over: Duration,
    /// Why they are one line.
    pub alike: Alike,
}

impl<L> Default for Fold<L> {
    fn default() -> Self {
        Self { said: HashMap::new(), places: HashMap::new(), spilled: Vec::new() }
    }
}

impl<L> Fold<L> {
    /// Whether to write this line now: `Some` gives it back, `None` has it counted. Lines with equal `words` are the same line;
    /// `place` is what may not flood the log. Ask [`Fold::due`] first.
    pub fn offer(&mut self, place: &str, words: &str, line: L, now: Duration) -> Option<L> {
        if let Some(said) = self.said.get_mut(words)
            && (said.held.is_some() || now.saturating_sub(said.written) < WINDOW)
        {
            hold(&mut said.held, line, now);
            return None;
        }
        if !self.places.contains_key(place) {
            self.forget_a_place();
        }
        let new = || Place { since: now, written: 0, held: None };
        let here = self.places.entry(place.to_owned()).or_insert_with(new);
        if here.held.is_none() && now.saturating_sub(here.since) >= BURST_WITHIN {
            (here.since, here.written) = (now, 0);
        }
        if here.written >= BURST {
            hold(&mut here.held, line, now);
            return None;
        }
        here.written += 1;
        self.forget_words();
        self.said.insert(words.to_owned(), Said { written: now, held: None });
        Some(line)
    }

    /// The lines that were held back long enough, in the order of their times: repeats for a minute, a flood for a second.
    pub fn due(&mut self, now: Duration) -> Vec<Folded<L>> {
        self.take(now, WINDOW, BURST_WITHIN)
    }

    /// Everything that is held back, for the end of the program.
    pub fn rest(&mut self, now: Duration) -> Vec<Folded<L>> {
        self.take(now, Duration::ZERO, Duration::ZERO)
    }

    fn take(&mut self, now: Duration, window: Duration, burst_within: Duration) -> Vec<Folded<L>> {
        let mut folded = std::mem::take(&mut self.spilled);
        for said in self.said.values_mut() {
            let over = now.saturating_sub(said.written);
            if over >= window
                && let Some(held) = said.held.take()
            {
                folded.push(held.folded(over, Alike::Words));
                said.written = now;
            }
        }
        for place in self.places.values_mut() {
            let over = now.saturating_sub(place.since);
            if over >= burst_within
                && let Some(held) = place.held.take()
            {
                folded.push(held.folded(over, Alike::Place));
                (place.since, place.written) = (now, 0);
            }
        }
        folded.sort_by_key(|f| f.at);
        folded
    }

    /// Makes room for one more: those go first that were written longest ago, and of those, whoever holds nothing back.
    fn forget_words(&mut self) {
        if self.said.len() < REMEMBERED {
            return;
        }
        let oldest =
            self.said.iter().min_by_key(|(_, s)| (s.held.is_some(), s.written)).map(|(words, _)| words.clone());
        if let Some(said) = oldest.and_then(|words| self.said.remove(&words))
            && let Some(held) = said.held
        {
            let over = held.at.saturating_sub(said.written);
            self.spilled.push(held.folded(over, Alike::Words));
        }
    }

    fn forget_a_place(&mut self) {
        if self.places.len() < REMEMBERED {
            return;
        }
        let oldest = self.places.iter().min_by_key(|(_, p)| (p.held.is_some(), p.since)).map(|(name, _)| name.clone());
        if let Some(place) = oldest.and_then(|name| self.places.remove(&name))
            && let Some(held) = place.held
        {
            let over = held.at.saturating_sub(place.since);
            self.spilled.push(held.folded(over, Alike::Place));
        }
    }
}

fn hold<L>(held: &mut Option<Held<L>>, newest: L, at: Duration) {
    let times = held.as_ref().map_or(0, |h| h.times) + 1;
    *held = Some(Held { newest, at, times });
}

impl<L> Held<L> {
    fn folded(self, over: Duration, alike: Alike) -> Folded<L> {
        Folded { line: self.newest, at: self.at, times: self.times, over, alike }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn the_same_words_within_a_minute_become_one_counted_line() {
        let mut fold = Fold::default();
        assert_eq!(fold.offer("a", "stalled", 0, at(0.0)), Some(0));
        for i in 1..=37 {
            assert_eq!(fold.offer("a", "stalled", i, at(f64::from(i))), None);
            assert_eq!(fold.due(at(f64::from(i))), []);
        }
        let folded = Folded { line: 37, at: at(37.0), times: 37, over: at(60.0), alike: Alike::Words };
        assert_eq!(fold.due(at(60.0)), [folded]);
        assert_eq!(fold.due(at(120.0)), [], "nothing came since");
        assert_eq!(fold.offer("a", "stalled", 38, at(121.0)), Some(38));
    }

    #[test]
    fn different_words_from_one_place_all_go_out_at_once() {
        let mut fold = Fold::default();
        for words in ["front: connecting", "back: connecting", "front: streaming", "back: streaming", "stopping"] {
            assert_eq!(fold.offer("a", words, words, at(0.0)), Some(words));
        }
        assert_eq!(fold.rest(at(0.1)), [], "nothing was held back");
    }

    #[test]
    fn a_place_that_floods_the_log_is_stemmed_counted_and_does_not_silence_another() {
        let mut fold = Fold::default();
        let (mut written, mut counted) = (0, 0);
        for i in 0..1000u32 {
            let now = at(f64::from(i) * 0.01);
            counted += fold.due(now).iter().map(|f| f.times).sum::<u64>();
            written += u64::from(fold.offer("a", &format!("error {i}"), i, now).is_some());
        }
        assert!((200..=220).contains(&written), "{written} lines in 10 s");
        assert_eq!(fold.offer("b", "another", 0, at(9.99)), Some(0));
        counted += fold.rest(at(10.0)).iter().map(|f| f.times).sum::<u64>();
        assert_eq!(written + counted, 1000, "each is written or counted");
    }

    #[test]
    fn what_was_held_back_comes_at_the_end_in_the_order_in_which_it_was_said() {
        let mut fold = Fold::default();
        for (line, secs) in [(0, 0.0), (1, 0.5)] {
            for words in ["x", "y", "z"] {
                fold.offer("a", words, (words, line), at(secs + f64::from(words.as_bytes()[0] - b'x') * 0.1));
            }
        }
        let rest: Vec<_> = fold.rest(at(0.9)).into_iter().map(|f| f.line).collect();
        assert_eq!(rest, [("x", 1), ("y", 1), ("z", 1)]);
        assert_eq!(fold.rest(at(1.0)), []);
    }

    #[test]
    fn made_up_words_and_places_neither_fill_the_memory_nor_lose_a_count() {
        let mut fold = Fold::default();
        let (mut written, mut counted) = (0, 0);
        for i in 0..2000u32 {
            let now = at(f64::from(i) * 0.01);
            counted += fold.due(now).iter().map(|f| f.times).sum::<u64>();
            for _ in 0..2 {
                written += u64::from(fold.offer(&i.to_string(), &i.to_string(), i, now).is_some());
            }
        }
        assert!(fold.said.len() <= REMEMBERED && fold.places.len() <= REMEMBERED);
        counted += fold.rest(at(20.0)).iter().map(|f| f.times).sum::<u64>();
        assert_eq!(written + counted, 4000);
    }
}
