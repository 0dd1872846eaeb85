//! What the device feels: power, heat, what slows it down, load, clocks, and how its cameras fare; and the governor that says what to give
//! up when it is too much.
//!
//! ```text
//! /sys, /proc, /etc, /var, /dev ──► sysfs ──► ina, rapl, vcio + pmic ──► power ─┐
//! (or a tree recorded on a board)        ├──► sensors, throttle, gpu, load, … ──┴─► watch (Sensors) ──► types::Readings
//! counters of the daemon ──► measure (Gauges) ──► types::Measured
//!                        └──► lateness ─┐
//! types::Readings ──────────────────────┴──► governor ──► (app) ──► system ──► /sys, program (nvpmodel), found (state folder)
//! ```
//! Belongs here: reading sensors, judging them by the owner's budget, setting what of the system may be set. Does not: carrying out what else
//! the governor says, the threads that read and judge (see `app`).

mod board;
mod fans;
#[cfg(test)]
mod fixture_tests;
mod found;
pub mod governor;
mod gpu;
mod ina;
mod lateness;
mod load;
pub mod measure;
mod names;
mod notes;
mod nvpmodel;
mod pmic;
mod power;
mod program;
mod rapl;
pub mod sensors;
mod sysfs;
mod system;
mod throttle;
mod vcio;
mod watch;

pub use board::Board;
pub use governor::Governor;
pub use lateness::{Late, Lateness};
pub use measure::Gauges;
pub use sensors::Sensor;
pub use system::{System, SystemError};
pub use watch::{At, Sensors};
