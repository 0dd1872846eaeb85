//! The engines' end: looks at each frame for better views, and gives events their pictures' names. Never waits for an encoder or a disk: what
//! the worker has no room for is left out and counted, and its event names no picture.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::album::{Album, Shot};
use super::maker::{AreMasks, Bench, Errand, Maker, Order, Tell};
use super::shelf::{self, Kind, Limits, Shelf};
use super::wishes::Wishes;
use super::{disk, still, worth};
use crate::config::Snapshots;
use crate::pixels::Cover;
use crate::runtime::{Clock, Heart, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{CameraId, Captured, Event, Frame, Rect, RgbImage, Subject, TrackEvent, TrackPhase};

/// Events whose pictures may wait for the encoder. When it is full, the event goes without: a crowd at the door would otherwise be held up
/// by its own pictures.
pub(super) const WAITING: usize = 8;

/// What pictures are made with.
pub struct Context {
    /// Settings.
    pub settings: Snapshots,
    /// Where they lie.
    pub folder: PathBuf,
    /// The clock.
    pub clock: Clock,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// The worker's pulse.
    pub heart: Heart,
    /// Who hears of finished pictures, on the worker's thread.
    pub tell: Tell,
}

/// Takes pictures. Clones share everything.
#[derive(Debug, Clone)]
pub struct Studio {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Snapshots,
    state: Arc<Mutex<State>>,
    number: AtomicU64,
    /// Pictures with a smaller number were removed.
    kept_from: Arc<AtomicU64>,
    errands: SyncSender<Errand>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    album: Album,
    arranged: Arc<Arranged>,
    /// Pictures that are wanted of a camera's next frame: the id in their names, and their number.
    wanted: HashMap<String, (u64, Uuid)>,
}

/// What the owner asks for. A camera that is not in here is not taken at all: nobody knows its masks.
#[derive(Debug, Default)]
struct Arranged {
    covers: HashMap<String, Cover>,
    wishes: Wishes,
}

/// Starts the worker. A folder that cannot be written is no reason to fail: pictures are lost and counted until it can be.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(context: Context) -> std::io::Result<(Studio, Maker)> {
    let Context { settings, folder, clock, metrics, heart, tell } = context;
    let limits = Limits { bytes: settings.max_bytes, files: settings.max_files, age: settings.keep };
    let shelf = Shelf::new(limits, disk::scan(&folder));
    let (errands, received) = sync_channel(WAITING);
    let kept_from: Arc<AtomicU64> = Arc::default();
    let state = State { album: Album::new(settings.memory_bytes), arranged: Arc::default(), wanted: HashMap::new() };
    let state = Arc::new(Mutex::new(state));
    let are_its_masks: AreMasks = {
        let state = Arc::clone(&state);
        Box::new(move |camera: &str, cover: &Cover| lock(&state).arranged.covers.get(camera) == Some(cover))
    };
    let inner = Inner {
        number: AtomicU64::new(shelf.next_number()),
        kept_from: Arc::clone(&kept_from),
        state,
        errands: errands.clone(),
        metrics: Arc::clone(&metrics),
        settings,
    };
    let quality = inner.settings.quality;
    let bench = Bench { folder, quality, shelf, kept_from, clock, metrics, heart, are_its_masks, tell };
    let stop = Stop::new();
    let worker = Worker::spawn("pictures", {
        let stop = stop.clone();
        move || bench.run(&received, &stop)
    })?;
    Ok((Studio { inner: Arc::new(inner) }, Maker { worker, errands, stop }))
}

impl Studio {
    /// Takes what the owner asks for, at the start and after a reload. Of a camera whose masks are not the same any more, all views are
    /// forgotten: what is masked now may be seen in them.
    pub fn arrange(&self, covers: HashMap<String, Cover>, wishes: Wishes) {
        let mut state = self.lock();
        let before = Arc::clone(&state.arranged);
        state.album.forget(|camera| before.covers.get(camera) != covers.get(camera));
        state.wanted.retain(|camera, _| covers.contains_key(camera));
        state.arranged = Arc::new(Arranged { covers, wishes });
    }

