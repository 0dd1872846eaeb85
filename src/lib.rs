//! Peregrine: video analytics at the edge. The modules stand in the order in which a frame meets them.
//!
//! Invariants that hold everywhere:
//! - no stage copies a frame's pixels; letterbox and crop read the decoder's planes once;
//! - frames are dropped in the ring only, and every drop is counted by camera and reason;
//! - no stage knows another; `pipeline` and `app` join them;
//! - time, threads and signals come from `runtime`; a pure module takes time as an argument;
//! - credentials never reach a log line, a message, a metric or a process's arguments.

pub mod config; // what the owner asked for
pub mod infer;
pub mod types; // what flows // engines that run models, for detect and classify

pub mod monitor; // temperatures

pub mod api; // health, metrics and statistics over HTTP

pub mod runtime; // clocks, threads, signals, the service manager
pub mod telemetry; // counters and log lines

pub mod cli; // one file a subcommand
