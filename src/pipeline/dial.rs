//! How much less the engines are to do than the configuration says: turned by the governor, looked at by every worker between two frames.
//!
//! Belongs here: what can be turned, and how it gets to the workers. Does not: when it is turned (see `app`), who does what it says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// How many times more seldom the detector looks where nothing happens; 1 as configured.
    pub interval_times: u32,
    /// For cameras of low, medium and high priority: one `part`th of the rate; 1 as configured.
    pub rate_parts: [u32; 3],
    /// The variant of the detector's model; None as configured.
    pub model: Option<String>,
    /// Whether there is no second stage.
    pub classifier_off: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { interval_times: 1, rate_parts: [1; 3], model: None, classifier_off: false }
    }
}

/// The dial; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Dial(Arc<Mutex<(u64, Setting)>>);

impl Dial {
    /// From now on this holds.
    pub fn set(&self, setting: Setting) {
        let mut now = self.lock();
        if now.1 != setting {
            *now = (now.0 + 1, setting);
        }
    }

    /// What holds now, with its number, where that is not the number that was seen last; a worker that has seen nothing yet says 0,
    /// which is the configuration's own setting.
    pub fn get_if_newer(&self, seen: u64) -> Option<(u64, Setting)> {
        let now = self.lock();
        (now.0 != seen).then(|| now.clone())
    }

    // Nobody panics half-way in a change, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, (u64, Setting)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_sees_each_change_once_and_a_change_to_the_same_is_none() {
        let dial = Dial::default();
        assert_eq!(dial.get_if_newer(0), None, "as configured");
        dial.set(Setting::default());
        assert_eq!(dial.get_if_newer(0), None);
        let off = Setting { classifier_off: true, ..Setting::default() };
        let worker = dial.clone();
        dial.set(off.clone());
        assert_eq!(worker.get_if_newer(0), Some((1, off)));
        assert_eq!(worker.get_if_newer(1), None);
        dial.set(Setting::default());
        assert_eq!(worker.get_if_newer(1), Some((2, Setting::default())));
    }
}
