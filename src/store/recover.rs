//! What an earlier life left behind: which records there are and wait, where to write on, what the counts were. Repairs nothing and needs no
//! disk that can be written: what can be read is there, what cannot is set aside and counted.
//!
//! Sealed segments are believed: of them the front is read. The newest segment of a lane and those without a seal are read whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::counters::{Checkpoint, Counters, Kept, Losses, wall_ms};
use super::inbox::Rotten;
use super::index::{Index, Segment};
use super::lane::{LaneLog, Tail};
use super::record::{self, Kind, Scan};
use super::segment::{self, Front, Name, RECORDS_AT, Seal};
use crate::types::{Lane, What};

/// All that is known at the start.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) counters: Counters,
    pub(super) logs: [LaneLog; 2],
    pub(super) rotten: Vec<Rotten>,
    /// Records that waited and cannot be read.
    pub(super) lost: Losses,
}

/// Reads the store's folder.
///
/// # Errors
/// When a folder cannot be listed: to go on without knowing the numbers in it would give them twice.
pub(super) fn recover(dir: &Path) -> io::Result<Recovered> {
    let mut rotten = Vec::new();
    let [alerts, events] = Lane::ALL.map(|lane| read_lane(&dir.join(segment::folder(lane)), &mut rotten));
    let lanes = [alerts?, events?];
    let mut counters = Counters::default();
    for (lane, found) in Lane::ALL.into_iter().zip(&lanes) {
        counters.resume(found.checkpoint.clone().unwrap_or_default(), lane);
        found.newest.iter().rev().flatten().for_each(|kept| counters.absorb(kept));
    }
    let (mut index, mut lost) = (Index::default(), Losses::default());
    let mut logs = Vec::new();
    for (lane, found) in Lane::ALL.into_iter().zip(lanes) {
        let gone_below = counters.gone_below[lane as usize];
        let next_number = found.segments.iter().map(|s| s.segment.end).fold(gone_below.max(1), u64::max);
        for read in found.segments {
            if read.segment.end <= gone_below && !read.is_newest {
                // Given up in an earlier life, which ended before the file went.
                let _ = segment::remove(&read.segment.path);
                continue;
            }
            lost.add(Losses::of(lane, read.missing));
            index.push(lane, read.segment);
        }
        logs.push(LaneLog::new(lane, dir.join(segment::folder(lane)), next_number, found.next_serial, found.tail));
    }
    let logs: [LaneLog; 2] = logs.try_into().unwrap_or_else(|_| unreachable!("one log was made for each of two lanes"));
    Ok(Recovered { index, counters, logs, rotten, lost })
}

#[derive(Debug, Default)]
struct LaneFound {
    /// Oldest first.
    segments: Vec<Read>,
    checkpoint: Option<Checkpoint>,
    /// What follows the checkpoint, segment by segment, newest first.
    newest: Vec<Vec<Kept>>,
    tail: Option<Tail>,
    next_serial: u64,
}

#[derive(Debug)]
struct Read {
    segment: Segment,
    /// Records that wait, or so it seems, and are not there.
    missing: u64,
    is_newest: bool,
}

fn read_lane(folder: &Path, rotten: &mut Vec<Rotten>) -> io::Result<LaneFound> {
    let names = segment::list(folder)?;
    let mut found = LaneFound { next_serial: names.last().map_or(1, |(n, _)| n.serial + 1), ..LaneFound::default() };
    // After a failed segment its records were written to the next one too: those count.
    let mut limit = u64::MAX;
    for (i, (name, path)) in names.iter().enumerate().rev() {
        let is_newest = i + 1 == names.len();
        match read_segment(name, path, limit, is_newest, &mut found, rotten) {
            Ok(read) => found.segments.extend(read),
            Err(e) => {
                log::warn!("store: {}: {e}; its events are lost", path.display());
                found.segments.extend((!is_newest).then(|| unreadable(name, path, limit)));
            }
        }
        limit = limit.min(name.first);
    }
    found.segments.reverse();
    Ok(found)
}

fn unreadable(name: &Name, path: &Path, limit: u64) -> Read {
    let records = limit - name.first;
    let bits = vec![0xff; records.div_ceil(8) as usize];
    Read { segment: segment_of(name, path, limit, bits, 0), missing: records, is_newest: false }
}

fn segment_of(name: &Name, path: &Path, end: u64, bits: Vec<u8>, last_wall_ms: u64) -> Segment {
    let bytes = path.metadata().map_or(0, |m| m.len());
    let (first, begun) = (name.first, None);
    Segment { path: path.into(), first, end, bits, bytes, last_wall_ms, begun, sealed: true, dirty: false }
}

