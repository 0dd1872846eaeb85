//! What is put where its owner finds it: bytes that are no record any more, and records that the broker does not take.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use super::inbox::{Refused, Rotten};
use super::segment::MODE;
use crate::types::{Captured, Lane, Stored};

/// Damaged pieces that are kept; the first ones tell as much as the later ones.
const MAX_ROTTEN: usize = 100;
/// A file of refused records is put away at this size, in place of the one that was put away before.
const MAX_REFUSED_BYTES: u64 = 8 << 20;

/// Copies damaged bytes to `rotten/`. False when they lay there already.
pub(super) fn keep_rotten(dir: &Path, rotten: &Rotten) -> io::Result<bool> {
    let folder = dir.join("rotten");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.bin", rotten.from));
    if path.exists() {
        return Ok(false);
    }
    if fs::read_dir(&folder)?.count() < MAX_ROTTEN {
        OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?.write_all(&rotten.bytes)?;
    }
    Ok(true)
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    refused_at: Captured,
    lane: Lane,
    number: u64,
    why: &'a str,
    event: Option<&'a Stored>,
}

/// Adds a line for each to `refused.jsonl`. They are durable when this returns.
pub(super) fn keep_refused(dir: &Path, refused: &[Refused], now: Captured) -> io::Result<()> {
    let path = dir.join("refused.jsonl");
    if path.metadata().is_ok_and(|m| m.len() > MAX_REFUSED_BYTES) {
        fs::rename(&path, dir.join("refused.1.jsonl"))?;
    }
    let mut lines = Vec::new();
    for Refused { lane, number, why, stored } in refused {
        let letter = DeadLetter { refused_at: now, lane: *lane, number: *number, why, event: stored.as_ref() };
        serde_json::to_writer(&mut lines, &letter)?;
        lines.push(b'\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    file.write_all(&lines)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::super::samples::at;
    use super::*;

    #[test]
    fn damage_is_kept_once_and_not_without_end() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let piece = |n: usize| Rotten { from: format!("events-{n}"), bytes: vec![7; 3] };
        assert!(keep_rotten(dir.path(), &piece(0)).expect("written"));
        assert!(!keep_rotten(dir.path(), &piece(0)).expect("read"));
        for n in 1..=MAX_ROTTEN {
            keep_rotten(dir.path(), &piece(n)).expect("written");
        }
        assert_eq!(fs::read_dir(dir.path().join("rotten")).expect("there").count(), MAX_ROTTEN);
    }

    #[test]
    fn a_refused_record_is_one_line_with_its_reason() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for number in [4, 5] {
            let refused = Refused { lane: Lane::Alerts, number, why: "too large".to_owned(), stored: None };
            keep_refused(dir.path(), &[refused], at(1)).expect("written");
        }
        let text = fs::read_to_string(dir.path().join("refused.jsonl")).expect("read");
        let numbers: Vec<_> = text
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
            .map(|v| (v["number"].as_u64(), v["why"].as_str().map(str::to_owned)))
            .collect();
        assert_eq!(numbers, [(Some(4), Some("too large".to_owned())), (Some(5), Some("too large".to_owned()))]);
    }
}
