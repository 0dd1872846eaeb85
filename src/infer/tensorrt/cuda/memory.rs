//! Memory: the GPU's own, the processor's where the GPU can reach it, and a pair of both that copies only where that is needed.

#![allow(unsafe_code, reason = "calls into the driver; memory that Rust did not allocate")]

use std::ffi::c_uint;
use std::sync::Arc;
use std::time::Duration;

use super::driver::Handle;
use super::{Device, Failure, Stream};
use crate::runtime::Clock;

/// Every context may use it (1), and the GPU has an address for it (2).
const PORTABLE_AND_MAPPED: c_uint = 1 | 2;
/// What stands before a copy from or to pageable memory is some drawing, or was waited for by whoever enqueued it.
const DRAINED_WITHIN: Duration = Duration::from_secs(3);

/// Memory of the GPU.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct DeviceBuffer {
    device: Arc<Device>,
    address: u64,
    bytes: usize,
}

impl DeviceBuffer {
    /// So many bytes, of any content; none at all counts as one.
    ///
    /// # Errors
    /// When there is not so much left.
    pub(in crate::infer::tensorrt) fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, Failure> {
        let mut address = 0;
        // SAFETY: the pointer leads to an address of ours; `drop` gives the memory back.
        device.call("cuMemAlloc", |f| unsafe { (f.mem_alloc)(&mut address, bytes.max(1)) })?;
        Ok(Self { device: Arc::clone(device), address, bytes })
    }

    /// Where it lies, for kernels and TensorRT.
    pub(in crate::infer::tensorrt) fn address(&self) -> u64 {
        self.address
    }

    /// How many bytes.
    pub(in crate::infer::tensorrt) fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        let address = self.address;
        // SAFETY: allocated by `new`, freed once; the driver waits for work that uses it.
        self.device.discard("cuMemFree", |f| unsafe { (f.mem_free)(address) });
    }
}

/// Memory of the processor that stays where it is, so that the GPU can copy from it by itself, or use it in place.
///
/// Between enqueueing work that names it and [`Stream::wait`] nobody looks at it: Rust does not know that the GPU does.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct PinnedBuffer {
    device: Arc<Device>,
    host: Handle,
    address: u64,
    bytes: usize,
}

impl PinnedBuffer {
    /// So many bytes, all 0.
    ///
    /// # Errors
    /// When there is not so much left.
    pub(in crate::infer::tensorrt) fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, Failure> {
        let mut host = Handle::NULL;
        device.call("cuMemHostAlloc", |f| {
            // SAFETY: the pointer leads to one of ours; `drop` gives the memory back.
            unsafe { (f.mem_host_alloc)(&mut host.0, bytes.max(1), PORTABLE_AND_MAPPED) }
        })?;
        // SAFETY: so many bytes were just allocated; as zeros they are initialised for every slice made of them.
        unsafe { host.0.cast::<u8>().write_bytes(0, bytes) };
        let mut buffer = Self { device: Arc::clone(device), host, address: 0, bytes };
        device.call("cuMemHostGetDevicePointer", |f| {
            // SAFETY: the memory is mapped, as was asked for.
            unsafe { (f.mem_host_get_device_pointer)(&mut buffer.address, host.0, 0) }
        })?;
        Ok(buffer)
    }

    /// The bytes.
    pub(in crate::infer::tensorrt) fn bytes(&self) -> &[u8] {
        // SAFETY: allocated with this length, initialised, freed by `drop` only; the type's contract keeps the GPU away meanwhile.
        unsafe { std::slice::from_raw_parts(self.host.0.cast(), self.bytes) }
    }

    /// The bytes, to be written.
    pub(in crate::infer::tensorrt) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.host.0.cast(), self.bytes) }
    }

    /// As many floats as there are.
    #[cfg(test)]
    pub(in crate::infer::tensorrt) fn floats(&self) -> &[f32] {
        floats(self.bytes())
    }

    /// As many floats as there are, to be written.
    pub(in crate::infer::tensorrt) fn floats_mut(&mut self) -> &mut [f32] {
        floats_mut(self.bytes_mut())
    }

    /// Where the GPU finds it.
    pub(in crate::infer::tensorrt) fn device_address(&self) -> u64 {
        self.address
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        let host = self.host;
        // SAFETY: allocated by `new`, freed once; the driver waits for work that uses it.
        self.device.discard("cuMemFreeHost", |f| unsafe { (f.mem_free_host)(host.0) });
    }
}

/// Which way a [`Transfer`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infer::tensorrt) enum Direction {
    /// The processor writes, the GPU reads.
    ToDevice,
    /// The GPU writes, the processor reads.
    ToHost,
}

/// Memory that both sides see, by the way that is best on this GPU: in place where they share memory, else copied.
/// The contract of [`PinnedBuffer`] holds.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Transfer {
    host: Host,
    /// None where the GPU uses the host's side in place.
    on_device: Option<DeviceBuffer>,
    direction: Direction,
}

