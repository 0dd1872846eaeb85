//! The only home of `/sys`, and of what else the kernel and the board tell in small files below `/proc`, `/etc`, `/var` and `/dev`: read
//! leniently, and under a root of one's choice, so that a tree recorded on a board is read like the board. Written is one kind of file: what
//! `system.rs` may set.

use std::io;
use std::path::{Path, PathBuf};

/// A tree of small files: the device's own, or a recorded one.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// `root` is `/` on the device itself.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path below /sys.
    pub(super) fn sys(&self, path: &str) -> PathBuf {
        self.below("sys", path)
    }

    /// A path below /proc.
    pub(super) fn proc(&self, path: &str) -> PathBuf {
        self.below("proc", path)
    }

    /// A path below /etc.
    pub(super) fn etc(&self, path: &str) -> PathBuf {
        self.below("etc", path)
    }

    /// A path below /var.
    pub(super) fn var(&self, path: &str) -> PathBuf {
        self.below("var", path)
    }

    /// A path below /dev.
    pub(super) fn dev(&self, path: &str) -> PathBuf {
        self.below("dev", path)
    }

    /// A program below /usr.
    pub(super) fn usr(&self, path: &str) -> PathBuf {
        self.below("usr", path)
    }

    /// A link that names a path from the root on (JetPack's /etc/nvpmodel.conf) stays within the tree.
    fn below(&self, folder: &str, path: &str) -> PathBuf {
        let path = self.root.join(folder).join(path);
        match std::fs::read_link(&path) {
            Ok(target) if target.is_absolute() => self.root.join(target.strip_prefix("/").unwrap_or(&target)),
            _ => path,
        }
    }

    /// The folders below /sys/class/CLASS whose names are this and a number, e.g. `thermal_zone` in `thermal`, in the order of their
    /// numbers.
    pub(super) fn numbered(&self, class: &str, prefix: &str) -> Vec<PathBuf> {
        let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
        let mut found: Vec<(u32, PathBuf)> =
            entries(&self.sys("class").join(class)).into_iter().filter_map(|p| Some((number(&p)?, p))).collect();
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// The hwmon chips and their names.
    pub(super) fn chips(&self) -> Vec<(String, PathBuf)> {
        let named = |chip: PathBuf| (text(&chip.join("name")).unwrap_or_else(|| "unnamed".to_owned()), chip);
        self.numbered("hwmon", "hwmon").into_iter().map(named).collect()
    }
}

/// What a folder holds, by name; nothing where it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = found.filter_map(Result::ok).map(|e| e.path()).collect();
    found.sort();
    found
}

/// The last part of a path, as text.
pub(super) fn name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or_default()
}

/// A file's one line; why there is none, where one should be.
pub(super) fn read(path: &Path) -> io::Result<String> {
    // A device tree ends its texts with a zero.
    Ok(std::fs::read_to_string(path)?.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

/// A file's one line.
pub(super) fn text(path: &Path) -> Option<String> {
    read(path).ok().filter(|t| !t.is_empty())
}

/// Writes a file that the kernel made; there is none where the kernel made none.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

/// Whether this process may write a file that is there; it is left as it is.
pub(super) fn may_write(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path).map(drop)
}

/// A file's number.
pub(super) fn number(path: &Path) -> Option<i64> {
    text(path)?.parse().ok()
}

/// A file's number, or why there is none.
pub(super) fn measured(path: &Path) -> io::Result<i64> {
    let text = read(path)?;
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no number")))
}
