//! Load and clock of graphics processors: a Jetson's through devfreq, AMD's through its driver. Looked for anew at each look, since a
//! Jetson's node may appear after the daemon.
//!
//! NVIDIA's cards, and Thor's load, are told by its management library only, which is not asked.

use std::path::{Path, PathBuf};

use super::sysfs::{self, Tree, entries, number, text};
use crate::types::GpuUse;

/// Names of a Jetson's graphics processor in its device tree that do not have "gpu" in them, from TX1 to Thor.
const CHIPS: [&str; 5] = ["gm20b", "gp10b", "gv11b", "ga10b", "gb10b"];
/// Where its load stood before devfreq led there.
const LOADS: [&str; 2] = ["devices/platform/gpu.0", "devices/gpu.0"];

/// Every graphics processor of which something is told.
pub(super) fn gpus(tree: &Tree) -> Vec<GpuUse> {
    let scaled: Vec<PathBuf> = scaled(tree).collect();
    let mut found: Vec<GpuUse> = scaled.iter().map(|folder| of_devfreq(tree, folder)).collect();
    if found.is_empty() {
        found.extend(load_of_node(tree).map(|load| GpuUse { busy_permille: Some(load), ..named("gpu.0") }));
    }
    let cards = tree.numbered("drm", "card");
    found.extend(cards.iter().filter_map(|card| {
        let percent = number(&card.join("device/gpu_busy_percent"))?;
        Some(GpuUse { busy_permille: permille(percent.checked_mul(10)?), ..named(sysfs::name(card)) })
    }));
    found
}

/// Devices of devfreq that are graphics processors.
fn scaled(tree: &Tree) -> impl Iterator<Item = PathBuf> {
    let is_gpu = |folder: &PathBuf| {
        let node = text(&folder.join("device/of_node/name")).unwrap_or_default();
        [node.as_str(), sysfs::name(folder)]
            .iter()
            .any(|name| name.contains("gpu") || CHIPS.iter().any(|c| name.contains(c)))
    };
    entries(&tree.sys("class/devfreq")).into_iter().filter(is_gpu)
}

fn of_devfreq(tree: &Tree, folder: &Path) -> GpuUse {
    let megahertz = |file: &str| number(&folder.join(file)).and_then(|hz| u32::try_from(hz / 1_000_000).ok());
    let own = number(&folder.join("device/load")).and_then(permille);
    GpuUse {
        busy_permille: own.or_else(|| load_of_node(tree)),
        clock_mhz: megahertz("cur_freq"),
        max_clock_mhz: megahertz("max_freq"),
        governor: text(&folder.join("governor")),
        ..named(sysfs::name(folder))
    }
}

fn load_of_node(tree: &Tree) -> Option<u32> {
    LOADS.iter().find_map(|path| number(&tree.sys(path).join("load")).and_then(permille))
}

/// Whether clocks of graphics processors are held at one value; None where there are none.
pub(super) fn clocks_fixed(tree: &Tree) -> Option<bool> {
    let bounds = |folder: PathBuf| Some(number(&folder.join("min_freq"))? == number(&folder.join("max_freq"))?);
    scaled(tree).filter_map(bounds).reduce(|a, b| a && b)
}

fn permille(load: i64) -> Option<u32> {
    u32::try_from(load).ok().filter(|load| *load <= 1000)
}

fn named(name: &str) -> GpuUse {
    GpuUse { name: name.to_owned(), busy_permille: None, clock_mhz: None, max_clock_mhz: None, governor: None }
}
