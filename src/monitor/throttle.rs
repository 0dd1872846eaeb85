//! What slows a board down: a Raspberry Pi's flags, a Jetson's cooling devices and over-current counters, a PC's counter of hot moments.
//!
//! The firmware of a Raspberry Pi remembers what it has seen in bits 16 to 19, yet the kernel's driver clears them every two seconds: what
//! was seen is kept here, for as long as the process runs; and since a drop of voltage may come and go between two looks, there is a glance
//! at these flags alone, to be taken more often than the driver clears them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::names::Names;
use super::sysfs::{self, Tree, entries, number, text};
use super::vcio;
use crate::types::{EventCount, Throttle};

/// Bits of `get_throttled`; sixteen further up, whether it ever was so.
const FLAGS: [&str; 4] = ["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"];
/// Beginnings of the names of cooling devices that slow processors; others are fans, or nothing that is felt.
const SLOWING: [&str; 5] = ["thermal-cpufreq", "thermal-devfreq", "cpufreq", "devfreq", "Processor"];
/// Over-current inputs of a Jetson.
const INPUTS: std::ops::RangeInclusive<u32> = 1..=8;

/// Keeps what was seen.
#[derive(Debug, Default)]
pub(super) struct Latch {
    seen: BTreeSet<String>,
    /// Seen by a glance since the last look.
    glimpsed: BTreeSet<String>,
    counts: BTreeMap<String, u64>,
}

impl Latch {
    /// What slows the board down now, and did since the first look.
    pub(super) fn look(&mut self, tree: &Tree) -> Throttle {
        self.glance(tree);
        let mut now = std::mem::take(&mut self.glimpsed);
        now.extend(cooling(tree));
        let events = events(tree);
        for Event { name, count, slows } in &events {
            // A counter that grew since the look before: it happened just now, and may be over.
            let before = self.counts.insert(name.clone(), *count);
            if *slows && before.is_some_and(|before| *count > before) {
                now.insert(name.clone());
            }
        }
        self.seen.extend(now.iter().cloned());
        Throttle {
            now: now.into_iter().collect(),
            seen: self.seen.iter().cloned().collect(),
            events: events.into_iter().map(|e| EventCount { name: e.name, count: e.count }).collect(),
        }
    }
}

impl Latch {
    /// A look at a Raspberry Pi's flags alone. What is set counts as set at the next look, too.
    pub(super) fn glance(&mut self, tree: &Tree) {
        if let Some(bits) = firmware(tree) {
            let set = |shift: usize| move |(bit, _): &(usize, &&str)| bits & (1 << (bit + shift)) != 0;
            let named = |(_, name): (usize, &&str)| (*name).to_owned();
            self.glimpsed.extend(FLAGS.iter().enumerate().filter(set(0)).map(named));
            self.seen.extend(FLAGS.iter().enumerate().filter(set(16)).map(named));
        }
        let alarm =
            |(name, chip): &(String, PathBuf)| name == "rpi_volt" && number(&chip.join("in0_lcrit_alarm")) == Some(1);
        if tree.chips().iter().any(alarm) {
            self.glimpsed.insert(FLAGS[0].to_owned());
        }
        self.seen.extend(self.glimpsed.iter().cloned());
    }
}

