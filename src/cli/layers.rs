//! What `peregrine bench --layers` and `--explain` show: where an engine's time goes, and what it computes how.

use std::fmt::Write as _;

use serde::Serialize;

use crate::infer::{Explanation, LayerCost};

/// Width of the bar of the costliest layer.
const BAR_COLUMNS: usize = 24;

/// One layer's share.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Share {
    /// Its output in the model file; empty for what the file does not name.
    name: String,
    /// "conv 3x3 s2" and the like.
    kind: String,
    /// Channels, height, width of its output.
    out_chw: [usize; 3],
    ms: f64,
    share: f64,
    macs: usize,
    gmacs_per_s: f64,
}

/// Each layer's share of the sum, in the order of computation.
pub(super) fn shares(layers: &[LayerCost]) -> Vec<Share> {
    let total: f64 = layers.iter().map(|l| l.took.as_secs_f64()).sum();
    let share = |l: &LayerCost| {
        let secs = l.took.as_secs_f64();
        Share {
            name: l.name.clone(),
            kind: l.what.clone(),
            out_chw: l.out_chw,
            ms: rounded(secs * 1e3, 1e4),
            share: rounded(secs / total.max(f64::MIN_POSITIVE), 1e4),
            macs: l.macs,
            gmacs_per_s: rounded(l.macs as f64 / secs.max(1e-9) / 1e9, 1e1),
        }
    };
    layers.iter().map(share).collect()
}

/// The layers as a table with bars, and what they come to.
pub(super) fn table(layers: &[Share], peak_gmacs_per_s: Option<f64>) -> String {
    let most = layers.iter().map(|l| l.share).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let mut out = String::from("     ms  share   M MAC  G MAC/s  layer\n");
    for l in layers {
        let bar = "█".repeat((l.share / most * BAR_COLUMNS as f64).round() as usize);
        let shape = l.out_chw.map(|n| n.to_string()).join("x");
        let speed = if l.macs == 0 { "–".to_owned() } else { format!("{:.0}", l.gmacs_per_s) };
        let macs = l.macs as f64 / 1e6;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:>7.4} {:>5.1}% {macs:>7.2} {speed:>8}  {bar:<BAR_COLUMNS$} {} to {shape} {}",
            l.ms,
            l.share * 100.0,
            l.kind,
            short(&l.name)
        );
    }
    let (ms, macs) = (layers.iter().map(|l| l.ms).sum::<f64>(), layers.iter().map(|l| l.macs).sum::<usize>());
    let speed = macs as f64 / (ms / 1e3).max(1e-9) / 1e9;
    let _ = writeln!(
        out,
        "{ms:>7.3} 100.0% {:>7.1} {speed:>8.0}  all layers, each alone on one thread; without the head and what goes through tract",
        macs as f64 / 1e6
    );
    if let Some(peak) = peak_gmacs_per_s {
        let share = speed / peak.max(f64::MIN_POSITIVE) * 100.0;
        let _ = writeln!(
            out,
            "the instruction alone makes {peak:.0} G MAC/s on one core now; the layers reach {share:.0} % of it"
        );
    }
    out
}

/// What is computed how.
pub(super) fn explained(e: &Explanation) -> String {
    let mut out = format!(
        "{} operators of the file became {} layers in 8 bits, kernel {}, {:.1} MB for the tensors of a frame; {}.\n",
        e.nodes,
        e.layers,
        e.kernel,
        e.arena_bytes as f64 / 1e6,
        e.rest
    );
    for line in &e.refused {
        let _ = writeln!(out, "  not in 8 bits: {line}");
    }
    out
}

/// Exporters name a convolution's output by its path; the last word is always the same.
fn short(name: &str) -> &str {
    name.trim_start_matches('/').trim_end_matches("_output_0").trim_end_matches("/Conv")
}

fn rounded(v: f64, to: f64) -> f64 {
    (v * to).round() / to
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn layer(name: &str, macs: usize, micros: u64) -> LayerCost {
        let (name, what) = (name.to_owned(), "conv 3x3".to_owned());
        LayerCost { name, what, out_chw: [8, 4, 4], macs, took: Duration::from_micros(micros) }
    }

    #[test]
    fn the_table_tells_time_share_and_speed_and_draws_the_costliest_longest() {
        let shares = shares(&[layer("/a/Conv_output_0", 3_000_000, 30), layer("", 0, 10)]);
        assert_eq!((shares[0].share, shares[0].gmacs_per_s, shares[1].share), (0.75, 100.0, 0.25));
        let table = table(&shares, Some(100.0));
        let lines: Vec<&str> = table.lines().collect();
        let bar = |line: &str| line.chars().filter(|&c| c == '█').count();
        assert_eq!((bar(lines[1]), bar(lines[2])), (BAR_COLUMNS, BAR_COLUMNS / 3));
        assert!(lines[1].contains("75.0%") && lines[1].contains("100") && lines[1].ends_with("8x4x4 a"), "{table}");
        assert!(lines[3].contains("0.040") && lines[3].contains("75"), "{table}");
        assert!(lines[4].contains("100 G MAC/s") && lines[4].contains("75 %"), "{table}");
    }
}
