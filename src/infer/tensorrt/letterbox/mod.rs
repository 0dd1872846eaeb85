//! Letterbox and crop on the GPU: planes are copied once, or read where a decoder wrote them (`surface`), and a kernel draws them into a
//! model's input, to the last bit as `pixels` does.
//!
//! Belongs here: the kernel, what it is told, its staging memory. Does not: where a pixel lies and what colour it is (see `pixels`).

#![allow(unsafe_code, reason = "starts a kernel; its arguments are checked here")]

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::{Device, DeviceBuffer, Direction, Function, Module, Stream, Transfer};
use super::failure::Failure;
use crate::infer::InferError;
use crate::pixels::sampling::{Column, Cut, Factors, Geometry, Row};
use crate::pixels::{ChannelOrder, Drawing};
use crate::types::{ImageView, PixelFormat};

mod surface;
#[cfg(test)]
mod gpu_tests;
#[cfg(test)]
mod tests;

/// The kernel as text that every driver compiles for its GPU; made of letterbox.cu by scripts/make-ptx.sh.
pub(super) const PTX: &str = include_str!("letterbox.ptx");

/// Output pixels that one block draws.
const BLOCK: [u32; 2] = [32, 8];
/// Where planes and tables begin within their memory: at whole lines of the GPU's cache.
const ALIGN_BYTES: usize = 128;
/// A column or a row of the tables.
const ENTRY_BYTES: usize = 8;

/// What the kernel is told; `struct Job` of letterbox.cu, field by field.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
struct Job {
    planes: [u64; 3],
    columns: [u64; 2],
    rows: [u64; 2],
    out: u64,
    /// Bytes from one row of a plane to the next.
    strides: [u32; 3],
    /// The last column and row of each grid.
    last_column: [u32; 2],
    last_row: [u32; 2],
    width: u32,
    height: u32,
    inner: [u32; 4],
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
    scale: [f32; 3],
    offset: [f32; 3],
    pad: [f32; 3],
    is_bgr: u32,
}

const _: () = assert!(size_of::<Job>() == 184, "as letterbox.cu has it");

/// Tells drawings apart that one recording does not serve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kind {
    job: Option<(PixelFormat, Job)>,
    /// The host's side of the memory has moved so often.
    moves: u64,
}

/// Draws the pictures of one slot, whose staging memory it has. A slot's stream is waited for before the next picture is prepared.
#[derive(Debug)]
pub(super) struct Painter {
    device: Arc<Device>,
    /// For each format: NV12, I420, RGB.
    kernels: [Function; 3],
    geometry: Option<Geometry>,
    cuts: Vec<Cut>,
    /// The planes' parts, one after the other.
    planes: Transfer,
    /// Columns and rows of the full grid, then of the half one.
    tables: Transfer,
    tables_bytes: usize,
    /// How often planes or tables got other memory.
    moves: u64,
    /// Whether the GPU has not seen the tables yet.
    tables_new: bool,
    /// What is to be drawn; None before the first picture.
    job: Option<(PixelFormat, Job)>,
    /// The frame that the job reads where it lies; None when it reads the staging memory.
    held: Option<surface::Held>,
    /// Planes that were copied out of the hardware's own order.
    linear: Option<DeviceBuffer>,
}

impl Painter {
    /// Compiles the kernel, unless another painter on this GPU did.
    ///
    /// # Errors
    /// When the driver does not take it, or there is no memory.
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, Failure> {
        let module = Module::shared(device, PTX)?;
        let function = |name| module.function(name);
        Ok(Self {
            device: Arc::clone(device),
            kernels: [function("letterbox_nv12")?, function("letterbox_i420")?, function("letterbox_rgb")?],
            geometry: None,
            cuts: Vec::new(),
            planes: Transfer::new(device, 0, Direction::ToDevice)?,
            tables: Transfer::new(device, 0, Direction::ToDevice)?,
            tables_bytes: 0,
            moves: 0,
            tables_new: false,
            job: None,
            held: None,
            linear: None,
        })
    }

