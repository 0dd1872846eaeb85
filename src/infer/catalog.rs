//! Model cards: all that a stage must know of a model beside its tensors. Made from the manifest, or from the file itself where the
//! manifest does not know it.
//!
//! Belongs here: finding a model by name or path, its labels and thresholds. Does not: reading tensors (see `onnx`), running (see the engines).

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::manifest::{InputEntry, Labels, Manifest, ModelEntry, OrderEntry, PlacementEntry};
use super::onnx::{self, Header, OnnxError};
use crate::pixels::{ChannelOrder, Normalise, Placement};
use crate::types::ClassNames;
use crate::types::names::did_you_mean;

/// Label files that come with the program.
const BUILT_IN_LABELS: [(&str, &str); 1] = [("coco.txt", include_str!("../../models/labels/coco.txt"))];
/// Thresholds of a detector that the manifest does not know: those of Ultralytics' own predictions.
const UNKNOWN_CONFIDENCE: f32 = 0.25;
const UNKNOWN_NMS_IOU: f32 = 0.7;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Finds objects in a frame.
    Detector,
    /// Names what a crop shows.
    Classifier,
}

/// How a detector writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectorHead {
    /// `[4+C, N]`: centre, size in pixels, then one score a class. YOLOv8 to v12.
    Yolov8,
    /// `[N, 5+C]`: offsets on a grid, objectness, then one score a class.
    Yolox,
}

/// What must be done to a classifier's values to make them probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// They are probabilities already.
    None,
    /// exp(x) over the sum of exp(x).
    Softmax,
}

/// How pixels become a model's tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Values and channel order.
    pub normalise: Normalise,
    /// Where a frame of another shape stands.
    pub placement: Placement,
}

/// One head of a classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierHead {
    /// The output's name in the model file.
    pub output: String,
    /// What the head is called in labels.
    pub name: String,
    /// Its classes.
    pub labels: ClassNames,
    /// What must be done to its values.
    pub activation: Activation,
}

/// All that a stage must know of a model beside its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// The manifest's name, or the file's without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Detector or classifier.
    pub kind: Kind,
    /// Under which licence the weights are, where it is known.
    pub licence: Option<String>,
    /// How pixels become its tensor.
    pub input: Input,
    /// A detector's head; of no meaning for a classifier.
    pub head: DetectorHead,
    /// A detector's classes; empty for a classifier.
    pub classes: ClassNames,
    /// A detector's threshold where the configuration gives none.
    pub confidence: f32,
    /// A detector's overlap for non-maximum suppression where the configuration gives none.
    pub nms_iou: f32,
    /// A classifier's heads; empty for a detector.
    pub heads: Vec<ClassifierHead>,
    /// One line about what was guessed, for the log; None when the manifest knew all.
    pub note: Option<String>,
}

/// Why there is no card for a model.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No such name.
    #[error("model \"{name}\" is neither a file nor in the manifest{hint}; `peregrine model list` shows what is")]
    Unknown {
        /// What was asked for.
        name: String,
        /// A name that may be meant.
        hint: String,
    },
    /// The manifest knows it, the models directory does not have it.
    #[error("model \"{name}\": {} is not there; `peregrine model fetch {name}` gets it or says how to", path.display())]
    Missing {
        /// The model.
        name: String,
        /// Where its file should be.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A manifest says what cannot be.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Key and reason.
        reason: String,
    },
    /// A model's label file is nowhere.
    #[error("model \"{model}\": its label file {file} is neither in {} nor in labels/ there", dir.display())]
    Labels {
        /// The model.
        model: String,
        /// The label file.
        file: String,
        /// Where the model lies.
        dir: PathBuf,
    },
    /// The file is not a model.
    #[error("{}: {source}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OnnxError,
    },
}

/// The card of a model named in the manifest, or of a file.
///
/// A file is recognised by its checksum, else by its name; one that the manifest does not know gets a card from what the ONNX file says
/// of itself (Ultralytics writes its class names there).
///
/// # Errors
/// When there is no such model or file, or the manifest or labels are wrong.
pub fn card(name_or_path: &str, models_dir: &Path) -> Result<ModelCard, CatalogError> {
    let manifest = Manifest::load(models_dir)?;
    if let Some(entry) = manifest.model.get(name_or_path) {
        let path = models_dir.join(&entry.file);
        if !path.is_file() {
            return Err(CatalogError::Missing { name: name_or_path.to_owned(), path });
        }
        return from_entry(name_or_path, entry, path);
    }
    let path = PathBuf::from(name_or_path);
    if !path.is_file() {
        let hint = did_you_mean(name_or_path, manifest.model.keys().map(String::as_str));
        return Err(CatalogError::Unknown { name: name_or_path.to_owned(), hint });
    }
    let sha256 = sha256_of(&path)?;
    if let Some((name, entry)) = manifest.model.iter().find(|(_, m)| m.sha256 == sha256) {
        return from_entry(name, entry, path);
    }
    let file_name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some((name, entry)) = manifest.model.iter().find(|(_, m)| m.file == file_name) {
        let note =
            format!("{}: another checksum than the manifest's {name}; taken for it by its file name", path.display());
        return Ok(ModelCard { note: Some(note), ..from_entry(name, entry, path)? });
    }
    from_file(path)
}

