//! One process at a time keeps events in a folder: two would write over each other's records.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The folder is this process's alone while this is held; it falls back when the process ends, however it ends. None where there is no folder
/// yet, or its file system knows no locks.
///
/// # Errors
/// When another process has it.
pub(super) fn hold(dir: &Path) -> io::Result<Option<File>> {
    // On a disk that takes nothing the folder may still be there.
    let _ = std::fs::create_dir_all(dir);
    let Ok(folder) = File::open(dir) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps its events in this folder"))
        }
        Err(TryLockError::Error(e)) => {
            log::debug!("store: {} cannot be locked: {e}", dir.display());
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_until_he_lets_go() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = dir.path().join("state/events");
        let held = hold(&place).expect("free");
        assert!(held.is_some());
        assert!(hold(&place).is_err_and(|e| e.to_string().contains("another process")));
        drop(held);
        assert!(hold(&place).expect("free again").is_some());
    }

    #[test]
    fn where_no_folder_can_be_there_is_nothing_to_hold() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "in the way").expect("written");
        assert!(hold(&file.join("events")).expect("nobody else has it").is_none());
    }
}
