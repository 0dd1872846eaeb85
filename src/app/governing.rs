//! The thread that keeps the owner's budget: it looks at what the device feels, lets the governor judge, and has its steps carried out and
//! told. Belongs here: from readings to a step, from a step to dial, system, event and metric. Does not: which step (see `monitor`), how
//! engines do less (see `pipeline`).
//!
//! It has no heartbeat: what it may start beyond this program (`nvpmodel`) takes its time, and is no reason to restart what watches cameras.

mod wanted;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{AppError, Way};
use crate::config::{Budget, Config};
use crate::monitor::governor::{Effect, Limit, Notice, Seen, Step};
use crate::monitor::{Governor, Late, Lateness, System, SystemError};
use crate::pipeline::{Dial, Setting};
use crate::runtime::{Clock, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{BudgetMove, Event, Readings, TotalOf, What};
use wanted::Wanted;

/// How often the thread looks around for new readings and new wishes of the owner, at least.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How often sensors are read for the governor: so many times in the time between two steps, within these bounds.
const LOOKS_A_STEP: u32 = 6;
const SELDOMMEST: Duration = Duration::from_secs(5);
const OFTENEST: Duration = Duration::from_millis(250);
/// Messages whose lateness is judged together are not further apart than so many steps' time.
const STEPS_OF_MESSAGES: u32 = 10;

/// How often sensors have to be read to keep this budget; None where there is none.
pub(super) fn look_every(budget: &Budget) -> Option<Duration> {
    budget.is_set().then(|| (budget.step / LOOKS_A_STEP).clamp(OFTENEST, SELDOMMEST))
}

/// The running thread.
pub(super) struct Governing {
    worker: Worker,
    /// What the owner wants from now on, until the thread has taken note of it.
    wanted: Arc<Mutex<Option<Wanted>>>,
}

/// What the thread is given beside the configuration.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// Turned by each step.
    pub(super) dial: Dial,
    /// Where events go.
    pub(super) way: Way,
}

impl Governing {
    /// Begins to look, until the stop; then the system is put back as it was found.
    pub(super) fn start(config: &Config, parts: Parts, stop: Stop) -> Result<Self, AppError> {
        let wanted = Arc::new(Mutex::new(None));
        let body = {
            let (config, wanted) = (config.clone(), Arc::clone(&wanted));
            // What an earlier run left is put back first, which takes its time.
            move || Ruler::new(&config, parts, wanted).run(&stop)
        };
        let worker = Worker::spawn("governor", body).map_err(|e| AppError::Start(e.into()))?;
        Ok(Self { worker, wanted })
    }

    /// The configuration is another one.
    pub(super) fn reload(&self, config: &Config) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Wanted::of(config));
    }

    /// Whether the thread has ended, which it does not do by itself.
    pub(super) fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Waits for the end after the stop.
    pub(super) fn join(self, clock: &Clock, at_most: Duration) -> bool {
        self.worker.join_within(clock, at_most)
    }
}

/// What the thread works with.
struct Ruler {
    parts: Parts,
    sysfs_root: PathBuf,
    state: PathBuf,
    wanted: Arc<Mutex<Option<Wanted>>>,
    now: Wanted,
    governor: Governor,
    system: System,
    lateness: Lateness,
    /// The readings that were judged last.
    judged: Option<Arc<Readings>>,
    said: BTreeSet<String>,
}

impl Ruler {
    fn new(config: &Config, parts: Parts, wanted: Arc<Mutex<Option<Wanted>>>) -> Self {
        let now = Wanted::of(config);
        let (sysfs_root, state) = (config.monitor.sysfs_root.clone(), config.paths.state.clone());
        let system = System::new(&sysfs_root, &now.budget.may_set, &state);
        let governor = Governor::new(now.budget.clone(), now.ladder(&system));
        let lateness = Lateness::new(Arc::clone(&parts.metrics), now.budget.step * STEPS_OF_MESSAGES);
        let said = BTreeSet::new();
        Self { parts, sysfs_root, state, wanted, now, governor, system, lateness, judged: None, said }
    }