fn read_segment(
    name: &Name,
    path: &Path,
    limit: u64,
    is_newest: bool,
    found: &mut LaneFound,
    rotten: &mut Vec<Rotten>,
) -> io::Result<Option<Read>> {
    let file = File::open(path)?;
    let Front { seal, bits } = segment::front(path, &file)?;
    // A segment is begun with what was not durable in the one before it: all below was there, whatever can be read of it now.
    let at_least = if is_newest { name.first } else { limit };
    let known = seal.map_or(at_least, |s| s.end).clamp(name.first, limit.max(name.first));
    if let (Some(seal), false, true) = (seal, is_newest, found.checkpoint.is_some()) {
        return Ok(Some(Read {
            segment: segment_of(name, path, known, bits, seal.last_wall_ms),
            missing: 0,
            is_newest,
        }));
    }
    let (bytes, scan) = whole(&file)?;
    if known == name.first && scan.records.is_empty() && scan.garbage.is_empty() && bits.is_empty() && seal.is_none() {
        // Begun, and the power went before anything was in it.
        let _ = segment::remove(path);
        return Ok(None);
    }
    rotten.extend(scan.garbage.iter().map(|g| piece(path, g.start, &bytes[g.clone()])));
    let kept = numbered(&bytes, &scan, name.first..limit);
    let end = kept.last().map_or(known, |(number, _)| known.max(number + 1));
    let last_wall_ms = kept.iter().filter_map(|(_, k)| Some(wall_ms(k.as_ref()?.stored.event.at.wall))).max();
    let mut segment = segment_of(name, path, end, bits, last_wall_ms.unwrap_or(0));
    let missing = strike_missing(&mut segment, &kept);
    let (tail, sealed) = end_of(path, &scan, seal, &segment, is_newest);
    (found.tail, segment.sealed) = (tail.or(found.tail.take()), sealed);
    if found.checkpoint.is_none() {
        found.checkpoint = checkpoint(&bytes, &scan);
        found.newest.push(kept.into_iter().filter_map(|(_, k)| k).collect());
    }
    Ok(Some(Read { segment, missing, is_newest }))
}

/// A segment in which nothing is torn is written on, once all of it is durable; any other is closed.
fn end_of(path: &Path, scan: &Scan, seal: Option<Seal>, segment: &Segment, is_newest: bool) -> (Option<Tail>, bool) {
    if seal.is_some() {
        return (None, true);
    }
    let opened = segment::open_to_write(path).and_then(|file| file.sync_data().map(|()| file));
    match opened {
        Ok(file) if is_newest && scan.garbage.is_empty() => {
            (Some(Tail { file, at: scan.end as u64, wall_ms: segment.last_wall_ms }), false)
        }
        Ok(file) => {
            let seal = Seal { end: segment.end, last_wall_ms: segment.last_wall_ms };
            (None, segment::seal(&file, seal).is_ok())
        }
        // On a disk that cannot be written nothing waits to be durable.
        Err(e) => {
            log::debug!("store: {} is not written on: {e}", path.display());
            (None, true)
        }
    }
}

fn whole(file: &File) -> io::Result<(Vec<u8>, Scan)> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let scan = record::scan(&bytes, RECORDS_AT);
    Ok((bytes, scan))
}

/// What those records of a segment have to tell of losses that wait still: it goes with the segment, and must be told anew.
pub(super) fn untold(segment: &Segment) -> Losses {
    let mut untold = Losses::default();
    // What cannot be read cannot be told.
    let Ok((bytes, scan)) = File::open(&segment.path).and_then(|file| whole(&file)) else { return untold };
    for (number, kept) in numbered(&bytes, &scan, segment.first..segment.end) {
        if let Some(What::Lost { count, alerts, .. }) = kept.map(|k| k.stored.event.what)
            && !segment.is_done(number)
        {
            untold.add(Losses { count, alerts });
        }
    }
    untold
}

/// Numbers of the records that are there, ascending, with their bodies where those can be read.
fn numbered(bytes: &[u8], scan: &Scan, range: std::ops::Range<u64>) -> Vec<(u64, Option<Kept>)> {
    let mut kept: Vec<(u64, Option<Kept>)> = Vec::new();
    for found in scan.records.iter().filter(|f| f.kind == Kind::Event && range.contains(&f.number)) {
        if kept.last().is_none_or(|(before, _)| *before < found.number) {
            kept.push((found.number, serde_json::from_slice(&bytes[found.body.clone()]).ok()));
        }
    }
    kept
}

/// Nobody is to wait for what is not there.
fn strike_missing(segment: &mut Segment, kept: &[(u64, Option<Kept>)]) -> u64 {
    let mut there = kept.iter().map(|(number, _)| *number).peekable();
    let mut missing = 0;
    for number in segment.first..segment.end {
        if there.next_if_eq(&number).is_none() && segment.strike(number) {
            missing += 1;
            segment.dirty = true;
        }
    }
    missing
}

fn checkpoint(bytes: &[u8], scan: &Scan) -> Option<Checkpoint> {
    let first = scan.records.first().filter(|f| f.kind == Kind::Checkpoint)?;
    serde_json::from_slice(&bytes[first.body.clone()]).ok()
}

/// Bytes to set aside, and where they lay.
pub(super) fn piece(path: &Path, at: usize, bytes: &[u8]) -> Rotten {
    let parts: PathBuf = path.components().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
    let from = parts.to_string_lossy().replace('/', "-");
    Rotten { from: format!("{from}-{at}"), bytes: bytes.to_vec() }
}
