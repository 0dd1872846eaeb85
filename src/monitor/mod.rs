//! What the device feels: temperatures today; power and the governor that acts on them stand here when they come.
//!
//! Belongs here: reading sensors. Does not: what is done about them elsewhere.

pub mod sensors;
mod sysfs;

pub use sensors::{Sensor, sensors};
