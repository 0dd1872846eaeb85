//! Named threads and their heartbeats. A stage that stops beating is what the service manager's watchdog is for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::Clock;

/// A running thread; dropped without [`Worker::join_within`], it goes on alone.
#[derive(Debug)]
pub struct Worker {
    name: String,
    handle: JoinHandle<()>,
}

impl Worker {
    /// Starts a thread. The name shows in `top -H` and in the journal; Linux keeps its first 15 bytes.
    ///
    /// # Errors
    /// When the system has no thread to give.
    #[allow(clippy::disallowed_methods, reason = "the one home of threads")]
    pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { name: name.to_owned(), handle })
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the thread has ended, well or by a panic.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// What wakes the thread when it is parked.
    pub fn thread(&self) -> &std::thread::Thread {
        self.handle.thread()
    }

    /// Waits for the end, however long; for threads that are known to end. False when the thread panicked.
    pub fn join(self) -> bool {
        self.handle.join().is_ok()
    }

    /// Waits for the end, at most this long. False when the thread is still running (it is then left alone) or panicked.
    pub fn join_within(self, clock: &Clock, at_most: Duration) -> bool {
        let deadline = clock.mono() + at_most;
        while !self.handle.is_finished() {
            if clock.mono() >= deadline {
                return false;
            }
            // std has no timed join; 5 ms is short beside the seconds that a stop may take.
            pause(Duration::from_millis(5));
        }
        self.handle.join().is_ok()
    }
}

/// Sleeps. Only for pacing where nothing could wake the thread earlier; a stage waits on its [`super::Stop`] instead.
#[allow(clippy::disallowed_methods, reason = "the one home of threads")]
pub fn pause(how_long: Duration) {
    std::thread::sleep(how_long);
}

/// One stage's pulse.
#[derive(Debug, Clone)]
pub struct Heart {
    beat: Arc<Beat>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Beat {
    at_ms: AtomicU64,
    allowed_ms: AtomicU64,
    panicked: AtomicBool,
}

impl Heart {
    /// Says: this stage has just been round its loop.
    pub fn beat(&self) {
        self.beat.at_ms.store(self.clock.mono().as_millis() as u64, Ordering::Relaxed);
    }

    /// Says how long this stage may be silent from now on.
    pub fn allow(&self, silence: Duration) {
        self.beat.allowed_ms.store(millis(silence), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A thread that panics drops its heart too; it must not be taken for one that ended well.
impl Drop for Heart {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.beat.panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// All pulses of the daemon.
#[derive(Debug, Clone)]
pub struct Hearts {
    clock: Clock,
    all: Arc<Mutex<Vec<Pulse>>>,
}

#[derive(Debug)]
struct Pulse {
    stage: String,
    beat: Arc<Beat>,
}

impl Hearts {
    /// Nobody beats yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, all: Arc::default() }
    }

    /// A pulse for a stage that must beat at least this often. It ends when the [`Heart`] and its clones are dropped, save
    /// by a panic: then the stage is silent for ever.
    pub fn add(&self, stage: &str, allowed: Duration) -> Heart {
        let heart = Heart { beat: Arc::default(), clock: self.clock };
        heart.beat();
        heart.allow(allowed);
        let pulse = Pulse { stage: stage.to_owned(), beat: Arc::clone(&heart.beat) };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(pulse);
        heart
    }

    /// The stages that have been silent for longer than they may, with how long.
    pub fn silent(&self) -> Vec<(String, Duration)> {
        let now = self.clock.mono();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let panicked = |p: &Pulse| p.beat.panicked.load(Ordering::Relaxed);
        // One count is this list's own.
        all.retain(|p| Arc::strong_count(&p.beat) > 1 || panicked(p));
        all.iter()
            .filter_map(|p| {
                let silence = now.saturating_sub(Duration::from_millis(p.beat.at_ms.load(Ordering::Relaxed)));
                let allowed = Duration::from_millis(p.beat.allowed_ms.load(Ordering::Relaxed));
                (silence > allowed || panicked(p)).then(|| (p.stage.clone(), silence))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_stops_beating_is_named_until_it_is_gone() {
        let hearts = Hearts::new(Clock::start());
        let engine = hearts.add("engine-0", Duration::ZERO);
        let _publish = hearts.add("publish", Duration::from_secs(3600));
        pause(Duration::from_millis(3));
        let silent = hearts.silent();
        assert_eq!(silent.len(), 1);
        assert_eq!(silent[0].0, "engine-0");
        drop(engine);
        assert!(hearts.silent().is_empty());
    }

    #[test]
    fn a_stage_may_say_that_it_takes_longer() {
        let hearts = Hearts::new(Clock::start());
        let engine = hearts.add("engine-0", Duration::ZERO);
        pause(Duration::from_millis(3));
        engine.allow(Duration::MAX);
        assert!(hearts.silent().is_empty());
        engine.allow(Duration::from_millis(1));
        assert_eq!(hearts.silent().len(), 1);
    }

    #[test]
    fn a_stage_that_panicked_is_silent_for_ever() {
        let hearts = Hearts::new(Clock::start());
        let heart = hearts.add("publish", Duration::from_secs(3600));
        let worker = Worker::spawn("publish", move || {
            heart.beat();
            panic!("a test's panic");
        });
        assert!(!worker.expect("a thread").join_within(&Clock::start(), Duration::from_secs(60)));
        assert_eq!(hearts.silent().first().map(|(stage, _)| stage.as_str()), Some("publish"));
    }
}