    /// Looks at a frame with the steps of its tracks: better views are kept. Before the frame's events are given their pictures.
    pub fn look(&self, frame: &Frame, steps: &[TrackEvent]) {
        if !self.inner.settings.enabled {
            return;
        }
        let now = frame.captured.mono;
        let (arranged, wanted, candidates) = {
            let mut state = self.lock();
            for step in steps.iter().filter(|s| s.phase == TrackPhase::End) {
                state.album.end(step.uid, now);
            }
            state.album.tidy(now);
            let arranged = Arc::clone(&state.arranged);
            let wanted = state.wanted.remove(&*frame.camera);
            let is_candidate = |s: &&TrackEvent| {
                // A box without a detection in this frame is only guessed at.
                s.phase != TrackPhase::End
                    && s.track.lost_frames == 0
                    && state.album.is_due(s.uid, worth::at_most(s.track.bbox, s.track.score), now)
            };
            let asks = arranged.wishes.may_ask(&frame.camera);
            let candidates: Vec<_> = steps.iter().filter(|_| asks).filter(is_candidate).collect();
            (arranged, wanted, candidates)
        };
        let Some(cover) = arranged.covers.get(&*frame.camera) else { return };
        if candidates.is_empty() && wanted.is_none() {
            return;
        }
        let mut view = Looking { frame, cover, full: None, most_width_px: self.inner.settings.max_width_px };
        if let Some((number, id)) = wanted {
            self.order_full(&mut view, (number, id), None);
        }
        for step in candidates {
            let Some(shot) = self.shoot(&mut view, step) else { continue };
            let mut state = self.lock();
            // The masks may be others since.
            if Arc::ptr_eq(&state.arranged, &arranged) {
                state.album.put(step.uid, shot);
                self.inner.metrics.pictures.taken_total.inc();
                self.inner.metrics.pictures.memory_bytes.set(state.album.bytes() as i64);
            }
        }
    }

    /// These tracks have ended, and no frame shows it: their camera is silent, or gone.
    pub fn end(&self, steps: &[TrackEvent]) {
        let mut state = self.lock();
        for step in steps {
            state.album.end(step.uid, step.captured.mono);
        }
    }

    /// Gives an event its pictures' names, if it asks for pictures and has none yet: of its object's best view, else of the frame at hand.
    pub fn attach(&self, event: &mut Event, frame: Option<&Frame>) {
        if !self.inner.settings.enabled || !event.snapshots.is_empty() {
            return;
        }
        let arranged = {
            let mut state = self.lock();
            let State { album, arranged, .. } = &mut *state;
            if !arranged.wishes.ask(event) {
                return;
            }
            let of = event.subject.as_ref().map(Subject::track_uid);
            if let Some((track, shot)) = of.and_then(|track| Some((track, album.get_mut(track)?))) {
                event.snapshots = self.names_of(track, shot, arranged);
                return;
            }
            Arc::clone(arranged)
        };
        let Some((frame, cover)) = frame.and_then(|f| Some((f, arranged.covers.get(&*f.camera)?))) else { return };
        let mut view = Looking { frame, cover, full: None, most_width_px: self.inner.settings.max_width_px };
        let subject = event.subject.as_ref().filter(|subject| subject.frame_px == frame.pixels.size_px());
        let names = self.order_full(&mut view, self.next(event.at), subject.map(|subject| subject.bbox));
        event.snapshots = names;
    }

    /// The same for an event whose frame is not at hand any more: where no view of its object is kept, or it has none, it gets the camera's
    /// next frame, if frames come.
    pub fn attach_later(&self, event: &mut Event) {
        self.attach(event, None);
        let asks = |event: &Event| event.snapshots.is_empty() && self.lock().arranged.wishes.ask(event);
        // What is told without a frame is told of a camera that may give none any more.
        if event.frame_seq.is_some()
            && asks(event)
            && let Some(camera) = event.camera.as_deref()
        {
            event.snapshots = self.now(camera, event.at).into_iter().collect();
        }
    }

    /// Orders a picture of the camera's next frame, and says how it will be called. None where there is no such camera, or no pictures
    /// are to be made.
    pub fn now(&self, camera: &str, asked: Captured) -> Option<String> {
        let mut state = self.lock();
        if !self.inner.settings.enabled || !state.arranged.covers.contains_key(camera) {
            return None;
        }
        // Who asks again before the frame has come gets the same picture.
        let (number, id) = *state.wanted.entry(camera.to_owned()).or_insert_with(|| self.next(asked));
        Some(shelf::name(camera, number, id, Kind::Full))
    }

