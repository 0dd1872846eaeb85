//! Each board of tests/data/sysfs gives exactly the readings that one expects of it, and the traps of real boards give none that are wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Board, Sensors};
use crate::types::{Readings, TotalOf};

fn tree(board: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sysfs").join(board)
}

fn sensors(root: &Path) -> Sensors {
    Sensors::new(root, root.to_owned())
}

fn looked(board: &str) -> (Readings, Vec<String>, Board) {
    let mut sensors = sensors(&tree(board));
    let readings = sensors.look(Duration::from_secs(1));
    (readings, sensors.notes(), sensors.board())
}

fn rails(readings: &Readings) -> Vec<(&str, Option<i64>)> {
    readings.power.rails.iter().map(|r| (r.name.as_str(), r.milliwatts)).collect()
}

fn total(readings: &Readings) -> Option<(i64, TotalOf)> {
    readings.power.total_mw.zip(readings.power.total_of)
}

fn temperatures(readings: &Readings) -> Vec<(&str, i64)> {
    readings.temperatures.iter().map(|t| (t.sensor.as_str(), t.millicelsius)).collect()
}

fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// Name, load and clocks of a GPU.
type Gpu<'a> = (&'a str, Option<u32>, Option<u32>, Option<u32>);

fn gpu(readings: &Readings) -> Vec<Gpu<'_>> {
    readings.gpus.iter().map(|g| (g.name.as_str(), g.busy_permille, g.clock_mhz, g.max_clock_mhz)).collect()
}

fn mode(readings: &Readings) -> Option<(u32, &str, bool)> {
    readings.mode.as_ref().map(|m| (m.id, m.name.as_deref().unwrap_or_default(), m.clocks_fixed))
}

/// A copy of a board's tree that a test may change.
fn copied(board: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("made");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&from).expect("a link"), to).expect("linked");
            } else if from.is_dir() {
                copy(&from, &to);
            } else {
                std::fs::copy(&from, to).expect("copied");
            }
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    copy(&tree(board), dir.path());
    dir
}

/// What reading this file gives is an input/output error.
fn spoil(file: &Path) {
    std::fs::remove_file(file).expect("it was there");
    std::os::unix::fs::symlink("/proc/self/mem", file).expect("linked");
    let error = std::fs::read_to_string(file).expect_err("nothing lies at address 0");
    assert_eq!(error.raw_os_error(), Some(5), "EIO");
}

