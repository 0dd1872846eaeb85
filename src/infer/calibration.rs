//! Ranges of a model's tensors, measured on pictures: the file beside the model that `peregrine model calibrate` writes.
//!
//! Belongs here: the file, what makes it sound, whose it is. Does not: measuring (see `calibrator`), scales and zero points, which are
//! the affair of the engine that uses the ranges. Nothing here runs a model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog::sha256_of_bytes;

/// The file's own version, raised when the meaning of its values changes.
const VERSION: u32 = 1;
/// A model of a thousand tensors has a file of some 100 kB; what is larger than this is none.
const MAX_BYTES: u64 = 16 << 20;

/// What was measured for one model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    version: u32,
    /// The model's file name, for people.
    model: String,
    sha256: String,
    images: usize,
    tensors: BTreeMap<String, TensorRange>,
}

/// The values that one tensor took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorRange {
    /// The least value on any picture.
    pub min: f32,
    /// The largest value on any picture.
    pub max: f32,
    /// The mean over the pictures of the least value on each: an outlier on one picture hardly moves it.
    pub mean_min: f32,
    /// The same of the largest.
    pub mean_max: f32,
}

/// Why a calibration cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error("{}: the calibration cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no calibration, or holds values that cannot be.
    #[error("{}: not a sound calibration: {reason}; write it again with `peregrine model calibrate`", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was measured on another model.
    #[error(
        "{}: this calibration is of a model file with sha256 {found}, the model here has {wanted}; \
         calibrate again with `peregrine model calibrate`",
        path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The checksum in it.
        found: String,
        /// The model's.
        wanted: String,
    },
    /// It cannot be written.
    #[error("{}: the calibration cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a model's calibration lies: `yolov8n_640.onnx` has `yolov8n_640.calibration.json` beside it.
pub fn beside(model: &Path) -> PathBuf {
    model.with_extension("calibration.json")
}

/// Reads a calibration and checks that it is sound and was measured on the model whose file has these bytes.
///
/// # Errors
/// When the file cannot be read, is damaged, of another version, holds values that are no range, or belongs to another model.
pub fn read(path: &Path, model: &[u8]) -> Result<Calibration, CalibrationError> {
    let found = parse(path)?;
    let wanted = sha256_of_bytes(model);
    if found.sha256 == wanted {
        Ok(found)
    } else {
        Err(CalibrationError::OtherModel { path: path.to_owned(), found: found.sha256, wanted })
    }
}

