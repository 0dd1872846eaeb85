//! What the owner wants the device to keep to, and what there is to give up for it. Belongs here: reading that from the configuration. Does
//! not: what the system offers, and when something is given up (see `monitor`).

use crate::config::{Budget, Config, Priority};
use crate::monitor::System;
use crate::monitor::governor::{Group, Ladder, Offer};
use crate::pipeline;

/// What the owner wants, and what there is to give up for it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) budget: Budget,
    /// But for what the system offers.
    offer: Offer,
}

impl Wanted {
    pub(super) fn of(config: &Config) -> Self {
        let cameras = || config.cameras.values().filter(|camera| camera.enabled);
        let group = |priority| match priority {
            Priority::Low => Group::Low,
            Priority::Medium => Group::Medium,
            Priority::High => Group::High,
        };
        let groups = Group::ALL.into_iter().filter(|g| cameras().any(|camera| group(camera.priority) == *g));
        let offer = Offer {
            interval: true,
            groups: groups.collect(),
            models: pipeline::smaller_models(config),
            classifier: !config.classify.is_empty(),
            ..Offer::default()
        };
        Self { budget: config.budget.clone(), offer }
    }

    /// Without a limit there is nothing to give up.
    pub(super) fn ladder(&self, system: &System) -> Ladder {
        if !self.budget.is_set() {
            return Ladder::default();
        }
        let (nvpmodes, cpu_governor) = (system.nvpmodes(), system.cpu_governor());
        Ladder::new(&self.budget, &Offer { nvpmodes, cpu_governor, ..self.offer.clone() })
    }
}
