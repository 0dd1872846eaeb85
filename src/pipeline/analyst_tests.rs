//! What models are shown and what pictures show: masks that hide from the detector, events with the names of files that will be there.

use std::collections::BTreeMap;

use super::*;
use crate::infer::{Engine, InferError, InputMut, ModelShape};
use crate::pictures;
use crate::pipeline::samples::{self, shape};
use crate::runtime::Hearts;
use crate::types::{RgbImage, What};

const SIDE_PX: u32 = 64;
const LONG: Duration = Duration::from_secs(3600);

/// Sees a person in the middle, as sure as its picture is bright.
struct Bright {
    shape: ModelShape,
    input: Vec<f32>,
    head: [f32; 5],
}

impl Engine for Bright {
    fn name(&self) -> &'static str {
        "bright"
    }
    fn shape(&self) -> &ModelShape {
        &self.shape
    }
    fn max_batch(&self) -> usize {
        1
    }
    fn input(&mut self, _slot: usize) -> InputMut<'_> {
        InputMut::F32Nchw(&mut self.input)
    }
    fn run(&mut self, _batch: usize) -> Result<(), InferError> {
        self.head[4] = self.input.iter().sum::<f32>() / self.input.len() as f32;
        Ok(())
    }
    fn output(&self, _output: usize, _slot: usize) -> &[f32] {
        &self.head
    }
}

fn analyst() -> Analyst {
    let engine = Bright { shape: shape(64), input: vec![0.0; 3 * 64 * 64], head: [32.0, 32.0, 24.0, 32.0, 0.0] };
    samples::analyst(Box::new(engine), 0.5)
}

/// Bright stripes: a picture of them is sharp.
fn frame(seq: u64) -> Frame {
    let captured = Captured { mono: Duration::from_millis(seq * 100), wall: std::time::UNIX_EPOCH, wall_synced: false };
    let stripe = |i: u32| if (i / 12).is_multiple_of(2) { 255 } else { 180 };
    let data = (0..3 * SIDE_PX * SIDE_PX).map(stripe).collect();
    Frame {
        camera: "front".into(),
        seq,
        captured,
        pixels: Arc::new(RgbImage { width_px: SIDE_PX, height_px: SIDE_PX, data }),
    }
}

fn all_of_it() -> Vec<(f64, f64)> {
    vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
}

fn mask(hide_from_detector: bool) -> config::Mask {
    let points = all_of_it().into_iter().map(|(x, y)| (x as f32, y as f32)).collect();
    config::Mask { points, hide_from_detector }
}

fn camera(masks: &[config::Mask]) -> config::Camera {
    let still = config::Camera::of(config::Source::Test { pattern: String::new() });
    let named = |(n, mask): (usize, &config::Mask)| (format!("m{n}"), mask.clone());
    config::Camera { masks: masks.iter().enumerate().map(named).collect(), ..still }
}

fn follow(settings: &config::Camera, studio: Option<Studio>) -> Follow {
    let track = config::Track { max_age_frames: 5, min_hits: 1, iou: 0.3 };
    let metrics = Arc::default();
    Analyst::follow(Watch {
        camera: &"front".into(),
        settings,
        track: &track,
        attend: None,
        gap: LONG,
        studio,
        metrics,
    })
}

fn detections(masks: &[config::Mask]) -> usize {
    let mut seen = None;
    let mut emit = |finding| {
        if let Finding::Report(Report::Sighting(sighting)) = finding {
            seen = Some(sighting.detections.len());
        }
    };
    analyst().analyse(&frame(1), &mut follow(&camera(masks), None), &mut emit).expect("analysed");
    seen.expect("a sighting")
}

#[test]
fn nothing_is_found_under_a_mask_that_hides_from_the_detector_and_everything_under_one_that_does_not() {
    assert_eq!(detections(&[]), 1);
    assert_eq!(detections(&[mask(false)]), 1, "it hides pixels, not facts");
    assert_eq!(detections(&[mask(true)]), 0);
}

#[test]
fn an_event_of_a_zone_that_asks_names_pictures_that_are_made_and_its_end_names_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::start();
    let (studio, maker) = pictures::start(pictures::Context {
        settings: config::Snapshots::default(),
        folder: dir.path().to_owned(),
        clock,
        metrics: Arc::default(),
        heart: Hearts::new(clock).add("pictures", LONG),
        tell: Box::new(|_| {}),
    })
    .expect("a thread");
    let mut wishes = pictures::Wishes::default();
    wishes.zone("front", "room");
    studio.arrange([("front".to_owned(), Cover::default())].into(), wishes);
    let zone = config::Zone {
        points: all_of_it(),
        classes: Vec::new(),
        anchor: config::Anchor::Center,
        dwell: None,
        crowd: None,
        occupancy: false,
        settle: Duration::ZERO,
        snapshot: true,
    };
    let camera = config::Camera { zones: BTreeMap::from([("room".to_owned(), zone)]), ..camera(&[]) };
    let (mut analyst, mut follow) = (analyst(), follow(&camera, Some(studio)));
    let mut events = Vec::new();
    let mut emit = |finding| {
        if let Finding::Event(event) = finding {
            events.push(event);
        }
    };
    analyst.analyse(&frame(1), &mut follow, &mut emit).expect("analysed");
    analyst.part(&mut follow, &mut emit);
    assert!(maker.stop(&clock, Duration::from_secs(60)));
    let [entered, left] = &events[..] else { panic!("{events:?}") };
    assert!(matches!((&entered.what, &left.what), (What::Entered { .. }, What::Left { .. })));
    assert_eq!((entered.snapshots.len(), left.snapshots.len()), (2, 0), "the object, and the whole frame");
    for name in &entered.snapshots {
        image::open(dir.path().join(name)).expect("a picture");
    }
}
