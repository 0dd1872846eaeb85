//! A Jetson's power mode: its number from /var/lib/nvpmodel/status, its name from /etc/nvpmodel.conf, which takes no rights and no program;
//! and which modes are below it.

use std::collections::BTreeSet;

use super::sysfs::Tree;
use super::{gpu, load};
use crate::types::PowerMode;

/// The mode; None on boards that have none.
pub(super) fn mode(tree: &Tree) -> Option<PowerMode> {
    let table = std::fs::read_to_string(tree.etc("nvpmodel.conf")).ok();
    let status = std::fs::read_to_string(tree.var("lib/nvpmodel/status")).ok();
    // Until a mode was chosen for the first time there is no status, and the table's default is in force.
    let chosen = status.as_deref().and_then(|s| value(s, "pmode:")).and_then(|v| v.parse().ok());
    let id = chosen.or_else(|| table.as_deref().and_then(by_default))?;
    let fixed: Vec<bool> = [gpu::clocks_fixed(tree), load::clocks_fixed(tree)].into_iter().flatten().collect();
    let clocks_fixed = !fixed.is_empty() && fixed.iter().all(|fixed| *fixed);
    Some(PowerMode { id, name: table.as_deref().and_then(|t| name(t, id)), clocks_fixed })
}

/// A mode of the board's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mode {
    /// Its number.
    pub(super) id: u32,
    /// Its name.
    pub(super) name: String,
    /// Which parts of the GPU have power: a mode that differs in this takes a restart of the device.
    masks: BTreeSet<String>,
}

impl Mode {
    /// The watts that its name tells; None where it tells none (`MAXN`), which is more than any.
    fn watts(&self) -> Option<u32> {
        self.name.split('_').find_map(|word| word.strip_suffix('W')?.parse().ok())
    }
}

/// The modes that draw less than this one by their names and take no restart, the highest first; of several with the same watts the first.
pub(super) fn below(tree: &Tree, id: u32) -> Vec<Mode> {
    let all = modes(&std::fs::read_to_string(tree.etc("nvpmodel.conf")).unwrap_or_default());
    let Some(now) = all.iter().find(|mode| mode.id == id) else { return Vec::new() };
    let is_less = |mode: &&Mode| mode.watts().is_some_and(|watts| now.watts().is_none_or(|most| watts < most));
    let mut less: Vec<Mode> = all.iter().filter(is_less).filter(|mode| mode.masks == now.masks).cloned().collect();
    less.sort_by_key(|mode| std::cmp::Reverse(mode.watts()));
    less.dedup_by_key(|mode| mode.watts());
    less
}

fn modes(table: &str) -> Vec<Mode> {
    let mut all: Vec<Mode> = Vec::new();
    for line in table.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        if line.contains("POWER_MODEL") {
            let id = value(line, "ID=").and_then(|v| v.parse().ok());
            let name = value(line, "NAME=").map(|n| n.trim_end_matches('>').to_owned());
            all.extend(id.zip(name).map(|(id, name)| Mode { id, name, masks: BTreeSet::new() }));
        } else if line.contains("_PG_MASK")
            && let Some(mode) = all.last_mut()
        {
            mode.masks.insert(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    all
}

/// The word that follows the key.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let after = &text[text.find(key)? + key.len()..];
    after.split_whitespace().next()
}

/// `< PM_CONFIG DEFAULT=2 >`
fn by_default(table: &str) -> Option<u32> {
    let line = table.lines().find(|l| !l.trim_start().starts_with('#') && l.contains("PM_CONFIG"))?;
    value(line, "DEFAULT=")?.trim_end_matches('>').parse().ok()
}

/// `< POWER_MODEL ID=2 NAME=MAXN_SUPER >`
fn name(table: &str, id: u32) -> Option<String> {
    let lines = table.lines().filter(|l| !l.trim_start().starts_with('#') && l.contains("POWER_MODEL"));
    let named = lines.filter_map(|l| Some((value(l, "ID=")?.parse::<u32>().ok()?, value(l, "NAME=")?)));
    named.into_iter().find(|(n, _)| *n == id).map(|(_, name)| name.trim_end_matches('>').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# < POWER_MODEL ID=2 NAME=OLD >\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n\
                         < POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n";

    #[test]
    fn a_mode_has_the_name_that_the_boards_table_gives_its_number() {
        assert_eq!(name(TABLE, 2).as_deref(), Some("MAXN_SUPER"));
        assert_eq!(name(TABLE, 7), None);
        assert_eq!(by_default(TABLE), Some(1));
        assert_eq!(value("pmode:0002 fmode:quiet", "pmode:"), Some("0002"));
    }

    #[test]
    fn a_mode_below_draws_less_by_its_name_and_gives_power_to_the_same_parts() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("etc")).expect("made");
        let mask = |mask: u32| format!("TPC_POWER_GATING  TPC_PG_MASK {mask}\n");
        let table = format!(
            "< PARAM TYPE=FILE NAME=TPC_POWER_GATING >\nTPC_PG_MASK /some/file\n\
             < POWER_MODEL ID=0 NAME=MAXN >\n{0}< POWER_MODEL ID=1 NAME=MODE_10W >\n{0}\
             < POWER_MODEL ID=2 NAME=MODE_15W >\n{1}< POWER_MODEL ID=3 NAME=30W >\n{0}\
             < POWER_MODEL ID=4 NAME=30W_6CORE >\n{0}# < POWER_MODEL ID=5 NAME=7W >\n",
            mask(240),
            mask(248)
        );
        std::fs::write(dir.path().join("etc/nvpmodel.conf"), table).expect("written");
        let names = |id| below(&Tree::at(dir.path()), id).into_iter().map(|m| m.name).collect::<Vec<_>>();
        assert_eq!(names(0), ["30W", "MODE_10W"], "15 W takes a restart");
        assert_eq!(names(3), ["MODE_10W"]);
        assert!(names(1).is_empty() && names(9).is_empty());
    }

    #[test]
    fn without_a_status_the_default_is_in_force_and_a_link_from_the_root_stays_within_the_tree() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("etc/nvpmodel")).expect("made");
        std::fs::write(
            dir.path().join("etc/nvpmodel/board.conf"),
            "< PM_CONFIG DEFAULT=0 >\n< POWER_MODEL ID=0 NAME=15W >",
        )
        .expect("written");
        std::os::unix::fs::symlink("/etc/nvpmodel/board.conf", dir.path().join("etc/nvpmodel.conf")).expect("linked");
        let mode = mode(&Tree::at(dir.path())).expect("a mode");
        assert_eq!((mode.id, mode.name.as_deref(), mode.clocks_fixed), (0, Some("15W"), false));
    }
}
