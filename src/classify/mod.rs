//! The second stage: a classifier looks at crops of tracks, and its answers are voted on over a track's life.
//!
//! Belongs here: which tracks are looked at, what a head's values mean. Does not: sampling of pixels (see `pixels`), engines (see `infer`).

use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::infer::{Activation, ClassifierHead, Engine, InferError, Kind, ModelCard};
use crate::pixels::Place;
use crate::types::names::did_you_mean;
use crate::types::{ClassId, ClassNames, Pixels, Rect, Track};

pub mod vote;

pub use vote::LabelBook;

use vote::Pace;

/// A classifier with all that turns its numbers into votes. One serves every camera; what is known of a camera's tracks is in its
/// [`LabelBook`].
pub struct Classifier {
    name: Arc<str>,
    engine: Box<dyn Engine>,
    card: ModelCard,
    settings: config::Classify,
    classes: Vec<ClassId>,
    heads: Vec<Head>,
}

/// One output of the model.
struct Head {
    /// Which output of the engine.
    output: usize,
    /// What its labels are called.
    name: Arc<str>,
    labels: ClassNames,
    activation: Activation,
}

/// Why there is no classifier, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    /// The model is for something else.
    #[error("classifier {name}: model {model} is a detector; a classifier is needed")]
    NotAClassifier {
        /// The classifier.
        name: String,
        /// The model.
        model: String,
    },
    /// The model's tensors are not those of its card.
    #[error("classifier {name}: model {model}: found {found}; needed is {needed}")]
    Shape {
        /// The classifier.
        name: String,
        /// The model.
        model: String,
        /// What it has.
        found: String,
        /// What its card says.
        needed: String,
    },
    /// A class was asked for that the detector does not know.
    #[error("classify.{name}.classes: the detector has no class \"{class}\"{hint}")]
    Class {
        /// The classifier.
        name: String,
        /// What was asked for.
        class: String,
        /// A name that may be meant.
        hint: String,
    },
    /// The engine failed.
    #[error("classifier {name}: {source}")]
    Infer {
        /// The classifier.
        name: String,
        /// What it said.
        source: InferError,
    },
}

impl Classifier {
    /// Joins an engine that holds a model with the model's card. `name` is its name in the configuration, and begins its labels' names.
    ///
    /// # Errors
    /// When the model is no classifier, its tensors contradict its card, or a class is not the detector's.
    pub fn new(
        name: &str,
        engine: Box<dyn Engine>,
        card: &ModelCard,
        settings: config::Classify,
        detector_classes: &ClassNames,
    ) -> Result<Self, ClassifyError> {
        if card.kind != Kind::Classifier {
            return Err(ClassifyError::NotAClassifier { name: name.to_owned(), model: card.name.clone() });
        }
        let unknown = |class: &String| ClassifyError::Class {
            name: name.to_owned(),
            class: class.clone(),
            hint: did_you_mean(class, detector_classes.iter()),
        };
        let classes = settings.classes.iter().map(|c| detector_classes.id(c).ok_or_else(|| unknown(c)));
        Ok(Self {
            classes: classes.collect::<Result<_, _>>()?,
            heads: heads(name, engine.as_ref(), card)?,
            name: name.into(),
            engine,
            card: card.clone(),
            settings,
        })
    }

    /// Looks at those tracks of a frame that are due and writes the answers into the book, those first that were looked at longest ago, as
    /// long as `may_look` says so before each look: what is left out is due in the next frame. `now` is the frame's monotonic time.
    ///
    /// # Errors
    /// The first failure, when the frame's planes are too short or the engine fails; the other tracks were looked at all the same.
    pub fn label(
        &mut self,
        pixels: &dyn Pixels,
        seen: &[Track],
        book: &mut LabelBook,
        now: Duration,
        may_look: &mut dyn FnMut() -> bool,
    ) -> Result<(), ClassifyError> {
        let pace = Pace { interval: self.settings.interval, max_looks: self.settings.max_looks };
        let is_due = |track: &&Track| self.is_worth_a_look(track) && book.is_due(&self.name, track.id, pace, now);
        let mut due: Vec<&Track> = seen.iter().filter(is_due).collect();
        due.sort_by_key(|track| book.last_look(&self.name, track.id));
        let mut done = Ok(());
        for track in due {
            if !may_look() {
                break;
            }
            // Noted first: a track whose look fails must not come again with every frame.
            book.looked(&self.name, track.id, now);
            done = done.and(self.look(pixels, track, book));
        }
        done
    }

