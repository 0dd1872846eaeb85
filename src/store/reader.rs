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
    /// Behind the last of them.
    end: usize,
}

/// Reads records.
#[derive(Debug, Default)]
pub(super) struct Reader {
    open: [Option<Open>; 2],
}

impl Reader {
    /// A record that is known to be durable in this file.
    pub(super) fn read(&mut self, lane: Lane, path: &Arc<Path>, number: u64) -> Result<Stored, ReadError> {
        let slot = &mut self.open[lane as usize];
        let open = match slot.take().filter(|o| o.path == *path) {
            Some(open) => open,
            None => Open { path: Arc::clone(path), file: File::open(path)?, places: Vec::new(), end: RECORDS_AT },
        };
        slot.insert(open).read(number)
    }
}

impl Open {
    fn read(&mut self, number: u64) -> Result<Stored, ReadError> {
        if self.places.last().is_none_or(|(last, _)| *last < number) {
            self.find_more()?;
        }
        let Ok(at) = self.places.binary_search_by_key(&number, |(n, _)| *n) else {
            return Err(ReadError::Rotten(None));
        };
        let place = self.places[at].1.clone();
        let mut body = vec![0; place.len()];
        self.file.read_exact_at(&mut body, place.start as u64)?;
        match serde_json::from_slice::<Kept>(&body) {
            Ok(kept) => Ok(kept.stored),
            Err(_) => Err(ReadError::Rotten(Some(piece(&self.path, place.start, &body)))),
        }
    }

    fn find_more(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len() as usize;
        let mut bytes = vec![0; size.saturating_sub(self.end)];
        self.file.read_exact_at(&mut bytes, self.end as u64)?;
        let from = self.end;
        for found in record::scan(&bytes, 0).records {
            self.end = from + found.body.end;
            let is_next = self.places.last().is_none_or(|(last, _)| *last < found.number);
            if found.kind == Kind::Event && is_next {
                self.places.push((found.number, from + found.body.start..self.end));
            }
        }
        Ok(())
    }
}
