//! Who is told how far a start has come: building an engine on a small board takes minutes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::runtime::Clock;

/// Lines in the log come no faster than this.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Takes one line at a time; says nothing by default. Clones tell the same listener.
#[derive(Clone)]
pub struct Progress {
    doing: Arc<dyn Fn(&str) + Send + Sync>,
    remarks: Option<fn(&str)>,
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Progress {
    /// Tells this listener, from whichever thread; it must not wait.
    pub fn new(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { doing: Arc::new(listener), remarks: None, goes_on: Arc::new(|| true) }
    }

    /// Work that is told of here goes on as long as this says so; it is asked between two steps.
    #[must_use]
    pub fn while_wanted(self, goes_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { goes_on: Arc::new(goes_on), ..self }
    }

    /// For work in the background: told in the log at its own pace, and ended as what is told of here.
    #[must_use]
    pub fn in_background(&self, clock: Clock) -> Self {
        let told = Mutex::new(None);
        let log = move |doing: &str| {
            let (mut told, now) = (told.lock().unwrap_or_else(PoisonError::into_inner), clock.mono());
            if told.is_none_or(|told| now.saturating_sub(told) >= LOG_EVERY) {
                *told = Some(now);
                log::info!(stage = "engine"; "{doing}");
            }
        };
        Self { doing: Arc::new(log), ..self.clone() }
    }

    /// Whether what takes long is still wanted.
    pub fn goes_on(&self) -> bool {
        (self.goes_on)()
    }

    /// Remarks go here as well as to the log: for commands, whose log nobody reads.
    #[must_use]
    pub fn with_remarks(self, listener: fn(&str)) -> Self {
        Self { remarks: Some(listener), ..self }
    }

    /// This is being done now, e.g. "yolov8n: building, step 3 of 12". To be called as often as there is news: listeners keep their
    /// own pace.
    pub fn tell(&self, doing: &str) {
        (self.doing)(doing);
    }

    /// Something was not as it should be, and what is done about it. Each is told.
    pub fn remark(&self, what: &str) {
        match self.remarks {
            Some(listener) => listener(what),
            None => log::warn!(stage = "engine"; "{what}"),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn work_in_the_background_is_not_told_to_whoever_waits_for_the_start_and_ends_with_it() {
        let (heard, stop) = (Arc::new(AtomicUsize::new(0)), crate::runtime::Stop::new());
        let (hear, asked) = (Arc::clone(&heard), stop.clone());
        let start =
            Progress::new(move |_| _ = hear.fetch_add(1, Ordering::Relaxed)).while_wanted(move || !asked.is_set());
        let later = start.in_background(Clock::start());
        start.tell("building");
        later.tell("building");
        assert_eq!(heard.load(Ordering::Relaxed), 1);
        assert!(start.goes_on() && later.goes_on());
        stop.set();
        assert!(!start.goes_on() && !later.goes_on());
    }
}
