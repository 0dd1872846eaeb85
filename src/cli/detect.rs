//! `peregrine detect`: still pictures through a detector, as JSON Lines or as a COCO results file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::model_choice::ModelChoice;
use super::{Failure, pictures, progress};
use crate::detect::{Detector, PerPlace, Settings};
use crate::runtime::Clock;
use crate::telemetry::StageMetrics;
use crate::types::{ClassNames, Detection, RgbImage};

/// COCO's measure ranks all answers, so even faint ones count; the threshold of its evaluations.
const COCO_CONFIDENCE: f32 = 0.001;

/// Finds objects in still pictures: JSON Lines on stdout, or a COCO results file
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// JPEG or PNG files, or folders of them
    #[arg(required = true, value_name = "IMAGE|DIR")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    choice: ModelChoice,
    /// Least score of a detection, 0 to 1 [default: the model's own; with --coco 0.001]
    #[arg(long, value_name = "SCORE", value_parser = share)]
    conf: Option<f32>,
    /// Overlap above which the weaker of two boxes of one class goes, 0 to 1 [default: the model's own; with --coco 0.7]
    #[arg(long, value_name = "IOU", value_parser = share)]
    iou: Option<f32>,
    /// Report this class only; may be given several times
    #[arg(long = "class", value_name = "NAME")]
    classes: Vec<String>,
    /// Write COCO results here: category ids 0 to 79, image_id the number in the file's name
    #[arg(long, value_name = "FILE")]
    coco: Option<PathBuf>,
}

fn share(text: &str) -> Result<f32, String> {
    let v: f32 = text.parse().map_err(|_| format!("\"{text}\" is not a number"))?;
    if (0.0..=1.0).contains(&v) { Ok(v) } else { Err(format!("{v} is not between 0 and 1")) }
}

/// One picture, as a line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    width: u32,
    height: u32,
    detections: Vec<Found<'a>>,
}

/// One object in it.
#[derive(Debug, Serialize)]
struct Found<'a> {
    class: &'a str,
    class_id: u16,
    score: f64,
    /// x1, y1, x2, y2 in pixels.
    box_px: [f64; 4],
    /// The same as fractions of width and height.
    #[serde(rename = "box")]
    fractions: [f64; 4],
}

/// One object, as COCO's tools read it.
#[derive(Debug, Serialize)]
struct CocoResult {
    image_id: u64,
    category_id: u16,
    /// x, y, width, height in pixels.
    bbox: [f64; 4],
    score: f64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let pictures = pictures::all(&args.inputs)?;
    let ids =
        args.coco.as_ref().map(|_| pictures.iter().map(|p| image_id(p)).collect::<Result<Vec<_>, _>>()).transpose()?;
    let mut detector = detector(args)?;
    let bar = progress::pictures(pictures.len());
    let mut coco = Vec::new();
    let mut broken = 0;
    let mut stdout = io::stdout().lock();
    for (i, path) in pictures.iter().enumerate() {
        match look(&mut detector, path) {
            Ok((image, found)) => match &ids {
                Some(ids) => coco.extend(found.iter().map(|d| coco_result(ids[i], d))),
                None if !print(&mut stdout, &line(path, &image, &found, detector.classes()))? => return Ok(()),
                None => {}
            },
            Err(e) => {
                broken += 1;
                bar.suspend(|| pictures::complain(path, &e));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(file) = &args.coco {
        write_coco(file, &coco)?;
    }
    match broken {
        0 => Ok(()),
        n => Err(Failure::Work(anyhow::anyhow!("{n} of {} pictures could not be read", pictures.len()))),
    }
}

fn detector(args: &Args) -> Result<Detector, Failure> {
    let (card, engine) = args.choice.open(1)?;
    let is_coco = args.coco.is_some();
    let settings = Settings {
        confidence: args.conf.or(is_coco.then_some(COCO_CONFIDENCE)),
        nms_iou: args.iou.or(is_coco.then_some(0.7)),
        classes: args.classes.clone(),
        per_place: if is_coco { PerPlace::Every } else { PerPlace::Best },
    };
    Detector::new(engine, &card, &settings).map_err(|e| Failure::Config(e.to_string()))
}

/// The last number in a file's name: 139 for 000000000139.jpg.
fn image_id(path: &Path) -> Result<u64, Failure> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let last = stem.split(|c: char| !c.is_ascii_digit()).rfind(|run| !run.is_empty());
    last.and_then(|n| n.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!("{}: --coco needs a number in the file's name to make the image_id of", path.display()))
    })
}

fn look(detector: &mut Detector, path: &Path) -> anyhow::Result<(RgbImage, Vec<Detection>)> {
    let image = pictures::read(path)?;
    // Nobody asks this command for stage times; `bench` and the daemon's metrics have them.
    let found = detector.detect(&image, &Clock::start(), &StageMetrics::default())?;
    Ok((image, found))
}

fn line<'a>(path: &Path, image: &RgbImage, found: &[Detection], classes: &'a ClassNames) -> Line<'a> {
    let detections = found.iter().map(|d| {
        let part = d.bbox.normalised(image.width_px, image.height_px);
        Found {
            class: classes.name(d.class),
            class_id: d.class,
            score: rounded(d.score, 1e4),
            box_px: [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2].map(|v| rounded(v, 1e2)),
            fractions: [part.x1, part.y1, part.x2, part.y2].map(|v| rounded(v, 1e5)),
        }
    });
    let detections = detections.collect();
    Line { file: path.display().to_string(), width: image.width_px, height: image.height_px, detections }
}

fn coco_result(image_id: u64, d: &Detection) -> CocoResult {
    let bbox = [d.bbox.x1, d.bbox.y1, d.bbox.width(), d.bbox.height()].map(|v| rounded(v, 1e3));
    CocoResult { image_id, category_id: d.class, bbox, score: rounded(d.score, 1e5) }
}

fn rounded(v: f32, steps: f64) -> f64 {
    (f64::from(v) * steps).round() / steps
}

/// Writes one line; false when nobody reads any more, which is how `head` ends a command.
fn print(out: &mut impl Write, line: &Line<'_>) -> Result<bool, Failure> {
    let text = serde_json::to_string(line).map_err(|e| Failure::Bug(e.to_string()))?;
    match writeln!(out, "{text}") {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::Work(anyhow::Error::new(e).context("stdout"))),
    }
}

fn write_coco(path: &Path, results: &[CocoResult]) -> Result<(), Failure> {
    let write = || -> anyhow::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut out, results)?;
        Ok(out.flush()?)
    };
    write().with_context(|| path.display().to_string()).map_err(Failure::Work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_id_is_the_last_number_of_the_file_name() {
        for (path, id) in [("a/000000000139.jpg", 139), ("COCO_val2014_000000000042.jpg", 42), ("7.png", 7)] {
            assert_eq!(image_id(Path::new(path)).expect("a number"), id);
        }
        let told = image_id(Path::new("dog.jpg")).expect_err("refused").to_string();
        assert!(told.contains("dog.jpg") && told.contains("image_id"), "{told}");
    }
}
