//! The worker that turns stills into JPEG files and keeps their folder within its bounds. It waits for the disk so that no engine has to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::shelf::{self, Item, Kind, Shelf};
use super::{disk, still};
use crate::pixels::Cover;
use crate::runtime::{Clock, Heart, Stop, Worker};
use crate::telemetry::Metrics;
use crate::types::{CameraId, Captured, Rect, RgbImage};

/// How long the worker sleeps at most when nobody asks for a picture, so that it beats and old pictures go.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// A finished picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Which camera.
    pub camera: CameraId,
    /// What it shows.
    pub kind: Kind,
    /// Its name below the folder of snapshots, as the event has it.
    pub name: String,
    /// When its frame was captured.
    pub captured: Captured,
    /// The masks that are burnt in.
    pub cover: Cover,
    /// JPEG.
    pub jpeg: Vec<u8>,
}

/// What is to be made.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) camera: CameraId,
    pub(super) captured: Captured,
    /// The masks that are burnt into its stills.
    pub(super) cover: Cover,
    pub(super) frame_px: (u32, u32),
    /// Drawn into the whole frame.
    pub(super) bbox: Option<Rect>,
    pub(super) stills: Vec<(String, Kind, Arc<RgbImage>)>,
}

/// What reaches the worker.
#[derive(Debug)]
pub(super) enum Errand {
    Make(Order),
    End,
}

/// Whether a camera of this name has these masks.
pub(super) type AreMasks = Box<dyn Fn(&str, &Cover) -> bool + Send>;

/// Who hears of finished pictures.
pub type Tell = Box<dyn Fn(Picture) + Send>;

/// The worker's end that the program holds.
#[derive(Debug)]
pub struct Maker {
    pub(super) worker: Worker,
    pub(super) errands: SyncSender<Errand>,
    pub(super) stop: Stop,
}

impl Maker {
    /// Whether it has ended, which it does only when it is stopped, or by a fault.
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Makes what was ordered, within this time; false when it took longer.
    pub fn stop(self, clock: &Clock, at_most: Duration) -> bool {
        self.stop.set();
        // A full queue wakes the worker as well.
        let _ = self.errands.try_send(Errand::End);
        self.worker.join_within(clock, at_most)
    }
}

/// What the worker's thread has.
pub(super) struct Bench {
    pub(super) folder: PathBuf,
    pub(super) quality: u8,
    pub(super) shelf: Shelf,
    /// Pictures with a smaller number were removed.
    pub(super) kept_from: Arc<AtomicU64>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) heart: Heart,
    /// Whether these are a camera's masks now.
    pub(super) are_its_masks: AreMasks,
    pub(super) tell: Tell,
}

impl Bench {
    pub(super) fn run(mut self, errands: &Receiver<Errand>, stop: &Stop) {
        loop {
            self.heart.beat();
            let within = if stop.is_set() { Duration::ZERO } else { LOOK_AROUND };
            match errands.recv_timeout(within) {
                Ok(Errand::Make(order)) => self.make(order),
                Err(RecvTimeoutError::Timeout) if stop.is_set() => return,
                Ok(Errand::End) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.clear_up();
        }
    }

    fn make(&mut self, order: Order) {
        if !(self.are_its_masks)(&order.camera, &order.cover) {
            // What is masked now may be seen in them.
            self.metrics.pictures.failed_total.add(order.stills.len() as u64);
            log::warn!(camera = &*order.camera, stage = "pictures"; "pictures from before a change of masks are not made");
            return;
        }
        for (name, kind, pixels) in order.stills {
            let drawn = match (kind, order.bbox) {
                (Kind::Full, Some(bbox)) => Arc::new(still::with_box(&pixels, bbox, order.frame_px)),
                _ => pixels,
            };
            match encode(&drawn, self.quality).and_then(|jpeg| self.keep(&name, &jpeg).map(|()| jpeg)) {
                Ok(jpeg) => {
                    self.metrics.pictures.written_total.inc();
                    let (camera, captured, cover) = (Arc::clone(&order.camera), order.captured, order.cover.clone());
                    (self.tell)(Picture { camera, kind, name, captured, cover, jpeg });
                }
                Err(e) => {
                    self.metrics.pictures.failed_total.inc();
                    log::warn!(camera = &*order.camera, stage = "pictures"; "a picture is lost: {e}");
                }
            }
        }
    }

    fn keep(&mut self, name: &str, jpeg: &[u8]) -> io::Result<()> {
        let mut written = disk::write(&self.folder, name, jpeg);
        // Events matter more than pictures: those that are there make room, and only once, since the disk may be full for other reasons.
        if written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::StorageFull) {
            let oldest = self.shelf.tenth();
            self.remove(oldest);
            written = disk::write(&self.folder, name, jpeg);
        }
        written?;
        let (bytes, written) = (jpeg.len() as u64, self.clock.wall());
        self.shelf.add(Item { name: name.to_owned(), bytes, written });
        Ok(())
    }

    fn clear_up(&mut self) {
        let now = self.clock.now();
        let surplus = self.shelf.surplus(now.wall_synced.then_some(now.wall));
        self.remove(surplus);
        self.metrics.pictures.files.set(self.shelf.len() as i64);
        self.metrics.pictures.bytes.set(i64::try_from(self.shelf.bytes()).unwrap_or(i64::MAX));
    }

    fn remove(&self, items: Vec<Item>) {
        for item in items {
            // Said before it is gone: whoever looks now orders another one in its place.
            if let Some(number) = shelf::number(&item.name) {
                self.kept_from.fetch_max(number + 1, Ordering::Relaxed);
            }
            match disk::remove(&self.folder, &item.name) {
                Ok(()) => self.metrics.pictures.removed_total.inc(),
                // It is found again at the next start.
                Err(e) => log::warn!(stage = "pictures"; "{} cannot be removed: {e}", item.name),
            }
        }
    }
}

/// JPEG of a still.
pub(super) fn encode(still: &RgbImage, quality: u8) -> io::Result<Vec<u8>> {
    let mut jpeg = Vec::with_capacity(still.data.len() / 8);
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .encode(&still.data, still.width_px, still.height_px, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(jpeg)
}
