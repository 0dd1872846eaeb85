//! The two clocks: a monotonic one for every timer and age, and the wall clock for people.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::Captured;

/// A wall clock that shows an earlier time than this (2025-01-01) was never set: a board without a battery begins in 1970.
const PLAUSIBLE_UNIX_SECS: u64 = 1_735_689_600;

/// Reads the clocks. Monotonic time counts from the moment when the clock was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    /// Begins to count.
    #[allow(clippy::disallowed_methods, reason = "the one home of the clocks")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Monotonic time since the start.
    pub fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    /// The wall clock.
    #[allow(clippy::disallowed_methods, reason = "the one home of the clocks")]
    pub fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Both clocks at once.
    pub fn now(&self) -> Captured {
        let wall = self.wall();
        Captured {
            mono: self.mono(),
            wall,
            wall_synced: wall_is_synced(wall, Path::new("/run/systemd/timesync/synchronized")),
        }
    }
}

/// systemd-timesyncd (Raspberry Pi OS, JetPack) makes the file once it has set the clock. Without it the clock counts as synchronised
/// only if no timesyncd runs at all and the time is plausible: a PC with chrony should not be called wrong for ever.
fn wall_is_synced(wall: SystemTime, marker: &Path) -> bool {
    let plausible = wall.duration_since(UNIX_EPOCH).is_ok_and(|d| d.as_secs() >= PLAUSIBLE_UNIX_SECS);
    let timesyncd_runs = marker.parent().is_some_and(Path::exists);
    plausible && (!timesyncd_runs || marker.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_1970_is_not_synchronised() {
        let absent = Path::new("/nonexistent/timesync/synchronized");
        assert!(!wall_is_synced(UNIX_EPOCH + Duration::from_secs(60), absent));
        assert!(wall_is_synced(UNIX_EPOCH + Duration::from_secs(PLAUSIBLE_UNIX_SECS), absent));
    }

    #[test]
    fn where_timesyncd_runs_its_marker_decides() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let wall = UNIX_EPOCH + Duration::from_secs(PLAUSIBLE_UNIX_SECS);
        let marker = dir.path().join("synchronized");
        assert!(!wall_is_synced(wall, &marker));
        std::fs::write(&marker, "").expect("written");
        assert!(wall_is_synced(wall, &marker));
    }
}
