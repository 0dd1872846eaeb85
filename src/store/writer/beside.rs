//! What the thread writes beside the log: acknowledgements, damaged pieces, records that the broker refuses. What is written to the log
//! belongs to `writer.rs`.

use std::io;
use std::time::Duration;

use super::{PROBE, Work, Writer};
use crate::store::counters::Losses;
use crate::store::inbox::Refused;
use crate::store::{aside, segment};

/// How long acknowledgements gather; those that are lost by a kill cost a duplicate each.
pub(super) const ACKS_GATHER: Duration = Duration::from_millis(1);

impl Writer {
    pub(super) fn are_acks_due(&self, now: Duration) -> bool {
        self.acks_since.is_some_and(|since| since + ACKS_GATHER <= now)
    }

    pub(super) fn set_aside(&mut self, work: &Work) {
        for rotten in &work.rotten {
            match aside::keep_rotten(&self.context.dir, rotten) {
                Ok(false) => continue,
                Ok(true) => log::warn!(
                    "store: {} bytes of {} are no record, they are in rotten/",
                    rotten.bytes.len(),
                    rotten.from
                ),
                Err(e) => log::warn!("store: {} bytes of {} are no record: {e}", rotten.bytes.len(), rotten.from),
            }
            self.context.metrics.store.rotten_total.inc();
        }
        if !work.refused.is_empty() {
            self.set_aside_refused(&work.refused);
        }
    }

    fn set_aside_refused(&mut self, refused: &[Refused]) {
        self.context.metrics.store.refused_total.add(refused.len() as u64);
        let kept = aside::keep_refused(&self.context.dir, refused, self.context.clock.now());
        if let Err(e) = &kept {
            log::warn!("store: {} records that the broker refuses cannot be set aside: {e}", refused.len());
        }
        // Only now may they count as done on the disk.
        for Refused { lane, number, .. } in refused {
            let was_there = self.shared.index().done(*lane, *number);
            if was_there {
                self.acks_since.get_or_insert(self.context.clock.mono());
            }
            if was_there && kept.is_err() {
                let lost = Losses::of(*lane, 1);
                self.shared.inbox.change(|c| c.lose(lost, "the broker refused them, and the disk took no copy"));
            }
        }
    }

    /// Writes acknowledgements to their segments. Nobody waits for them to be durable: the kernel brings them to the disk within half a minute.
    pub(super) fn write_bits(&mut self) {
        self.acks_since = None;
        let dirty = self.shared.index().take_dirty();
        for (path, bits) in dirty {
            match segment::write_bits(&path, &bits) {
                Ok(bytes) => self.context.metrics.store.written_bytes_total.add(bytes as u64),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    log::debug!("store: {}: acknowledgements are not written: {e}", path.display());
                    self.shared.index().still_dirty(&path);
                    self.acks_since = Some(self.context.clock.mono() + PROBE);
                }
            }
        }
    }
}
