//! A fixed team of threads that goes through the levels of a plan together.
//!
//! Belongs here: handing out tasks, waiting, parking. Does not: what a task is (the caller brings a [`Job`]).
//!
//! Nobody waits for a thread, only for tasks: a worker that the system has put aside takes none, and the others go on without it. Whoever
//! finishes the last task of a level opens the next one. Who finds nothing to do spins for some microseconds, then parks: the chip is shared
//! with decoders, and a thread that spins for long takes a core from the one that it waits for.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use crate::runtime::Worker;

/// Turns of spinning before a thread parks: a few tens of microseconds.
const SPINS: u32 = 4000;
/// Threads of one team at most: their parking places are the bits of one word.
pub(super) const MAX_THREADS: usize = 32;

/// What a team does: task number `task` of level `level`.
pub(super) trait Job: Send + Sync {
    /// How many tasks a level has.
    fn tasks(&self, level: usize) -> usize;
    /// How many levels there are.
    fn levels(&self) -> usize;
    /// Does one task.
    fn perform(&self, level: usize, task: usize);
}

/// Threads that wait for work, with the one that calls [`Team::run`].
pub(super) struct Team<J: Job + 'static> {
    shared: Arc<Shared<J>>,
    workers: Vec<Worker>,
}

struct Shared<J> {
    job: Arc<J>,
    /// Which level is open (the upper half, counted over all runs) and its next task (the lower half).
    cursor: AtomicU64,
    /// Tasks of the open level that are done.
    done: AtomicU32,
    /// The count of levels at which the present run began.
    begun: AtomicU32,
    /// Who is parked, a bit for each; the caller is bit 0.
    parked: AtomicU32,
    threads: Mutex<Vec<Option<Thread>>>,
    is_over: AtomicBool,
}

/// The lower half of the cursor between two runs: more tasks than a level can have.
const CLOSED: u32 = u32::MAX;

fn cursor(level: u32, task: u32) -> u64 {
    u64::from(level) << 32 | u64::from(task)
}

impl<J: Job> Team<J> {
    /// A team of `threads`, the caller included.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn new(job: Arc<J>, threads: usize) -> std::io::Result<Self> {
        let threads = threads.clamp(1, MAX_THREADS);
        let shared = Arc::new(Shared {
            job,
            cursor: AtomicU64::new(cursor(0, CLOSED)),
            done: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            threads: Mutex::new(vec![None; threads]),
            is_over: AtomicBool::new(false),
        });
        let mut team = Self { shared: Arc::clone(&shared), workers: Vec::new() };
        for seat in 1..threads {
            let shared = Arc::clone(&shared);
            let worker = Worker::spawn(&format!("int8-{seat}"), move || shared.work(seat))?;
            shared_threads(&team.shared)[seat] = Some(worker.thread().clone());
            team.workers.push(worker);
        }
        Ok(team)
    }

    /// Does the whole job; returns when every task is done.
    pub(super) fn run(&mut self) {
        let (job, shared) = (&self.shared.job, &self.shared);
        if self.workers.is_empty() {
            for level in 0..job.levels() {
                (0..job.tasks(level)).for_each(|task| job.perform(level, task));
            }
            return;
        }
        shared_threads(shared)[0] = Some(std::thread::current());
        let begun = (shared.cursor.load(Ordering::SeqCst) >> 32) as u32;
        shared.begun.store(begun, Ordering::SeqCst);
        shared.done.store(0, Ordering::SeqCst);
        shared.open(begun);
        let over = begun.wrapping_add(job.levels() as u32);
        shared.take_until(0, || (shared.cursor.load(Ordering::SeqCst) >> 32) as u32 == over);
    }
}

