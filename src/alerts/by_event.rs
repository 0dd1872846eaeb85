//! An alert that events raise.
//!
//! Some events begin what lasts (a track is in a zone), others only happen (it crossed a line). What lasts keeps its alert open until the
//! last of it has ended, and may raise it later than it began: when the time of day comes, or when the cool-down is over. What only
//! happens counts in its moment or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::Now;
use super::condition::{Fit, Matter, fit, has_labels, number_told, words};
use super::state::{About, State};
use crate::config::{Alert, Clear, OnEvent};
use crate::types::{Event, TrackEvent, TrackPhase, What};

/// Tracks that one alert keeps in mind, at most. What comes beyond them raises, and is not waited for.
const MOST_MATTERS: usize = 4096;
/// Events that wait for labels, at most; the oldest is given up.
const MOST_CANDIDATES: usize = 1024;
/// How long a matter of which nothing is left to tell is waited for: its end belonged to a former life, or its track is gone and its end
/// was never told.
const FORSAKEN_AFTER: Duration = Duration::from_secs(60);

/// See the head of the file.
#[derive(Debug)]
pub(super) struct ByEvent {
    on: OnEvent,
    cameras: Vec<String>,
    clear: Clear,
    state: State,
    /// What lasts, and since when its track is gone.
    matters: BTreeMap<Matter, Option<Duration>>,
    /// When events fitted, not longer ago than it matters.
    fitted: VecDeque<Duration>,
    last_fit: Duration,
    /// Enough has happened, and the alert could not be raised yet.
    due: Option<Event>,
    /// Fit but for labels that their tracks may get.
    candidates: VecDeque<Candidate>,
}

/// An event that waits for its track's labels.
#[derive(Debug)]
struct Candidate {
    matter: Matter,
    event: Event,
    /// The time of day at which it happened.
    local_minute: u16,
}

impl ByEvent {
    pub(super) fn new(on: OnEvent, alert: &Alert, state: State) -> Self {
        Self {
            on,
            cameras: alert.cameras.clone(),
            clear: alert.clear,
            state,
            matters: BTreeMap::new(),
            fitted: VecDeque::new(),
            last_fit: Duration::ZERO,
            due: None,
            candidates: VecDeque::new(),
        }
    }

    pub(super) fn state(&mut self) -> &mut State {
        &mut self.state
    }

    pub(super) fn restore(&mut self, raised: &Event, now: Now) {
        self.state.restore(raised, now);
        self.last_fit = now.at.mono;
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: &Event, now: Now) -> Option<Event> {
        match fit(&self.on, &self.cameras, event) {
            Fit::No => None,
            Fit::Yes => self.fits(event, now),
            Fit::ButForLabels => {
                if self.candidates.len() == MOST_CANDIDATES {
                    self.candidates.pop_front();
                }
                let (matter, local_minute) = (Matter::of(event), now.local_minute);
                self.candidates.push_back(Candidate { matter, event: event.clone(), local_minute });
                None
            }
            Fit::End => {
                let matter = Matter::of(event);
                self.candidates.retain(|candidate| candidate.matter != matter);
                self.matters.remove(&matter).and_then(|_| self.over_if_last(About::event_of(event), now, words(event)))
            }
        }
    }