#[derive(Debug)]
enum Host {
    Pinned(PinnedBuffer),
    /// Where pinned memory is uncached: the driver copies from here by itself. Boards like that have no graphs, which could not
    /// record such a copy. Words, so that floats lie where they may.
    Pageable(Vec<u64>, usize),
}

impl Transfer {
    /// So many bytes on both sides; the host's are 0.
    ///
    /// # Errors
    /// When there is not so much left.
    pub(in crate::infer::tensorrt) fn new(
        device: &Arc<Device>,
        bytes: usize,
        direction: Direction,
    ) -> Result<Self, Failure> {
        let host = match device.pins_uncached() && !device.has_graphs() {
            true => Host::Pageable(vec![0; bytes.div_ceil(size_of::<u64>())], bytes),
            false => Host::Pinned(PinnedBuffer::new(device, bytes)?),
        };
        let on_device = if device.is_zero_copy() { None } else { Some(DeviceBuffer::new(device, bytes)?) };
        Ok(Self { host, on_device, direction })
    }

    /// How many bytes.
    pub(in crate::infer::tensorrt) fn len(&self) -> usize {
        match &self.host {
            Host::Pinned(pinned) => pinned.bytes,
            Host::Pageable(_, bytes) => *bytes,
        }
    }

    /// Whether the GPU uses the host's side in place.
    #[cfg(test)]
    pub(in crate::infer::tensorrt) fn is_zero_copy(&self) -> bool {
        self.on_device.is_none()
    }

    /// The host's side.
    pub(in crate::infer::tensorrt) fn bytes(&self) -> &[u8] {
        match &self.host {
            Host::Pinned(pinned) => pinned.bytes(),
            // SAFETY: as many bytes as words were allocated for, and every word is eight initialised bytes.
            Host::Pageable(words, bytes) => unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), *bytes) },
        }
    }

    /// The host's side, to be written.
    pub(in crate::infer::tensorrt) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.host {
            Host::Pinned(pinned) => pinned.bytes_mut(),
            // SAFETY: as in `bytes`, and borrowed by nobody else.
            Host::Pageable(words, bytes) => unsafe {
                std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), *bytes)
            },
        }
    }

    /// The host's side as floats.
    pub(in crate::infer::tensorrt) fn floats(&self) -> &[f32] {
        floats(self.bytes())
    }

    /// The host's side as floats, to be written.
    pub(in crate::infer::tensorrt) fn floats_mut(&mut self) -> &mut [f32] {
        floats_mut(self.bytes_mut())
    }

    /// The GPU's side.
    pub(in crate::infer::tensorrt) fn device_address(&self) -> u64 {
        match (&self.on_device, &self.host) {
            (Some(buffer), _) => buffer.address(),
            (None, Host::Pinned(pinned)) => pinned.device_address(),
            (None, Host::Pageable(..)) => unreachable!("pageable memory has a side on the GPU"),
        }
    }

    /// Whether the driver copies by itself, and then only when all is done that was enqueued before: no more is to be enqueued with it.
    pub(in crate::infer::tensorrt) fn is_pageable(&self) -> bool {
        matches!(self.host, Host::Pageable(..))
    }

    /// Enqueues what brings all bytes over; nothing where the GPU uses them in place.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    pub(in crate::infer::tensorrt) fn enqueue(&mut self, stream: &Stream) -> Result<(), Failure> {
        self.enqueue_first(stream, self.len())
    }

    /// As [`Transfer::enqueue`], for the first so many bytes.
    ///
    /// # Errors
    /// As [`Transfer::enqueue`].
    ///
    /// # Panics
    /// When there are not so many.
    pub(in crate::infer::tensorrt) fn enqueue_first(&mut self, stream: &Stream, bytes: usize) -> Result<(), Failure> {
        let Some(address) = self.on_device.as_ref().map(DeviceBuffer::address) else { return Ok(()) };
        if self.is_pageable() && bytes > 0 {
            // The driver would wait for it without a deadline, and a GPU that hangs would never be given up.
            stream.wait(DRAINED_WITHIN, &Clock::start())?;
        }
        match self.direction {
            // SAFETY: the GPU's side is as long as the host's, which the slice was checked against.
            Direction::ToDevice => unsafe { stream.enqueue_to_device(&self.bytes()[..bytes], address) },
            // SAFETY: as above.
            Direction::ToHost => unsafe { stream.enqueue_to_host(address, &mut self.bytes_mut()[..bytes]) },
        }
    }
}

/// Every four bytes are a float of some value; memory from the driver and from words begins where a float may lie.
fn floats(bytes: &[u8]) -> &[f32] {
    let count = bytes.len() / size_of::<f32>();
    assert!(bytes.as_ptr().cast::<f32>().is_aligned(), "buffers begin at a multiple of 8");
    // SAFETY: so many floats lie within the slice, aligned; any bits are a float.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) }
}

fn floats_mut(bytes: &mut [u8]) -> &mut [f32] {
    let count = bytes.len() / size_of::<f32>();
    assert!(bytes.as_ptr().cast::<f32>().is_aligned(), "buffers begin at a multiple of 8");
    // SAFETY: as in `floats`, and borrowed by nobody else.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), count) }
}
