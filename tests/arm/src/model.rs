//! Whole models: what a detector's head gives for pictures, as a hash that must be the same on every processor, and what a frame takes.
//!
//! Belongs here: from files to lines of text. Does not: JPEG, letterboxes; pictures come as they go into the model.

use std::time::{Duration, Instant};

use super::int8::{Compiled, Settings};
use super::onnx;

/// The least score of a place when frames are timed: what a camera's configuration would have.
const CONFIDENCE: f32 = 0.25;

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// The ONNX file.
    pub model: String,
    /// Files of the model's height × width × 3 bytes, RGB.
    pub pictures: Vec<String>,
    pub threads: usize,
    /// A kernel by name instead of the best.
    pub kernel: Option<String>,
    /// Frames to time; 0 prints hashes instead.
    pub times: usize,
}

/// Prints a line a picture, or the time of a frame.
///
/// # Errors
/// A line for people: a file that cannot be read, a model that the engine does not take to its head, a picture of another size.
#[allow(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn run(request: &Request) -> Result<(), String> {
    let read = |file: &str| std::fs::read(file).map_err(|why| format!("{file}: {why}"));
    let bytes = read(&request.model)?;
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", request.model);
    let graph = onnx::graph::graph(&bytes).map_err(|why| named(&why))?;
    let chw = graph.header.image_input().map_err(|why| named(&why))?.chw;
    let kernel = request.kernel.as_deref();
    let settings = Settings { input_chw: chw, threads: request.threads, slots: 1, kernel, ranges: &|_| None };
    let mut compiled = Compiled::new(&graph, &settings).map_err(|why| named(&why))?;
    let [rows, places] = compiled.head_dims().ok_or_else(|| named(&"its head is not computed in 8 bits"))?;
    let mut output = vec![0f32; rows * places];
    for file in &request.pictures {
        put(&mut compiled, chw, &read(file)?).map_err(|why| format!("{file}: {why}"))?;
        if request.times > 0 {
            let took = timed(&mut compiled, request.times);
            println!("{:.3} ms {} threads {}", took.as_secs_f64() * 1e3, compiled.kernel(), request.threads);
        } else {
            compiled.run(0);
            compiled.whole(&mut output);
            println!("{:016x} {}", hash(&output), compiled.kernel());
        }
    }
    Ok(())
}

/// Writes a picture where the model reads it.
fn put(compiled: &mut Compiled, [channels, height, width]: [usize; 3], picture: &[u8]) -> Result<(), String> {
    if picture.len() != channels * height * width {
        return Err(format!("{} bytes; needed are {height} rows of {width} pixels of {channels}", picture.len()));
    }
    let (codes, row_bytes, pixel_bytes, _, _) = compiled.image(0);
    for (row, pixels) in codes.chunks_mut(row_bytes).zip(picture.chunks_exact(width * channels)) {
        for (code, pixel) in row.chunks_mut(pixel_bytes).zip(pixels.chunks_exact(channels)) {
            code[..channels].copy_from_slice(pixel);
        }
    }
    Ok(())
}

/// The median time of a frame, from the picture in place to the places whose score passes.
#[allow(clippy::disallowed_methods, reason = "a measurement, not the daemon")]
fn timed(compiled: &mut Compiled, times: usize) -> Duration {
    compiled.want(Some((CONFIDENCE, None)));
    let mut places = Vec::new();
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            compiled.run(0);
            compiled.places(&mut places);
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[times / 2]
}

/// FNV-1a of 64 bits over the bits of the values, so that no difference is too small.
fn hash(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|v| v.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
