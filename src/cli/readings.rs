//! What the sensors say, for people: a name and a value for each row of `probe`.

use crate::types::{CpuUse, GpuUse, Power, Rail, Readings, Throttle, TotalOf};

/// Rows of the table. Temperatures are not among them: `probe` shows those without a value, too.
pub(super) fn rows(readings: &Readings) -> Vec<(&'static str, String)> {
    let mut rows = power(&readings.power);
    rows.extend(throttle(&readings.throttle));
    rows.extend(cpu(&readings.cpu));
    rows.extend(readings.gpus.iter().map(|g| ("gpu", gpu(g))));
    rows.extend(readings.memory.map(|m| {
        let (available, swap) = (gib(m.available_bytes), gib(m.swap_used_bytes));
        ("available", format!("{available} of memory; {swap} lie in the swap"))
    }));
    rows.extend(readings.disk.map(|d| ("disk", format!("{} free of {}", gib(d.free_bytes), gib(d.total_bytes)))));
    for fan in &readings.fans {
        let duty = fan.duty_permille.map(|d| format!("{} %", d / 10));
        let turns = fan.rpm.map(|rpm| format!("{rpm} rpm"));
        rows.push(("fan", format!("{:<22}{}", fan.name, joined([duty, turns]))));
    }
    rows.extend(readings.mode.as_ref().map(|mode| {
        let name = mode.name.as_deref().unwrap_or("unnamed");
        let fixed = if mode.clocks_fixed { ", clocks are fixed" } else { "" };
        ("mode", format!("{name} ({}){fixed}", mode.id))
    }));
    rows
}

fn power(power: &Power) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let (Some(total), Some(of)) = (power.total_mw, power.total_of) {
        let of = match of {
            TotalOf::Input => "measured at the input",
            TotalOf::Rails => "the sum of the rails",
            TotalOf::Estimate => "estimated from the rails",
            TotalOf::Processor => "the processor alone",
        };
        rows.push(("power", format!("{:<22}{of}", thousandths(total, "W"))));
    }
    rows.extend(power.rails.iter().map(|r| ("rail", format!("{:<22}{}", r.name, rail(r)))));
    rows
}

fn rail(rail: &Rail) -> String {
    let of = |value: Option<i64>, unit| value.map(|v| thousandths(v, unit));
    joined([of(rail.milliwatts, "W"), of(rail.millivolts, "V"), of(rail.milliamps, "A")])
}

fn throttle(throttle: &Throttle) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for reason in &throttle.seen {
        let when = if throttle.now.contains(reason) { "now" } else { "before" };
        rows.push(("throttled", format!("{reason:<22}{when}")));
    }
    rows.extend(throttle.events.iter().map(|e| ("counted", format!("{:<22}{}", e.name, e.count))));
    rows
}

fn cpu(cpu: &CpuUse) -> Option<(&'static str, String)> {
    let clocks: Vec<u32> = cpu.cores.iter().filter_map(|core| core.clock_mhz).collect();
    let clock = clocks.iter().min().zip(clocks.iter().max()).map(|(least, most)| match least == most {
        true => format!("{most} MHz"),
        false => format!("{least} to {most} MHz"),
    });
    let cores = format!("{} cores", cpu.cores.len());
    let busy = cpu.busy_permille.map(|busy| format!("{} % busy", busy / 10));
    (!cpu.cores.is_empty()).then(|| ("load", joined([Some(cores), busy, clock])))
}

fn gpu(gpu: &GpuUse) -> String {
    let busy = gpu.busy_permille.map(|busy| format!("{} % busy", busy / 10));
    let clock = gpu.clock_mhz.map(|mhz| match gpu.max_clock_mhz {
        Some(most) => format!("{mhz} of {most} MHz"),
        None => format!("{mhz} MHz"),
    });
    format!("{:<22}{}", gpu.name, joined([busy, clock, gpu.governor.clone()]))
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn thousandths(v: i64, unit: &str) -> String {
    format!("{:.3} {unit}", v as f64 / 1000.0)
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_what_there_is_and_leaves_out_what_there_is_not() {
        let rails = vec![Rail { name: "EXT5V".to_owned(), millivolts: Some(5068), ..Rail::default() }];
        let power = Power { total_mw: Some(2901), total_of: Some(TotalOf::Estimate), rails };
        let throttle = Throttle { now: Vec::new(), seen: vec!["under_voltage".to_owned()], events: Vec::new() };
        let rows = rows(&Readings { power, throttle, ..Readings::default() });
        let rows: Vec<_> = rows.iter().map(|(what, value)| format!("{what}: {value}")).collect();
        let want = [
            "power: 2.901 W               estimated from the rails",
            "rail: EXT5V                 5.068 V",
            "throttled: under_voltage         before",
        ];
        assert_eq!(rows, want);
    }
}
