//! The ladder: what can be given up on this device, as rungs in the owner's order, and what a number of rungs amounts to. Pure.
//!
//! Belongs here: which rungs there are and what they mean together. Does not: when one is taken, and who does what it says.

use std::fmt;

use crate::config::{Budget, Saving};

/// A camera's priority, as far as the ladder tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Gives up first.
    Low,
    /// Then this one.
    Medium,
    /// Gives up last.
    High,
}

impl Group {
    /// Every one, in the order in which they give up.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What this device has that could be given up. What is not there has no rung.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Whether the detector may look more seldom where nothing happens.
    pub interval: bool,
    /// The priorities that cameras have.
    pub groups: Vec<Group>,
    /// Installed variants of the model that are smaller than the one in use, the largest of them first.
    pub models: Vec<String>,
    /// Whether there is a second stage.
    pub classifier: bool,
    /// Power modes below the one in use that need no restart of the device, the highest of them first.
    pub nvpmodes: Vec<String>,
    /// The governor of the processors' clocks that saves most, where it is not in use already.
    pub cpu_governor: Option<String>,
}

/// One thing that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rung {
    /// Where nothing happens the detector looks so many times more seldom than it would.
    Interval {
        /// How many times.
        times: u32,
    },
    /// Cameras of this priority are looked at at one `part`th of their rate.
    Rate {
        /// Which cameras.
        group: Group,
        /// 2 is half.
        part: u32,
    },
    /// This variant of the model.
    Model {
        /// Its name.
        name: String,
    },
    /// No second stage.
    ClassifierOff,
    /// This power mode of a Jetson.
    Nvpmodel {
        /// Its name.
        mode: String,
    },
    /// This governor of the processors' clocks.
    CpuGovernor {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval { times } => write!(f, "interval x{times}"),
            Self::Rate { group, part } => write!(f, "rates {} 1/{part}", group.as_str()),
            Self::Model { name } => write!(f, "model {name}"),
            Self::ClassifierOff => f.write_str("classifier off"),
            Self::Nvpmodel { mode } => write!(f, "nvpmodel {mode}"),
            Self::CpuGovernor { name } => write!(f, "cpu_governor {name}"),
        }
    }
}

/// What holds while some rungs are taken. Whoever carries it out compares it with what holds now, and changes what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// How many times more seldom the detector looks where nothing happens; 1 as configured.
    pub interval_times: u32,
    /// By [`Group`]: one `part`th of the rate; 1 as configured.
    pub rate_parts: [u32; 3],
    /// The variant of the model; None as configured.
    pub model: Option<String>,
    /// Whether there is no second stage.
    pub classifier_off: bool,
    /// The power mode; None as found.
    pub nvpmode: Option<String>,
    /// The governor of the processors' clocks; None as found.
    pub cpu_governor: Option<String>,
}

impl Default for Effect {
    fn default() -> Self {
        Self {
            interval_times: 1,
            rate_parts: [1; 3],
            model: None,
            classifier_off: false,
            nvpmode: None,
            cpu_governor: None,
        }
    }
}

impl Effect {
    /// The share of its rate that a camera of this priority has.
    pub fn rate_share(&self, group: Group) -> f64 {
        1.0 / f64::from(self.rate_parts[group as usize])
    }

    fn with(mut self, rung: &Rung) -> Self {
        match rung {
            Rung::Interval { times } => self.interval_times = *times,
            Rung::Rate { group, part } => self.rate_parts[*group as usize] = *part,
            Rung::Model { name } => self.model = Some(name.clone()),
            Rung::ClassifierOff => self.classifier_off = true,
            Rung::Nvpmodel { mode } => self.nvpmode = Some(mode.clone()),
            Rung::CpuGovernor { name } => self.cpu_governor = Some(name.clone()),
        }
        self
    }
}

/// The rungs, first things first. Level 0 is as configured; level n has the first n rungs taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

