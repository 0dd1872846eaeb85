//! models/manifest.toml as typed: which models and clips there are, their checksums, licences and sources, what they take and give.
//!
//! Belongs here: reading and checking the file. Does not: what a stage makes of an entry (see `catalog`), fetching (see `cli/model.rs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::catalog::{Activation, CatalogError, DetectorHead, Kind};

/// The manifest that comes with the program.
const BUILT_IN: &str = include_str!("../../models/manifest.toml");
/// What the file is called, in the repository and in a models directory.
pub const FILE_NAME: &str = "manifest.toml";

/// Everything that the manifest holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Models by name.
    #[serde(default)]
    pub model: BTreeMap<String, ModelEntry>,
    /// Video clips by name.
    #[serde(default)]
    pub clip: BTreeMap<String, ClipEntry>,
}

/// One model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// File name in the models directory.
    pub file: String,
    /// Checksum of the file, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
    /// Under which licence the weights are.
    pub licence: String,
    /// One line for people.
    #[serde(default)]
    pub about: String,
    /// Detector or classifier.
    pub kind: Kind,
    /// A detector's head.
    pub head: Option<DetectorHead>,
    /// A detector's classes.
    pub labels: Option<Labels>,
    /// A detector's default threshold.
    pub confidence: Option<f32>,
    /// A detector's default overlap for non-maximum suppression.
    pub nms_iou: Option<f32>,
    /// How pixels become its tensor.
    #[serde(default)]
    pub input: InputEntry,
    /// A classifier's heads.
    #[serde(default)]
    pub output: Vec<OutputEntry>,
    /// Where to get it, best first.
    #[serde(default)]
    pub source: Vec<Source>,
}

/// One video clip.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipEntry {
    /// File name.
    pub file: String,
    /// Checksum, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
    /// Under which licence it is.
    pub licence: String,
    /// One line for people.
    #[serde(default)]
    pub about: String,
    /// Where to get it, best first.
    #[serde(default)]
    pub source: Vec<Source>,
}

/// Class names: here, or in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// The names themselves.
    List(Vec<String>),
    /// A file with one name a line.
    File(String),
}

/// How pixels become a model's tensor, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputEntry {
    /// "rgb" or "bgr".
    pub order: OrderEntry,
    /// Taken from each channel, on the scale 0..255.
    pub mean: [f32; 3],
    /// Each channel is divided by it after that.
    pub std: [f32; 3],
    /// Where a frame of another shape stands.
    pub placement: PlacementEntry,
    /// What surrounds it.
    pub pad: u8,
}

impl Default for InputEntry {
    /// YOLOv8's way.
    fn default() -> Self {
        Self { order: OrderEntry::Rgb, mean: [0.0; 3], std: [255.0; 3], placement: PlacementEntry::Centered, pad: 114 }
    }
}

/// Order of channels, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEntry {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Place of the frame, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementEntry {
    /// In the middle.
    Centered,
    /// In the corner.
    TopLeft,
}

/// One head of a classifier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputEntry {
    /// The output's name in the model file.
    pub output: String,
    /// What the head is called in labels.
    pub name: String,
    /// Its classes.
    pub labels: Labels,
    /// What must be done to its values to make them probabilities.
    pub activation: Activation,
}

/// Where a file can be had.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A plain download.
    Url {
        /// The address, https.
        url: String,
    },
    /// A file in a crate.
    Crate {
        /// The crate.
        name: String,
        /// Its version.
        version: String,
        /// Checksum of the .crate file.
        sha256: String,
        /// The file in it.
        member: String,
        /// If the member is a ZIP archive, the file in that.
        unzip: Option<String>,
    },
    /// A file in a Debian package.
    Deb {
        /// The package.
        package: String,
        /// The file in it.
        member: String,
    },
    /// By hand.
    Manual {
        /// What to do.
        how: String,
    },
}

