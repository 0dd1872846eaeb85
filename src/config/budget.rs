//! `[budget]`: how much power, heat and delay the device may have, and what it gives up to keep to that, as typed and as used.
//!
//! Belongs here: what may be written, and what it means. Does not: when something is given up (see `monitor`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// What the device may use, and what it gives up to keep to that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetFile {
    /// Watts that the whole device may draw, on average over some seconds, by what is measured of it: on a PC the processor alone. No limit if
    /// not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 10_000), extend("examples" = [15.0]))]
    pub max_watts: Option<f64>,
    /// Degrees Celsius that the hottest sensor may show; no limit if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 120), extend("examples" = [80.0]))]
    pub max_celsius: Option<f64>,
    /// Milliseconds from capture to the broker's connection below which 99 of 100 messages should stay; no target if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000), extend("examples" = [400.0]))]
    pub target_p99_ms: Option<f64>,
    /// What is given up, first things first; it is given back in reverse. "interval": the detector looks more seldom where nothing
    /// happens; "rates": cameras are looked at more seldom, those of low priority first; "model": a smaller variant of the model, where
    /// one is installed; "classifier": no second stage; "nvpmodel": a lower power mode of a Jetson; "cpu_governor": slower processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Saving>>,
    /// Settings of the system, beyond this program, that may be changed: "nvpmodel", "cpu_governor". A clean stop puts them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_set: Option<Vec<MaySet>>,
    /// Seconds between two steps down, at least: how long a step needs until its effect can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub step_secs: Option<u64>,
    /// Seconds for which all limits must be kept with room to spare before a step is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub hold_secs: Option<u64>,
}

/// A way to use less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Saving {
    /// The detector looks more seldom where nothing happens.
    Interval,
    /// Cameras are looked at more seldom, those of low priority first.
    Rates,
    /// A smaller variant of the model.
    Model,
    /// No second stage.
    Classifier,
    /// A lower power mode of a Jetson.
    Nvpmodel,
    /// Slower processors.
    CpuGovernor,
}

impl Saving {
    /// Those that change nothing but this program, in the order that costs least first.
    pub const OWN: [Self; 4] = [Self::Interval, Self::Rates, Self::Model, Self::Classifier];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Rates => "rates",
            Self::Model => "model",
            Self::Classifier => "classifier",
            Self::Nvpmodel => "nvpmodel",
            Self::CpuGovernor => "cpu_governor",
        }
    }

    /// What the owner has to allow for it; None for what is this program's own.
    pub const fn needs(self) -> Option<MaySet> {
        match self {
            Self::Nvpmodel => Some(MaySet::Nvpmodel),
            Self::CpuGovernor => Some(MaySet::CpuGovernor),
            Self::Interval | Self::Rates | Self::Model | Self::Classifier => None,
        }
    }
}

/// A setting of the system that may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaySet {
    /// The power mode of a Jetson.
    Nvpmodel,
    /// The governor of the processors' clocks.
    CpuGovernor,
}

/// What the device may use, and what it gives up to keep to that.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Watts of the whole device.
    pub max_watts: Option<f64>,
    /// Of the hottest sensor.
    pub max_celsius: Option<f64>,
    /// Of 99 of 100 messages.
    pub target_p99_ms: Option<f64>,
    /// What is given up, first things first; nothing in it that is not allowed.
    pub order: Vec<Saving>,
    /// What may be changed beyond this program.
    pub may_set: Vec<MaySet>,
    /// Between two steps down.
    pub step: Duration,
    /// Before a step is given back.
    pub hold: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_watts: None,
            max_celsius: None,
            target_p99_ms: None,
            order: Saving::OWN.to_vec(),
            may_set: Vec::new(),
            step: Duration::from_secs(30),
            hold: Duration::from_secs(60),
        }
    }
}

impl Budget {
    pub(super) fn resolve(section: &str, typed: &BudgetFile, r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        let budget = Self {
            max_watts: typed.max_watts,
            max_celsius: typed.max_celsius,
            target_p99_ms: typed.target_p99_ms,
            order: typed.order.clone().unwrap_or(by_default.order),
            may_set: typed.may_set.clone().unwrap_or_default(),
            step: typed.step_secs.map_or(by_default.step, Duration::from_secs),
            hold: typed.hold_secs.map_or(by_default.hold, Duration::from_secs),
        };
        let order = format!("{section}.order");
        for (n, saving) in budget.order.iter().enumerate() {
            let name = saving.as_str();
            if budget.order[..n].contains(saving) {
                r.error(&order, format!("{name:?} stands in it twice; name each once"));
            } else if saving.needs().is_some_and(|setting| !budget.may_set.contains(&setting)) {
                let right = format!("add {name:?} to {section}.may_set, or leave it out here");
                r.error(
                    &order,
                    format!("{name:?} changes the system beyond this program, which is not allowed; {right}"),
                );
            }
        }
        for setting in &budget.may_set {
            if !budget.order.iter().any(|saving| saving.needs() == Some(*setting)) {
                let what = "allows what is not in `order`, so it is never used";
                r.warn(&format!("{section}.may_set"), what);
            }
        }
        if budget.is_set() && budget.order.is_empty() {
            r.error(
                &order,
                "empty, yet there is a limit; name at least one thing that may be given up, e.g. [\"interval\"]",
            );
        }
        budget
    }

    pub(super) fn typed(&self) -> BudgetFile {
        BudgetFile {
            max_watts: self.max_watts,
            max_celsius: self.max_celsius,
            target_p99_ms: self.target_p99_ms,
            order: Some(self.order.clone()),
            may_set: Some(self.may_set.clone()),
            step_secs: Some(self.step.as_secs()),
            hold_secs: Some(self.hold.as_secs()),
        }
    }

    /// Whether there is any limit.
    pub fn is_set(&self) -> bool {
        self.max_watts.is_some() || self.max_celsius.is_some() || self.target_p99_ms.is_some()
    }
}
