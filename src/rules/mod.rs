//! From the tracks of one camera to events: zones, lines, dwell, crowds, counts, coming and going, standing still.
//!
//! Pure: time is an argument, and what there is to tell is handed to the caller. Belongs here: what a track did. Does not: how it is
//! followed (`track`), what follows from it (`alerts`), where events go (`store`). docs/events.md says in words what each event means.

mod geometry;
mod line;
mod present;
mod still;
#[cfg(test)]
mod tests;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::config;
use crate::types::{CameraId, Captured, Event, Subject, TrackEvent, TrackId, TrackPhase, What};
use geometry::Scale;
use line::LineRule;
use present::{HEIR_WITHIN, Present};
use zone::{ZoneRule, ms};

/// Without a frame for so long, time passes without one. Cameras deliver late, and a frame that is on its way tells more than a clock.
const QUIET: Duration = Duration::from_millis(500);

/// When something happened, and which frame shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// When.
    pub captured: Captured,
    /// The frame's number; None where no frame does.
    pub frame_seq: Option<u64>,
}

/// The rules of one camera, and all that they remember.
#[derive(Debug, Clone)]
pub struct Rules {
    camera: CameraId,
    zones: Vec<ZoneRule>,
    lines: Vec<LineRule>,
    appearances: bool,
    stopped: Option<Duration>,
    present: BTreeMap<TrackId, Present>,
    /// The newest time heard of: it never goes back, whatever frames say.
    now: Duration,
    due: Option<Duration>,
}

/// Where a moment's events go.
struct Teller<'a> {
    camera: &'a CameraId,
    moment: Moment,
    emit: &'a mut dyn FnMut(Event),
}

impl Rules {
    /// For a camera, with what its configuration asks for. Nobody is there yet.
    pub fn new(camera: &CameraId, settings: &config::Camera) -> Self {
        Self {
            camera: camera.clone(),
            zones: settings.zones.iter().map(|(name, zone)| ZoneRule::new(name, zone)).collect(),
            lines: settings.lines.iter().map(|(name, line)| LineRule::new(name, line)).collect(),
            appearances: settings.appearances,
            stopped: settings.stopped,
            present: BTreeMap::new(),
            now: Duration::ZERO,
            due: None,
        }
    }

    /// A frame was looked at: what it did to the camera's tracks, in the tracker's order; nothing where it shows nobody.
    pub fn see(&mut self, moment: Moment, steps: &[TrackEvent], emit: &mut dyn FnMut(Event)) {
        if !self.are_any() {
            return;
        }
        self.now = self.now.max(moment.captured.mono);
        let camera = self.camera.clone();
        let mut teller = Teller { camera: &camera, moment, emit };
        self.intervals_passed(&mut teller);
        // Where somebody should be is no event: what happens is told when a look has shown it.
        let (gone, seen): (Vec<&TrackEvent>, Vec<_>) = steps.iter().partition(|step| step.phase == TrackPhase::End);
        let seen_ids: BTreeSet<TrackId> = seen.iter().map(|step| step.track.id).collect();
        for step in seen.into_iter().filter(|step| step.track.lost_frames == 0) {
            self.see_track(step, &seen_ids, &mut teller);
        }
        for step in gone {
            if let Some(present) = self.present.get_mut(&step.track.id) {
                present.is_over = true;
            }
        }
        self.time_passed(&mut teller);
    }

