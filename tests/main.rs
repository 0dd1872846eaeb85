//! One binary for every test that looks at Peregrine from outside.

#![allow(clippy::print_stderr, reason = "a test that cannot run here says so")]

mod api; // the HTTP server: what Prometheus, a supervisor and a hostile client get
mod config; // `peregrine check` as an owner types it
mod service; // the systemd unit: valid, and hardened as far as it says
