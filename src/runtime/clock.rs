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

/// Minutes since midnight by the device's time zone (TZ, /etc/localtime); by UTC where it has none, or where the time cannot be written.
pub fn local_minute(wall: SystemTime) -> u16 {
    let Ok(stamp) = jiff::Timestamp::try_from(wall) else { return 0 };
    minute_in(stamp, jiff::tz::TimeZone::system())
}

fn minute_in(stamp: jiff::Timestamp, zone: jiff::tz::TimeZone) -> u16 {
    let local = stamp.to_zoned(zone);
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
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
    fn the_time_of_day_is_that_of_the_zone_and_of_its_season() {
        // As /etc/localtime of Berlin ends: summer time from the last Sunday of March to that of October.
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let minute = |text: &str| minute_in(text.parse().expect("a time"), zone.clone());
        assert_eq!(minute("2026-01-15T22:30:00Z"), 23 * 60 + 30);
        assert_eq!(minute("2026-07-15T22:30:00Z"), 30);
        assert_eq!(minute_in("1969-12-31T23:59:59Z".parse().expect("a time"), jiff::tz::TimeZone::UTC), 23 * 60 + 59);
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