/// A file's SHA-256 in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// The SHA-256 of bytes in hexadecimal.
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_entry(name: &str, entry: &ModelEntry, path: PathBuf) -> Result<ModelCard, CatalogError> {
    let heads = entry.output.iter().map(|o| {
        Ok(ClassifierHead {
            output: o.output.clone(),
            name: o.name.clone(),
            labels: class_names(name, &o.labels, &path)?,
            activation: o.activation,
        })
    });
    let heads = heads.collect::<Result<_, CatalogError>>()?;
    let none = ClassNames::new(<[String; 0]>::default());
    Ok(ModelCard {
        name: name.to_owned(),
        kind: entry.kind,
        licence: Some(entry.licence.clone()),
        input: input(&entry.input),
        head: entry.head.unwrap_or(DetectorHead::Yolov8),
        classes: entry.labels.as_ref().map_or(Ok(none), |l| class_names(name, l, &path))?,
        confidence: entry.confidence.unwrap_or(UNKNOWN_CONFIDENCE),
        nms_iou: entry.nms_iou.unwrap_or(UNKNOWN_NMS_IOU),
        heads,
        note: None,
        path,
    })
}

fn input(entry: &InputEntry) -> Input {
    let normalise = Normalise {
        scale: entry.std.map(|s| 1.0 / s),
        offset: std::array::from_fn(|i| -entry.mean[i] / entry.std[i]),
        order: match entry.order {
            OrderEntry::Rgb => ChannelOrder::Rgb,
            OrderEntry::Bgr => ChannelOrder::Bgr,
        },
        pad: entry.pad,
    };
    let placement = match entry.placement {
        PlacementEntry::Centered => Placement::Centered,
        PlacementEntry::TopLeft => Placement::TopLeft,
    };
    Input { normalise, placement }
}

fn class_names(model: &str, labels: &Labels, model_path: &Path) -> Result<ClassNames, CatalogError> {
    let file = match labels {
        Labels::List(names) => return Ok(ClassNames::new(names)),
        Labels::File(file) => file,
    };
    let dir = model_path.parent().unwrap_or(Path::new("."));
    for path in [dir.join("labels").join(file), dir.join(file)] {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(ClassNames::new(text.lines().map(str::trim_end))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(CatalogError::Unreadable { path, source }),
        }
    }
    let built_in = BUILT_IN_LABELS.iter().find(|(name, _)| name == file);
    built_in.map(|(_, text)| ClassNames::new(text.lines())).ok_or_else(|| CatalogError::Labels {
        model: model.to_owned(),
        file: file.clone(),
        dir: dir.to_owned(),
    })
}

fn from_file(path: PathBuf) -> Result<ModelCard, CatalogError> {
    let bytes = std::fs::read(&path).map_err(|source| CatalogError::Unreadable { path: path.clone(), source })?;
    let header = onnx::read(&bytes).map_err(|source| CatalogError::Onnx { path: path.clone(), source })?;
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let names = header.metadata.get("names").and_then(|n| python_names(n));
    let is_detector = header.metadata.get("task").map_or_else(|| looks_like_detector(&header), |t| t == "detect");
    let source = if names.is_some() { "class names from the file itself" } else { "class names made up" };
    let note = format!(
        "{}: not in the manifest; taken for a {} in YOLOv8's way, {source}",
        path.display(),
        if is_detector { "detector" } else { "classifier" }
    );
    let (classes, heads) = if is_detector {
        let channels = header.outputs.first().and_then(|o| o.dims.get(1).copied().flatten()).unwrap_or(0);
        (ClassNames::new(names.unwrap_or_else(|| made_up(channels.saturating_sub(4)))), Vec::new())
    } else {
        (ClassNames::new(<[String; 0]>::default()), unknown_heads(&header, names.as_deref()))
    };
    Ok(ModelCard {
        name,
        path,
        kind: if is_detector { Kind::Detector } else { Kind::Classifier },
        licence: header.metadata.get("license").cloned(),
        input: input(&InputEntry::default()),
        head: DetectorHead::Yolov8,
        classes,
        confidence: UNKNOWN_CONFIDENCE,
        nms_iou: UNKNOWN_NMS_IOU,
        heads,
        note: Some(note),
    })
}

/// One output of three dimensions is a list of boxes; classifiers have one value a class.
fn looks_like_detector(header: &Header) -> bool {
    header.outputs.len() == 1 && header.outputs[0].dims.len() == 3
}

fn unknown_heads(header: &Header, names: Option<&[String]>) -> Vec<ClassifierHead> {
    let head = |port: &onnx::Port| {
        let len = port.dims.iter().skip(1).map(|d| d.unwrap_or(1)).fold(1, usize::saturating_mul).min(MAX_CLASSES);
        let labels = names.filter(|n| n.len() == len).map_or_else(|| made_up(len), <[String]>::to_vec);
        // Ultralytics exports classifiers with their softmax inside; others mostly leave it to the caller.
        let activation = if names.is_some() { Activation::None } else { Activation::Softmax };
        ClassifierHead {
            output: port.name.clone(),
            name: port.name.clone(),
            labels: ClassNames::new(labels),
            activation,
        }
    };
    header.outputs.iter().map(head).collect()
}

/// A class is a u16; what claims more is damaged.
const MAX_CLASSES: usize = u16::MAX as usize;

fn made_up(count: usize) -> Vec<String> {
    (0..count.min(MAX_CLASSES)).map(|i| format!("class_{i}")).collect()
}

/// Reads the Python dictionary that Ultralytics writes, e.g. `{0: 'person', 1: "driver's door"}`; None when it is not one from 0 upwards.
fn python_names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':')?;
        if key.trim().parse() != Ok(names.len()) || names.len() >= MAX_CLASSES {
            return None;
        }
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (mut name, mut chars) = (String::new(), value.char_indices().skip(1));
        let end = loop {
            match chars.next()? {
                (_, '\\') => name.push(chars.next()?.1),
                (at, c) if c == quote => break at + 1,
                (_, c) => name.push(c),
            }
        };
        names.push(name);
        rest = value[end..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(names)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
