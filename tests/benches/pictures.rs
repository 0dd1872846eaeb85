//! What pictures of events cost with 1080p NV12: the engine's thread (a look at a frame, a frame hidden from the detector), and the worker's
//! (JPEG). `cargo bench --bench pictures -- PICTURE.jpg`: the picture is laid out in tiles. Prints medians and judges nothing.
#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints what it measured")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result};
use peregrine::config::Snapshots;
use peregrine::pictures::{self, Blinds, Wishes};
use peregrine::pixels::Cover;
use peregrine::runtime::{Clock, Hearts};
use peregrine::telemetry::Metrics;
use peregrine::types::{
    Captured, ColorMatrix, ColorRange, Event, Frame, ImageView, PixelFormat, Pixels, Plane, Rect, Track, TrackEvent,
    TrackPhase, What,
};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const ROUNDS: u64 = 100;

struct Nv12(Vec<u8>);

impl Pixels for Nv12 {
    fn view(&self) -> ImageView<'_> {
        let (luma, chroma) = self.0.split_at(WIDTH * HEIGHT);
        ImageView {
            format: PixelFormat::Nv12,
            width_px: WIDTH as u32,
            height_px: HEIGHT as u32,
            planes: [Plane { data: luma, stride: WIDTH }, Plane { data: chroma, stride: WIDTH }, Plane::NONE],
            matrix: ColorMatrix::Bt709,
            range: ColorRange::Limited,
        }
    }
}

fn main() -> Result<()> {
    let picture = std::env::args().skip(1).find(|a| !a.starts_with("--")).context("name a picture")?;
    let pixels: Arc<dyn Pixels> = Arc::new(Nv12(tiled(&image::open(&picture)?.into_luma8())));
    let clock = Clock::start();
    let mask = Cover::new([vec![(0.6, 0.1), (0.9, 0.1), (0.9, 0.4), (0.7, 0.5)]]);
    let frame = |n: u64| {
        let captured = Captured { mono: Duration::from_secs(n), ..clock.now() };
        Frame { camera: "front".into(), seq: n, captured, pixels: Arc::clone(&pixels) }
    };
    let mut blinds = Blinds::new(mask.clone());
    let hidden = median((0..ROUNDS).map(|n| {
        let began = clock.mono();
        let shown = blinds.over(&frame(n));
        drop(shown);
        clock.mono() - began
    }));
    println!("a frame with a mask that hides from the detector too: {hidden:?}");

    let folder = std::env::temp_dir().join(format!("peregrine-bench-{}", std::process::id()));
    let (say, made) = channel();
    let (studio, maker) = pictures::start(pictures::Context {
        settings: Snapshots::default(),
        folder: folder.clone(),
        clock,
        metrics: Arc::<Metrics>::default(),
        heart: Hearts::new(clock).add("pictures", Duration::MAX),
        tell: Box::new(move |picture| drop(say.send(picture))),
    })?;
    let mut wishes = Wishes::default();
    wishes.zone("front", "door");
    studio.arrange(HashMap::from([("front".to_owned(), mask)]), wishes);
    // Time goes on from one series to the next, a second a frame.
    let mut now = 0;
    let mut looks = |objects: u128, is_new: bool| {
        let first = u128::from(now) * 1000;
        median((0..ROUNDS).map(|n| {
            now += 1;
            let frame = frame(now);
            let base = if is_new { first + u128::from(n) * 100 } else { first };
            let mut steps: Vec<_> = (1..=objects).map(|i| step(&frame, base + i)).collect();
            let began = clock.mono();
            studio.look(&frame, &steps);
            let took = clock.mono() - began;
            if is_new {
                steps.iter_mut().for_each(|step| step.phase = TrackPhase::End);
                studio.look(&frame, &steps);
            }
            took
        }))
    };
    for objects in [1, 10] {
        println!("a look with {objects} objects, each seen for the first time: {:?}", looks(objects, true));
        println!("a look with {objects} objects whose views are no better: {:?}", looks(objects, false));
    }
    let mut bytes = 0;
    let encoded = median((0..ROUNDS / 5).map(|n| {
        let mut event = Event {
            camera: Some("front".into()),
            at: clock.now(),
            frame_seq: Some(n),
            what: What::Entered { zone: "door".to_owned() },
            subject: None,
            snapshots: Vec::new(),
        };
        studio.attach(&mut event, Some(&frame(n)));
        let began = clock.mono();
        bytes = made.recv().map_or(0, |picture| picture.jpeg.len());
        clock.mono() - began
    }));
    println!("a whole frame of {bytes} bytes of JPEG, encoded and written: {encoded:?}");
    maker.stop(&clock, Duration::from_secs(5));
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn tiled(picture: &image::GrayImage) -> Vec<u8> {
    let luma = (0..WIDTH * HEIGHT).map(|i| {
        let (x, y) = ((i % WIDTH) as u32, (i / WIDTH) as u32);
        picture.get_pixel(x % picture.width(), y % picture.height()).0[0]
    });
    luma.chain((0..WIDTH * HEIGHT / 2).map(|i| 110 + (i / 64 % 32) as u8)).collect()
}

fn step(frame: &Frame, id: u128) -> TrackEvent {
    let bbox = Rect::from_xywh(100.0 + (id % 10) as f32 * 150.0, 300.0, 120.0, 300.0);
    TrackEvent {
        camera: Arc::clone(&frame.camera),
        phase: TrackPhase::Update,
        seq: frame.seq,
        captured: frame.captured,
        width_px: WIDTH as u32,
        height_px: HEIGHT as u32,
        uid: uuid::Uuid::from_u128(id),
        known_as: uuid::Uuid::from_u128(id),
        track: Track { id: 1, bbox, class: 0, score: 0.8, age_frames: 5, lost_frames: 0 },
        class_name: "person".to_owned(),
        first_seen: frame.captured,
        labels: Vec::new(),
    }
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}
