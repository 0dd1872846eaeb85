//! A Raspberry Pi 5's power: what its power chip measures, as the firmware's command `pmic_read_adc` writes it. Pure; who asks is `vcio.rs`.
//!
//! ```text
//!    3V3_SYS_A current(1)=0.07026720A
//!    3V3_SYS_V volt(9)=3.31200000V
//! ```
//! Twelve rails have a current and a voltage. They are paired by name: the numbers in brackets differ from one firmware to the next. The
//! board's input (EXT5V) and its clock's battery (BATT) have a voltage only.

use std::collections::BTreeMap;

use crate::types::Rail;

/// What a Raspberry Pi 5 takes from its supply, in watts, by what its rails take: their sum times this,
const SLOPE: f64 = 1.1451;
/// and this. Fitted by others with a meter in the supply; the chip does not measure the input's current.
const OFFSET_WATTS: f64 = 0.5879;

/// The rails, and an estimate of what the board takes in all, in milliwatts.
pub(super) fn parsed(answer: &str) -> (Vec<Rail>, Option<i64>) {
    let mut rails: BTreeMap<&str, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for (name, value) in answer.lines().filter_map(line) {
        match name.rsplit_once('_') {
            Some((rail, "A")) => rails.entry(rail).or_default().0 = Some(value),
            Some((rail, "V")) => rails.entry(rail).or_default().1 = Some(value),
            _ => {}
        }
    }
    let watts: Vec<f64> = rails.values().filter_map(|(amps, volts)| Some((*amps)? * (*volts)?)).collect();
    // Without the core there is no board.
    let total = rails.get("VDD_CORE").is_some_and(|(amps, volts)| amps.is_some() && volts.is_some());
    let total = total.then(|| milli(watts.iter().sum::<f64>() * SLOPE + OFFSET_WATTS));
    let rail = |(name, (amps, volts)): (&str, (Option<f64>, Option<f64>))| Rail {
        name: name.to_owned(),
        milliwatts: amps.zip(volts).map(|(a, v)| milli(a * v)),
        millivolts: volts.map(milli),
        milliamps: amps.map(milli),
    };
    (rails.into_iter().map(rail).collect(), total)
}

/// A name and its number: `VDD_CORE_V volt(15)=0.89745940V`.
fn line(line: &str) -> Option<(&str, f64)> {
    let (left, right) = line.split_once('=')?;
    let name = left.split_whitespace().next()?;
    let value: f64 = right.trim().trim_end_matches(['A', 'V']).parse().ok()?;
    value.is_finite().then_some((name, value))
}

fn milli(v: f64) -> i64 {
    (v * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currents_and_voltages_are_paired_by_name_whatever_their_numbers_and_order() {
        let answer = "  VDD_CORE_V volt(15)=0.90000000V\n DDR_VDD2_A current(3)=0.20000000A\n\
                      VDD_CORE_A current(7)=2.00000000A\n  DDR_VDD2_V volt(99)=1.10000000V\nEXT5V_V volt(24)=5.06788000V\n";
        let (rails, total) = parsed(answer);
        let found: Vec<_> = rails.iter().map(|r| (r.name.as_str(), r.milliwatts, r.millivolts)).collect();
        let want =
            [("DDR_VDD2", Some(220), Some(1100)), ("EXT5V", None, Some(5068)), ("VDD_CORE", Some(1800), Some(900))];
        assert_eq!(found, want);
        // (0.2 × 1.1 + 2.0 × 0.9) × 1.1451 + 0.5879 = 2.02 × 1.1451 + 0.5879 = 2.9010 W
        assert_eq!(total, Some(2901));
    }

    #[test]
    fn an_answer_that_is_none_has_no_rails_and_no_total() {
        for answer in
            ["", "error=1 error_msg=\"Command not registered\"", "EXT5V_V volt(24)=nanV", "_A current(0)=", "=V"]
        {
            let (rails, total) = parsed(answer);
            assert!(rails.iter().all(|r| r.milliwatts.is_none()) && total.is_none(), "{answer:?}: {rails:?}");
        }
    }
}
