//! All integration tests in one binary: it links the models' engine once.

mod daemon; // the real daemon with a real broker: end to end, SIGHUP, SIGTERM
mod quality; // tracks of a real clip against ground truth
mod support; // broker, subscriber, daemon, shared data
