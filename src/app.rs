//! The daemon: start in order, ready, supervise, stop in order. What the parts do belongs to them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::api::{self, Readiness};
use crate::config::{self, Config, ConfigErrors, Loaded};
use crate::pipeline::{Analyst, EngineParts, Lane, LaneParts, Lanes, load_analyst, run_engine};
use crate::publish::{self, Publisher};
use crate::runtime::signals::{self, Asked};
use crate::runtime::{Clock, Hearts, Stop, Worker, notify};
use crate::telemetry::{Metrics, logging};
use crate::types::{CameraState, CameraStatus, Report};

/// The outbox may take so long to empty when the daemon stops; what is left then is counted as dropped.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// A frame in the engine when the stop comes; the slowest model on the slowest board takes about a second.
const ENGINE_RETURNS_WITHIN: Duration = Duration::from_secs(3);
/// The engine beats between two frames.
const ENGINE_SILENCE: Duration = Duration::from_secs(20);
/// The publisher's and the server's loops turn at least once a second.
const LOOP_SILENCE: Duration = Duration::from_secs(10);
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
    stop: Stop,
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
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let config = loaded.config;
    let metrics = Arc::new(Metrics::default());
    let hearts = Hearts::new(clock);
    let stop = Stop::new();
    let asked = listen()?;
    let ready = Arc::new(AtomicBool::new(false));

    let (publisher, driver) = publish::start(publish::Context {
        device: config.device.clone(),
        mqtt: config.mqtt.clone(),
        settings: config.publish.clone(),
        metrics: Arc::clone(&metrics),
        clock,
        heart: hearts.add("publish", LOOP_SILENCE),
    })
    .map_err(|e| AppError::Configuration(e.into()))?;
    let lanes = Lanes::default();
    let api = start_api(&config, &metrics, &hearts, clock, (&ready, &lanes), &stop)?;

    let parts = LaneParts {
        ingest: config.ingest.clone(),
        clock,
        metrics: Arc::clone(&metrics),
        hearts: hearts.clone(),
        status: Arc::new({
            let publisher = publisher.clone();
            move |status| publisher.offer(Report::Camera(status))
        }),
    };
    let mut app = App { config, clock, metrics, hearts, lanes, parts, stop };
    // Cameras take a second to open; the models load meanwhile.
    app.open_cameras(&app.config.cameras.keys().cloned().collect())?;
    let analyst = load_analyst(&app.config, &app.metrics, clock).map_err(|e| AppError::Configuration(e.into()))?;
    let engine = app.start_engine(analyst, publisher.clone())?;
    ready.store(true, Ordering::Relaxed);
    notify::ready(&app.summary());
    log::info!("running: {}", app.summary());

    let ended = app.supervise(&asked, &engine, read_again);

    notify::stopping();
    log::info!("stopping");
    let late = app.lanes.close_all(&clock);
    for camera in &late {
        log::warn!(camera = &**camera; "did not let go of its source in time");
    }
    app.stop.set();
    app.lanes.bell().ring();
    if !engine.join_within(&clock, ENGINE_RETURNS_WITHIN) {
        log::warn!(stage = "engine"; "did not return in time");
    }
    if !driver.stop(FLUSH_WITHIN) {
        log::warn!(stage = "publish"; "messages were left when the time for them was over");
    }
    if !api.is_none_or(|server| server.join(&clock, LOOK_AROUND)) {
        log::warn!(stage = "api"; "did not end in time");
    }
    ended
}

fn listen() -> Result<Receiver<Asked>, AppError> {
    let (tell, asked): (Sender<Asked>, _) = channel();
    // The receiver lives as long as the daemon; after it, nobody cares for signals.
    signals::listen(move |what| {
        let _ = tell.send(what);
    })
    .map_err(|e| AppError::Start(e.into()))?;
    Ok(asked)
}

fn start_api(
    config: &Config,
    metrics: &Arc<Metrics>,
    hearts: &Hearts,
    clock: Clock,
    (ready, lanes): (&Arc<AtomicBool>, &Lanes),
    stop: &Stop,
) -> Result<Option<api::Server>, AppError> {
    if !config.api.enabled {
        return Ok(None);
    }
    let (ready, lanes) = (Arc::clone(ready), lanes.clone());
    let context = api::Context {
        listen: config.api.listen,
        metrics: Arc::clone(metrics),
        clock,
        hearts: hearts.clone(),
        heart: hearts.add("api", LOOP_SILENCE),
        readiness: Arc::new(move || readiness(&ready, &lanes)),
    };
    api::start(context, stop.child()).map(Some).map_err(|e| AppError::Start(e.into()))
}

