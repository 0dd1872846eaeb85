//! SORT with 100 objects that cross one another: `cargo bench --bench sort`, or `-- --write DET.txt` for the same detections as a file,
//! on which other trackers can be timed. Prints the median of a frame and judges nothing.
#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints what it measured")]

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use peregrine::config;
use peregrine::runtime::Clock;
use peregrine::track::Tracker;
use peregrine::types::{Detection, Rect};

const OBJECTS: u32 = 100;
const FRAMES: usize = 600;

fn main() -> Result<()> {
    let frames = scene();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--write") {
        let path = arguments.get(at + 1).context("--write needs a file name")?;
        return std::fs::write(path, mot(&frames)?).with_context(|| path.clone());
    }
    let mut tracker = Tracker::new(config::Track { max_age_frames: 1, min_hits: 3, iou: 0.3 });
    let clock = Clock::start();
    let (mut times, mut reported) = (Vec::with_capacity(FRAMES), 0);
    for detections in &frames {
        let begin = clock.mono();
        let update = tracker.update(detections);
        times.push(clock.mono() - begin);
        reported += update.seen.len();
    }
    let total: Duration = times.iter().sum();
    times.sort_unstable();
    println!(
        "{OBJECTS} objects, {FRAMES} frames: median {:.1} us a frame, {:.0} frames a second over all, {reported} boxes reported",
        times[FRAMES / 2].as_secs_f64() * 1e6,
        FRAMES as f64 / total.as_secs_f64()
    );
    Ok(())
}

/// Objects that walk to and fro on a 1080p frame, measured with a pixel or two of error, one in fifty missed.
fn scene() -> Vec<Vec<Detection>> {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let objects: Vec<[f32; 4]> = (0..OBJECTS)
        .map(|_| [random() * 1850.0, random() * 950.0, random() * 8.0 - 4.0, random() * 4.0 - 2.0])
        .collect();
    let fold = |at: f32, limit: f32| limit - (at.rem_euclid(2.0 * limit) - limit).abs();
    let mut frame = |i: usize| -> Vec<Detection> {
        let mut detections = Vec::new();
        for [x, y, dx, dy] in &objects {
            let (x, y) = (fold(x + dx * i as f32, 1850.0), fold(y + dy * i as f32, 950.0));
            let bbox =
                Rect::from_xywh(x + random() * 3.0, y + random() * 3.0, 45.0 + random() * 3.0, 110.0 + random() * 5.0);
            if random() > 0.02 {
                detections.push(Detection { bbox, class: 0, score: 0.9 });
            }
        }
        detections
    };
    (0..FRAMES).map(&mut frame).collect()
}

fn mot(frames: &[Vec<Detection>]) -> Result<String> {
    let mut text = String::new();
    for (i, detections) in frames.iter().enumerate() {
        for d in detections {
            let (b, frame) = (d.bbox, i + 1);
            writeln!(text, "{frame},-1,{},{},{},{},{},-1,-1,-1", b.x1, b.y1, b.width(), b.height(), d.score)?;
        }
    }
    Ok(text)
}
