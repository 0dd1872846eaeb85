//! Progress on stderr for work that takes long; silent when nobody looks at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Counts up, for work whose length is not known.
pub(super) fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{spinner}} {{pos}} {what}, {{per_sec}}, {{elapsed}}"));
    // indicatif draws on stderr, and only if that is a terminal.
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Counts up to a known end.
pub(super) fn bar(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what}, {{eta}} left"));
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
