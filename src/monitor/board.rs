//! Which board this is: its model by the device tree, or by a PC's firmware; its chip; NVIDIA's release.

use serde::Serialize;

use super::sysfs::{Tree, text};

/// A board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Board {
    /// E.g. "NVIDIA Jetson Orin Nano Developer Kit", "Raspberry Pi 5 Model B Rev 1.0".
    pub model: Option<String>,
    /// The chip by its name in the device tree, e.g. "tegra234", "bcm2712".
    pub chip: Option<String>,
    /// NVIDIA's release of Linux for Tegra, e.g. "R36.4.3".
    pub l4t: Option<String>,
}

/// What is known of it.
pub(super) fn board(tree: &Tree) -> Board {
    let compatible = text(&tree.proc("device-tree/compatible")).unwrap_or_default();
    // From the board to the chip, with zeros between.
    let chip = compatible.split('\0').next_back().and_then(|name| name.split_once(','));
    Board {
        model: text(&tree.proc("device-tree/model")).or_else(|| of_pc(tree)),
        chip: chip.map(|(_, chip)| chip.to_owned()),
        l4t: std::fs::read_to_string(tree.etc("nv_tegra_release")).ok().and_then(|release| l4t(&release)),
    }
}

fn of_pc(tree: &Tree) -> Option<String> {
    let id = tree.sys("class/dmi/id");
    let (maker, product) = (text(&id.join("sys_vendor")), text(&id.join("product_name"))?);
    Some(maker.map_or_else(|| product.clone(), |maker| format!("{maker} {product}")))
}

/// `# R36 (release), REVISION: 4.3, GCID: …`
fn l4t(release: &str) -> Option<String> {
    let line = release.lines().next()?.trim_start_matches('#').trim();
    let (major, rest) = line.split_once(' ')?;
    let revision = rest.split_once("REVISION:")?.1.split(',').next()?.trim();
    major.starts_with('R').then(|| format!("{major}.{revision}"))
}
