//! What moves codes without products: tables, picks, pools, means.
//!
//! Belongs here: one task of each, pixel by pixel. Does not: convolutions (see `layer`), which codes are moved where (see `build`).

#![allow(unsafe_code, reason = "threads write different parts of one arena")]

use super::expr::{Pick, Slot, Window};
use super::kernel;
use super::layer::Memory;
use super::plan::Task;

/// Row and column of every pixel of a task.
pub(super) fn pixels(task: Task) -> impl Iterator<Item = (usize, usize)> {
    (task.rows.0..task.rows.1).flat_map(move |row| (task.columns.0..task.columns.1).map(move |col| (row, col)))
}

/// Takes picked pixels through tables, one for all channels or one for each.
pub(super) unsafe fn copy(
    memory: Memory<'_>,
    (from, to): (Slot, Slot),
    (y, x): (Pick, Pick),
    tables: &[[u8; 256]],
    task: Task,
) {
    let (pixel, out_pixel) = (memory.step(from), memory.step(to));
    for row in task.rows.0..task.rows.1 {
        let line = memory.at(from, y.of(row) as isize, 0).cast_const();
        let mut out = memory.at(to, row as isize, task.columns.0 as isize);
        for col in task.columns.0..task.columns.1 {
            // SAFETY: both pixels are in their buffers; the caller promised that nobody else writes them.
            let (codes, found) = unsafe {
                let codes = std::slice::from_raw_parts(line.add(x.of(col) * pixel), from.channels);
                (codes, std::slice::from_raw_parts_mut(out, to.channels))
            };
            match tables {
                [] if codes.len() < 16 => found.iter_mut().zip(codes).for_each(|(o, &c)| *o = c),
                [] => found.copy_from_slice(codes),
                [table] => kernel::translate(codes, table, found),
                tables => found.iter_mut().zip(codes).zip(tables).for_each(|((o, &c), t)| *o = t[usize::from(c)]),
            }
            out = out.wrapping_add(out_pixel);
        }
    }
}

/// The greatest code of each channel in one window; what lies beyond the picture does not count.
pub(super) unsafe fn pool(
    memory: Memory<'_>,
    from: Slot,
    window: Window,
    in_hw: [usize; 2],
    at: (usize, usize),
    out: &mut [u8],
) {
    /// Taps that are looked at together; a larger window takes several turns.
    const TOGETHER: usize = 32;
    let within = |i: usize, at: usize, len: usize| {
        let begin = at * window.stride[i];
        (0..window.size[i])
            .map(move |tap| (begin + tap * window.dilation[i]).wrapping_sub(window.pad[i]))
            .filter(move |&n| n < len)
    };
    out.fill(0);
    let (mut taps, mut used) = ([std::ptr::null(); TOGETHER], 0);
    for row in within(0, at.0, in_hw[0]) {
        for col in within(1, at.1, in_hw[1]) {
            taps[used] = memory.at(from, row as isize, col as isize).cast_const();
            used += 1;
            if used == TOGETHER {
                // SAFETY: the pixels are within the picture; the caller promised that nobody writes them.
                unsafe { kernel::raise(&taps, out) };
                used = 0;
            }
        }
    }
    // SAFETY: as above.
    unsafe { kernel::raise(&taps[..used], out) };
}

pub(super) unsafe fn average(memory: Memory<'_>, from: Slot, to: Slot, factor: f32, in_hw: [usize; 2]) {
    /// Channels that are summed together.
    const CHUNK: usize = 64;
    let zeros = |slot: Slot| i32::from(memory.places[slot.buffer].buffer.quant.zero);
    let code = |sum: i32| (sum as f32 * factor).round_ties_even() as i32;
    // SAFETY: the one pixel of the output, which is this task's.
    let out = unsafe { memory.pixel_mut(to, 0, 0) };
    for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
        let mut sums = [0i32; CHUNK];
        for (row, col) in (0..in_hw[0]).flat_map(|row| (0..in_hw[1]).map(move |col| (row, col))) {
            // SAFETY: the pixel is within the picture; the caller promised that nobody writes it.
            let codes = unsafe { memory.pixel(from.part(chunk * CHUNK, out.len()), row, col) };
            sums.iter_mut().zip(codes).for_each(|(s, &c)| *s += i32::from(c) - zeros(from));
        }
        out.iter_mut().zip(sums).for_each(|(o, s)| *o = code(s).saturating_add(zeros(to)).clamp(0, 255) as u8);
    }
}