fn parse(path: &Path) -> Result<Calibration, CalibrationError> {
    let unreadable = |source| CalibrationError::Unreadable { path: path.to_owned(), source };
    let unsound = |reason| CalibrationError::Unsound { path: path.to_owned(), reason };
    let mut text = Vec::new();
    File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unsound(format!("it is larger than {MAX_BYTES} bytes")));
    }
    // Before all else: a later version may have keys that this one does not know.
    let Version { version } = serde_json::from_slice(&text).map_err(|e| unsound(e.to_string()))?;
    if version != VERSION {
        return Err(unsound(format!("it is of version {version}, needed is {VERSION}")));
    }
    let found: Calibration = serde_json::from_slice(&text).map_err(|e| unsound(e.to_string()))?;
    match found.tensors.iter().find(|(_, range)| !range.is_sound()) {
        Some((name, range)) => Err(unsound(format!("tensor \"{name}\" has no range: {range:?}"))),
        None => Ok(found),
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Whether a calibration could be written there; asked before the work of measuring one.
///
/// # Errors
/// When it could not.
pub fn check_writable(path: &Path) -> Result<(), CalibrationError> {
    let part = part_of(path);
    let tried = File::create(&part).and_then(|_| std::fs::remove_file(&part));
    let tried = if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { tried };
    tried.map_err(|source| CalibrationError::Unwritable { path: path.to_owned(), source })
}

/// The name under which a file is written before it gets its own.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

impl TensorRange {
    pub(super) fn is_sound(&self) -> bool {
        // Comparisons with NaN are false; what lies between two finite values is finite.
        let is_ordered = self.min <= self.mean_min && self.mean_min <= self.mean_max && self.mean_max <= self.max;
        is_ordered && self.min.is_finite() && self.max.is_finite()
    }
}

impl Calibration {
    /// Joins what was measured with the model file that it was measured on.
    pub(super) fn new(model: &Path, sha256: String, images: usize, tensors: BTreeMap<String, TensorRange>) -> Self {
        let model = model.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self { version: VERSION, model, sha256, images, tensors }
    }

    /// Least and largest value of a tensor, named as in the ONNX file, on any picture; widened so that 0 lies between them, which must
    /// have an exact code in 8 bits. None for a tensor that was not measured.
    pub fn range(&self, tensor: &str) -> Option<(f32, f32)> {
        self.tensors.get(tensor).map(|r| (r.min.min(0.0), r.max.max(0.0)))
    }

    /// As [`Calibration::range`], of the mean least and largest values: outliers are left to be clipped.
    pub fn mean_range(&self, tensor: &str) -> Option<(f32, f32)> {
        self.tensors.get(tensor).map(|r| (r.mean_min.min(0.0), r.mean_max.max(0.0)))
    }

    /// How many pictures were looked at.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How many tensors have a range.
    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// The model file's checksum.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Writes the file; a reader sees the old one or the new one, nothing in between.
    ///
    /// # Errors
    /// When it cannot be written; what was there before still is.
    pub fn write(&self, path: &Path) -> Result<(), CalibrationError> {
        let part = part_of(path);
        let write = || -> io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&part, path)
        };
        write().map_err(|source| {
            // What is left is of no use, and its absence is no further error.
            let _ = std::fs::remove_file(&part);
            CalibrationError::Unwritable { path: path.to_owned(), source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &[u8] = b"a model";

    fn range(min: f32, mean_min: f32, mean_max: f32, max: f32) -> TensorRange {
        TensorRange { min, max, mean_min, mean_max }
    }

    fn measured() -> Calibration {
        let tensors = [("a", range(-1.5, -0.1, 0.1, 1e-7)), ("b", range(0.25, 0.5, 6.0, 7.0))];
        let tensors = tensors.map(|(name, r)| (name.to_owned(), TensorRange { max: r.max.max(r.mean_max), ..r }));
        Calibration::new(Path::new("models/m.onnx"), sha256_of_bytes(MODEL), 3, tensors.into())
    }

    #[test]
    fn what_is_written_is_read_again_to_the_bit_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = beside(&dir.path().join("m.onnx"));
        assert!(path.ends_with("m.calibration.json"));
        std::fs::write(&path, "old").expect("written");
        check_writable(&path).expect("it is");
        measured().write(&path).expect("written");
        assert_eq!(read(&path, MODEL).expect("sound"), measured());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_range_has_zero_in_it_and_an_unknown_tensor_has_none() {
        let c = measured();
        assert_eq!((c.range("a"), c.mean_range("a")), (Some((-1.5, 0.1)), Some((-0.1, 0.1))));
        assert_eq!((c.range("b"), c.mean_range("b")), (Some((0.0, 7.0)), Some((0.0, 6.0))));
        assert_eq!(c.range("c"), None);
    }

    #[test]
    fn a_calibration_of_another_model_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.calibration.json");
        measured().write(&path).expect("written");
        let told = read(&path, b"another model").expect_err("refused").to_string();
        assert!(told.contains("calibrate again") && told.contains("m.calibration.json"), "{told}");
    }

    #[test]
    fn a_damaged_calibration_is_refused_with_its_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("c.json");
        let sound = serde_json::to_string(&measured()).expect("JSON");
        for (from, to, words) in [
            ("\"version\":1", "\"version\":2", "of version 2"),
            ("\"version\":1", "\"version\":1,\"method\":\"x\"", "unknown field"),
            ("\"min\":0.25", "\"min\":8.0", "tensor \"b\""),
            ("\"max\":7.0", "\"max\":1e39", "out of range"),
            ("\"min\":0.25", "\"min\":null", "null"),
            ("\"mean_min\":0.5,", "", "mean_min"),
            ("{", "", "expected"),
        ] {
            let text = sound.replacen(from, to, 1);
            assert_ne!(text, sound);
            std::fs::write(&path, text).expect("written");
            let told = read(&path, MODEL).expect_err("refused").to_string();
            assert!(told.contains(words) && told.contains("c.json"), "{to}: {told}");
        }
        assert!(!range(f32::NAN, 0.0, 0.0, 0.0).is_sound() && !range(0.0, 0.0, 0.0, f32::INFINITY).is_sound());
        assert!(matches!(read(Path::new("/nonexistent"), MODEL), Err(CalibrationError::Unreadable { .. })));
    }

    #[test]
    fn what_cannot_be_written_is_told_before_and_after() {
        let dir = tempfile::tempdir().expect("a folder");
        for path in [dir.path().join("no/such/folder.json"), dir.path().to_owned()] {
            assert!(check_writable(&path).is_err());
            let told = measured().write(&path).expect_err("refused").to_string();
            assert!(told.contains("cannot be written"), "{told}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing is left");
    }
}
