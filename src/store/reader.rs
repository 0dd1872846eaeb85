//! Single records, read while the log is being written. Of one segment a lane it knows where the records lie; a backlog that is drained in
//! order thus costs one read a record, and hardly any memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::counters::Kept;
use super::inbox::Rotten;
use super::record::{self, Kind};
use super::recover::piece;
use super::segment::RECORDS_AT;
use crate::types::{Lane, Stored};

/// What EIO is on Linux: the disk has tried, and cannot.
const EIO: i32 = 5;
/// How much is read at first behind the records that are known: of a segment that is being written, little is new each time.
const FIRST_LOOK: usize = 64 << 10;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It will never be read again.
    #[error("the record is damaged")]
    Rotten(Option<Rotten>),
    /// It may be read another time.
    #[error(transparent)]
    Later(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(e: io::Error) -> Self {
        let never = matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
        if never || e.raw_os_error() == Some(EIO) { Self::Rotten(None) } else { Self::Later(e) }
    }
}

#[derive(Debug)]
struct Open {
    path: Arc<Path>,
    file: File,
    /// Where the records lie that have been found so far, by their numbers.
    places: Vec<(u64, Range<usize>)>,
    /// What lies between them and is no record.
    damage: Vec<Range<usize>>,
    /// Behind the last of them.
    end: usize,
    /// Of the numbers below this one, all were found that are there.
    known_below: u64,
}

/// Reads records.
#[derive(Debug, Default)]
pub(super) struct Reader {
    open: [Option<Open>; 2],
}

impl Reader {
    /// A record of this file, in which all below `durable_end` are durable: what stands behind them may be half written at this moment.
    pub(super) fn read(
        &mut self,
        lane: Lane,
        path: &Arc<Path>,
        number: u64,
        durable_end: u64,
    ) -> Result<Stored, ReadError> {
        let slot = &mut self.open[lane as usize];
        let open = match slot.take().filter(|o| o.path == *path) {
            Some(open) => open,
            None => Open::new(path)?,
        };
        slot.insert(open).read(number, durable_end)
    }
}

impl Open {
    fn new(path: &Arc<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        let (places, damage) = (Vec::new(), Vec::new());
        Ok(Self { path: Arc::clone(path), file, places, damage, end: RECORDS_AT, known_below: 0 })
    }

    fn read(&mut self, number: u64, durable_end: u64) -> Result<Stored, ReadError> {
        let is_ahead = self.places.last().is_none_or(|(last, _)| *last < number);
        if is_ahead && self.known_below < durable_end {
            self.find_more(durable_end)?;
        }
        let place = match self.places.binary_search_by_key(&number, |(n, _)| *n) {
            Ok(at) => self.places[at].1.clone(),
            Err(at) => return Err(ReadError::Rotten(self.damage_before(at)?)),
        };
        let mut body = vec![0; place.len()];
        self.file.read_exact_at(&mut body, place.start as u64)?;
        match serde_json::from_slice::<Kept>(&body) {
            Ok(kept) => Ok(kept.stored),
            Err(_) => Err(ReadError::Rotten(Some(piece(&self.path, place.start, &body)))),
        }
    }

    fn find_more(&mut self, durable_end: u64) -> io::Result<()> {
        let size = self.file.metadata()?.len() as usize;
        let mut look = FIRST_LOOK;
        loop {
            let from = self.end;
            let mut bytes = vec![0; size.saturating_sub(from).min(look)];
            self.file.read_exact_at(&mut bytes, from as u64)?;
            let scan = record::scan(&bytes, 0);
            self.take_over(&scan, from, durable_end);
            let has_all = self.places.last().is_some_and(|(last, _)| last + 1 >= durable_end);
            if has_all || from + bytes.len() >= size {
                self.known_below = durable_end;
                return Ok(());
            }
            look *= 4;
        }
    }

    fn take_over(&mut self, scan: &record::Scan, from: usize, durable_end: u64) {
        self.damage.retain(|range| range.end <= from);
        self.damage.extend(scan.garbage.iter().map(|range| from + range.start..from + range.end));
        for found in &scan.records {
            // Behind a record that was half written when it was looked at there may be whole ones: they are found again with it.
            if found.kind == Kind::Event && found.number >= durable_end {
                return;
            }
            self.end = from + found.body.end;
            let is_next = self.places.last().is_none_or(|(last, _)| *last < found.number);
            if found.kind == Kind::Event && is_next {
                self.places.push((found.number, from + found.body.start..self.end));
            }
        }
    }

    /// What is in place of records that are missing before this one of those that are known; each piece once.
    fn damage_before(&mut self, place: usize) -> io::Result<Option<Rotten>> {
        let begin = place.checked_sub(1).map_or(RECORDS_AT, |before| self.places[before].1.end);
        let end = self.places.get(place).map_or(usize::MAX, |(_, next)| next.start);
        let Some(at) = self.damage.iter().position(|range| begin <= range.start && range.end <= end) else {
            return Ok(None);
        };
        let range = self.damage.remove(at);
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(Some(piece(&self.path, range.start, &bytes)))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::counters::Counters;
    use super::super::samples::event;
    use super::super::segment::{self, Name};
    use super::*;

    /// A segment, and the bytes of its records one behind the other.
    fn segment_of(records: u64) -> (tempfile::TempDir, Arc<Path>, File, Vec<Vec<u8>>) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (file, path) = segment::create(dir.path(), Lane::Events, &Name { serial: 1, first: 1 }).expect("created");
        let mut counters = Counters::default();
        let record = |number| {
            let kept = Kept { stored: counters.name(event("front", number), Uuid::nil()), told: None };
            let body = serde_json::to_vec(&kept).expect("written");
            record::encode(Kind::Event, number, &body).expect("short")
        };
        let records = (1..=records).map(record).collect();
        (dir, path.into(), file, records)
    }

    fn write(file: &File, records: &[Vec<u8>], which: Range<usize>) {
        let at: usize = records[..which.start].iter().map(Vec::len).sum();
        file.write_all_at(&records[which].concat(), (RECORDS_AT + at) as u64).expect("written");
    }

    #[test]
    fn a_record_that_was_half_written_when_others_were_read_is_found_once_it_is_durable() {
        let (_dir, path, file, records) = segment_of(3);
        // The pages of one write become visible one by one, and not in order.
        write(&file, &records, 0..1);
        write(&file, &records, 2..3);
        let mut reader = Reader::default();
        let mut seq = |number, durable_end| reader.read(Lane::Events, &path, number, durable_end).map(|s| s.seq);
        assert!(matches!(seq(1, 2), Ok(1)));
        write(&file, &records, 1..2);
        assert!(matches!(seq(2, 4), Ok(2)), "it is durable and whole");
        assert!(matches!(seq(3, 4), Ok(3)));
    }

    #[test]
    fn what_is_no_record_is_handed_over_once_for_all_that_it_was() {
        let (_dir, path, file, mut records) = segment_of(1000);
        records[600].fill(7);
        records[601].fill(7);
        write(&file, &records, 0..1000);
        let mut reader = Reader::default();
        let mut read = |number| reader.read(Lane::Events, &path, number, 1001);
        assert!(read(600).is_ok() && read(1000).is_ok());
        let Err(ReadError::Rotten(Some(rotten))) = read(601) else { panic!("it is damaged") };
        assert_eq!(rotten.bytes, records[600..602].concat());
        assert!(matches!(read(602), Err(ReadError::Rotten(None))));
        assert!(read(603).is_ok());
    }
}
