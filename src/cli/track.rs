//! `peregrine track`: SORT over a MOTChallenge file of detections. What SORT does belongs to `track`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Failure;
use super::output::stream;
use crate::config;
use crate::track::Tracker;
use crate::types::{Detection, Rect};

/// Frames are counted one by one, also those without a line; this is 46 days at 25 a second, and more is a damaged number.
const LAST_FRAME: u32 = 100_000_000;

/// Follow the objects of a MOTChallenge detection file with SORT.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Detections: frame,id,x,y,w,h,confidence,... one a line; the id is not read
    det: PathBuf,
    /// Where the tracks go, in the same format [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Frames that a track survives without a detection
    #[arg(long, value_name = "FRAMES", default_value_t = 1)]
    max_age: u32,
    /// Detections in a row that confirm a track
    #[arg(long, value_name = "HITS", default_value_t = 3)]
    min_hits: u32,
    /// Least overlap (intersection over union, 0 to 1) that continues a track
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    iou: f32,
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must lie between 0 and 1".to_owned()) }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let file = File::open(&args.det).map_err(|e| Failure::Input(format!("{}: {e}", args.det.display())))?;
    let frames = read(BufReader::new(file), &args.det)?;
    let config = config::Track { max_age_frames: args.max_age, min_hits: args.min_hits, iou: args.iou };
    let done = match &args.out {
        Some(path) => File::create(path)
            .and_then(|f| write(&frames, Tracker::new(config), BufWriter::new(f)))
            .with_context(|| path.display().to_string()),
        None => write(&frames, Tracker::new(config), stream()).context("standard output"),
    };
    Ok(done?)
}

fn write(frames: &BTreeMap<u32, Vec<Detection>>, mut tracker: Tracker, mut out: impl Write) -> std::io::Result<()> {
    let last = frames.last_key_value().map_or(0, |(&frame, _)| frame);
    for frame in 1..=last {
        let update = tracker.update(frames.get(&frame).map_or(&[], Vec::as_slice));
        // The newest track first, as the original writes them.
        for track in update.seen.iter().rev() {
            let (id, b) = (track.id, track.bbox);
            writeln!(out, "{frame},{id},{:.2},{:.2},{:.2},{:.2},1,-1,-1,-1", b.x1, b.y1, b.width(), b.height())?;
        }
    }
    out.flush()
}

fn read(lines: impl BufRead, path: &Path) -> Result<BTreeMap<u32, Vec<Detection>>, Failure> {
    let mut frames: BTreeMap<u32, Vec<Detection>> = BTreeMap::new();
    for (number, line) in (1..).zip(lines.lines()) {
        let bad = |what: String| Failure::Input(format!("{}:{number}: {what}", path.display()));
        let line = line.map_err(|e| bad(e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let (frame, detection) = parse(&line).map_err(bad)?;
        frames.entry(frame).or_default().push(detection);
    }
    Ok(frames)
}

fn parse(line: &str) -> Result<(u32, Detection), String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    if fields.len() < 7 {
        return Err(format!("{} fields where frame,id,x,y,w,h,confidence are needed", fields.len()));
    }
    let number = |i: usize, name: &str| match fields[i].parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("{name} is \"{}\", not a number", fields[i])),
    };
    let frame = number(0, "frame")?;
    if frame.fract() != 0.0 || !(1.0..=f64::from(LAST_FRAME)).contains(&frame) {
        return Err(format!("frame is {frame}, not a whole number from 1 to {LAST_FRAME}"));
    }
    let (x, y) = (number(2, "x")?, number(3, "y")?);
    let (w, h) = (number(4, "width")?, number(5, "height")?);
    let score = number(6, "confidence")? as f32;
    let bbox = Rect::new(x as f32, y as f32, (x + w) as f32, (y + h) as f32);
    if !bbox.is_sane() {
        return Err(format!("a box at {x},{y} of {w}x{h} pixels has no area"));
    }
    Ok((frame as u32, Detection { bbox, class: 0, score }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(text: &str) -> Result<String, String> {
        let frames = read(text.as_bytes(), Path::new("det.txt")).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        let config = config::Track { max_age_frames: 1, min_hits: 3, iou: 0.3 };
        write(&frames, Tracker::new(config), &mut out).expect("memory can be written");
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn frames_without_a_line_advance_time() {
        let gone = tracks("1,-1,10,20,30,40,0.9,-1,-1,-1\n4,-1,10,20,30,40,0.9,-1,-1,-1\n").expect("sound");
        assert_eq!(
            gone, "1,1,10.00,20.00,30.00,40.00,1,-1,-1,-1\n",
            "frame 4 begins a track that is not confirmed yet"
        );
    }

    #[test]
    fn lines_may_stand_in_any_order_and_be_empty() {
        assert_eq!(tracks("2,-1,5,5,9,9,1\n\n1,-1,5,5,9,9,1\n").expect("sound").lines().count(), 2);
        assert_eq!(tracks("").expect("sound"), "");
    }

    #[test]
    fn a_bad_line_is_named_with_what_is_wrong() {
        for (line, why) in [
            ("1,-1,5,5,9,9", "det.txt:2: 6 fields where"),
            ("1,-1,5,five,9,9,1", "det.txt:2: y is \"five\", not a number"),
            ("0,-1,5,5,9,9,1", "det.txt:2: frame is 0, not a whole number"),
            ("1.5,-1,5,5,9,9,1", "det.txt:2: frame is 1.5"),
            ("1,-1,5,5,NaN,9,1", "det.txt:2: width is \"NaN\", not a number"),
            ("1,-1,5,5,0,9,1", "det.txt:2: a box at 5,5 of 0x9 pixels has no area"),
        ] {
            let e = tracks(&format!("1,-1,5,5,9,9,1\n{line}\n")).expect_err(line);
            assert!(e.starts_with(why), "{e}");
        }
    }
}
