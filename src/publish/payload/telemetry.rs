//! What the board's sensors say, as it stands on the wire: in watts, volts, degrees and percent. How they are read is `monitor`.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::{Kind, Message, Qos, SCHEMA, json, rfc3339, topics};
use crate::types::{
    Captured, CoreUse, CpuUse, DiskUse, EventCount, Fan, GpuUse, MemoryUse, Power, PowerMode, Rail, Readings,
    Temperature, Throttle, TotalOf,
};

/// Nobody wants to know late how warm it was: brokers that speak MQTT 5 throw the message away after this.
const EXPIRES_SECS: u32 = 60;

/// What the board's sensors say, on `<prefix>/<device>/telemetry`. What the board does not have is null or an empty list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "telemetry")]
struct TelemetryBody<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    /// What this message is.
    #[schemars(extend("const" = "telemetry"))]
    r#type: &'static str,
    /// The device's name.
    device: &'a str,
    /// When the sensors were read: RFC 3339, UTC, milliseconds.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Whether the device's wall clock was synchronised then.
    clock_synced: bool,
    /// Power.
    power: PowerBody<'a>,
    /// Temperature sensors that have a value.
    temperatures: Vec<TemperatureBody<'a>>,
    /// What slows the device down.
    throttle: ThrottleBody<'a>,
    /// The processor.
    cpu: CpuBody,
    /// Graphics processors.
    gpus: Vec<GpuBody<'a>>,
    /// Memory.
    memory: Option<MemoryBody>,
    /// The disk on which the daemon keeps things.
    disk: Option<DiskBody>,
    /// Fans.
    fans: Vec<FanBody<'a>>,
    /// The power mode of a Jetson (nvpmodel).
    mode: Option<ModeBody<'a>>,
}

/// Power.
#[derive(Debug, Serialize, JsonSchema)]
struct PowerBody<'a> {
    /// All together; null where it is not measured, or a part of the sum could not be read.
    total_watts: Option<f64>,
    /// What that is the total of. `input`: measured where power enters the module or the board. `rails`: the sum of a module's rails.
    /// `estimate`: computed from the rails of a Raspberry Pi 5. `processor`: processor packages and their memory alone.
    #[schemars(extend("enum" = TotalOf::ALL.iter().map(|t| Some(t.as_str())).chain([None]).collect::<Vec<_>>()))]
    total_of: Option<&'static str>,
    /// Each rail.
    rails: Vec<RailBody<'a>>,
}

/// A supply rail, or a part of a processor.
#[derive(Debug, Serialize, JsonSchema)]
struct RailBody<'a> {
    /// As the board names it.
    name: &'a str,
    /// Power.
    watts: Option<f64>,
    /// Voltage.
    volts: Option<f64>,
    /// Current.
    amps: Option<f64>,
}

/// A temperature sensor.
#[derive(Debug, Serialize, JsonSchema)]
struct TemperatureBody<'a> {
    /// As the driver names it.
    sensor: &'a str,
    /// Degrees Celsius.
    celsius: f64,
}

/// What slows the device down.
#[derive(Debug, Serialize, JsonSchema)]
struct ThrottleBody<'a> {
    /// At this moment: `under_voltage`, `frequency_capped`, `throttled` or `soft_temperature_limit` on a Raspberry Pi, else names of the
    /// board's cooling devices and over-current inputs.
    now: &'a [String],
    /// At any time since the daemon started, or since the board did as far as its firmware remembers.
    seen: &'a [String],
    /// Counters of the board, since it started.
    events: Vec<EventBody<'a>>,
}

/// A counter of the board.
#[derive(Debug, Serialize, JsonSchema)]
struct EventBody<'a> {
    /// Its name, e.g. `oc1`.
    name: &'a str,
    /// How often.
    count: u64,
}

/// The processor.
#[derive(Debug, Serialize, JsonSchema)]
struct CpuBody {
    /// How much of the time since the look before was spent with work, all cores together; null at the first look.
    #[schemars(range(min = 0, max = 100))]
    busy_percent: Option<f64>,
    /// Each core that is switched on.
    cores: Vec<CoreBody>,
}

/// A core.
#[derive(Debug, Serialize, JsonSchema)]
struct CoreBody {
    /// The kernel's number for it.
    number: u32,
    /// How much of the time since the look before was spent with work.
    #[schemars(range(min = 0, max = 100))]
    busy_percent: Option<f64>,
    /// Its clock in megahertz.
    clock_mhz: Option<u32>,
}

/// A graphics processor.
#[derive(Debug, Serialize, JsonSchema)]
struct GpuBody<'a> {
    /// The kernel's name for it.
    name: &'a str,
    /// Its load at this moment.
    #[schemars(range(min = 0, max = 100))]
    busy_percent: Option<f64>,
    /// Its clock in megahertz.
    clock_mhz: Option<u32>,
    /// The highest clock that is allowed now.
    max_clock_mhz: Option<u32>,
    /// What chooses the clock.
    governor: Option<&'a str>,
}

