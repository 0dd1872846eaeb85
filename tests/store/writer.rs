//! The process that is killed: this test binary once more, which keeps events and says on its standard output which are durable. Everything
//! that it has said must be on the disk from then on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peregrine::types::{Backlog, Lane};

use super::{Life, event};
use crate::support::Process;

/// Where the process keeps its events; set for that process alone.
const FOLDER: &str = "PEREGRINE_TEST_STORE_WRITER";

/// Starts it.
pub(super) fn start(dir: &Path) -> Process {
    let itself = std::env::current_exe().expect("a test binary");
    let name = "store::writer::what_is_durable_is_said_once_and_in_order";
    Process::start(Command::new(itself).args([name, "--exact", "--nocapture"]).env(FOLDER, dir))
}

/// An event that was said to be durable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    pub(super) lane: String,
    pub(super) number: u64,
    pub(super) id: String,
}

/// What it has said.
pub(super) fn said(output: &str) -> Vec<Said> {
    let of_line = |line: &str| {
        let mut words = line.strip_prefix("durable ")?.split(' ');
        let (lane, number, id) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        // A line that was cut off by a kill says nothing.
        (id.len() == 36).then(|| Said { lane: lane.to_owned(), number, id: id.to_owned() })
    };
    output.lines().filter_map(of_line).collect()
}

fn write_for_ever(dir: &Path) {
    let life = Life::begin(dir);
    let mut above = Lane::ALL.map(|lane| (lane, 0));
    for n in 0.. {
        life.store.offer(event(if n % 3 == 0 { "front" } else { "back" }, n));
        // Faster than cameras are, and slow enough for a disk.
        std::thread::sleep(Duration::from_millis(2));
        for (lane, above) in &mut above {
            while let Some((number, stored)) = life.store.next(*lane, *above) {
                println!("durable {lane:?} {number} {}", stored.id);
                *above = number;
                if number % 3 == 0 {
                    life.store.acknowledged(*lane, number);
                }
            }
        }
    }
}

#[test]
fn what_is_durable_is_said_once_and_in_order() {
    if let Some(dir) = std::env::var_os(FOLDER) {
        return write_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut process = start(dir.path());
    process.line("an event", |line| line.starts_with("durable Events 100 "));
    let said = said(&process.output());
    let events: Vec<u64> = said.iter().filter(|s| s.lane == "Events").map(|s| s.number).collect();
    assert!(events.iter().copied().eq(1..=events.len() as u64), "{events:?}");
}
