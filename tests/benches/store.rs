//! How much disk, memory and time a long backlog takes: keeps events while the broker is away, opens the folder again, drains it. Prints what
//! it measured; judges nothing. `cargo bench --bench store [-- EVENTS]`; 518400 if not said, which is 72 hours at 2 a second. With a folder
//! behind it (`-- EVENTS DIR`) the backlog is left there for a daemon to bring away, as `scripts/soak-backlog.sh` measures it.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that prints what it measured")]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use peregrine::config;
use peregrine::runtime::{Clock, Hearts};
use peregrine::store::{Context, Driver, Store, start};
use peregrine::telemetry::Metrics;
use peregrine::types::{Backlog, Captured, Event, Label, Lane, Rect, Subject, What};

fn event(n: u64) -> Event {
    let at = Captured { mono: Duration::from_millis(n * 500), wall: SystemTime::now(), wall_synced: true };
    let labels = vec![Label { name: "person.coat".to_owned(), value: "red".to_owned(), confidence: 0.7, votes: 4 }];
    Event {
        camera: Some(format!("camera{}", n % 4).into()),
        at,
        frame_seq: Some(n),
        what: What::Crossed { line: "gate".to_owned(), direction: "in".to_owned() },
        subject: Some(Subject {
            uid: uuid::Uuid::now_v7(),
            track_id: n,
            tracked_as: None,
            class: "person".to_owned(),
            score: 0.87,
            bbox: Rect { x1: 100.5, y1: 50.25, x2: 140.5, y2: 140.25 },
            frame_px: (1280, 720),
            first_seen: at,
            labels,
        }),
        snapshots: Vec::new(),
    }
}

fn open(dir: &Path, metrics: &Arc<Metrics>) -> (Store, Driver) {
    let clock = Clock::start();
    let heart = Hearts::new(clock).add("store", Duration::from_secs(60));
    let settings = config::Store::default();
    start(Context { dir: dir.to_owned(), settings, clock, metrics: Arc::clone(metrics), heart }).expect("a thread")
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}

fn main() {
    // Cargo puts `--bench` among them.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let events: u64 = args.first().map_or(518_400, |a| a.parse().expect("EVENTS is a number"));
    let metrics = Arc::<Metrics>::default();
    if let Some(left_in) = args.get(1) {
        keep(events, Path::new(left_in), &metrics);
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    keep(events, dir.path(), &metrics);
    drain(dir.path(), &metrics);
}

fn keep(events: u64, dir: &Path, metrics: &Arc<Metrics>) {
    let (store, driver) = open(dir, metrics);
    let (tell, news) = channel();
    store.on_news(Box::new(move || {
        // Nobody listens any more once all are kept.
        let _ = tell.send(());
    }));
    println!("resident before: {} MB", resident_mb());
    let begin = Instant::now();
    let mut offered = 0;
    while store.waiting() < events {
        // As many as the inbox holds with room to spare: none is to be lost.
        while offered < events && offered - store.waiting() < 4_000 {
            store.offer(event(offered));
            offered += 1;
        }
        news.recv_timeout(Duration::from_secs(60)).expect("the disk takes events");
    }
    let secs = begin.elapsed().as_secs_f64();
    println!("kept {events} in {secs:.1} s; waiting {}, lost {}", store.waiting(), metrics.store.lost_total.get());
    println!("on disk {} MB, resident {} MB", metrics.store.size_bytes.get() >> 20, resident_mb());
    println!("handed to the disk: {} bytes an event", metrics.store.written_bytes_total.get() / events);
    assert!(driver.stop(Duration::from_secs(60)), "stopped");
}

fn drain(dir: &Path, metrics: &Arc<Metrics>) {
    let begin = Instant::now();
    let (store, driver) = open(dir, metrics);
    println!("opened in {:.0} ms, waiting {}", begin.elapsed().as_secs_f64() * 1e3, store.waiting());
    let begin = Instant::now();
    let (mut above, mut drained) = (0, 0);
    while let Some((number, _)) = store.next(Lane::Events, above) {
        store.acknowledged(Lane::Events, number);
        above = number;
        drained += 1;
    }
    let secs = begin.elapsed().as_secs_f64();
    println!("drained {drained} in {secs:.1} s ({:.0} a second), resident {} MB", drained as f64 / secs, resident_mb());
    println!("waiting {}", store.waiting());
    assert!(driver.stop(Duration::from_secs(60)), "stopped");
}
