//! The only home of `/sys`: small text files, read leniently. A sensor that a driver does not fill is absent, not an error.

use std::path::{Path, PathBuf};

/// A tree of small files: `/sys`, or a copy of one in a test.
#[derive(Debug, Clone)]
pub(super) struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    pub(super) fn of_this_device() -> Self {
        Self::at(Path::new("/sys"))
    }

    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folders of a class whose names begin with this, e.g. `thermal_zone` in `class/thermal`, in the order of their numbers.
    pub(super) fn folders(&self, class: &str, prefix: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.root.join(class)) else { return Vec::new() };
        let mut found: Vec<(u32, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|e| Some((e.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?, e.path())))
            .collect();
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }
}

/// A file's one line.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

/// A file's number.
pub(super) fn number(path: &Path) -> Option<i64> {
    text(path)?.parse().ok()
}