    fn run(mut self, stop: &Stop) {
        self.tell_remarks();
        self.tell_ladder();
        loop {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(wanted) = wanted {
                self.change(wanted);
            }
            if self.now.budget.is_set() {
                self.look();
            }
            if stop.wait(look_every(&self.now.budget).unwrap_or(LOOK_AROUND).min(LOOK_AROUND)) {
                break;
            }
        }
        self.end();
    }

    /// Readings are judged once: the same ones told again would look as if nothing changed.
    fn look(&mut self) {
        let now = self.parts.clock.mono();
        let readings = self.parts.metrics.readings(now);
        if let (Some(new), Some(last)) = (&readings, &self.judged)
            && Arc::ptr_eq(new, last)
        {
            return;
        }
        let late = self.lateness.look(now);
        let seen = Seen {
            watts: readings.as_ref().and_then(|r| r.power.total_mw).map(|mw| mw as f64 / 1000.0),
            celsius: readings.as_ref().and_then(|r| r.hottest()).map(|t| t.millicelsius as f64 / 1000.0),
            p99_ms: if let Late::P99Ms(ms) = late { Some(ms) } else { None },
            p99_waits: late == Late::Waits,
        };
        self.tell_total(readings.as_deref());
        let step = self.governor.look(&seen, now);
        for notice in self.governor.notices() {
            self.say(notice);
        }
        if let Some(mut step) = step {
            // A sensor that lies is found by its name.
            let hottest = readings.as_ref().and_then(|r| r.hottest()).filter(|_| step.limit == Some(Limit::Celsius));
            step.reason.extend(hottest.map(|t| format!(" ({})", t.sensor)));
            self.take(&step);
        }
        self.judged = readings;
    }

    /// Watts that are compared with a limit for the device, and are not the device's.
    fn tell_total(&mut self, readings: Option<&Readings>) {
        let total = readings.and_then(|r| r.power.total_of).filter(|_| self.now.budget.max_watts.is_some());
        let what = match total {
            Some(TotalOf::Processor) => "the processor alone; what else the device draws is not in it",
            Some(TotalOf::Estimate) => "an estimate by the rails, since the input is not measured",
            Some(TotalOf::Input | TotalOf::Rails) | None => return,
        };
        if self.said.insert(format!("total {what}")) {
            log::warn!(stage = "governor"; "budget.max_watts: the watts that are read are {what}; docs/power.md says more");
        }
    }

    fn take(&mut self, step: &Step) {
        self.carry_out();
        self.lateness.forget();
        let word = match step.direction() {
            BudgetMove::Down => "given up",
            BudgetMove::Up => "given back",
        };
        let Step { to, of, rung, reason, .. } = step;
        log::info!(stage = "governor"; "{rung} is {word}, level {to} of {of}: {reason}");
        let budget = &self.parts.metrics.budget;
        match step.direction() {
            BudgetMove::Down => budget.steps_down_total.inc(),
            BudgetMove::Up => budget.steps_up_total.inc(),
        }
        self.tell(step.what());
    }

    /// Whoever hears of the event may look at the metric at once.
    fn tell(&self, what: What) {
        self.tell_level();
        self.tell_event(what);
    }

    fn tell_event(&self, what: What) {
        let at = self.parts.clock.now();
        self.parts.way.event(Event { camera: None, at, frame_seq: None, what, subject: None, snapshots: Vec::new() });
    }

