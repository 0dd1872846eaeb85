//! The thread "store": the only one that writes. It takes what came, gives it its names, writes it at once, makes it durable soon, and then
//! tells whoever brings it to the broker.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use uuid::Uuid;

use super::counters::{Counters, Kept, Losses};
use super::inbox::{Arrived, Contents, Refused, Rotten};
use super::index::Segment;
use super::lane::LaneLog;
use super::recover::{Recovered, recover, untold};
use super::shared::Shared;
use super::{Context, segment, sole};
use crate::types::{Captured, Event, Lane, What};

mod beside;

/// How long an event may gather others before it is made durable; the rest of the half second is the disk's. Alerts gather nothing. An SD card writes a block of 4 KiB at the least, however little there is to write.
const EVENTS_GATHER: Duration = Duration::from_millis(300);
/// A disk that takes nothing is asked so often whether it does again.
pub(super) const PROBE: Duration = Duration::from_secs(2);
/// Events taken from the inbox at once, and records that wait for `fdatasync` at most.
const BATCH: usize = 512;
/// What is too old is looked for so often.
const PRUNE: Duration = Duration::from_secs(3600);
/// Turns of the loop when nothing happens: the heart must beat then, too.
const TURN: Duration = Duration::from_millis(250);
/// Spare segments of both lanes, and one that is removed only after its successor is durable.
const RESERVE: u64 = 3 << 20;

/// What the thread takes from the inbox in one turn.
struct Work {
    events: [Vec<Arrived>; 2],
    rotten: Vec<Rotten>,
    refused: Vec<Refused>,
    settle: Vec<SyncSender<()>>,
    stop: bool,
}

/// The log of this life.
struct Log {
    counters: Counters,
    /// The counts as of what is durable: a checkpoint that knew more would leave gaps if the power went now.
    durable: Counters,
    lanes: [LaneLog; 2],
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    context: Context,
    boot: Uuid,
    /// The folder, as long as nobody else may write to it.
    held: Option<File>,
    /// None while the folder cannot even be listed, or is another process's.
    log: Option<Log>,
    /// When a lane that failed is tried again.
    failed: [Option<Duration>; 2],
    reasons: BTreeSet<&'static str>,
    /// Losses that were counted when they were told first, and whose telling was lost itself.
    told_before: Losses,
    /// When segments may be made ahead again after that failed: on a full disk each attempt takes what little room others have.
    spares_at: Duration,
    prune_at: Duration,
    /// Files of segments that were given up; they go when that is durable.
    unlink: Vec<Arc<Path>>,
}

impl Writer {
    /// Reads what is on the disk, as far as that can be done.
    pub(super) fn new(shared: Arc<Shared>, context: Context, boot: Uuid) -> Self {
        let (failed, prune_at) = ([None; 2], context.clock.mono());
        let mut writer = Self {
            shared,
            context,
            boot,
            held: None,
            log: None,
            failed,
            reasons: BTreeSet::new(),
            told_before: Losses::default(),
            spares_at: Duration::ZERO,
            prune_at,
            unlink: Vec::new(),
        };
        writer.open();
        writer
    }

    fn open(&mut self) {
        let opened = sole::hold(&self.context.dir).and_then(|held| Ok((held, recover(&self.context.dir)?)));
        match opened {
            Ok((held, recovered)) => {
                self.held = held;
                self.take_over(recovered);
            }
            Err(e) => Lane::ALL.into_iter().for_each(|lane| self.fail(lane, &e)),
        }
    }

    fn take_over(&mut self, recovered: Recovered) {
        let Recovered { index, counters, logs, rotten, lost } = recovered;
        {
            let mut open = self.shared.open();
            *self.shared.index() = index;
            *open = counters.open_alerts();
        }
        self.shared.inbox.change(|contents| {
            contents.rotten.extend(rotten);
            contents.lose(lost, "records on the disk were damaged");
        });
        self.log = Some(Log { durable: counters.clone(), counters, lanes: logs });
        self.failed = [None; 2];
        self.shared.well_all();
        self.show();
        self.shared.wake();
    }

