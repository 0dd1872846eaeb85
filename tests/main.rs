//! The one integration binary, linked once: a module for each thing that a user relies on.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test tells what it measured, or why it was skipped")]

mod api; // the HTTP server: what it answers, promtool's opinion of it, what it refuses
mod architecture; // the house rules: who may import whom, one home for each outside thing, how files look
mod board; // probe on boards that stand as trees of files
mod calibrate; // model calibrate: the file beside the model, what a mistake is told
mod capacity; // capacity and bench --cameras: the answer, what is written and refused
mod config; // the reference, the profiles, what a wrong file is told
mod convert; // scripts/convert_models.py: both forms of a model, the gate that refuses a spoilt one
mod daemon; // the real daemon with a real broker: end to end, SIGHUP, SIGTERM
mod governor; // the governor against simulated devices; the picture in docs/budget.md
mod homeassistant; // Home Assistant's own schemas and templates over what we announce
mod ingest; // real RTSP servers that die, freeze, stay silent, change their picture; files
mod int8; // the int8 engine on whole models: kernels, threads, places, calibration
mod manual; // manual pages and completions are those of the command line
mod mqtt; // the publish stage with a real mosquitto: logins, TLS, last will, a broker that dies
mod mqtt_page; // docs/mqtt.md: every topic, field and example
mod packaging; // what a clone holds: licences, links that lead somewhere, scripts that a shell accepts
mod parity; // accuracy and command line of detect, bench and model, over every engine
mod quality; // tracks of a real clip against ground truth
mod rules; // zones and lines: an outside opinion, and what people see in a real clip
mod service; // the systemd unit under systemd-analyze
mod soak; // scripts/soak-events.sh: its own tests, the coded clip through the real pipeline
mod tensorrt; // a TensorRT that stands in: libraries, the server that computes for them
mod store; // events on disk: kill -9, power cuts, full and read-only disks
mod support; // broker, subscriber, daemon, shared data
mod track; // SORT over MOTChallenge files, against the original's tracks
