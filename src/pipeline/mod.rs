//! The wiring, top to bottom: which threads there are, what lies between them, what happens when it is full.
//!
//! | queue | between | capacity | when full | counted as |
//! | --- | --- | --- | --- | --- |
//! | appsink | decoder → `ingest-<camera>` | 1 | drops the oldest | `displaced_appsink` |
//! | ring | `ingest-<camera>` → `engine-<n>` | `ingest.ring_capacity` (1) | displaces the oldest; drops what is older than `max_age_ms` | `displaced_ring`, `displaced_stale` |
//! | offers | `engine-<n>`, `ingest-<camera>` → `publish` | [`crate::publish`]'s | QoS 0: drops the new one; QoS 1: the outbox drops its oldest | `dropped_qos0`, `dropped_outbox` |
//! | events | `engine-<n>`, supervisor → `store` | 10,000 while the disk takes nothing | the oldest goes, alerts last | the event `lost`, `store_events_lost_total` |
//! | backlog | `store`'s disk → `publish` | `store.max_mb`, `store.keep_days` | the oldest goes, alerts last | the event `lost`, `store_events_lost_total` |
//! | orders | `publish` → supervisor | as many as 1024 ids within twice their window allow | refused as `busy` | the answer |
//! | pictures | `engine-<n>` → `pictures` | 8 | the event goes without a picture | `pictures_dropped_total` |
//!
//! ```text
//! ingest-front ─► ring ─┐          ┌─► engine-0: detect → track → classify → rules ─┐
//! ingest-yard  ─► ring ─┼─► seats ─┤                                                ├─► alerts ─► store ─► publish ─► MQTT
//! ingest-…     ─► ring ─┘          └─► engine-1: detect → track → classify → rules ─┘
//! ```
//!
//! There is one worker where models run on the processor, and several a GPU. Each has its own engines; a camera's seat (tracker, labels, rules)
//! is with one of them at a time.

mod accounts;
mod analyst;
mod board;
mod clip;
mod dial;
mod engine;
mod hand;
mod lanes;
mod models;
mod names;
mod patience;
mod recording;
mod rig;
#[cfg(test)]
mod samples;
mod scene;
mod seats;
mod variants;

pub use accounts::Account;
pub use analyst::{AnalyseError, Analyst, Follow, Job, Watch};
pub use board::Board;
pub use dial::{Dial, Setting};
pub use engine::{EngineParts, run_engine};
pub use hand::Hand;
pub use lanes::{Lane, LaneParts, Lanes};
pub use models::{LoadError, Loading, examine, surfaces};
pub use recording::{Replay, ReplayError, Step};
pub use rig::{Around, Measured, Order, Rig, RigError};
pub use scene::Scene;
pub use seats::Seats;
pub use variants::{Variants, cheaper_models, smaller_models};