    /// The body of the thread.
    pub(super) fn run(mut self) {
        loop {
            self.context.heart.beat();
            let work = self.next_work();
            let stop = work.stop;
            self.turn(work);
            if stop && self.is_finished() {
                return;
            }
        }
    }

    fn is_ready(&self, lane: Lane) -> bool {
        self.failed[lane as usize].is_none()
    }

    fn next_work(&mut self) -> Work {
        let now = self.context.clock.mono();
        let ready = Lane::ALL.map(|lane| self.is_ready(lane));
        let is_work = |c: &Contents| {
            let events = Lane::ALL.into_iter().any(|lane| ready[lane as usize] && c.len(lane) > 0);
            events || c.stop || !c.settle.is_empty() || !c.rotten.is_empty() || !c.refused.is_empty()
        };
        let mut contents = self.shared.inbox.wait(self.deadline(now).saturating_sub(now), is_work);
        let events = Lane::ALL.map(|lane| if ready[lane as usize] { contents.take(lane, BATCH) } else { Vec::new() });
        // Losses are only taken over where they can be told; until then the inbox adds them up.
        if let (Some(log), true) = (&mut self.log, ready[Lane::Events as usize]) {
            log.counters.lose(std::mem::take(&mut contents.lost));
            self.reasons.append(&mut contents.reasons);
        }
        let (rotten, refused) = (std::mem::take(&mut contents.rotten), std::mem::take(&mut contents.refused));
        // What a lane in trouble holds is not waited for.
        let all_taken = Lane::ALL.into_iter().all(|lane| !ready[lane as usize] || contents.len(lane) == 0);
        let settle = if all_taken { std::mem::take(&mut contents.settle) } else { Vec::new() };
        Work { events, rotten, refused, settle, stop: contents.stop }
    }

    /// When there is something to do though nobody rings.
    fn deadline(&self, now: Duration) -> Duration {
        let lanes = self.log.iter().flat_map(|log| Lane::ALL.into_iter().zip(&log.lanes));
        let syncs = lanes
            .filter(|(lane, _)| self.is_ready(*lane))
            .filter_map(|(lane, log)| Some(log.waits_since()? + gather(lane)));
        let untold = self.log.as_ref().is_some_and(|log| log.counters.has_untold()) && self.is_ready(Lane::Events);
        let others = [Some(now + TURN), untold.then_some(now)];
        syncs.chain(self.failed.into_iter().flatten()).chain(others.into_iter().flatten()).min().unwrap_or(now)
    }

    fn turn(&mut self, work: Work) {
        self.set_aside(&work);
        let now = self.context.clock.now();
        if self.log.is_none() && self.failed.iter().flatten().all(|at| *at <= now.mono) {
            self.open();
        }
        self.take_in(work.events, now.mono);
        self.tell_losses(now);
        self.drive(Lane::Events, now.mono, work.stop || !work.settle.is_empty());
        // Whoever asked may have given up meanwhile.
        for asked in &work.settle {
            let _ = asked.try_send(());
        }
        self.keep_house(now);
        self.show();
    }

    /// A camera's count runs over both lanes. So that it is in the order of what happened, and no power cut leaves a gap in it, what came
    /// before an alert is durable before the alert is, and the alert before anything is written that came after it.
    fn take_in(&mut self, [alerts, events]: [Vec<Arrived>; 2], now: Duration) {
        let mut events = events.into_iter().peekable();
        for (arrival, alert) in alerts {
            if events.peek().is_some_and(|(before, _)| *before < arrival) {
                self.drive(Lane::Alerts, now, true);
            }
            while let Some((_, event)) = events.next_if(|(before, _)| *before < arrival) {
                self.accept(Lane::Events, event, now);
            }
            self.drive(Lane::Events, now, true);
            self.accept(Lane::Alerts, alert, now);
            self.context.heart.beat();
        }
        self.drive(Lane::Alerts, now, true);
        events.for_each(|(_, event)| self.accept(Lane::Events, event, now));
    }

    fn accept(&mut self, lane: Lane, event: Event, now: Duration) {
        let Some(log) = &mut self.log else { return };
        let kept = Kept { stored: log.counters.name(event, self.boot), told: None };
        push(log, lane, kept, now);
    }

