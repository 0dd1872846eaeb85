//! Recorded work: what a closure enqueues is kept and started again with one call, which saves the processor's time on small boards.

#![allow(unsafe_code, reason = "calls into the driver")]

use std::ffi::c_int;
use std::sync::Arc;

use super::driver::{GraphFunctions, Handle};
use super::{CudaError, Device, Failure, Stream};

/// Other threads may allocate and load meanwhile, as another engine does.
const THREAD_LOCAL: c_int = 1;
/// What a driver without graphs is said to answer: CUDA_ERROR_NOT_SUPPORTED.
const NOT_SUPPORTED: c_int = 801;

/// Work with all its addresses and sizes. The memory that it names has to live as long as it is launched.
#[derive(Debug)]
pub(in crate::infer::tensorrt) struct Graph {
    device: Arc<Device>,
    exec: Handle,
}

impl Stream {
    /// Records what `work` enqueues on this stream, without doing it.
    ///
    /// # Errors
    /// What `work` says; when the driver has no graphs (see [`Device::has_graphs`]), or something that was enqueued cannot be
    /// recorded. The stream is as before then.
    pub(in crate::infer::tensorrt) fn capture(
        &self,
        work: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Graph, Failure> {
        let graphs = self.graphs("cuStreamBeginCapture")?;
        let _entered = self.device.enter()?;
        // SAFETY: the stream is ours and not in a recording: the one below ends in this function.
        let code = unsafe { (graphs.begin_capture)(self.raw.0, THREAD_LOCAL) };
        self.device.judge("cuStreamBeginCapture", code)?;
        let worked = work();
        if self.device.is_lost() {
            worked?;
            return Err(Failure::Lost);
        }
        let mut template = Handle::NULL;
        // SAFETY: ends the recording begun above, whatever became of it.
        let code = unsafe { (graphs.end_capture)(self.raw.0, &mut template.0) };
        let ended = self.device.judge("cuStreamEndCapture", code);
        let made = worked.and_then(|()| {
            ended?;
            let mut graph = Graph { device: Arc::clone(&self.device), exec: Handle::NULL };
            // SAFETY: the template is what the recording gave; the result is destroyed by `Graph`.
            let code = unsafe { (graphs.instantiate)(&mut graph.exec.0, template.0, 0) };
            self.device.judge("cuGraphInstantiate", code)?;
            Ok(graph)
        });
        if template != Handle::NULL && !self.device.is_lost() {
            // SAFETY: the template is ours; what was made of it does not need it.
            let code = unsafe { (graphs.destroy)(template.0) };
            self.device.judge("cuGraphDestroy", code)?;
        }
        made
    }

    /// Enqueues recorded work.
    ///
    /// # Errors
    /// When the driver refuses, or the GPU is lost.
    pub(in crate::infer::tensorrt) fn launch(&self, graph: &Graph) -> Result<(), Failure> {
        let graphs = self.graphs("cuGraphLaunch")?;
        // SAFETY: both handles are alive, since their owners are borrowed.
        self.device.call("cuGraphLaunch", |_| unsafe { (graphs.launch)(graph.exec.0, self.raw.0) })
    }

    /// Whether a recording is under way.
    pub(in crate::infer::tensorrt) fn is_capturing(&self) -> Result<bool, Failure> {
        let mut status: c_int = 0;
        // SAFETY: the stream is ours, the pointer leads to an int of ours.
        self.device.call("cuStreamIsCapturing", |f| unsafe { (f.stream_is_capturing)(self.raw.0, &mut status) })?;
        Ok(status != 0)
    }

    fn graphs(&self, call: &'static str) -> Result<&'static GraphFunctions, Failure> {
        self.device.driver.graphs.as_ref().ok_or_else(|| {
            let text = "graphs need a driver of CUDA 11.4 or newer".to_owned();
            CudaError { call, code: NOT_SUPPORTED, name: "CUDA_ERROR_NOT_SUPPORTED".to_owned(), text }.into()
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let (exec, graphs) = (self.exec, self.device.driver.graphs.as_ref());
        if let Some(graphs) = graphs.filter(|_| exec != Handle::NULL) {
            // SAFETY: made by `capture`, destroyed once.
            self.device.discard("cuGraphExecDestroy", |_| unsafe { (graphs.exec_destroy)(exec.0) });
        }
    }
}
