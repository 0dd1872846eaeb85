//! Settings of the system beyond this program: the governor of the processors' clocks, and a Jetson's power mode. Changed only where the
//! owner's `[budget] may_set` names them, and put back as they were found.
//!
//! Belongs here: what there is to set, setting it, putting it back. Does not: when (see `governor`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;

use super::found::{Found, FoundMode, Note};
use super::nvpmodel::{self, Mode};
use super::program;
use super::sysfs::{self, Tree};
use crate::config::MaySet;

/// The kernel's governor that runs the processors at their lowest clock (or, with `intel_pstate`, lets the hardware favour it).
const FRUGAL: &str = "powersave";
/// Where the kernel shows the processors' governors.
const POLICIES: &str = "devices/system/cpu/cpufreq";
/// NVIDIA's program takes a second or so.
const PROGRAM_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Where an owner reads on.
const HINT: &str = "docs/budget.md says what it takes";

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
    /// It is made, and a kill would leave it so.
    #[error("how the system was found cannot be noted, so that a kill would not be made good: {}: {source}", path.display())]
    Note {
        /// The note.
        path: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
}

/// What is set and how it was found.
#[derive(Debug)]
pub struct System {
    tree: Tree,
    cpu: Option<Cpu>,
    mode: Option<PowerModes>,
    note: Note,
    remarks: Vec<String>,
}

/// The processors' governors.
#[derive(Debug)]
struct Cpu {
    /// Each policy's folder, and its governor.
    found: Vec<(String, String)>,
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
    /// Puts back what an earlier start changed and could not put back; then looks how the device is set, as far as anything may be changed
    /// and can be: nothing else is even looked at. `root` is where /sys, /usr and the like are, `state` the folder where this process keeps
    /// things. Takes as long as NVIDIA's program.
    pub fn new(root: &Path, may_set: &[MaySet], state: &Path) -> Self {
        let (tree, mut note, mut remarks) = (Tree::at(root), Note::read(state), Vec::new());
        let left = put_back(&tree, note.found(), &mut remarks);
        let left_mode = left.mode.as_ref().map(|mode| mode.found);
        if let Err((path, source)) = note.keep(left) {
            remarks.push(SystemError::Note { path, source }.to_string());
        }
        let cpu = may_set.contains(&MaySet::CpuGovernor).then(|| Cpu::found(&tree, &mut remarks)).flatten();
        let mode = may_set.contains(&MaySet::Nvpmodel).then(|| PowerModes::found(&tree, left_mode, &mut remarks));
        Self { tree, cpu, mode: mode.flatten(), note, remarks }
    }

    /// What an owner should know of it; each thing once.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
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
        let mut noted = self.note.found().clone();
        if let (Some(mode), Some(name)) = (&self.mode, nvpmode) {
            let known = FoundMode { found: mode.found, asked: Default::default() };
            let asked = mode.below.iter().filter(|mode| mode.name == name).map(|mode| mode.id);
            noted.mode.get_or_insert(known).asked.extend(asked);
        }
        if let (Some(cpu), Some(_)) = (&self.cpu, cpu_governor) {
            noted.governors.extend(cpu.found.iter().cloned());
        }
        // Before anything is changed: who is killed in between has changed nothing, or has noted it.
        failed.extend(self.note.keep(noted.clone()).err().map(not_noted));
        if let Some(mode) = &mut self.mode {
            match mode.set(&self.tree, nvpmode) {
                Ok(true) if nvpmode.is_none() => noted.mode = None,
                Ok(_) => {}
                Err(e) => failed.push(e),
            }
        }
        if let Some(cpu) = &mut self.cpu {
            let was_set = cpu.set.is_some();
            let not_set = cpu.set(&self.tree, cpu_governor);
            if was_set && cpu_governor.is_none() && not_set.is_empty() {
                noted.governors.clear();
            }
            failed.extend(not_set);
        }
        failed.extend(self.note.keep(noted).err().map(not_noted));
        failed
    }
}

fn not_noted((path, source): (PathBuf, std::io::Error)) -> SystemError {
    SystemError::Note { path, source }
}

