//! The daemon: start in order, ready, supervise, stop in order. What the parts do belongs to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use crate::api::{self, Readiness};
use crate::config::{self, Config, ConfigErrors, Loaded};
use crate::infer;
use crate::ingest;
use crate::pipeline::{
    self, Analyst, Board, Dial, EngineParts, Lane, LaneParts, Lanes, Loading, Seats, Variants, run_engine,
};
use crate::publish::{self, Driver, Publisher};
use crate::runtime::signals::Asked as Signal;
use crate::runtime::{Clock, Hearts, Silences, Stop, Worker, notify};
use crate::telemetry::{Metrics, logging};
use crate::types::{CameraState, CameraStatus, Finding, Report};

mod asked;
mod events;
mod governing;
mod neighbours;
mod orders;
mod pictures;
mod retained;
mod starting;
mod vitals;

use asked::Asked;
pub use events::wire_form;
use events::{Events, Way};
use governing::Governing;
use neighbours::Neighbours;
use pictures::Pictures;
use starting::Starting;
use vitals::Vitals;

/// The contract is five seconds from the signal to the exit. Cameras have one of them (see `lanes`), the engine one and a half: the slowest
/// model on the slowest board takes about a second a frame. The outbox has what is left.
const STOP_WITHIN: Duration = Duration::from_millis(4700);
/// A frame that is in the engine when the stop comes.
const ENGINE_RETURNS_WITHIN: Duration = Duration::from_millis(1500);
/// Nobody should wait longer for a broker that does not answer.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// What was told last is made durable at once.
const STORE_RETURNS_WITHIN: Duration = Duration::from_millis(700);
/// A picture of the last frame takes a blink of that.
const PICTURES_RETURN_WITHIN: Duration = Duration::from_millis(500);
/// The HTTP server's loop turns ten times a second.
const API_RETURNS_WITHIN: Duration = Duration::from_millis(500);
/// Sensors answer within milliseconds, all but those on a slow bus.
const MONITOR_RETURNS_WITHIN: Duration = Duration::from_millis(200);
/// What was set beyond this program is put back; NVIDIA's program takes a second or so for it.
const GOVERNOR_RETURNS_WITHIN: Duration = Duration::from_secs(2);
/// The engine beats between two frames; it says itself how long these may take.
const ENGINE_SILENCE: Duration = Duration::from_secs(20);
/// The server's loop turns at least once a second.
const LOOP_SILENCE: Duration = Duration::from_secs(10);
/// The publisher reads what was kept, and does not beat while a disk takes its time.
const PUBLISH_SILENCE: Duration = Duration::from_secs(60);
/// How often the supervisor looks around when nobody watches it.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What the owner asked for cannot be had: systemd should not try again.
    #[error("{0:#}")]
    Configuration(anyhow::Error),
    /// What the machine should give, it did not.
    #[error("{0:#}")]
    Start(anyhow::Error),
    /// A thread that must run for ever has ended.
    #[error("the thread {0} ended by itself")]
    ThreadEnded(String),
}

/// A running daemon.
struct App {
    config: Config,
    clock: Clock,
    metrics: Arc<Metrics>,
    hearts: Hearts,
    lanes: Lanes,
    parts: LaneParts,
    models_loaded: Arc<AtomicBool>,
    stop: Stop,
    publisher: Publisher,
    driver: Driver,
    events: Events,
    neighbours: Neighbours,
    pictures: Pictures,
    board: Arc<Board>,
    engines: Vec<Worker>,
    /// Loads models though the end was asked for: TensorRT lets go of a build between two steps only.
    loader: Option<Worker>,
    api: Option<api::Server>,
    vitals: Vitals,
    dial: Dial,
    /// None until the engines run: before, there is nothing to give up.
    governing: Option<Governing>,
}

