//! A stream: work that a GPU does in order, beside other streams. It is waited for with pauses, and never for ever.

#![allow(unsafe_code, reason = "calls into the driver")]

use std::ffi::{c_int, c_uint, c_void};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::driver::Handle;
use super::memory::{DeviceBuffer, PinnedBuffer};
use super::{Device, Failure};
use crate::runtime::Clock;
use crate::runtime::threads::pause;

/// Streams that do not wait for the default one.
const NON_BLOCKING: c_uint = 1;
/// Events without a time stamp, which are cheaper to record and to ask.
const DISABLE_TIMING: c_uint = 2;
const NOT_READY: c_int = 600;

/// The first pause between two looks; it doubles until [`LONGEST_PAUSE`]. The driver's own waiting would either take a whole core or
/// could not be ended when the GPU hangs.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_micros(200);

/// An order of work on one GPU. Dropped while work is under way, it lets that work finish.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Stream {
    pub(super) device: Arc<Device>,
    pub(super) raw: Handle,
    /// Recorded behind the work that [`Stream::wait`] waits for.
    reached: Handle,
}

impl Stream {
    /// A stream beside all others.
    ///
    /// # Errors
    /// When the driver has none to give.
    pub(in crate::infer::tensorrt) fn new(device: &Arc<Device>) -> Result<Self, Failure> {
        let mut stream = Self { device: Arc::clone(device), raw: Handle::NULL, reached: Handle::NULL };
        // SAFETY: the pointer leads to a handle of ours, which `drop` gives back.
        device.call("cuStreamCreate", |f| unsafe { (f.stream_create)(&mut stream.raw.0, NON_BLOCKING) })?;
        // SAFETY: as above; `drop` leaves out what was not made.
        device.call("cuEventCreate", |f| unsafe { (f.event_create)(&mut stream.reached.0, DISABLE_TIMING) })?;
        Ok(stream)
    }

    /// The driver's handle, for TensorRT.
    pub(in crate::infer::tensorrt) fn raw(&self) -> *mut c_void {
        self.raw.0
    }

    /// The GPU.
    #[cfg(test)]
    pub(in crate::infer::tensorrt) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Waits until all that was enqueued before is done.
    ///
    /// # Errors
    /// What went wrong on the GPU meanwhile. [`Failure::Hung`] past the deadline; the device counts as lost then, since the work may
    /// still write to memory that would otherwise be given back.
    pub(in crate::infer::tensorrt) fn wait(&self, deadline: Duration, clock: &Clock) -> Result<(), Failure> {
        let (reached, raw) = (self.reached.0, self.raw.0);
        // SAFETY: both handles are this stream's own.
        self.device.call("cuEventRecord", |f| unsafe { (f.event_record)(reached, raw) })?;
        let begun = clock.mono();
        let mut rest = SHORTEST_PAUSE;
        loop {
            let mut code = 0;
            self.device.call("cuEventQuery", |f| {
                // SAFETY: the event is this stream's own.
                code = unsafe { (f.event_query)(reached) };
                if code == NOT_READY { 0 } else { code }
            })?;
            if code == 0 {
                return Ok(());
            }
            let waited = clock.mono().saturating_sub(begun);
            if waited >= deadline {
                self.device.set_lost();
                return Err(Failure::Hung { waited_ms: waited.as_millis() });
            }
            pause(rest);
            rest = (rest * 2).min(LONGEST_PAUSE);
        }
    }

    /// Enqueues a copy to the GPU. The pinned bytes stay as they are until the stream was waited for.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    ///
    /// # Panics
    /// When a range does not lie within its buffer.
    pub(in crate::infer::tensorrt) fn copy_to_device(
        &self,
        from: &PinnedBuffer,
        from_range: Range<usize>,
        to: &DeviceBuffer,
        to_offset: usize,
    ) -> Result<(), Failure> {
        let bytes = &from.bytes()[from_range];
        assert!(to_offset <= to.len() && bytes.len() <= to.len() - to_offset, "the copy ends within the buffer");
        // SAFETY: both ranges lie within their buffers, as was just checked.
        unsafe { self.enqueue_to_device(bytes, to.address() + to_offset as u64) }
    }

    /// Enqueues a copy from the GPU. The pinned bytes are read after the stream was waited for.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    ///
    /// # Panics
    /// When a range does not lie within its buffer.
    #[cfg(test)]
    pub(in crate::infer::tensorrt) fn copy_to_host(
        &self,
        from: &DeviceBuffer,
        from_range: Range<usize>,
        to: &mut PinnedBuffer,
        to_offset: usize,
    ) -> Result<(), Failure> {
        assert!(from_range.start <= from_range.end && from_range.end <= from.len(), "the copy lies within the buffer");
        let bytes = &mut to.bytes_mut()[to_offset..][..from_range.len()];
        // SAFETY: both ranges lie within their buffers, as was just checked.
        unsafe { self.enqueue_to_host(from.address() + from_range.start as u64, bytes) }
    }

    /// # Safety
    /// `to` has room for the bytes.
    pub(super) unsafe fn enqueue_to_device(&self, bytes: &[u8], to: u64) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.device.call("cuMemcpyHtoDAsync", |f| {
            // SAFETY: the caller vouches for the target, the slice for the source. Memory that goes away before the copy is done is
            // waited for by the driver when it is freed.
            unsafe { (f.memcpy_htod_async)(to, bytes.as_ptr().cast(), bytes.len(), self.raw.0) }
        })
    }

    /// # Safety
    /// `from` holds as many bytes as the slice.
    pub(super) unsafe fn enqueue_to_host(&self, from: u64, bytes: &mut [u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.device.call("cuMemcpyDtoHAsync", |f| {
            // SAFETY: as in `enqueue_to_device`.
            unsafe { (f.memcpy_dtoh_async)(bytes.as_mut_ptr().cast(), from, bytes.len(), self.raw.0) }
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (raw, reached) = (self.raw, self.reached);
        if reached != Handle::NULL {
            // SAFETY: made by `new`, destroyed once.
            self.device.discard("cuEventDestroy", |f| unsafe { (f.event_destroy)(reached.0) });
        }
        if raw != Handle::NULL {
            // SAFETY: made by `new`, destroyed once; the driver lets what is enqueued finish first.
            self.device.discard("cuStreamDestroy", |f| unsafe { (f.stream_destroy)(raw.0) });
        }
    }
}
