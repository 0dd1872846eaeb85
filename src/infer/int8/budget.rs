//! What one model may use at most, so that a hostile file is refused before it has filled the memory or taken the time.
//!
//! Belongs here: limits on sums over the whole model. Does not: limits on one number of the file, which stand where it is read.

use super::build::Refusal;

/// Bytes of all buffers together, borders included: a file that wants more is hostile or meant for another kind of machine.
pub(super) const MAX_BYTES: usize = 1 << 30;
/// Bytes of all packed weights together: YOLOv8x has 68 million. Grouped filters grow when they are written out.
const MAX_WEIGHTS: usize = 1 << 28;
/// Tables of one channel: each takes a kilobyte.
const MAX_TABLES: usize = 1 << 19;
/// Operations and tensors that are stored. Large networks have some thousand; ordering them takes time with the square.
const MAX_STEPS: usize = 1 << 13;
/// Operations that are looked at to see what depends on what.
const MAX_SEARCHED: usize = 1 << 28;

/// What was used so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: usize,
    weights: usize,
    tables: usize,
    steps: usize,
    searched: usize,
}

impl Budget {
    /// Counts memory for tensors.
    pub(super) fn store(&mut self, bytes: usize) -> Result<(), Refusal> {
        spend(&mut self.bytes, bytes, MAX_BYTES, "bytes of tensors")
    }

    /// Counts weights before they are read: those of so many outputs with a filter of so many taps over so many inputs each.
    pub(super) fn weigh(&mut self, outputs: usize, taps: usize, inputs: usize) -> Result<(), Refusal> {
        // As kernels pack them, outputs go by sixteen and inputs by four.
        let rounded = (outputs.checked_next_multiple_of(16), inputs.checked_next_multiple_of(4));
        let bytes = rounded.0.zip(rounded.1).and_then(|(o, i)| o.checked_mul(taps)?.checked_mul(i));
        spend(&mut self.weights, bytes.unwrap_or(usize::MAX), MAX_WEIGHTS, "weights")
    }

    /// Counts tables that channels have for themselves.
    pub(super) fn tabulate(&mut self, tables: usize) -> Result<(), Refusal> {
        spend(&mut self.tables, tables, MAX_TABLES, "tables")
    }

    /// Counts one more thing that is done or stored.
    pub(super) fn step(&mut self) -> Result<(), Refusal> {
        spend(&mut self.steps, 1, MAX_STEPS, "operations")
    }

    /// Counts operations that are looked at in a search.
    pub(super) fn search(&mut self, operations: usize) -> Result<(), Refusal> {
        spend(&mut self.searched, operations, MAX_SEARCHED, "operations to look at")
    }
}

fn spend(used: &mut usize, more: usize, most: usize, what: &str) -> Result<(), Refusal> {
    let total = used.checked_add(more).filter(|&n| n <= most);
    *used = total.ok_or_else(|| format!("the model has more than {most} {what}"))?;
    Ok(())
}
