//! The folder of pictures: found, written, removed. What has to go is `shelf.rs`'s to say.
//!
//! Pictures are not synced to disk one by one: that would wear out an SD card for something that an event can do without. After a power
//! cut the last few may be missing or empty; the empty ones are cleared away at the next start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::shelf::{self, Item};

/// What a file is called while it is written.
const UNFINISHED: &str = "part";
/// Faces are nobody's business but the owner's and his group's.
const MODE: u32 = 0o640;

/// All pictures below the folder. Unfinished and empty ones are removed; whatever else lies there is left alone. A folder that is not there
/// has none.
pub(super) fn scan(folder: &Path) -> Vec<Item> {
    let mut found = Vec::new();
    for camera in entries(folder).filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        for file in entries(&camera.path()) {
            let (path, Ok(about)) = (file.path(), file.metadata()) else { continue };
            let name = format!("{}/{}", camera.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            let finished = name.strip_suffix(UNFINISHED).and_then(|n| n.strip_suffix('.'));
            if !about.is_file() || shelf::number(finished.unwrap_or(&name)).is_none() {
                continue;
            }
            if finished.is_some() || about.len() == 0 {
                // Where it cannot be removed it does no harm.
                let _ = fs::remove_file(path);
                continue;
            }
            let written = about.modified().unwrap_or(std::time::UNIX_EPOCH);
            found.push(Item { name, bytes: about.len(), written });
        }
    }
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// Writes a picture; under its name it is whole or not at all.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let unfinished = PathBuf::from(format!("{}.{UNFINISHED}", path.display()));
    if let Some(camera) = path.parent() {
        fs::create_dir_all(camera)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    let written = options.open(&unfinished).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| fs::rename(&unfinished, &path));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done
}

/// Removes a picture; one that is gone already is as good.
pub(super) fn remove(folder: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(folder.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::shelf::Kind;
    use super::*;
    use uuid::Uuid;

    fn name(number: u64) -> String {
        shelf::name("front", number, Uuid::from_u128(9), Kind::Full)
    }

    #[test]
    fn what_was_written_is_found_again_and_what_a_power_cut_left_is_cleared_away() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(scan(&dir.path().join("absent")).is_empty());
        write(dir.path(), &name(1), b"picture").expect("written");
        let other = dir.path().join("front/notes.txt");
        fs::write(&other, "").expect("written");
        let left = [dir.path().join(name(2)), dir.path().join(format!("{}.part", name(3)))];
        left.iter().for_each(|path| fs::write(path, "").expect("written"));
        let found: Vec<_> = scan(dir.path()).into_iter().map(|item| (item.name, item.bytes)).collect();
        assert_eq!(found, [(name(1), 7)]);
        assert!(left.iter().all(|path| !path.exists()) && other.exists());
        let mode = fs::metadata(dir.path().join(name(1))).expect("a file").permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
    }

    #[test]
    fn a_picture_is_removed_once_and_twice_is_no_error() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), &name(1), b"picture").expect("written");
        remove(dir.path(), &name(1)).expect("removed");
        remove(dir.path(), &name(1)).expect("gone already");
        assert!(scan(dir.path()).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(write(&file, &name(1), b"picture").is_err());
    }
}
