//! A Jetson's power mode: its number from /var/lib/nvpmodel/status, its name from /etc/nvpmodel.conf. Takes no rights and no program.

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