/// A Raspberry Pi's flags. The file is written in hexadecimal digits without `0x`; where it lies differs from one board to the next.
fn firmware(tree: &Tree) -> Option<u32> {
    let platform = tree.sys("devices/platform");
    let socs = entries(&platform).into_iter().filter(|p| sysfs::name(p) == "soc" || sysfs::name(p).starts_with("soc@"));
    let folders = std::iter::once(platform.clone()).chain(socs);
    let firmware = folders.flat_map(|folder| entries(&folder)).filter(|p| sysfs::name(p).ends_with("firmware"));
    let file = firmware.map(|folder| folder.join("get_throttled")).find(|file| file.exists());
    match file {
        Some(file) => hexadecimal(&text(&file)?),
        None => vcio::throttled(tree).ok(),
    }
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// Cooling devices that slow something down now.
fn cooling(tree: &Tree) -> Vec<String> {
    let slows = |kind: &str| kind.ends_with("throttle-alert") || SLOWING.iter().any(|s| kind.starts_with(s));
    let devices = tree.numbered("thermal", "cooling_device").into_iter();
    let acting = devices.filter(|device| number(&device.join("cur_state")).is_some_and(|state| state > 0));
    acting.filter_map(|device| text(&device.join("type"))).filter(|kind| slows(kind)).collect()
}

fn count(file: &Path) -> Option<u64> {
    u64::try_from(number(file)?).ok()
}

#[derive(Debug)]
struct Event {
    name: String,
    count: u64,
    /// Whether what is counted slows the board down.
    slows: bool,
}

fn events(tree: &Tree) -> Vec<Event> {
    let (chips, mut names) = (tree.chips(), Names::default());
    let over_current = chips.iter().flat_map(|(_, chip)| INPUTS.map(move |n| (n, chip))).filter_map(|(n, chip)| {
        let slows = number(&chip.join(format!("oc{n}_throt_en"))) != Some(0);
        let file = chip.join(format!("oc{n}_event_cnt"));
        let name = file.exists().then(|| names.unique(format!("oc{n}")))?;
        Some(Event { name, count: count(&file)?, slows })
    });
    let package = count(&tree.sys("devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"));
    let package = package.map(|count| Event { name: "package_throttle".to_owned(), count, slows: true });
    over_current.chain(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn names(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_the_kernel_clears_is_kept_here() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let (tree, mut latch) = (Tree::at(dir.path()), Latch::default());
        // 50005: under-voltage and throttled, now (bits 0, 2) and before (16, 18).
        write(dir.path(), file, "50005\n");
        let first = latch.look(&tree);
        assert_eq!(names(&first.now), ["throttled", "under_voltage"]);
        // The driver has cleared the sticky bits, and nothing is wrong any more.
        write(dir.path(), file, "0\n");
        let second = latch.look(&tree);
        assert_eq!((names(&second.now), names(&second.seen)), (vec![], vec!["throttled", "under_voltage"]));
        // 80008: the soft limit of temperature, now and before.
        write(dir.path(), file, "80008\n");
        let third = latch.look(&tree);
        assert_eq!(names(&third.now), ["soft_temperature_limit"]);
        assert_eq!(names(&third.seen), ["soft_temperature_limit", "throttled", "under_voltage"]);
    }

    #[test]
    fn flags_are_hexadecimal_without_a_mark_and_found_wherever_the_firmware_stands() {
        for (text, bits) in [("50000", 0x50000), ("0x50005", 0x50005), ("0", 0), ("a", 10)] {
            assert_eq!(hexadecimal(text), Some(bits));
        }
        assert_eq!(hexadecimal("nonsense"), None);
        for folder in ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware", "firmware"] {
            let dir = tempfile::tempdir().expect("a folder");
            write(dir.path(), &format!("sys/devices/platform/{folder}/get_throttled"), "50000\n");
            let throttle = Latch::default().look(&Tree::at(dir.path()));
            assert_eq!(
                (names(&throttle.now), names(&throttle.seen)),
                (vec![], vec!["throttled", "under_voltage"]),
                "{folder}"
            );
        }
    }

    #[test]
    fn a_drop_of_voltage_is_seen_through_the_kernels_driver() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), "sys/class/hwmon/hwmon1/name", "rpi_volt\n");
        write(dir.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        let mut latch = Latch::default();
        assert_eq!(names(&latch.look(&Tree::at(dir.path())).now), ["under_voltage"]);
        write(dir.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
        let after = latch.look(&Tree::at(dir.path()));
        assert_eq!((names(&after.now), names(&after.seen)), (vec![], vec!["under_voltage"]));
    }

    #[test]
    fn a_drop_of_voltage_between_two_looks_is_told_by_the_next_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let alarm = |set: &str| write(dir.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", set);
        write(dir.path(), "sys/class/hwmon/hwmon1/name", "rpi_volt\n");
        let (tree, mut latch) = (Tree::at(dir.path()), Latch::default());
        alarm("0\n");
        assert_eq!(latch.look(&tree), Throttle::default());
        alarm("1\n");
        latch.glance(&tree);
        alarm("0\n");
        latch.glance(&tree);
        let next = latch.look(&tree);
        assert_eq!((names(&next.now), names(&next.seen)), (vec!["under_voltage"], vec!["under_voltage"]));
        let after = latch.look(&tree);
        assert_eq!((names(&after.now), names(&after.seen)), (vec![], vec!["under_voltage"]));
    }

    #[test]
    fn a_counter_of_over_current_that_grows_slows_the_board_down_now_unless_it_is_not_armed() {
        let dir = tempfile::tempdir().expect("a folder");
        let set = |file: &str, text: &str| write(dir.path(), &format!("sys/class/hwmon/hwmon2/{file}"), text);
        set("name", "soctherm_oc");
        set("oc1_throt_en", "1");
        set("oc1_event_cnt", "7");
        set("oc2_throt_en", "0");
        set("oc2_event_cnt", "0");
        let (tree, mut latch) = (Tree::at(dir.path()), Latch::default());
        let first = latch.look(&tree);
        assert_eq!(names(&first.now), Vec::<&str>::new(), "what was counted before this process is no news");
        assert_eq!(first.events[0], EventCount { name: "oc1".to_owned(), count: 7 });
        set("oc1_event_cnt", "9");
        set("oc2_event_cnt", "3");
        assert_eq!(names(&latch.look(&tree).now), ["oc1"]);
        let last = latch.look(&tree);
        assert_eq!((names(&last.now), names(&last.seen)), (vec![], vec!["oc1"]));
    }

    #[test]
    fn a_cooling_device_counts_while_it_acts_and_a_fan_never() {
        let dir = tempfile::tempdir().expect("a folder");
        for (n, kind, state) in [
            (0, "pwm-fan", "3"),
            (1, "gpu-throttle-alert", "1"),
            (2, "cpu-throttle-alert", "0"),
            (3, "thermal-cpufreq-0", "2"),
        ] {
            write(dir.path(), &format!("sys/class/thermal/cooling_device{n}/type"), kind);
            write(dir.path(), &format!("sys/class/thermal/cooling_device{n}/cur_state"), state);
        }
        let throttle = Latch::default().look(&Tree::at(dir.path()));
        assert_eq!(names(&throttle.now), ["gpu-throttle-alert", "thermal-cpufreq-0"]);
    }
}
