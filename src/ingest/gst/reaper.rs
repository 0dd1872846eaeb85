//! Takes pipelines down on a thread of their own, since `set_state(NULL)` may never return, and gives up waiting after a deadline.

use std::time::Duration;

use super::build::Pipeline;
use crate::ingest::{BEAT_EVERY, Context};
use crate::runtime::{Stop, Worker};

/// What a healthy teardown takes is under 0.1 s; this leaves room for a loaded board.
const DEADLINE: Duration = Duration::from_secs(3);
/// The same while the daemon is ending: everything must be over within seconds.
const DEADLINE_STOPPING: Duration = Duration::from_millis(800);

/// Takes a pipeline down, once the thread that starts it is through: a start that overtakes the end would leave it playing. Returns the
/// thread to which the pipeline is abandoned, if that does not end in time.
pub(super) fn reap(pipeline: Pipeline, opener: Worker, context: &Context, stop: &Stop) -> Option<Worker> {
    let clock = context.clock;
    // The name's first 15 bytes are what Linux shows.
    let worker = Worker::spawn(&format!("reap-{}", context.camera), move || {
        // How it ended is of no interest here; an opener that never ends keeps this thread, which is then abandoned.
        let _ = opener.join_within(&clock, Duration::MAX / 2);
        pipeline.take_down();
    });
    match worker {
        Ok(worker) => settled(worker, context, stop),
        Err(e) => {
            context.metrics.pipelines_abandoned_total.inc();
            log::warn!(camera = &*context.camera, stage = "ingest"; "no thread to take a pipeline down: {e}");
            None
        }
    }
}

/// Waits for a thread's end, beating. Returns the thread if it does not end in time.
pub(super) fn settled(worker: Worker, context: &Context, stop: &Stop) -> Option<Worker> {
    let clock = context.clock;
    let began = clock.mono();
    let mut pause = Duration::from_millis(2);
    while !worker.is_finished() {
        context.heart.beat();
        let stopping = stop.is_set();
        let deadline = if stopping { DEADLINE_STOPPING } else { DEADLINE };
        if clock.mono().saturating_sub(began) >= deadline {
            return Some(worker);
        }
        // A stop must not turn this wait into a busy one.
        if stopping {
            crate::runtime::threads::pause(pause);
        } else {
            stop.wait(pause);
        }
        pause = (pause * 2).min(BEAT_EVERY / 5);
    }
    None
}
