//! How busy processor and memory are, from /proc, and how fast each core runs.

use std::collections::BTreeMap;

use super::sysfs::{Tree, entries, number};
use crate::types::{CoreUse, CpuUse, MemoryUse};

/// Ticks of a core that were spent with work, and all of them.
type Ticks = (u64, u64);

/// What the kernel had counted at the look before.
#[derive(Debug, Default)]
pub(super) struct Processor {
    all: Option<Ticks>,
    cores: BTreeMap<u32, Ticks>,
}

impl Processor {
    /// Load since the look before and clocks now. A core that is switched off is left out.
    pub(super) fn look(&mut self, tree: &Tree) -> CpuUse {
        let stat = std::fs::read_to_string(tree.proc("stat")).unwrap_or_default();
        let (all, cores) = counted(&stat);
        let before = std::mem::replace(&mut self.all, all);
        let mut cores_before = std::mem::take(&mut self.cores);
        let mut told = CpuUse { busy_permille: busy(before, all), cores: Vec::new() };
        for (number_of, ticks) in &cores {
            let folder = tree.sys("devices/system/cpu").join(format!("cpu{number_of}"));
            let khz = number(&folder.join("cpufreq/scaling_cur_freq"));
            told.cores.push(CoreUse {
                number: *number_of,
                busy_permille: busy(cores_before.remove(number_of), Some(*ticks)),
                clock_mhz: khz.and_then(|khz| u32::try_from(khz / 1000).ok()),
            });
        }
        self.cores = cores;
        told
    }
}

fn busy(before: Option<Ticks>, now: Option<Ticks>) -> Option<u32> {
    let ((worked_before, before), (worked, all)) = (before?, now?);
    let elapsed = all.checked_sub(before).filter(|ticks| *ticks > 0)?;
    // The kernel's count of idle ticks has been seen to fall by some.
    let worked = worked.saturating_sub(worked_before).min(elapsed);
    u32::try_from(worked * 1000 / elapsed).ok()
}

/// Ticks of all cores, and of each.
fn counted(stat: &str) -> (Option<Ticks>, BTreeMap<u32, Ticks>) {
    let (mut all, mut cores) = (None, BTreeMap::new());
    for line in stat.lines() {
        let Some((name, rest)) = line.strip_prefix("cpu").and_then(|l| l.split_once(' ')) else { continue };
        // user, nice, system, idle, iowait, irq, softirq, steal; guests stand in user already.
        let ticks: Vec<u64> = rest.split_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
        if ticks.len() < 4 {
            continue;
        }
        let total: u64 = ticks.iter().sum();
        let idle: u64 = ticks[3..].iter().take(2).sum();
        match name.parse() {
            Ok(number) => drop(cores.insert(number, (total - idle, total))),
            Err(_) => all = Some((total - idle, total)),
        }
    }
    (all, cores)
}

/// Memory.
pub(super) fn memory(tree: &Tree) -> Option<MemoryUse> {
    let info = std::fs::read_to_string(tree.proc("meminfo")).ok()?;
    let bytes = |key: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let swap_used_bytes = bytes("SwapTotal").unwrap_or_default().saturating_sub(bytes("SwapFree").unwrap_or_default());
    Some(MemoryUse { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")?, swap_used_bytes })
}

/// Whether every core's clock is held at one value; None where clocks are not told.
pub(super) fn clocks_fixed(tree: &Tree) -> Option<bool> {
    let policies = entries(&tree.sys("devices/system/cpu/cpufreq"));
    let bounds = |folder: std::path::PathBuf| {
        Some(number(&folder.join("scaling_min_freq"))? == number(&folder.join("scaling_max_freq"))?)
    };
    policies.into_iter().filter_map(bounds).reduce(|a, b| a && b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_what_was_not_idle_since_the_look_before() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("proc")).expect("made");
        let stat = |text: &str| std::fs::write(dir.path().join("proc/stat"), text).expect("written");
        let (tree, mut processor) = (Tree::at(dir.path()), Processor::default());
        stat(
            "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu2 50 0 25 400 25 0 0 0 0 0\nintr 7 8\n",
        );
        let first = processor.look(&tree);
        assert_eq!(first.busy_permille, None);
        assert_eq!(first.cores.iter().map(|c| c.number).collect::<Vec<_>>(), [0, 2], "core 1 is switched off");
        // Core 0: 30 of 100 ticks; core 2: 80 of 100 (guest's ticks are not counted twice); together 110 of 200. Core 3 is new.
        stat(
            "cpu  190 0 70 880 60 0 0 0 40 0\ncpu0 70 0 35 465 30 0 0 0 0 0\ncpu2 120 0 35 415 30 0 0 0 40 0\ncpu3 9 9 9 9 9 9 9 9\n",
        );
        let second = processor.look(&tree);
        let cores: Vec<_> = second.cores.iter().map(|c| (c.number, c.busy_permille)).collect();
        assert_eq!((second.busy_permille, cores), (Some(550), vec![(0, Some(300)), (2, Some(800)), (3, None)]));
        assert_eq!(processor.look(&tree).busy_permille, None, "no tick since");
        stat("cpu x\ncpu0\n");
        assert_eq!(processor.look(&tree), CpuUse::default());
    }
}
