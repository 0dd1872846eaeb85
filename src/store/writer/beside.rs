//! What the thread writes beside the log: damaged pieces, records that the broker refuses. What is written to the log
//! belongs to `writer.rs`.

use super::{Work, Writer};
use crate::store::aside;
use crate::store::counters::Losses;
use crate::store::inbox::Refused;

impl Writer {
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
                self.shared.acks.ring();
            }
            if was_there && kept.is_err() {
                let lost = Losses::of(*lane, 1);
                self.shared.inbox.change(|c| c.lose(lost, "the broker refused them, and the disk took no copy"));
            }
        }
    }
}