    fn is_worth_a_look(&self, track: &Track) -> bool {
        let least = self.settings.min_size_px as f32;
        let is_large = track.bbox.is_sane() && track.bbox.width() >= least && track.bbox.height() >= least;
        // A track without a detection in this frame is only guessed at; what stands there may be another thing.
        is_large && track.lost_frames == 0 && self.classes.contains(&track.class)
    }

    fn look(&mut self, pixels: &dyn Pixels, track: &Track, book: &mut LabelBook) -> Result<(), ClassifyError> {
        let region = with_margin(track.bbox, self.settings.margin);
        let [_, h, w] = self.engine.shape().input_chw;
        let (place, norm) = (Place::Crop(region, (w, h)), &self.card.input.normalise);
        let mut infer = || self.engine.draw_frame(0, pixels, place, norm).and_then(|()| self.engine.run(1));
        let looked = match infer() {
            // Another engine may stand in by now, and the picture is still here.
            Err(e) if e.is_lost() => infer(),
            done => done,
        };
        looked.map_err(|source| ClassifyError::Infer { name: self.name.as_ref().to_owned(), source })?;
        for head in &self.heads {
            let Some((class, confidence)) = likeliest(self.engine.output(head.output, 0), head.activation) else {
                continue;
            };
            if confidence >= self.settings.min_confidence {
                book.vote(track.id, &head.name, head.labels.name(class), confidence);
            }
        }
        Ok(())
    }
}

fn heads(name: &str, engine: &dyn Engine, card: &ModelCard) -> Result<Vec<Head>, ClassifyError> {
    let shape = engine.shape();
    let wrong = |found: String, needed: String| {
        Err(ClassifyError::Shape { name: name.to_owned(), model: card.name.clone(), found, needed })
    };
    if shape.input_chw[0] != 3 {
        return wrong(format!("an input of {} channels", shape.input_chw[0]), "an input of 3".to_owned());
    }
    let mut heads = Vec::new();
    for ClassifierHead { output, name: head, labels, activation } in &card.heads {
        let Some(at) = shape.outputs.iter().position(|o| o.name == *output) else {
            let all: Vec<_> = shape.outputs.iter().map(|o| o.name.as_str()).collect();
            return wrong(format!("outputs {}", all.join(", ")), format!("an output \"{output}\""));
        };
        let values = shape.outputs[at].dims.iter().product::<usize>();
        if values != labels.len() {
            let needed = format!("{}, one for each label", labels.len());
            return wrong(format!("{values} values in \"{output}\""), needed);
        }
        let label = if card.heads.len() == 1 { name.to_owned() } else { format!("{name}.{head}") };
        heads.push(Head { output: at, name: label.into(), labels: labels.clone(), activation: *activation });
    }
    Ok(heads)
}

/// The box with its surroundings: a share of its size on each side.
fn with_margin(r: Rect, margin: f32) -> Rect {
    let (dx, dy) = (r.width() * margin, r.height() * margin);
    Rect::new(r.x1 - dx, r.y1 - dy, r.x2 + dx, r.y2 + dy)
}

/// The class with the highest value, and its probability. None when no value is a number.
fn likeliest(values: &[f32], activation: Activation) -> Option<(ClassId, f32)> {
    let numbers = values.iter().copied().zip(0..).filter(|(v, _)| v.is_finite());
    let (best, class) = numbers.clone().reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    let probability = match activation {
        Activation::None => best,
        Activation::Softmax => 1.0 / numbers.map(|(v, _)| (v - best).exp()).sum::<f32>(),
    };
    Some((class, probability))
}

#[cfg(test)]
mod tests;
