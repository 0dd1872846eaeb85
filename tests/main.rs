//! The one integration binary: what a user of the daemon relies on, with real counterparts.

mod mqtt; // messages at a real broker: birth, last will, login, TLS, outages
