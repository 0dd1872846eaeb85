//! The stop token: one flag that everybody waits on. Who sets it and why belongs to `app` and `signals`.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Tells threads to end. Clones share the flag; a [`Stop::child`] ends with its parent or alone.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    children: Vec<std::sync::Weak<Inner>>,
}

impl Stop {
    /// A token that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is set when this one is, and can be set alone.
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut state = self.inner.lock();
        if state.set {
            drop(state);
            child.set();
        } else {
            state.children.retain(|c| c.strong_count() > 0);
            state.children.push(Arc::downgrade(&child.inner));
        }
        child
    }

    /// Asks everybody to end; wakes those who wait.
    pub fn set(&self) {
        self.inner.set();
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.inner.lock().set
    }

    /// Waits until the end is asked for, at most this long; true when it is.
    pub fn wait(&self, at_most: Duration) -> bool {
        let state = self.inner.lock();
        let (state, _) =
            self.inner.changed.wait_timeout_while(state, at_most, |s| !s.set).unwrap_or_else(PoisonError::into_inner);
        state.set
    }
}

impl Inner {
    // A panic elsewhere cannot leave a bool half written, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) {
        let children = {
            let mut state = self.lock();
            state.set = true;
            std::mem::take(&mut state.children)
        };
        self.changed.notify_all();
        for child in children.iter().filter_map(std::sync::Weak::upgrade) {
            child.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_parent_but_not_the_other_way_round() {
        let parent = Stop::new();
        let (a, b) = (parent.child(), parent.child());
        a.set();
        assert!(a.is_set() && !parent.is_set() && !b.is_set());
        parent.set();
        assert!(b.is_set() && parent.child().is_set());
    }

    #[test]
    fn a_wait_ends_when_the_flag_is_set() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        let waiter = stop.clone();
        std::thread::scope(|s| {
            let t = s.spawn(move || waiter.wait(Duration::from_secs(60)));
            stop.set();
            assert!(t.join().expect("no panic"));
        });
    }
}
