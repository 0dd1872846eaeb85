//! The engines' threads: each has models of its own and takes the next frames of all cameras (see `seats`).

use std::sync::Arc;
use std::time::Duration;

use super::analyst::{Analyst, Watch};
use super::hand::Hand;
use super::lanes::Lane;
use super::patience::Patience;
use super::seats::{Errand, Seats, Taken};
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
    /// Which frames are looked at.
    pub attend: config::Attend,
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
    let EngineParts { mut analyst, mut hand, track, attend, gap, seats, studio, clock, heart } = parts;
    let bell = seats.lanes().bell();
    let mut max_batch = 0;
    let mut patience = Patience::default();
    while !stop.is_set() {
        heart.beat();
        if hand.as_mut().is_some_and(|hand| turn(hand, &mut analyst, &seats, clock)) {
            patience = Patience::default();
        }
        heart.allow(patience.allowed());
        // Counted before one looks: what happens after the look ends the wait.
        let rung = bell.count();
        if max_batch != analyst.max_batch() {
            max_batch = analyst.max_batch();
            analyst.note_batch(seats.limit(max_batch));
        }
        let sit = |lane: &Lane| Analyst::follow(Watch { studio: studio.clone(), ..watch(lane, &track, &attend, gap) });
        match seats.next(clock.mono(), &sit) {
            Errand::Rest(until) => {
                let at_most = until.map_or(IDLE, |until| until.saturating_sub(clock.mono()).min(IDLE));
                bell.wait_past(rung, at_most);
            }
            Errand::Gone(number, mut follow) => {
                analyst.part(&mut follow, emit);
                seats.clear(number);
            }
            Errand::Silent(number, mut follow) => {
                analyst.part(&mut follow, emit);
                seats.give_back(number, follow);
            }
            Errand::Due(number, mut follow) => {
                analyst.pass(&mut follow, emit);
                seats.give_back(number, follow);
            }
            Errand::Glance(mut taken) => {
                if analyst.glance(&taken.frame, &mut taken.follow, emit) {
                    seats.put_back(taken);
                } else {
                    seats.give_back(taken.lane.number, taken.follow);
                }
            }
            Errand::Frames(taken) => patience.took(look(&mut analyst, taken, &seats, clock, emit)),
        }
    }
    while let Some(mut follow) = seats.leave() {
        analyst.part(&mut follow, emit);
    }
}

/// Does less, or more, as the hand says. True when it looks with another model from now on.
fn turn(hand: &mut Hand, analyst: &mut Analyst, seats: &Seats, clock: Clock) -> bool {
    if let Some(setting) = hand.turned() {
        // Each worker says so; it is the same word.
        seats.set_interval_times(setting.interval_times);
        seats.set_rate_parts(setting.rate_parts);
        analyst.rest_classifiers(setting.classifier_off);
    }
    let other = hand.detector(clock.mono());
    let is_other = other.is_some();
    if let Some(detector) = other {
        analyst.exchange(detector);
    }
    is_other
}

/// One batch, from its taking until its seats are back; how long it took.
fn look(
    analyst: &mut Analyst,
    mut taken: Vec<Taken>,
    seats: &Seats,
    clock: Clock,
    emit: &mut dyn FnMut(Finding),
) -> Duration {
    let began = clock.mono();
    let mut jobs: Vec<_> = taken.iter_mut().map(|taken| (&taken.frame, &mut taken.follow)).collect();
    let done = analyst.analyse_all(&mut jobs, emit);
    let now = clock.mono();
    let mut late = Vec::with_capacity(taken.len());
    for (Taken { lane, frame, .. }, done) in taken.iter().zip(done) {
        match done {
            Ok(()) => late.push(now.saturating_sub(frame.captured.mono)),
            Err(e) => log::error!(camera = &*lane.camera, stage = "engine"; "frame {}: {e}", frame.seq),
        }
    }
    let back = taken.into_iter().map(|taken| (taken.lane.number, taken.follow)).collect();
    let took = now.saturating_sub(began);
    analyst.note_batch(seats.done(back, took, &late, now));
    took
}

fn watch<'a>(lane: &'a Lane, track: &'a config::Track, attend: &'a config::Attend, gap: Duration) -> Watch<'a> {
    let metrics = Arc::clone(&lane.metrics);
    let (camera, settings, attend) = (&lane.camera, &lane.settings, Some(attend).filter(|attend| attend.enabled));
    Watch { camera, settings, track, attend, gap, studio: None, metrics }
}

#[cfg(test)]
#[path = "lone_tests.rs"]
mod lone_tests;
#[cfg(test)]
#[path = "sharing_tests.rs"]
mod sharing_tests;
#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
