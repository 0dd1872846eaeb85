//! When a silent stage hangs. Pure: who is silent goes in, who is to be told of and given up comes out; pulses belong to threads.rs.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a stage that is silent for too long is given on top, in time and in looks: a process that was frozen as a whole finds all of them silent
/// when it goes on, and the time over.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOKS: u32 = 3;

/// One stage's silence.
#[derive(Debug)]
struct Silence {
    since: Duration,
    looks: u32,
    is_told: bool,
}

/// Who is silent, and since when that is known.
#[derive(Debug, Default)]
pub struct Silences {
    of: BTreeMap<String, Silence>,
}

/// What a look at the pulses gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether all beat.
    pub all_alive: bool,
    /// Stages that were not silent at the look before, with how long they have been.
    pub new: Vec<(String, Duration)>,
    /// Stages whose patience is over since the look before.
    pub hung: Vec<String>,
}

impl Silences {
    /// A look at `now`, with what [`super::Hearts::silent`] told.
    pub fn look(&mut self, silent: Vec<(String, Duration)>, now: Duration) -> Look {
        self.of.retain(|stage, _| silent.iter().any(|(s, _)| s == stage));
        let all_alive = silent.is_empty();
        let new: Vec<_> = silent.into_iter().filter(|(stage, _)| !self.of.contains_key(stage)).collect();
        let mut hung = Vec::new();
        for (stage, silence) in &mut self.of {
            silence.looks += 1;
            let is_over = silence.looks >= LOOKS && now.saturating_sub(silence.since) >= PATIENCE;
            if is_over && !std::mem::replace(&mut silence.is_told, is_over) {
                hung.push(stage.clone());
            }
        }
        let begins =
            |(stage, _): &(String, Duration)| (stage.clone(), Silence { since: now, looks: 0, is_told: false });
        self.of.extend(new.iter().map(begins));
        Look { all_alive, new, hung }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_stage_is_told_once_and_given_up_once_when_its_patience_is_over() {
        let secs = Duration::from_secs;
        let mut silences = Silences::default();
        let mut look = |stages: &[&str], at| {
            let silent = stages.iter().map(|stage| ((*stage).to_owned(), secs(11))).collect();
            let look = silences.look(silent, secs(at));
            let new: Vec<_> = look.new.into_iter().map(|(stage, _)| stage).collect();
            (look.all_alive, new.join(" "), look.hung.join(" "))
        };
        let seen = |all_alive, new: &str, hung: &str| (all_alive, new.to_owned(), hung.to_owned());
        assert_eq!(look(&[], 9), seen(true, "", ""));
        assert_eq!(look(&["api", "publish"], 10), seen(false, "api publish", ""));
        assert_eq!(look(&["publish"], 11), seen(false, "", ""));
        assert_eq!(look(&["api", "publish"], 12), seen(false, "api", ""));
        assert_eq!(look(&["publish"], 13), seen(false, "", "publish"));
        assert_eq!(look(&["publish"], 14), seen(false, "", ""));
        assert_eq!(look(&[], 15), seen(true, "", ""));
        // Frozen for a minute between two looks: that time is nobody's silence.
        assert_eq!(look(&["publish"], 16), seen(false, "publish", ""));
        assert_eq!(look(&["publish"], 76), seen(false, "", ""));
        assert_eq!(look(&["publish"], 77), seen(false, "", ""));
        assert_eq!(look(&["publish"], 78), seen(false, "", "publish"));
    }
}
