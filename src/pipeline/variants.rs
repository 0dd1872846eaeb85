//! Smaller variants of the detector's model: which are installed, and how one takes the place of another while the cameras run.
//!
//! Belongs here: finding them, loading them beside the running engine. Does not: when (see `dial`), how a model is loaded (see `models`).

use std::cmp::Reverse;
use std::sync::Arc;

use super::board::Board;
use super::dial::Dial;
use super::hand::Hand;
use super::models::{DETECT, Loading};
use crate::config::Config;
use crate::infer::{DetectorHead, Kind, ModelCard, Progress, catalog, manifest::Manifest};
use crate::runtime::Clock;
use crate::telemetry::Metrics;

/// What workers' hands are made from.
pub struct Variants {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where stages are timed.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// Who hears what runs the model.
    pub board: Arc<Board>,
}

impl Variants {
    /// The hand on this dial of the worker with this number.
    pub fn hand(self: &Arc<Self>, dial: &Dial, worker: usize) -> Hand {
        let (loader, board) = (Arc::clone(self), Arc::clone(&self.board));
        let load = move |name: Option<&str>| {
            let Self { config, metrics, clock, board } = &*loader;
            let loading = Loading { config, metrics, clock: *clock, board, progress: Progress::default() };
            loading.another(name.unwrap_or(&config.detect.model), worker)
        };
        let heard = move |detector: &crate::detect::Detector| {
            board.swapped(DETECT, worker, detector.model_name(), detector.engine_name());
        };
        Hand::new(dial.clone(), Arc::new(load), Arc::new(heard))
    }
}

/// The installed variants of the configured model that take smaller pictures, the largest of them first: those whose names differ from its
/// name in the number of pixels alone (`yolov8n_640_int8`, `yolov8n_416_int8`), and whose classes are the same. Tracks and rules go on with
/// them as if nothing had happened.
pub fn smaller_models(config: &Config) -> Vec<String> {
    variants(config, Form::is_smaller)
}

/// These and, of a model in floats, those in eight bits, too. Which of them is faster depends on the device: a smaller picture in floats may
/// well take longer than a larger one in eight bits, so these are for measuring.
pub fn cheaper_models(config: &Config) -> Vec<String> {
    variants(config, Form::is_cheaper)
}

fn variants(config: &Config, is_wanted: fn(&Form, &Form) -> bool) -> Vec<String> {
    let folder = &config.paths.models;
    // A configuration whose model cannot be had does not start, and says so; here it has no variants.
    let (Ok(configured), Ok(manifest)) = (catalog::card(&config.detect.model, folder), Manifest::load(folder)) else {
        return Vec::new();
    };
    let is_installed = |name: &&str| catalog::card(name, folder).is_ok_and(|card| is_like(&card, &configured));
    let names = manifest.model.keys().map(String::as_str);
    of_family(&configured.name, names, is_wanted).into_iter().filter(is_installed).map(str::to_owned).collect()
}

fn of_family<'a>(
    configured: &str,
    names: impl Iterator<Item = &'a str>,
    is_wanted: fn(&Form, &Form) -> bool,
) -> Vec<&'a str> {
    let Some(own) = Form::of(configured) else { return Vec::new() };
    let forms = names.filter_map(|name| Some((Form::of(name)?, name)));
    let mut found: Vec<_> = forms.filter(|(form, _)| form.family == own.family && is_wanted(form, &own)).collect();
    found.sort_by_key(|(form, _)| (Reverse(form.pixels), form.is_int8));
    found.into_iter().map(|(_, name)| name).collect()
}

fn is_like(card: &ModelCard, configured: &ModelCard) -> bool {
    card.kind == Kind::Detector && card.head == DetectorHead::Yolov8 && card.classes == configured.classes
}

/// A name taken apart: `yolov8n_320_int8` is of the family `yolov8n_#`, takes 320 pixels, and computes in eight bits.
#[derive(Debug, PartialEq)]
struct Form {
    family: String,
    /// The last word that is a number of two to four digits.
    pixels: u32,
    is_int8: bool,
}

