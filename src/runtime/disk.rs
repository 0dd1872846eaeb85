//! How much room a disk has, and how a small file on it is replaced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Bytes that this process may still write where the folder lies; None where it is not there.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    room_bytes(folder).map(|(_, free)| free)
}

/// Bytes of the disk where the folder lies, and those that this process may still write; None where it is not there.
pub fn room_bytes(folder: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some((disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// Makes a file say this, durably, and its folder where that is not there. Whoever reads sees all of the old file or all of the new one.
///
/// # Errors
/// When that cannot be written; what was there before still is.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("part");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // The new name must outlive a power cut as well.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_room_of_its_disk_and_an_absent_one_has_none() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(free_bytes(dir.path()).is_some_and(|free| free > 0));
        assert!(room_bytes(dir.path()).is_some_and(|(total, free)| total >= free));
        assert_eq!(free_bytes(&dir.path().join("absent")), None);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_its_folder_is_made() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("state/note.json");
        for text in ["the longer one", "short"] {
            replace(&path, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        let names: Vec<_> = fs::read_dir(dir.path().join("state")).expect("listed").flatten().collect();
        assert_eq!(names.len(), 1, "nothing unfinished is left: {names:?}");
    }
}
