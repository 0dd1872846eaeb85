//! Runs that were recorded: a graph is launched in one call where a run takes dozens. One for each kind of run, so that cameras of
//! different sizes have theirs beside each other. Where memory moves, kinds change, and graphs that name the old memory are never found
//! again.

use super::cuda::Graph;
use super::letterbox::Kind;

/// Kinds of runs that have a graph; the one that was launched longest ago makes room.
const MAX_GRAPHS: usize = 32;
/// Kinds that are counted: crops come in so many sizes that most are never seen again.
const MAX_SEEN: usize = 64;
/// Runs of a kind before it is recorded. A kind that comes once is not worth it.
const RUNS_BEFORE: u32 = 8;

/// Where one picture of a run comes from, as far as a recording depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Drawn {
    /// Numbers of the caller's.
    Floats,
    /// Planes, drawn so.
    Planes(Kind),
    /// A frame that is drawn before what is recorded.
    Surface,
}

/// The graphs of one engine. `G` is [`Graph`] but in tests.
pub(super) struct Graphs<G = Graph> {
    /// Least lately launched first.
    kept: Vec<(Vec<Drawn>, G)>,
    /// Kinds that ran without a graph, and how often; least lately run first.
    seen: Vec<(Vec<Drawn>, u32)>,
    are_possible: bool,
}

impl<G> Graphs<G> {
    /// None yet; and never any where the driver has none.
    pub(super) fn new(are_possible: bool) -> Self {
        Self { kept: Vec::new(), seen: Vec::new(), are_possible }
    }

    /// The graph of this kind of run.
    pub(super) fn find(&mut self, run: &[Drawn]) -> Option<&G> {
        let at = self.kept.iter().position(|(kind, _)| kind == run)?;
        self.kept[at..].rotate_left(1);
        self.kept.last().map(|(_, graph)| graph)
    }

    /// Whether this kind of run, which was run without a graph, is to be recorded now.
    pub(super) fn is_worth_it(&mut self, run: &[Drawn]) -> bool {
        if !self.are_possible {
            return false;
        }
        let at = self.seen.iter().position(|(kind, _)| kind == run);
        let (kind, runs) = at.map_or_else(|| (run.to_vec(), 0), |at| self.seen.remove(at));
        if runs == RUNS_BEFORE {
            return true;
        }
        if self.seen.len() == MAX_SEEN {
            self.seen.remove(0);
        }
        self.seen.push((kind, runs + 1));
        false
    }

    /// Keeps what was recorded.
    pub(super) fn keep(&mut self, run: Vec<Drawn>, graph: G) {
        if self.kept.len() == MAX_GRAPHS {
            self.kept.remove(0);
        }
        self.kept.push((run, graph));
    }

    /// This plan cannot be recorded.
    pub(super) fn give_up(&mut self) {
        self.are_possible = false;
        self.kept.clear();
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a kind as the engine does; the graph's number where it was launched.
    fn run(graphs: &mut Graphs<usize>, batch: usize) -> Option<usize> {
        let kind = vec![Drawn::Floats; batch];
        let found = graphs.find(&kind).copied();
        if found.is_none() && graphs.is_worth_it(&kind) {
            graphs.keep(kind, batch);
        }
        found
    }

    #[test]
    fn kinds_that_take_turns_have_their_graphs_beside_each_other() {
        let mut graphs = Graphs::new(true);
        for round in 0..20 {
            for batch in 1..=MAX_GRAPHS {
                let wanted = (round > RUNS_BEFORE).then_some(batch);
                assert_eq!(run(&mut graphs, batch), wanted, "round {round}");
            }
        }
    }

    #[test]
    fn a_kind_that_is_launched_stays_while_others_come_and_go() {
        let mut graphs = Graphs::new(true);
        for batch in 2..200 {
            for _ in 0..=RUNS_BEFORE {
                run(&mut graphs, batch);
                run(&mut graphs, 1);
            }
            assert_eq!((run(&mut graphs, batch), run(&mut graphs, 1)), (Some(batch), Some(1)));
        }
        assert_eq!(graphs.kept.len(), MAX_GRAPHS);
        for batch in 200..400 {
            run(&mut graphs, batch);
        }
        assert_eq!(graphs.seen.len(), MAX_SEEN);
    }

    #[test]
    fn where_there_are_none_nothing_is_counted() {
        let mut graphs = Graphs::<usize>::new(false);
        assert!((0..20).all(|_| !graphs.is_worth_it(&[Drawn::Floats])) && graphs.seen.is_empty());
    }
}
