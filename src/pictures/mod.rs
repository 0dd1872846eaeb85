//! Pictures of events, and masks over whatever leaves the device.
//!
//! Belongs here: the best view of each object (`album.rs`, `worth.rs`), how a frame becomes a picture with its masks burnt in (`still.rs`),
//! which events ask for one (`wishes.rs`), JPEG files and their bounds (`maker.rs`, `disk.rs`, `shelf.rs`), frames of which a detector sees
//! only what it may (`blinds.rs`). Does not: where masks lie (see `pixels::Cover`), how pictures reach the broker (see `publish`).
//!
//! Two threads meet here: an engine looks and asks ([`Studio`], which never waits for a disk or an encoder), and one worker encodes and
//! writes ([`Maker`]).

mod album;
mod blinds;
mod disk;
mod maker;
mod shelf;
mod still;
mod studio;
mod wishes;
mod worth;

#[cfg(test)]
mod tests;

pub use blinds::Blinds;
pub use maker::{Maker, Picture, Tell};
pub use shelf::Kind;
pub use studio::{Context, Studio, start};
pub use wishes::Wishes;
