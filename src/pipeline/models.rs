//! From the configuration to loaded models.

use std::sync::Arc;

use super::analyst::Analyst;
use crate::classify::{Classifier, ClassifyError};
use crate::config::Config;
use crate::detect::{self, DetectError, Detector};
use crate::infer::{self, CatalogError, InferError, catalog};
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::types::names::did_you_mean;

/// Why the models of a configuration cannot be had; each names the key under which the model stands, and says its cause itself.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such model, or no readable manifest.
    #[error("{key}: {cause}")]
    Catalog {
        /// Where the configuration names it.
        key: String,
        /// What is wrong.
        cause: CatalogError,
    },
    /// The engine does not take the model.
    #[error("{key}: {cause}")]
    Engine {
        /// Where the configuration names it.
        key: String,
        /// What is wrong.
        cause: InferError,
    },
    /// The model is no detector that we know.
    #[error("detect: {0}")]
    Detector(DetectError),
    /// The model is no classifier that we know.
    #[error("classify.{name}: {cause}")]
    Classifier {
        /// Its name in the configuration.
        name: String,
        /// What is wrong.
        cause: ClassifyError,
    },
}

/// Loads every model that the configuration names.
///
/// # Errors
/// At the first that cannot be had.
pub fn load_analyst(config: &Config, metrics: &Arc<Metrics>, clock: Clock) -> Result<Analyst, LoadError> {
    let options = infer::Options { threads: config.detect.threads, ..infer::Options::default() };
    let open = |key: &str, model: &str, choice| {
        let card = catalog::card(model, &config.paths.models)
            .map_err(|cause| LoadError::Catalog { key: key.to_owned(), cause })?;
        let engine = infer::open(choice, &card.path, &options)
            .map_err(|cause| LoadError::Engine { key: key.to_owned(), cause })?;
        if let Some(remark) = engine.remark() {
            log::warn!(stage = "engine"; "{remark}");
        }
        log::info!(stage = "engine"; "{key} = {model}: {} on {} threads", engine.name(), options.threads);
        Ok::<_, LoadError>((card, engine))
    };
    let (card, engine) = open("detect.model", &config.detect.model, config.detect.engine)?;
    let detector =
        Detector::new(engine, &card, &detect::Settings::from(&config.detect)).map_err(LoadError::Detector)?;
    let mut classifiers = Vec::with_capacity(config.classify.len());
    for (name, settings) in &config.classify {
        let (card, engine) = open(&format!("classify.{name}.model"), &settings.model, settings.engine)?;
        let classifier = Classifier::new(name, engine, &card, settings.clone(), detector.classes())
            .map_err(|cause| LoadError::Classifier { name: name.clone(), cause })?;
        classifiers.push(classifier);
    }
    Ok(Analyst::new(detector, classifiers, Arc::clone(metrics), clock))
}

/// What `run` would refuse in a configuration's models, as far as it can be told without loading them. A model that is not on this
/// machine is a warning: the configuration may be meant for another one.
pub fn examine(config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    let mut card = |key: &str, model: &str, errors: &mut Vec<String>| match catalog::card(model, &config.paths.models) {
        Ok(card) => Some(card),
        Err(e @ CatalogError::Missing { .. }) => {
            warnings.push(format!("{key}: {e}"));
            None
        }
        Err(e) => {
            errors.push(format!("{key}: {e}"));
            None
        }
    };
    let detector = card("detect.model", &config.detect.model, &mut errors);
    let unknown = |key: &str, classes: &[String]| -> Vec<String> {
        let Some(card) = &detector else { return Vec::new() };
        let strangers = classes.iter().filter(|c| card.classes.id(c).is_none());
        let tell = |class: &String| {
            let hint = did_you_mean(class, card.classes.iter());
            format!("{key}: {class:?} is no class of {}{hint}", card.name)
        };
        strangers.map(tell).collect()
    };
    errors.extend(unknown("detect.classes", &config.detect.classes));
    for (name, settings) in &config.classify {
        card(&format!("classify.{name}.model"), &settings.model, &mut errors);
        errors.extend(unknown(&format!("classify.{name}.classes"), &settings.classes));
    }
    (errors, warnings)
}
