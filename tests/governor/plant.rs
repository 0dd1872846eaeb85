//! A device that does not exist: what it draws and how hot it gets, by what the governor left it to do. A body with one time constant, as
//! a board with its heat sink is one in a first look. Sums and products only: the same on every machine, to the last bit.

/// The device.
#[derive(Debug, Clone)]
pub(crate) struct Plant {
    /// Seconds after which two thirds of a change are there.
    pub(crate) tau_secs: f64,
    /// Degrees above the air for each watt, in the end.
    pub(crate) celsius_a_watt: f64,
    /// The air around it.
    pub(crate) air_celsius: f64,
    /// What it draws with nothing to do.
    pub(crate) idle_watts: f64,
    /// What work draws beside that at level 0.
    pub(crate) work_watts: f64,
    /// Which share of the work each rung leaves.
    pub(crate) rungs: Vec<f64>,
    /// How much there is to do, beside what it was built for: 1 is all of it.
    pub(crate) load: f64,
    celsius: f64,
}

impl Plant {
    /// A device that is as warm as the air, with two numbers to be set by who needs them.
    pub(crate) fn new(tau_secs: f64, celsius_a_watt: f64, rungs: Vec<f64>) -> Self {
        let (air_celsius, idle_watts, work_watts) = (25.0, 4.0, 12.0);
        Self { tau_secs, celsius_a_watt, air_celsius, idle_watts, work_watts, rungs, load: 1.0, celsius: air_celsius }
    }

    /// What it draws at a level.
    pub(crate) fn watts(&self, level: usize) -> f64 {
        self.idle_watts + self.work_watts * self.load * self.rungs.iter().take(level).product::<f64>()
    }

    /// How hot it gets at a level in the end.
    pub(crate) fn end_celsius(&self, level: usize) -> f64 {
        self.air_celsius + self.celsius_a_watt * self.watts(level)
    }

    /// How hot it is.
    pub(crate) fn celsius(&self) -> f64 {
        self.celsius
    }

    /// A second at a level.
    pub(crate) fn second(&mut self, level: usize) {
        self.celsius += (self.end_celsius(level) - self.celsius) / self.tau_secs;
    }
}

/// A sensor: noise about the truth, then rounding.
#[derive(Debug, Clone)]
pub(crate) struct Sensor {
    /// The largest error before rounding.
    pub(crate) noise: f64,
    /// It shows multiples of this; 0 shows everything.
    pub(crate) quantum: f64,
    state: u64,
}

impl Sensor {
    /// Two sensors of one seed err alike.
    pub(crate) fn new(noise: f64, quantum: f64, seed: u64) -> Self {
        Self { noise, quantum, state: seed }
    }

    /// What it shows.
    pub(crate) fn shows(&mut self, truth: f64) -> f64 {
        // Knuth's generator; the sum of two draws lies more often in the middle.
        let mut draw = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 33) as f64 / f64::from(1u32 << 31)
        };
        let shown = truth + self.noise * (draw() + draw() - 1.0);
        if self.quantum > 0.0 { (shown / self.quantum).floor() * self.quantum } else { shown }
    }
}
