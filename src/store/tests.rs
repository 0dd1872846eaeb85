//! The store as a whole, on a real folder: what an earlier life left behind, what damage costs, what bounds give up.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use proptest::prelude::*;

use super::samples::{alert_raised, event};
use super::*;
use crate::runtime::Hearts;
use crate::types::What;

/// Only a fault takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Life {
    store: Store,
    driver: Driver,
    metrics: Arc<Metrics>,
    news: Receiver<()>,
}

impl Life {
    fn begin(dir: &Path) -> Self {
        Self::with(dir, config::Store::default())
    }

    fn with(dir: &Path, settings: config::Store) -> Self {
        let clock = Clock::start();
        let (metrics, heart) = (Arc::<Metrics>::default(), Hearts::new(clock).add("store", PATIENCE));
        let context = Context { dir: dir.to_owned(), settings, clock, metrics: Arc::clone(&metrics), heart };
        let (store, driver) = start(context).expect("a thread");
        let (tell, news) = channel();
        store.on_news(Box::new(move || {
            // Nobody listens any more once the test is over.
            let _ = tell.send(());
        }));
        Self { store, driver, metrics, news }
    }

    /// Waits for news until this holds.
    fn until(&self, what: &str, holds: impl Fn(&Store) -> bool) {
        while !holds(&self.store) {
            self.news.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }

    fn keep(&self, events: impl IntoIterator<Item = Event>) {
        let before = self.store.waiting();
        let events: Vec<_> = events.into_iter().collect();
        let count = events.len() as u64;
        events.into_iter().for_each(|e| self.store.offer(e));
        self.until("durable", |s| s.waiting() >= before + count);
    }

    fn backlog(&self, lane: Lane) -> Vec<(u64, Stored)> {
        std::iter::successors(self.store.next(lane, 0), |(n, _)| self.store.next(lane, *n)).collect()
    }

    fn end(self) {
        assert!(self.driver.stop(PATIENCE));
    }
}

fn frames(backlog: &[(u64, Stored)]) -> Vec<u64> {
    backlog.iter().filter_map(|(_, s)| s.event.frame_seq).collect()
}

/// Segments of a lane, oldest first.
fn segments(dir: &Path, lane: Lane) -> Vec<PathBuf> {
    segment::list(&dir.join(segment::folder(lane))).expect("listed").into_iter().map(|(_, path)| path).collect()
}

/// Flips a byte of the body of each record with one of these numbers.
fn damage(path: &Path, numbers: &[u64]) {
    let bytes = fs::read(path).expect("read");
    let file = OpenOptions::new().write(true).open(path).expect("opened");
    for found in record::scan(&bytes, segment::RECORDS_AT).records {
        if found.kind == record::Kind::Event && numbers.contains(&found.number) {
            let at = found.body.start;
            file.write_all_at(&[bytes[at] ^ 0x40], at as u64).expect("written");
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("known").is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

#[test]
fn what_was_offered_is_durable_once_the_store_has_settled() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    (0..700).for_each(|n| life.store.offer(event("front", n)));
    life.store.offer(alert_raised("front", "intruder"));
    assert!(life.store.settle(PATIENCE));
    assert_eq!(life.store.waiting(), 701);
    assert!(life.store.settle(PATIENCE), "with nothing to do, too");
    life.end();
}

#[test]
fn an_event_waits_until_its_own_acknowledgement_over_restarts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep((0..5).map(|n| event("front", n)));
    let first = life.backlog(Lane::Events);
    assert_eq!(frames(&first), [0, 1, 2, 3, 4]);
    life.store.acknowledged(Lane::Events, 2);
    life.store.acknowledged(Lane::Events, 4);
    life.store.acknowledged(Lane::Events, 4);
    assert_eq!(life.store.waiting(), 3);
    life.end();

    let life = Life::begin(dir.path());
    let second = life.backlog(Lane::Events);
    assert_eq!(frames(&second), [0, 2, 4]);
    assert_eq!(second[1], first[2], "the same names, the same content");
    life.keep([event("front", 5)]);
    let all = life.backlog(Lane::Events);
    assert_eq!(all.iter().map(|(n, s)| (*n, s.seq)).collect::<Vec<_>>(), [(1, 1), (3, 3), (5, 5), (6, 6)]);
    assert!(all.windows(2).all(|w| w[0].1.id < w[1].1.id));
    assert_ne!(all[2].1.boot, all[3].1.boot);
    life.end();
}

#[test]
fn each_camera_and_the_device_have_counts_of_their_own_over_both_lanes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep([event("front", 0)]);
    life.keep([alert_raised("front", "intruder")]);
    life.keep([event("back", 0), Event { camera: None, ..event("", 1) }]);
    life.keep([event("front", 2)]);
    assert_eq!(life.backlog(Lane::Events).iter().map(|(_, s)| s.seq).collect::<Vec<_>>(), [1, 1, 1, 3]);
    assert_eq!(life.backlog(Lane::Alerts)[0].1.seq, 2);
    life.end();
    let life = Life::begin(dir.path());
    assert_eq!(life.store.open_alerts().len(), 1, "it is open still");
    life.keep([event("front", 3)]);
    assert_eq!(life.backlog(Lane::Events).last().map(|(_, s)| s.seq), Some(4));
    life.end();
}

#[test]
fn an_alert_counts_behind_what_gave_rise_to_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    for n in 0..50 {
        life.store.offer(event("front", n));
        life.store.offer(alert_raised("front", "intruder"));
    }
    assert!(life.store.settle(PATIENCE));
    let seqs = |lane| life.backlog(lane).into_iter().map(|(_, s)| s.seq).collect::<Vec<_>>();
    assert_eq!(seqs(Lane::Events), (1..100).step_by(2).collect::<Vec<_>>());
    assert_eq!(seqs(Lane::Alerts), (2..101).step_by(2).collect::<Vec<_>>());
    life.end();
}