    /// Takes a picture over: copies what is needed of its planes, and makes the tables when they are others than before.
    ///
    /// # Errors
    /// As [`Drawing::f32_nchw`] into a tensor of this size: the drawing is padding alone then, too. When there is no memory.
    pub(super) fn prepare(&mut self, drawing: &Drawing<'_>, dst_wh: (usize, usize)) -> Result<(), InferError> {
        let failed = |e: Failure| InferError::Run { engine: "tensorrt", reason: e.to_string() };
        let (geometry, answer) = match Geometry::of(drawing, dst_wh) {
            Ok(geometry) => (geometry, Ok(())),
            Err(e) => (Geometry::blank(drawing.view.format, dst_wh), Err(e)),
        };
        // Until all of it is there, nothing of it is drawn.
        self.job = None;
        self.held = None;
        self.settle(&geometry).map_err(failed)?;
        self.stage(drawing.view).map_err(failed)?;
        self.job = Some((geometry.format, self.job(drawing, &geometry, self.staged())));
        answer.map_err(InferError::Pixels)
    }

    /// What a recording of the drawing depends on: a recording of the same kind draws this picture, since it copies pixels and tables
    /// anew.
    pub(super) fn kind(&self) -> Kind {
        Kind { job: self.job, moves: self.moves }
    }

