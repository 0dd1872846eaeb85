//! The engine's thread: whose frame is next, one analyst for all cameras, what each camera's tracks were.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::analyst::{Analyst, Follow};
use super::lanes::{Lane, Lanes};
use crate::config;
use crate::runtime::{Heart, Stop};
use crate::schedule::{self, Waiting};
use crate::types::{Frame, Report};

/// How long the engine sleeps at most when no frame comes, so that it beats and sees lanes go.
const IDLE: Duration = Duration::from_millis(250);

/// What the engine remembers of a lane.
struct Seat {
    follow: Follow,
    served_turn: u64,
}

/// What the engine's thread is given.
pub struct EngineParts {
    /// Loaded models.
    pub analyst: Analyst,
    /// Settings of trackers.
    pub track: config::Track,
    /// Silence of a camera after which its tracks have ended.
    pub gap: Duration,
    /// The cameras.
    pub lanes: Lanes,
    /// The thread's pulse.
    pub heart: Heart,
}

/// Body of the thread `engine-0`: serves all lanes until the stop, then ends all tracks.
pub fn run_engine(mut parts: EngineParts, stop: &Stop, emit: &mut dyn FnMut(Report)) {
    let mut seats: HashMap<u64, Seat> = HashMap::new();
    let mut turn = 0;
    while !stop.is_set() {
        parts.heart.beat();
        let rung = parts.lanes.bell().count();
        let open = parts.lanes.now();
        for (_, mut left) in seats.extract_if(|number, _| !open.iter().any(|l| l.number == *number)) {
            parts.analyst.part(&mut left.follow, emit);
        }
        for seat in seats.values_mut() {
            parts.analyst.part_if_silent(&mut seat.follow, emit);
        }
        let Some((lane, frame)) = take_next(&open, &seats) else {
            parts.lanes.bell().wait_past(rung, IDLE);
            continue;
        };
        turn += 1;
        let seat = seats.entry(lane.number).or_insert_with(|| Seat {
            follow: Analyst::follow(&parts.track, parts.gap, Arc::clone(&lane.metrics)),
            served_turn: 0,
        });
        seat.served_turn = turn;
        if let Err(e) = parts.analyst.analyse(&frame, &mut seat.follow, emit) {
            log::error!(camera = &*lane.camera, stage = "engine"; "frame {}: {e}", frame.seq);
        }
    }
    for seat in seats.values_mut() {
        parts.analyst.part(&mut seat.follow, emit);
    }
}

fn take_next(open: &[Arc<Lane>], seats: &HashMap<u64, Seat>) -> Option<(Arc<Lane>, Frame)> {
    let waiting = open.iter().enumerate().filter(|(_, lane)| lane.ring.is_waiting());
    let waiting = waiting
        .map(|(index, lane)| Waiting { index, served_turn: seats.get(&lane.number).map_or(0, |s| s.served_turn) });
    let lane = &open[schedule::next(waiting)?];
    // The lane may have been closed since; then its ring is empty.
    Some((Arc::clone(lane), lane.ring.take()?))
}