    /// Whether something may have come due, and no frame came that would have told it: [`Rules::pass`] should be called.
    pub fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now) && now.saturating_sub(self.now) >= QUIET
    }

    /// Time passes without a frame.
    pub fn pass(&mut self, now: Captured, emit: &mut dyn FnMut(Event)) {
        self.now = self.now.max(now.mono);
        let camera = self.camera.clone();
        let mut teller = Teller { camera: &camera, moment: Moment { captured: now, frame_seq: None }, emit };
        self.intervals_passed(&mut teller);
        self.time_passed(&mut teller);
    }

    /// The camera is closed, or was silent for too long: whoever was there is not known to be there any more, and nothing is waited for.
    pub fn end(&mut self, moment: Moment, emit: &mut dyn FnMut(Event)) {
        if !self.are_any() {
            return;
        }
        self.now = self.now.max(moment.captured.mono);
        let camera = self.camera.clone();
        let mut teller = Teller { camera: &camera, moment, emit };
        for present in std::mem::take(&mut self.present).into_values() {
            self.leave(present, &mut teller);
        }
        for zone in &mut self.zones {
            teller.tell_all(zone.count(0, self.now, false), None);
        }
        for line in &mut self.lines {
            teller.tell_all(line.pass(self.now, true), None);
        }
        self.due = None;
    }

    /// A camera of which nothing is asked costs nothing.
    fn are_any(&self) -> bool {
        self.appearances || self.stopped.is_some() || !self.zones.is_empty() || !self.lines.is_empty()
    }

    fn see_track(&mut self, step: &TrackEvent, seen: &BTreeSet<TrackId>, teller: &mut Teller<'_>) {
        let now = self.now;
        let mut present = match self.present.remove(&step.track.id).or_else(|| self.heritage(step, seen)) {
            Some(mut known) => {
                known.see(step, now);
                known
            }
            None => {
                let new = Present::new(step, self.free_name(step), now, self.zones.len(), self.lines.len());
                if self.appearances {
                    teller.tell(What::Appeared, Some(&new.subject));
                }
                new
            }
        };
        // A filter may end in nonsense; it says that somebody is there, not where.
        if step.track.bbox.is_sane() {
            self.look_at(&mut present, teller);
        }
        self.present.insert(step.track.id, present);
    }

    /// Who a track is: [`Subject::uid`] of the events about it. To be asked once the frame of this step was seen.
    pub fn known_as(&self, step: &TrackEvent) -> Uuid {
        self.present.get(&step.track.id).map_or_else(|| self.free_name(step).0, |present| present.subject.uid)
    }

    /// The track's own name. Where somebody goes on with that, the track being back that was lost: the name that they do not need.
    fn free_name(&self, step: &TrackEvent) -> (Uuid, TrackId) {
        let mut name = (step.uid, step.track.id);
        // Each step leads to another one who is there, and to nobody twice: names and tracks are in use once each.
        while let Some((id, user)) = self.present.iter().find(|(_, present)| present.subject.uid == name.0) {
            name = (user.subject.track_uid(), *id);
        }
        name
    }

    /// Takes out the one that a track goes on with which nobody knows.
    fn heritage(&mut self, step: &TrackEvent, seen: &BTreeSet<TrackId>) -> Option<Present> {
        let vanished = self.present.iter().filter(|(id, _)| !seen.contains(id));
        let near = vanished.filter_map(|(id, present)| Some((present.nearness(step, self.now)?, *id)));
        let (_, id) = near.min_by(|a, b| a.0.total_cmp(&b.0))?;
        self.present.remove(&id)
    }

    fn look_at(&mut self, present: &mut Present, teller: &mut Teller<'_>) {
        let (now, subject) = (self.now, &present.subject);
        let (class, bbox, scale) = (&subject.class, &subject.bbox, Scale::of(subject.frame_px));
        for (zone, stay) in self.zones.iter().zip(&mut present.stays) {
            teller.tell_all(zone.see(stay, class, bbox, scale, now), Some(subject));
        }
        for (line, path) in self.lines.iter_mut().zip(&mut present.paths) {
            teller.tell_all(line.see(path, class, bbox, scale, now), Some(subject));
        }
        if let Some(after) = self.stopped {
            teller.tell_all(present.stillness.see(bbox, scale, now, after), Some(subject));
        }
    }

    /// All that depends on the time alone.
    fn time_passed(&mut self, teller: &mut Teller<'_>) {
        let now = self.now;
        for present in self.present.extract_if(.., |_, p| is_gone(p, now)).map(|(_, p)| p).collect::<Vec<_>>() {
            self.leave(present, teller);
        }
        for present in self.present.values_mut().filter(|p| !p.is_over) {
            for (zone, stay) in self.zones.iter().zip(&mut present.stays) {
                teller.tell_all(zone.pass(stay, now), Some(&present.subject));
            }
        }
        for (number, zone) in self.zones.iter_mut().enumerate() {
            let count = self.present.values().filter(|p| p.stays[number].is_in()).count();
            teller.tell_all(zone.count(u32::try_from(count).unwrap_or(u32::MAX), now, true), None);
        }
        self.due = self.next_due();
    }

    /// Before anything new is counted: what happens now belongs to the interval that begins.
    fn intervals_passed(&mut self, teller: &mut Teller<'_>) {
        for line in &mut self.lines {
            teller.tell_all(line.pass(self.now, false), None);
        }
    }

    /// Ends all that a track has begun.
    fn leave(&mut self, mut present: Present, teller: &mut Teller<'_>) {
        let (seen, subject) = (present.last_seen, &present.subject);
        for (line, path) in self.lines.iter_mut().zip(&mut present.paths) {
            teller.tell_all(line.leave(path, &subject.class), Some(subject));
        }
        for (zone, stay) in self.zones.iter().zip(&mut present.stays) {
            teller.tell_all(zone.leave(stay, seen), Some(subject));
        }
        teller.tell_all(present.stillness.leave(seen), Some(subject));
        if self.appearances {
            let present_ms = ms(seen.saturating_sub(present.first_seen));
            teller.tell(What::Gone { present_ms }, Some(subject));
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let gone = self.present.values().filter(|p| p.is_over).map(|p| p.last_seen + HEIR_WITHIN);
        let here = self.present.values().filter(|p| !p.is_over);
        let dwells = here.flat_map(|p| self.zones.iter().zip(&p.stays).filter_map(|(zone, stay)| zone.dwell_due(stay)));
        let zones = self.zones.iter().filter_map(ZoneRule::due);
        gone.chain(dwells).chain(zones).chain(self.lines.iter().filter_map(LineRule::due)).min()
    }
}

/// Whether the tracker has given somebody up, and it is too late for another track to go on with them.
fn is_gone(present: &Present, now: Duration) -> bool {
    present.is_over && now.saturating_sub(present.last_seen) >= HEIR_WITHIN
}

impl Teller<'_> {
    fn tell(&mut self, what: What, subject: Option<&Subject>) {
        (self.emit)(Event {
            camera: Some(self.camera.clone()),
            at: self.moment.captured,
            frame_seq: self.moment.frame_seq,
            what,
            subject: subject.cloned(),
            snapshots: Vec::new(),
        });
    }

    fn tell_all(&mut self, all: impl IntoIterator<Item = What>, subject: Option<&Subject>) {
        all.into_iter().for_each(|what| self.tell(what, subject));
    }
}
