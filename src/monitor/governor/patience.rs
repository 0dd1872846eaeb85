//! What became of giving back: a level that proved too much is not tried again soon, unless readings say that things have changed. Pure.
//!
//! Belongs here: which level may be tried when. Does not: whether there is room to spare at all (see `gauge.rs`).
//!
//! The steps of a ladder are large. Where one level breaks a limit and the next has more than enough room, hysteresis alone would go up and
//! down between the two for ever. So each failure multiplies the time to the next try.

use std::time::Duration;

use super::gauge::{Gauge, Limit};

/// After a failure, the time to the next try is so many holds, and for each further failure as many times longer.
const GROWTH: u32 = 4;
/// It is not longer than so many holds: an hour, as it comes.
const MOST_HOLDS: u32 = 60;
/// A level that held for so many holds was no mistake when it was given back: half an hour, as it comes. A large heat sink (300 s) needs 15
/// minutes to reach a limit that is 5 % below where it is going.
const PROVEN_HOLDS: u32 = 30;

/// One level's history.
#[derive(Debug, Clone, Default)]
struct Record {
    /// When it was last given back to, and what the gauges said then.
    tried: Option<(Duration, Vec<(Limit, f64)>)>,
    failed: Option<Failed>,
}

#[derive(Debug, Clone)]
struct Failed {
    at: Duration,
    wait: Duration,
    limit: Limit,
    /// What that gauge had said when the level was tried; None if it said nothing.
    from: Option<f64>,
}

/// Every level's history.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    hold: Duration,
    levels: Vec<Record>,
}

impl Patience {
    /// For levels from 0 to `highest`.
    pub(super) fn new(hold: Duration, highest: usize) -> Self {
        Self { hold, levels: vec![Record::default(); highest + 1] }
    }

    /// A level is given back to.
    pub(super) fn tried(&mut self, level: usize, gauges: &[Gauge], now: Duration) {
        let said = gauges.iter().filter_map(|g| Some((g.limit, g.trend()?.value))).collect();
        self.levels[level].tried = Some((now, said));
    }

    /// A level proved too much for a limit.
    pub(super) fn left(&mut self, level: usize, limit: Limit, now: Duration) {
        let (hold, record) = (self.hold, &mut self.levels[level]);
        let on_trial = record.tried.take().filter(|(at, _)| now.saturating_sub(*at) < hold * PROVEN_HOLDS);
        record.failed = on_trial.map(|(_, said)| Failed {
            at: now,
            wait: record.failed.as_ref().map_or(hold, |f| f.wait).saturating_mul(GROWTH).min(hold * MOST_HOLDS),
            limit,
            from: said.iter().find(|(l, _)| *l == limit).map(|(_, value)| *value),
        });
    }

    /// Whether a level may be tried: it never failed, or not of late, or what it failed of is far lower than it was then.
    pub(super) fn allows(&self, level: usize, gauges: &[Gauge], now: Duration) -> bool {
        let Some(failed) = &self.levels[level].failed else { return true };
        let over = now.saturating_sub(failed.at) >= failed.wait;
        let changed = || {
            let gauge = gauges.iter().find(|g| g.limit == failed.limit)?;
            Some(gauge.trend()?.value <= failed.from? - gauge.limit.margin(gauge.bound))
        };
        over || changed().unwrap_or(false)
    }
}
