//! The history as it lies on disk, for people. Reads the files beside a running daemon, without its help and without a lock: a record is
//! whole or it is not there.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::counters::{Kept, wall_ms};
use super::record::{self, Kind};
use super::segment::{self, Name, RECORDS_AT};
use crate::types::{Lane, Stored};

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Those that happened then or later, by the wall clock of the time.
    pub since: Option<SystemTime>,
    /// Those of a camera.
    pub camera: Option<String>,
    /// Those of a kind, by its name on the wire.
    pub kind: Option<String>,
}

impl Query {
    fn takes(&self, stored: &Stored) -> bool {
        let event = &stored.event;
        self.since.is_none_or(|since| event.at.wall >= since)
            && self.camera.as_deref().is_none_or(|camera| event.camera.as_deref() == Some(camera))
            && self.kind.as_deref().is_none_or(|kind| event.what.kind() == kind)
    }
}

/// Whether events are kept in this folder. A lane's folder comes with its first segment, which a full disk may put off; the folder above,
/// which is named by mistake, has an `events` too, in which the lanes are.
pub fn is_store(dir: &Path) -> bool {
    let has_lane = |dir: &Path| Lane::ALL.into_iter().any(|lane| dir.join(segment::folder(lane)).is_dir());
    let is_above = has_lane(&dir.join(segment::folder(Lane::Events)));
    has_lane(dir) && !is_above
}

/// The events that were asked for, of both lanes, oldest first. What cannot be read is passed over.
///
/// # Errors
/// When a folder that is there cannot be listed.
pub fn history(dir: &Path, query: &Query) -> std::io::Result<History> {
    History::begin(dir, query, Order::OldestFirst)
}

/// The newest so many of the events that were asked for, oldest first. Older segments than these need are not read.
///
/// # Errors
/// When a folder that is there cannot be listed.
pub fn newest(dir: &Path, query: &Query, at_most: usize) -> std::io::Result<Vec<Stored>> {
    let mut events: Vec<Stored> = History::begin(dir, query, Order::NewestFirst)?.take(at_most).collect();
    events.reverse();
    Ok(events)
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// See [`history`].
#[derive(Debug)]
pub struct History {
    lanes: [Peekable<LaneHistory>; 2],
    query: Query,
    order: Order,
}

impl History {
    fn begin(dir: &Path, query: &Query, order: Order) -> std::io::Result<Self> {
        let lane = |lane| -> std::io::Result<_> {
            let files = files(&dir.join(segment::folder(lane)))?;
            Ok(LaneHistory { files, since_ms: query.since.map(wall_ms), loaded: Vec::new(), order }.peekable())
        };
        Ok(Self { lanes: [lane(Lane::Alerts)?, lane(Lane::Events)?], query: query.clone(), order })
    }
}

impl Iterator for History {
    type Item = Stored;

    fn next(&mut self) -> Option<Stored> {
        loop {
            let [alerts, events] = &mut self.lanes;
            // Ids sort by age, over both lanes.
            let stored = match (alerts.peek(), events.peek()) {
                (Some(a), Some(e)) if (a.id < e.id) == (self.order == Order::OldestFirst) => alerts.next(),
                (Some(_), None) => alerts.next(),
                _ => events.next(),
            }?;
            if self.query.takes(&stored) {
                return Some(stored);
            }
        }
    }
}

/// A segment and the numbers of its records.
#[derive(Debug)]
struct Piece {
    path: PathBuf,
    first: u64,
    /// Records of a segment that failed stand in the next one too: there they count.
    limit: u64,
}

/// Oldest first.
fn files(folder: &Path) -> std::io::Result<VecDeque<Piece>> {
    let (mut files, mut limit) = (VecDeque::new(), u64::MAX);
    for (Name { first, .. }, path) in segment::list(folder)?.into_iter().rev() {
        files.push_front(Piece { path, first, limit });
        limit = limit.min(first);
    }
    Ok(files)
}

/// One lane, a segment in memory at a time.
#[derive(Debug)]
struct LaneHistory {
    files: VecDeque<Piece>,
    since_ms: Option<u64>,
    /// What comes next is the last one.
    loaded: Vec<Stored>,
    order: Order,
}

impl Iterator for LaneHistory {
    type Item = Stored;

    fn next(&mut self) -> Option<Stored> {
        while self.loaded.is_empty() {
            let next = match self.order {
                Order::OldestFirst => self.files.pop_front(),
                Order::NewestFirst => self.files.pop_back(),
            }?;
            self.loaded = load(&next.path, next.first, next.limit, self.since_ms).unwrap_or_default();
            if self.order == Order::OldestFirst {
                self.loaded.reverse();
            }
        }
        self.loaded.pop()
    }
}

fn load(path: &Path, first: u64, limit: u64, since_ms: Option<u64>) -> std::io::Result<Vec<Stored>> {
    let file = std::fs::File::open(path)?;
    let seal = segment::front(path, &file)?.seal;
    if let (Some(seal), Some(since)) = (seal, since_ms)
        && seal.last_wall_ms < since
    {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(path)?;
    let mut above = first.saturating_sub(1);
    let mut loaded = Vec::new();
    for found in record::scan(&bytes, RECORDS_AT).records {
        let is_next = found.number > above && found.number < limit;
        if found.kind == Kind::Event && is_next {
            above = found.number;
            loaded.extend(serde_json::from_slice::<Kept>(&bytes[found.body]).ok().map(|kept| kept.stored));
        }
    }
    Ok(loaded)
}
