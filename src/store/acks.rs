//! The thread "store-acks": writes down what the broker has, at once, beside the thread that waits for the disk. What is not written down when
//! the daemon is killed goes to the broker once more.

use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::segment;
use super::shared::Shared;
use super::writer::PROBE;

/// How long acknowledgements gather: a backlog that is drained brings thousands a second.
const GATHER: Duration = Duration::from_millis(2);

/// Whether there is something to write down.
#[derive(Debug, Default)]
pub(super) struct Acks {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    is_due: bool,
    stop: bool,
}

impl Acks {
    /// Records were struck from the backlog.
    pub(super) fn ring(&self) {
        self.lock().is_due = true;
        self.bell.notify_all();
    }

    /// Nothing more comes: what is there is written down, and the thread ends.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_all();
    }

    /// Waits until there is something to do; whether it is the last time.
    fn wait(&self) -> bool {
        let state = self.bell.wait_while(self.lock(), |s| !s.is_due && !s.stop);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.is_due = false;
        state.stop
    }

    /// Waits this long, or until the end.
    fn pause(&self, at_most: Duration) {
        drop(self.bell.wait_timeout_while(self.lock(), at_most, |s| !s.stop));
    }

    // Flags are never half set.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the thread.
pub(super) fn run(shared: &Shared) {
    loop {
        let is_last = shared.acks.wait();
        if !is_last {
            shared.acks.pause(GATHER);
        }
        // What comes from here on rings anew.
        let all_written = write(shared);
        if is_last {
            return;
        }
        if !all_written {
            shared.acks.ring();
            shared.acks.pause(PROBE);
        }
    }
}

/// Nobody waits for bits to be durable: the kernel brings them to the disk within half a minute. False where some could not be written.
fn write(shared: &Shared) -> bool {
    let dirty = shared.index().take_dirty();
    let mut all_written = true;
    for (path, bits) in dirty {
        match segment::write_bits(&path, &bits) {
            Ok(bytes) => shared.metrics.store.written_bytes_total.add(bytes as u64),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                log::debug!("store: {}: acknowledgements are not written: {e}", path.display());
                shared.index().still_dirty(&path);
                all_written = false;
            }
        }
        forget_of_none(&path);
    }
    all_written
}

/// The segment may have gone meanwhile: then its bits are nobody's.
fn forget_of_none(path: &Path) {
    if !path.exists() {
        // If it stays, a file of some bytes lies there.
        let _ = segment::remove_bits(path);
    }
}
