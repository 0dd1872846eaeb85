//! Settings of the system beyond this program: the governor of the processors' clocks, and a Jetson's power mode. Changed only where the
//! owner's `[budget] may_set` names them, and put back as they were found.
//!
//! Belongs here: what there is to set, setting it, putting it back. Does not: when (see `governor`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::nvpmodel::{self, Mode};
use super::sysfs::{self, Tree};
use crate::config::MaySet;

/// The kernel's governor that runs the processors at their lowest clock (or, with `intel_pstate`, lets the hardware favour it).
const FRUGAL: &str = "powersave";

/// Why a setting was not made.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The kernel did not take it.
    #[error("cpu_governor {name}: {}: {source}", path.display())]
    CpuGovernor {
        /// What was to be set.
        name: String,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// NVIDIA's program did not do it.
    #[error("nvpmodel {name}: {}: {reason}", program.display())]
    Nvpmodel {
        /// The mode.
        name: String,
        /// The program.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// What is set and how it was found.
#[derive(Debug)]
pub struct System {
    tree: Tree,
    cpu: Option<Cpu>,
    mode: Option<PowerModes>,
}

/// The processors' governors.
#[derive(Debug)]
struct Cpu {
    /// Each file, and what was in it.
    found: Vec<(PathBuf, String)>,
    set: Option<String>,
}

/// The power mode.
#[derive(Debug)]
struct PowerModes {
    found: u32,
    below: Vec<Mode>,
    set: Option<String>,
}

impl System {
    /// Looks how the device is set, as far as anything may be changed; nothing else is even looked at. `root` is where /sys, /usr and the
    /// like are.
    pub fn new(root: &Path, may_set: &[MaySet]) -> Self {
        let tree = Tree::at(root);
        let cpu = may_set.contains(&MaySet::CpuGovernor).then(|| Cpu::found(&tree)).flatten();
        let mode = may_set.contains(&MaySet::Nvpmodel).then(|| PowerModes::found(&tree)).flatten();
        Self { tree, cpu, mode }
    }

    /// The power modes below the one that was found, the highest first.
    pub fn nvpmodes(&self) -> Vec<String> {
        self.mode.iter().flat_map(|mode| mode.below.iter().map(|m| m.name.clone())).collect()
    }

    /// The governor that saves most, where the processors have another one.
    pub fn cpu_governor(&self) -> Option<String> {
        self.cpu.as_ref().map(|_| FRUGAL.to_owned())
    }

    /// Makes these settings; None is as found. What cannot be made is told, the rest is made all the same.
    pub fn set(&mut self, nvpmode: Option<&str>, cpu_governor: Option<&str>) -> Vec<SystemError> {
        let mut failed = Vec::new();
        if let Some(mode) = &mut self.mode {
            failed.extend(mode.set(&self.tree, nvpmode).err());
        }
        if let Some(cpu) = &mut self.cpu {
            failed.extend(cpu.set(cpu_governor));
        }
        failed
    }
}

impl Cpu {
    /// None where there is nothing to gain: no such governor, or all have it already.
    fn found(tree: &Tree) -> Option<Self> {
        let policies = sysfs::entries(&tree.sys("devices/system/cpu/cpufreq"));
        let has_it = |policy: &PathBuf| {
            let available = sysfs::text(&policy.join("scaling_available_governors")).unwrap_or_default();
            available.split_whitespace().any(|name| name == FRUGAL)
        };
        let governor = |policy: PathBuf| {
            let file = policy.join("scaling_governor");
            let now = sysfs::text(&file)?;
            Some((file, now))
        };
        let found: Vec<_> = policies.into_iter().filter(has_it).filter_map(governor).collect();
        found.iter().any(|(_, now)| now != FRUGAL).then_some(Self { found, set: None })
    }

    fn set(&mut self, wanted: Option<&str>) -> Vec<SystemError> {
        if self.set.as_deref() == wanted {
            return Vec::new();
        }
        // Noted also where a file does not take it: the others did, and are put back.
        self.set = wanted.map(str::to_owned);
        let write = |(path, found): &(PathBuf, String)| {
            let name = wanted.unwrap_or(found);
            let failed = |source| SystemError::CpuGovernor { name: name.to_owned(), path: path.clone(), source };
            sysfs::write(path, name).map_err(failed).err()
        };
        self.found.iter().filter_map(write).collect()
    }
}

impl PowerModes {
    fn found(tree: &Tree) -> Option<Self> {
        let found = nvpmodel::mode(tree)?.id;
        let below = nvpmodel::below(tree, found);
        (!below.is_empty()).then_some(Self { found, below, set: None })
    }

    fn set(&mut self, tree: &Tree, wanted: Option<&str>) -> Result<(), SystemError> {
        if self.set.as_deref() == wanted {
            return Ok(());
        }
        self.set = wanted.map(str::to_owned);
        let known = wanted.map(|name| self.below.iter().find(|mode| mode.name == name));
        let (id, name) = match known {
            Some(Some(mode)) => (mode.id, mode.name.clone()),
            // A mode that the table no longer has is never asked for: the ladder is made of this list.
            Some(None) => return Ok(()),
            None => (self.found, format!("{} (as found)", self.found)),
        };
        let program = tree.usr("sbin/nvpmodel");
        run(tree, &program, id).map_err(|reason| SystemError::Nvpmodel { name, program, reason })
    }
}

/// Nobody is there to be asked whether the device may restart: where it would, the program ends with an error and changes nothing.
fn run(tree: &Tree, program: &Path, id: u32) -> Result<(), String> {
    let out = Command::new(program).args(["-m", &id.to_string()]).stdin(Stdio::null()).output();
    let out = out.map_err(|e| e.to_string())?;
    let last_line = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned();
    if !out.status.success() {
        let said = [last_line(&out.stderr), last_line(&out.stdout)].into_iter().find(|line| !line.is_empty());
        return Err(said.unwrap_or_else(|| out.status.to_string()));
    }
    match nvpmodel::mode(tree) {
        Some(now) if now.id == id => Ok(()),
        now => Err(format!("it says that all is well, and the mode is {:?}", now.map(|mode| mode.id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board with two clusters of cores and three power modes, of which the second is in use. Its `nvpmodel` does what it is told.
    fn board() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        for (policy, governor) in [("policy0", "schedutil"), ("policy4", "performance")] {
            let folder = format!("sys/devices/system/cpu/cpufreq/{policy}");
            write(&format!("{folder}/scaling_governor"), governor);
            write(&format!("{folder}/scaling_available_governors"), "performance powersave schedutil\n");
        }
        let table = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN >\n";
        write("etc/nvpmodel.conf", table);
        write("var/lib/nvpmodel/status", "pmode:0001 fmode:quiet\n");
        let status = dir.path().join("var/lib/nvpmodel/status");
        std::fs::create_dir_all(dir.path().join("usr/sbin")).expect("made");
        program(&dir, &format!("printf 'pmode:%04d' \"$2\" > {}", status.display()));
        dir
    }

    /// Written by another process: a file that this one has written may still be open in a child of another test, and cannot be run.
    fn program(dir: &tempfile::TempDir, does: &str) {
        let script = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\"; chmod +x \"$2\"";
        let file = dir.path().join("usr/sbin/nvpmodel");
        let status = Command::new("sh").args(["-c", script, "sh", does]).arg(file).status().expect("sh runs");
        assert!(status.success());
    }

    fn governors(dir: &tempfile::TempDir) -> [String; 2] {
        ["policy0", "policy4"].map(|policy| {
            let path = dir.path().join("sys/devices/system/cpu/cpufreq").join(policy).join("scaling_governor");
            std::fs::read_to_string(path).expect("there")
        })
    }

    fn mode(dir: &tempfile::TempDir) -> u32 {
        nvpmodel::mode(&Tree::at(dir.path())).expect("a mode").id
    }

    const BOTH: [MaySet; 2] = [MaySet::Nvpmodel, MaySet::CpuGovernor];

    #[test]
    fn what_is_set_is_put_back_as_it_was_found() {
        let board = board();
        let mut system = System::new(board.path(), &BOTH);
        assert_eq!((system.nvpmodes(), system.cpu_governor().as_deref()), (vec!["15W".to_owned()], Some("powersave")));
        let failed = system.set(Some("15W"), Some("powersave"));
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!((mode(&board), governors(&board)), (0, ["powersave".to_owned(), "powersave".to_owned()]));
        assert!(system.set(None, None).is_empty());
        assert_eq!((mode(&board), governors(&board)), (1, ["schedutil".to_owned(), "performance".to_owned()]));
    }

    #[test]
    fn what_may_not_be_set_is_neither_offered_nor_touched() {
        let board = board();
        let mut system = System::new(board.path(), &[]);
        assert_eq!((system.nvpmodes(), system.cpu_governor()), (vec![], None));
        assert!(system.set(Some("15W"), Some("powersave")).is_empty());
        assert_eq!((mode(&board), governors(&board)), (1, ["schedutil".to_owned(), "performance".to_owned()]));
        let mut system = System::new(board.path(), &[MaySet::CpuGovernor]);
        system.set(Some("15W"), Some("powersave"));
        assert_eq!((mode(&board), governors(&board)), (1, ["powersave".to_owned(), "powersave".to_owned()]));
    }

    #[test]
    fn what_nobody_changed_is_not_put_back_over_what_somebody_else_set() {
        let board = board();
        let mut system = System::new(board.path(), &BOTH);
        std::fs::write(board.path().join("sys/devices/system/cpu/cpufreq/policy0/scaling_governor"), "powersave")
            .expect("written");
        assert!(system.set(None, None).is_empty());
        assert_eq!(governors(&board)[0], "powersave");
    }

    #[test]
    fn a_program_that_does_not_do_it_or_is_not_there_is_told() {
        let board = board();
        for (does, said) in [("echo 'NVPM ERROR: no rights' >&2; exit 1", "no rights"), (":", "the mode is Some(1)")] {
            program(&board, does);
            let failed = System::new(board.path(), &BOTH).set(Some("15W"), None);
            assert!(failed.len() == 1 && failed[0].to_string().contains(said), "{failed:?}");
        }
        std::fs::remove_file(board.path().join("usr/sbin/nvpmodel")).expect("it was there");
        let failed = System::new(board.path(), &BOTH).set(Some("15W"), None);
        assert!(failed[0].to_string().contains("nvpmodel 15W"), "{failed:?}");
    }

    #[test]
    fn a_device_without_such_settings_offers_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let system = System::new(dir.path(), &BOTH);
        assert_eq!((system.nvpmodes(), system.cpu_governor()), (vec![], None));
    }
}
