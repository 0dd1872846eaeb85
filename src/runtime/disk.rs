//! How much room a disk has.

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
}
