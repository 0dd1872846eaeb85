//! The ring between a camera and the engine: the newest frames win, and what they displace is counted.
//!
//! Belongs here: keeping and displacing. Does not: whose frame is next (see `schedule`), where frames come from.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::telemetry::CameraMetrics;
use crate::types::Frame;

/// What a full ring does with one more frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest frame goes and is counted: a live camera.
    DisplaceOldest,
    /// Whoever pushes waits: a recording of which every frame counts.
    Wait,
}

/// Wakes the engine when any ring got a frame. Clones ring the same bell.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    inner: Arc<(Mutex<u64>, Condvar)>,
}

impl Bell {
    /// Something happened.
    pub fn ring(&self) {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.inner.1.notify_all();
    }

    /// How often it has rung: taken before one looks, so that a ring between the look and the wait is not missed.
    pub fn count(&self) -> u64 {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has rung more often than `seen`, at most this long.
    pub fn wait_past(&self, seen: u64, at_most: Duration) {
        let count = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.inner.1.wait_timeout_while(count, at_most, |n| *n == seen));
    }
}

/// A camera's frames that wait for the engine.
#[derive(Debug)]
pub struct FrameRing {
    capacity: usize,
    when_full: WhenFull,
    bell: Bell,
    metrics: Arc<CameraMetrics>,
    state: Mutex<State>,
    space: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    closed: bool,
    off: bool,
}

impl FrameRing {
    /// An empty ring. A capacity of 0 would keep nothing, so it counts as 1.
    pub fn new(capacity: usize, when_full: WhenFull, bell: Bell, metrics: Arc<CameraMetrics>) -> Self {
        let capacity = capacity.max(1);
        let state = Mutex::new(State { frames: VecDeque::with_capacity(capacity), closed: false, off: false });
        Self { capacity, when_full, bell, metrics, state, space: Condvar::new() }
    }

    /// Adds the newest frame. With [`WhenFull::Wait`] it returns when there is space, or the ring is closed.
    /// A closed ring takes nothing, nor does one that is switched off; the frame counts as displaced by that.
    pub fn push(&self, frame: Frame) {
        let mut state = self.lock();
        while !state.closed && !state.off && state.frames.len() == self.capacity {
            match self.when_full {
                WhenFull::DisplaceOldest => {
                    state.frames.pop_front();
                    self.metrics.displaced_ring_total.inc();
                }
                WhenFull::Wait => state = self.space.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        if state.closed {
            self.metrics.displaced_stopped_total.inc();
            return;
        }
        if state.off {
            self.metrics.displaced_off_total.inc();
            return;
        }
        state.frames.push_back(frame);
        drop(state);
        self.bell.ring();
    }

    /// Takes the oldest frame that is kept; with the capacity of 1 that live cameras have, the newest there is.
    pub fn take(&self) -> Option<Frame> {
        let frame = self.lock().frames.pop_front();
        if frame.is_some() {
            self.space.notify_one();
        }
        frame
    }

    /// Whether a frame waits.
    pub fn is_waiting(&self) -> bool {
        !self.lock().frames.is_empty()
    }

    /// Switches the way to the engine off or on. Off, frames are dropped and counted, those that wait too.
    pub fn switch(&self, on: bool) {
        let mut state = self.lock();
        state.off = !on;
        if !on {
            self.metrics.displaced_off_total.add(state.frames.len() as u64);
            state.frames.clear();
        }
        drop(state);
        self.space.notify_all();
        self.bell.ring();
    }

    /// Whether it is switched off.
    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// No more frames: those that wait are dropped and counted, whoever waits for space is let go.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = state.frames.len() as u64;
        state.frames.clear();
        drop(state);
        self.metrics.displaced_stopped_total.add(left);
        self.space.notify_all();
        self.bell.ring();
    }

    // A panic elsewhere cannot leave the queue half changed: each change is one call on VecDeque.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Captured, RgbImage};

    fn frame(seq: u64) -> Frame {
        let captured = Captured { mono: Duration::ZERO, wall: std::time::UNIX_EPOCH, wall_synced: false };
        let pixels = Arc::new(RgbImage { width_px: 1, height_px: 1, data: vec![0; 3] });
        Frame { camera: "cam".into(), seq, captured, pixels }
    }

    fn ring(capacity: usize, when_full: WhenFull) -> (FrameRing, Arc<CameraMetrics>) {
        let metrics = Arc::new(CameraMetrics::default());
        (FrameRing::new(capacity, when_full, Bell::default(), Arc::clone(&metrics)), metrics)
    }

    #[test]
    fn a_full_ring_displaces_the_oldest_frame() {
        let (ring, metrics) = ring(1, WhenFull::DisplaceOldest);
        (1..=5).for_each(|seq| ring.push(frame(seq)));
        assert_eq!(ring.take().map(|f| f.seq), Some(5));
        assert!(ring.take().is_none());
        assert_eq!(metrics.displaced_ring_total.get(), 4);
    }

    #[test]
    fn a_closed_ring_counts_what_it_held_and_what_still_comes() {
        let (ring, metrics) = ring(2, WhenFull::DisplaceOldest);
        ring.push(frame(1));
        ring.push(frame(2));
        ring.close();
        ring.push(frame(3));
        assert!(ring.take().is_none());
        assert_eq!((metrics.displaced_stopped_total.get(), metrics.displaced_ring_total.get()), (3, 0));
    }

    #[test]
    fn a_ring_that_is_switched_off_keeps_nothing_counts_everything_and_works_again_once_it_is_on() {
        let (ring, metrics) = ring(2, WhenFull::DisplaceOldest);
        ring.push(frame(1));
        ring.switch(false);
        ring.push(frame(2));
        assert!(ring.is_off() && ring.take().is_none());
        ring.switch(true);
        ring.push(frame(3));
        assert_eq!(ring.take().map(|f| f.seq), Some(3));
        assert_eq!((metrics.displaced_off_total.get(), metrics.displaced_ring_total.get()), (2, 0));
    }

    #[test]
    fn a_waiting_ring_loses_nothing_and_lets_go_at_the_close() {
        let (ring, metrics) = ring(2, WhenFull::Wait);
        std::thread::scope(|s| {
            s.spawn(|| (1..=100).for_each(|seq| ring.push(frame(seq))));
            let mut want = 1;
            while want <= 50 {
                if let Some(f) = ring.take() {
                    assert_eq!(f.seq, want);
                    want += 1;
                }
            }
            ring.close();
        });
        assert_eq!(metrics.displaced_ring_total.get(), 0);
        assert_eq!(metrics.displaced_stopped_total.get(), 50);
    }

    proptest! {
        #[test]
        fn every_frame_is_taken_or_counted_and_order_is_kept(capacity in 1usize..5, steps in proptest::collection::vec(any::<bool>(), 0..200)) {
            let (ring, metrics) = ring(capacity, WhenFull::DisplaceOldest);
            let (mut pushed, mut taken, mut last) = (0u64, 0u64, 0u64);
            for push in steps {
                if push {
                    pushed += 1;
                    ring.push(frame(pushed));
                } else if let Some(f) = ring.take() {
                    prop_assert!(f.seq > last);
                    last = f.seq;
                    taken += 1;
                }
            }
            ring.close();
            prop_assert_eq!(pushed, taken + metrics.displaced_ring_total.get() + metrics.displaced_stopped_total.get());
        }
    }
}