/// Puts back what was changed and still is as it was changed to; what the owner has set since is his. Gives what could not be put back.
fn put_back(tree: &Tree, found: &Found, remarks: &mut Vec<String>) -> Found {
    let mut left = Found::default();
    for (policy, governor) in &found.governors {
        let path = scaling_governor(tree, policy);
        // The note names folders below one folder, nothing else.
        let is_ours = !policy.contains('/') && sysfs::text(&path).as_deref() == Some(FRUGAL) && governor != FRUGAL;
        if !is_ours {
            continue;
        }
        match sysfs::write(&path, governor) {
            Ok(()) => {
                remarks.push(format!("cpu_governor {governor} of {policy} is put back, which the last run did not"))
            }
            Err(source) => {
                left.governors.insert(policy.clone(), governor.clone());
                remarks.push(SystemError::CpuGovernor { name: governor.clone(), path, source }.to_string());
            }
        }
    }
    let now = || nvpmodel::mode(tree).map(|mode| mode.id);
    if let Some(mode) = found.mode.as_ref().filter(|mode| now().is_some_and(|id| mode.asked.contains(&id))) {
        match run(tree, &as_found(mode.found), mode.found) {
            Ok(()) => remarks.push(format!("nvpmodel {} is put back, which the last run did not", mode.found)),
            Err(e) => {
                left.mode = Some(mode.clone());
                remarks.push(e.to_string());
            }
        }
    }
    left
}

fn scaling_governor(tree: &Tree, policy: &str) -> PathBuf {
    tree.sys(POLICIES).join(policy).join("scaling_governor")
}

impl Cpu {
    /// None where there is nothing to gain: no such governor, or all have it already; nor where it may not be written.
    fn found(tree: &Tree, remarks: &mut Vec<String>) -> Option<Self> {
        let policies = sysfs::entries(&tree.sys(POLICIES));
        let has_it = |policy: &PathBuf| {
            let available = sysfs::text(&policy.join("scaling_available_governors")).unwrap_or_default();
            available.split_whitespace().any(|name| name == FRUGAL)
        };
        let governor = |policy: PathBuf| {
            let name = sysfs::name(&policy).to_owned();
            let now = sysfs::text(&scaling_governor(tree, &name))?;
            Some((name, now))
        };
        let found: Vec<_> = policies.into_iter().filter(has_it).filter_map(governor).collect();
        found.iter().find(|(_, now)| now != FRUGAL)?;
        let files = found.iter().map(|(policy, _)| scaling_governor(tree, policy));
        if let Some((file, why)) =
            files.map(|file| (sysfs::may_write(&file), file)).find_map(|(r, f)| Some((f, r.err()?)))
        {
            remarks.push(format!("cpu_governor cannot be set and is left out: {}: {why}; {HINT}", file.display()));
            return None;
        }
        Some(Self { found, set: None })
    }

    fn set(&mut self, tree: &Tree, wanted: Option<&str>) -> Vec<SystemError> {
        if self.set.as_deref() == wanted {
            return Vec::new();
        }
        // Noted also where a file does not take it: the others did, and are put back.
        self.set = wanted.map(str::to_owned);
        let write = |(policy, found): &(String, String)| {
            let (name, path) = (wanted.unwrap_or(found), scaling_governor(tree, policy));
            let failed = |source| SystemError::CpuGovernor { name: name.to_owned(), path: path.clone(), source };
            sysfs::write(&path, name).map_err(failed).err()
        };
        self.found.iter().filter_map(write).collect()
    }
}

impl PowerModes {
    /// None where there is no lower mode, nor where none may be set. `left` is the owner's mode where an earlier run left another.
    fn found(tree: &Tree, left: Option<u32>, remarks: &mut Vec<String>) -> Option<Self> {
        let found = left.or_else(|| nvpmodel::mode(tree).map(|mode| mode.id))?;
        let below = nvpmodel::below(tree, found);
        if below.is_empty() {
            return None;
        }
        // The program may be asked by root alone, and keeps the mode in this file.
        let (program, status) = (tree.usr("sbin/nvpmodel"), tree.var("lib/nvpmodel/status"));
        let status = status.ancestors().find(|path| path.exists()).unwrap_or(&status);
        for (path, right) in [(&*program, Access::EXEC_OK), (status, Access::WRITE_OK)] {
            if let Err(why) = rustix::fs::access(path, right) {
                remarks.push(format!("nvpmodel cannot be set and is left out: {}: {why}; {HINT}", path.display()));
                return None;
            }
        }
        Some(Self { found, below, set: None })
    }

