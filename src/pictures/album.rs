//! The best view of each object that is being followed, within a bound of memory. Pure; time is an argument.
//!
//! Views are kept as pixels, not as JPEG: most tracks end without an event that asks for a picture, and an encoded picture that nobody
//! asks for would cost the processor far more than its pixels cost memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::types::{CameraId, Captured, Rect, RgbImage};

/// A view replaces another one when it is so many times better: small gains are not worth their copies.
const BETTER_BY: f32 = 1.2;
/// A track that has a view is not looked at more often than this: a look reads pixels, which may lie in the video hardware's memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a view of a track that is still there had to go, no new ones are begun for so long: with more objects than memory each frame would
/// otherwise be spent on views that push each other out.
const SHORT_OF_MEMORY: Duration = Duration::from_secs(1);
/// How long after a track's end its view is kept: for events that are told with its end, and alerts that they raise.
const LINGER: Duration = Duration::from_secs(10);

/// One view of one object.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    /// Which camera.
    pub(super) camera: CameraId,
    /// When the frame was captured.
    pub(super) captured: Captured,
    /// What it is worth.
    pub(super) worth: f32,
    /// The object.
    pub(super) crop: Arc<RgbImage>,
    /// The whole frame; shared by all objects that were taken in it, and given up first.
    pub(super) full: Option<Arc<RgbImage>>,
    /// Where the object is, in pixels of the frame.
    pub(super) bbox: Rect,
    /// The frame's size.
    pub(super) frame_px: (u32, u32),
    /// The names under which it was written; empty while nobody asked for it.
    pub(super) names: Vec<String>,
}

/// All views.
#[derive(Debug)]
pub(super) struct Album {
    limit_bytes: usize,
    kept: HashMap<Uuid, Kept>,
    /// Of tracks that have ended, in the order of their ends.
    ended: Vec<(Duration, Uuid)>,
    /// When memory was last too short for all that are there.
    short: Option<Duration>,
}

#[derive(Debug)]
struct Kept {
    shot: Shot,
    /// When it was last compared with another view.
    looked: Duration,
    is_live: bool,
}