/// Runs the daemon until a signal ends it. `read_again` reads the configuration anew when a signal asks for that.
///
/// # Errors
/// When it cannot start, or one of its threads dies.
pub fn run(
    loaded: Loaded,
    clock: Clock,
    read_again: &dyn Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<(), AppError> {
    let leave = Stop::new();
    let (tell, asked) = channel();
    asked::listen(tell.clone(), leave.clone())?;
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let mut app = App::new(loaded.config, clock, tell)?;
    // Whatever goes wrong from here on, the broker knows of this device: it is told of the end.
    let ended = app.start(&leave).and_then(|()| app.supervise(&asked, read_again));
    app.shut_down();
    ended
}

/// Ready once the models are loaded and every camera was tried: it streams, or has failed at least once. An engine that stands in for
/// another makes the daemon slower, not unready; a disk that takes nothing costs events only when memory is full, too.
fn readiness(models_loaded: &AtomicBool, lanes: &Lanes, board: &Board, way: &Way) -> Readiness {
    if !models_loaded.load(Ordering::Relaxed) {
        return Readiness::Waiting("models".to_owned());
    }
    let connecting =
        |lane: &Lane| CameraState::ALL.get(lane.metrics.state.get() as usize) == Some(&CameraState::Connecting);
    let untried = lanes.now().into_iter().find(|lane| connecting(lane));
    if let Some(lane) = untried {
        return Readiness::Waiting(format!("camera {}", lane.camera));
    }
    let store = way.store_trouble().map(|reason| format!("events are not written: {reason}"));
    let trouble: Vec<_> = board.trouble().into_iter().chain(store).collect();
    if trouble.is_empty() { Readiness::Ready } else { Readiness::Degraded(trouble) }
}

impl App {
    fn new(config: Config, clock: Clock, tell: Sender<Asked>) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::default());
        let hearts = Hearts::new(clock);
        let pictures = Pictures::start(&config, clock, &metrics, &hearts)?;
        let neighbours = Neighbours::new(&config, clock, &metrics);
        let events = Events::start(&config, clock, &metrics, &hearts, pictures.studio(), &neighbours)?;
        let (publisher, driver) = publish::start(publish::Context {
            device: config.device.clone(),
            mqtt: config.mqtt.clone(),
            settings: config.publish.clone(),
            metrics: Arc::clone(&metrics),
            clock,
            heart: hearts.add("publish", PUBLISH_SILENCE),
            outgoing: Some(events.outgoing()),
            inbox: orders::inbox(&config, clock, &neighbours, tell),
            onvif: config.onvif.enabled,
        })
        .map_err(|e| AppError::Configuration(e.into()))?;
        pictures.publish_by(&publisher, &config);
        neighbours.begin(publisher.clone(), &config);
        let board = {
            let (publisher, way) = (publisher.clone(), events.way());
            Board::new(Arc::clone(&metrics), clock, move |report| {
                way.report(&report);
                publisher.offer(report);
            })
        };
        let status = {
            let (publisher, way) = (publisher.clone(), events.way());
            move |status| {
                let report = Report::Camera(status);
                way.report(&report);
                publisher.offer(report);
            }
        };
        let parts = LaneParts {
            ingest: config.ingest.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            hearts: hearts.clone(),
            surfaces: pipeline::surfaces(&config),
            places: ingest::Places::new(config.ingest.connects_at_once),
            status: Arc::new(status),
        };
        let stop = Stop::new();
        let vitals = Vitals::start(&config, clock, &metrics, publisher.clone(), stop.child())?;
        Ok(Self {
            config,
            clock,
            metrics,
            hearts,
            lanes: Lanes::default(),
            parts,
            models_loaded: Arc::default(),
            stop,
            publisher,
            driver,
            events,
            neighbours,
            pictures,
            board,
            engines: Vec::new(),
            loader: None,
            api: None,
            vitals,
            dial: Dial::default(),
            governing: None,
        })
    }

    /// Gets ready, or leaves that where the end is asked for meanwhile: then `asked` says so to the supervisor.
    fn start(&mut self, leave: &Stop) -> Result<(), AppError> {
        self.start_api()?;
        // Cameras take a second to open; the models load meanwhile.
        for name in self.config.cameras.keys() {
            self.open_camera(name)?;
        }
        let Some(analysts) = self.load(leave)? else { return Ok(()) };
        if let Some(engine) = analysts.iter().map(Analyst::detects_on).find(|engine| *engine != infer::TENSORRT) {
            self.parts.surfaces.close(&format!("the detector runs on {engine}"));
        }
        self.start_engines(analysts)?;
        self.start_governor()?;
        self.models_loaded.store(true, Ordering::Relaxed);
        notify::ready(&self.summary());
        log::info!("running: {}", self.summary());
        Ok(())
    }

    fn start_api(&mut self) -> Result<(), AppError> {
        if !self.config.api.enabled {
            return Ok(());
        }
        let (models_loaded, lanes) = (Arc::clone(&self.models_loaded), self.lanes.clone());
        let (board, way) = (Arc::clone(&self.board), self.events.way());
        let context = api::Context {
            listen: self.config.api.listen,
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            hearts: self.hearts.clone(),
            heart: self.hearts.add("api", LOOP_SILENCE),
            readiness: Arc::new(move || readiness(&models_loaded, &lanes, &board, &way)),
            history: Some(events::history(&self.config)),
        };
        self.api = Some(api::start(context, self.stop.child()).map_err(|e| AppError::Start(e.into()))?);
        Ok(())
    }

    /// Building an engine for a GPU takes minutes at the first start, and is told of meanwhile. On a thread of its own, so that the end
    /// may be asked for: None when it was.
    fn load(&mut self, leave: &Stop) -> Result<Option<Vec<Analyst>>, AppError> {
        let starting = Starting::begin(self.clock);
        let (over, (say, answer)) = (leave.child(), sync_channel(1));
        let body = {
            let (config, clock, over) = (self.config.clone(), self.clock, over.clone());
            let (metrics, board) = (Arc::clone(&self.metrics), Arc::clone(&self.board));
            let progress = starting.progress(leave.clone());
            move || {
                let loading = Loading { config: &config, metrics: &metrics, clock, board: &board, progress };
                // The receiver is gone when the daemon is about to end.
                let _ = say.send(loading.all());
                over.set();
            }
        };
        let loader = Worker::spawn("models", body).map_err(|e| AppError::Start(e.into()))?;
        // A thread that panics says nothing.
        while !over.wait(LOOK_AROUND) && !loader.is_finished() {}
        if leave.is_set() {
            log::info!("the start is broken off");
            self.loader = Some(loader);
            return Ok(None);
        }
        match answer.try_recv() {
            Ok(Ok(analysts)) => Ok(Some(analysts)),
            Ok(Err(e)) if e.may_pass() => Err(AppError::Start(e.into())),
            Ok(Err(e)) => Err(AppError::Configuration(e.into())),
            Err(_) => Err(AppError::ThreadEnded(loader.name().to_owned())),
        }
    }

    fn start_engines(&mut self, analysts: Vec<Analyst>) -> Result<(), AppError> {
        let seats = Arc::new(Seats::new(self.lanes.clone(), self.config.schedule.clone()));
        let variants = Arc::new(Variants {
            config: Arc::new(self.config.clone()),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            board: Arc::clone(&self.board),
        });
        for (number, analyst) in analysts.into_iter().enumerate() {
            let name = format!("engine-{number}");
            let parts = EngineParts {
                hand: Some(variants.hand(&self.dial, analyst.worker())),
                analyst,
                track: self.config.track.clone(),
                attend: self.config.attend.clone(),
                gap: self.config.ingest.stall_after,
                seats: Arc::clone(&seats),
                studio: self.pictures.studio(),
                clock: self.clock,
                heart: self.hearts.add(&name, ENGINE_SILENCE),
            };
            let (stop, publisher, way) = (self.stop.clone(), self.publisher.clone(), self.events.way());
            let body = move || {
                run_engine(parts, &stop, &mut |finding| match finding {
                    Finding::Report(report) => {
                        way.report(&report);
                        publisher.offer(report);
                    }
                    Finding::Event(event) => way.event(event),
                });
            };
            self.engines.push(Worker::spawn(&name, body).map_err(|e| AppError::Start(e.into()))?);
        }
        Ok(())
    }

    fn start_governor(&mut self) -> Result<(), AppError> {
        let (clock, metrics) = (self.clock, Arc::clone(&self.metrics));
        let parts = governing::Parts { clock, metrics, dial: self.dial.clone(), way: self.events.way() };
        self.governing = Some(Governing::start(&self.config, parts, self.stop.child())?);
        Ok(())
    }

    /// Stops in order: sources, engine, broker, server; each has what is left of the time for all.
    fn shut_down(self) {
        let deadline = self.clock.mono() + STOP_WITHIN;
        let within = |at_most: Duration| at_most.min(deadline.saturating_sub(self.clock.mono()));
        notify::stopping();
        log::info!("stopping");
        for camera in self.lanes.close_all(&self.parts) {
            log::warn!(camera = &*camera; "did not let go of its source in time");
        }
        self.stop.set();
        self.lanes.bell().ring();
        // All of them together have this time, as one has.
        let engines_return_by = self.clock.mono() + within(ENGINE_RETURNS_WITHIN);
        for engine in self.engines.into_iter().chain(self.loader) {
            let name = engine.name().to_owned();
            if !engine.join_within(&self.clock, engines_return_by.saturating_sub(self.clock.mono())) {
                log::warn!(stage = "engine"; "{name} did not return in time");
            }
        }
        if self.governing.is_some_and(|g| !g.join(&self.clock, within(GOVERNOR_RETURNS_WITHIN))) {
            log::warn!(stage = "governor"; "what was set of the system may not be put back");
        }
        // What ended with the cameras: nobody should believe until the next start that somebody is still there.
        self.events.settle(within(STORE_RETURNS_WITHIN));
        if !self.pictures.stop(within(PICTURES_RETURN_WITHIN)) {
            log::warn!(stage = "pictures"; "pictures were left that events name");
        }
        if !self.driver.stop(within(FLUSH_WITHIN)) {
            log::warn!(stage = "publish"; "messages were left when the time for them was over");
        }
        // After whoever tells events and whoever brings them away.
        if !self.events.stop(within(STORE_RETURNS_WITHIN)) {
            log::warn!(stage = "store"; "events were left that are not on disk");
        }
        if !self.vitals.join(&self.clock, within(MONITOR_RETURNS_WITHIN)) {
            log::warn!(stage = "monitor"; "a sensor did not answer in time");
        }
        if self.api.is_some_and(|server| !server.join(&self.clock, within(API_RETURNS_WITHIN))) {
            log::warn!(stage = "api"; "did not end in time");
        }
    }

    /// Feeds the watchdog, obeys signals, notices dead threads. Returns when the daemon is to end.
    fn supervise(
        &mut self,
        asked: &Receiver<Asked>,
        read_again: &dyn Fn() -> Result<Loaded, ConfigErrors>,
    ) -> Result<(), AppError> {
        let interval = notify::watchdog_interval().unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        let mut silences = Silences::default();
        loop {
            match asked.recv_timeout(interval) {
                // Whoever asked by a signal reads the log.
                Ok(Asked::Signal(Signal::Reload)) => drop(self.reload(read_again())),
                Ok(Asked::Signal(Signal::Stop)) => return Ok(()),
                Ok(Asked::Order(accepted)) => self.obey(&accepted, read_again),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Asked::Deaf) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(AppError::ThreadEnded("signals".to_owned()));
                }
            }
            logging::tick();
            // A camera that is switched off by an order is not too slow.
            let is_on = |(name, camera): &(&String, &config::Camera)| camera.enabled && !self.lanes.is_off(name);
            let cameras: Vec<_> = self.config.cameras.iter().filter(is_on).map(|(n, _)| n.as_str()).collect();
            self.events.look(&cameras, self.clock.mono());
            self.neighbours.look();
            if let Some(ended) = self.engines.iter().find(|engine| engine.is_finished()) {
                return Err(AppError::ThreadEnded(ended.name().to_owned()));
            }
            let others = [
                (self.driver.is_finished(), "publish"),
                (self.events.is_finished(), "store"),
                (self.pictures.is_finished(), "pictures"),
                (self.governing.as_ref().is_some_and(Governing::is_finished), "governor"),
                (self.vitals.is_finished(), "monitor"),
            ];
            if let Some((_, ended)) = others.into_iter().find(|(is_finished, _)| *is_finished) {
                return Err(AppError::ThreadEnded(ended.to_owned()));
            }
            let look = silences.look(self.hearts.silent(), self.clock.mono());
            for (stage, silence) in &look.new {
                log::error!(stage = stage.as_str(); "{stage} has been silent for {} s", silence.as_secs());
            }
            for stage in &look.hung {
                log::error!(stage = stage.as_str(); "{stage} hangs; a service manager that watches starts everything again");
                notify::hung();
            }
            if look.all_alive {
                notify::alive();
            }
        }
    }

    /// Takes what the file says now: cameras that changed are opened anew, all others go on undisturbed.
    fn reload(&mut self, read: Result<Loaded, ConfigErrors>) -> Result<(), String> {
        let examined = read.map_err(|e| e.to_string()).and_then(|loaded| match pipeline::examine(&loaded.config).0 {
            wrong if wrong.is_empty() => Ok(loaded),
            wrong => Err(wrong.join("; ")),
        });
        let new = match examined {
            Ok(loaded) => loaded,
            Err(e) => {
                self.metrics.reloads_refused_total.inc();
                log::error!("reload refused, the old configuration goes on: {e}");
                return Err(format!("the old configuration goes on: {e}"));
            }
        };
        for warning in &new.warnings {
            log::warn!("{warning}");
        }
        let new = new.config;
        let changes = config::diff(&self.config, &new);
        let closed: Vec<_> =
            changes.cameras_removed.iter().chain(&changes.cameras_changed).map(String::as_str).collect();
        for camera in self.lanes.close(&closed, &self.parts) {
            log::warn!(camera = &*camera; "did not let go of its source in time");
        }
        if !changes.restart_needed.is_empty() {
            let keys = changes.restart_needed.join(", ");
            log::warn!("reload: these sections changed, which takes a restart; the old values go on: {keys}");
        }
        self.config.cameras = new.cameras;
        self.config.budget = new.budget;
        self.vitals.reload(&self.config.budget);
        if let Some(governing) = &self.governing {
            governing.reload(&self.config);
        }
        self.pictures.arrange(&self.config);
        self.neighbours.reload(&self.config, &changes, &|camera| self.lanes.is_off(camera));
        let mut failed = Vec::new();
        for name in changes.cameras_added.iter().chain(&changes.cameras_changed) {
            if let Err(e) = self.open_camera(name) {
                log::error!(camera = name.as_str(); "reload: {e}");
                failed.push(e.to_string());
            }
        }
        self.metrics.reloads_total.inc();
        let (added, removed, changed) =
            (changes.cameras_added.len(), changes.cameras_removed.len(), changes.cameras_changed.len());
        log::info!("reloaded: {added} cameras added, {removed} removed, {changed} changed");
        notify::status(&self.summary());
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    fn open_camera(&self, name: &str) -> Result<(), AppError> {
        match self.config.cameras.get(name) {
            Some(camera) if camera.enabled => self
                .lanes
                .open(name, camera, &self.parts, &self.stop)
                .map_err(|e| AppError::Start(anyhow::Error::new(e).context(format!("camera {name}")))),
            Some(_) => {
                (self.parts.status)(CameraStatus {
                    camera: name.into(),
                    state: CameraState::Stopped,
                    since: self.clock.now(),
                    reason: "not enabled".to_owned(),
                    size_px: None,
                });
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn summary(&self) -> String {
        let enabled = self.config.cameras.values().filter(|c| c.enabled).count();
        format!("{enabled} cameras, {} on {}", self.config.detect.model, self.config.mqtt.host)
    }
}
