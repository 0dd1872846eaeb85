//! Names that differ: two equal drives, zones or processors are called the same by their drivers, and whoever keeps numbers by name would
//! take one for the other. Pure.

use std::collections::BTreeSet;

/// The names that were given in one look.
#[derive(Debug, Default)]
pub(super) struct Names {
    given: BTreeSet<String>,
}

impl Names {
    /// The name, with a number behind it if another has it already: `nvme/Composite`, `nvme/Composite#2`. In the order of the asking, which is
    /// the kernel's, and to be asked for what has no value now, too: so that a name stays with its sensor from look to look.
    pub(super) fn unique(&mut self, name: String) -> String {
        let others = (2..).map(|n: u32| format!("{name}#{n}"));
        let free = std::iter::once(name.clone()).chain(others).find(|name| !self.given.contains(name));
        // There are more numbers than names.
        let free = free.unwrap_or(name);
        self.given.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_a_name_has_a_number_that_no_other_has() {
        let mut names = Names::default();
        let given = ["a", "a#2", "a", "b", "a"].map(|name| names.unique(name.to_owned()));
        assert_eq!(given, ["a", "a#2", "a#3", "b", "a#4"]);
    }
}
