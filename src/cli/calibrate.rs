//! `peregrine model calibrate`: runs a model in float32 over pictures and writes down between which values its tensors lie.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::model_choice::config_failure;
use super::output::say;
use super::{Failure, pictures, progress};
use crate::infer::calibration::{self, Calibration};
use crate::infer::{Calibrator, Kind, ModelCard, catalog};
use crate::pixels::{Drawing, Letterbox, Place};
use crate::runtime::environment;
use crate::types::{Pixels, Rect};

/// Measure on pictures between which values a model's tensors lie, and write it beside the model
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// A name from the manifest, or an ONNX file
    #[arg(value_name = "NAME|FILE")]
    model: String,
    /// Folder of JPEG or PNG files like those that the model will see; a classifier's are crops
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Pictures to look at; of more, evenly spaced ones are taken in the order of their names
    #[arg(long, value_name = "N", default_value = "128", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Where to write [default: beside the model, MODEL.calibration.json]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Threads for a run [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Its shape is a contract.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    file: PathBuf,
    sha256: String,
    images: usize,
    skipped: usize,
    tensors: usize,
    /// Tensors in which values stood that are not finite.
    left_out: Vec<String>,
}

pub(super) fn run(args: &Args, models_dir: &Path) -> Result<(), Failure> {
    let chosen = spread(pictures::all(std::slice::from_ref(&args.images))?, args.limit as usize);
    let card = catalog::card(&args.model, models_dir).map_err(config_failure)?;
    remark(&card);
    let file = args.output.clone().unwrap_or_else(|| calibration::beside(&card.path));
    calibration::check_writable(&file).map_err(|e| Failure::Work(e.into()))?;
    let threads = args.threads.map_or_else(environment::processors, usize::from);
    let mut model = Calibrator::open(&card.path, threads).map_err(|e| Failure::Config(e.to_string()))?;
    if model.input_chw()[0] != 3 {
        let told = format!("model {}: found an input of {} channels; needed is 3", card.name, model.input_chw()[0]);
        return Err(Failure::Config(told));
    }
    let skipped = look_at(&mut model, &card, &chosen)?;
    let (found, left_out) = model.finish();
    found.write(&file).map_err(|e| Failure::Work(e.into()))?;
    report(args, card.name, file, &found, skipped, left_out)
}

/// Shows the model the pictures; tells how many could not be read.
fn look_at(model: &mut Calibrator, card: &ModelCard, chosen: &[PathBuf]) -> Result<usize, Failure> {
    let bar = progress::pictures(chosen.len());
    let mut skipped = 0;
    for path in chosen {
        match fill(model, card, path) {
            Ok(()) => model.look().map_err(|e| Failure::Work(e.into()))?,
            Err(e) => {
                skipped += 1;
                bar.suspend(|| pictures::complain(path, &e));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if skipped == chosen.len() {
        return Err(Failure::Work(anyhow::anyhow!("none of {skipped} pictures could be read; nothing was written")));
    }
    Ok(skipped)
}

fn fill(model: &mut Calibrator, card: &ModelCard, path: &Path) -> anyhow::Result<()> {
    draw(card, model.input_chw(), path, model.input())
}

/// Puts a picture into a model's input as `detect` and `classify` do; a classifier takes the whole of it for a crop.
pub(super) fn draw(card: &ModelCard, [_, h, w]: [usize; 3], path: &Path, tensor: &mut [f32]) -> anyhow::Result<()> {
    let image = pictures::read(path)?;
    let view = image.view();
    let size_px = (view.width_px, view.height_px);
    let place = match card.kind {
        Kind::Detector => Place::Letterbox(Letterbox::new(size_px, (w, h), card.input.placement)),
        Kind::Classifier => Place::Crop(Rect::new(0.0, 0.0, size_px.0 as f32, size_px.1 as f32), (w, h)),
    };
    let drawing = Drawing { view: &view, place, norm: &card.input.normalise };
    drawing.f32_nchw(tensor).context("its pixels cannot be read")
}

/// At most `limit` of them, evenly spaced: the frames of a clip lie in order, and its first seconds are not the whole of it.
fn spread(all: Vec<PathBuf>, limit: usize) -> Vec<PathBuf> {
    let (len, wanted) = (all.len(), limit.min(all.len()));
    let mut taken = (0..wanted).map(|i| i * len / wanted).peekable();
    all.into_iter().enumerate().filter(|(i, _)| taken.next_if_eq(i).is_some()).map(|(_, path)| path).collect()
}

fn report(
    args: &Args,
    model: String,
    file: PathBuf,
    found: &Calibration,
    skipped: usize,
    left_out: Vec<String>,
) -> Result<(), Failure> {
    let sha256 = found.sha256().to_owned();
    let report = Report { model, file, sha256, images: found.images(), skipped, tensors: found.tensors(), left_out };
    if args.json {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Failure::Bug(e.to_string()))?;
        return say(&format!("{text}\n"));
    }
    let Report { model, images, tensors, left_out, .. } = &report;
    let mut text = format!("{model}: ranges of {tensors} tensors over {images} pictures");
    if skipped > 0 {
        text.push_str(&format!(" ({skipped} could not be read)"));
    }
    text.push_str(&format!("\nwritten to {}\n", report.file.display()));
    if !left_out.is_empty() {
        text.push_str(&format!("left out, since not all values are finite: {}\n", left_out.join(", ")));
    }
    say(&text)
}

#[allow(clippy::print_stderr, reason = "a remark for whoever typed the command")]
fn remark(card: &ModelCard) {
    if let Some(note) = &card.note {
        eprintln!("peregrine: {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_taken_from_the_whole_folder() {
        let names = |n: usize| (0..n).map(|i| PathBuf::from(i.to_string())).collect::<Vec<_>>();
        let taken = |n, limit| spread(names(n), limit).iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert_eq!(taken(10, 4), ["0", "2", "5", "7"]);
        assert_eq!(taken(3, 128), ["0", "1", "2"]);
        assert_eq!(taken(5, 1), ["0"]);
        assert_eq!(taken(5, 5).len(), 5);
    }
}