impl Manifest {
    /// The built-in manifest, and over it the one in the models directory if there is one.
    ///
    /// # Errors
    /// When a manifest cannot be read, or says something that cannot be; the error names the file and the key.
    pub fn load(models_dir: &Path) -> Result<Self, CatalogError> {
        let mut manifest = Self::parse(BUILT_IN, Path::new("models/manifest.toml (built in)"))?;
        let path = models_dir.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let own = Self::parse(&text, &path)?;
                manifest.model.extend(own.model);
                manifest.clip.extend(own.clip);
                Ok(manifest)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(manifest),
            Err(source) => Err(CatalogError::Unreadable { path, source }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, CatalogError> {
        let wrong = |reason: String| CatalogError::Manifest { path: path.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        for (name, m) in &manifest.model {
            m.check().map_err(|(key, reason)| wrong(format!("model.{name}.{key}: {reason}")))?;
        }
        for (name, c) in &manifest.clip {
            check_file(&c.file, &c.sha256).map_err(|(key, reason)| wrong(format!("clip.{name}.{key}: {reason}")))?;
        }
        Ok(manifest)
    }
}

/// A key, and what is wrong with its value.
type KeyError = (&'static str, String);

impl ModelEntry {
    fn check(&self) -> Result<(), KeyError> {
        check_file(&self.file, &self.sha256)?;
        for (key, share) in [("confidence", self.confidence), ("nms_iou", self.nms_iou)] {
            if let Some(v) = share.filter(|v| !(0.0..=1.0).contains(v)) {
                return Err((key, format!("{v} is not between 0 and 1")));
            }
        }
        if let Some(v) = self.input.std.iter().find(|v| !v.is_finite() || **v == 0.0) {
            return Err(("input.std", format!("{v} cannot divide a pixel")));
        }
        if let Some(v) = self.input.mean.iter().find(|v| !v.is_finite()) {
            return Err(("input.mean", format!("{v} is not a number")));
        }
        match self.kind {
            Kind::Detector if self.head.is_none() => Err(("head", "a detector needs \"yolov8\" or \"yolox\"".into())),
            Kind::Detector if self.labels.is_none() => Err(("labels", "a detector needs its class names".into())),
            Kind::Classifier if self.output.is_empty() => {
                Err(("output", "a classifier needs at least one head".into()))
            }
            _ => Ok(()),
        }
    }
}

fn check_file(file: &str, sha256: &str) -> Result<(), KeyError> {
    if PathBuf::from(file).file_name().is_none_or(|n| n != file) {
        return Err(("file", format!("\"{file}\" is not a plain file name")));
    }
    let is_hex = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { Ok(()) } else { Err(("sha256", format!("\"{sha256}\" is not 64 small hexadecimal digits"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Manifest::parse(text, Path::new("m.toml")).expect_err("refused").to_string()
    }

    fn entry(extra: &str) -> String {
        let sha = "0".repeat(64);
        format!("[model.a]\nfile = \"a.onnx\"\nsha256 = \"{sha}\"\nsize_bytes = 1\nlicence = \"MIT\"\n{extra}\n")
    }

    #[test]
    fn the_built_in_manifest_is_sound_and_pins_every_file() {
        let m = Manifest::load(Path::new("/nonexistent")).expect("sound");
        assert!(m.model.contains_key("yolov8n_640") && m.clip.contains_key("vtest"));
        assert!(m.model.values().all(|m| m.size_bytes > 0 && !m.source.is_empty() && !m.about.is_empty()));
    }

    #[test]
    fn a_manifest_in_the_models_directory_replaces_entries_and_leaves_the_rest() {
        let dir = tempfile::tempdir().expect("a folder");
        let text =
            entry("kind = \"detector\"\nhead = \"yolov8\"\nlabels = [\"cat\"]").replace("model.a", "model.yolov8n_320");
        std::fs::write(dir.path().join(FILE_NAME), text).expect("written");
        let m = Manifest::load(dir.path()).expect("sound");
        assert_eq!(m.model["yolov8n_320"].file, "a.onnx");
        assert_eq!(m.model["yolov8n_640"].file, "yolov8n_640.onnx");
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_key() {
        for (text, words) in [
            (entry("kind = \"detector\"\nhed = \"yolov8\""), ["m.toml", "hed"]),
            (entry("kind = \"detector\"\nhead = \"yolov9\"\nlabels = []"), ["m.toml", "yolov9"]),
            (entry("kind = \"detector\"\nlabels = []"), ["model.a.head", "yolox"]),
            (entry("kind = \"classifier\""), ["model.a.output", "head"]),
            (
                entry("kind = \"detector\"\nhead = \"yolov8\"\nlabels = []\nconfidence = 1.5"),
                ["model.a.confidence", "1.5"],
            ),
            (entry("kind = \"classifier\"\ninput = { std = [0.0, 1.0, 1.0] }"), ["model.a.input.std", "0"]),
            (entry("kind = \"classifier\"").replace("a.onnx", "../a.onnx"), ["model.a.file", "../a.onnx"]),
            (entry("kind = \"classifier\"").replace("00", "zz"), ["model.a.sha256", "zz"]),
        ] {
            let told = wrong(&text);
            assert!(words.iter().all(|w| told.contains(w)), "{told} should speak of {words:?}");
        }
    }
}
