//! `peregrine track` beside the original SORT's output on the MOT sequences: the same boxes in the same frames, up to a bijection of
//! the numbers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const SEQUENCES: [&str; 7] =
    ["ADL-Rundle-6", "ETH-Bahnhof", "ETH-Sunnyday", "KITTI-17", "PETS09-S2L1", "TUD-Campus", "TUD-Stadtmitte"];

/// Both sides print two decimals and ours computes boxes from 32-bit ones.
const TOLERANCE_PX: f64 = 0.05;

struct Line {
    frame: u32,
    id: u64,
    bbox: [f64; 4],
}

fn lines(text: &str) -> Vec<Line> {
    text.lines()
        .map(|line| {
            let f: Vec<f64> = line.split(',').map(|v| v.parse().expect("a number")).collect();
            Line { frame: f[0] as u32, id: f[1] as u64, bbox: [f[2], f[3], f[4], f[5]] }
        })
        .collect()
}

fn data() -> Option<PathBuf> {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/mot"));
    if !dir.exists() {
        eprintln!("skipped: {} is not here", dir.display());
        return None;
    }
    Some(dir.to_owned())
}

fn track(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_peregrine")).arg("track").args(args).output().expect("peregrine runs")
}

fn assert_same(sequence: &str, ours: &[Line], theirs: &[Line]) {
    assert_eq!(ours.len(), theirs.len(), "{sequence}: number of boxes");
    let (mut to_theirs, mut to_ours) = (HashMap::new(), HashMap::new());
    let mut by_frame: HashMap<u32, Vec<&Line>> = HashMap::new();
    ours.iter().for_each(|l| by_frame.entry(l.frame).or_default().push(l));
    for theirs in theirs {
        let frame = by_frame.get_mut(&theirs.frame).unwrap_or_else(|| panic!("{sequence}: no frame {}", theirs.frame));
        let is_same = |ours: &&Line| ours.bbox.iter().zip(theirs.bbox).all(|(a, b)| (a - b).abs() <= TOLERANCE_PX);
        let at = frame.iter().position(is_same);
        let at = at.unwrap_or_else(|| panic!("{sequence}: frame {} lacks {:?}", theirs.frame, theirs.bbox));
        let ours = frame.swap_remove(at);
        assert_eq!(*to_theirs.entry(ours.id).or_insert(theirs.id), theirs.id, "{sequence}: our {} is two", ours.id);
        assert_eq!(*to_ours.entry(theirs.id).or_insert(ours.id), ours.id, "{sequence}: their {} is two", theirs.id);
    }
}

#[test]
fn every_sequence_has_the_originals_tracks() {
    let Some(dir) = data() else { return };
    for sequence in SEQUENCES {
        let dir = dir.join(sequence);
        let done = track(&[&dir.join("det.txt").to_string_lossy()]);
        assert!(done.status.success(), "{sequence}: {}", String::from_utf8_lossy(&done.stderr));
        let reference = std::fs::read_to_string(dir.join("sort_ref.txt")).expect("the reference");
        assert_same(sequence, &lines(&String::from_utf8_lossy(&done.stdout)), &lines(&reference));
    }
}

#[test]
fn a_file_takes_the_tracks_and_options_change_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (det, out) = (dir.path().join("det.txt"), dir.path().join("out.txt"));
    std::fs::write(&det, "1,-1,0,0,9,9,1\n2,-1,0,0,9,9,1\n3,-1,0,0,9,9,1\n").expect("written");
    let done = track(&[&det.to_string_lossy(), "--out", &out.to_string_lossy(), "--min-hits", "0", "--max-age", "0"]);
    assert!(done.status.success() && done.stdout.is_empty());
    assert_eq!(lines(&std::fs::read_to_string(&out).expect("the tracks")).len(), 3);
}

#[test]
fn what_cannot_be_read_is_named_and_has_its_exit_code() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let det = dir.path().join("det.txt");
    std::fs::write(&det, "1,-1,0,0,9,9,1\nhello\n").expect("written");
    let done = track(&[&det.to_string_lossy()]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(66));
    assert!(said.contains("det.txt:2: 1 fields"), "{said}");
    assert_eq!(track(&["/nonexistent/det.txt"]).status.code(), Some(66));
    assert_eq!(track(&[&det.to_string_lossy(), "--iou", "2"]).status.code(), Some(64));
}
