//! The assignment of least cost: which row takes which column. Shortest augmenting paths with potentials (Jonker and Volgenant's
//! form of the Hungarian method), O(rows² · columns).

/// A dense matrix of finite costs, row after row, with at least as many columns as rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs<'a> {
    pub(super) values: &'a [f64],
    pub(super) columns: usize,
}

/// What the method keeps of each column; reused from call to call.
#[derive(Debug, Clone, Default)]
pub(super) struct Assigner {
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    /// The row that has the column.
    row_of: Vec<Option<usize>>,
    /// Least reduced cost of a path to the column, and the column before it on that path (None: the path's own row).
    distance: Vec<f64>,
    previous: Vec<Option<usize>>,
    is_done: Vec<bool>,
}

impl Assigner {
    /// For each column the row that takes it. Every row takes one.
    pub(super) fn assign(&mut self, costs: Costs<'_>) -> &[Option<usize>] {
        let rows = costs.values.len().checked_div(costs.columns).unwrap_or(0);
        debug_assert!(rows <= costs.columns, "each row needs a column");
        reset(&mut self.row_potential, rows, 0.0);
        reset(&mut self.column_potential, costs.columns, 0.0);
        reset(&mut self.row_of, costs.columns, None);
        for row in 0..rows.min(costs.columns) {
            let end = self.shortest_path(costs, row);
            self.take(row, end);
        }
        &self.row_of
    }

    /// From `row` to the nearest column that nobody has.
    fn shortest_path(&mut self, costs: Costs<'_>, row: usize) -> usize {
        reset(&mut self.distance, costs.columns, f64::INFINITY);
        reset(&mut self.previous, costs.columns, None);
        reset(&mut self.is_done, costs.columns, false);
        let (mut from, mut via, mut so_far) = (row, None, 0.0);
        loop {
            let values = &costs.values[from * costs.columns..][..costs.columns];
            let mut nearest: Option<usize> = None;
            for (column, &cost) in values.iter().enumerate() {
                if self.is_done[column] {
                    continue;
                }
                let distance = so_far + cost - self.row_potential[from] - self.column_potential[column];
                if distance < self.distance[column] {
                    (self.distance[column], self.previous[column]) = (distance, via);
                }
                // Among equals a free column ends the search at once.
                let is_nearer = nearest.is_none_or(|n| {
                    self.distance[column] < self.distance[n]
                        || (self.distance[column] == self.distance[n] && self.row_of[column].is_none())
                });
                if is_nearer {
                    nearest = Some(column);
                }
            }
            let nearest = nearest.expect("with a column for each row, one is free as long as a row searches");
            self.is_done[nearest] = true;
            so_far = self.distance[nearest];
            match self.row_of[nearest] {
                Some(next) => (from, via) = (next, Some(nearest)),
                None => {
                    self.raise_potentials(row, so_far);
                    return nearest;
                }
            }
        }
    }

    /// Keeps every reduced cost at least 0, and 0 along the path.
    fn raise_potentials(&mut self, row: usize, length: f64) {
        self.row_potential[row] += length;
        for (column, _) in self.is_done.iter().enumerate().filter(|(_, done)| **done) {
            let rest = length - self.distance[column];
            self.column_potential[column] -= rest;
            if let Some(owner) = self.row_of[column] {
                self.row_potential[owner] += rest;
            }
        }
    }

    /// Hands each column of the path that ends at `end` to the row before it.
    fn take(&mut self, row: usize, end: usize) {
        let mut column = end;
        while let Some(previous) = self.previous[column] {
            self.row_of[column] = self.row_of[previous];
            column = previous;
        }
        self.row_of[column] = Some(row);
    }
}

fn reset<T: Clone>(values: &mut Vec<T>, len: usize, value: T) {
    values.clear();
    values.resize(len, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries every permutation.
    fn least(values: &[f64], columns: usize, row: usize, taken: &mut Vec<usize>) -> f64 {
        if row * columns == values.len() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..columns {
            if !taken.contains(&column) {
                taken.push(column);
                best = best.min(values[row * columns + column] + least(values, columns, row + 1, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_assignment_costs_less(
            (columns, values) in (1_usize..6).prop_flat_map(|columns| (0..=columns).prop_flat_map(move |rows| {
                // A few round numbers among the costs make ties.
                let cost = prop_oneof![-1.0..0.0, Just(0.0), Just(-0.5)];
                (Just(columns), prop::collection::vec(cost, rows * columns))
            }))
        ) {
            let mut assigner = Assigner::default();
            let row_of = assigner.assign(Costs { values: &values, columns });
            let mut rows: Vec<usize> = row_of.iter().flatten().copied().collect();
            let cost: f64 = row_of.iter().enumerate().filter_map(|(c, r)| r.map(|r| values[r * columns + c])).sum();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..values.len() / columns).collect::<Vec<_>>());
            let best = least(&values, columns, 0, &mut Vec::new());
            prop_assert!((cost - best).abs() < 1e-12, "{cost} where {best} was possible");
        }
    }

    #[test]
    fn nothing_to_assign_is_assigned() {
        assert!(Assigner::default().assign(Costs { values: &[], columns: 0 }).is_empty());
        assert_eq!(Assigner::default().assign(Costs { values: &[], columns: 2 }), [None, None]);
    }
}
