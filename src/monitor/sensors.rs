//! Temperature sensors: thermal zones, which every board has, and hwmon chips, which PCs have besides.

use std::path::Path;

use serde::Serialize;

use super::names::Names;
use super::sysfs::{self, Tree};

/// Numbers of temperature inputs that are looked for in a hwmon chip; a server processor has one a core.
const INPUTS: std::ops::RangeInclusive<u32> = 1..=64;

/// A temperature sensor and what it says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sensor {
    /// As the driver names it, e.g. `cpu-thermal`, `k10temp/Tctl`; the second of that name `k10temp/Tctl#2`.
    pub name: String,
    /// Thousandths of a degree Celsius; None while the driver has no value (a sleeping GPU), or calls it a fault (nothing connected).
    pub millicelsius: Option<i64>,
    /// Whether the owner does not want it to be believed.
    pub ignored: bool,
}

/// Zones that say the same at all times: a Jetson's power chip is at 100 °C by its driver.
const CONSTANT: [&str; 2] = ["PMIC-Die", "PMIC_Die"];
/// What no board survives: a zone without power says -256 °C, a broken one anything.
const PLAUSIBLE_MILLICELSIUS: std::ops::RangeInclusive<i64> = -60_000..=150_000;

/// Every sensor of a device; of those that are to be ignored nothing but the name counts.
pub(super) fn in_tree(tree: &Tree, ignored: &[String]) -> Vec<Sensor> {
    let zones = tree.numbered("thermal", "thermal_zone").into_iter().map(|zone| {
        let name = sysfs::text(&zone.join("type")).unwrap_or_else(|| "unnamed".to_owned());
        sensor(name, plausible(&zone.join("temp")))
    });
    let zones = zones.filter(|zone| !CONSTANT.contains(&zone.name.as_str()));
    let mut all: Vec<Sensor> = zones.chain(tree.chips().iter().flat_map(|(name, chip)| of_chip(name, chip))).collect();
    let mut names = Names::default();
    for sensor in &mut all {
        sensor.name = names.unique(std::mem::take(&mut sensor.name));
        sensor.ignored = ignored.contains(&sensor.name);
    }
    all
}

fn sensor(name: String, millicelsius: Option<i64>) -> Sensor {
    Sensor { name, millicelsius, ignored: false }
}

fn of_chip(name: &str, chip: &Path) -> Vec<Sensor> {
    // The kernel shows thermal zones a second time as chips.
    if chip.join("device/temp").exists() {
        return Vec::new();
    }
    INPUTS
        .filter_map(|i| {
            let input = chip.join(format!("temp{i}_input"));
            input.exists().then(|| {
                let label = sysfs::text(&chip.join(format!("temp{i}_label"))).unwrap_or_else(|| format!("temp{i}"));
                // The driver knows that nothing is connected, and shows some number all the same.
                let is_faulty = sysfs::number(&chip.join(format!("temp{i}_fault"))) == Some(1);
                sensor(format!("{name}/{label}"), if is_faulty { None } else { plausible(&input) })
            })
        })
        .collect()
}

fn plausible(file: &Path) -> Option<i64> {
    sysfs::number(file).filter(|m| PLAUSIBLE_MILLICELSIUS.contains(m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_chips_are_read_and_a_sensor_without_a_value_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join("sys/class").join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("thermal/thermal_zone10/type", "gpu-thermal\n");
        write("thermal/thermal_zone2/type", "cpu-thermal\n");
        write("thermal/thermal_zone2/temp", "48312\n");
        write("thermal/cooling_device0/type", "fan\n");
        write("thermal/thermal_zone11/type", "PMIC-Die\n");
        write("thermal/thermal_zone11/temp", "100000\n");
        write("thermal/thermal_zone12/type", "cv0-thermal\n");
        write("thermal/thermal_zone12/temp", "-256000\n");
        write("hwmon/hwmon7/name", "cpu_thermal\n");
        write("hwmon/hwmon7/temp1_input", "48312\n");
        write("hwmon/hwmon7/device/temp", "48312\n");
        write("hwmon/hwmon0/name", "k10temp\n");
        write("hwmon/hwmon0/temp1_input", "51000\n");
        write("hwmon/hwmon0/temp1_label", "Tctl\n");
        write("hwmon/hwmon0/temp3_input", "nonsense\n");
        write("hwmon/hwmon0/temp4_input", "127000\n");
        write("hwmon/hwmon0/temp4_fault", "1\n");
        write("hwmon/hwmon0/temp5_input", "40000\n");
        write("hwmon/hwmon0/temp5_fault", "0\n");
        let found = in_tree(&Tree::at(dir.path()), &[]);
        let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.millicelsius)).collect();
        let want = [
            ("cpu-thermal", Some(48312)),
            ("gpu-thermal", None),
            ("cv0-thermal", None),
            ("k10temp/Tctl", Some(51000)),
            ("k10temp/temp3", None),
            ("k10temp/temp4", None),
            ("k10temp/temp5", Some(40000)),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_device_without_sensors_has_none() {
        assert_eq!(in_tree(&Tree::at(Path::new("/nonexistent")), &[]), []);
    }
}