#[test]
fn a_rotten_record_is_set_aside_and_told_and_the_rest_lives() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep((0..6).map(|n| event("front", n)));
    life.store.acknowledged(Lane::Events, 5);
    life.end();
    // One that waits and one that the broker has: only the first is a loss.
    damage(&segments(dir.path(), Lane::Events)[0], &[3, 5]);

    let life = Life::begin(dir.path());
    life.until("the loss", |s| s.waiting() == 5);
    let backlog = life.backlog(Lane::Events);
    assert_eq!(frames(&backlog), [0, 1, 3, 5]);
    let told = &backlog.last().expect("five").1.event.what;
    assert!(matches!(told, What::Lost { count: 1, alerts: 0, .. }), "{told:?}");
    assert_eq!(fs::read_dir(dir.path().join("rotten")).expect("there").count(), 2);
    life.end();
    let life = Life::begin(dir.path());
    assert_eq!(life.backlog(Lane::Events), backlog, "told once");
    life.end();
}

#[test]
fn rot_that_is_only_found_when_the_record_is_read_is_told_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep((0..4).map(|n| event("front", n)));
    damage(&segments(dir.path(), Lane::Events)[0], &[2]);
    assert_eq!(frames(&life.backlog(Lane::Events)), [0, 2, 3]);
    life.until("the loss", |s| s.waiting() == 4);
    assert!(matches!(life.backlog(Lane::Events)[3].1.event.what, What::Lost { count: 1, .. }));
    assert_eq!(life.metrics.store.rotten_total.get(), 1);
    assert_eq!(fs::read_dir(dir.path().join("rotten")).expect("there").count(), 1);
    life.end();
}

#[test]
fn a_segment_of_which_nothing_is_left_is_told_as_lost_as_far_as_it_waited() {
    for is_cut in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let life = Life::begin(dir.path());
        while segments(dir.path(), Lane::Events).len() < 3 {
            let from = life.store.waiting();
            life.keep((from..from + 500).map(|n| event("front", n)));
        }
        let waited = life.store.waiting();
        life.end();
        let victim = segments(dir.path(), Lane::Events).remove(1);
        let bytes = fs::metadata(&victim).expect("there").len();
        fs::write(&victim, vec![0; if is_cut { 0 } else { bytes as usize }]).expect("written");

        let life = Life::begin(dir.path());
        assert!(life.store.settle(PATIENCE));
        let backlog = life.backlog(Lane::Events);
        let Some(What::Lost { count, .. }) = backlog.last().map(|(_, s)| s.event.what.clone()) else {
            panic!("it is told")
        };
        assert_eq!(count + backlog.len() as u64 - 1, waited);
        life.end();
    }
}

