//! Which files are read and written. What cannot be written is told before anything is measured: the measurement takes minutes.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Refuses to write what is read, or one file twice. Inputs come with what they are, outputs with the option that names them.
pub(super) fn refuse_to_overwrite(inputs: &[(&str, PathBuf)], outputs: &[(&str, PathBuf)]) -> Result<(), Failure> {
    let mut taken: Vec<_> = inputs.iter().map(|(what, path)| (real(path), (*what).to_owned())).collect();
    for (option, path) in outputs {
        let at = real(path);
        if let Some((_, what)) = taken.iter().find(|(other, _)| *other == at) {
            return Err(Failure::Usage(format!("{}: {what} would be overwritten by {option}", path.display())));
        }
        taken.push((at, format!("what {option} writes")));
    }
    Ok(())
}

/// Whether a file can be written. Nothing is left of the attempt, and what the file holds stays.
pub(super) fn try_out(path: &Path) -> Result<(), Failure> {
    let tried = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => open(path),
        Err(e) => Err(e),
    };
    tried.map_err(|e| failure(path, e))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| failure(path, e))
}

fn open(path: &Path) -> io::Result<()> {
    let is_plain = path.metadata().is_ok_and(|m| m.is_file() || m.is_dir());
    // To open and close a pipe would tell its reader that nothing comes.
    if is_plain { OpenOptions::new().write(true).open(path).map(drop) } else { Ok(()) }
}

fn failure(path: &Path, e: io::Error) -> Failure {
    Failure::Work(anyhow::Error::new(e).context(format!("{} cannot be written", path.display())))
}

/// One spelling for each file, there or not.
fn real(path: &Path) -> PathBuf {
    let beside = || {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(parent.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_not_written_however_it_is_spelled() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).expect("made");
        fs::write(at("own.toml"), "").expect("written");
        std::os::unix::fs::symlink(at("own.toml"), at("link.toml")).expect("linked");
        let refused = |read: &str, option: &str, written: &str| {
            let refused = refuse_to_overwrite(&[("the configuration", at(read))], &[(option, at(written))]);
            refused.err().map(|e| e.to_string()).unwrap_or_default()
        };
        for other in ["own.toml", "link.toml", "sub/../own.toml", "./own.toml"] {
            let told = refused("own.toml", "--write", other);
            assert!(told.contains("the configuration would be overwritten by --write"), "{other}: {told}");
        }
        assert_eq!(refused("own.toml", "--write", "new.toml"), "");
        let twice = refuse_to_overwrite(&[], &[("--plot", at("new")), ("--write", at("sub/../new"))]);
        let told = twice.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("what --plot writes would be overwritten by --write"), "{told}");
    }

    #[test]
    fn a_file_is_tried_out_without_a_trace() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        assert!(try_out(&at("new")).is_ok() && !at("new").exists());
        fs::write(at("old"), "as it was").expect("written");
        assert!(try_out(&at("old")).is_ok());
        assert_eq!(fs::read_to_string(at("old")).expect("still there"), "as it was");
        for odd in [at("nowhere/new"), dir.path().to_owned()] {
            let told = try_out(&odd).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(told.contains("cannot be written"), "{}: {told}", odd.display());
        }
    }
}
