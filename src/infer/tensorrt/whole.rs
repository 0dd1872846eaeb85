//! Whether a library's file is whole. The loader maps what the file promises; one that was cut short (an update that ended early, a full
//! disk) ends the program with a bus error where it should have been refused.
//!
//! Belongs here: the little of the ELF format that tells. Does not: loading (see `library`).

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::runtime::environment;

/// Where libraries lie that are asked for by name, after LD_LIBRARY_PATH. The loader has a list of its own, which is not for others to
/// read; a file elsewhere is simply not checked.
const FOLDERS: &[&str] = &[
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/local/tensorrt/lib",
    "/usr/local/cuda/lib64",
    "/usr/lib",
    "/usr/local/lib",
];

/// What is wrong with a library that is there and cannot be loaded safely.
pub(super) fn problem(file: &Path) -> Option<String> {
    let path = place(file)?;
    let file = File::open(&path).ok()?;
    let length = file.metadata().ok()?.len();
    let needed = needed(&file)?;
    (needed > length).then(|| format!("the file is cut short: {length} bytes of at least {needed}"))
}

/// The file that a name stands for, as far as it is known.
fn place(file: &Path) -> Option<PathBuf> {
    if file.components().count() > 1 {
        return Some(file.to_owned());
    }
    let listed = environment::var("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = listed.split(':').filter(|f| !f.is_empty()).chain(FOLDERS.iter().copied());
    folders.map(|folder| Path::new(folder).join(file)).find(|path| path.exists())
}

/// How long the file has to be for what is mapped of it; None where that cannot be read, which the loader says better.
fn needed(mut file: &File) -> Option<u64> {
    let mut head = [0u8; 64];
    file.read_exact(&mut head).ok()?;
    // 64 bits, little-endian: all that TensorRT is made for.
    if head[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let start = u64_at(&head, 32)?;
    let size = usize::from(u16_at(&head, 54)?);
    let count = usize::from(u16_at(&head, 56)?);
    let mut headers = vec![0u8; size * count];
    file.read_exact_at(&mut headers, start).ok()?;
    let ends =
        headers.chunks_exact(size.max(1)).filter_map(|header| u64_at(header, 8)?.checked_add(u64_at(header, 32)?));
    ends.max()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_whole_and_half_of_it_is_not() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(problem(&program), None);
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join("half.so");
        let bytes = std::fs::read(&program).unwrap();
        std::fs::write(&half, &bytes[..bytes.len() / 4]).unwrap();
        assert!(problem(&half).unwrap().starts_with("the file is cut short"));
    }

    #[test]
    fn what_is_no_library_is_left_to_the_loader() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.so");
        std::fs::write(&text, "not a library").unwrap();
        assert_eq!(problem(&text), None);
        assert_eq!(problem(&folder.path().join("absent.so")), None);
    }
}
