//! What the board's sensors said last, as metrics. What the board does not have has no sample; readings that are old have none either.

use super::Page;
use crate::types::{Power, Readings, Throttle};

pub(super) fn readings(page: &mut Page, readings: Option<&Readings>) {
    let none = Readings::default();
    let r = readings.unwrap_or(&none);
    power(page, &r.power);
    page.family("temperature_celsius", "gauge", "What a temperature sensor says.");
    for t in &r.temperatures {
        page.sample("temperature_celsius", &[("sensor", &t.sensor)], t.millicelsius as f64 / 1000.0);
    }
    throttle(page, &r.throttle);
    load(page, r);
    room(page, r);
    page.family("fan_drive_ratio", "gauge", "How hard a fan is driven, 0 to 1.");
    for fan in &r.fans {
        if let Some(duty) = fan.duty_permille {
            page.sample("fan_drive_ratio", &[("fan", &fan.name)], f64::from(duty) / 1000.0);
        }
    }
    page.family("power_mode", "gauge", "The power mode of a Jetson; the value is its number.");
    if let Some(mode) = &r.mode {
        let name = mode.name.as_deref().unwrap_or_default();
        page.sample("power_mode", &[("name", name)], mode.id);
    }
}

fn power(page: &mut Page, power: &Power) {
    page.family("power_watts", "gauge", "Power that is taken in all; the label says what that is the total of.");
    if let (Some(total), Some(of)) = (power.total_mw, power.total_of) {
        page.sample("power_watts", &[("of", of.as_str())], total as f64 / 1000.0);
    }
    page.family("power_rail_watts", "gauge", "Power that a rail carries.");
    for rail in &power.rails {
        if let Some(milliwatts) = rail.milliwatts {
            page.sample("power_rail_watts", &[("rail", &rail.name)], milliwatts as f64 / 1000.0);
        }
    }
}

fn throttle(page: &mut Page, throttle: &Throttle) {
    page.family("throttled", "gauge", "1 while this slows the device down; 0 if it did before.");
    for reason in &throttle.seen {
        page.sample("throttled", &[("reason", reason)], u8::from(throttle.now.contains(reason)));
    }
    page.family(
        "throttle_events_total",
        "counter",
        "What the board counted of over-current and heat since it started.",
    );
    for event in &throttle.events {
        page.sample("throttle_events_total", &[("event", &event.name)], event.count);
    }
}

fn load(page: &mut Page, r: &Readings) {
    let share = |permille: u32| f64::from(permille) / 1000.0;
    page.family(
        "processor_busy_ratio",
        "gauge",
        "How much of their time since the look before all cores worked, 0 to 1.",
    );
    if let Some(busy) = r.cpu.busy_permille {
        page.sample("processor_busy_ratio", &[], share(busy));
    }
    page.family("cpu_busy_ratio", "gauge", "How much of the time since the look before a core worked, 0 to 1.");
    for core in &r.cpu.cores {
        if let Some(busy) = core.busy_permille {
            page.sample("cpu_busy_ratio", &[("core", &core.number.to_string())], share(busy));
        }
    }
    page.family("cpu_clock_hertz", "gauge", "The clock of a core.");
    for core in &r.cpu.cores {
        if let Some(mhz) = core.clock_mhz {
            page.sample("cpu_clock_hertz", &[("core", &core.number.to_string())], hertz(mhz));
        }
    }
    page.family("gpu_busy_ratio", "gauge", "The load of a graphics processor, 0 to 1.");
    for gpu in &r.gpus {
        if let Some(busy) = gpu.busy_permille {
            page.sample("gpu_busy_ratio", &[("gpu", &gpu.name)], share(busy));
        }
    }
    page.family("gpu_clock_hertz", "gauge", "The clock of a graphics processor.");
    for gpu in &r.gpus {
        if let Some(mhz) = gpu.clock_mhz {
            page.sample("gpu_clock_hertz", &[("gpu", &gpu.name)], hertz(mhz));
        }
    }
}

fn room(page: &mut Page, r: &Readings) {
    let (memory, disk) = (r.memory, r.disk);
    let gauges = [
        ("memory_size_bytes", "Memory of the device.", memory.map(|m| m.total_bytes)),
        ("memory_available_bytes", "Memory that programs can still get.", memory.map(|m| m.available_bytes)),
        ("swap_used_bytes", "What lies in the swap.", memory.map(|m| m.swap_used_bytes)),
        ("disk_size_bytes", "The disk on which the daemon keeps things.", disk.map(|d| d.total_bytes)),
        ("disk_free_bytes", "What the daemon may still write there.", disk.map(|d| d.free_bytes)),
    ];
    for (name, help, value) in gauges {
        page.family(name, "gauge", help);
        if let Some(value) = value {
            page.sample(name, &[], value);
        }
    }
}

fn hertz(mhz: u32) -> u64 {
    u64::from(mhz) * 1_000_000
}
