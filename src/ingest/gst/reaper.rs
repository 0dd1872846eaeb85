//! Takes pipelines down on a thread of their own, since `set_state(NULL)` may never return, and gives up waiting after a deadline.

use std::time::Duration;

use super::build::Pipeline;
use crate::ingest::{BEAT_EVERY, Context};
use crate::runtime::{Stop, Worker};

/// What a healthy teardown takes is under 0.1 s; this leaves room for a loaded board.
const DEADLINE: Duration = Duration::from_secs(3);
/// The same while the daemon is ending: everything must be over within seconds.
const DEADLINE_STOPPING: Duration = Duration::from_millis(800);

/// True when the pipeline is gone; false when it is abandoned to its thread.
pub(super) fn reap(pipeline: Pipeline, context: &Context, stop: &Stop) -> bool {
    let clock = context.clock;
    let began = clock.mono();
    // The name's first 15 bytes are what Linux shows.
    let Ok(worker) = Worker::spawn(&format!("reap-{}", context.camera), move || pipeline.take_down()) else {
        return false;
    };
    let mut pause = Duration::from_millis(2);
    while !worker.is_finished() {
        context.heart.beat();
        let stopping = stop.is_set();
        let deadline = if stopping { DEADLINE_STOPPING } else { DEADLINE };
        if clock.mono().saturating_sub(began) >= deadline {
            return false;
        }
        // A stop must not turn this wait into a busy one.
        if stopping {
            crate::runtime::threads::pause(pause);
        } else {
            stop.wait(pause);
        }
        pause = (pause * 2).min(BEAT_EVERY / 5);
    }
    worker.join_within(&clock, DEADLINE)
}