    /// Enqueues the copies and the kernel, which writes 3 × height × width floats, channel after channel, to `to`. May be recorded.
    /// Before the first picture nothing is enqueued.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    pub(super) fn enqueue(&mut self, stream: &Stream, to: u64) -> Result<(), Failure> {
        let Some((format, mut job)) = self.job else { return Ok(()) };
        job.out = to;
        let is_recorded = self.device.has_graphs() && stream.is_capturing()?;
        if self.tables_new || is_recorded {
            self.tables.enqueue_first(stream, self.tables_bytes)?;
            // A recording does not copy now, so what runs outside of it has to copy again; and it is launched for other places of the
            // same size, too, so that it always copies.
            self.tables_new &= is_recorded;
        }
        match &self.held {
            None => self.planes.enqueue_first(stream, extent(&self.cuts).1)?,
            Some(held) => self.enqueue_arrays(stream, held)?,
        }
        let kernel = match format {
            PixelFormat::Nv12 => &self.kernels[0],
            PixelFormat::I420 => &self.kernels[1],
            PixelFormat::Rgb => &self.kernels[2],
        };
        let grid = [job.width.div_ceil(BLOCK[0]), job.height.div_ceil(BLOCK[1]), 1];
        if grid[0] == 0 || grid[1] == 0 {
            return Ok(());
        }
        let mut args = [(&raw mut job).cast::<c_void>()];
        // SAFETY: each kernel takes one Job, by value. Its planes and tables are this painter's memory, or planes of the frame
        // that it holds, and as large as the geometry needs them (`tabulate`, `stage`, `prepare_surface`); every table entry lies within its plane; `to` is the caller's to vouch for.
        unsafe { stream.launch_kernel(kernel, grid, [BLOCK[0], BLOCK[1], 1], &mut args) }
    }

    /// Makes the tables, unless the geometry is that of the picture before.
    fn settle(&mut self, geometry: &Geometry) -> Result<(), Failure> {
        if self.geometry != Some(*geometry) {
            self.geometry = None;
            self.tabulate(geometry)?;
            self.geometry = Some(*geometry);
        }
        Ok(())
    }

    /// Makes the tables of a new geometry.
    fn tabulate(&mut self, geometry: &Geometry) -> Result<(), Failure> {
        let tables = geometry.tables();
        self.cuts = tables.as_ref().map_or_else(Vec::new, |t| t.cuts.clone());
        let grids: Vec<_> = tables.iter().flat_map(|t| [Some(&t.full), t.half.as_ref()]).flatten().collect();
        self.tables_bytes = grids.iter().map(|g| (g.columns.len() + g.rows.len()) * ENTRY_BYTES).sum();
        if self.tables.len() < self.tables_bytes {
            self.tables = Transfer::new(&self.device, self.tables_bytes.next_power_of_two(), Direction::ToDevice)?;
            self.moves += 1;
        }
        let mut entries = self.tables.bytes_mut().as_chunks_mut::<ENTRY_BYTES>().0.iter_mut();
        for grid in grids {
            let columns = grid.columns.iter().map(column_entry);
            let rows = grid.rows.iter().map(row_entry);
            columns.chain(rows).zip(entries.by_ref()).for_each(|(entry, out)| *out = entry);
        }
        self.tables_new = true;
        Ok(())
    }

    /// Copies what is needed of the planes.
    fn stage(&mut self, view: &ImageView<'_>) -> Result<(), Failure> {
        let (begins, bytes) = extent(&self.cuts);
        if self.planes.len() < bytes {
            // Crops of many sizes follow each other; they soon fit.
            self.planes = Transfer::new(&self.device, bytes.next_power_of_two(), Direction::ToDevice)?;
            self.moves += 1;
        }
        let memory = self.planes.bytes_mut();
        for (number, (cut, begin)) in self.cuts.iter().zip(begins).enumerate() {
            cut.copy(view, number, &mut memory[begin..begin + cut.row_bytes() * cut.rows]);
        }
        Ok(())
    }

    /// Where the staged planes' parts begin, and the bytes from one row to the next.
    fn staged(&self) -> [(u64, u32); 3] {
        let (planes, begins) = (self.planes.device_address(), extent(&self.cuts).0);
        let cuts = &self.cuts;
        let at = |n: usize| planes + begins.get(n).map_or(0, |&at| at as u64);
        [0, 1, 2].map(|n| (at(n), cuts.get(n).map_or(0, |c| c.row_bytes() as u32)))
    }

    fn job(&self, drawing: &Drawing<'_>, geometry: &Geometry, planes: [(u64, u32); 3]) -> Job {
        let (view, norm) = (drawing.view, drawing.norm);
        let cut = |n: usize| self.cuts.get(n);
        let [_, _, width, height] = geometry.inner;
        let [full, half] = [0, (width + height) * ENTRY_BYTES].map(|at| self.tables.device_address() + at as u64);
        let below = (width * ENTRY_BYTES) as u64;
        let color = Factors::of(view.matrix, view.range);
        Job {
            planes: planes.map(|(address, _)| address),
            columns: [full, half],
            rows: [full + below, half + below],
            out: 0,
            strides: planes.map(|(_, stride)| stride),
            last_column: [0, 1].map(|n| cut(n).map_or(0, |c| c.columns as u32 - 1)),
            last_row: [0, 1].map(|n| cut(n).map_or(0, |c| c.rows as u32 - 1)),
            width: geometry.dst_wh.0 as u32,
            height: geometry.dst_wh.1 as u32,
            inner: geometry.inner.map(|v| v as u32),
            black: color.black.into(),
            luma: color.luma.into(),
            red_v: color.red_v.into(),
            green_u: color.green_u.into(),
            green_v: color.green_v.into(),
            blue_u: color.blue_u.into(),
            scale: norm.scale,
            offset: norm.offset,
            pad: [0, 1, 2].map(|c| f32::from(norm.pad) * norm.scale[c] + norm.offset[c]),
            is_bgr: (norm.order == ChannelOrder::Bgr).into(),
        }
    }
}

/// Where each plane's part begins in the staging memory, and how long all of them are.
fn extent(cuts: &[Cut]) -> (Vec<usize>, usize) {
    let mut end = 0_usize;
    let begins = cuts.iter().map(|cut| {
        let begin = end.next_multiple_of(ALIGN_BYTES);
        end = begin + cut.row_bytes() * cut.rows;
        begin
    });
    (begins.collect(), end)
}

fn column_entry(column: &Column) -> [u8; ENTRY_BYTES] {
    let ([l0, l1, l2, l3], [left, right]) = (column.left.to_ne_bytes(), column.weights.map(i16::to_ne_bytes));
    [l0, l1, l2, l3, left[0], left[1], right[0], right[1]]
}

fn row_entry(row: &Row) -> [u8; ENTRY_BYTES] {
    let ([t0, t1, t2, t3], [w0, w1, w2, w3]) = (row.top.to_ne_bytes(), i32::from(row.weight).to_ne_bytes());
    [t0, t1, t2, t3, w0, w1, w2, w3]
}