    fn tell_losses(&mut self, now: Captured) {
        let ready = self.is_ready(Lane::Events);
        let Some(log) = self.log.as_mut().filter(|_| ready) else { return };
        let Some((losses, ever)) = log.counters.tell() else { return };
        let reason = std::mem::take(&mut self.reasons).into_iter().collect::<Vec<_>>().join("; ");
        let new = losses.beyond(std::mem::take(&mut self.told_before));
        log::warn!("store: {} events are lost, {} of them alerts: {reason}", new.count, new.alerts);
        self.context.metrics.store.lost_total.add(new.count);
        self.context.metrics.store.lost_alerts_total.add(new.alerts);
        let what = What::Lost { count: losses.count, alerts: losses.alerts, reason };
        let event = Event { camera: None, at: now, frame_seq: None, what, subject: None, snapshots: Vec::new() };
        let kept = Kept { stored: log.counters.name(event, self.boot), told: Some(ever) };
        push(log, Lane::Events, kept, now.mono);
    }

    /// Writes a lane's records and makes them durable if it is time. A segment that fails is left, and another one tried at once.
    fn drive(&mut self, lane: Lane, now: Duration, at_once: bool) {
        if self.failed[lane as usize].is_some_and(|retry_at| retry_at > now) {
            return;
        }
        let tried = self.advance(lane, now, at_once).or_else(|e| {
            if self.is_ready(lane) {
                log::warn!("store: a segment of {} is left: {e}", segment::folder(lane));
            }
            self.abandon(lane);
            self.advance(lane, now, at_once)
        });
        match tried {
            Ok(()) if self.log.is_some() => self.recovered(lane),
            Ok(()) => {}
            Err(e) => {
                self.abandon(lane);
                self.fail(lane, &e);
            }
        }
    }

    fn abandon(&mut self, lane: Lane) {
        if let Some(log) = &mut self.log {
            log.lanes[lane as usize].abandon();
        }
    }

    fn advance(&mut self, lane: Lane, now: Duration, at_once: bool) -> io::Result<()> {
        loop {
            let Some(log) = &mut self.log else { return Ok(()) };
            let log = &mut log.lanes[lane as usize];
            let mut written = 0;
            let all_written = log.write(&mut written);
            self.context.metrics.store.written_bytes_total.add(written);
            if all_written? {
                let is_due = log.waits_since().is_some_and(|since| since + gather(lane) <= now);
                let is_due = is_due || at_once || log.pending() >= BATCH;
                return if is_due { self.sync(lane, now) } else { Ok(()) };
            }
            self.sync(lane, now)?;
            self.begin(lane)?;
        }
    }

