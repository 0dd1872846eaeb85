//! What a board's sensors say at one moment: power, heat, what slows it down, load, clocks, memory, disk. Plain numbers with their units.
//!
//! How they are read belongs to `monitor`, how they are written as JSON to `publish/payload`. What a board does not have is None or an
//! empty list, never 0: whoever acts on readings must not act on what nobody measured.

use serde::Serialize;

/// One look at all sensors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Readings {
    /// Power.
    pub power: Power,
    /// Temperature sensors that have a value.
    pub temperatures: Vec<Temperature>,
    /// What slows the device down.
    pub throttle: Throttle,
    /// Processor.
    pub cpu: CpuUse,
    /// Graphics processors; a Jetson has one.
    pub gpus: Vec<GpuUse>,
    /// Memory.
    pub memory: Option<MemoryUse>,
    /// The disk on which the daemon keeps things.
    pub disk: Option<DiskUse>,
    /// Fans.
    pub fans: Vec<Fan>,
    /// NVIDIA's power mode.
    pub mode: Option<PowerMode>,
}

impl Readings {
    /// The hottest sensor. Where a board has a sensor that repeats the hottest of the others (Jetson's `tj`), the other one is named: it
    /// says where the heat is.
    pub fn hottest(&self) -> Option<&Temperature> {
        self.temperatures.iter().max_by_key(|t| (t.millicelsius, !t.sensor.to_ascii_lowercase().starts_with("tj")))
    }
}

/// Power, as far as it is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Power {
    /// All together, in milliwatts; None where it cannot be known, also when a part of a sum could not be read.
    pub total_mw: Option<i64>,
    /// What the total is the total of; None where there is no total.
    pub total_of: Option<TotalOf>,
    /// Each rail or domain.
    pub rails: Vec<Rail>,
}

/// What a total of power covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalOf {
    /// Measured where power enters the module or the board.
    Input,
    /// The sum of a module's rails; what hangs on none of them is not in it.
    Rails,
    /// Computed from the rails of a Raspberry Pi 5 by a formula that others fitted.
    Estimate,
    /// Processor packages and, where it is counted, their memory; nothing else of the machine.
    Processor,
}

impl TotalOf {
    /// Every kind of total.
    pub const ALL: [Self; 4] = [Self::Input, Self::Rails, Self::Estimate, Self::Processor];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Rails => "rails",
            Self::Estimate => "estimate",
            Self::Processor => "processor",
        }
    }
}

/// A supply rail, or a part of a processor whose energy is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rail {
    /// As the board names it, e.g. `VDD_IN`, `package-0`.
    pub name: String,
    /// Power.
    pub milliwatts: Option<i64>,
    /// Voltage.
    pub millivolts: Option<i64>,
    /// Current.
    pub milliamps: Option<i64>,
}

/// A temperature sensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Temperature {
    /// As the driver names it, e.g. `cpu-thermal`.
    pub sensor: String,
    /// Thousandths of a degree Celsius.
    pub millicelsius: i64,
}

/// What slows the device down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Throttle {
    /// At this moment: `under_voltage`, `frequency_capped`, `throttled`, `soft_temperature_limit` on a Raspberry Pi, else the name of the
    /// cooling device or counter that the board has.
    pub now: Vec<String>,
    /// At any time since this process began, or since the board started as far as its firmware remembers.
    pub seen: Vec<String>,
    /// Counters of such moments, by the board's names.
    pub events: Vec<EventCount>,
}

/// A counter of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventCount {
    /// Its name, e.g. `oc1`.
    pub name: String,
    /// How often since the board started.
    pub count: u64,
}

/// How busy the processor is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUse {
    /// All cores together, since the look before; None at the first one.
    pub busy_permille: Option<u32>,
    /// Each core that is switched on.
    pub cores: Vec<CoreUse>,
}

/// How busy a core is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoreUse {
    /// The kernel's number for it.
    pub number: u32,
    /// Since the look before.
    pub busy_permille: Option<u32>,
    /// Its clock now.
    pub clock_mhz: Option<u32>,
}

/// How busy a graphics processor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GpuUse {
    /// The kernel's name for it, e.g. `17000000.ga10b`.
    pub name: String,
    /// At this moment.
    pub busy_permille: Option<u32>,
    /// Its clock now.
    pub clock_mhz: Option<u32>,
    /// The highest clock that is allowed now.
    pub max_clock_mhz: Option<u32>,
    /// What chooses the clock.
    pub governor: Option<String>,
}

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// All of it.
    pub total_bytes: u64,
    /// What programs can still get without swapping.
    pub available_bytes: u64,
    /// What lies in the swap.
    pub swap_used_bytes: u64,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DiskUse {
    /// All of it.
    pub total_bytes: u64,
    /// What this process may still write.
    pub free_bytes: u64,
}

/// A fan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fan {
    /// As the driver names it.
    pub name: String,
    /// How hard it is driven.
    pub duty_permille: Option<u32>,
    /// How fast it turns.
    pub rpm: Option<u32>,
}

/// NVIDIA's power mode (nvpmodel).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PowerMode {
    /// Its number.
    pub id: u32,
    /// Its name, e.g. `MAXN_SUPER`, where the board's table has one.
    pub name: Option<String>,
    /// Whether clocks are held at one value, as `jetson_clocks` does.
    pub clocks_fixed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_sensor_is_the_one_that_says_where_the_heat_is() {
        let sensor = |name: &str, millicelsius| Temperature { sensor: name.to_owned(), millicelsius };
        let temperatures = vec![sensor("tj-thermal", 61_500), sensor("cpu-thermal", 61_500), sensor("nvme", 48_000)];
        let mut readings = Readings { temperatures, ..Readings::default() };
        assert_eq!(readings.hottest().map(|t| t.sensor.as_str()), Some("cpu-thermal"));
        readings.temperatures[0].millicelsius = 61_600;
        assert_eq!(readings.hottest().map(|t| t.sensor.as_str()), Some("tj-thermal"));
        assert_eq!(Readings::default().hottest(), None);
    }
}
