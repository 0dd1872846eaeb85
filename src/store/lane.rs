//! One lane's log as it is written: records that are not durable yet, and the segment that they go to. It knows nothing of acknowledgements.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::counters::{Kept, wall_ms};
use super::record::{self, Kind};
use super::segment::{self, Name, RECORDS_AT, Seal};
use crate::types::Lane;

/// A record that is not durable yet. It stays in memory until it is, so that a segment that failed costs nothing.
#[derive(Debug)]
struct Pending {
    number: u64,
    bytes: Vec<u8>,
    kept: Kept,
}

#[derive(Debug)]
struct Active {
    file: File,
    /// Where the next record goes.
    at: u64,
    size: u64,
    /// The latest wall time of an event in it.
    wall_ms: u64,
}

/// Where an older life's log can be gone on with.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) file: File,
    pub(super) at: u64,
    pub(super) wall_ms: u64,
}

/// A segment that has just been begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) path: Arc<Path>,
    pub(super) first: u64,
    /// Its size.
    pub(super) bytes: u64,
    /// Bytes that were written for it.
    pub(super) written: u64,
}

/// What has become durable: the number after the last record's, and the latest wall time among them.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) end: u64,
    pub(super) wall_ms: u64,
    pub(super) kept: Vec<Kept>,
}

/// A lane's log.
#[derive(Debug)]
pub(super) struct LaneLog {
    lane: Lane,
    folder: PathBuf,
    active: Option<Active>,
    pending: VecDeque<Pending>,
    /// How many of them are in the active segment.
    written: usize,
    /// When the oldest of them came.
    since: Option<Duration>,
    next_number: u64,
    next_serial: u64,
}

impl LaneLog {
    pub(super) fn new(lane: Lane, folder: PathBuf, next_number: u64, next_serial: u64, tail: Option<Tail>) -> Self {
        let size = segment::size(lane);
        let active = tail.map(|t| Active { file: t.file, at: t.at, size, wall_ms: t.wall_ms });
        let (pending, written, since) = (VecDeque::new(), 0, None);
        Self { lane, folder, active, pending, written, since, next_number, next_serial }
    }

    /// Takes a record's body. False, and the record is no more, when no segment could hold it.
    pub(super) fn push(&mut self, body: &[u8], kept: Kept, now: Duration) -> bool {
        let Some(bytes) = record::encode(Kind::Event, self.next_number, body) else { return false };
        self.pending.push_back(Pending { number: self.next_number, bytes, kept });
        self.next_number += 1;
        self.since.get_or_insert(now);
        true
    }

    /// Since when the oldest record has waited to be durable.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        self.since
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Writes what fits into the segment, which survives the process's death at once. True when all of it did; false asks for another segment.
    pub(super) fn write(&mut self, written_bytes: &mut u64) -> io::Result<bool> {
        let Some(active) = &mut self.active else { return Ok(self.pending.is_empty()) };
        let mut bytes = Vec::new();
        let mut count = 0;
        for record in self.pending.range(self.written..) {
            if active.at + (bytes.len() + record.bytes.len()) as u64 > active.size {
                break;
            }
            bytes.extend_from_slice(&record.bytes);
            active.wall_ms = active.wall_ms.max(wall_ms(record.kept.stored.event.at.wall));
            count += 1;
        }
        active.file.write_all_at(&bytes, active.at)?;
        active.at += bytes.len() as u64;
        *written_bytes += bytes.len() as u64;
        self.written += count;
        Ok(self.written == self.pending.len())
    }

    /// Makes durable what is written; None where nothing is.
    pub(super) fn sync(&mut self, now: Duration) -> io::Result<Option<Durable>> {
        let (Some(active), 1..) = (&self.active, self.written) else { return Ok(None) };
        active.file.sync_data()?;
        let kept: Vec<Kept> = self.pending.drain(..self.written).map(|p| p.kept).collect();
        self.written = 0;
        self.since = (!self.pending.is_empty()).then_some(now);
        let end = self.pending.front().map_or(self.next_number, |p| p.number);
        Ok(Some(Durable { end, wall_ms: active.wall_ms, kept }))
    }

    /// The segment cannot be trusted: after a failed `fdatasync` nobody knows what of it is on the disk, and asking again would say that all is.
    /// What is not durable goes to another one.
    pub(super) fn abandon(&mut self) {
        self.active = None;
        self.written = 0;
    }

    /// Nothing more goes to the segment; it must be durable.
    pub(super) fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            let end = self.pending.front().map_or(self.next_number, |p| p.number);
            // Without its seal the segment is read once more when the daemon starts.
            if let Err(e) = segment::seal(&active.file, Seal { end, last_wall_ms: active.wall_ms }) {
                log::debug!("store: a segment goes without its seal: {e}");
            }
        }
    }

    /// Begins a segment with a checkpoint, durable when this returns.
    pub(super) fn begin(&mut self, checkpoint: &[u8]) -> io::Result<Begun> {
        let first = self.pending.front().map_or(self.next_number, |p| p.number);
        let name = Name { serial: self.next_serial, first };
        let size = segment::size(self.lane);
        let (file, path) = segment::create(&self.folder, self.lane, &name)?;
        self.next_serial += 1;
        let at = write_checkpoint(&file, first, checkpoint).inspect_err(|_| {
            // A segment without records means nothing to anybody; the next start removes it, if this cannot.
            let _ = segment::remove(&path);
        })?;
        self.active = Some(Active { file, at, size, wall_ms: 0 });
        self.written = 0;
        Ok(Begun { path: path.into(), first, bytes: size, written: size + at - RECORDS_AT as u64 })
    }

    /// Makes the next segment's file once this one is half full, so that nobody has to wait for a megabyte of zeros.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match &self.active {
            Some(active) if active.at > active.size / 2 => segment::prepare(&self.folder, self.lane),
            _ => Ok(()),
        }
    }
}

fn write_checkpoint(file: &File, first: u64, checkpoint: &[u8]) -> io::Result<u64> {
    // One that is too long is left out: counts are then taken from the records of this segment and the one before it.
    let bytes = record::encode(Kind::Checkpoint, first, checkpoint).unwrap_or_default();
    if bytes.is_empty() {
        log::warn!("store: a checkpoint of {} bytes is too long, it is left out", checkpoint.len());
    }
    file.write_all_at(&bytes, RECORDS_AT as u64)?;
    file.sync_data()?;
    Ok((RECORDS_AT + bytes.len()) as u64)
}