impl Form {
    fn of(name: &str) -> Option<Self> {
        let mut words: Vec<&str> = name.split('_').collect();
        let is_int8 = words.pop_if(|last| *last == "int8").is_some();
        let is_pixels = |word: &&str| (2..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
        let at = words.iter().rposition(is_pixels)?;
        let pixels = words[at].parse().ok()?;
        words[at] = "#";
        Some(Self { family: words.join("_"), pixels, is_int8 })
    }

    fn is_smaller(&self, than: &Self) -> bool {
        self.pixels < than.pixels && self.is_int8 == than.is_int8
    }

    fn is_cheaper(&self, than: &Self) -> bool {
        self.is_smaller(than) || (self.pixels <= than.pixels && self.is_int8 && !than.is_int8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const NAMES: [&str; 6] = [
        "yolov8n_320",
        "yolov8n_320_int8",
        "yolov8n_416_int8",
        "yolov8n_640",
        "yolov8n_640_int8",
        "yolox_nano_416_op13",
    ];

    #[test]
    fn smaller_ones_are_of_the_same_family_and_compute_in_the_same_numbers() {
        let of = |name: &str| of_family(name, NAMES.into_iter(), Form::is_smaller);
        assert_eq!(of("yolov8n_640_int8"), ["yolov8n_416_int8", "yolov8n_320_int8"]);
        assert_eq!(of("yolov8n_640"), ["yolov8n_320"]);
        assert_eq!(of("yolox_nano_640_op13"), ["yolox_nano_416_op13"]);
        assert!(of("yolov8s_640").is_empty() && of("own").is_empty());
    }

    #[test]
    fn cheaper_ones_are_in_eight_bits_too() {
        let of = |name: &str| of_family(name, NAMES.into_iter(), Form::is_cheaper);
        assert_eq!(of("yolov8n_640_int8"), ["yolov8n_416_int8", "yolov8n_320_int8"]);
        assert_eq!(of("yolov8n_640"), ["yolov8n_640_int8", "yolov8n_416_int8", "yolov8n_320", "yolov8n_320_int8"]);
        assert!(of("yolov8n_320_int8").is_empty() && of("models/own.onnx").is_empty());
    }

    #[test]
    fn variants_are_smaller_installed_and_of_the_same_classes_the_largest_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny_detector.onnx");
        let mut manifest = String::new();
        let same = "\"person\", \"car\"";
        for (name, labels, is_there) in [
            ("m_640_int8", same, true),
            ("m_1280_int8", same, true),
            ("m_320_int8", same, true),
            ("m_416_int8", same, true),
            ("m_256_int8", same, false),
            ("m_192_int8", "\"car\", \"person\"", true),
            ("m_320", same, true),
            ("n_320_int8", same, true),
        ] {
            manifest += &format!(
                "[model.{name}]\nfile = \"{name}.onnx\"\nsha256 = \"{}\"\nsize_bytes = 1\nlicence = \"MIT\"\n\
                 kind = \"detector\"\nhead = \"yolov8\"\nlabels = [{labels}]\n",
                "0".repeat(64)
            );
            if is_there {
                std::fs::copy(model, dir.path().join(format!("{name}.onnx"))).expect("copied");
            }
        }
        std::fs::write(dir.path().join("manifest.toml"), manifest).expect("written");
        let of = |model: &str| {
            let file = dir.path().join("p.toml");
            let text = format!("[paths]\nmodels = \"{}\"\n[detect]\nmodel = \"{model}\"\n", dir.path().display());
            std::fs::write(&file, text).expect("written");
            let config = config::load(&file, &config::Surroundings::default()).unwrap_or_else(|e| panic!("{e}")).config;
            smaller_models(&config)
        };
        assert_eq!(of("m_640_int8"), ["m_416_int8", "m_320_int8"]);
        assert!(of("m_320_int8").is_empty() && of("nobody_knows_it").is_empty());
        assert!(of(model).is_empty(), "a file that no manifest knows has no relatives");
    }
}