    /// A track's labels change, or it ends.
    pub(super) fn track(&mut self, track: &TrackEvent, now: Now) -> Option<Event> {
        match track.phase {
            TrackPhase::New => self.find_again(track.known_as),
            TrackPhase::Update => {}
            TrackPhase::End => self.forsake(track.known_as, now),
        }
        let labelled = |candidate: &Candidate| candidate.matter.track == Some(track.known_as);
        if !self.candidates.iter().any(labelled) {
            return None;
        }
        let mut told = None;
        let (of_it, others) = std::mem::take(&mut self.candidates).into_iter().partition(labelled);
        self.candidates = others;
        let of_it: VecDeque<Candidate> = of_it;
        if has_labels(&self.on, &track.labels) {
            for Candidate { mut event, local_minute, .. } in of_it {
                if let Some(subject) = &mut event.subject {
                    subject.labels.clone_from(&track.labels);
                }
                // What only happens counts at its own time of day, however late the labels come.
                let lasts = What::end_of(&self.on.kind).is_some();
                let judged = if lasts { now } else { Now { local_minute, ..now } };
                told = self.fits(&event, judged).or(told);
            }
        } else if track.phase != TrackPhase::End {
            self.candidates.extend(of_it);
        }
        told
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now) -> Option<Event> {
        let before = self.matters.len();
        let at = now.at.mono;
        self.matters.retain(|_, gone| gone.is_none_or(|gone| at.saturating_sub(gone) < FORSAKEN_AFTER));
        if self.matters.len() < before {
            let over = self.over_if_last(About::default(), now, "the track is gone".to_owned());
            if over.is_some() {
                return over;
            }
        }
        if !self.state.is_open() {
            return self.raise_if_due(now);
        }
        let quiet_for = at.saturating_sub(self.last_fit);
        let patience = match self.clear {
            Clear::After(time) => Some(time),
            Clear::WhenOver => self.matters.is_empty().then_some(FORSAKEN_AFTER),
        };
        let patience = patience.filter(|patience| quiet_for >= *patience)?;
        let reason = format!("nothing that fits for {} s", patience.as_secs());
        self.state.clear(About::default(), now, reason)
    }

    fn fits(&mut self, event: &Event, now: Now) -> Option<Event> {
        let lasts = What::end_of(&self.on.kind).is_some();
        if !lasts && !self.state.is_its_time(now) {
            return None;
        }
        let at = event.at.mono;
        self.last_fit = self.last_fit.max(at);
        if lasts && self.matters.len() < MOST_MATTERS {
            self.matters.insert(Matter::of(event), None);
        }
        if self.state.is_open() {
            return None;
        }
        if self.is_enough(event) {
            self.due = Some(event.clone());
        }
        let raised = self.raise_if_due(now);
        if !lasts {
            self.due = None;
        }
        raised
    }

    /// Whether the alert's number is reached with this event.
    fn is_enough(&mut self, event: &Event) -> bool {
        // An event that tells a smaller number does not fit in the first place.
        if number_told(&event.what).is_some() {
            return true;
        }
        self.fitted.push_back(event.at.mono);
        let oldest = self.last_fit.saturating_sub(self.on.within);
        self.fitted.retain(|at| *at >= oldest);
        while self.fitted.len() > self.on.min_count as usize {
            self.fitted.pop_front();
        }
        self.fitted.len() == self.on.min_count as usize
    }

    fn raise_if_due(&mut self, now: Now) -> Option<Event> {
        if !self.state.may_raise(now) {
            return None;
        }
        let event = self.due.take()?;
        self.fitted.clear();
        self.last_fit = self.last_fit.max(now.at.mono);
        let times = if self.on.min_count > 1 && number_told(&event.what).is_none() {
            format!("{} times within {} s: ", self.on.min_count, self.on.within.as_secs())
        } else {
            String::new()
        };
        Some(self.state.raise(About::event_of(&event), now, times + &words(&event)))
    }

    /// Nothing more will be heard of this track; the rules tell how its stay ended, and where they do not, it is waited for a while.
    fn forsake(&mut self, uid: Uuid, now: Now) {
        for (_, gone) in self.matters.iter_mut().filter(|(matter, _)| matter.track == Some(uid)) {
            gone.get_or_insert(now.at.mono);
        }
    }

    /// It is there after all, under another number.
    fn find_again(&mut self, uid: Uuid) {
        for (_, gone) in self.matters.iter_mut().filter(|(matter, _)| matter.track == Some(uid)) {
            *gone = None;
        }
    }

    fn over_if_last(&mut self, about: About<'_>, now: Now, reason: String) -> Option<Event> {
        if !self.matters.is_empty() {
            return None;
        }
        self.due = None;
        self.state.clear(about, now, reason)
    }
}
