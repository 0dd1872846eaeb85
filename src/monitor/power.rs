//! Power: which of a board's meters are read, and what their total is.

use std::io;
use std::time::Duration;

use super::ina::{self, Found};
use super::notes::Notes;
use super::rapl::{self, Energy};
use super::sysfs::Tree;
use super::{pmic, vcio};
use crate::types::{Power, Rail, TotalOf};

/// Rails on which everything else hangs, the outermost first: Thor's carrier board, modules of Xavier NX and Orin NX and Nano, the first
/// Nano, a server's mains.
const INPUTS: [&str; 4] = ["VIN", "VDD_IN", "POM_5V_IN", "power_meter"];

/// Reads power; keeps what it takes to tell power from energy.
#[derive(Debug, Default)]
pub(super) struct Meters {
    energy: Energy,
    /// Whether there was a meter at the last look, readable or not.
    has_any: bool,
}

impl Meters {
    /// What is measured here and now.
    pub(super) fn look(&mut self, tree: &Tree, now: Duration, notes: &mut Notes) -> Power {
        self.has_any = true;
        let found = ina::rails(tree, notes);
        if !found.rails.is_empty() || found.incomplete {
            return of_rails(found, notes);
        }
        match vcio::command(tree, "pmic_read_adc") {
            Ok(answer) => {
                let (rails, total_mw) = pmic::parsed(&answer);
                if !rails.is_empty() {
                    return Power { total_mw, total_of: total_mw.and(Some(TotalOf::Estimate)), rails };
                }
            }
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                notes.say("vcio", || {
                    format!("power: the firmware cannot be asked: {why}; docs/power.md says what it takes")
                });
            }
            Err(_) => {}
        }
        self.has_any = rapl::is_there(tree);
        let (rails, total_mw) = self.energy.look(tree, now, notes);
        Power { total_mw, total_of: total_mw.and(Some(TotalOf::Processor)), rails }
    }

    /// Whether there is a meter, readable or not.
    pub(super) fn has_any(&self) -> bool {
        self.has_any
    }
}

fn of_rails(found: Found, notes: &mut Notes) -> Power {
    let input = INPUTS.iter().find_map(|name| found.rails.iter().find(|rail| rail.name == *name));
    let (total_mw, total_of) = match input {
        Some(rail) => (rail.milliwatts, TotalOf::Input),
        None if found.incomplete => {
            notes.say("total", || "power: there is no total, since a part of it cannot be read".to_owned());
            (None, TotalOf::Rails)
        }
        None => (Some(sum(&found.rails)), TotalOf::Rails),
    };
    Power { total_mw, total_of: total_mw.and(Some(total_of)), rails: found.rails }
}

fn sum(rails: &[Rail]) -> i64 {
    rails.iter().filter_map(|rail| rail.milliwatts).sum()
}
