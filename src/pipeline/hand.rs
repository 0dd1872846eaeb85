//! A worker's hand on the dial: looks between two frames whether it was turned, and brings another model in without keeping a frame waiting
//! for it.
//!
//! A model is loaded on a thread of its own while the old one goes on; between two frames the new one takes its place. Belongs here: when
//! that happens, and that what cannot be loaded is said once, and
//! when it is tried again. Does not: how a model is loaded (see `variants`), what less work means for
//! cameras (see `seats`, `analyst`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use super::dial::{Dial, Setting};
use super::models::LoadError;
use crate::detect::Detector;
use crate::runtime::Worker;

/// What could not be had, though nothing about it is wrong, is tried again after this: memory may be short for a while, a GPU busy.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

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
    /// What could not be loaded since another one was wanted, and when it may be tried again; None where that is in vain.
    failed: BTreeMap<Name, Option<Duration>>,
    load: Arc<Load>,
    heard: Arc<Heard>,
}

impl Hand {
    /// For a worker that does as is configured.
    pub(super) fn new(dial: Dial, load: Arc<Load>, heard: Arc<Heard>) -> Self {
        let (setting, failed) = (Setting::default(), BTreeMap::new());
        Self { dial, seen: 0, setting, runs: None, loading: None, failed, load, heard }
    }

    /// What holds from now on, where that has changed since it was asked last. Never waits.
    pub(super) fn turned(&mut self) -> Option<&Setting> {
        let (seen, setting) = self.dial.get_if_newer(self.seen)?;
        if setting.model != self.setting.model {
            // Whoever asks for it anew, after another one, has waited long enough.
            self.failed.clear();
        }
        (self.seen, self.setting) = (seen, setting);
        Some(&self.setting)
    }

    /// Another detector that is to take the place of the worker's own now. Never waits.
    pub(super) fn detector(&mut self, now: Duration) -> Option<Detector> {
        let loaded = self.loaded(now);
        let wanted = &self.setting.model;
        let may_try = || self.failed.get(wanted).is_none_or(|again| again.is_some_and(|again| again <= now));
        if self.loading.is_none() && self.runs != *wanted && may_try() {
            self.begin(now);
        }
        loaded
    }

    fn loaded(&mut self, now: Duration) -> Option<Detector> {
        let (name, answer) = self.loading.as_ref()?;
        let done = match answer.try_recv() {
            Err(TryRecvError::Empty) => return None,
            // The thread panicked, which was written down as it did.
            Err(TryRecvError::Disconnected) => Err(("loading it ended early".to_owned(), false)),
            Ok(done) => done.map_err(|e| (e.to_string(), e.may_pass())),
        };
        let name = name.clone();
        self.loading = None;
        match done {
            Ok(detector) => {
                log::info!(stage = "engine"; "{} takes the place of the model before", detector.model_name());
                (self.heard)(&detector);
                self.failed.remove(&name);
                self.runs = name;
                Some(detector)
            }
            Err((reason, may_pass)) => {
                self.give_up(name, &reason, may_pass, now);
                None
            }
        }
    }

    fn begin(&mut self, now: Duration) {
        let (say, answer) = sync_channel(1);
        let (load, name) = (Arc::clone(&self.load), self.setting.model.clone());
        let body = move || {
            // The receiver is gone when the worker has ended.
            let _ = say.send(load(name.as_deref()));
        };
        match Worker::spawn("model", body) {
            Ok(_) => self.loading = Some((self.setting.model.clone(), answer)),
            Err(e) => self.give_up(self.setting.model.clone(), &e.to_string(), true, now),
        }
    }

