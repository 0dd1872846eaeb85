//! Whether an alert is open, since when, and when it may be raised again; and the events that tell of it.

use std::time::Duration;

use super::Now;
use crate::config::{Alert, Between};
use crate::types::{CameraId, Captured, Event, Severity, What};

/// One alert.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    severity: Severity,
    between: Option<Between>,
    cooldown: Duration,
    open: Option<Open>,
    raised_last: Option<Duration>,
}

#[derive(Debug)]
struct Open {
    camera: Option<CameraId>,
    severity: Severity,
    since: Since,
}

/// Monotonic times of two lives cannot be compared.
#[derive(Debug, Clone, Copy)]
enum Since {
    ThisLife(Duration),
    Before { raised: Captured, restored: Duration },
}

impl State {
    pub(super) fn new(name: &str, alert: &Alert) -> Self {
        Self {
            name: name.to_owned(),
            severity: alert.severity,
            between: alert.between,
            cooldown: alert.cooldown,
            open: None,
            raised_last: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it is the time of day. A clock that was never set cannot tell; then an alert too many is better than one too few.
    pub(super) fn is_its_time(&self, now: Now) -> bool {
        !now.at.wall_synced || self.between.is_none_or(|b| b.contains(now.local_minute))
    }

    /// Whether it may be raised: it is closed, it is its time of day, and its cool-down is over.
    pub(super) fn may_raise(&self, now: Now) -> bool {
        let cool = self.raised_last.is_none_or(|last| now.at.mono.saturating_sub(last) >= self.cooldown);
        !self.is_open() && cool && self.is_its_time(now)
    }

    /// Opens it. `cause` is the event that did it, if one did.
    pub(super) fn raise(&mut self, about: About<'_>, now: Now, reason: String) -> Event {
        let camera = about.camera.cloned();
        self.open = Some(Open { camera, severity: self.severity, since: Since::ThisLife(now.at.mono) });
        self.raised_last = Some(now.at.mono);
        let what = What::AlertRaised { alert: self.name.clone(), severity: self.severity, reason };
        about.event(about.camera.cloned(), now, what)
    }

    /// Closes it; None when it was not open. It is told where the raising was: of the same camera.
    pub(super) fn clear(&mut self, about: About<'_>, now: Now, reason: String) -> Option<Event> {
        let open = self.open.take()?;
        let open_ms = open.since.ms_until(now.at);
        let what = What::AlertCleared { alert: self.name.clone(), severity: open.severity, reason, open_ms };
        Some(about.event(open.camera, now, what))
    }

    pub(super) fn restore(&mut self, raised: &Event, now: Now) {
        let What::AlertRaised { severity, .. } = raised.what else { return };
        let since = Since::Before { raised: raised.at, restored: now.at.mono };
        self.open = Some(Open { camera: raised.camera.clone(), severity, since });
    }
}

impl Since {
    /// Of an alert of a former life the wall clock tells how long it was open, if it was right both times.
    fn ms_until(self, now: Captured) -> u64 {
        let open = match self {
            Self::ThisLife(since) => now.mono.saturating_sub(since),
            Self::Before { raised, restored } => {
                let in_this_life = now.mono.saturating_sub(restored);
                let by_wall = now.wall.duration_since(raised.wall).ok();
                by_wall.filter(|_| raised.wall_synced && now.wall_synced).unwrap_or_default().max(in_this_life)
            }
        };
        u64::try_from(open.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What an alert's event says beside the alert.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About<'a> {
    pub(super) camera: Option<&'a CameraId>,
    /// The event whose track, frame and pictures are those of the alert.
    pub(super) event: Option<&'a Event>,
}

impl<'a> About<'a> {
    pub(super) fn event_of(event: &'a Event) -> Self {
        Self { camera: event.camera.as_ref(), event: Some(event) }
    }

    fn event(self, camera: Option<CameraId>, now: Now, what: What) -> Event {
        // A frame's number means something together with its camera only.
        let shown = self.event.filter(|e| e.camera == camera);
        Event {
            at: now.at,
            frame_seq: shown.and_then(|e| e.frame_seq),
            what,
            subject: shown.and_then(|e| e.subject.clone()),
            snapshots: shown.map(|e| e.snapshots.clone()).unwrap_or_default(),
            camera,
        }
    }
}

/// The end of an alert that was open and stands in the configuration no more.
pub(super) fn forgotten(name: &str, severity: Severity, raised: &Event, now: Now) -> Event {
    let open_ms = Since::Before { raised: raised.at, restored: now.at.mono }.ms_until(now.at);
    let reason = "the configuration does not have it any more".to_owned();
    let what = What::AlertCleared { alert: name.to_owned(), severity, reason, open_ms };
    About::default().event(raised.camera.clone(), now, what)
}
