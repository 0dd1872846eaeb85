//! The ring between a camera and the engine: the newest frames win, and what they displace is counted.
//!
//! Belongs here: keeping and displacing, how fast frames come. Does not: whose frame is next, which are too old (see `schedule`), where
//! frames come from.

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
    pace: Pace,
    closed: bool,
    off: bool,
}

/// What a ring shows at a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glimpse {
    /// When the frame was captured that [`FrameRing::take`] would give; None where none waits.
    pub captured: Option<Duration>,
    /// When the newest frame was captured that ever came, kept or not.
    pub newest: Option<Duration>,
    /// The longest time between two frames that came one after the other since the look before.
    pub pause: Duration,
    /// Whether it is switched off.
    pub is_off: bool,
    /// Frames a second that come; None until two have come.
    pub rate_hz: Option<f64>,
}

/// A longer time between two frames is a pause, and says nothing of a camera's rate.
const PAUSE: Duration = Duration::from_secs(15);
/// The rate that is believed follows the newest frames by this share.
const FOLLOWS: f64 = 1.0 / 16.0;

/// How fast frames come.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Duration>,
    /// The longest time between two frames since somebody asked.
    pause: Duration,
    period_secs: Option<f64>,
}

impl Pace {
    fn came(&mut self, at: Duration) {
        let gap = self.last.replace(at).map(|last| at.saturating_sub(last));
        self.pause = self.pause.max(gap.unwrap_or_default());
        if let Some(gap_secs) = gap.filter(|gap| *gap < PAUSE).map(|gap| gap.as_secs_f64()) {
            self.period_secs = Some(self.period_secs.map_or(gap_secs, |secs| secs + (gap_secs - secs) * FOLLOWS));
        }
    }

    fn rate_hz(&self) -> Option<f64> {
        self.period_secs.filter(|secs| *secs > 0.0).map(f64::recip)
    }
}

impl FrameRing {
    /// An empty ring. A capacity of 0 would keep nothing, so it counts as 1.
    pub fn new(capacity: usize, when_full: WhenFull, bell: Bell, metrics: Arc<CameraMetrics>) -> Self {
        let capacity = capacity.max(1);
        let state = Mutex::new(State { frames: VecDeque::with_capacity(capacity), ..State::default() });
        Self { capacity, when_full, bell, metrics, state, space: Condvar::new() }
    }

    /// Adds the newest frame. With [`WhenFull::Wait`] it returns when there is space, or the ring is closed.
    /// A closed ring takes nothing, nor does one that is switched off; the frame counts as displaced by that.
    pub fn push(&self, frame: Frame) {
        let mut state = self.lock();
        state.pace.came(frame.captured.mono);
        while !state.closed && !state.off && state.frames.len() >= self.capacity {
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

    /// Gives back the frame that was taken last: it is the oldest again. Where a newer one has taken its place, it counts as displaced by
    /// that; a ring that waits for space holds one more for a while.
    pub fn put_back(&self, frame: Frame) {
        let mut state = self.lock();
        if state.closed {
            self.metrics.displaced_stopped_total.inc();
        } else if state.off {
            self.metrics.displaced_off_total.inc();
        } else if self.when_full == WhenFull::DisplaceOldest && state.frames.len() >= self.capacity {
            self.metrics.displaced_ring_total.inc();
        } else {
            state.frames.push_front(frame);
        }
    }

    /// What is in it, once those frames are dropped and counted that `is_stale` calls too old, by the time of their capture.
    pub fn look(&self, is_stale: impl Fn(Duration) -> bool) -> Glimpse {
        let mut state = self.lock();
        let mut dropped = false;
        while state.frames.front().is_some_and(|frame| is_stale(frame.captured.mono)) {
            state.frames.pop_front();
            self.metrics.displaced_stale_total.inc();
            dropped = true;
        }
        let captured = state.frames.front().map(|frame| frame.captured.mono);
        let pause = std::mem::take(&mut state.pace.pause);
        let (newest, rate_hz) = (state.pace.last, state.pace.rate_hz());
        let glimpse = Glimpse { captured, newest, pause, is_off: state.off, rate_hz };
        drop(state);
        if dropped {
            self.space.notify_all();
        }
        glimpse
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

    fn frame_at(seq: u64, ms: u64) -> Frame {
        let mut frame = frame(seq);
        frame.captured.mono = Duration::from_millis(ms);
        frame
    }

    #[test]
    fn frames_that_are_too_old_are_dropped_and_counted_when_somebody_looks() {
        let (ring, metrics) = ring(3, WhenFull::DisplaceOldest);
        (1..=3).for_each(|seq| ring.push(frame_at(seq, seq * 100)));
        let before = |ms| move |captured| captured < Duration::from_millis(ms);
        assert_eq!(ring.look(before(50)).captured, Some(Duration::from_millis(100)));
        assert_eq!(ring.look(before(250)).captured, Some(Duration::from_millis(300)));
        assert_eq!(metrics.displaced_stale_total.get(), 2);
        assert_eq!(ring.take().map(|f| f.seq), Some(3));
        assert_eq!(ring.look(before(900)).captured, None);
    }

    #[test]
    fn a_frame_that_is_put_back_is_the_oldest_again_unless_a_newer_one_has_its_place() {
        let (ring, metrics) = ring(1, WhenFull::DisplaceOldest);
        ring.push(frame(1));
        let first = ring.take().expect("it waits");
        ring.put_back(first);
        let first = ring.take().expect("it is back");
        ring.push(frame(2));
        ring.put_back(first);
        assert_eq!((ring.take().map(|f| f.seq), metrics.displaced_ring_total.get()), (Some(2), 1));
        ring.close();
        ring.put_back(frame(2));
        assert_eq!((ring.take().is_none(), metrics.displaced_stopped_total.get()), (true, 1));
    }

    #[test]
    fn the_rate_of_a_camera_is_what_came_lately_and_a_pause_does_not_count() {
        let (ring, _) = ring(1, WhenFull::DisplaceOldest);
        let rate_hz = || ring.look(|_| false).rate_hz;
        ring.push(frame_at(1, 0));
        assert_eq!(rate_hz(), None);
        (1..100).for_each(|n| ring.push(frame_at(n, n * 100)));
        assert!((rate_hz().expect("known") - 10.0).abs() < 0.1);
        (1..200).for_each(|n| ring.push(frame_at(n, 60_000 + n * 200)));
        assert!((rate_hz().expect("known") - 5.0).abs() < 0.1);
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
