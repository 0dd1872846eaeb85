//! Temperature sensors: thermal zones, which every board has, and hwmon chips, which PCs have besides.

use std::path::Path;

use serde::Serialize;

use super::sysfs::{self, Sysfs};

/// Numbers of temperature inputs that are looked for in a hwmon chip; a server processor has one a core.
const INPUTS: std::ops::RangeInclusive<u32> = 1..=64;

/// A temperature sensor and what it says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sensor {
    /// As the driver names it, e.g. `cpu-thermal`, `k10temp/Tctl`.
    pub name: String,
    /// Thousandths of a degree Celsius; None while the driver has no value (a sleeping GPU).
    pub millicelsius: Option<i64>,
}

/// Every sensor of this device.
pub fn sensors() -> Vec<Sensor> {
    in_tree(&Sysfs::of_this_device())
}

fn in_tree(sys: &Sysfs) -> Vec<Sensor> {
    let zones = sys.folders("class/thermal", "thermal_zone").into_iter().map(|zone| Sensor {
        name: sysfs::text(&zone.join("type")).unwrap_or_else(|| "unnamed".to_owned()),
        millicelsius: sysfs::number(&zone.join("temp")),
    });
    let chips = sys.folders("class/hwmon", "hwmon");
    zones.chain(chips.iter().flat_map(|chip| of_chip(chip))).collect()
}

fn of_chip(chip: &Path) -> Vec<Sensor> {
    let name = sysfs::text(&chip.join("name")).unwrap_or_else(|| "unnamed".to_owned());
    INPUTS
        .filter_map(|i| {
            let input = chip.join(format!("temp{i}_input"));
            input.exists().then(|| {
                let label = sysfs::text(&chip.join(format!("temp{i}_label"))).unwrap_or_else(|| format!("temp{i}"));
                Sensor { name: format!("{name}/{label}"), millicelsius: sysfs::number(&input) }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_chips_are_read_and_a_sensor_without_a_value_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join("class").join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("thermal/thermal_zone10/type", "gpu-thermal\n");
        write("thermal/thermal_zone2/type", "cpu-thermal\n");
        write("thermal/thermal_zone2/temp", "48312\n");
        write("thermal/cooling_device0/type", "fan\n");
        write("hwmon/hwmon0/name", "k10temp\n");
        write("hwmon/hwmon0/temp1_input", "51000\n");
        write("hwmon/hwmon0/temp1_label", "Tctl\n");
        write("hwmon/hwmon0/temp3_input", "nonsense\n");
        let found = in_tree(&Sysfs::at(dir.path()));
        let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.millicelsius)).collect();
        let want = [
            ("cpu-thermal", Some(48312)),
            ("gpu-thermal", None),
            ("k10temp/Tctl", Some(51000)),
            ("k10temp/temp3", None),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_device_without_sensors_has_none() {
        assert_eq!(in_tree(&Sysfs::at(Path::new("/nonexistent"))), []);
    }
}