fn shared_threads<J>(shared: &Shared<J>) -> std::sync::MutexGuard<'_, Vec<Option<Thread>>> {
    shared.threads.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J: Job> Shared<J> {
    /// Opens a level, or closes the run when there is no further one, and wakes who is parked.
    fn open(&self, level: u32) {
        let is_last = level.wrapping_sub(self.begun.load(Ordering::SeqCst)) as usize >= self.job.levels();
        self.cursor.store(cursor(level, if is_last { CLOSED } else { 0 }), Ordering::SeqCst);
        // Who parks sets its bit first and looks at the cursor then, so that one of both sees the other.
        let mut parked = self.parked.load(Ordering::SeqCst);
        // At the end only the caller has something to do.
        parked &= if is_last { 1 } else { u32::MAX };
        if parked != 0 {
            parked &= self.parked.fetch_and(!parked, Ordering::SeqCst);
            for (seat, thread) in shared_threads(self).iter().enumerate() {
                if let (true, Some(thread)) = (parked >> seat & 1 == 1, thread) {
                    thread.unpark();
                }
            }
        }
    }

    fn work(&self, seat: usize) {
        self.take_until(seat, || self.is_over.load(Ordering::SeqCst));
    }

    /// Takes tasks while there are any; waits when there are none.
    fn take_until(&self, seat: usize, is_over: impl Fn() -> bool) {
        let mut idle = 0;
        while !is_over() {
            if self.take() {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle < SPINS {
                std::hint::spin_loop();
                continue;
            }
            idle = 0;
            let seen = self.cursor.load(Ordering::SeqCst);
            self.parked.fetch_or(1 << seat, Ordering::SeqCst);
            let has_moved = self.cursor.load(Ordering::SeqCst) != seen || self.is_open();
            if !has_moved && !is_over() {
                std::thread::park();
            }
            self.parked.fetch_and(!(1 << seat), Ordering::SeqCst);
        }
    }

    /// Whether a task can be had now.
    fn is_open(&self) -> bool {
        let now = self.cursor.load(Ordering::SeqCst);
        let level = ((now >> 32) as u32).wrapping_sub(self.begun.load(Ordering::SeqCst)) as usize;
        now as u32 != CLOSED && level < self.job.levels() && (now as u32 as usize) < self.job.tasks(level)
    }

    /// Takes and does one task, if there is one.
    fn take(&self) -> bool {
        let now = self.cursor.load(Ordering::SeqCst);
        let (count, task) = ((now >> 32) as u32, now as u32);
        let level = count.wrapping_sub(self.begun.load(Ordering::SeqCst)) as usize;
        // What was just read may be of two runs; then the exchange below fails, since no count of levels comes twice.
        if task == CLOSED || level >= self.job.levels() || task as usize >= self.job.tasks(level) {
            return false;
        }
        if self.cursor.compare_exchange(now, now + 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return true;
        }
        let bomb = Bomb;
        self.job.perform(level, task as usize);
        std::mem::forget(bomb);
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.job.tasks(level) as u32 {
            self.done.store(0, Ordering::SeqCst);
            self.open(count.wrapping_add(1));
        }
        true
    }
}

impl<J: Job> Drop for Team<J> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // One that panicked has said so; there is nothing to add.
            worker.join();
        }
    }
}

/// A task that panics leaves a frame half done and the others waiting for it; no error could be told apart from a wrong answer then. Tasks
/// do not panic; should one, the process ends at once, and whoever supervises it starts it again.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Every task checks that all of the level before are done.
    struct Stairs {
        widths: Vec<usize>,
        done: Vec<AtomicUsize>,
    }

    impl Job for Stairs {
        fn tasks(&self, level: usize) -> usize {
            self.widths[level]
        }
        fn levels(&self) -> usize {
            self.widths.len()
        }
        fn perform(&self, level: usize, _task: usize) {
            if let Some(before) = level.checked_sub(1) {
                assert_eq!(
                    self.done[before].load(Ordering::SeqCst) % self.widths[before],
                    0,
                    "level {level} began too early"
                );
            }
            self.done[level].fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn every_task_is_done_once_a_run_and_levels_follow_each_other() {
        const RUNS: usize = 300;
        for threads in [1, 2, 3, 8] {
            let widths = vec![1, 7, 2, 16, 1, 3];
            let done = widths.iter().map(|_| AtomicUsize::new(0)).collect();
            let job = Arc::new(Stairs { widths, done });
            let mut team = Team::new(Arc::clone(&job), threads).expect("threads");
            for _ in 0..RUNS {
                team.run();
            }
            for (width, done) in job.widths.iter().zip(&job.done) {
                assert_eq!(done.load(Ordering::SeqCst), width * RUNS, "{threads} threads");
            }
        }
    }
}
