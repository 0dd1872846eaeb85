//! Which installed models are a smaller form of another: same family, a smaller picture, or 8 bits instead of floats.

use std::path::Path;

use crate::infer::Kind;
use crate::infer::manifest::Manifest;

/// A name taken apart: "yolov8n_320_int8" is family "yolov8n", 320 px, 8 bits.
#[derive(Debug, PartialEq)]
struct Form {
    family: String,
    side_px: u32,
    is_int8: bool,
}

fn form(name: &str) -> Option<Form> {
    let mut parts: Vec<&str> = name.split('_').collect();
    let is_int8 = parts.pop_if(|last| *last == "int8").is_some();
    let side_px = parts.pop()?.parse().ok()?;
    Some(Form { family: parts.join("_"), side_px, is_int8 })
}

/// Names of smaller variants in the models directory, the largest first. None of a model whose name does not tell its size.
pub(super) fn smaller(model: &str, models_dir: &Path) -> Vec<String> {
    let Ok(manifest) = Manifest::load(models_dir) else { return Vec::new() };
    let detectors = manifest.model.iter().filter(|(_, entry)| entry.kind == Kind::Detector);
    let installed = detectors.filter(|(_, entry)| models_dir.join(&entry.file).is_file());
    smaller_of(model, installed.map(|(name, _)| name.as_str()))
}

fn smaller_of<'a>(model: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let Some(own) = form(model) else { return Vec::new() };
    let is_smaller = |f: &Form| {
        let is_less = f.side_px < own.side_px || (f.side_px == own.side_px && f.is_int8 && !own.is_int8);
        // In floats a smaller picture may well take longer.
        f.family == own.family && is_less && (f.is_int8 || !own.is_int8)
    };
    let mut found: Vec<_> = names.filter_map(|name| Some((form(name)?, name))).filter(|(f, _)| is_smaller(f)).collect();
    found.sort_by_key(|(f, _)| (std::cmp::Reverse(f.side_px), f.is_int8));
    found.into_iter().map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_of_the_same_family_and_cost_less() {
        let names = [
            "yolov8n_320",
            "yolov8n_320_int8",
            "yolov8n_416_int8",
            "yolov8n_640",
            "yolov8n_640_int8",
            "yolox_nano_416_op13",
        ];
        let of = |model: &str| smaller_of(model, names.into_iter());
        assert_eq!(of("yolov8n_640_int8"), ["yolov8n_416_int8", "yolov8n_320_int8"]);
        assert_eq!(of("yolov8n_640"), ["yolov8n_640_int8", "yolov8n_416_int8", "yolov8n_320", "yolov8n_320_int8"]);
        assert!(of("yolov8n_320_int8").is_empty() && of("models/own.onnx").is_empty());
    }
}
