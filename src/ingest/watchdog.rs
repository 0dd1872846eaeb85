//! When silence is a stall. Pure: the monotonic time is an argument, and no GStreamer message is ever asked, since rtspsrc reports nothing for
//! a camera that answers PLAY and stays silent.

use std::time::Duration;

use crate::config;

/// Watches the frames of one session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watchdog {
    stall_after: Duration,
    first_frame_within: Duration,
    since: Duration,
    frames_seen: bool,
}

impl Watchdog {
    /// A session begins.
    pub(super) fn new(settings: &config::Ingest, now: Duration) -> Self {
        Self {
            stall_after: settings.stall_after,
            first_frame_within: settings.first_frame_within,
            since: now,
            frames_seen: false,
        }
    }

    /// A frame came, or its taker has just let go of us: silence begins now.
    pub(super) fn frame(&mut self, now: Duration) {
        self.since = now;
        self.frames_seen = true;
    }

    /// Why the session is stalled, if it is.
    pub(super) fn stalled(&self, now: Duration) -> Option<String> {
        let limit = if self.frames_seen { self.stall_after } else { self.first_frame_within };
        if now.saturating_sub(self.since) < limit {
            return None;
        }
        let what = if self.frames_seen { "no frame for" } else { "no first frame within" };
        Some(format!("{what} {:.1} s", limit.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn the_first_frame_may_take_longer_than_the_next_one() {
        let mut w =
            Watchdog { stall_after: secs(3), first_frame_within: secs(10), since: secs(100), frames_seen: false };
        assert_eq!(w.stalled(secs(109)), None);
        assert_eq!(w.stalled(secs(110)).as_deref(), Some("no first frame within 10.0 s"));
        w.frame(secs(109));
        assert_eq!(w.stalled(secs(111)), None);
        assert_eq!(w.stalled(secs(112)).as_deref(), Some("no frame for 3.0 s"));
    }

    #[test]
    fn a_time_before_the_last_frame_is_no_stall() {
        let mut w = Watchdog { stall_after: secs(3), first_frame_within: secs(10), since: secs(0), frames_seen: false };
        w.frame(secs(50));
        assert_eq!(w.stalled(secs(10)), None);
    }
}
