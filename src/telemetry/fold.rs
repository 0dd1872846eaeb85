//! Folds repeats of log lines: what one place in the program says again and again is counted and told as one line.
//!
//! Pure: time is an argument. Belongs here: which line is written when. Does not: how a line looks or where it goes.

use std::collections::HashMap;
use std::time::Duration;

/// The same text is not repeated for so long; then one line says how often it came.
const WINDOW: Duration = Duration::from_secs(60);
/// Different texts from one cause are this far apart at least.
const SPACING: Duration = Duration::from_secs(1);
/// Causes that are remembered. A cause is a place in the program and a camera; beyond this many something makes up names.
const CAUSES: usize = 512;

/// Remembers what was said lately. `L` is a line as its writer wants it.
#[derive(Debug)]
pub struct Fold<L> {
    causes: HashMap<String, Said<L>>,
}

#[derive(Debug)]
struct Said<L> {
    text: String,
    written: Duration,
    held: Option<Held<L>>,
}

#[derive(Debug)]
struct Held<L> {
    newest: L,
    text: String,
    times: u64,
}

/// A line that stands for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded<L> {
    /// The newest of them.
    pub line: L,
    /// How many were held back.
    pub times: u64,
    /// Over how long.
    pub over: Duration,
}

impl<L> Default for Fold<L> {
    fn default() -> Self {
        Self { causes: HashMap::new() }
    }
}

impl<L: Clone> Fold<L> {
    /// Whether to write this line now: `Some` gives it back, `None` has it counted. Ask [`Fold::due`] first.
    pub fn offer(&mut self, cause: &str, text: &str, line: L, now: Duration) -> Option<L> {
        if let Some(said) = self.causes.get_mut(cause) {
            let apart = now.saturating_sub(said.written);
            let again = said.text == text && apart < WINDOW;
            if again || apart < SPACING || said.held.is_some() {
                let times = said.held.as_ref().map_or(0, |h| h.times) + 1;
                said.held = Some(Held { newest: line, text: text.to_owned(), times });
                return None;
            }
        }
        self.make_room();
        self.causes.insert(cause.to_owned(), Said { text: text.to_owned(), written: now, held: None });
        Some(line)
    }

    /// The lines that were held back long enough: a repeat for a minute, a different text for a second.
    pub fn due(&mut self, now: Duration) -> Vec<Folded<L>> {
        self.take(now, |said, held, apart| apart >= if held.text == said.text { WINDOW } else { SPACING })
    }

    /// Everything that is held back, for the end of the program.
    pub fn rest(&mut self, now: Duration) -> Vec<Folded<L>> {
        self.take(now, |_, _, _| true)
    }

    fn take(&mut self, now: Duration, is_due: impl Fn(&Said<L>, &Held<L>, Duration) -> bool) -> Vec<Folded<L>> {
        let mut folded = Vec::new();
        for said in self.causes.values_mut() {
            let over = now.saturating_sub(said.written);
            if let Some(held) = said.held.take() {
                if is_due(said, &held, over) {
                    folded.push(Folded { line: held.newest, times: held.times, over });
                    (said.text, said.written) = (held.text, now);
                } else {
                    said.held = Some(held);
                }
            }
        }
        folded
    }

    /// Forgets the cause that has been silent longest; what it holds back is at most a count.
    fn make_room(&mut self) {
        if self.causes.len() < CAUSES {
            return;
        }
        let oldest = self.causes.iter().min_by_key(|(_, said)| said.written).map(|(cause, _)| cause.clone());
        if let Some(oldest) = oldest {
            self.causes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn repeats_within_a_minute_become_one_counted_line() {
        let mut fold = Fold::default();
        assert_eq!(fold.offer("a", "stalled", 0, at(0.0)), Some(0));
        for i in 1..=37 {
            assert_eq!(fold.offer("a", "stalled", i, at(f64::from(i))), None);
            assert_eq!(fold.due(at(f64::from(i))), []);
        }
        assert_eq!(fold.due(at(60.0)), [Folded { line: 37, times: 37, over: at(60.0) }]);
        assert_eq!(fold.due(at(120.0)), [], "nothing came since");
        assert_eq!(fold.offer("a", "stalled", 38, at(121.0)), Some(38));
    }

    #[test]
    fn one_cause_writes_at_most_a_line_a_second_and_does_not_silence_another() {
        let mut fold = Fold::default();
        let mut written = 0;
        for i in 0..1000u32 {
            let now = at(f64::from(i) * 0.01);
            written += fold.due(now).len();
            written += usize::from(fold.offer("a", &format!("error {i}"), i, now).is_some());
        }
        assert!((10..=11).contains(&written), "{written} lines in 10 s");
        assert_eq!(fold.offer("b", "error 999", 0, at(9.99)), Some(0));
    }

    #[test]
    fn nothing_that_was_held_back_is_lost_at_the_end() {
        let mut fold = Fold::default();
        fold.offer("a", "x", 1, at(0.0));
        fold.offer("a", "x", 2, at(0.5));
        assert_eq!(fold.rest(at(0.7)), [Folded { line: 2, times: 1, over: at(0.7) }]);
        assert_eq!(fold.rest(at(0.8)), []);
    }

    #[test]
    fn made_up_causes_do_not_fill_the_memory() {
        let mut fold = Fold::default();
        for i in 0..5000u32 {
            fold.offer(&i.to_string(), "x", i, at(f64::from(i)));
        }
        assert!(fold.causes.len() <= CAUSES);
    }
}