    fn sync(&mut self, lane: Lane, now: Duration) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let Some(durable) = log.lanes[lane as usize].sync(now)? else { return Ok(()) };
        self.context.metrics.store.syncs_total.inc();
        durable.kept.iter().for_each(|kept| log.durable.absorb(kept));
        {
            let mut open = self.shared.open();
            self.shared.index().durable(lane, durable.end, durable.wall_ms);
            if lane == Lane::Alerts {
                *open = log.durable.open_alerts();
            }
        }
        self.shared.wake();
        Ok(())
    }

    /// Begins a segment. What has to go for it is counted in its checkpoint, and removed when that is durable: a loss is known before it happens.
    fn begin(&mut self, lane: Lane) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.lanes[lane as usize].seal();
        let budget = self.context.settings.max_bytes.saturating_sub(RESERVE + segment::size(lane));
        let gone = {
            let mut index = self.shared.index();
            index.seal(lane);
            index.make_room(budget)
        };
        for (of, segment) in gone {
            log.counters.gone_below[of as usize] = segment.end;
            let waiting = segment.waiting();
            if waiting > 0 {
                let told_before = untold(&segment);
                log.counters.lose(Losses::of(of, waiting));
                log.counters.lose(told_before);
                self.told_before.add(told_before);
                self.reasons.insert("the store is full (store.max_mb)");
            }
            self.unlink.push(segment.path);
        }
        let checkpoint = serde_json::to_vec(&log.durable.with_losses_of(&log.counters).checkpoint())?;
        let mut begun = log.lanes[lane as usize].begin(&checkpoint);
        while begun.as_ref().is_err_and(is_full) {
            // What the broker has is worth less than what it does not have yet.
            let Some(finished) = self.shared.index().pop_finished(|_| true) else { break };
            segment::remove(&finished.path)?;
            begun = log.lanes[lane as usize].begin(&checkpoint);
        }
        let begun = begun?;
        let (first, bytes) = (begun.first, begun.bytes);
        self.context.metrics.store.written_bytes_total.add(begun.written);
        let segment = Segment {
            path: begun.path,
            first,
            end: first,
            bits: Vec::new(),
            bytes,
            last_wall_ms: 0,
            begun: Some(self.context.clock.mono()),
            sealed: false,
            dirty: false,
        };
        self.shared.index().push(lane, segment);
        self.unlink.retain(|path| segment::remove(path).is_err_and(|e| e.kind() != io::ErrorKind::NotFound));
        Ok(())
    }

    /// What nobody waits for: the next segments' files, and history that is too old.
    fn keep_house(&mut self, now: Captured) {
        for (lane, log) in self.log.iter().flat_map(|log| Lane::ALL.into_iter().zip(&log.lanes)) {
            // Where this fails, the next segment will, and that is dealt with.
            if self.failed[lane as usize].is_none() && self.spares_at <= now.mono && log.prepare().is_err() {
                log::debug!("store: no spare segment for {}", segment::folder(lane));
                self.spares_at = now.mono + PROBE;
            }
        }
        // A clock that was never set would make everything too old once it is.
        if now.mono < self.prune_at || !now.wall_synced {
            return;
        }
        self.prune_at = now.mono + PRUNE;
        let keep = self.context.settings.keep;
        loop {
            let old = self.shared.index().pop_finished(|s| s.is_older_than(keep, now));
            let Some(old) = old else { return };
            if let Err(e) = segment::remove(&old.path) {
                log::warn!("store: {}: {e}", old.path.display());
            }
        }
    }

    fn fail(&mut self, lane: Lane, e: &io::Error) {
        self.failed[lane as usize] = Some(self.context.clock.mono() + PROBE);
        if self.shared.ill(lane, format!("{}: {e}", segment::folder(lane))) {
            log::error!(
                "store: {} cannot be written: {e}; events are kept in memory, trying again",
                segment::folder(lane)
            );
        }
    }

    fn recovered(&mut self, lane: Lane) {
        if self.failed[lane as usize].take().is_some() && self.shared.well(lane) {
            log::info!("store: {} is written again", segment::folder(lane));
            // What became durable was told before this was known: who waits for both would wait for ever.
            self.shared.wake();
        }
    }

    /// Whether nothing is left that could be made durable.
    fn is_finished(&self) -> bool {
        let contents = self.shared.inbox.lock();
        let Some(log) = &self.log else { return true };
        if self.is_ready(Lane::Events) && log.counters.has_untold() {
            return false;
        }
        Lane::ALL
            .into_iter()
            .filter(|lane| self.is_ready(*lane))
            .all(|lane| contents.len(lane) == 0 && log.lanes[lane as usize].pending() == 0)
    }

    fn show(&self) {
        let store = &self.context.metrics.store;
        let (waiting, bytes) = {
            let index = self.shared.index();
            (index.waiting(), index.bytes())
        };
        store.waiting.set(waiting as i64);
        store.size_bytes.set(bytes as i64);
        store.degraded.set(i64::from(self.failed.iter().any(Option::is_some)));
    }
}

fn push(log: &mut Log, lane: Lane, kept: Kept, now: Duration) {
    let (body, kind) = (serde_json::to_vec(&kept).unwrap_or_default(), kept.stored.event.what.kind());
    if body.is_empty() || !log.lanes[lane as usize].push(&body, kept, now) {
        log::error!("store: an event of {} bytes cannot be kept: {kind}", body.len());
        log.counters.lose(Losses::of(lane, 1));
    }
}

const fn gather(lane: Lane) -> Duration {
    match lane {
        Lane::Alerts => Duration::ZERO,
        Lane::Events => EVENTS_GATHER,
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