#[test]
fn a_full_store_gives_up_its_oldest_events_counts_them_and_keeps_alerts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::with(dir.path(), config::Store { max_bytes: 8 << 20, ..config::Store::default() });
    life.keep([alert_raised("front", "intruder")]);
    let mut offered = 0;
    while life.metrics.store.lost_total.get() < 12_000 {
        (0..500).for_each(|n| life.store.offer(event("front", offered + n)));
        offered += 500;
        let at_least = offered;
        life.until("durable", |s| s.waiting() + life.metrics.store.lost_total.get() > at_least);
    }
    assert!(life.metrics.store.size_bytes.get() <= 8 << 20);
    let metrics = Arc::clone(&life.metrics);
    life.end();
    let told = metrics.store.lost_total.get();

    let life = Life::with(dir.path(), config::Store { max_bytes: 8 << 20, ..config::Store::default() });
    assert!(life.store.settle(PATIENCE));
    let backlog = life.backlog(Lane::Events);
    let (oldest, newest) = (backlog[0].0, backlog.last().expect("some").0);
    let counts = backlog.iter().map(|(_, s)| if let What::Lost { count, .. } = s.event.what { count } else { 0 });
    assert_eq!(counts.sum::<u64>(), oldest - 1, "a loss whose telling was lost is told again");
    assert_eq!(backlog.len() as u64, newest - oldest + 1, "without a gap");
    assert_eq!(told + life.metrics.store.lost_total.get(), oldest - 1, "each loss is told once");
    let frames = frames(&backlog);
    assert_eq!(*frames.last().expect("some"), offered - 1);
    assert_eq!(life.backlog(Lane::Alerts).len(), 1);
    life.end();
}

#[test]
fn history_that_is_too_old_goes_when_the_broker_has_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    while segments(dir.path(), Lane::Events).len() < 3 {
        let from = life.store.waiting();
        life.keep((from..from + 500).map(|n| event("front", n)));
    }
    let second = life.store.shared.index().next(Lane::Events, 1700).expect("waits").number;
    (1..second).for_each(|n| life.store.acknowledged(Lane::Events, n));
    life.end();
    if !Clock::start().now().wall_synced {
        eprintln!("skipped: the clock of this machine is not set, so nothing can be too old");
        return;
    }
    let before = segments(dir.path(), Lane::Events);
    let life = Life::with(dir.path(), config::Store { keep: Duration::ZERO, ..config::Store::default() });
    life.keep([event("front", 0)]);
    assert_eq!(segments(dir.path(), Lane::Events), before[1..]);
    life.end();
}

#[test]
fn a_folder_that_cannot_be_made_keeps_events_in_memory_until_it_can() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let place = dir.path().join("state");
    fs::write(&place, "in the way").expect("written");
    let life = Life::begin(&place.join("events"));
    life.store.offer(event("front", 1));
    life.store.offer(alert_raised("front", "intruder"));
    assert!(life.store.trouble().is_some());
    fs::remove_file(&place).expect("removed");
    life.until("durable", |s| s.waiting() == 2);
    assert!(life.store.trouble().is_none());
    assert_eq!(life.metrics.store.lost_total.get(), 0);
    life.end();
}

#[test]
fn a_second_process_on_the_same_folder_waits_until_the_first_has_ended() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let first = Life::begin(dir.path());
    first.keep([event("front", 0)]);
    let second = Life::begin(dir.path());
    second.store.offer(event("back", 0));
    assert!(second.store.trouble().is_some_and(|why| why.contains("another process")));
    first.keep([event("front", 1)]);
    first.end();
    second.until("its own event", |s| s.waiting() == 3);
    assert_eq!(frames(&second.backlog(Lane::Events)), [0, 1, 0]);
    second.end();
}

