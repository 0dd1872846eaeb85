//! How often a camera's detections and a track's updates may go out. Pure: the frame's capture time is the only clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::config;
use crate::types::{CameraId, CameraState, Report, TrackPhase};

/// A track that has been silent for this long ended without saying so (its camera was reconfigured); its place is given back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// The places are looked through when there are more than this, so that looking costs nothing in ordinary times.
const MANY_TRACKS: usize = 1024;

/// Lets reports through at the configured rates.
#[derive(Debug)]
pub struct Pace {
    detections_every: Option<Duration>,
    updates_every: Option<Duration>,
    cameras: HashMap<CameraId, Duration>,
    tracks: HashMap<uuid::Uuid, (CameraId, Duration)>,
    look_again_above: usize,
}

impl Pace {
    /// With the owner's limits.
    pub fn new(settings: &config::Publish) -> Self {
        Self {
            detections_every: period(settings.detections_hz),
            updates_every: period(settings.track_updates_hz),
            cameras: HashMap::new(),
            tracks: HashMap::new(),
            look_again_above: MANY_TRACKS,
        }
    }

    /// Whether the report may go out; if so, it counts against the rate.
    pub fn allows(&mut self, report: &Report) -> bool {
        match report {
            Report::Sighting(s) => {
                let Some(every) = self.detections_every else { return false };
                match self.cameras.get_mut(&s.camera) {
                    Some(due) => advance(due, s.captured.mono, every),
                    None => {
                        self.cameras.insert(s.camera.clone(), s.captured.mono + every);
                        true
                    }
                }
            }
            Report::Track(t) => match t.phase {
                TrackPhase::New => {
                    self.remember(t.uid, &t.camera, t.captured.mono);
                    true
                }
                TrackPhase::End => {
                    self.tracks.remove(&t.uid);
                    true
                }
                TrackPhase::Update => {
                    let Some(every) = self.updates_every else { return false };
                    if let Some((_, due)) = self.tracks.get_mut(&t.uid) {
                        return advance(due, t.captured.mono, every);
                    }
                    self.remember(t.uid, &t.camera, t.captured.mono);
                    true
                }
            },
            Report::Camera(c) => {
                if c.state == CameraState::Stopped {
                    self.cameras.remove(&c.camera);
                    self.tracks.retain(|_, (camera, _)| *camera != c.camera);
                }
                true
            }
            Report::Engine(_) => true,
        }
    }

    fn remember(&mut self, uid: uuid::Uuid, camera: &CameraId, now: Duration) {
        let Some(every) = self.updates_every else { return };
        if self.tracks.len() >= self.look_again_above {
            self.tracks.retain(|_, (_, due)| now < *due + FORGOTTEN_AFTER);
            self.look_again_above = (self.tracks.len() * 2).max(MANY_TRACKS);
        }
        self.tracks.insert(uid, (camera.clone(), now + every));
    }
}

/// The time between two messages; None for a rate of 0, which turns them off.
fn period(hz: f64) -> Option<Duration> {
    (hz > 0.0).then(|| Duration::try_from_secs_f64(1.0 / hz).unwrap_or(Duration::MAX / 4))
}

/// Steps from due time to due time, not from message to message: at 25 frames and 10 messages a second, every message waiting for the frame
/// after its time would make it 8.3. After a silence the steps begin anew, so that no burst follows.
fn advance(due: &mut Duration, now: Duration, every: Duration) -> bool {
    // Frame times jitter; a frame that comes a little early is the one that was meant.
    let slack = every / 16;
    if now + slack < *due {
        return false;
    }
    *due = if now < *due + every { *due + every } else { now + every };
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::samples;

    fn pace(detections_hz: f64, track_updates_hz: f64) -> Pace {
        Pace::new(&config::Publish { detections_hz, track_updates_hz })
    }

    fn passed(pace: &mut Pace, fps: u32, secs: u32, report: impl Fn(Duration) -> Report) -> u32 {
        let at = |i: u32| Duration::from_secs(1) * i / fps;
        (0..fps * secs).map(|i| u32::from(pace.allows(&report(at(i))))).sum()
    }

    #[test]
    fn detections_keep_their_rate_whatever_the_frame_rate() {
        for (fps, hz, want) in [(25, 10.0, 100), (30, 1.0, 10), (5, 10.0, 50), (25, 0.5, 5), (25, 0.0, 0)] {
            let sent = passed(&mut pace(hz, 1.0), fps, 10, |at| samples::sighting("yard", at));
            assert!(sent.abs_diff(want) <= 1, "{hz} Hz of {fps} fps for 10 s: {sent}");
        }
    }

    #[test]
    fn cameras_do_not_share_a_rate() {
        let mut pace = pace(1.0, 1.0);
        assert!(pace.allows(&samples::sighting("a", Duration::ZERO)));
        assert!(pace.allows(&samples::sighting("b", Duration::ZERO)));
        assert!(!pace.allows(&samples::sighting("a", Duration::from_millis(100))));
    }

    #[test]
    fn a_silence_is_followed_by_no_burst() {
        let mut pace = pace(10.0, 1.0);
        assert!(pace.allows(&samples::sighting("a", Duration::ZERO)));
        let late = Duration::from_secs(60);
        assert!(pace.allows(&samples::sighting("a", late)));
        assert!(!pace.allows(&samples::sighting("a", late + Duration::from_millis(40))));
    }

    #[test]
    fn a_track_is_born_and_ends_at_once_and_is_updated_at_its_rate() {
        let mut pace = pace(1.0, 2.0);
        let uid = samples::uid(7);
        let step = |phase, ms| samples::track_of("yard", uid, phase, Duration::from_millis(ms));
        assert!(pace.allows(&step(TrackPhase::New, 0)));
        assert!(!pace.allows(&step(TrackPhase::Update, 40)));
        assert!(pace.allows(&step(TrackPhase::Update, 500)));
        assert!(!pace.allows(&step(TrackPhase::Update, 540)));
        assert!(pace.allows(&step(TrackPhase::End, 580)));
        assert!(pace.tracks.is_empty());
    }

    #[test]
    fn without_updates_tracks_still_begin_and_end() {
        let mut pace = pace(0.0, 0.0);
        let step = |phase| samples::track_of("yard", samples::uid(1), phase, Duration::ZERO);
        assert!(pace.allows(&step(TrackPhase::New)) && pace.allows(&step(TrackPhase::End)));
        assert!(!pace.allows(&step(TrackPhase::Update)));
    }

    #[test]
    fn tracks_that_never_ended_are_forgotten() {
        let mut pace = pace(1.0, 1.0);
        for n in 0..10_000_u32 {
            pace.allows(&samples::track_of("a", samples::uid(n), TrackPhase::New, Duration::from_secs(n.into())));
        }
        assert!(pace.tracks.len() <= 2 * MANY_TRACKS, "{}", pace.tracks.len());
        pace.allows(&samples::camera("a", CameraState::Stopped, Duration::ZERO));
        assert!(pace.tracks.is_empty());
    }
}
