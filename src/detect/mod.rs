//! From a frame's planes to boxes with classes: letterbox, model, head, non-maximum suppression.
//!
//! Belongs here: what the numbers of a detector mean. Does not: sampling of pixels (see `pixels`), engines (see `infer`), tracks.

use crate::config;
use crate::infer::{DetectorHead, Engine, Focus, InferError, Kind, ModelCard};
use crate::pixels::{Letterbox, Place};
use crate::runtime::Clock;
use crate::telemetry::StageMetrics;
use crate::types::names::did_you_mean;
use crate::types::{ClassNames, Detection, Pixels};

pub mod nms;
pub mod yolo;

pub use yolo::PerPlace;

use yolo::Decoder;

/// Boxes that one frame gives, at most: COCO's practice, and more than anybody follows in one picture.
pub const MAX_BOXES: usize = 300;
/// Where letterboxes of different frame sizes are remembered, at most so many: one for each size of camera.
const MAX_GEOMETRIES: usize = 16;

/// What a detector looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Least score of a detection; None takes the model's own.
    pub confidence: Option<f32>,
    /// Overlap above which the weaker of two boxes of one class goes; None takes the model's own.
    pub nms_iou: Option<f32>,
    /// Classes to look for, by name; all if empty. The others count for nothing, even where one is the likeliest.
    pub classes: Vec<String>,
    /// Which candidates one place of the head may give.
    pub per_place: PerPlace,
}

impl From<&config::Detect> for Settings {
    fn from(c: &config::Detect) -> Self {
        Self { confidence: c.confidence, nms_iou: c.nms_iou, classes: c.classes.clone(), per_place: PerPlace::Best }
    }
}

/// A model with all that turns its numbers into detections.
pub struct Detector {
    engine: Box<dyn Engine>,
    card: ModelCard,
    nms_iou: f32,
    geometries: Vec<Letterbox>,
    decoder: Decoder,
}

/// Why there is no detector, or no detections of a frame.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The model is for something else.
    #[error("model {model} is a classifier; a detector is needed")]
    NotADetector {
        /// The model.
        model: String,
    },
    /// The head is of a kind that is not decoded yet.
    #[error("model {model} has a YOLOX head; this build decodes YOLOv8's ([4+C, N])")]
    Head {
        /// The model.
        model: String,
    },
    /// The model's tensors are not a detector's.
    #[error("model {model}: found {found}; needed is {needed}")]
    Shape {
        /// The model.
        model: String,
        /// What it has.
        found: String,
        /// What a detector has.
        needed: String,
    },
    /// A class was asked for that the model does not know.
    #[error("model {model} has no class \"{class}\"{hint}")]
    Class {
        /// The model.
        model: String,
        /// What was asked for.
        class: String,
        /// A name that may be meant.
        hint: String,
    },
    /// The engine failed, or the frame's pixels cannot be read.
    #[error(transparent)]
    Infer(#[from] InferError),
}