#[test]
fn what_the_broker_refuses_is_a_dead_letter_and_waits_no_more() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep([event("front", 1), event("front", 2)]);
    life.store.refused(Lane::Events, 1, "packet too large");
    life.end();
    let letters = fs::read_to_string(dir.path().join("refused.jsonl")).expect("written");
    assert_eq!(letters.lines().count(), 1);
    assert!(letters.contains("packet too large") && letters.contains("\"crossed\""));
    let life = Life::begin(dir.path());
    assert_eq!(frames(&life.backlog(Lane::Events)), [2]);
    life.end();
}

#[test]
fn what_the_broker_refuses_and_no_disk_takes_is_told_as_lost() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    life.keep([event("front", 1), event("front", 2)]);
    fs::create_dir(dir.path().join("refused.jsonl")).expect("in the way");
    life.store.refused(Lane::Events, 1, "packet too large");
    life.until("the loss", |s| s.waiting() == 2 && life.metrics.store.lost_total.get() == 1);
    assert!(matches!(life.backlog(Lane::Events)[1].1.event.what, What::Lost { count: 1, .. }));
    life.end();
}

#[test]
fn history_is_read_beside_a_running_store_in_the_order_of_the_ids() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let life = Life::begin(dir.path());
    for n in 0..4 {
        life.keep([event("front", n), event("back", n)]);
        life.keep([alert_raised("front", "intruder")]);
    }
    let all: Vec<_> = history(dir.path(), &Query::default()).expect("listed").collect();
    assert_eq!(all.len(), 12);
    assert!(all.windows(2).all(|w| w[0].id < w[1].id));
    let ask = |query| history(dir.path(), &query).expect("listed").count();
    assert_eq!(ask(Query { camera: Some("back".to_owned()), ..Query::default() }), 4);
    assert_eq!(ask(Query { kind: Some("alert_raised".to_owned()), ..Query::default() }), 4);
    assert_eq!(ask(Query { since: Some(samples::at(2).wall), ..Query::default() }), 4);
    for at_most in [0, 1, 5, 12, 20] {
        let newest = newest(dir.path(), &Query::default(), at_most).expect("listed");
        assert_eq!(newest, all[all.len().saturating_sub(at_most)..], "the last {at_most}");
    }
    life.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The disk stands still at any byte: after it there are zeros, or what was never meant to be there.
    #[test]
    fn a_crash_at_any_byte_costs_nothing_that_was_durable_before_it(
        before in 1_u64..20,
        after in 1_u64..20,
        torn in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let life = Life::begin(&dir.path().join("a"));
        life.keep((0..before).map(|n| event("front", n)));
        let durable = life.backlog(Lane::Events);
        let path = segments(&dir.path().join("a"), Lane::Events).remove(0);
        let end = record::scan(&fs::read(&path).expect("read"), segment::RECORDS_AT).end;
        life.keep((before..before + after).map(|n| event("front", n)));
        copy_all(&dir.path().join("a"), &dir.path().join("b"));
        life.end();

        let b = dir.path().join("b");
        let path = segments(&b, Lane::Events).remove(0);
        let mut bytes = fs::read(&path).expect("read");
        let written = record::scan(&bytes, segment::RECORDS_AT).end;
        let cut = end + torn.index(written - end + 1);
        bytes[cut..].fill(0);
        bytes[cut..cut + garbage.len()].copy_from_slice(&garbage);
        fs::write(&path, &bytes).expect("written");

        let life = Life::begin(&b);
        let found = life.backlog(Lane::Events);
        prop_assert!(found.starts_with(&durable));
        prop_assert_eq!(frames(&found), (0..found.len() as u64).collect::<Vec<_>>());
        life.keep([event("front", 99)]);
        let newest = life.backlog(Lane::Events).pop().expect("one");
        prop_assert_eq!(newest.1.seq, found.len() as u64 + 1);
        let life_two = {
            life.end();
            Life::begin(&b)
        };
        prop_assert_eq!(life_two.backlog(Lane::Events).pop(), Some(newest));
        life_two.end();
    }
}
