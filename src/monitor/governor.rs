//! The governor: keeps the device within the owner's limits by giving things up one after another, and gives them back in reverse. Pure:
//! it is told what was read and when, and says which step to take; it neither reads a sensor nor carries a step out.
//!
//! Belongs here: when a step is taken. Does not: which steps there are (`ladder.rs`), what readings mean (`gauge.rs`), which level is not
//! tried again soon (`patience.rs`). Why it works in steps and not by PID: docs/decisions/0019-governor.md.
//!
//! What holds whatever is read:
//! - one rung at a time, and never a rung out of the ladder's order;
//! - never more than two steps in the time of two steps (a minute, as it comes);
//! - nothing is given up for a limit that has no reading, and nothing is given back while a limit's sensor is silent that once spoke.

mod gauge;
mod ladder;
mod patience;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use gauge::Limit;
pub use ladder::{Effect, Group, Ladder, Offer, Rung};

use crate::config::Budget;
use crate::types::{BudgetMove, What};
use gauge::{Gauge, Judged};
use patience::Patience;

/// What was read. None is "not read": no sensor, or it did not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Power of the whole device.
    pub watts: Option<f64>,
    /// The hottest sensor.
    pub celsius: Option<f64>,
    /// Latency; None also where there were too few messages to tell. Each number is to be shown once.
    pub p99_ms: Option<f64>,
    /// Whether messages come of which there are too few yet: what the last latency said holds.
    pub p99_waits: bool,
}

impl Seen {
    /// Without what no sensor means: nothing else is kept, sent or acted on.
    fn sane(self) -> Self {
        let sane = |limit: Limit| self.of(limit).filter(|reading| limit.is_sane(*reading));
        let p99_waits = self.p99_waits;
        Self { watts: sane(Limit::Watts), celsius: sane(Limit::Celsius), p99_ms: sane(Limit::P99), p99_waits }
    }

    fn of(&self, limit: Limit) -> Option<f64> {
        match limit {
            Limit::Watts => self.watts,
            Limit::Celsius => self.celsius,
            Limit::P99 => self.p99_ms,
        }
    }
}

/// A step to be taken now.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The level until now.
    pub from: usize,
    /// The level from now on: one more or one less.
    pub to: usize,
    /// How many levels there are beside 0.
    pub of: usize,
    /// The rung that is taken or given back.
    pub rung: Rung,
    /// Why, in words.
    pub reason: String,
    /// The limit for which it is given up; None for what is given back.
    pub limit: Option<Limit>,
    /// What was read.
    pub seen: Seen,
}

impl Step {
    /// Down gives up, up gives back.
    pub fn direction(&self) -> BudgetMove {
        if self.to > self.from { BudgetMove::Down } else { BudgetMove::Up }
    }

    /// The step as an event.
    pub fn what(&self) -> What {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        What::BudgetStep {
            level: number(self.to),
            levels: number(self.of),
            rung: self.rung.to_string(),
            step: self.direction(),
            reason: self.reason.clone(),
            watts: self.seen.watts,
            celsius: self.seen.celsius,
            p99_ms: self.seen.p99_ms,
        }
    }
}

/// Something to be said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// There is a limit and no reading: nothing is done for it.
    Blind(Limit),
    /// There is a reading again.
    Sees(Limit),
    /// Everything was given up, and the limit is still broken.
    Spent(Limit),
}

/// Keeps the limits.
#[derive(Debug, Clone)]
pub struct Governor {
    settings: Budget,
    ladder: Ladder,
    level: usize,
    gauges: Vec<Gauge>,
    patience: Patience,
    calm_since: Option<Duration>,
    /// When the last two steps were taken, the later one last, and whether that one gave back.
    steps: [Option<Duration>; 2],
    gave_back: bool,
    notices: Vec<Notice>,
    blind: Vec<Limit>,
    spent: bool,
}

impl Governor {
    /// A governor that has given up nothing yet.
    pub fn new(settings: Budget, ladder: Ladder) -> Self {
        let bounds = [settings.max_watts, settings.max_celsius, settings.target_p99_ms];
        let limits = Limit::ALL.into_iter().zip(bounds);
        let gauges = limits.filter_map(|(l, bound)| Some(Gauge::new(l, bound?, settings.step))).collect();
        Self {
            patience: Patience::new(settings.hold, ladder.len()),
            settings,
            ladder,
            level: 0,
            gauges,
            calm_since: None,
            steps: [None; 2],
            gave_back: false,
            notices: Vec::new(),
            blind: Vec::new(),
            spent: false,
        }
    }

    /// How many rungs are taken.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The rungs.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// What holds now.
    pub fn effect(&self) -> Effect {
        self.ladder.at(self.level)
    }

    /// Other cameras or models are there: other rungs, as many of them taken as there were. Where they are the same ones, nothing is forgotten.
    pub fn change_ladder(&mut self, ladder: Ladder) {
        if ladder == self.ladder {
            return;
        }
        self.patience = Patience::new(self.settings.hold, ladder.len());
        self.level = self.level.min(ladder.len());
        self.ladder = ladder;
        self.calm_since = None;
    }

    /// The owner wants something else from now on: other limits, another order. As many rungs are taken as there were; what was read says as
    /// much as at a start.
    pub fn change(&mut self, settings: Budget, ladder: Ladder) {
        let level = self.level.min(ladder.len());
        *self = Self { level, steps: self.steps, gave_back: self.gave_back, ..Self::new(settings, ladder) };
    }

