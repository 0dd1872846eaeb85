//! Hardware decoders that did not work, left out for a while. Pure: the monotonic time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After this long a decoder is tried again: what kept it from working may have been the camera or another program.
const LASTS: Duration = Duration::from_secs(600);

/// The decoders of one camera that are not to be used now.
#[derive(Debug, Default)]
pub(super) struct Bans {
    until: BTreeMap<&'static str, Duration>,
}

impl Bans {
    /// This decoder did not work.
    pub(super) fn add(&mut self, decoder: &'static str, now: Duration) {
        self.until.insert(decoder, now + LASTS);
    }

    /// The decoders to leave out now.
    pub(super) fn at(&self, now: Duration) -> BTreeSet<&'static str> {
        self.until.iter().filter(|(_, until)| now < **until).map(|(decoder, _)| *decoder).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_lifted_after_a_while() {
        let mut bans = Bans::default();
        bans.add("vah264dec", Duration::from_secs(100));
        assert_eq!(bans.at(Duration::from_secs(699)), BTreeSet::from(["vah264dec"]));
        assert!(bans.at(Duration::from_secs(700)).is_empty());
    }
}