impl Detector {
    /// Joins an engine that holds a model with the model's card.
    ///
    /// # Errors
    /// When the model is no detector that can be decoded, its tensors contradict its card, or a wanted class is unknown.
    pub fn new(mut engine: Box<dyn Engine>, card: &ModelCard, settings: &Settings) -> Result<Self, DetectError> {
        let model = || card.name.clone();
        if card.kind != Kind::Detector {
            return Err(DetectError::NotADetector { model: model() });
        }
        if card.head != DetectorHead::Yolov8 {
            return Err(DetectError::Head { model: model() });
        }
        let head = head_shape(engine.as_ref(), card)?;
        let focus = Focus {
            confidence: settings.confidence.unwrap_or(card.confidence),
            classes: wanted_classes(card, &settings.classes)?,
        };
        engine.focus(Some(&focus));
        Ok(Self {
            engine,
            card: card.clone(),
            nms_iou: settings.nms_iou.unwrap_or(card.nms_iou),
            geometries: Vec::new(),
            decoder: Decoder::new(head, focus, settings.per_place),
        })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &ClassNames {
        &self.card.classes
    }

    /// What runs the model.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// The model's name.
    pub fn model_name(&self) -> &str {
        &self.card.name
    }

    /// Frames that are computed together, at most. It may change from run to run: another engine may stand in.
    pub fn max_batch(&self) -> usize {
        self.engine.max_batch().max(1)
    }

    /// All that is seen in one frame, the surest first, boxes in frame pixels and within the frame.
    ///
    /// # Errors
    /// When the frame's planes are too short or the engine fails; the next frame may be tried.
    pub fn detect(
        &mut self,
        pixels: &dyn Pixels,
        clock: &Clock,
        stages: &StageMetrics,
    ) -> Result<Vec<Detection>, DetectError> {
        self.detect_all(&[pixels], clock, stages).pop().expect("an answer for each frame")
    }

    /// The same for several frames, which may be of different sizes: as many at once as the engine takes. There is an answer for each. A
    /// frame that cannot be read costs the others nothing; where the engine fails, all that were to be computed together are lost.
    pub fn detect_all(
        &mut self,
        frames: &[&dyn Pixels],
        clock: &Clock,
        stages: &StageMetrics,
    ) -> Vec<Result<Vec<Detection>, DetectError>> {
        let mut found = Vec::with_capacity(frames.len());
        while found.len() < frames.len() {
            let left = &frames[found.len()..];
            let done = match self.detect_some(left, clock, stages) {
                // Another engine may stand in by now, and the pictures are still here.
                Err(e) if e.is_lost() => self.detect_some(left, clock, stages),
                done => done,
            };
            match done {
                Ok(some) => found.extend(some),
                Err(e) => {
                    let again: Vec<_> = left.iter().skip(1).map(|_| Err(self.of_another_frame(&e).into())).collect();
                    found.push(Err(e.into()));
                    found.extend(again);
                }
            }
        }
        found
    }

    /// As many of these frames as the engine takes at once.
    fn detect_some(
        &mut self,
        frames: &[&dyn Pixels],
        clock: &Clock,
        stages: &StageMetrics,
    ) -> Result<Vec<Result<Vec<Detection>, DetectError>>, InferError> {
        let mut drawn = Vec::with_capacity(frames.len());
        let mut count = 0;
        for pixels in frames {
            let begun = clock.mono();
            let geometry = self.geometry(pixels.size_px());
            match self.engine.draw_frame(count, *pixels, Place::Letterbox(geometry), &self.card.input.normalise) {
                Ok(()) => {
                    stages.letterbox.record(clock.mono().saturating_sub(begun));
                    drawn.push(Ok((count, geometry)));
                    count += 1;
                }
                Err(e @ InferError::Pixels(_)) => drawn.push(Err(e)),
                Err(e) => return Err(e),
            }
            // Asked after the first drawing: that is when another engine takes this one's place.
            if count >= self.max_batch() {
                break;
            }
        }
        if count > 0 {
            let filled = clock.mono();
            self.engine.run(count)?;
            let each = clock.mono().saturating_sub(filled) / u32::try_from(count).unwrap_or(u32::MAX);
            (0..count).for_each(|_| stages.inference.record(each));
        }
        let decode = |place: Result<(usize, Letterbox), InferError>| {
            let (slot, geometry) = place?;
            let begun = clock.mono();
            let found = self.decode(slot, &geometry);
            stages.decode.record(clock.mono().saturating_sub(begun));
            Ok(found)
        };
        Ok(drawn.into_iter().map(decode).collect())
    }

    /// A failure of the engine, told once more.
    fn of_another_frame(&self, e: &InferError) -> InferError {
        let (engine, reason) = match e {
            InferError::Run { engine, reason } | InferError::Lost { engine, reason } => (*engine, reason.clone()),
            other => (self.engine.name(), other.to_string()),
        };
        InferError::Run { engine, reason }
    }

    fn decode(&mut self, slot: usize, geometry: &Letterbox) -> Vec<Detection> {
        let (width_px, height_px) = geometry.src_wh();
        let mut found = Vec::new();
        match self.engine.places(slot) {
            Some(places) => self.decoder.decode_places(places, &mut found),
            None => self.decoder.decode(self.engine.output(0, slot), &mut found),
        }
        nms::suppress(&mut found, self.nms_iou, MAX_BOXES);
        for d in &mut found {
            d.bbox = geometry.to_frame(d.bbox).clipped(width_px, height_px);
        }
        // What lay in the padding alone has no area left.
        found.retain(|d| d.bbox.is_sane());
        found
    }

    /// The letterbox for this frame's size, remembered.
    fn geometry(&mut self, src_wh: (u32, u32)) -> Letterbox {
        if let Some(known) = self.geometries.iter().find(|g| g.src_wh() == src_wh) {
            return *known;
        }
        let [_, h, w] = self.engine.shape().input_chw;
        let geometry = Letterbox::new(src_wh, (w, h), self.card.input.placement);
        if self.geometries.len() == MAX_GEOMETRIES {
            self.geometries.remove(0);
        }
        self.geometries.push(geometry);
        geometry
    }
}

/// How many classes and places the head has.
fn head_shape(engine: &dyn Engine, card: &ModelCard) -> Result<(usize, usize), DetectError> {
    let shape = engine.shape();
    let wrong = |found: String, needed: String| Err(DetectError::Shape { model: card.name.clone(), found, needed });
    if shape.input_chw[0] != 3 {
        return wrong(format!("an input of {} channels", shape.input_chw[0]), "an input of 3".to_owned());
    }
    let classes = card.classes.len();
    let outputs = shape.outputs.as_slice();
    let (rows, places) = match outputs {
        [only] if only.dims.len() == 2 => (only.dims[0], only.dims[1]),
        _ => {
            let all: Vec<_> = outputs.iter().map(|o| format!("\"{}\" {:?}", o.name, o.dims)).collect();
            return wrong(format!("outputs {}", all.join(", ")), "one output [4+C, N]".to_owned());
        }
    };
    if rows != 4 + classes || classes == 0 {
        let turned =
            if places == 5 + classes || places == 4 + classes { " (turned: a YOLOv5 or YOLOX head?)" } else { "" };
        let found = format!("an output [{rows}, {places}]{turned}");
        return wrong(
            found,
            format!("[4+C, N] with the {classes} classes of its labels, that is {} rows", 4 + classes),
        );
    }
    Ok((classes, places))
}

fn wanted_classes(card: &ModelCard, names: &[String]) -> Result<Option<Vec<bool>>, DetectError> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut wanted = vec![false; card.classes.len()];
    for name in names {
        let id = card.classes.id(name).ok_or_else(|| DetectError::Class {
            model: card.name.clone(),
            class: name.clone(),
            hint: did_you_mean(name, card.classes.iter()),
        })?;
        wanted[usize::from(id)] = true;
    }
    Ok(Some(wanted))
}

#[cfg(test)]
mod tests;
