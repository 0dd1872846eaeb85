//! What the sensors do not tell, for people: each thing is said once, however often it is looked for.

use std::collections::BTreeSet;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Notes {
    said: BTreeSet<String>,
    fresh: Vec<String>,
}

impl Notes {
    /// Says it, unless something was said about the same thing.
    pub(super) fn say(&mut self, about: &str, what: impl FnOnce() -> String) {
        if self.said.insert(about.to_owned()) {
            self.fresh.push(what());
        }
    }

    /// What was said since this was asked last.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }
}
