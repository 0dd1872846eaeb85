//! Whose pictures the broker was given to keep, and with which masks: a file beside the pictures. Who adds a mask while the daemon is down
//! would otherwise leave the broker with a picture from before, and the daemon would not know of it.
//!
//! Belongs here: the file. Does not: what is sent (see `pictures.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::runtime::disk;

/// One camera's picture at the broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Retained {
    /// The camera, the device and the prefix that make its topic.
    pub(super) camera: String,
    pub(super) device: String,
    pub(super) prefix: String,
    /// What it hides, in any form that differs where the masks do.
    pub(super) masks: String,
}

/// The file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// In the folder of pictures.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("retained") }
    }

    /// Writes down what the broker is given from now on; gives what it may have and is to forget. Where nothing can be written, the same is
    /// forgotten again at the next start.
    pub(super) fn replace(&self, now: &[Retained]) -> Vec<Retained> {
        let known: BTreeSet<Retained> =
            fs::read_to_string(&self.path).unwrap_or_default().lines().filter_map(read).collect();
        let now: BTreeSet<Retained> = now.iter().cloned().collect();
        if now != known
            && let Err(e) = self.write(&now)
        {
            log::warn!(stage = "pictures"; "{}: {e}", self.path.display());
        }
        known.difference(&now).cloned().collect()
    }

    fn write(&self, now: &BTreeSet<Retained>) -> std::io::Result<()> {
        if now.is_empty() {
            return fs::remove_file(&self.path);
        }
        let lines: String =
            now.iter().map(|r| format!("{}\t{}\t{}\t{}\n", r.camera, r.device, r.prefix, r.masks)).collect();
        disk::replace(&self.path, lines.as_bytes())
    }
}

/// Names have no tabs. A line that a power cut has spoilt is passed over.
fn read(line: &str) -> Option<Retained> {
    let mut parts = line.splitn(4, '\t').map(str::to_owned);
    let (camera, device, prefix, masks) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Retained { camera, device, prefix, masks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(camera: &str, masks: &str) -> Retained {
        let (camera, device, prefix, masks) =
            (camera.to_owned(), "box".to_owned(), "sites/a".to_owned(), masks.to_owned());
        Retained { camera, device, prefix, masks }
    }

    #[test]
    fn what_an_earlier_life_left_with_other_masks_is_to_be_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(&dir.path().join("snapshots"));
        assert_eq!(kept.replace(&[of("front", "none"), of("yard", "none")]), []);
        assert_eq!(kept.replace(&[of("front", "window"), of("yard", "none")]), [of("front", "none")]);
        assert_eq!(kept.replace(&[of("front", "window")]), [of("yard", "none")]);
        assert_eq!(kept.replace(&[]), [of("front", "window")], "pictures are not retained any more");
        assert_eq!(kept.replace(&[]), []);
        assert!(!dir.path().join("snapshots/retained").exists());
    }
}
