//! File systems of a test's own: an ext4 in a file, or some memory. They need root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this user may mount; if not, says what is skipped.
pub(crate) fn may_mount(what: &str) -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    let is_root = id.stdout.trim_ascii() == b"0" && Path::new("/dev/loop-control").exists();
    if !is_root {
        eprintln!("skipped: {what} need root and loop devices");
    }
    is_root
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mounted file system; it goes with its owner.
pub(crate) struct Disk {
    dir: tempfile::TempDir,
    is_mounted: bool,
}

impl Disk {
    /// An ext4 of so many megabytes.
    pub(super) fn ext4(mb: u64) -> Self {
        let disk = Self { dir: tempfile::tempdir().expect("a temporary folder"), is_mounted: false };
        let image = std::fs::File::create(disk.image()).expect("made");
        image.set_len(mb << 20).expect("sparse");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(disk.image()));
        disk.mounted("loop,errors=remount-ro")
    }

    /// So many megabytes of memory.
    pub(crate) fn tmpfs(mb: u64) -> Self {
        let mut disk = Self { dir: tempfile::tempdir().expect("a temporary folder"), is_mounted: false };
        std::fs::create_dir(disk.folder()).expect("made");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mb}m"), "none"]).arg(disk.folder()));
        disk.is_mounted = true;
        disk
    }

    fn mounted(mut self, options: &str) -> Self {
        std::fs::create_dir(self.folder()).expect("made");
        run(Command::new("mount").args(["-o", options]).arg(self.image()).arg(self.folder()));
        self.is_mounted = true;
        self
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Mounts it anew, "ro" or "rw".
    pub(super) fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.folder()));
    }

    /// What the disk would hold if the power went now.
    pub(super) fn as_if_cut_off(&self) -> Self {
        let copy = Self { dir: tempfile::tempdir().expect("a temporary folder"), is_mounted: false };
        run(Command::new("cp").arg("--sparse=always").arg(self.image()).arg(copy.image()));
        copy.mounted("loop")
    }

    /// The name of its block device, e.g. `loop0`.
    pub(super) fn device(&self) -> String {
        let found =
            Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(self.folder()).output().expect("findmnt runs");
        String::from_utf8_lossy(&found.stdout).trim().trim_start_matches("/dev/").to_owned()
    }

    /// Takes it out. A process that another test begins has all files of this one open for the moment before it becomes another program.
    pub(super) fn unmount(&mut self) {
        let unmounted = || Command::new("umount").arg(self.folder()).output().is_ok_and(|o| o.status.success());
        let mut patience = 50;
        while !unmounted() {
            patience -= 1;
            assert!(patience > 0, "{} stays busy", self.folder().display());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.is_mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // A test that failed may still hold files; the mount goes with the last of them.
            let _ = Command::new("umount").arg("-l").arg(self.folder()).status();
        }
    }
}
