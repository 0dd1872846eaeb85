//! The wiring, top to bottom: which threads there are, what lies between them, what happens when it is full.
//!
//! | queue | between | capacity | when full | counted as |
//! | --- | --- | --- | --- | --- |
//! | appsink | decoder → `ingest-<camera>` | 1 | drops the oldest | `displaced_appsink` |
//! | ring | `ingest-<camera>` → `engine-0` | `ingest.ring_capacity` (1) | displaces the oldest | `displaced_ring` |
//! | offers | `engine-0`, `ingest-<camera>` → `publish` | [`crate::publish`]'s | QoS 0: drops the new one; QoS 1: the outbox drops its oldest | `dropped_qos0`, `dropped_outbox` |
//!
//! ```text
//! ingest-front ─► ring ─┐
//! ingest-yard  ─► ring ─┼─► engine-0: schedule → detect → track → classify ─► publish ─► MQTT
//! ingest-…     ─► ring ─┘
//! ```

mod analyst;
mod engine;
mod lanes;
mod models;
mod recording;

pub use analyst::{AnalyseError, Analyst, Follow};
pub use engine::{EngineParts, run_engine};
pub use lanes::{Lane, LaneParts, Lanes};
pub use models::{LoadError, examine, load_analyst};
pub use recording::{Replay, ReplayError, Step};
