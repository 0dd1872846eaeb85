//! Peregrine: video analytics at the edge. The modules stand in the order in which a frame meets them.
//!
//! Invariants that hold everywhere:
//! - no stage copies a frame's pixels; letterbox and crop read the decoder's planes once. A mask that hides from the detector too is the
//!   exception, and whoever draws it pays for it;
//! - no pixel under a privacy mask leaves the device;
//! - frames are dropped in the ring only, and every drop is counted by camera and reason;
//! - no stage knows another; `pipeline` and `app` join them;
//! - time, threads and signals come from `runtime`; a pure module takes time as an argument;
//! - credentials never reach a log line, a message, a metric or a process's arguments.

pub mod types; // what flows
pub mod config; // what the owner asked for
pub mod pixels; // from planes to a model's tensor, for detect and classify

pub mod pipeline; // the wiring: threads, queues, what happens when they are full
pub mod ingest; // cameras become frames
pub mod ring; // newest wins; counts what it displaced
pub mod schedule; // whose frame is next
pub mod attend; // whether it is worth a look, or what is known says enough
pub mod infer; // engines that run models, for detect and classify
pub mod detect; // boxes and classes in a frame
pub mod track; // the same object from frame to frame
pub mod classify; // second stage: what a track's crop shows
pub mod rules; // tracks become events: zones, lines, counts
pub mod alerts; // events become things that are open until they are over
pub mod store; // events on disk until the broker has them, and their history
pub mod pictures; // the best view of what an event is about, its masks burnt in
pub mod publish; // reports become messages at the broker
pub mod annotate; // frames with marks on them, as a video for people
pub mod plot; // numbers as a picture for people
pub mod api; // health, metrics and statistics over HTTP

pub mod telemetry; // counters and log lines
pub mod monitor; // the board's sensors
pub mod runtime; // clocks, threads, signals, the service manager

pub mod app; // start in order, supervise, stop in order
pub mod cli; // one file a subcommand
