//! How the system was found, on disk from before the first change until it is put back: a kill or a power cut between the two shall not make
//! the owner's setting forgotten.
//!
//! Belongs here: the note. Does not: what is set and put back (see `system.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::runtime::disk;

/// Its name in the state folder.
const FILE: &str = "system-found.json";

/// What was changed and not put back yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Found {
    pub(super) mode: Option<FoundMode>,
    /// By the policy's folder (`policy0`): the governor of the processors' clocks.
    pub(super) governors: BTreeMap<String, String>,
}

/// A power mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FoundMode {
    /// The owner's.
    pub(super) found: u32,
    /// Those that were asked for since: any other is the owner's newer wish.
    pub(super) asked: BTreeSet<u32>,
}

/// The note on disk.
#[derive(Debug)]
pub(super) struct Note {
    folder: PathBuf,
    found: Found,
}

impl Note {
    /// What an earlier start left; nothing where there is no note, or one that nobody can read.
    pub(super) fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join(FILE)).unwrap_or_default();
        Self { folder: folder.to_owned(), found: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// What stands in it.
    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// Makes the note say this, durably; there is none where there is nothing to say.
    pub(super) fn keep(&mut self, found: Found) -> Result<(), (PathBuf, io::Error)> {
        if found == self.found {
            return Ok(());
        }
        let path = self.folder.join(FILE);
        let done = if found == Found::default() { fs::remove_file(&path) } else { write(&path, &found) };
        self.found = found;
        done.map_err(|e| (path, e))
    }
}

fn write(path: &Path, found: &Found) -> io::Result<()> {
    disk::replace(path, &serde_json::to_vec(found)?)
}
