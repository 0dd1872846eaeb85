//! A full disk, a read-only one, one that fails while it is written: the store goes on, says so, and counts exactly.

use peregrine::types::{Backlog, Lane};

use super::disk::{Disk, may_mount};
use super::{Life, event};
use crate::support::{PATIENCE, comes};

#[test]
fn on_a_full_disk_the_store_goes_on_and_counts_exactly_what_it_loses() {
    if !may_mount("full disks") {
        return;
    }
    let disk = Disk::tmpfs(40);
    let dir = disk.folder().join("events");
    let life = Life::begin(&dir);
    life.store.offer(event("front", 9));
    life.store.offer(event("front", 0));
    life.until("the first two", |l| l.store.waiting() == 2);
    let ballast = disk.folder().join("ballast");
    let filled = std::fs::write(&ballast, vec![1; 64 << 20]);
    assert!(filled.is_err(), "the disk is full");

    // Alerts have room in the segment that is there, and do not wait for the events.
    let mut offered = 2;
    while life.store.trouble().is_none() {
        (0..500).filter(|n| n % 10 != 9).for_each(|n| life.store.offer(event("front", n)));
        offered += 450;
        comes("an answer of the disk", || life.store.trouble().is_some() || life.store.waiting() == offered);
    }
    let before = life.store.waiting();
    life.store.offer(event("front", 19));
    life.until("an alert though the disk is full", |l| l.store.waiting() > before);
    (0..15_000).filter(|n| n % 10 != 9).for_each(|n| life.store.offer(event("front", n)));
    offered += 13_501;
    assert_eq!(life.metrics.store.degraded.get(), 1);

    std::fs::remove_file(&ballast).expect("removed");
    life.until("all that was kept", |l| l.store.trouble().is_none() && l.metrics.store.lost_total.get() > 0);
    life.until("all that was kept", |l| l.store.waiting() + l.metrics.store.lost_total.get() == offered + 1);
    let lost = life.metrics.store.lost_total.get();
    assert_eq!(life.told(), lost);
    assert_eq!(life.store.waiting() - 1 + lost, offered, "each event waits or is told as lost");
    assert!(life.driver.stop(PATIENCE));
}

#[test]
fn on_a_read_only_disk_the_backlog_is_there_and_events_wait_in_memory() {
    if !may_mount("read-only disks") {
        return;
    }
    let mut disk = Disk::ext4(24);
    let dir = disk.folder().join("events");
    let life = Life::begin(&dir);
    (0..3).for_each(|n| life.store.offer(event("front", n)));
    life.until("durable", |l| l.store.waiting() == 3);
    assert!(life.driver.stop(PATIENCE));
    drop(life.store);
    disk.remount("ro");

    let life = Life::begin(&dir);
    assert_eq!(life.store.waiting(), 3);
    assert!(life.store.next(Lane::Events, 2).is_some());
    life.store.offer(event("front", 3));
    comes("a word about the disk", || life.store.trouble().is_some());
    life.store.acknowledged(Lane::Events, 1);
    disk.remount("rw");
    life.until("written again", |l| l.store.next(Lane::Events, 3).is_some() && l.store.trouble().is_none());
    assert_eq!(life.store.next(Lane::Events, 3).map(|(n, s)| (n, s.seq)), Some((4, 4)));
    assert_eq!(life.metrics.store.lost_total.get(), 0);
    assert!(life.driver.stop(PATIENCE));
    drop(life.store);
    let life = Life::begin(&dir);
    assert_eq!(life.store.waiting(), 3, "the acknowledgement was written once it could be");
    assert!(life.driver.stop(PATIENCE));
    disk.unmount();
}

#[test]
fn a_file_system_that_gives_up_while_it_is_written_ends_nothing_and_loses_nothing_durable() {
    let is_there = may_mount("file systems that give up");
    if !is_there {
        return;
    }
    let disk = Disk::ext4(24);
    let life = Life::begin(&disk.folder().join("events"));
    (0..3).for_each(|n| life.store.offer(event("front", n)));
    life.until("durable", |l| l.store.waiting() == 3);
    let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", disk.device());
    std::fs::write(trigger, "1").expect("ext4 has this for tests");
    life.store.offer(event("front", 3));
    comes("a word about the disk", || life.store.trouble().is_some());
    assert!(!life.driver.is_finished());
    let there: Vec<_> = (0..3).filter_map(|above| life.store.next(Lane::Events, above)).map(|(n, _)| n).collect();
    assert_eq!(there, [1, 2, 3]);
    assert!(life.store.next(Lane::Events, 3).is_none(), "what is not durable is not offered");
}
