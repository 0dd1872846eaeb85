//! The engines' threads: each has models of its own and takes the next frame of all cameras (see `seats`).

use std::sync::Arc;
use std::time::Duration;

use super::analyst::{Analyst, Watch};
use super::hand::Hand;
use super::lanes::Lane;
use super::seats::{Errand, Seats};
use crate::config;
use crate::pictures::Studio;
use crate::runtime::{Clock, Heart, Stop};
use crate::types::Finding;

/// How long a worker sleeps at most when no frame comes, so that it beats and sees lanes go.
const IDLE: Duration = Duration::from_millis(250);

/// What a worker's thread is given.
pub struct EngineParts {
    /// Loaded models.
    pub analyst: Analyst,
    /// By which it is told to do less; None where nobody tells it.
    pub hand: Option<Hand>,
    /// Settings of trackers.
    pub track: config::Track,
    /// Silence of a camera after which its tracks have ended.
    pub gap: Duration,
    /// The cameras, shared by all workers.
    pub seats: Arc<Seats>,
    /// Who takes pictures of what happens; None where nobody does.
    pub studio: Option<Studio>,
    /// The clock.
    pub clock: Clock,
    /// The thread's pulse.
    pub heart: Heart,
}

/// Body of the threads `engine-0`, `engine-1` …: serves all lanes until the stop, then ends all tracks that nobody else has in hand.
pub fn run_engine(parts: EngineParts, stop: &Stop, emit: &mut dyn FnMut(Finding)) {
    let EngineParts { mut analyst, mut hand, track, gap, seats, studio, clock, heart } = parts;
    let bell = seats.lanes().bell();
    while !stop.is_set() {
        heart.beat();
        if let Some(hand) = &mut hand {
            turn(hand, &mut analyst);
        }
        // Counted before one looks: what happens after the look ends the wait.
        let rung = bell.count();
        let sit = |lane: &Lane| Analyst::follow(Watch { studio: studio.clone(), ..watch(lane, &track, gap) });
        match seats.next(clock.mono(), &sit) {
            None => bell.wait_past(rung, IDLE),
            Some(Errand::Gone(number, mut follow)) => {
                analyst.part(&mut follow, emit);
                seats.clear(number);
            }
            Some(Errand::Silent(number, mut follow)) => {
                analyst.part(&mut follow, emit);
                seats.give_back(number, follow);
            }
            Some(Errand::Due(number, mut follow)) => {
                analyst.pass(&mut follow, emit);
                seats.give_back(number, follow);
            }
            Some(Errand::Frame(lane, frame, mut follow)) => {
                if let Err(e) = analyst.analyse(&frame, &mut follow, emit) {
                    log::error!(camera = &*lane.camera, stage = "engine"; "frame {}: {e}", frame.seq);
                }
                seats.give_back(lane.number, follow);
            }
        }
    }
    while let Some(mut follow) = seats.leave() {
        analyst.part(&mut follow, emit);
    }
}

/// Does less, or more, as the hand says.
fn turn(hand: &mut Hand, analyst: &mut Analyst) {
    if let Some(setting) = hand.turned() {
        analyst.rest_classifiers(setting.classifier_off);
    }
    if let Some(detector) = hand.detector() {
        analyst.exchange(detector);
    }
}

fn watch<'a>(lane: &'a Lane, track: &'a config::Track, gap: Duration) -> Watch<'a> {
    let metrics = Arc::clone(&lane.metrics);
    Watch { camera: &lane.camera, settings: &lane.settings, track, gap, attend: None, studio: None, metrics }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
