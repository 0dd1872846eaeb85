//! Energy that a PC's processor has counted (RAPL, through /sys/class/powercap), as power since the look before.
//!
//! A counter holds microjoules and begins again at 0 after `max_energy_range_uj`. Reading it takes rights on newer kernels (it tells too
//! much about what others compute). `intel-rapl-mmio` counts the same package once more and is left out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::Names;
use super::notes::Notes;
use super::sysfs::{self, Tree, entries, measured, number, text};
use crate::types::Rail;

/// After a pause in which a counter may have begun again more than once nobody knows how much it counted: none is longer than this,
const LONGEST: Duration = Duration::from_secs(300);
/// nor longer than a package that takes so much needs for the counter's range. The narrowest in use (65.5 kJ) runs for two minutes then.
const MOST_WATTS: u64 = 500;

/// How far each counter was.
#[derive(Debug, Default)]
pub(super) struct Energy {
    before: BTreeMap<PathBuf, (Duration, i64)>,
}

/// A part of a processor.
#[derive(Debug)]
struct Domain {
    folder: PathBuf,
    name: String,
    /// Whether a whole package, or memory that stands outside of it.
    is_whole: bool,
    /// Whether it is memory: where that is not counted, its counter stands still.
    is_memory: bool,
}

impl Energy {
    /// Power of each domain since the look before, and of all packages together; nothing at the first look.
    pub(super) fn look(&mut self, tree: &Tree, now: Duration, notes: &mut Notes) -> (Vec<Rail>, Option<i64>) {
        let (mut rails, mut total, mut is_complete) = (Vec::new(), 0, true);
        for domain in domains(tree) {
            let milliwatts = match measured(&domain.folder.join("energy_uj")) {
                // A counter that stands still counts nothing: virtual machines have such, and boards without meters for memory.
                Ok(microjoules) => match self.power(&domain.folder, microjoules, now) {
                    Some(0) if domain.is_memory => continue,
                    power => power.filter(|milliwatts| *milliwatts > 0),
                },
                Err(why) => {
                    denied(&domain, &why, notes);
                    None
                }
            };
            if domain.is_whole {
                is_complete &= milliwatts.is_some();
                total += milliwatts.unwrap_or_default();
            }
            let Some(milliwatts) = milliwatts else { continue };
            rails.push(Rail { name: domain.name, milliwatts: Some(milliwatts), ..Rail::default() });
        }
        let total = (is_complete && !rails.is_empty()).then_some(total);
        (rails, total)
    }

    fn power(&mut self, folder: &Path, microjoules: i64, now: Duration) -> Option<i64> {
        let (then, before) = self.before.insert(folder.to_owned(), (now, microjoules))?;
        let range = number(&folder.join("max_energy_range_uj"));
        let once = range.and_then(|uj| u64::try_from(uj).ok()).map(|uj| Duration::from_micros(uj / MOST_WATTS));
        let longest = once.map_or(LONGEST, |once| once.min(LONGEST));
        let elapsed = now.checked_sub(then).filter(|d| !d.is_zero() && *d <= longest)?;
        let spent =
            if microjoules >= before { microjoules - before } else { microjoules + range?.checked_sub(before)? };
        if spent == 0 {
            return Some(0);
        }
        (spent > 0).then(|| ((spent as f64 / 1000.0 / elapsed.as_secs_f64()).round() as i64).max(1))
    }
}

fn denied(domain: &Domain, why: &io::Error, notes: &mut Notes) {
    let file = domain.folder.join("energy_uj");
    let hint =
        if why.kind() == io::ErrorKind::PermissionDenied { "; docs/power.md says which right it takes" } else { "" };
    notes.say("rapl", || format!("power: {} cannot be read: {why}{hint}", file.display()));
}

/// Whether a processor counts its energy, whoever may read it.
pub(super) fn is_there(tree: &Tree) -> bool {
    !domains(tree).is_empty()
}

