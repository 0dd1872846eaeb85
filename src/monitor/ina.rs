//! Power monitors on the I2C bus: INA3221 through hwmon (JetPack 5 on) and through NVIDIA's own driver (JetPack 4), INA238 on Thor's
//! carrier board, and the power meter that servers have.
//!
//! An INA3221 has three channels. A channel that is not connected is labelled `NC` or not at all; channel 7 is the sum of the shunts'
//! voltages, channels 4 to 6 are the shunts themselves: none of them is a rail.

use std::io;
use std::path::Path;

use super::names::Names;
use super::notes::Notes;
use super::sysfs::{self, Tree, entries, measured, number, text};
use crate::types::Rail;

/// What was found on the bus.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rails: Vec<Rail>,
    /// A rail is there and could not be read: a sum without it would be too small.
    pub(super) incomplete: bool,
    names: Names,
}

/// Reads every power monitor.
pub(super) fn rails(tree: &Tree, notes: &mut Notes) -> Found {
    let mut found = Found::default();
    for (name, chip) in tree.chips() {
        match name.as_str() {
            "ina3221" => (1..=3).for_each(|n| found.take(of_hwmon(&chip, n), notes)),
            "ina238" => found.take(microwatts(&chip, "VIN", "power1_input"), notes),
            // Many servers show one that cannot be read. It hides no other meter.
            "power_meter" => {
                found.take_if_read(microwatts(&chip, "power_meter", "power1_average"), notes);
            }
            _ => {}
        }
    }
    for device in entries(&tree.sys("bus/i2c/drivers/ina3221x")) {
        for iio in entries(&device).iter().filter(|p| sysfs::name(p).starts_with("iio:device")) {
            (0..=2).for_each(|n| found.take(of_iio(iio, n), notes));
        }
    }
    found
}

/// A rail, or what it is called and why it cannot be read.
type Outcome = Option<Result<Rail, (String, io::Error)>>;

impl Found {
    fn take(&mut self, outcome: Outcome, notes: &mut Notes) {
        match outcome {
            None => {}
            Some(Ok(rail)) => {
                let name = self.names.unique(rail.name);
                self.rails.push(Rail { name, ..rail });
            }
            Some(Err((name, why))) => {
                self.incomplete = true;
                let name = self.names.unique(name);
                notes.say(&format!("rail {name}"), || format!("power: {name} cannot be read: {why}"));
            }
        }
    }

    /// As [`Found::take`], of what no sum waits for.
    fn take_if_read(&mut self, outcome: Outcome, notes: &mut Notes) {
        let before = self.incomplete;
        self.take(outcome, notes);
        self.incomplete = before;
    }
}

/// A channel's label, unless nothing is connected to it.
fn connected(label: &Path) -> Option<String> {
    text(label).filter(|label| !label.eq_ignore_ascii_case("NC") && !label.starts_with("sum of"))
}

fn of_hwmon(chip: &Path, n: u32) -> Outcome {
    let name = connected(&chip.join(format!("in{n}_label")))?;
    let (volts, amps) = (chip.join(format!("in{n}_input")), chip.join(format!("curr{n}_input")));
    // A label alone is no rail.
    std::fs::symlink_metadata(&amps).ok()?;
    let both = measured(&volts).and_then(|mv| Ok((mv, measured(&amps)?)));
    Some(both.map(|(mv, ma)| rail(&name, (mv * ma + 500) / 1000, Some(mv), Some(ma))).map_err(|e| (name, e)))
}

fn of_iio(device: &Path, n: u32) -> Outcome {
    let name = connected(&device.join(format!("rail_name_{n}")))?;
    let milliwatts = measured(&device.join(format!("in_power{n}_input")));
    let (volts, amps) = (device.join(format!("in_voltage{n}_input")), device.join(format!("in_current{n}_input")));
    Some(milliwatts.map(|mw| rail(&name, mw, number(&volts), number(&amps))).map_err(|e| (name, e)))
}

fn microwatts(chip: &Path, name: &str, file: &str) -> Outcome {
    let name = text(&chip.join("power1_label")).unwrap_or_else(|| name.to_owned());
    let (volts, amps) = (chip.join("in1_input"), chip.join("curr1_input"));
    let power = measured(&chip.join(file));
    Some(power.map(|uw| rail(&name, (uw + 500) / 1000, number(&volts), number(&amps))).map_err(|e| (name, e)))
}

fn rail(name: &str, milliwatts: i64, millivolts: Option<i64>, milliamps: Option<i64>) -> Rail {
    Rail { name: name.to_owned(), milliwatts: Some(milliwatts), millivolts, milliamps }
}