    fn tell_level(&self) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.parts.metrics.budget.level.set(number(self.governor.level()));
        self.parts.metrics.budget.levels.set(number(self.governor.ladder().len()));
    }

    fn tell_remarks(&mut self) {
        for remark in self.system.remarks() {
            log::warn!(stage = "governor"; "{remark}");
        }
    }

    fn tell_ladder(&self) {
        self.tell_level();
        if !self.now.budget.is_set() {
            return;
        }
        let rungs: Vec<_> = self.governor.ladder().rungs().iter().map(ToString::to_string).collect();
        if rungs.is_empty() {
            log::warn!(stage = "governor"; "there is a budget, and nothing on this device that could be given up for it");
        } else {
            log::info!(stage = "governor"; "what may be given up to keep the budget: {}", rungs.join(", "));
        }
    }

    /// The owner wants something else: what is no more to be given up is given back at once, and what the system was found as is put back
    /// before anybody forgets it.
    fn change(&mut self, wanted: Wanted) {
        let before = (self.governor.level(), self.governor.effect());
        let lowest = self.governor.ladder().rungs().first().map(ToString::to_string).unwrap_or_default();
        let budget = wanted.budget.clone();
        if budget.may_set != self.now.budget.may_set {
            self.set_system(&Effect::default());
            self.system = System::new(&self.sysfs_root, &budget.may_set, &self.state);
            self.tell_remarks();
        }
        let ladder = wanted.ladder(&self.system);
        let is_same = budget == self.now.budget && ladder == *self.governor.ladder();
        let has_other_limits = budget != self.now.budget;
        self.now = wanted;
        if is_same {
            return;
        }
        if has_other_limits {
            self.lateness = Lateness::new(Arc::clone(&self.parts.metrics), budget.step * STEPS_OF_MESSAGES);
            self.governor.change(budget, ladder);
        } else {
            self.governor.change_ladder(ladder);
        }
        self.carry_out();
        self.tell_ladder();
        if self.governor.effect() != before.1 {
            self.tell_changed(before.0, lowest);
        }
    }

    /// The configuration took something of what was given up away, or put something else in its place.
    fn tell_changed(&self, before: usize, lowest: String) {
        let (level, rungs) = (self.governor.level(), self.governor.ladder().rungs());
        let budget = &self.parts.metrics.budget;
        let (step, rung, why) = if level < before {
            budget.steps_up_total.inc();
            (BudgetMove::Up, rungs.get(level), "there is less that may be given up")
        } else {
            budget.steps_down_total.inc();
            (BudgetMove::Down, level.checked_sub(1).and_then(|last| rungs.get(last)), "other things are given up")
        };
        log::info!(stage = "governor"; "level {level}, {before} before: the configuration was changed: {why}");
        let rung = rung.map_or(lowest, ToString::to_string);
        self.tell(self.without_readings(level, rung, step, &format!("the configuration was changed: {why}")));
    }

    /// What holds ends with the program: nobody should go on believing in it. The system is put back as it was found.
    fn end(&mut self) {
        let level = self.governor.level();
        if let Some(lowest) = self.governor.ladder().rungs().first().filter(|_| level > 0) {
            self.parts.metrics.budget.level.set(0);
            log::info!(stage = "governor"; "all is given back, level 0, {level} before: the daemon stops");
            self.tell_event(self.without_readings(0, lowest.to_string(), BudgetMove::Up, "the daemon stops"));
        }
        self.set_system(&Effect::default());
    }

    fn without_readings(&self, level: usize, rung: String, step: BudgetMove, reason: &str) -> What {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        What::BudgetStep {
            level: number(level),
            levels: number(self.governor.ladder().len()),
            rung,
            step,
            reason: reason.to_owned(),
            watts: None,
            celsius: None,
            p99_ms: None,
        }
    }

    fn carry_out(&mut self) {
        let effect = self.governor.effect();
        self.parts.dial.set(setting(&effect));
        self.set_system(&effect);
    }

    fn set_system(&mut self, effect: &Effect) {
        for failed in self.system.set(effect.nvpmode.as_deref(), effect.cpu_governor.as_deref()) {
            // What the system does not let happen now, it will not at the next step either.
            let so = if matches!(failed, SystemError::Note { .. }) { "" } else { "; that step has no effect" };
            if self.said.insert(failed.to_string()) {
                log::warn!(stage = "governor"; "{failed}{so}");
            }
        }
    }

    fn say(&self, notice: Notice) {
        let (Notice::Blind(limit) | Notice::Sees(limit) | Notice::Spent(limit)) = notice;
        let name = limit.key();
        match notice {
            Notice::Blind(_) => {
                let hint = "`peregrine probe` shows what is measured";
                log::warn!(stage = "governor"; "budget.{name}: there is no reading, so nothing is done for it; {hint}");
            }
            Notice::Sees(_) => log::info!(stage = "governor"; "budget.{name}: there is a reading again"),
            Notice::Spent(_) => {
                log::warn!(stage = "governor"; "budget.{name}: everything is given up, and the limit is still not kept");
            }
        }
    }
}

fn setting(effect: &Effect) -> Setting {
    Setting {
        interval_times: effect.interval_times,
        rate_parts: effect.rate_parts,
        model: effect.model.clone(),
        classifier_off: effect.classifier_off,
    }
}
