//! When a silent stage hangs. Pure: who is silent goes in, who is to be told of and given up comes out; pulses belong to threads.rs.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a stage that is silent for too long is given on top: a process that was frozen as a whole finds all of them silent when it goes on.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is silent, and since when that is known.
#[derive(Debug, Default)]
pub struct Silences {
    since: BTreeMap<String, Duration>,
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
        self.since.retain(|stage, _| silent.iter().any(|(s, _)| s == stage));
        let all_alive = silent.is_empty();
        let new: Vec<_> = silent.into_iter().filter(|(stage, _)| !self.since.contains_key(stage)).collect();
        self.since.extend(new.iter().map(|(stage, _)| (stage.clone(), now)));
        let mut hung = Vec::new();
        for (stage, since) in &mut self.since {
            if now.saturating_sub(*since) >= PATIENCE {
                hung.push(stage.clone());
                // Never again, as long as it stays silent.
                *since = Duration::MAX;
            }
        }
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
        assert_eq!(look(&["publish"], 12), seen(false, "", ""));
        assert_eq!(look(&["api", "publish"], 13), seen(false, "api", "publish"));
        assert_eq!(look(&["publish"], 20), seen(false, "", ""));
        assert_eq!(look(&[], 21), seen(true, "", ""));
        assert_eq!(look(&["publish"], 22), seen(false, "publish", ""));
        assert_eq!(look(&["publish"], 25), seen(false, "", "publish"));
    }
}
