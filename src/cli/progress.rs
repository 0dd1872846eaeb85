//! Progress on stderr for work that takes long; counters are silent when nobody looks at a terminal.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::infer::Progress;
use crate::runtime::Clock;

/// Lines about the building of an engine come no faster than this.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Counts up, for work whose length is not known.
pub(super) fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{spinner}} {{pos}} {what}, {{per_sec}}, {{elapsed}}"));
    // indicatif draws on stderr, and only if that is a terminal.
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Counts pictures, with a guess when the last one will be done.
pub(super) fn pictures(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left");
    ProgressBar::new(len as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Lines about engines that are built, which takes minutes: also where nobody looks at a terminal, since a log of it is wanted.
pub(super) fn building(clock: Clock) -> Progress {
    let told = Mutex::new(None);
    Progress::new(move |doing| {
        let (mut told, now) = (told.lock().unwrap_or_else(PoisonError::into_inner), clock.mono());
        if told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY) {
            *told = Some(now);
            tell(doing);
        }
    })
    .with_remarks(tell)
}

/// A line; where nobody hears it, the work goes on all the same.
fn tell(what: &str) {
    _ = writeln!(std::io::stderr(), "peregrine: {what}");
}
