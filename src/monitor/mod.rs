//! What the device feels: temperatures, rates, room on its disk; and the governor that says what to give up when it is too much.
//!
//! Belongs here: reading sensors, and judging them by the owner's budget. Does not: carrying out what the governor says.

pub mod governor;
pub mod measure;
pub mod sensors;
mod sysfs;

pub use governor::Governor;
pub use measure::Gauges;
pub use sensors::{Sensor, sensors};
