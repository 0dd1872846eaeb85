//! Files that were made on this device for this device: engines, timings, calibration tables. A file is sealed with what it is for and a
//! hash of its content; one that is for something else, was cut short, or could be another user's is as good as none.
//!
//! Belongs here: the files. Does not: what stands in them (TensorRT alone knows), when they are made (see `builder`).

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::infer::catalog::sha256_of_bytes;

/// First line of every file; its number is raised when the file's form changes.
const MAGIC: &str = "peregrine sealed file 1";
/// A head is a few hundred bytes; what has no end of it within this is no such file.
const MAX_HEAD_BYTES: usize = 4096;
/// Engines of the largest detectors have some 200 MB.
const MAX_BYTES: u64 = 2 << 30;
/// Read and written by the daemon's user alone: an engine holds code that the GPU runs.
const MODE: u32 = 0o600;

/// What a file is for: every circumstance that makes it useless when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Key(Vec<(&'static str, String)>);

impl Key {
    /// Adds a circumstance.
    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        // A line each: what could end one is taken out.
        self.0.push((name, value.to_string().replace(['\n', '\r'], " ")));
        self
    }

    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, value)| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {value}");
            text
        })
    }
}

/// Why a file was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is not there.
    Absent,
    /// It is, and is not to be used.
    Refused(String),
}

/// A folder of such files.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// In a folder that need not be there yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Where a file of this name stands.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The content of a file that was sealed for this key.
    pub(super) fn read(&self, name: &str, key: &Key) -> Result<Vec<u8>, Unfit> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Unfit::Absent),
            Err(e) => return Err(Unfit::Refused(format!("{}: {e}", path.display()))),
        };
        let refused = |why: String| Unfit::Refused(format!("{}: {why}", path.display()));
        let unreadable = |e: io::Error| refused(e.to_string());
        let meta = file.metadata().map_err(unreadable)?;
        check_owner(&meta).map_err(refused)?;
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(MAX_BYTES)).unwrap_or_default());
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        let begin = check(&bytes, key).map_err(refused)?;
        bytes.drain(..begin);
        Ok(bytes)
    }

    /// Seals and writes a file; whoever reads it meanwhile sees the old one or the new one, whole.
    pub(super) fn write(&self, name: &str, key: &Key, content: &[u8]) -> io::Result<()> {
        make_dir(&self.dir)?;
        let part = self.path(&format!(".{name}.{}.part", std::process::id()));
        self.sweep(&part);
        let written = self.write_part(&part, key, content).and_then(|()| fs::rename(&part, self.path(name)));
        if written.is_err() {
            // What is left is of no use, and its absence is no further error.
            let _ = fs::remove_file(&part);
        }
        written?;
        // The new name must outlive a power cut as well.
        File::open(&self.dir)?.sync_all()
    }

    /// What an earlier process left when the power went. The one that writes now is told by its number.
    fn sweep(&self, own: &Path) {
        let is_left = |path: &Path| {
            let pid = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.rsplit('.').next());
            let is_part = path.extension().is_some_and(|e| e == "part");
            is_part && path != own && pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        };
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten().filter(|e| is_left(&e.path())) {
            // What cannot be removed only takes room.
            let _ = fs::remove_file(entry.path());
        }
    }

    fn write_part(&self, part: &Path, key: &Key, content: &[u8]) -> io::Result<()> {
        if let Err(e) = fs::remove_file(part)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(part)?;
        file.write_all(head(key, content).as_bytes())?;
        file.write_all(content)?;
        give_to_owner_of(&self.dir, &file)?;
        file.sync_all()
    }
}

/// Makes a folder and those above it, each its parent's owner's: root may be the first who builds an engine for the daemon.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dir(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => give_to_owner_of(parent, &File::open(dir)?),
    }
}

/// What root builds ahead of time is for the daemon, whose folder this is.
fn give_to_owner_of(dir: &Path, file: &File) -> io::Result<()> {
    let (dir, own) = (fs::metadata(dir)?, file.metadata()?);
    if own.uid() == 0 && dir.uid() != 0 {
        std::os::unix::fs::fchown(file, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(())
}

fn head(key: &Key, content: &[u8]) -> String {
    let (text, hash) = (key.text(), sha256_of_bytes(content));
    format!("{MAGIC}\n{text}bytes: {}\nsha256: {hash}\n\n", content.len())
}

/// Where the content begins, if it is what the key says and whole.
fn check(bytes: &[u8], key: &Key) -> Result<usize, String> {
    let within = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
    let end = within.windows(2).position(|two| two == b"\n\n").map(|at| at + 2);
    let Some(end) = end.filter(|_| bytes.starts_with(MAGIC.as_bytes())) else {
        return Err("not a file that was sealed here".to_owned());
    };
    let (found, content) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end..]);
    let wanted = key.text();
    // Everything but the last lines, which are about the content: what differs there was damaged, what differs here is for others.
    for (line, want) in found.lines().skip(1).zip(wanted.lines()) {
        if line != want {
            return Err(format!("made for \"{line}\", needed is \"{want}\""));
        }
    }
    if *found != head(key, content) {
        return Err("truncated or damaged".to_owned());
    }
    Ok(end)
}

