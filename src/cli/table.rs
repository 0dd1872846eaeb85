//! Tables for a terminal.

use std::time::Duration;

use crate::telemetry::StageMetrics;

/// How long each stage took, to stderr: stdout belongs to the command's output.
#[allow(clippy::print_stderr, reason = "asked for on the command line")]
pub(super) fn stages(stages: &StageMetrics, frames: u64, took: Duration) {
    eprintln!("{:<10} {:>8} {:>9} {:>9} {:>9}", "stage", "count", "p50 ms", "p99 ms", "share");
    let total: f64 = stages.all().iter().map(|(_, h)| h.sum_secs()).sum();
    for (name, h) in stages.all().iter().filter(|(_, h)| h.count() > 0) {
        let (p50, p99) = (h.quantile_ms(0.5).unwrap_or(0.0), h.quantile_ms(0.99).unwrap_or(0.0));
        let share = 100.0 * h.sum_secs() / total.max(f64::MIN_POSITIVE);
        eprintln!("{name:<10} {:>8} {p50:>9.3} {p99:>9.3} {share:>8.1}%", h.count());
    }
    let secs = took.as_secs_f64();
    eprintln!("{frames} frames in {secs:.2} s: {:.1} frames a second", frames as f64 / secs.max(1e-9));
}

/// Columns that end below each other, the first line being their heads.
pub(super) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = head.iter().enumerate().map(|(n, name)| width(n).max(name.chars().count())).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let first = line(&mut head.iter().copied());
    first + &rows.iter().map(|row| line(&mut row.iter().map(String::as_str))).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let rows = [vec!["1".to_owned(), "200.5".to_owned(), "yes".to_owned()], vec!["12".to_owned(), "3".to_owned()]];
        assert_eq!(columns(&["cameras", "ms", ""], &rows), "cameras     ms\n      1  200.5  yes\n     12      3\n");
    }
}
