//! Smaller variants of the detector's model: which are installed, and how one takes the place of another while the cameras run.
//!
//! Belongs here: finding them, loading them beside the running engine. Does not: when (see `dial`), how a model is loaded (see `models`).

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
    let folder = &config.paths.models;
    // A configuration whose model cannot be had does not start, and says so; here it has no variants.
    let Ok(configured) = catalog::card(&config.detect.model, folder) else { return Vec::new() };
    let (Some((stem, pixels)), Ok(manifest)) = (stem_and_pixels(&configured.name), Manifest::load(folder)) else {
        return Vec::new();
    };
    let smaller = |name: &&String| stem_and_pixels(name).is_some_and(|(s, px)| s == stem && px < pixels);
    let cards = manifest.model.keys().filter(smaller).filter_map(|name| catalog::card(name, folder).ok());
    let mut found: Vec<_> = cards.filter(|card| is_like(card, &configured)).map(|card| card.name).collect();
    found.sort_by_key(|name| std::cmp::Reverse(stem_and_pixels(name).map(|(_, px)| px)));
    found
}

fn is_like(card: &ModelCard, configured: &ModelCard) -> bool {
    card.kind == Kind::Detector && card.head == DetectorHead::Yolov8 && card.classes == configured.classes
}

/// A name without its number of pixels, and that number: the last word of it that is a number of two to four digits.
fn stem_and_pixels(name: &str) -> Option<(String, u32)> {
    let words: Vec<&str> = name.split('_').collect();
    let is_pixels = |word: &&str| (2..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    let at = words.iter().rposition(is_pixels)?;
    let pixels = words[at].parse().ok()?;
    let others = words.iter().enumerate().map(|(n, word)| if n == at { "#" } else { word });
    Some((others.collect::<Vec<_>>().join("_"), pixels))
}
