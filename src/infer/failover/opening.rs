//! An engine that is being opened on a thread of its own, and proves itself there by a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::Opener;
use crate::infer::Engine;
use crate::runtime::{Stop, Worker};

/// How often a thread that is to begin looks whether it was told so; it is woken when it is.
const LOOK_AROUND: Duration = Duration::from_secs(3600);

/// The engine, or why there is none.
pub(super) type Answer = Result<Box<dyn Engine>, String>;

pub(super) struct Opening {
    answer: Receiver<Answer>,
    begin: Stop,
    is_unwanted: Arc<AtomicBool>,
}

impl Opening {
    /// Drops what was lost (its memory is needed), then opens. The thread ends by itself; nobody has to wait for it.
    pub(super) fn begin(thread: &str, open: &Opener, lost: Option<Box<dyn Engine>>) -> Self {
        let opening = Self::when(&Stop::new(), thread, open, lost);
        opening.hurry();
        opening
    }

    /// Opens when this is set, or somebody is in a hurry.
    pub(super) fn begin_after(told: &Stop, thread: &str, open: &Opener) -> Self {
        Self::when(told, thread, open, None)
    }

    fn when(told: &Stop, thread: &str, open: &Opener, lost: Option<Box<dyn Engine>>) -> Self {
        let (say, answer) = sync_channel(1);
        let (open, say_none) = (Arc::clone(open), say.clone());
        let (begin, is_unwanted) = (told.child(), Arc::<AtomicBool>::default());
        let (told, unwanted) = (begin.clone(), Arc::clone(&is_unwanted));
        let body = move || {
            while !told.wait(LOOK_AROUND) {}
            drop(lost);
            if unwanted.load(Ordering::Relaxed) {
                return;
            }
            // The receiver is gone when the engine that asked is.
            let _ = say.send(open_and_try(&open));
        };
        if let Err(e) = Worker::spawn(thread, body) {
            refuse(&say_none, format!("the system has no thread to give: {e}"));
        }
        Self { answer, begin, is_unwanted }
    }

    /// Nothing is waited for any more.
    pub(super) fn hurry(&self) {
        self.begin.set();
    }

    /// One whose answer lies there already.
    #[cfg(test)]
    pub(super) fn answered(answer: Answer) -> Self {
        let (say, answer_of) = sync_channel(1);
        say.send(answer).expect("there is room for one");
        Self { answer: answer_of, begin: Stop::new(), is_unwanted: Arc::default() }
    }

    /// The answer, once; None while there is none.
    pub(super) fn answer(&self, at_most: Duration) -> Option<Answer> {
        match self.answer.recv_timeout(at_most) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err("the thread that opened it died".to_owned())),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
        self.begin.set();
    }
}

fn refuse(say: &SyncSender<Answer>, reason: String) {
    let _ = say.try_send(Err(reason));
}

fn open_and_try(open: &Opener) -> Answer {
    let mut engine = open().map_err(|e| e.to_string())?;
    let chw = engine.shape().input_chw;
    engine.input(0).fill(chw, |_| 0.0);
    engine.run(1).map_err(|e| format!("it was opened, but does not run: {e}"))?;
    Ok(engine)
}