/// Memory.
#[derive(Debug, Serialize, JsonSchema)]
struct MemoryBody {
    /// All of it.
    total_bytes: u64,
    /// What programs can still get without swapping.
    available_bytes: u64,
    /// What lies in the swap.
    swap_used_bytes: u64,
}

/// A disk.
#[derive(Debug, Serialize, JsonSchema)]
struct DiskBody {
    /// All of it.
    total_bytes: u64,
    /// What the daemon may still write.
    free_bytes: u64,
}

/// A fan.
#[derive(Debug, Serialize, JsonSchema)]
struct FanBody<'a> {
    /// As the driver names it.
    name: &'a str,
    /// How hard it is driven.
    #[schemars(range(min = 0, max = 100))]
    duty_percent: Option<f64>,
    /// Turns a minute.
    rpm: Option<u32>,
}

/// A power mode.
#[derive(Debug, Serialize, JsonSchema)]
struct ModeBody<'a> {
    /// Its number.
    id: u32,
    /// Its name, where the board's table has one.
    name: Option<&'a str>,
    /// Whether clocks are held at one value, as `jetson_clocks` does.
    clocks_fixed: bool,
}

/// Writes what the sensors said at that moment.
pub fn render_telemetry(readings: &Readings, at: Captured, device: &str, prefix: &str) -> Message {
    let body = TelemetryBody {
        schema: SCHEMA,
        r#type: Kind::Telemetry.as_str(),
        device,
        at: rfc3339(at.wall),
        clock_synced: at.wall_synced,
        power: power(&readings.power),
        temperatures: readings.temperatures.iter().map(temperature).collect(),
        throttle: throttle(&readings.throttle),
        cpu: cpu(&readings.cpu),
        gpus: readings.gpus.iter().map(gpu).collect(),
        memory: readings.memory.map(memory),
        disk: readings.disk.map(disk),
        fans: readings.fans.iter().map(fan).collect(),
        mode: readings.mode.as_ref().map(mode),
    };
    Message {
        topic: topics::telemetry(prefix, device),
        body: json(&body),
        retain: false,
        qos: Qos::AtMostOnce,
        kind: Kind::Telemetry,
        expires_secs: Some(EXPIRES_SECS),
    }
}

/// Its JSON Schema, with the name of its file below docs/schemas.
pub(super) fn schema() -> (&'static str, Schema) {
    ("telemetry.schema.json", schema_for!(TelemetryBody<'static>))
}

fn power(p: &Power) -> PowerBody<'_> {
    PowerBody {
        total_watts: p.total_mw.map(thousandths),
        total_of: p.total_of.map(TotalOf::as_str),
        rails: p.rails.iter().map(rail).collect(),
    }
}

fn rail(r: &Rail) -> RailBody<'_> {
    RailBody {
        name: &r.name,
        watts: r.milliwatts.map(thousandths),
        volts: r.millivolts.map(thousandths),
        amps: r.milliamps.map(thousandths),
    }
}

fn temperature(t: &Temperature) -> TemperatureBody<'_> {
    TemperatureBody { sensor: &t.sensor, celsius: thousandths(t.millicelsius) }
}

fn throttle(t: &Throttle) -> ThrottleBody<'_> {
    ThrottleBody { now: &t.now, seen: &t.seen, events: t.events.iter().map(counted).collect() }
}

fn counted(e: &EventCount) -> EventBody<'_> {
    EventBody { name: &e.name, count: e.count }
}

fn cpu(c: &CpuUse) -> CpuBody {
    CpuBody { busy_percent: c.busy_permille.map(percent), cores: c.cores.iter().map(core).collect() }
}

fn core(c: &CoreUse) -> CoreBody {
    CoreBody { number: c.number, busy_percent: c.busy_permille.map(percent), clock_mhz: c.clock_mhz }
}

fn gpu(g: &GpuUse) -> GpuBody<'_> {
    GpuBody {
        name: &g.name,
        busy_percent: g.busy_permille.map(percent),
        clock_mhz: g.clock_mhz,
        max_clock_mhz: g.max_clock_mhz,
        governor: g.governor.as_deref(),
    }
}

fn memory(m: MemoryUse) -> MemoryBody {
    let MemoryUse { total_bytes, available_bytes, swap_used_bytes } = m;
    MemoryBody { total_bytes, available_bytes, swap_used_bytes }
}

fn disk(d: DiskUse) -> DiskBody {
    DiskBody { total_bytes: d.total_bytes, free_bytes: d.free_bytes }
}

fn fan(f: &Fan) -> FanBody<'_> {
    FanBody { name: &f.name, duty_percent: f.duty_permille.map(percent), rpm: f.rpm }
}

fn mode(m: &PowerMode) -> ModeBody<'_> {
    ModeBody { id: m.id, name: m.name.as_deref(), clocks_fixed: m.clocks_fixed }
}

fn thousandths(v: i64) -> f64 {
    v as f64 / 1000.0
}

fn percent(permille: u32) -> f64 {
    f64::from(permille.min(1000)) / 10.0
}
