//! Runs that were recorded: a graph is launched in one call where a run takes dozens. One for each kind of run.

use super::cuda::Graph;
use super::engine::Source;

/// Kinds of runs that are kept: batch sizes and where their pictures come from.
const MAX_GRAPHS: usize = 32;
/// Runs of a kind before it is recorded. TensorRT wants the first one of a shape not to be; and where cameras of different sizes take
/// turns, every run would be recorded and none launched.
const RUNS_BEFORE: u32 = 8;

/// The graphs of one engine.
pub(super) struct Graphs {
    kept: Vec<(Vec<Source>, Graph)>,
    /// Kinds that ran without a graph, and how often since memory moved last.
    seen: Vec<(Vec<Source>, u32)>,
    are_possible: bool,
}

impl Graphs {
    /// None yet; and never any where the driver has none.
    pub(super) fn new(are_possible: bool) -> Self {
        Self { kept: Vec::new(), seen: Vec::new(), are_possible }
    }

    /// The graph of this kind of run.
    pub(super) fn find(&self, sources: &[Source]) -> Option<&Graph> {
        self.kept.iter().find(|(kind, _)| kind == sources).map(|(_, graph)| graph)
    }

    /// Whether this kind of run is to be recorded now.
    pub(super) fn is_worth_it(&mut self, sources: &[Source]) -> bool {
        if !self.are_possible || self.kept.len() >= MAX_GRAPHS {
            return false;
        }
        match self.seen.iter_mut().find(|(kind, _)| kind == sources) {
            Some((_, runs)) => {
                *runs += 1;
                *runs > RUNS_BEFORE
            }
            None => {
                self.seen.push((sources.to_vec(), 1));
                false
            }
        }
    }

    /// Keeps what was recorded.
    pub(super) fn keep(&mut self, sources: Vec<Source>, graph: Graph) {
        self.kept.push((sources, graph));
    }

    /// Memory has moved, or what is drawn has changed: what was recorded is wrong now.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.seen.clear();
    }

    /// This plan cannot be recorded.
    pub(super) fn give_up(&mut self) {
        self.are_possible = false;
        self.kept.clear();
    }
}