    /// A look at the device. To be called every few seconds, at any pace; a step that comes back is taken by the time of the next call.
    pub fn look(&mut self, seen: &Seen, now: Duration) -> Option<Step> {
        let seen = seen.sane();
        for gauge in &mut self.gauges {
            let waits = gauge.limit == Limit::P99 && seen.p99_ms.is_none() && seen.p99_waits;
            if waits {
                gauge.wait(now);
            } else {
                gauge.take(seen.of(gauge.limit), now);
            }
        }
        self.tell_the_blind(now);
        let over = self.gauges.iter().find(|g| g.judge() == Judged::Over).map(|g| g.limit);
        let calm = over.is_none() && !self.gauges.iter().any(Gauge::objects);
        self.calm_since = if calm { self.calm_since.or(Some(now)) } else { None };
        match over {
            Some(limit) => self.give_up(limit, &seen, now),
            None => {
                self.spent = false;
                self.give_back(&seen, now)
            }
        }
    }

    /// What is to be said since it was last asked: each thing once, until it changes.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn give_up(&mut self, limit: Limit, seen: &Seen, now: Duration) -> Option<Step> {
        let step = self.settings.step;
        // What was given back by mistake is taken again as soon as that can be told.
        let pause = if self.gave_back { step / 6 } else { step };
        if !(passed(self.steps[1], pause, now) && passed(self.steps[0], step * 2, now)) {
            return None;
        }
        if self.level == self.ladder.len() {
            if !self.spent {
                self.notices.push(Notice::Spent(limit));
                self.spent = true;
            }
            return None;
        }
        let reason = self.why_down(limit);
        self.patience.left(self.level, limit, now);
        Some(Step { limit: Some(limit), ..self.step(self.level + 1, reason, seen, now) })
    }

    fn give_back(&mut self, seen: &Seen, now: Duration) -> Option<Step> {
        let hold = self.settings.hold;
        let held = self.calm_since.is_some_and(|since| now.saturating_sub(since) >= hold);
        // The pause keeps to two steps in the time of two even where the hold is shorter than a step.
        let paused = passed(self.steps[1], hold.max(self.settings.step), now);
        let to = self.level.checked_sub(1)?;
        let at_rest = self.gauges.iter().all(Gauge::at_rest);
        if !(held && paused && at_rest && self.patience.allows(to, &self.gauges, now)) {
            return None;
        }
        let reason = self.why_up();
        self.patience.tried(to, &self.gauges, now);
        Some(self.step(to, reason, seen, now))
    }

    fn step(&mut self, to: usize, reason: String, seen: &Seen, now: Duration) -> Step {
        let from = std::mem::replace(&mut self.level, to);
        self.gave_back = to < from;
        self.steps = [self.steps[1], Some(now)];
        self.calm_since = None;
        self.gauges.iter_mut().for_each(Gauge::step_taken);
        Step {
            from,
            to,
            of: self.ladder.len(),
            rung: self.ladder.rungs()[from.min(to)].clone(),
            reason,
            limit: None,
            seen: *seen,
        }
    }

    fn why_down(&self, limit: Limit) -> String {
        let gauge = self.gauges.iter().find(|g| g.limit == limit);
        let Some((gauge, trend)) = gauge.and_then(|g| Some((g, g.trend()?))) else { return String::new() };
        let (noun, unit) = (limit.noun(), limit.unit());
        let (value, bound) = (figure(trend.value), figure(gauge.bound));
        if trend.value > gauge.bound {
            return format!("{noun} {value} {unit}, limit {bound} {unit}");
        }
        let a_minute = figure(trend.per_sec * 60.0);
        format!("{noun} {value} {unit} and rising by {a_minute} {unit} a minute, limit {bound} {unit}")
    }

    fn why_up(&self) -> String {
        let said = self.gauges.iter().filter_map(|g| {
            let value = g.trend()?.value;
            Some(format!("{} {} of {} {}", g.limit.noun(), figure(value), figure(g.bound), g.limit.unit()))
        });
        let said: Vec<_> = said.collect();
        let secs = self.settings.hold.as_secs();
        if said.is_empty() {
            return format!("nothing was late for {secs} s");
        }
        format!("room to spare for {secs} s: {}", said.join(", "))
    }

    /// A sensor that does not answer once is no matter; one that is silent for two steps is.
    fn tell_the_blind(&mut self, now: Duration) {
        for gauge in &self.gauges {
            let known = self.blind.iter().position(|l| *l == gauge.limit);
            match (gauge.blind_since(), known) {
                (Some(since), None) if now.saturating_sub(since) >= self.settings.step * 2 => {
                    self.blind.push(gauge.limit);
                    self.notices.push(Notice::Blind(gauge.limit));
                }
                (None, Some(known)) => {
                    self.blind.swap_remove(known);
                    self.notices.push(Notice::Sees(gauge.limit));
                }
                _ => {}
            }
        }
    }
}

/// Whether so much time has passed since then; if there was no then, it has.
fn passed(since: Option<Duration>, pause: Duration, now: Duration) -> bool {
    since.is_none_or(|since| now.saturating_sub(since) >= pause)
}

/// "80", "78.4", "0.25": as many digits as tell something.
fn figure(value: f64) -> String {
    let digits = if value.abs() < 1.0 { 2 } else { usize::from(value.abs() < 1000.0) };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
