//! What must go on over restarts: ids that sort, a gapless count for each camera, which alerts are open, what was lost and told. Pure, but
//! for the random part of an id.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

use crate::types::{CameraId, Event, Lane, Stored, What};

/// Events that are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Losses {
    /// All of them.
    pub(super) count: u64,
    /// Alerts among them.
    pub(super) alerts: u64,
}

impl Losses {
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.alerts += other.alerts;
    }

    /// So many of one lane.
    pub(super) const fn of(lane: Lane, count: u64) -> Self {
        match lane {
            Lane::Alerts => Self { count, alerts: count },
            Lane::Events => Self { count, alerts: 0 },
        }
    }

    fn max(self, other: Self) -> Self {
        Self { count: self.count.max(other.count), alerts: self.alerts.max(other.alerts) }
    }

    pub(super) fn beyond(self, other: Self) -> Self {
        Self { count: self.count.saturating_sub(other.count), alerts: self.alerts.saturating_sub(other.alerts) }
    }
}

/// An event's body on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) stored: Stored,
    /// With [`What::Lost`]: all losses ever told, this one included. A loss is thereby told once, whenever the power goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<Losses>,
}

/// The first record of each segment: what can be known without the segments before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    last_ms: u64,
    seqs: Vec<(Option<CameraId>, u64)>,
    open: Vec<Stored>,
    /// Records of alerts and of events below these numbers were given up, even if their files are still there.
    pub(super) gone_below: [u64; 2],
    lost: Losses,
    told: Losses,
}

/// The counts as they are now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counters {
    last_ms: u64,
    seqs: BTreeMap<Option<CameraId>, u64>,
    open: BTreeMap<(Option<CameraId>, String), Stored>,
    pub(super) gone_below: [u64; 2],
    lost: Losses,
    told: Losses,
}

impl Counters {
    /// Goes on from a checkpoint. Open alerts are those of the alerts' lane alone: the other one's are older.
    pub(super) fn resume(&mut self, from: Checkpoint, lane: Lane) {
        self.last_ms = self.last_ms.max(from.last_ms);
        for (camera, seq) in from.seqs {
            let known = self.seqs.entry(camera).or_default();
            *known = seq.max(*known);
        }
        if lane == Lane::Alerts {
            self.open = from.open.into_iter().filter_map(|s| Some((alert(&s.event)?, s))).collect();
        }
        for (known, number) in self.gone_below.iter_mut().zip(from.gone_below) {
            *known = number.max(*known);
        }
        self.lost = self.lost.max(from.lost);
        self.told = self.told.max(from.told);
    }

    /// Goes on from a record.
    pub(super) fn absorb(&mut self, kept: &Kept) {
        let stored = &kept.stored;
        self.last_ms = self.last_ms.max(id_ms(stored.id));
        let seq = self.seqs.entry(stored.event.camera.clone()).or_default();
        *seq = stored.seq.max(*seq);
        self.told = self.told.max(kept.told.unwrap_or_default());
        self.lost = self.lost.max(self.told);
        self.alerts(stored);
    }

    /// Takes over what is gone: unlike all else it counts before it is durable.
    pub(super) fn with_losses_of(&mut self, live: &Self) -> &Self {
        (self.gone_below, self.lost) = (live.gone_below, live.lost);
        self
    }

    /// What the next segment begins with.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            last_ms: self.last_ms,
            seqs: self.seqs.iter().map(|(camera, seq)| (camera.clone(), *seq)).collect(),
            open: self.open.values().cloned().collect(),
            gone_below: self.gone_below,
            lost: self.lost,
            told: self.told,
        }
    }

    /// Gives an event its names. Ids grow by a millisecond at least, so that they sort though the wall clock stands still or goes back.
    pub(super) fn name(&mut self, mut event: Event, boot: Uuid) -> Stored {
        event.at.wall = event.at.wall.max(UNIX_EPOCH);
        self.last_ms = wall_ms(event.at.wall).max(self.last_ms + 1);
        let (secs, nanos) = (self.last_ms / 1000, (self.last_ms % 1000) as u32 * 1_000_000);
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, secs, nanos));
        let seq = self.seqs.entry(event.camera.clone()).or_default();
        *seq += 1;
        let stored = Stored { id, boot, seq: *seq, event };
        self.alerts(&stored);
        stored
    }

    /// Events are gone.
    pub(super) fn lose(&mut self, losses: Losses) {
        self.lost.add(losses);
    }

    /// What was lost and not told yet, and the sum that is told with it; from here on it counts as told.
    pub(super) fn tell(&mut self) -> Option<(Losses, Losses)> {
        let untold = self.lost.beyond(self.told);
        self.told = self.lost;
        (untold != Losses::default()).then_some((untold, self.told))
    }

    /// Whether something was lost and not told.
    pub(super) fn has_untold(&self) -> bool {
        self.lost != self.told
    }

    /// Alerts that were raised and not cleared.
    pub(super) fn open_alerts(&self) -> Vec<Stored> {
        self.open.values().cloned().collect()
    }

    fn alerts(&mut self, stored: &Stored) {
        let Some(key) = alert(&stored.event) else { return };
        if matches!(stored.event.what, What::AlertRaised { .. }) {
            self.open.insert(key, stored.clone());
        } else {
            self.open.remove(&key);
        }
    }
}