    /// The names of a view, which is ordered the first time, and again when its files are there no more: a car may stand for longer than
    /// pictures are kept.
    fn names_of(&self, track: Uuid, shot: &mut Shot, arranged: &Arranged) -> Vec<String> {
        let is_there = |name: &String| {
            shelf::number(name).is_some_and(|number| number >= self.inner.kept_from.load(Ordering::Relaxed))
        };
        if !shot.names.first().is_some_and(is_there) {
            let number = self.inner.number.fetch_add(1, Ordering::Relaxed);
            let name = |kind| shelf::name(&shot.camera, number, track, kind);
            let mut stills = vec![(name(Kind::Crop), Kind::Crop, Arc::clone(&shot.crop))];
            stills.extend(shot.full.iter().map(|full| (name(Kind::Full), Kind::Full, Arc::clone(full))));
            let order = Order {
                camera: Arc::clone(&shot.camera),
                captured: shot.captured,
                // Views with other masks than the camera's are forgotten.
                cover: arranged.covers.get(&*shot.camera).cloned().unwrap_or_default(),
                frame_px: shot.frame_px,
                bbox: Some(shot.bbox),
                stills,
            };
            shot.names = self.order(order);
        }
        shot.names.clone()
    }

    fn shoot(&self, view: &mut Looking<'_>, step: &TrackEvent) -> Option<Shot> {
        let pixels = view.frame.pixels.view();
        let bbox = step.track.bbox;
        let worth = worth::of(&pixels, view.cover, bbox, step.track.score);
        if !self.lock().album.judge(step.uid, worth, view.frame.captured.mono) {
            return None;
        }
        // Planes that are too short have been complained of by the detector.
        let crop = still::crop(&pixels, view.cover, bbox).ok().flatten()?;
        Some(Shot {
            camera: Arc::clone(&view.frame.camera),
            captured: view.frame.captured,
            worth,
            crop: Arc::new(crop),
            full: view.full(),
            bbox,
            frame_px: (pixels.width_px, pixels.height_px),
            names: Vec::new(),
        })
    }

    fn order_full(&self, view: &mut Looking<'_>, (number, id): (u64, Uuid), bbox: Option<Rect>) -> Vec<String> {
        let Some(full) = view.full() else { return Vec::new() };
        let camera: &CameraId = &view.frame.camera;
        let name = shelf::name(camera, number, id, Kind::Full);
        self.order(Order {
            camera: Arc::clone(camera),
            captured: view.frame.captured,
            cover: view.cover.clone(),
            frame_px: view.frame.pixels.size_px(),
            bbox,
            stills: vec![(name, Kind::Full, full)],
        })
    }

    /// Hands an order to the worker; the names of what will be made, none where there is no room.
    fn order(&self, order: Order) -> Vec<String> {
        let names: Vec<_> = order.stills.iter().map(|(name, _, _)| name.clone()).collect();
        match self.inner.errands.try_send(Errand::Make(order)) {
            Ok(()) => names,
            Err(_) => {
                self.inner.metrics.pictures.dropped_total.add(names.len() as u64);
                Vec::new()
            }
        }
    }

    fn next(&self, at: Captured) -> (u64, Uuid) {
        let since = at.wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, since.as_secs(), since.subsec_nanos()));
        (self.inner.number.fetch_add(1, Ordering::Relaxed), id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.inner.state)
    }
}

// Nothing that runs under the lock leaves the album half changed.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame that is being looked at; its whole picture is taken once, however many objects are in it.
struct Looking<'a> {
    frame: &'a Frame,
    cover: &'a Cover,
    full: Option<Arc<RgbImage>>,
    most_width_px: u32,
}

impl Looking<'_> {
    fn full(&mut self) -> Option<Arc<RgbImage>> {
        if self.full.is_none() {
            self.full = still::full(&self.frame.pixels.view(), self.cover, self.most_width_px).ok().map(Arc::new);
        }
        self.full.clone()
    }
}