    /// Whether there was anything to do for it.
    fn set(&mut self, tree: &Tree, wanted: Option<&str>) -> Result<bool, SystemError> {
        if self.set.as_deref() == wanted {
            return Ok(false);
        }
        self.set = wanted.map(str::to_owned);
        let known = wanted.map(|name| self.below.iter().find(|mode| mode.name == name));
        let (id, name) = match known {
            Some(Some(mode)) => (mode.id, mode.name.clone()),
            // A mode that the table no longer has is never asked for: the ladder is made of this list.
            Some(None) => return Ok(false),
            None => (self.found, as_found(self.found)),
        };
        run(tree, &name, id).map(|()| true)
    }
}

fn as_found(id: u32) -> String {
    format!("{id} (as found)")
}

/// Nobody is there to be asked whether the device may restart: where it would, the program ends with an error and changes nothing.
fn run(tree: &Tree, name: &str, id: u32) -> Result<(), SystemError> {
    let program = tree.usr("sbin/nvpmodel");
    let done = program::run(&program, &["-m", &id.to_string()], PROGRAM_ENDS_WITHIN);
    let done = done.and_then(|(status, said)| match (status.success(), said.is_empty()) {
        (true, _) => match nvpmodel::mode(tree) {
            Some(now) if now.id == id => Ok(()),
            now => Err(format!("it says that all is well, and the mode is {:?}", now.map(|mode| mode.id))),
        },
        (false, true) => Err(status.to_string()),
        (false, false) => Err(said),
    });
    done.map_err(|reason| SystemError::Nvpmodel { name: name.to_owned(), program, reason })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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

    fn system(dir: &tempfile::TempDir, may_set: &[MaySet]) -> System {
        System::new(dir.path(), may_set, &dir.path().join("state"))
    }

    const BOTH: [MaySet; 2] = [MaySet::Nvpmodel, MaySet::CpuGovernor];

    #[test]
    fn what_is_set_is_put_back_as_it_was_found() {
        let board = board();
        let mut now = system(&board, &BOTH);
        assert_eq!((now.nvpmodes(), now.cpu_governor().as_deref()), (vec!["15W".to_owned()], Some("powersave")));
        let failed = now.set(Some("15W"), Some("powersave"));
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!((mode(&board), governors(&board)), (0, ["powersave".to_owned(), "powersave".to_owned()]));
        assert!(now.set(None, None).is_empty());
        assert_eq!((mode(&board), governors(&board)), (1, ["schedutil".to_owned(), "performance".to_owned()]));
    }

    #[test]
    fn what_may_not_be_set_is_neither_offered_nor_touched() {
        let board = board();
        let mut now = system(&board, &[]);
        assert_eq!((now.nvpmodes(), now.cpu_governor()), (vec![], None));
        assert!(now.set(Some("15W"), Some("powersave")).is_empty());
        assert_eq!((mode(&board), governors(&board)), (1, ["schedutil".to_owned(), "performance".to_owned()]));
        let mut now = system(&board, &[MaySet::CpuGovernor]);
        now.set(Some("15W"), Some("powersave"));
        assert_eq!((mode(&board), governors(&board)), (1, ["powersave".to_owned(), "powersave".to_owned()]));
    }

    #[test]
    fn what_nobody_changed_is_not_put_back_over_what_somebody_else_set() {
        let board = board();
        let mut now = system(&board, &BOTH);
        std::fs::write(board.path().join("sys/devices/system/cpu/cpufreq/policy0/scaling_governor"), "powersave")
            .expect("written");
        assert!(now.set(None, None).is_empty());
        assert_eq!(governors(&board)[0], "powersave");
    }

    #[test]
    fn a_program_that_does_not_do_it_or_is_not_there_is_told() {
        let board = board();
        for (does, said) in [("echo 'NVPM ERROR: no rights' >&2; exit 1", "no rights"), (":", "the mode is Some(1)")] {
            program(&board, does);
            let failed = system(&board, &BOTH).set(Some("15W"), None);
            assert!(failed.len() == 1 && failed[0].to_string().contains(said), "{failed:?}");
        }
        let mut now = system(&board, &BOTH);
        std::fs::remove_file(board.path().join("usr/sbin/nvpmodel")).expect("it was there");
        let failed = now.set(Some("15W"), None);
        assert!(failed[0].to_string().contains("nvpmodel 15W"), "{failed:?}");
    }

    #[test]
    fn what_cannot_be_set_is_not_offered_and_that_is_said() {
        let board = board();
        std::fs::remove_file(board.path().join("usr/sbin/nvpmodel")).expect("it was there");
        // A file that nobody may write, root no more than others.
        let file = board.path().join("sys/devices/system/cpu/cpufreq/policy4/scaling_governor");
        std::fs::remove_file(&file).expect("it was there");
        let read_only = Tree::at(Path::new("/")).sys("devices/system/cpu/online");
        std::os::unix::fs::symlink(read_only, &file).expect("linked");
        let mut now = system(&board, &BOTH);
        assert_eq!((now.nvpmodes(), now.cpu_governor()), (vec![], None));
        let remarks = now.remarks();
        let said = |what: &str| remarks.iter().any(|r| r.contains(what) && r.contains("is left out"));
        assert!(remarks.len() == 2 && said("policy4") && said("sbin/nvpmodel"), "{remarks:?}");
        assert_eq!(now.remarks(), Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_run_left_is_put_back_at_the_next_start_even_where_the_leave_is_gone() {
        let board = board();
        system(&board, &BOTH).set(Some("15W"), Some("powersave"));
        assert_eq!((mode(&board), governors(&board)), (0, ["powersave".to_owned(), "powersave".to_owned()]));
        let mut next = system(&board, &[]);
        assert_eq!((mode(&board), governors(&board)), (1, ["schedutil".to_owned(), "performance".to_owned()]));
        assert_eq!(next.remarks().len(), 3);
        assert!(!board.path().join("state/system-found.json").exists(), "all is said");
        assert_eq!(system(&board, &[]).remarks(), Vec::<String>::new());
    }

    #[test]
    fn what_the_owner_has_set_after_a_kill_is_his() {
        let board = board();
        system(&board, &BOTH).set(Some("15W"), Some("powersave"));
        std::fs::write(board.path().join("var/lib/nvpmodel/status"), "pmode:0002").expect("written");
        let file = board.path().join("sys/devices/system/cpu/cpufreq/policy0/scaling_governor");
        std::fs::write(file, "performance").expect("written");
        let now = system(&board, &BOTH);
        assert_eq!((mode(&board), governors(&board)), (2, ["performance".to_owned(), "performance".to_owned()]));
        assert_eq!(now.nvpmodes(), ["25W", "15W"], "seen from there");
    }

    #[test]
    fn what_cannot_be_put_back_stays_noted_as_it_was_found_first() {
        let board = board();
        system(&board, &BOTH).set(Some("15W"), None);
        program(&board, "echo 'NVPM ERROR: not now' >&2; exit 1");
        let mut second = system(&board, &BOTH);
        assert!(second.remarks().iter().any(|r| r.contains("not now")));
        assert_eq!(second.nvpmodes(), ["15W"], "below the owner's mode");
        let status = board.path().join("var/lib/nvpmodel/status");
        program(&board, &format!("printf 'pmode:%04d' \"$2\" > {}", status.display()));
        assert_eq!((system(&board, &[]).remarks().len(), mode(&board)), (1, 1));
    }

    #[test]
    fn a_device_without_such_settings_offers_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = system(&dir, &BOTH);
        assert_eq!((now.nvpmodes(), now.cpu_governor()), (vec![], None));
    }
}
