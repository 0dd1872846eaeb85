//! Kill -9 and power cuts. PEREGRINE_POWER_CUTS and PEREGRINE_KILLS say how many; scripts/power-cuts.sh asks for many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use peregrine::store::{Query, history};
use peregrine::types::{Backlog, Lane, What};

use super::disk::{Disk, may_mount};
use super::writer::{self, Said, said};
use super::{Life, event};

fn how_many(variable: &str, by_default: u32) -> u32 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(by_default)
}

/// Everything that was ever said to be durable is there, ids sort, and no camera's count has a gap.
fn verify(dir: &Path, said: &BTreeSet<Said>) {
    let all: Vec<_> = history(dir, &Query::default()).expect("the folder is there").collect();
    let ids: BTreeSet<String> = all.iter().map(|stored| stored.id.to_string()).collect();
    let missing: Vec<_> = said.iter().filter(|s| !ids.contains(&s.id)).collect();
    assert!(missing.is_empty(), "{} of {} durable events are gone: {missing:?}", missing.len(), said.len());
    assert_eq!(ids.len(), all.len(), "an id stands for one event");
    assert!(!all.iter().any(|stored| matches!(stored.event.what, What::Lost { .. })), "nothing was lost");
    let mut counts: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for stored in all {
        assert!(counts.entry(stored.event.camera.clone()).or_default().insert(stored.seq), "a number twice");
    }
    for (camera, seqs) in counts {
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{camera:?} has a gap in its {} numbers", seqs.len());
    }
}

/// The store opens by itself, has what was said and not acknowledged in its backlog, and takes another event.
fn goes_on(dir: &Path, said: &BTreeSet<Said>) {
    let life = Life::begin(dir);
    for (lane, name) in [(Lane::Alerts, "Alerts"), (Lane::Events, "Events")] {
        let waiting = std::iter::successors(life.store.next(lane, 0), |(n, _)| life.store.next(lane, *n));
        let waiting: BTreeSet<u64> = waiting.map(|(number, _)| number).collect();
        let due = said.iter().filter(|s| s.lane == name && s.number % 3 != 0);
        let missing: Vec<_> = due.filter(|s| !waiting.contains(&s.number)).collect();
        assert!(missing.is_empty(), "not acknowledged, and not in the backlog: {missing:?}");
    }
    let before = life.store.waiting();
    life.store.offer(event("front", 1));
    life.until("an event after the cut", |l| l.store.waiting() > before);
    assert!(life.driver.stop(crate::support::PATIENCE));
    verify(dir, said);
}

#[test]
fn what_was_durable_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut all = BTreeSet::new();
    let kills = how_many("PEREGRINE_KILLS", 5);
    for kill in 0..kills {
        let mut process = writer::start(dir.path());
        let more = 1 + kill % 7;
        (0..more).for_each(|_| drop(process.line("a durable event", |line| line.starts_with("durable "))));
        process.signal("KILL");
        process.ends_within(crate::support::PATIENCE);
        all.extend(said(&process.output()));
        verify(dir.path(), &all);
    }
    goes_on(dir.path(), &all);
    println!("{kills} kills, {} durable events, 0 lost", all.len());
}

#[test]
fn what_was_durable_survives_a_power_cut() {
    if !may_mount("power cuts") {
        return;
    }
    let cuts = how_many("PEREGRINE_POWER_CUTS", 4);
    let mut disk = Disk::ext4(48);
    let mut all = BTreeSet::new();
    let mut process = writer::start(&disk.folder().join("events"));
    for cut in 0..cuts {
        let more = 1 + cut % 23;
        (0..more).for_each(|_| drop(process.line("a durable event", |line| line.starts_with("durable "))));
        process.signal("STOP");
        all.extend(said(&process.output()));
        // The picture of the disk as it is at this moment, while it is mounted and half written.
        let mut after = disk.as_if_cut_off();
        goes_on(&after.folder().join("events"), &all);
        after.unmount();
        process.signal("CONT");
    }
    process.signal("KILL");
    process.ends_within(crate::support::PATIENCE);
    disk.unmount();
    println!("{cuts} power cuts, {} durable events, 0 lost, {cuts} recoveries", all.len());
}
