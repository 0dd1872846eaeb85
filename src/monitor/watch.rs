//! All sensors at once. To be looked at from a thread of its own: a sensor on a slow bus takes its time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::board::{self, Board};
use super::load::{self, Processor};
use super::notes::Notes;
use super::power::Meters;
use super::sensors::{self, Sensor};
use super::sysfs::Tree;
use super::throttle::Latch;
use super::{fans, gpu, nvpmodel};
use crate::runtime::disk;
use crate::types::{DiskUse, GpuUse, Power, Readings, Temperature};

/// Looks at the sensors, and keeps what it takes to tell loads from counters and what was seen before.
#[derive(Debug)]
pub struct Sensors {
    tree: Tree,
    state_folder: PathBuf,
    meters: Meters,
    latch: Latch,
    processor: Processor,
    notes: Notes,
    /// Which graphics processors there were, once they were looked for.
    gpus: Option<Vec<String>>,
    /// Names of temperature sensors that are not believed.
    ignored: Vec<String>,
    at: At,
}

/// Which kind of sensors is being read: a sensor that hangs can be told of by somebody else only.
#[derive(Debug, Clone, Default)]
pub struct At(Arc<Mutex<&'static str>>);

impl At {
    /// The kind of sensors.
    pub fn kind(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, kind: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }
}

impl Sensors {
    /// `root` is where /sys, /proc and the like are: `/`, but for a tree that was recorded. `state_folder` lies on the disk whose room is
    /// told.
    pub fn new(root: &Path, state_folder: PathBuf) -> Self {
        Self {
            tree: Tree::at(root),
            state_folder,
            meters: Meters::default(),
            latch: Latch::default(),
            processor: Processor::default(),
            notes: Notes::default(),
            gpus: None,
            ignored: Vec::new(),
            at: At::default(),
        }
    }

    /// The same, without what temperature sensors with these names say.
    #[must_use]
    pub fn ignoring(self, ignored: &[String]) -> Self {
        Self { ignored: ignored.to_vec(), ..self }
    }

    /// To see from another thread where a look is.
    pub fn at(&self) -> At {
        self.at.clone()
    }

    /// Which board it is.
    pub fn board(&self) -> Board {
        board::board(&self.tree)
    }

    /// Every temperature sensor, also those that have no value now.
    pub fn temperatures(&self) -> Vec<Sensor> {
        sensors::in_tree(&self.tree, &self.ignored)
    }

    /// Reads everything. What is told of a time (load, a PC's power) is of the time since the look before.
    pub fn look(&mut self, now: Duration) -> Readings {
        self.at.begin("power");
        let power = self.meters.look(&self.tree, now, &mut self.notes);
        self.at.begin("temperature");
        let temperatures = self.with_value();
        self.at.begin("throttling");
        let throttle = self.latch.look(&self.tree);
        self.at.begin("fans");
        let fans = fans::fans(&self.tree);
        self.at.begin("load, clocks and memory");
        let readings = Readings {
            power,
            temperatures,
            throttle,
            cpu: self.processor.look(&self.tree),
            gpus: gpu::gpus(&self.tree),
            memory: load::memory(&self.tree),
            disk: self.disk(),
            fans,
            mode: nvpmodel::mode(&self.tree),
        };
        self.note(&readings);
        readings
    }

    /// A quick look at what comes and goes between two looks; to be taken once a second.
    pub fn glance(&mut self) {
        self.latch.glance(&self.tree);
    }

    /// What the sensors do not tell; each thing is said once.
    pub fn notes(&mut self) -> Vec<String> {
        self.notes.take()
    }

    fn with_value(&mut self) -> Vec<Temperature> {
        let mut found = Vec::new();
        for Sensor { name, millicelsius, ignored } in sensors::in_tree(&self.tree, &self.ignored) {
            match millicelsius {
                _ if ignored => {
                    self.notes.say(&format!("temperature {name}"), || format!("temperature: {name} is ignored"));
                }
                Some(millicelsius) => found.push(Temperature { sensor: name, millicelsius }),
                None => self.notes.say(&format!("temperature {name}"), || format!("temperature: {name} has no value")),
            }
        }
        found
    }

    fn disk(&self) -> Option<DiskUse> {
        // The folder may be made only when there is something to keep; it will lie where the folders above it do.
        let (total_bytes, free_bytes) = self.state_folder.ancestors().find_map(disk::room_bytes)?;
        Some(DiskUse { total_bytes, free_bytes })
    }

    /// Whole kinds of sensors that there are not.
    fn note(&mut self, readings: &Readings) {
        if readings.temperatures.is_empty() {
            self.notes.say("temperatures", || "temperature: no sensor was found".to_owned());
        }
        // Where there are meters that could not be read, that was said; and the first look at a counter gives no power yet.
        let has_meter = self.meters.has_any();
        if readings.power == Power::default() && !has_meter {
            self.notes.say("power", || "power: no sensor was found".to_owned());
        }
        let names: Vec<String> = readings.gpus.iter().map(|gpu| gpu.name.clone()).collect();
        if names.is_empty() {
            self.notes.say("gpu", || "gpu: none was found whose load is told".to_owned());
        } else if self.gpus.as_ref().is_some_and(Vec::is_empty) {
            let all = names.join(", ");
            self.notes.say("gpu late", || format!("gpu: {all} has appeared"));
        }
        for GpuUse { name, .. } in readings.gpus.iter().filter(|gpu| gpu.busy_permille.is_none()) {
            self.notes.say(&format!("gpu {name}"), || format!("gpu: the load of {name} is not told"));
        }
        self.gpus = Some(names);
    }
}
