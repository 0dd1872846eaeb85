//! A segment: one file of a lane, made at its full size and filled with zeros before it is used, so that a later write changes data only and
//! `fdatasync` has no metadata to bring to the journal.
//!
//! ```text
//! 0     what this is, for whoever looks into the file
//! 512   seal: where the records end, once nothing more comes; a sector of its own
//! 4096  records
//! ```
//! The file's name holds its serial and the number of its first record: neither can rot. Beside it lies a small file of bits, one a record: what
//! the broker has. Nobody waits for that one to be durable, and in the segment itself each `fdatasync` would write it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::crc::crc32c;
use crate::types::Lane;

const MAGIC: [u8; 8] = *b"PGEVENT1";
const SEAL_AT: u64 = 512;
const SEAL_MARK: [u8; 4] = *b"SEAL";
const SEAL_BYTES: usize = 24;

/// Where records begin.
pub(super) const RECORDS_AT: usize = 4096;
/// Bits beyond this are damage: no segment has room for so many records.
const MAX_BITS_BYTES: usize = 4096;

/// Who went where is nobody's business but the owner's and his group's.
pub(super) const MODE: u32 = 0o640;

/// The file that is made ahead, to be there when it is needed.
const SPARE: &str = "spare";

/// The folder of a lane.
pub(super) const fn folder(lane: Lane) -> &'static str {
    match lane {
        Lane::Alerts => "alerts",
        Lane::Events => "events",
    }
}

/// The size of a lane's segments: a minute at 25 events a second; alerts are rare.
pub(super) const fn size(lane: Lane) -> u64 {
    match lane {
        Lane::Alerts => 512 << 10,
        Lane::Events => 1 << 20,
    }
}

/// Which file, and the number of its first record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) serial: u64,
    pub(super) first: u64,
}

impl Name {
    pub(super) fn file(&self) -> String {
        format!("{:010}-{:016}.log", self.serial, self.first)
    }

    fn parse(file: &str) -> Option<Self> {
        let (serial, first) = file.strip_suffix(".log")?.split_once('-')?;
        Some(Self { serial: serial.parse().ok()?, first: first.parse().ok()? })
    }
}

/// The segments of a folder, oldest first; a folder that is not there has none.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(Name, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(Name::parse) {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the file that [`create`] will take, if it is not there: full of zeros and durable, so that a full disk is found out here.
pub(super) fn prepare(folder: &Path, lane: Lane) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let spare = folder.join(SPARE);
    if spare.metadata().is_ok_and(|m| m.len() == size(lane)) {
        return Ok(());
    }
    let made = fill(&spare, size(lane));
    if made.is_err() {
        // Half a file would hold space that somebody else may be waiting for; if it cannot go, the next attempt writes over it.
        let _ = std::fs::remove_file(&spare);
    }
    made
}

fn fill(path: &Path, size: u64) -> io::Result<()> {
    let partial = path.with_extension("new");
    let zeros = [0; 64 << 10];
    let filled = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&partial)?;
        file.write_all(&MAGIC)?;
        let mut left = size - MAGIC.len() as u64;
        while left > 0 {
            let n = left.min(zeros.len() as u64) as usize;
            file.write_all(&zeros[..n])?;
            left -= n as u64;
        }
        file.sync_all()?;
        std::fs::rename(&partial, path)
    })();
    if filled.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    filled
}

/// Takes the spare into use under this name. Its name is durable when this returns.
pub(super) fn create(folder: &Path, lane: Lane, name: &Name) -> io::Result<(File, PathBuf)> {
    prepare(folder, lane)?;
    let path = folder.join(name.file());
    std::fs::rename(folder.join(SPARE), &path)?;
    File::open(folder)?.sync_all()?;
    Ok((open_to_write(&path)?, path))
}

/// Opens a segment for writing.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Where the records of a segment end, for one to which nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    /// The number after the last record's.
    pub(super) end: u64,
    /// The latest wall time of an event in it, in milliseconds since 1970.
    pub(super) last_wall_ms: u64,
}

/// Says that nothing more comes. If it does not reach the disk, the segment is scanned once more.
pub(super) fn seal(file: &File, seal: Seal) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(SEAL_BYTES);
    bytes.extend_from_slice(&SEAL_MARK);
    bytes.extend_from_slice(&seal.end.to_le_bytes());
    bytes.extend_from_slice(&seal.last_wall_ms.to_le_bytes());
    let sum = crc32c(&[&bytes]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    file.write_all_at(&bytes, SEAL_AT)
}