    fn give_up(&mut self, name: Name, reason: &str, may_pass: bool, now: Duration) {
        // The configured model has run before.
        let again = (may_pass || name.is_none()).then(|| now + AGAIN_AFTER);
        let model = name.as_deref().unwrap_or("the configured model");
        let level = if self.failed.contains_key(&name) { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, stage = "engine"; "{model} cannot take the place of the model that runs, which goes on: {reason}");
        self.failed.insert(name, again);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::infer::InferError;
    use crate::pipeline::samples;

    const SOME_TIME: Duration = Duration::from_secs(1000);

    /// What becomes of a load.
    enum Let {
        Load,
        /// As it is, it may go well another time.
        BeUnready,
        BeWrong,
    }

    /// A hand whose models are loaded when the test lets them be.
    struct Bench {
        dial: Dial,
        hand: Hand,
        let_load: Sender<Let>,
        asked: Receiver<Name>,
        heard: Receiver<String>,
    }

    fn bench() -> Bench {
        let (let_load, may_load) = channel::<Let>();
        let ((ask, asked), (hear, heard)) = (channel(), channel());
        let may_load = Mutex::new(may_load);
        let load = move |name: Option<&str>| {
            ask.send(name.map(str::to_owned)).expect("the test listens");
            match may_load.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("the test decides") {
                Let::Load => Ok(samples::detector(name.unwrap_or("large"))),
                Let::BeWrong => Err(LoadError::Strangers(vec!["bad".to_owned()])),
                Let::BeUnready => {
                    let (path, reason) = ("small.onnx".into(), "short of memory".to_owned());
                    let cause = InferError::Unready { engine: "sample", path, reason };
                    Err(LoadError::Engine { key: "detect.model".to_owned(), cause })
                }
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

        /// Between two frames again and again, until it is known that none comes.
        fn fails(&mut self) {
            while self.hand.loading.is_some() {
                assert!(self.hand.detector(SOME_TIME).is_none());
                std::thread::yield_now();
            }
        }

        /// Between two frames again and again, until one comes.
        fn comes(&mut self) -> String {
            loop {
                if let Some(detector) = self.hand.detector(SOME_TIME) {
                    return detector.model_name().to_owned();
                }
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn what_may_go_well_another_time_is_tried_again_later_and_the_configured_model_always() {
        for (first, wanted, outcome) in [
            (None, Some("small"), Let::BeUnready),
            (Some("small"), None, Let::BeUnready),
            (Some("small"), None, Let::BeWrong),
        ] {
            let mut bench = bench();
            if first.is_some() {
                bench.want(first);
                bench.let_load.send(Let::Load).expect("it waits");
                bench.comes();
            }
            bench.want(wanted);
            assert!(bench.hand.detector(SOME_TIME).is_none());
            bench.let_load.send(outcome).expect("it waits");
            bench.fails();
            let early = SOME_TIME + AGAIN_AFTER - Duration::from_millis(1);
            assert!(bench.hand.detector(early).is_none() && bench.hand.loading.is_none());
            assert!(bench.hand.detector(SOME_TIME + AGAIN_AFTER).is_none() && bench.hand.loading.is_some());
            bench.let_load.send(Let::Load).expect("it waits");
            assert_eq!(bench.comes(), wanted.unwrap_or("large"));
        }
    }

    #[test]
    fn what_is_wrong_with_a_model_is_looked_at_again_when_it_is_wanted_anew() {
        let mut bench = bench();
        bench.want(Some("small"));
        assert!(bench.hand.detector(SOME_TIME).is_none());
        bench.let_load.send(Let::BeWrong).expect("it waits");
        bench.fails();
        bench.want(None);
        assert!(bench.hand.detector(SOME_TIME).is_none() && bench.hand.loading.is_none(), "it runs");
        bench.want(Some("small"));
        bench.let_load.send(Let::Load).expect("it waits");
        assert_eq!(bench.comes(), "small");
    }

    #[test]
    fn the_old_model_goes_on_until_the_new_one_is_there_and_comes_back_the_same_way() {
        let mut bench = bench();
        assert!(bench.hand.turned().is_none() && bench.hand.detector(SOME_TIME).is_none());
        bench.want(Some("small"));
        assert!(bench.hand.detector(SOME_TIME).is_none(), "it is being loaded");
        assert_eq!(bench.asked.recv().expect("asked").as_deref(), Some("small"));
        (0..100).for_each(|_| assert!(bench.hand.detector(SOME_TIME).is_none(), "nobody let it load"));
        bench.let_load.send(Let::Load).expect("it waits");
        assert_eq!((bench.comes().as_str(), bench.heard.recv().expect("told").as_str()), ("small", "small"));
        bench.want(None);
        bench.let_load.send(Let::Load).expect("it waits");
        assert_eq!(bench.comes(), "large");
        assert!(
            bench.hand.detector(SOME_TIME).is_none()
                && bench.asked.try_recv() == Ok(None)
                && bench.asked.try_recv().is_err()
        );
    }

    #[test]
    fn who_changes_his_mind_while_one_loads_gets_what_he_wanted_last() {
        let mut bench = bench();
        bench.want(Some("small"));
        assert!(bench.hand.detector(SOME_TIME).is_none());
        bench.want(Some("smaller"));
        bench.let_load.send(Let::Load).expect("it waits");
        bench.let_load.send(Let::Load).expect("it waits");
        assert_eq!((bench.comes(), bench.comes()), ("small".to_owned(), "smaller".to_owned()));
    }

    #[test]
    fn what_cannot_be_loaded_is_tried_once_and_the_next_one_is_tried_all_the_same() {
        let mut bench = bench();
        bench.want(Some("small"));
        assert!(bench.hand.detector(SOME_TIME).is_none());
        bench.let_load.send(Let::BeWrong).expect("it waits");
        bench.fails();
        (0..10).for_each(|_| assert!(bench.hand.detector(SOME_TIME).is_none() && bench.hand.loading.is_none()));
        assert_eq!(bench.asked.try_iter().count(), 1);
        bench.want(Some("smaller"));
        bench.let_load.send(Let::Load).expect("it waits");
        assert_eq!(bench.comes(), "smaller");
    }
}
