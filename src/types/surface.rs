//! A frame that stays in memory of the video hardware: what its owner says of it to whoever draws it on a GPU, and whether anybody
//! wants such frames at all.
//!
//! Belongs here: the handle, and the question. Does not: where such memory comes from (see `ingest/gst/nvmm.rs`), how a GPU reads it
//! (see `infer/tensorrt`).

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ImageView;

/// An EGLImageKHR, by which graphics libraries hand pictures to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EglImage(pub usize);

/// A frame in memory of the video hardware. As long as one is held, the decoder does not write into it; decoders have few of them, so
/// whoever has read one lets go of it.
pub trait Surface: Send + Sync {
    /// Format, size and colours; no planes, since the processor does not see them.
    fn outline(&self) -> ImageView<'static>;

    /// The buffer as an image, made the first time. It stays valid as long as [`Surface::kept`] holds what was made of it.
    ///
    /// # Errors
    /// What the system said.
    fn image(&self) -> Result<EglImage, String>;

    /// What was made of the buffer's image. A decoder uses the same few buffers again and again, and this is the buffer's, not the
    /// frame's: it goes before the image does.
    fn kept(&self) -> &Kept;

    /// Says that the GPU does not take this memory; the frames to come should be of another kind.
    fn refuse(&self, why: &str);
}

/// What others made of a buffer and want to find again.
#[derive(Debug, Default)]
pub struct Kept {
    all: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl Kept {
    /// The one of this type that fits; else one is made and kept. What no longer `lives` is let go of.
    ///
    /// # Errors
    /// Whatever `make` says.
    pub fn find_or_make<T: Any + Send + Sync, E>(
        &self,
        lives: impl Fn(&T) -> bool,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut all = self.lock();
        all.retain(|one| one.downcast_ref::<T>().is_none_or(&lives));
        if let Some(known) = all.iter().find(|one| one.downcast_ref::<T>().is_some_and(&fits)) {
            let known = Arc::clone(known).downcast::<T>();
            return Ok(known.unwrap_or_else(|_| unreachable!("its type was just looked at")));
        }
        // Made under the lock: two workers that meet the same buffer make one.
        let made = Arc::new(make()?);
        all.push(Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        Ok(made)
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<dyn Any + Send + Sync>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody can take frames as surfaces. Asked when the first decoder could give them, since the answer costs a look at the GPU;
/// closed for good once they were found to be of no use.
pub struct SurfaceGate {
    ask: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    answer: Mutex<Option<Result<(), String>>>,
    was_told: AtomicBool,
}

impl SurfaceGate {
    /// Whoever wires the program knows whom to ask.
    pub fn new(ask: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ask: Box::new(ask), answer: Mutex::default(), was_told: AtomicBool::new(false) })
    }

    /// Nobody takes any, for this reason.
    pub fn closed(why: &str) -> Arc<Self> {
        let why = why.to_owned();
        Self::new(move || Err(why.clone()))
    }

    /// Whether frames may come as surfaces.
    pub fn is_open(&self) -> bool {
        self.lock().get_or_insert_with(|| (self.ask)()).is_ok()
    }

    /// No more of them. The first reason stays.
    pub fn close(&self, why: &str) {
        let mut answer = self.lock();
        if !matches!(*answer, Some(Err(_))) {
            *answer = Some(Err(why.to_owned()));
        }
    }

    /// Why there are none, the first time that it is asked after it was known.
    pub fn news(&self) -> Option<String> {
        match &*self.lock() {
            Some(Err(why)) if !self.was_told.swap(true, Ordering::Relaxed) => Some(why.clone()),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<(), String>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SurfaceGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SurfaceGate").field("answer", &*self.lock()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_asks_once_and_says_once_why_it_is_closed() {
        let asked = Arc::new(Mutex::new(0));
        let gate = {
            let asked = Arc::clone(&asked);
            SurfaceGate::new(move || {
                *asked.lock().expect("whole") += 1;
                Ok(())
            })
        };
        assert!(gate.news().is_none(), "nobody has asked yet");
        assert!(gate.is_open() && gate.is_open());
        assert_eq!((*asked.lock().expect("whole"), gate.news()), (1, None));
        gate.close("the detector runs on int8");
        gate.close("another reason");
        assert!(!gate.is_open());
        assert_eq!(gate.news().as_deref(), Some("the detector runs on int8"));
        assert_eq!(gate.news(), None);
        assert!(!SurfaceGate::closed("off").is_open());
    }

    #[test]
    fn what_was_made_of_a_buffer_is_found_again_until_it_no_longer_lives() {
        let kept = Kept::default();
        let find = |number: u32, oldest: u32| {
            kept.find_or_make(|n: &u32| *n >= oldest, |n| *n == number, || Ok::<_, ()>(number)).expect("made")
        };
        let first = find(1, 0);
        assert!(Arc::ptr_eq(&first, &find(1, 0)));
        find(2, 0);
        assert_eq!(Arc::strong_count(&first), 2);
        find(2, 2);
        assert_eq!(Arc::strong_count(&first), 1, "1 was let go of");
        kept.clear();
        assert!(kept.find_or_make(|_: &u32| true, |_| true, || Err("no")).is_err(), "nothing is left");
    }
}
