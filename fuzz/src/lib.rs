//! The int8 engine and its ONNX reader, alone: what the fuzzer throws bytes at.
//!
//! The sources are included by path, not through the daemon's library: that one needs GStreamer and tract, which would have to be built once more with
//! the fuzzer's instruments. Belongs here: what must hold whatever the bytes are. Does not: how bytes are drawn (see `fuzz_targets`).

#![allow(dead_code, reason = "the daemon uses what the fuzzer does not")]

/// What the engine takes from the daemon's `runtime`.
mod runtime {
    use std::thread::{Builder, JoinHandle, Thread};

    pub struct Worker(JoinHandle<()>);

    impl Worker {
        pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
            Builder::new().name(name.to_owned()).spawn(work).map(Self)
        }

        pub fn thread(&self) -> &Thread {
            self.0.thread()
        }

        pub fn join(self) -> bool {
            self.0.join().is_ok()
        }
    }
}

mod infer;

pub use infer::survive::survive;

/// The file of a model drawn by these bytes, with numbers and names that make no sense now and then.
pub fn drawn(bytes: &[u8]) -> Vec<u8> {
    infer::drawn::model(infer::drawn::Dice::new(bytes, true))
}

/// The file of a valid model drawn by these bytes.
pub fn seed(bytes: &[u8]) -> Vec<u8> {
    infer::drawn::model(infer::drawn::Dice::new(bytes, false))
}