fn alert(event: &Event) -> Option<(Option<CameraId>, String)> {
    event.is_alert().then(|| (event.camera.clone(), event.what.place().to_owned()))
}

/// Milliseconds since 1970, which is the earliest time that an event can carry.
pub(super) fn wall_ms(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn id_ms(id: Uuid) -> u64 {
    (id.as_u128() >> 80) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::samples::{alert_cleared, alert_raised, event};
    use super::*;

    proptest! {
        #[test]
        fn ids_sort_and_counts_have_no_gap_whatever_the_wall_clock_does(
            walls in prop::collection::vec(prop_oneof![0_u64..100_000, 1_700_000_000_000_u64..1_900_000_000_000], 1..40),
            restart_at in 0_usize..40,
        ) {
            let mut counters = Counters::default();
            let mut before: Option<Stored> = None;
            for (i, wall) in walls.into_iter().enumerate() {
                if i == restart_at {
                    let mut next = Counters::default();
                    next.resume(counters.checkpoint(), Lane::Alerts);
                    prop_assert_eq!(&next, &counters);
                    counters = next;
                }
                let mut event = event("front", 0);
                event.at.wall = UNIX_EPOCH + Duration::from_millis(wall);
                let stored = counters.name(event, Uuid::nil());
                if let Some(before) = before {
                    prop_assert!(before.id < stored.id);
                    prop_assert_eq!(before.seq + 1, stored.seq);
                }
                before = Some(stored);
            }
        }
    }

    #[test]
    fn a_time_before_1970_counts_as_1970() {
        let mut early = event("front", 0);
        early.at.wall = UNIX_EPOCH - Duration::from_secs(5);
        let stored = Counters::default().name(early, Uuid::nil());
        assert_eq!(stored.event.at.wall, UNIX_EPOCH);
        assert!(serde_json::to_string(&stored).is_ok());
    }

    #[test]
    fn an_alert_is_open_from_raised_to_cleared() {
        let mut counters = Counters::default();
        counters.name(alert_raised("front", "intruder"), Uuid::nil());
        counters.name(alert_raised("back", "intruder"), Uuid::nil());
        counters.name(alert_cleared("front", "intruder"), Uuid::nil());
        let open: Vec<_> = counters.open_alerts().into_iter().filter_map(|s| s.event.camera).collect();
        assert_eq!(open, [CameraId::from("back")]);
    }

    #[test]
    fn a_loss_is_told_once_over_restarts() {
        let mut counters = Counters::default();
        counters.lose(Losses { count: 7, alerts: 1 });
        let mut next = Counters::default();
        next.resume(counters.checkpoint(), Lane::Events);
        let (now, ever) = next.tell().expect("not told yet");
        assert_eq!((now.count, now.alerts), (7, 1));
        assert!(next.tell().is_none());
        // The power goes after the telling, before any other checkpoint.
        let stored = next.name(event("front", 0), Uuid::nil());
        let mut after = Counters::default();
        after.resume(counters.checkpoint(), Lane::Events);
        after.absorb(&Kept { stored, told: Some(ever) });
        assert!(after.tell().is_none());
    }

    #[test]
    fn what_is_kept_reads_back_as_it_was() {
        let stored = Counters::default().name(event("front", 3), Uuid::nil());
        let kept = Kept { stored, told: Some(Losses { count: 1, alerts: 0 }) };
        let json = serde_json::to_vec(&kept).expect("written");
        assert_eq!(serde_json::from_slice::<Kept>(&json).expect("read"), kept);
    }
}
