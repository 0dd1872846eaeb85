//! `peregrine probe` on boards that stand as trees of files in tests/data/sysfs, and on the machine that the tests run on.

use serde_json::Value;

use crate::support::{data, peregrine};

fn probed(root: &str) -> Value {
    let output = peregrine(&["probe", "--json", "--root", root]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn probe_shows_each_board_with_its_chip_and_what_its_power_is_measured_by() {
    let boards = [
        ("nano", "tegra210", 2532, "input"),
        ("xavier-nx", "tegra194", 5317, "input"),
        ("orin-nano", "tegra234", 4785, "input"),
        ("agx-orin", "tegra234", 9108, "rails"),
        ("thor", "tegra264", 28_765, "input"),
        ("pi5", "bcm2712", 5001, "estimate"),
    ];
    for (board, chip, milliwatts, of) in boards {
        let report = probed(&data("sysfs").join(board).display().to_string());
        assert_eq!(report["chip"], chip, "{board}");
        let power = &report["readings"]["power"];
        assert_eq!((&power["total_mw"], &power["total_of"]), (&milliwatts.into(), &of.into()), "{board}");
    }
    for (board, model) in [("pi4", "Raspberry Pi 4 Model B Rev 1.4"), ("pc", "Example Box 3000")] {
        let report = probed(&data("sysfs").join(board).display().to_string());
        assert_eq!(
            (&report["board"], &report["readings"]["power"]["total_mw"]),
            (&model.into(), &Value::Null),
            "{board}"
        );
    }
}

#[test]
fn probe_shows_a_board_as_a_table() {
    let output = peregrine(&["probe", "--root", &data("sysfs/orin-nano").display().to_string()]);
    let table = String::from_utf8(output.stdout).expect("text");
    for row in [
        "board       NVIDIA Jetson Orin Nano",
        "power       4.785 W               measured at the input",
        "rail        VDD_SOC               1.513 W, 4.976 V, 0.304 A",
        "gpu         17000000.gpu          88 % busy, 612 of 1020 MHz, nvhost_podgov",
        "mode        MAXN_SUPER (2)",
        "note        temperature: cv0-thermal has no value",
    ] {
        assert!(table.contains(row), "{row:?} is missing:\n{table}");
    }
}

#[test]
fn the_machine_of_the_tests_has_cores_and_memory() {
    let report = probed("/");
    let readings = &report["readings"];
    assert!(readings["cpu"]["cores"].as_array().is_some_and(|cores| !cores.is_empty()), "{report}");
    let memory = &readings["memory"];
    let bytes = |key: &str| memory[key].as_u64().unwrap_or_else(|| panic!("{key} in {memory}"));
    assert!(bytes("total_bytes") >= bytes("available_bytes") && bytes("available_bytes") > 0);
    assert_eq!(report["memory_bytes"], memory["total_bytes"]);
}
