//! What the owner and the service manager hear of a start that takes minutes: engines are built on the device. How a start goes belongs
//! to `app`; what is being built, the loader tells.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::infer::Progress;
use crate::runtime::{Clock, Stop, Worker, notify};

/// A log line and a word to the manager, so often.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long the manager is to wait from each word on.
const EXTEND_BY: Duration = Duration::from_secs(120);
/// A builder that says nothing for so long is taken for stuck, and the manager's patience ends. Old versions of TensorRT tell nothing
/// of their way through a model, which on the smallest boards takes a quarter of an hour.
const SILENCE_AT_MOST: Duration = Duration::from_secs(45 * 60);

/// Tells as long as it lives. A start that builds nothing has nothing to tell, and the manager's own limit holds.
pub(super) struct Starting {
    clock: Clock,
    heard: Arc<Mutex<Option<Heard>>>,
    over: Stop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    doing: String,
    at: Duration,
    told: Duration,
}

impl Starting {
    /// Begins to listen. Without a thread to give it still tells what it hears, though nothing in between.
    pub(super) fn begin(clock: Clock) -> Self {
        let (heard, over) = (Arc::<Mutex<Option<Heard>>>::default(), Stop::new());
        let again = (Arc::clone(&heard), over.clone());
        let body = move || {
            let (heard, over) = again;
            while !over.wait(TELL_EVERY) {
                tell(lock(&heard).as_mut().and_then(|h| h.again(clock.mono())));
            }
        };
        if let Err(e) = Worker::spawn("starting", body) {
            log::warn!("a long start will not be told of: {e}");
        }
        Self { clock, heard, over }
    }

    /// Where loaders say what they do, until the daemon is to end.
    pub(super) fn progress(&self, leave: Stop) -> Progress {
        let (clock, heard) = (self.clock, Arc::clone(&self.heard));
        Progress::new(move |doing| tell(hear(&mut lock(&heard), doing, clock.mono())))
            .while_wanted(move || !leave.is_set())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.over.set();
    }
}

fn lock(heard: &Mutex<Option<Heard>>) -> MutexGuard<'_, Option<Heard>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(doing: Option<String>) {
    if let Some(doing) = doing {
        notify::starting(&doing, EXTEND_BY);
        log::info!("starting: {doing}");
    }
}

/// Notes what is done; gives it back where it is time to tell.
fn hear(heard: &mut Option<Heard>, doing: &str, now: Duration) -> Option<String> {
    let told = heard.as_ref().map(|h| h.told);
    let is_time = told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
    *heard = Some(Heard { doing: doing.to_owned(), at: now, told: if is_time { now } else { told.unwrap_or(now) } });
    is_time.then(|| doing.to_owned())
}

impl Heard {
    /// What was heard last, where it is time to tell it once more.
    fn again(&mut self, now: Duration) -> Option<String> {
        let is_time = now.saturating_sub(self.told) >= TELL_EVERY;
        let is_alive = now.saturating_sub(self.at) < SILENCE_AT_MOST;
        if !is_time || !is_alive {
            return None;
        }
        self.told = now;
        Some(format!("{} (for {} s)", self.doing, now.saturating_sub(self.at).as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn much_news_is_told_every_ten_seconds() {
        let mut heard = None;
        let told: Vec<_> = (0..35).filter_map(|s| hear(&mut heard, &format!("step {s}"), s * SEC)).collect();
        assert_eq!(told, ["step 0", "step 10", "step 20", "step 30"]);
    }

    #[test]
    fn a_silent_builder_is_told_of_again_until_it_is_taken_for_stuck() {
        let mut heard = None;
        hear(&mut heard, "building", Duration::ZERO);
        let heard = heard.as_mut().expect("heard");
        assert_eq!(heard.again(5 * SEC), None);
        assert_eq!(heard.again(10 * SEC).as_deref(), Some("building (for 10 s)"));
        assert_eq!(heard.again(15 * SEC), None);
        assert!(heard.again(SILENCE_AT_MOST - SEC).is_some());
        assert_eq!(heard.again(SILENCE_AT_MOST + 10 * SEC), None);
    }
}