/// Ready once the models are loaded and every camera was tried: it streams, or has failed at least once.
fn readiness(models_loaded: &AtomicBool, lanes: &Lanes) -> Readiness {
    if !models_loaded.load(Ordering::Relaxed) {
        return Readiness::Waiting("models".to_owned());
    }
    let connecting =
        |lane: &Lane| CameraState::ALL.get(lane.metrics.state.get() as usize) == Some(&CameraState::Connecting);
    let untried = lanes.now().into_iter().find(|lane| connecting(lane));
    untried.map_or(Readiness::Ready, |lane| Readiness::Waiting(format!("camera {}", lane.camera)))
}

impl App {
    fn start_engine(&self, analyst: Analyst, publisher: Publisher) -> Result<Worker, AppError> {
        let parts = EngineParts {
            analyst,
            track: self.config.track.clone(),
            gap: self.config.ingest.stall_after,
            lanes: self.lanes.clone(),
            heart: self.hearts.add("engine-0", ENGINE_SILENCE),
        };
        let stop = self.stop.clone();
        Worker::spawn("engine-0", move || run_engine(parts, &stop, &mut |report| publisher.offer(report)))
            .map_err(|e| AppError::Start(e.into()))
    }

    /// Feeds the watchdog, obeys signals, notices dead threads. Returns when the daemon is to end.
    fn supervise(
        &mut self,
        asked: &Receiver<Asked>,
        engine: &Worker,
        read_again: &dyn Fn() -> Result<Loaded, ConfigErrors>,
    ) -> Result<(), AppError> {
        let interval = notify::watchdog_interval().unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        let mut silent_before = BTreeSet::new();
        loop {
            match asked.recv_timeout(interval) {
                Ok(Asked::Reload) => self.reload(read_again()),
                Ok(Asked::Stop) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(AppError::ThreadEnded("signals".to_owned())),
            }
            logging::tick();
            if engine.is_finished() {
                return Err(AppError::ThreadEnded(engine.name().to_owned()));
            }
            let silent = self.hearts.silent();
            if silent.is_empty() {
                notify::alive();
            }
            for (stage, silence) in silent.iter().filter(|(stage, _)| !silent_before.contains(stage)) {
                log::error!(stage = stage.as_str(); "{stage} has been silent for {} s", silence.as_secs());
            }
            silent_before = silent.into_iter().map(|(stage, _)| stage).collect();
        }
    }

    /// Takes what the file says now: cameras that changed are opened anew, all others go on undisturbed.
    fn reload(&mut self, read: Result<Loaded, ConfigErrors>) {
        let new = match read {
            Ok(loaded) => loaded,
            Err(e) => {
                self.metrics.reloads_refused_total.inc();
                log::error!("reload refused, the old configuration goes on: {e}");
                return;
            }
        };
        for warning in &new.warnings {
            log::warn!("{warning}");
        }
        let new = new.config;
        let changes = config::diff(&self.config, &new);
        for name in changes.cameras_removed.iter().chain(&changes.cameras_changed) {
            if !self.lanes.close(name, &self.clock) {
                log::warn!(camera = name.as_str(); "did not let go of its source in time");
            }
        }
        for key in &changes.restart_needed {
            log::warn!("reload: {key} changed, which takes a restart; the old value goes on");
        }
        self.parts.ingest = new.ingest.clone();
        self.config.ingest = new.ingest;
        self.config.cameras = new.cameras;
        let open = changes.cameras_added.iter().chain(&changes.cameras_changed).cloned().collect();
        if let Err(e) = self.open_cameras(&open) {
            log::error!("reload: {e}");
        }
        self.metrics.reloads_total.inc();
        let (added, removed, changed) =
            (changes.cameras_added.len(), changes.cameras_removed.len(), changes.cameras_changed.len());
        log::info!("reloaded: {added} cameras added, {removed} removed, {changed} changed");
        notify::status(&self.summary());
    }

    fn open_cameras(&self, names: &BTreeSet<String>) -> Result<(), AppError> {
        for name in names {
            let Some(camera) = self.config.cameras.get(name) else { continue };
            if camera.enabled {
                self.lanes
                    .open(name, camera, &self.parts, &self.stop)
                    .map_err(|e| AppError::Start(anyhow::Error::new(e).context(format!("camera {name}"))))?;
            } else {
                (self.parts.status)(CameraStatus {
                    camera: name.as_str().into(),
                    state: CameraState::Stopped,
                    since: self.clock.now(),
                    reason: "not enabled".to_owned(),
                    size_px: None,
                });
            }
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let enabled = self.config.cameras.values().filter(|c| c.enabled).count();
        format!("{enabled} cameras, {} on {}", self.config.detect.model, self.config.mqtt.host)
    }
}
