//! A plan with its memory: goes through the levels, alone or with a team.
//!
//! Belongs here: who may touch which memory when, and how long layers take. Does not: what layers do (see `layer`).

#![allow(unsafe_code, reason = "threads write different parts of one arena")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::expr::Slot;
use super::kernel::{Aligned, Kernel};
use super::layer::Memory;
use super::plan::{Plan, Task, Work};
use super::team::{Job, Team};

/// A plan, a kernel, an arena and a picture for each slot.
pub(super) struct Machine {
    job: Arc<Frame>,
    team: Team<Frame>,
}

/// One frame's work, shared by the team.
struct Frame {
    plan: Plan,
    kernel: &'static dyn Kernel,
    arena: Memories,
    /// Which picture is worked on.
    slot: AtomicUsize,
}

/// The arena, then a picture for each slot. After they are made they are reached through the pointers alone.
struct Memories {
    bases: Vec<*mut u8>,
    _owners: Vec<Aligned>,
}

// SAFETY: tasks of one level write different bytes and use none that another one writes (`Plan` sees to it; a kernel that rounds a run up may
// load some, and multiplies them by weights of zero), levels follow each other with acquire and release in between (`Team`), and
// between runs only the owner of the `Machine` reaches in, through `&mut`.
unsafe impl Sync for Memories {}
// SAFETY: as above; the memory belongs to no thread.
unsafe impl Send for Memories {}

impl Memories {
    fn new(sizes: impl Iterator<Item = usize>) -> Self {
        let mut owners: Vec<Aligned> = sizes.map(Aligned::zeroed).collect();
        Self { bases: owners.iter_mut().map(Aligned::as_mut_ptr).collect(), _owners: owners }
    }

    fn base(&self, i: usize) -> *mut u8 {
        self.bases[i]
    }
}

impl Frame {
    fn memory(&self) -> Memory<'_> {
        let image = self.arena.base(1 + self.slot.load(Ordering::Relaxed));
        Memory { places: &self.plan.places, arena: self.arena.base(0), image }
    }

    fn work(&self, task: Task) {
        let memory = self.memory();
        match task.work {
            // SAFETY: the arena was made for this plan; see `Memories` for who else is about.
            Work::Layer(layer) => unsafe { self.plan.layers[layer].perform(self.kernel, memory, task) },
            // SAFETY: as above; the border belongs to this task.
            Work::Border(buffer) => unsafe { fill_border(memory, buffer) },
        }
    }
}

impl Job for Frame {
    fn tasks(&self, level: usize) -> usize {
        self.plan.levels[level].len()
    }

    fn levels(&self) -> usize {
        self.plan.levels.len()
    }

    fn perform(&self, level: usize, task: usize) {
        self.work(self.plan.levels[level][task]);
    }
}

/// Writes a buffer's zero point around its pixels.
unsafe fn fill_border(memory: Memory<'_>, buffer: usize) {
    let place = &memory.places[buffer];
    let (row, all, zero) = (place.row_bytes(), place.bytes(), place.buffer.quant.zero);
    let (edge, rows) = (place.buffer.border * place.pixel_bytes(), place.buffer.border * row);
    let base = memory.base(buffer);
    // SAFETY: all ranges lie within the buffer.
    unsafe {
        std::ptr::write_bytes(base, zero, rows + edge);
        for y in place.buffer.border..place.buffer.border + place.buffer.chw[1] {
            // The right edge of a row and the left edge of the next one lie together.
            std::ptr::write_bytes(base.add((y + 1) * row - edge), zero, 2 * edge);
        }
        std::ptr::write_bytes(base.add(all - rows), zero, rows);
    }
}

impl Machine {
    pub(super) fn new(plan: Plan, kernel: &'static dyn Kernel, slots: usize, threads: usize) -> std::io::Result<Self> {
        let image = plan.places[plan.image.buffer].bytes() + 64;
        let sizes = std::iter::once(plan.arena_bytes + 64).chain(std::iter::repeat_n(image, slots));
        let arena = Memories::new(sizes);
        let job = Arc::new(Frame { plan, kernel, arena, slot: AtomicUsize::new(0) });
        for slot in 0..slots {
            job.slot.store(slot, Ordering::Relaxed);
            // SAFETY: nobody else has the memory yet.
            unsafe { fill_border(job.memory(), job.plan.image.buffer) };
        }
        let team = Team::new(Arc::clone(&job), threads)?;
        Ok(Self { job, team })
    }

    /// Runs the plan on the picture of one slot.
    pub(super) fn run(&mut self, slot: usize) {
        self.job.slot.store(slot, Ordering::SeqCst);
        self.team.run();
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.job.plan
    }

    pub(super) fn kernel(&self) -> &'static dyn Kernel {
        self.job.kernel
    }

    /// Leaves out the blocks of output channels that write nothing but unwanted classes into `slots`; None computes all again.
    pub(super) fn leave_out(&mut self, slots: &[Slot], wanted: Option<&[bool]>) {
        for layer in &self.job.plan.layers {
            layer.leave_out(slots, wanted);
        }
    }

    /// The picture of a slot: its bytes from the pixel (0, 0) to the last row's end, and the bytes of a row and of a pixel.
    pub(super) fn image(&mut self, slot: usize) -> (&mut [u8], usize, usize) {
        let plan = &self.job.plan;
        let place = &plan.places[plan.image.buffer];
        let first = place.inner(0);
        let len = place.bytes() - first;
        // SAFETY: `&mut self` and no run under way, so nobody else reaches the picture.
        let codes = unsafe { std::slice::from_raw_parts_mut(self.job.arena.base(1 + slot).add(first), len) };
        (codes, place.row_bytes(), place.pixel_bytes())
    }

    /// Height and width of a slot.
    pub(super) fn hw(&self, slot: Slot) -> [usize; 2] {
        let [_, h, w] = self.job.plan.places[slot.buffer].buffer.chw;
        [h, w]
    }

    /// The codes of one row of a slot of a buffer after a run, pixel after pixel, and the bytes of a pixel.
    pub(super) fn row(&self, slot: Slot, y: usize) -> (&[u8], usize) {
        let place = &self.job.plan.places[slot.buffer];
        let pixels = place.buffer.chw[2];
        let at = place.inner(slot.first) + y * place.row_bytes();
        let len = (pixels - 1) * place.pixel_bytes() + slot.channels;
        // SAFETY: no run is under way while `&self` is out, since a run takes `&mut self`; the row lies within the buffer.
        let codes = unsafe { std::slice::from_raw_parts(self.job.memory().base(slot.buffer).add(at), len) };
        (codes, place.pixel_bytes())
    }

    /// How long each layer takes alone, the median of some runs; with one thread.
    pub(super) fn profile(&mut self, runs: usize, mut now: impl FnMut() -> Duration) -> Vec<Duration> {
        let layers = self.job.plan.layers.len();
        let mut took = vec![Vec::with_capacity(runs); layers];
        for _ in 0..runs {
            for level in &self.job.plan.levels {
                for &task in level {
                    let begun = now();
                    self.job.work(task);
                    if let Work::Layer(layer) = task.work {
                        took[layer].push(now().saturating_sub(begun));
                    }
                }
            }
        }
        took.into_iter()
            .map(|mut t| {
                let per_run = t.len() / runs.max(1);
                let mut sums: Vec<Duration> = t.chunks_mut(per_run.max(1)).map(|c| c.iter().sum()).collect();
                sums.sort_unstable();
                sums.get(sums.len() / 2).copied().unwrap_or_default()
            })
            .collect()
    }
}
