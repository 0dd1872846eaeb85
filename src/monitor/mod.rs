//! What the device feels: power, heat, what slows it down, load, clocks, and how its cameras fare; and the governor that says what to give
//! up when it is too much.
//!
//! ```text
//! /sys, /proc, /etc, /var, /dev ──► sysfs ──► ina, rapl, vcio + pmic ──► power ─┐
//! (or a tree recorded on a board)        ├──► sensors, throttle, gpu, load, … ──┴─► watch (Sensors) ──► types::Readings
//! counters of the daemon ──► measure (Gauges) ──► types::Measured
//! ```
//! Belongs here: reading sensors, and judging them by the owner's budget. Does not: carrying out what the governor says, the thread that reads them (see `app`).

mod board;
mod fans;
#[cfg(test)]
mod fixture_tests;
pub mod governor;
mod gpu;
mod ina;
mod load;
pub mod measure;
mod notes;
mod nvpmodel;
mod pmic;
mod power;
mod rapl;
pub mod sensors;
mod sysfs;
mod throttle;
mod vcio;
mod watch;

pub use board::Board;
pub use governor::Governor;
pub use measure::Gauges;
pub use sensors::Sensor;
pub use watch::Sensors;