/// Packages (`intel-rapl:0`) and their parts (`intel-rapl:0:1`).
fn domains(tree: &Tree) -> Vec<Domain> {
    let all = entries(&tree.sys("class/powercap"));
    let folders = all.into_iter().filter(|folder| sysfs::name(folder).starts_with("intel-rapl:"));
    let domain = |folder: PathBuf| {
        let own = text(&folder.join("name"))?;
        let package = sysfs::name(&folder).rsplit_once(':').filter(|(head, _)| head.contains(':'));
        let package = package.and_then(|(package, _)| text(&folder.with_file_name(package).join("name")));
        let is_memory = own == "dram";
        let is_whole = own.starts_with("package") || is_memory;
        let name = package.map_or_else(|| own.clone(), |package| format!("{package}/{own}"));
        Some(Domain { folder, name, is_whole, is_memory })
    };
    let mut all: Vec<Domain> = folders.filter_map(domain).collect();
    let mut names = Names::default();
    for domain in &mut all {
        domain.name = names.unique(std::mem::take(&mut domain.name));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pc(tempfile::TempDir);

    impl Pc {
        fn new() -> Self {
            let pc = Self(tempfile::tempdir().expect("a folder"));
            for (folder, name) in
                [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram")]
            {
                pc.write(folder, "name", name);
                pc.write(folder, "max_energy_range_uj", "262143328850");
            }
            pc.write("intel-rapl", "enabled", "1");
            pc.write("intel-rapl-mmio:0", "name", "package-0");
            pc.write("intel-rapl-mmio:0", "energy_uj", "5");
            pc
        }

        fn write(&self, folder: &str, file: &str, text: &str) {
            let folder = self.0.path().join("sys/class/powercap").join(folder);
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::write(folder.join(file), format!("{text}\n")).expect("written");
        }

        fn counters(&self, package: i64, core: i64, dram: i64) {
            for (folder, uj) in [("intel-rapl:0", package), ("intel-rapl:0:0", core), ("intel-rapl:0:1", dram)] {
                self.write(folder, "energy_uj", &uj.to_string());
            }
        }

        fn look(&self, energy: &mut Energy, secs: u64, notes: &mut Notes) -> (Vec<(String, Option<i64>)>, Option<i64>) {
            let (rails, total) = energy.look(&Tree::at(self.0.path()), Duration::from_secs(secs), notes);
            (rails.into_iter().map(|r| (r.name, r.milliwatts)).collect(), total)
        }
    }

    #[test]
    fn power_is_the_energy_since_the_look_before_and_a_counter_that_begins_again_is_followed() {
        let (pc, mut energy, mut notes) = (Pc::new(), Energy::default(), Notes::default());
        pc.counters(262_143_000_000, 1_000_000, 7_000_000);
        assert_eq!(pc.look(&mut energy, 100, &mut notes), (vec![], None), "the first look knows no past");
        // The package came to its end after 328 850 µJ and counted 149 671 150 more: 150 J in 10 s are 15 W. Core: 80 J, 8 W. Memory: 20 J, 2 W.
        pc.counters(149_671_150, 81_000_000, 27_000_000);
        let (rails, total) = pc.look(&mut energy, 110, &mut notes);
        let want = [("package-0", 15_000), ("package-0/core", 8_000), ("package-0/dram", 2_000)];
        assert_eq!(rails, want.map(|(name, mw)| (name.to_owned(), Some(mw))));
        assert_eq!(total, Some(17_000), "the core is a part of its package");
        assert_eq!(notes.take(), Vec::<String>::new());
    }

    #[test]
    fn a_counter_that_stands_still_or_was_not_looked_at_for_long_says_nothing() {
        let (pc, mut energy, mut notes) = (Pc::new(), Energy::default(), Notes::default());
        pc.counters(5, 5, 5);
        pc.look(&mut energy, 0, &mut notes);
        assert_eq!(pc.look(&mut energy, 10, &mut notes), (vec![], None));
        pc.counters(50_000_000, 50_000_000, 50_000_000);
        assert_eq!(pc.look(&mut energy, 1000, &mut notes), (vec![], None));
    }

    #[test]
    fn memory_whose_counter_stands_still_is_no_reason_to_have_no_total() {
        let (pc, mut energy, mut notes) = (Pc::new(), Energy::default(), Notes::default());
        pc.counters(1_000_000, 5, 7);
        pc.look(&mut energy, 0, &mut notes);
        pc.counters(31_000_000, 5, 7);
        let want = (vec![("package-0".to_owned(), Some(3_000))], Some(3_000));
        assert_eq!(pc.look(&mut energy, 10, &mut notes), want);
    }

    #[test]
    fn a_narrow_counter_that_may_have_begun_again_twice_says_nothing() {
        let (pc, mut energy, mut notes) = (Pc::new(), Energy::default(), Notes::default());
        pc.write("intel-rapl:0", "max_energy_range_uj", "65532610987");
        pc.counters(1_000_000, 1_000_000, 1_000_000);
        pc.look(&mut energy, 0, &mut notes);
        pc.counters(2_000_000, 2_000_000, 2_000_000);
        let (rails, total) = pc.look(&mut energy, 200, &mut notes);
        assert_eq!((rails.iter().any(|(name, _)| name == "package-0"), total), (false, None), "218 s at 300 W");
    }

    #[test]
    fn counters_that_cannot_be_read_are_said_once_and_there_is_no_total() {
        let (pc, mut energy, mut notes) = (Pc::new(), Energy::default(), Notes::default());
        pc.counters(1, 1, 1);
        let dram = pc.0.path().join("sys/class/powercap/intel-rapl:0:1/energy_uj");
        std::fs::remove_file(&dram).expect("there");
        pc.look(&mut energy, 0, &mut notes);
        assert_eq!(notes.take().len(), 1);
        pc.write("intel-rapl:0", "energy_uj", "10000001");
        let (rails, total) = pc.look(&mut energy, 1, &mut notes);
        assert_eq!((rails.len(), total, notes.take().len()), (1, None, 0));
    }
}
