//! A worker's hand on the dial: looks between two frames whether it was turned, and brings another model in without keeping a frame waiting
//! for it.
//!
//! A model is loaded on a thread of its own while the old one goes on; between two frames the new one takes its place. Belongs here: when
//! that happens, and that what cannot be loaded is said once. Does not: how a model is loaded (see `variants`), what less work means for
//! cameras (see `seats`, `analyst`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::dial::{Dial, Setting};
use super::models::LoadError;
use crate::detect::Detector;
use crate::runtime::Worker;

/// A variant of the model by its name; None is the configured one.
type Name = Option<String>;
/// Loads one, for as long as it takes.
pub(super) type Load = dyn Fn(Option<&str>) -> Result<Detector, LoadError> + Send + Sync;
/// Hears that a detector has taken another one's place.
pub(super) type Heard = dyn Fn(&Detector) + Send + Sync;

/// See the head of the file.
pub struct Hand {
    dial: Dial,
    seen: u64,
    setting: Setting,
    /// What the worker's detector runs.
    runs: Name,
    loading: Option<(Name, Receiver<Result<Detector, LoadError>>)>,
    broken: BTreeSet<Name>,
    load: Arc<Load>,
    heard: Arc<Heard>,
}

impl Hand {
    /// For a worker that does as is configured.
    pub(super) fn new(dial: Dial, load: Arc<Load>, heard: Arc<Heard>) -> Self {
        let (setting, broken) = (Setting::default(), BTreeSet::new());
        Self { dial, seen: 0, setting, runs: None, loading: None, broken, load, heard }
    }

    /// What holds from now on, where that has changed since it was asked last. Never waits.
    pub(super) fn turned(&mut self) -> Option<&Setting> {
        (self.seen, self.setting) = self.dial.get_if_newer(self.seen)?;
        Some(&self.setting)
    }

    /// Another detector that is to take the place of the worker's own now. Never waits.
    pub(super) fn detector(&mut self) -> Option<Detector> {
        let loaded = self.loaded();
        let wanted = &self.setting.model;
        if self.loading.is_none() && self.runs != *wanted && !self.broken.contains(wanted) {
            self.begin();
        }
        loaded
    }

    fn loaded(&mut self) -> Option<Detector> {
        let (name, answer) = self.loading.as_ref()?;
        let done = match answer.try_recv() {
            Err(TryRecvError::Empty) => return None,
            // The thread panicked, which was written down as it did.
            Err(TryRecvError::Disconnected) => Err("loading it ended early".to_owned()),
            Ok(done) => done.map_err(|e| e.to_string()),
        };
        let name = name.clone();
        self.loading = None;
        match done {
            Ok(detector) => {
                log::info!(stage = "engine"; "{} takes the place of the model before", detector.model_name());
                (self.heard)(&detector);
                self.runs = name;
                Some(detector)
            }
            Err(reason) => {
                self.give_up(name, &reason);
                None
            }
        }
    }

    fn begin(&mut self) {
        let (say, answer) = sync_channel(1);
        let (load, name) = (Arc::clone(&self.load), self.setting.model.clone());
        let body = move || {
            // The receiver is gone when the worker has ended.
            let _ = say.send(load(name.as_deref()));
        };
        match Worker::spawn("model", body) {
            Ok(_) => self.loading = Some((self.setting.model.clone(), answer)),
            Err(e) => self.give_up(self.setting.model.clone(), &e.to_string()),
        }
    }

    fn give_up(&mut self, name: Name, reason: &str) {
        let model = name.as_deref().unwrap_or("the configured model");
        log::warn!(stage = "engine"; "{model} cannot take the place of the model that runs, which goes on: {reason}");
        self.broken.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::pipeline::samples;

    /// A hand whose models are loaded when the test lets them be.
    struct Bench {
        dial: Dial,
        hand: Hand,
        let_load: Sender<bool>,
        asked: Receiver<Name>,
        heard: Receiver<String>,
    }

    fn bench() -> Bench {
        let (let_load, may_load) = channel::<bool>();
        let ((ask, asked), (hear, heard)) = (channel(), channel());
        let may_load = Mutex::new(may_load);
        let load = move |name: Option<&str>| {
            ask.send(name.map(str::to_owned)).expect("the test listens");
            let good = may_load.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("the test decides");
            if good {
                Ok(samples::detector(name.unwrap_or("large")))
            } else {
                Err(LoadError::Strangers(vec!["bad".to_owned()]))
            }
        };
        let tell = move |detector: &Detector| hear.send(detector.model_name().to_owned()).expect("the test listens");
        let dial = Dial::default();
        let hand = Hand::new(dial.clone(), Arc::new(load), Arc::new(tell));
        Bench { dial, hand, let_load, asked, heard }
    }

    impl Bench {
        fn want(&mut self, model: Option<&str>) {
            self.dial.set(Setting { model: model.map(str::to_owned), ..Setting::default() });
            assert!(self.hand.turned().is_some());
        }

        /// Between two frames again and again, until one comes.
        fn comes(&mut self) -> String {
            loop {
                if let Some(detector) = self.hand.detector() {
                    return detector.model_name().to_owned();
                }
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn the_old_model_goes_on_until_the_new_one_is_there_and_comes_back_the_same_way() {
        let mut bench = bench();
        assert!(bench.hand.turned().is_none() && bench.hand.detector().is_none());
        bench.want(Some("small"));
        assert!(bench.hand.detector().is_none(), "it is being loaded");
        assert_eq!(bench.asked.recv().expect("asked").as_deref(), Some("small"));
        (0..100).for_each(|_| assert!(bench.hand.detector().is_none(), "nobody let it load"));
        bench.let_load.send(true).expect("it waits");
        assert_eq!((bench.comes().as_str(), bench.heard.recv().expect("told").as_str()), ("small", "small"));
        bench.want(None);
        bench.let_load.send(true).expect("it waits");
        assert_eq!(bench.comes(), "large");
        assert!(
            bench.hand.detector().is_none() && bench.asked.try_recv() == Ok(None) && bench.asked.try_recv().is_err()
        );
    }

    #[test]
    fn who_changes_his_mind_while_one_loads_gets_what_he_wanted_last() {
        let mut bench = bench();
        bench.want(Some("small"));
        assert!(bench.hand.detector().is_none());
        bench.want(Some("smaller"));
        bench.let_load.send(true).expect("it waits");
        bench.let_load.send(true).expect("it waits");
        assert_eq!((bench.comes(), bench.comes()), ("small".to_owned(), "smaller".to_owned()));
    }

    #[test]
    fn what_cannot_be_loaded_is_tried_once_and_the_next_one_is_tried_all_the_same() {
        let mut bench = bench();
        bench.want(Some("small"));
        assert!(bench.hand.detector().is_none());
        bench.let_load.send(false).expect("it waits");
        while bench.hand.loading.is_some() {
            assert!(bench.hand.detector().is_none());
            std::thread::yield_now();
        }
        (0..10).for_each(|_| assert!(bench.hand.detector().is_none() && bench.hand.loading.is_none()));
        assert_eq!(bench.asked.try_iter().count(), 1);
        bench.want(Some("smaller"));
        bench.let_load.send(true).expect("it waits");
        assert_eq!(bench.comes(), "smaller");
    }
}
