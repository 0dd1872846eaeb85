//! Fans: how hard they are driven and how fast they turn, through hwmon and, with JetPack 4, through NVIDIA's own driver.

use super::names::Names;
use super::sysfs::{Tree, number};
use crate::types::Fan;

/// Numbers of fans that are looked for in a chip.
const FANS: std::ops::RangeInclusive<u32> = 1..=8;
/// What is full drive.
const FULL: i64 = 255;

/// Every fan.
pub(super) fn fans(tree: &Tree) -> Vec<Fan> {
    let (mut found, mut names) = (Vec::new(), Names::default());
    for (chip, folder) in tree.chips() {
        for n in FANS {
            let duty = number(&folder.join(format!("pwm{n}")));
            // NVIDIA's tachometer names its only speed so.
            let only = if n == 1 { number(&folder.join("rpm")) } else { None };
            let turns = number(&folder.join(format!("fan{n}_input"))).or(only);
            let files = [format!("pwm{n}"), format!("fan{n}_input"), "rpm".to_owned()];
            if !files[..if n == 1 { 3 } else { 2 }].iter().any(|file| folder.join(file).exists()) {
                continue;
            }
            let name = names.unique(if n == 1 { chip.clone() } else { format!("{chip}/fan{n}") });
            found.extend(fan(name, duty, turns));
        }
    }
    let old = tree.sys("devices/pwm-fan");
    let (duty, turns) = (number(&old.join("target_pwm")), number(&old.join("rpm_measured")));
    found.extend(fan(names.unique("pwm-fan".to_owned()), duty, turns));
    found
}

fn fan(name: String, duty: Option<i64>, turns: Option<i64>) -> Option<Fan> {
    let duty_permille = duty.and_then(|d| u32::try_from(d.clamp(0, FULL) * 1000 / FULL).ok());
    let rpm = turns.and_then(|t| u32::try_from(t).ok());
    (duty_permille.is_some() || rpm.is_some()).then_some(Fan { name, duty_permille, rpm })
}