#[test]
fn nano() {
    let (readings, notes, board) = looked("nano");
    assert_eq!(board.model.as_deref(), Some("NVIDIA Jetson Nano Developer Kit"));
    assert_eq!((board.chip.as_deref(), board.l4t.as_deref()), (Some("tegra210"), Some("R32.7.1")));
    // The driver tells milliwatts: 5065 mV × 500 mA = 2532 mW. GPU and CPU hang on the input.
    assert_eq!(rails(&readings), [("POM_5V_IN", Some(2532)), ("POM_5V_GPU", Some(202)), ("POM_5V_CPU", Some(707))]);
    assert_eq!(total(&readings), Some((2532, TotalOf::Input)));
    assert_eq!((readings.power.rails[0].millivolts, readings.power.rails[0].milliamps), (Some(5065), Some(500)));
    let zones = [
        ("AO-therm", 38_500),
        ("CPU-therm", 32_000),
        ("GPU-therm", 30_500),
        ("PLL-therm", 30_500),
        ("thermal-fan-est", 31_250),
    ];
    assert_eq!(temperatures(&readings), zones, "the power chip's 100 °C are not measured");
    assert_eq!(gpu(&readings), [("57000000.gpu", Some(430), Some(614), Some(921))]);
    assert_eq!(mode(&readings), Some((0, "MAXN", false)), "no mode was chosen yet: the default");
    // 120 of 255.
    assert_eq!((readings.fans[0].duty_permille, readings.fans[0].rpm), (Some(470), Some(2900)));
    let memory = readings.memory.expect("told");
    assert_eq!((memory.total_bytes, memory.swap_used_bytes), (4_059_712 * 1024, 100_000 * 1024));
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn xavier_nx() {
    let (readings, notes, board) = looked("xavier-nx");
    assert_eq!((board.chip.as_deref(), board.l4t.as_deref()), (Some("tegra194"), Some("R35.4.1")));
    // 5016 mV × 1060 mA = 5316.96 mW, 5016 × 240 = 1203.84, 5008 × 296 = 1482.37.
    let want = [("VDD_IN", Some(5317)), ("VDD_CPU_GPU_CV", Some(1204)), ("VDD_SOC", Some(1482))];
    assert_eq!((rails(&readings).as_slice(), total(&readings)), (want.as_slice(), Some((5317, TotalOf::Input))));
    assert_eq!(gpu(&readings), [("17000000.gv11b", Some(0), Some(114), Some(1109))], "an idle GPU has a load: none");
    assert_eq!(
        readings.cpu.cores.iter().map(|c| (c.number, c.clock_mhz)).collect::<Vec<_>>(),
        [(0, Some(1190)), (1, Some(1190))]
    );
    assert_eq!(mode(&readings), Some((0, "MODE_15W_2CORE", false)));
    assert_eq!(readings.hottest().map(|t| t.sensor.as_str()), Some("CPU-therm"));
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn orin_nano() {
    let (readings, notes, board) = looked("orin-nano");
    assert_eq!((board.chip.as_deref(), board.l4t.as_deref()), (Some("tegra234"), Some("R36.4.3")));
    // 4984 mV × 960 mA = 4784.64 mW, 4976 × 120 = 597.12, 4976 × 304 = 1512.70.
    let want = [("VDD_IN", Some(4785)), ("VDD_CPU_GPU_CV", Some(597)), ("VDD_SOC", Some(1513))];
    assert_eq!((rails(&readings).as_slice(), total(&readings)), (want.as_slice(), Some((4785, TotalOf::Input))));
    let names: Vec<&str> = temperatures(&readings).into_iter().map(|(name, _)| name).collect();
    let want = ["cpu-thermal", "gpu-thermal", "soc0-thermal", "soc1-thermal", "soc2-thermal", "tj-thermal"];
    assert_eq!(names, want, "zones without power are left out");
    assert_eq!(readings.hottest().map(|t| (t.sensor.as_str(), t.millicelsius)), Some(("cpu-thermal", 51_187)));
    assert_eq!(gpu(&readings), [("17000000.gpu", Some(880), Some(612), Some(1020))]);
    assert_eq!(mode(&readings), Some((2, "MAXN_SUPER", false)));
    let events: Vec<_> = readings.throttle.events.iter().map(|e| (e.name.as_str(), e.count)).collect();
    assert_eq!(events, [("oc1", 0), ("oc2", 2), ("oc3", 0)]);
    assert_eq!((words(&readings.throttle.now), words(&readings.throttle.seen)), (vec![], vec![]));
    let said: Vec<&str> = ["cv0-thermal", "cv1-thermal", "cv2-thermal"]
        .into_iter()
        .filter(|z| notes.iter().any(|n| n.contains(z)))
        .collect();
    assert_eq!((said.len(), notes.len()), (3, 3), "{notes:?}");
}

#[test]
fn agx_orin() {
    let (readings, _, board) = looked("agx-orin");
    assert_eq!(board.model.as_deref(), Some("NVIDIA Jetson AGX Orin Developer Kit"));
    // 12008 mV × 280 mA = 3362.24 mW, 12008 × 40 = 480.32, 4968 × 980 = 4868.64, 4968 × 80 = 397.44; in all 9108 mW. Channel 7, the shunts
    // and what is not connected are no rails.
    let want = [("VDD_GPU_SOC", 3362), ("VDD_CPU_CV", 480), ("VIN_SYS_5V0", 4869), ("VDDQ_VDD2_1V8AO", 397)];
    assert_eq!(rails(&readings), want.map(|(name, mw)| (name, Some(mw))));
    assert_eq!(total(&readings), Some((9108, TotalOf::Rails)));
    assert_eq!(gpu(&readings), [("17000000.ga10b", Some(120), Some(1300), Some(1300))]);
    assert_eq!(mode(&readings), Some((0, "MAXN", true)), "jetson_clocks holds every clock");
    assert_eq!(readings.cpu.cores.len(), 12);
    assert_eq!(readings.hottest().map(|t| t.sensor.as_str()), Some("CPU-therm"));
}

#[test]
fn thor() {
    let (readings, notes, board) = looked("thor");
    assert_eq!((board.chip.as_deref(), board.l4t.as_deref()), (Some("tegra264"), Some("R38.2.0")));
    // 12040 mV × 640 mA = 7705.60 mW, 12040 × 960 = 11558.40, 5088 × 1740 = 8853.12; the carrier's monitor tells 28 765 000 µW itself.
    let want = [("VDD_GPU", 7706), ("VDD_CPU_SOC_MSS", 11_558), ("VIN_SYS_5V0", 8853), ("VIN", 28_765)];
    assert_eq!(rails(&readings), want.map(|(name, mw)| (name, Some(mw))));
    assert_eq!(total(&readings), Some((28_765, TotalOf::Input)));
    assert_eq!(gpu(&readings), [("gpu-gpc-0", None, Some(315), Some(1575))]);
    assert!(temperatures(&readings).contains(&("ina238/temp1", 34_500)));
    assert_eq!(mode(&readings), Some((1, "120W", false)));
    assert_eq!(words(&notes), ["gpu: the load of gpu-gpc-0 is not told"]);
}

#[test]
fn pi4() {
    let (readings, notes, board) = looked("pi4");
    assert_eq!(
        (board.model.as_deref(), board.chip.as_deref()),
        (Some("Raspberry Pi 4 Model B Rev 1.4"), Some("bcm2711"))
    );
    assert_eq!((total(&readings), rails(&readings)), (None, vec![]));
    assert_eq!(temperatures(&readings), [("cpu-thermal", 48_212)], "the chip shows the zone a second time");
    // 50000: under-voltage (bit 16) and throttling (bit 18) were seen since the start, and are over.
    assert_eq!(
        (words(&readings.throttle.now), words(&readings.throttle.seen)),
        (vec![], vec!["throttled", "under_voltage"])
    );
    assert_eq!(readings.mode, None);
    assert_eq!(words(&notes), ["power: no sensor was found", "gpu: none was found whose load is told"]);
}

#[test]
fn pi5() {
    let (readings, notes, board) = looked("pi5");
    assert_eq!(board.chip.as_deref(), Some("bcm2712"));
    // 0.1 × 3.7 + 0.2 × 3.3 + 0.15 × 1.8 + 0.05 × 1.1 + 0.25 × 1.1 + 0.4 × 0.8 + 2.0 × 0.9 + 0.005 × 0.8 + 0.02 × 5.0 = 3.854 W;
    // 3.854 × 1.1451 + 0.5879 = 5.001 W.
    assert_eq!(total(&readings), Some((5001, TotalOf::Estimate)));
    assert_eq!(rails(&readings).len(), 14);
    assert!(rails(&readings).contains(&("VDD_CORE", Some(1800))) && rails(&readings).contains(&("BATT", None)));
    let input = readings.power.rails.iter().find(|r| r.name == "EXT5V").expect("there");
    assert_eq!((input.milliwatts, input.millivolts), (None, Some(5068)), "the input's current is not measured");
    assert_eq!(temperatures(&readings), [("cpu-thermal", 52_300), ("rp1_adc/temp1", 49_871)]);
    assert_eq!(readings.throttle.seen, Vec::<String>::new());
    assert_eq!(readings.fans.iter().map(|f| (f.duty_permille, f.rpm)).collect::<Vec<_>>(), [(Some(294), Some(2947))]);
    assert_eq!(words(&notes), ["gpu: none was found whose load is told"]);
}

#[test]
fn pc() {
    let dir = copied("pc");
    let mut sensors = sensors(dir.path());
    assert_eq!(sensors.board().model.as_deref(), Some("Example Box 3000"));
    let first = sensors.look(Duration::from_secs(10));
    assert_eq!((total(&first), rails(&first)), (None, vec![]), "energy is power only once time has passed");
    let want = [
        ("acpitz", 27_800),
        ("x86_pkg_temp", 46_000),
        ("coretemp/Package id 0", 46_000),
        ("coretemp/Core 0", 44_000),
        ("nvme/Composite", 38_850),
    ];
    assert_eq!(temperatures(&first), want);
    assert_eq!(gpu(&first), [("card0", Some(70), None, None)]);
    assert_eq!((words(&first.throttle.now), first.throttle.events[0].count), (vec![], 3));
    for (domain, microjoules) in
        [("intel-rapl:0", 123_756_789_012_u64), ("intel-rapl:0:0", 23_656_789_012), ("intel-rapl:0:1", 3_476_789_012)]
    {
        std::fs::write(dir.path().join("sys/class/powercap").join(domain).join("energy_uj"), microjoules.to_string())
            .expect("written");
    }
    let second = sensors.look(Duration::from_secs(20));
    // 300 J, 200 J and 20 J in 10 s; the cores are a part of the package.
    assert_eq!(
        rails(&second),
        [("package-0", Some(30_000)), ("package-0/core", Some(20_000)), ("package-0/dram", Some(2_000))]
    );
    assert_eq!(total(&second), Some((32_000, TotalOf::Processor)));
    assert_eq!(sensors.notes(), Vec::<String>::new());
}

#[test]
fn what_is_there_twice_has_two_names() {
    let dir = copied("pc");
    let write = |path: &str, text: &str| {
        let path = dir.path().join("sys/class").join(path);
        std::fs::create_dir_all(path.parent().expect("below the tree")).expect("made");
        std::fs::write(path, format!("{text}\n")).expect("written");
    };
    write("thermal/thermal_zone40/type", "acpitz");
    write("thermal/thermal_zone40/temp", "16800");
    for (chip, celsius) in [("hwmon40", 41), ("hwmon41", 42)] {
        write(&format!("hwmon/{chip}/name"), "nvme");
        write(&format!("hwmon/{chip}/temp1_label"), "Composite");
        write(&format!("hwmon/{chip}/temp1_input"), &format!("{celsius}000"));
        write(&format!("hwmon/{chip}/fan1_input"), "900");
        write(&format!("hwmon/{chip}/oc1_event_cnt"), "4");
    }
    for chip in ["hwmon50", "hwmon51"] {
        write(&format!("hwmon/{chip}/name"), "ina3221");
        for (file, text) in [("in1_label", "VDD_5V"), ("in1_input", "5000"), ("curr1_input", "100")] {
            write(&format!("hwmon/{chip}/{file}"), text);
        }
    }
    let readings = sensors(dir.path()).look(Duration::from_secs(1));
    assert!(temperatures(&readings).contains(&("nvme/Composite#2", 41_000)), "{:?}", readings.temperatures);
    assert!(temperatures(&readings).contains(&("nvme/Composite#3", 42_000)));
    let kinds: [Vec<&str>; 4] = [
        temperatures(&readings).into_iter().map(|(name, _)| name).collect(),
        rails(&readings).into_iter().map(|(name, _)| name).collect(),
        readings.fans.iter().map(|fan| fan.name.as_str()).collect(),
        readings.throttle.events.iter().map(|event| event.name.as_str()).collect(),
    ];
    for names in kinds {
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert!(names.len() > 1 && different.len() == names.len(), "{names:?}");
    }
}

#[test]
fn a_servers_meter_that_cannot_be_read_hides_no_other_and_is_said() {
    let dir = copied("pc");
    let chip = dir.path().join("sys/class/hwmon/hwmon40");
    std::fs::create_dir_all(&chip).expect("made");
    std::fs::write(chip.join("name"), "power_meter\n").expect("written");
    let mut sensors = sensors(dir.path());
    sensors.look(Duration::from_secs(10));
    assert!(sensors.notes().iter().any(|note| note.contains("power_meter cannot be read")));
    let counter = dir.path().join("sys/class/powercap/intel-rapl:0/energy_uj");
    let before: i64 = std::fs::read_to_string(&counter).expect("there").trim().parse().expect("a number");
    std::fs::write(&counter, (before + 300_000_000).to_string()).expect("written");
    assert_eq!(total(&sensors.look(Duration::from_secs(20))), Some((30_000, TotalOf::Processor)));
}

#[test]
fn a_sensor_that_is_to_be_ignored_is_told_as_that_and_by_no_value() {
    let dir = copied("pc");
    let ignored = ["nvme/Composite".to_owned()];
    let mut sensors = Sensors::new(dir.path(), dir.path().to_owned()).ignoring(&ignored);
    let readings = sensors.look(Duration::ZERO);
    assert!(temperatures(&readings).iter().all(|(name, _)| *name != "nvme/Composite"));
    let shown: Vec<_> = sensors.temperatures().into_iter().filter(|s| s.ignored).map(|s| s.name).collect();
    assert_eq!(shown, ignored);
}

#[test]
fn a_sum_of_which_a_part_cannot_be_read_is_no_total_and_that_is_said_once() {
    let dir = copied("agx-orin");
    spoil(&dir.path().join("sys/class/hwmon/hwmon3/in3_input"));
    let mut sensors = sensors(dir.path());
    let readings = sensors.look(Duration::ZERO);
    assert_eq!((total(&readings), readings.power.rails.len()), (None, 3));
    let of_power = |notes: Vec<String>| notes.into_iter().filter(|n| n.starts_with("power")).collect::<Vec<_>>();
    let said = of_power(sensors.notes());
    assert!(said.len() == 2 && said[0].contains("VIN_SYS_5V0") && said[1].contains("no total"), "{said:?}");
    sensors.look(Duration::from_secs(10));
    assert_eq!(sensors.notes(), Vec::<String>::new());
}

#[test]
fn an_input_that_can_be_read_is_the_total_whatever_rail_behind_it_cannot() {
    let dir = copied("orin-nano");
    spoil(&dir.path().join("sys/class/hwmon/hwmon1/curr3_input"));
    let readings = sensors(dir.path()).look(Duration::ZERO);
    assert_eq!((total(&readings), readings.power.rails.len()), (Some((4785, TotalOf::Input)), 2));
    spoil(&dir.path().join("sys/class/hwmon/hwmon1/in1_input"));
    assert_eq!(total(&sensors(dir.path()).look(Duration::ZERO)), None, "and what is left is not summed in its place");
}

#[test]
fn a_label_without_a_current_is_no_rail() {
    let dir = copied("orin-nano");
    std::fs::remove_file(dir.path().join("sys/class/hwmon/hwmon1/curr3_input")).expect("it was there");
    let mut sensors = sensors(dir.path());
    let readings = sensors.look(Duration::ZERO);
    assert_eq!(rails(&readings).len(), 2);
    assert!(!sensors.notes().iter().any(|n| n.starts_with("power")));
}

#[test]
fn a_gpu_that_appears_after_the_daemon_is_found_and_told_of_once() {
    let dir = copied("orin-nano");
    let (link, away) = (dir.path().join("sys/class/devfreq/17000000.gpu"), dir.path().join("sys/class/away"));
    let node = dir.path().join("sys/devices/platform/gpu.0");
    std::fs::rename(&link, &away).expect("moved");
    let target = std::fs::read_link(&node).expect("a link");
    std::fs::remove_file(&node).expect("removed");
    let mut sensors = sensors(dir.path());
    assert_eq!(sensors.look(Duration::ZERO).gpus, []);
    assert!(sensors.notes().contains(&"gpu: none was found whose load is told".to_owned()));
    std::fs::rename(&away, &link).expect("moved");
    std::os::unix::fs::symlink(target, &node).expect("linked");
    assert_eq!(gpu(&sensors.look(Duration::from_secs(10))), [("17000000.gpu", Some(880), Some(612), Some(1020))]);
    assert_eq!(words(&sensors.notes()), ["gpu: 17000000.gpu has appeared"]);
    sensors.look(Duration::from_secs(20));
    assert_eq!(sensors.notes(), Vec::<String>::new());
}

#[test]
fn a_device_without_any_sensor_says_so_once_and_has_no_readings() {
    let mut sensors = Sensors::new(Path::new("/nonexistent"), PathBuf::new());
    assert_eq!(sensors.look(Duration::ZERO), Readings::default());
    assert_eq!(sensors.notes().len(), 3);
    sensors.look(Duration::from_secs(1));
    assert_eq!((sensors.notes(), sensors.board()), (vec![], Board::default()));
}
