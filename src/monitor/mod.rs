//! What the device feels: temperatures, rates, room on its disk; power and the governor that acts on them stand here when they come.
//!
//! Belongs here: reading sensors. Does not: what is done about them elsewhere.

pub mod governor;
pub mod measure;
pub mod sensors;
mod sysfs;

pub use governor::Governor;
pub use measure::Gauges;
pub use sensors::{Sensor, sensors};
