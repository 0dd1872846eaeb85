//! The one integration binary: a module for each thing that a user relies on.

mod architecture; // the house rules: who may import whom, one home for each outside thing, how files look
mod packaging; // what a clone holds: licences, links that lead somewhere, scripts that a shell accepts