impl Ladder {
    /// What of this offer may be given up, in the owner's order. What needs the owner's leave and does not have it is never on a ladder.
    pub fn new(settings: &Budget, offer: &Offer) -> Self {
        let allowed = |saving: &&Saving| saving.needs().is_none_or(|setting| settings.may_set.contains(&setting));
        let mut rungs: Vec<Rung> = Vec::new();
        for saving in settings.order.iter().filter(allowed) {
            match saving {
                Saving::Interval if offer.interval => rungs.extend([2, 4].map(|times| Rung::Interval { times })),
                Saving::Rates => {
                    let groups = Group::ALL.into_iter().filter(|group| offer.groups.contains(group));
                    rungs.extend(groups.flat_map(|group| [2, 4].map(|part| Rung::Rate { group, part })));
                }
                Saving::Model => rungs.extend(offer.models.iter().map(|name| Rung::Model { name: name.clone() })),
                Saving::Classifier if offer.classifier => rungs.push(Rung::ClassifierOff),
                Saving::Nvpmodel => {
                    rungs.extend(offer.nvpmodes.iter().map(|mode| Rung::Nvpmodel { mode: mode.clone() }));
                }
                Saving::CpuGovernor => {
                    rungs.extend(offer.cpu_governor.iter().map(|name| Rung::CpuGovernor { name: name.clone() }));
                }
                Saving::Interval | Saving::Classifier => {}
            }
        }
        Self { rungs }
    }

    /// The rungs, in the order in which they are taken.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// How many rungs there are: the highest level.
    pub fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Whether there is nothing to give up.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// What holds at a level; beyond the last rung as at the last.
    pub fn at(&self, level: usize) -> Effect {
        self.rungs.iter().take(level).fold(Effect::default(), Effect::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MaySet;

    fn everything() -> Offer {
        Offer {
            interval: true,
            groups: vec![Group::High, Group::Low, Group::Medium],
            models: vec!["yolov8n_416".to_owned(), "yolov8n_320".to_owned()],
            classifier: true,
            nvpmodes: vec!["15W".to_owned()],
            cpu_governor: Some("powersave".to_owned()),
        }
    }

    fn names(ladder: &Ladder) -> Vec<String> {
        ladder.rungs().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn low_cameras_give_up_before_medium_ones_and_the_system_is_left_alone() {
        let ladder = Ladder::new(&Budget::default(), &everything());
        let expected = [
            "interval x2",
            "interval x4",
            "rates low 1/2",
            "rates low 1/4",
            "rates medium 1/2",
            "rates medium 1/4",
            "rates high 1/2",
            "rates high 1/4",
            "model yolov8n_416",
            "model yolov8n_320",
            "classifier off",
        ];
        assert_eq!(names(&ladder), expected);
    }

    #[test]
    fn the_owners_order_holds_and_what_is_not_there_has_no_rung() {
        let order = vec![Saving::Model, Saving::Nvpmodel, Saving::Interval, Saving::Rates, Saving::Classifier];
        let may_set = vec![MaySet::Nvpmodel];
        let settings = Budget { order, may_set, ..Budget::default() };
        let offer = Offer { interval: false, groups: vec![Group::Medium], classifier: false, ..everything() };
        let expected =
            ["model yolov8n_416", "model yolov8n_320", "nvpmodel 15W", "rates medium 1/2", "rates medium 1/4"];
        assert_eq!(names(&Ladder::new(&settings, &offer)), expected);
        assert!(Ladder::new(&settings, &Offer::default()).is_empty());
    }

    #[test]
    fn the_system_is_never_on_the_ladder_without_leave_whatever_the_order_says() {
        let order = vec![Saving::Nvpmodel, Saving::CpuGovernor];
        let without = Budget { order: order.clone(), ..Budget::default() };
        assert!(Ladder::new(&without, &everything()).is_empty());
        let one = Budget { order, may_set: vec![MaySet::CpuGovernor], ..Budget::default() };
        assert_eq!(names(&Ladder::new(&one, &everything())), ["cpu_governor powersave"]);
    }

    #[test]
    fn a_level_is_the_sum_of_its_rungs_and_the_last_of_a_kind_holds() {
        let ladder = Ladder::new(&Budget::default(), &everything());
        assert_eq!(ladder.at(0), Effect::default());
        let at_five = Effect { interval_times: 4, rate_parts: [4, 2, 1], ..Effect::default() };
        assert_eq!(ladder.at(5), at_five);
        let shares = Group::ALL.map(|group| at_five.rate_share(group));
        assert_eq!(shares, [0.25, 0.5, 1.0]);
        let all = ladder.at(ladder.len());
        assert_eq!((all.model.as_deref(), all.classifier_off, all.rate_parts), (Some("yolov8n_320"), true, [4; 3]));
        assert_eq!(ladder.at(ladder.len() + 7), all);
    }
}