fn bits_file(path: &Path) -> PathBuf {
    path.with_extension("bits")
}

/// Removes a segment.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    remove_bits(path)
}

/// Removes what is written down of a segment that is not there any more.
pub(super) fn remove_bits(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(bits_file(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes which records of a segment the broker has, at once and not durably: lost bits cost a duplicate each. Tells how many bytes that were.
pub(super) fn write_bits(path: &Path, bits: &[u8]) -> io::Result<usize> {
    let length = (bits.len() as u32).to_le_bytes();
    let mut bytes = Vec::with_capacity(8 + bits.len());
    bytes.extend_from_slice(&crc32c(&[&length, bits]).to_le_bytes());
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(bits);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(bits_file(path))?;
    file.write_all_at(&bytes, 0)?;
    Ok(bytes.len())
}

/// What a segment says of itself before its records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) seal: Option<Seal>,
    /// Empty where they cannot be trusted: all records then go to the broker once more, under the same ids.
    pub(super) bits: Vec<u8>,
}

/// Reads it.
pub(super) fn front(path: &Path, file: &File) -> io::Result<Front> {
    let mut bytes = vec![0; RECORDS_AT];
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], got as u64)? {
            0 => break,
            n => got += n,
        }
    }
    let bits = std::fs::read(bits_file(path)).unwrap_or_default();
    Ok(Front { seal: parse_seal(&bytes[SEAL_AT as usize..]), bits: parse_bits(&bits).unwrap_or_default() })
}

fn parse_seal(bytes: &[u8]) -> Option<Seal> {
    let bytes = bytes.first_chunk::<SEAL_BYTES>()?;
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[i + k]));
    let sum = u32::from_le_bytes(std::array::from_fn(|k| bytes[SEAL_BYTES - 4 + k]));
    let whole = bytes[..4] == SEAL_MARK && sum == crc32c(&[&bytes[..SEAL_BYTES - 4]]);
    whole.then(|| Seal { end: word(4), last_wall_ms: word(12) })
}

fn parse_bits(bytes: &[u8]) -> Option<Vec<u8>> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    let (length, bits) = rest.split_first_chunk::<4>()?;
    let bits = bits.get(..u32::from_le_bytes(*length) as usize).filter(|b| b.len() <= MAX_BITS_BYTES)?;
    (u32::from_le_bytes(*sum) == crc32c(&[length, bits])).then(|| bits.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, File, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let name = Name { serial: 3, first: 70 };
        let (file, path) = create(dir.path(), Lane::Alerts, &name).expect("created");
        assert_eq!(list(dir.path()).expect("listed"), [(name, path.clone())]);
        (dir, file, path)
    }

    #[test]
    fn a_new_segment_has_its_full_size_no_seal_and_no_bits() {
        let (_dir, file, path) = made();
        assert_eq!(file.metadata().expect("open").len(), size(Lane::Alerts));
        assert_eq!(front(&path, &file).expect("read"), Front::default());
    }

    #[test]
    fn seal_and_bits_are_read_back() {
        let (_dir, file, path) = made();
        let mark = Seal { end: 1234, last_wall_ms: 5 };
        seal(&file, mark).expect("written");
        write_bits(&path, &[0xff, 0x01]).expect("written");
        assert_eq!(front(&path, &file).expect("read"), Front { seal: Some(mark), bits: vec![0xff, 0x01] });
    }

    #[test]
    fn what_is_kept_is_not_for_everybody() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _file, path) = made();
        write_bits(&path, &[1]).expect("written");
        for entry in std::fs::read_dir(dir.path()).expect("listed").flatten() {
            let mode = entry.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o027, 0, "{:?}: {mode:o}", entry.file_name());
        }
    }

    #[test]
    fn a_segment_goes_with_its_bits() {
        let (dir, _file, path) = made();
        write_bits(&path, &[1]).expect("written");
        remove(&path).expect("removed");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn a_rotten_seal_is_none_and_rotten_bits_acknowledge_nothing() {
        let (_dir, file, path) = made();
        seal(&file, Seal { end: 1234, last_wall_ms: 5 }).expect("written");
        write_bits(&path, &[0xff, 0x01]).expect("written");
        file.write_all_at(&[9], SEAL_AT + 5).expect("written");
        let bits = OpenOptions::new().write(true).open(bits_file(&path)).expect("there");
        bits.write_all_at(&[0xfe], 8).expect("written");
        assert_eq!(front(&path, &file).expect("read"), Front::default());
    }
}