/// A file that another user may have written is not loaded: what stands in it runs with our rights.
fn check_owner(meta: &fs::Metadata) -> Result<(), String> {
    if !meta.is_file() {
        return Err("not a file".to_owned());
    }
    // Our own user is whoever owns our own process.
    let own = fs::metadata("/proc/self").map(|m| m.uid()).unwrap_or_default();
    if meta.uid() != own && meta.uid() != 0 {
        return Err(format!("belongs to user {}, not to {own}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others may write it (mode {:o}, needed is {MODE:o})", meta.mode() & 0o777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(version: &str) -> Key {
        Key::default().with("onnx", "abc").with("tensorrt", version).with("gpu", "Orin (sm_87)")
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(&dir.path().join("engines"));
        (dir, cache)
    }

    fn refusal(found: Result<Vec<u8>, Unfit>) -> String {
        match found.expect_err("refused") {
            Unfit::Refused(why) => why,
            Unfit::Absent => panic!("it is there"),
        }
    }

    #[test]
    fn what_was_sealed_comes_back_for_the_same_key_alone() {
        let (_dir, cache) = cache();
        assert_eq!(cache.read("a.engine", &key("10.3.0")), Err(Unfit::Absent));
        for content in [b"first\n\nplan".as_slice(), b"", b"second"] {
            cache.write("a.engine", &key("10.3.0"), content).expect("written");
            assert_eq!(cache.read("a.engine", &key("10.3.0")).expect("read"), content);
        }
        let why = refusal(cache.read("a.engine", &key("10.7.0")));
        assert!(why.contains("made for \"tensorrt: 10.3.0\", needed is \"tensorrt: 10.7.0\""), "{why}");
        let longer = key("10.3.0").with("dla", 0);
        assert!(refusal(cache.read("a.engine", &longer)).contains("needed is \"dla: 0\""));
        assert_eq!(fs::read_dir(cache.path("")).expect("listed").count(), 1, "no half-written file is left");
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_refused() {
        let (_dir, cache) = cache();
        cache.write("a", &key("10.3.0"), b"a plan of some length").expect("written");
        let whole = fs::read(cache.path("a")).expect("read");
        for end in 0..whole.len() {
            fs::write(cache.path("a"), &whole[..end]).expect("cut");
            refusal(cache.read("a", &key("10.3.0")));
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(cache.path("a"), &changed).expect("changed");
            refusal(cache.read("a", &key("10.3.0")));
        }
        fs::write(cache.path("a"), [&whole[..], b"x"].concat()).expect("lengthened");
        assert!(refusal(cache.read("a", &key("10.3.0"))).contains("truncated or damaged"));
    }

    #[test]
    fn a_file_is_the_owners_alone_and_one_that_others_may_write_is_refused() {
        let (_dir, cache) = cache();
        cache.write("a", &key("10.3.0"), b"plan").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&cache.path("a")), 0o600);
        fs::set_permissions(cache.path("a"), fs::Permissions::from_mode(0o660)).expect("opened up");
        assert!(refusal(cache.read("a", &key("10.3.0"))).contains("others may write it (mode 660"));
    }

    #[test]
    fn what_root_writes_into_the_daemons_folder_is_the_daemons() {
        let (dir, cache) = cache();
        if fs::metadata(dir.path()).expect("there").uid() != 0 {
            eprintln!("skipped: only root gives files away");
            return;
        }
        std::os::unix::fs::chown(dir.path(), Some(12345), Some(12345)).expect("given away");
        cache.write("a", &key("1"), b"plan").expect("written");
        for path in [cache.path(""), cache.path("a")] {
            assert_eq!(fs::metadata(&path).expect("there").uid(), 12345, "{}", path.display());
        }
        // And root does not run what the daemon's user may have written.
        assert!(refusal(cache.read("a", &key("1"))).contains("belongs to user 12345"));
    }

    #[test]
    fn what_a_process_left_that_is_gone_is_swept_away() {
        let (_dir, cache) = cache();
        cache.write("a", &key("1"), b"plan").expect("written");
        let alive = format!(".b.{}.part", std::process::id());
        for name in [".a.99999999.part", &alive] {
            fs::write(cache.path(name), "half").expect("written");
        }
        cache.write("a", &key("1"), b"plan").expect("written");
        assert!(!cache.path(".a.99999999.part").exists() && cache.path(&alive).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(Cache::new(&file).write("a", &key("1"), b"plan").is_err());
    }

    #[test]
    fn what_stands_in_a_key_cannot_forge_another_line() {
        let forged = Key::default().with("onnx", "abc\ntensorrt: 10.3.0");
        assert_eq!(forged.text().lines().count(), 1);
    }
}