impl Album {
    /// That holds so many bytes of pixels at most.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, kept: HashMap::new(), ended: Vec::new(), short: None }
    }

    /// Whether a look at the track may be worth it, if its view is worth so much at most.
    pub(super) fn is_due(&self, track: Uuid, at_most: f32, now: Duration) -> bool {
        let is_rested = match (self.kept.get(&track), self.short) {
            (Some(kept), _) => now.saturating_sub(kept.looked) >= LOOK_EVERY,
            (None, Some(short)) => now.saturating_sub(short) >= SHORT_OF_MEMORY,
            (None, None) => true,
        };
        is_rested && self.is_better(track, at_most)
    }

    /// Whether a view of this worth would be kept, after a look at it.
    pub(super) fn judge(&mut self, track: Uuid, worth: f32, now: Duration) -> bool {
        if let Some(kept) = self.kept.get_mut(&track) {
            kept.looked = now;
        }
        self.is_better(track, worth)
    }

    fn is_better(&self, track: Uuid, worth: f32) -> bool {
        worth > 0.0 && self.kept.get(&track).is_none_or(|k| worth > k.shot.worth * BETTER_BY)
    }

    /// Keeps a view; what then is too much goes.
    pub(super) fn put(&mut self, track: Uuid, shot: Shot) {
        let now = shot.captured.mono;
        let is_live = self.kept.get(&track).is_none_or(|k| k.is_live);
        self.kept.insert(track, Kept { looked: now, shot, is_live });
        self.shrink(track, now);
    }

    /// The track has ended.
    pub(super) fn end(&mut self, track: Uuid, now: Duration) {
        if let Some(kept) = self.kept.get_mut(&track).filter(|k| k.is_live) {
            kept.is_live = false;
            self.ended.push((now, track));
        }
    }

    /// Lets go of tracks that ended long ago.
    pub(super) fn tidy(&mut self, now: Duration) {
        let gone: Vec<_> = self.ended.extract_if(.., |(at, _)| now.saturating_sub(*at) > LINGER).collect();
        for (_, track) in gone {
            self.kept.remove(&track);
        }
    }

    /// Lets go of all views of these cameras.
    pub(super) fn forget(&mut self, of: impl Fn(&str) -> bool) {
        self.kept.retain(|_, k| !of(&k.shot.camera));
        self.ended.retain(|(_, track)| self.kept.contains_key(track));
    }

    /// The best view of a track.
    pub(super) fn get_mut(&mut self, track: Uuid) -> Option<&mut Shot> {
        self.kept.get_mut(&track).map(|k| &mut k.shot)
    }

    /// Pixels held, each shared picture counted once.
    pub(super) fn bytes(&self) -> usize {
        let mut fulls = HashSet::new();
        let size = |shot: &Shot| {
            let full = shot.full.as_ref().filter(|full| fulls.insert(Arc::as_ptr(full)));
            shot.crop.data.len() + full.map_or(0, |full| full.data.len())
        };
        self.kept.values().map(|k| &k.shot).map(size).sum()
    }

    /// First go the tracks that have ended, the oldest first; then whole frames, the oldest first; then whole views. The newest one is the
    /// last to go: an event is about to ask for it.
    fn shrink(&mut self, newest: Uuid, now: Duration) {
        while self.bytes() > self.limit_bytes {
            if !self.ended.is_empty() {
                let (_, track) = self.ended.remove(0);
                self.kept.remove(&track);
            } else if let Some(track) = self.oldest(newest, |shot| shot.full.is_some()) {
                let full = self.kept.get_mut(&track).and_then(|k| k.shot.full.take());
                self.drop_shared(full.as_ref());
            } else if let Some(track) = self.oldest(newest, |_| true) {
                self.short = Some(now);
                self.kept.remove(&track);
            } else {
                return;
            }
        }
    }

    /// A frame that several objects share is freed only when none of them has it.
    fn drop_shared(&mut self, full: Option<&Arc<RgbImage>>) {
        let Some(full) = full else { return };
        for kept in self.kept.values_mut() {
            kept.shot.full.take_if(|other| Arc::ptr_eq(other, full));
        }
    }

    /// The oldest view of those that qualify; the newest of all only where there is no other.
    fn oldest(&self, newest: Uuid, which: impl Fn(&Shot) -> bool) -> Option<Uuid> {
        let fit = self.kept.iter().filter(|(_, k)| which(&k.shot));
        fit.min_by_key(|(track, k)| (**track == newest, k.shot.captured.mono, **track)).map(|(track, _)| *track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn track(n: u8) -> Uuid {
        Uuid::from_u128(u128::from(n) + 1)
    }

    fn pixels(bytes: usize) -> Arc<RgbImage> {
        Arc::new(RgbImage { width_px: 1, height_px: 1, data: vec![0; bytes] })
    }

    fn shot(worth: f32, mono_ms: u64, crop: usize, full: Option<Arc<RgbImage>>) -> Shot {
        Shot {
            camera: "front".into(),
            captured: Captured { mono: Duration::from_millis(mono_ms), wall: UNIX_EPOCH, wall_synced: false },
            worth,
            crop: pixels(crop),
            full,
            bbox: Rect::new(0.0, 0.0, 1.0, 1.0),
            frame_px: (1, 1),
            names: Vec::new(),
        }
    }

    #[test]
    fn a_view_is_replaced_by_one_that_is_better_by_a_margin_and_not_looked_for_all_the_time() {
        let mut album = Album::new(1000);
        let ms = Duration::from_millis;
        assert!(album.is_due(track(0), 0.1, ms(0)) && !album.is_due(track(0), 0.0, ms(0)));
        album.put(track(0), shot(0.1, 0, 10, None));
        assert!(!album.is_due(track(0), 0.9, ms(199)), "too soon");
        assert!(album.is_due(track(0), 0.9, ms(200)));
        assert!(!album.judge(track(0), 0.119, ms(200)), "hardly better");
        assert!(!album.is_due(track(0), 0.9, ms(399)), "that look counts too");
        assert!(album.judge(track(0), 0.13, ms(400)));
        album.put(track(0), shot(0.13, 400, 10, None));
        assert_eq!(album.get_mut(track(0)).map(|s| s.worth), Some(0.13));
    }

    #[test]
    fn the_view_of_a_track_that_ended_stays_for_a_while() {
        let mut album = Album::new(1000);
        album.put(track(0), shot(0.1, 0, 10, None));
        album.end(track(0), Duration::from_secs(5));
        album.tidy(Duration::from_secs(14));
        assert!(album.get_mut(track(0)).is_some());
        album.tidy(Duration::from_secs(16));
        assert!(album.kept.is_empty());
    }

    #[test]
    fn memory_runs_out_first_for_ended_tracks_then_for_whole_frames_of_old_views() {
        let mut album = Album::new(300);
        let shared = pixels(100);
        album.put(track(0), shot(0.1, 0, 10, Some(pixels(100))));
        album.put(track(1), shot(0.1, 1000, 10, Some(Arc::clone(&shared))));
        album.put(track(2), shot(0.1, 1000, 10, Some(shared)));
        assert_eq!((album.bytes(), album.kept.len()), (230, 3));
        album.end(track(0), Duration::from_secs(2));
        album.put(track(3), shot(0.1, 2000, 10, Some(pixels(100))));
        assert!(album.get_mut(track(0)).is_none(), "it had ended");
        album.put(track(4), shot(0.1, 3000, 10, Some(pixels(100))));
        let fulls: Vec<_> = (1..5).map(|n| album.get_mut(track(n)).expect("kept").full.is_some()).collect();
        assert_eq!(fulls, [false, false, true, true], "the frame that two of them shared is gone for both");
        assert_eq!(album.bytes(), 240);
    }

    #[test]
    fn objects_that_do_not_all_fit_do_not_push_each_other_out_with_every_frame() {
        let mut album = Album::new(100);
        album.put(track(0), shot(0.1, 1000, 60, None));
        album.put(track(1), shot(0.1, 1100, 60, None));
        assert!(album.get_mut(track(0)).is_none() && album.get_mut(track(1)).is_some());
        let due = |n, ms| album.is_due(track(n), 0.9, Duration::from_millis(ms));
        assert!(!due(0, 1200) && !due(2, 2099) && due(2, 2100));
        assert!(due(1, 1300), "who has a view may have a better one");
    }

    proptest! {
        #[test]
        fn the_bound_of_memory_holds_whatever_comes(
            steps in proptest::collection::vec((0_u8..12, 1_usize..400, proptest::option::of(1_usize..2000), 0_u8..8), 1..80),
            limit in 0_usize..5000,
        ) {
            let mut album = Album::new(limit);
            for (now, (n, crop, full, end)) in steps.into_iter().enumerate() {
                let now = now as u64 * 300;
                album.put(track(n), shot(0.5, now, crop, full.map(pixels)));
                prop_assert!(album.bytes() <= limit);
                if end == 0 {
                    album.end(track(n), Duration::from_millis(now));
                }
                album.tidy(Duration::from_millis(now));
                prop_assert!(album.kept.len() <= 12);
            }
        }
    }
}
