//! Whole models: hostile ones are refused, and every kernel gives the same bytes.

mod drawn;
mod written;
