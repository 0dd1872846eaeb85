//! Progress on stderr for work that takes long; silent when nobody looks at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

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
