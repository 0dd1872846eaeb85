//! The one integration binary, linked once: a module for each thing that a user relies on.

mod architecture; // the house rules: who may import whom, one home for each outside thing, how files look
mod daemon; // the real daemon with a real broker: end to end, SIGHUP, SIGTERM
mod packaging; // what a clone holds: licences, links that lead somewhere, scripts that a shell accepts
mod quality; // tracks of a real clip against ground truth
mod support; // broker, subscriber, daemon, shared data
mod track; // SORT over MOTChallenge files, against the original's tracks
