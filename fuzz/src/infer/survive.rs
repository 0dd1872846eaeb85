//! What must hold for any file: it is refused or compiled, and what is compiled runs, with the same codes from every kernel.

use std::time::Duration;

use super::int8::{Compiled, Settings};
use super::onnx::graph::graph;

/// Work of one run that the fuzzer still waits for.
const MOST_MACS: usize = 1 << 24;

/// Reads, compiles and runs a file.
pub fn survive(bytes: &[u8]) {
    let Ok(graph) = graph(bytes) else { return };
    let Ok(input) = graph.header.image_input() else { return };
    // Some tensors have a range, as if the model were calibrated.
    let range = |name: &str| (name.len() % 2 == 1).then_some((-1.5, name.len() as f32));
    let compile = |kernel, threads| {
        let settings = Settings { input_chw: input.chw, threads, slots: 1, kernel, ranges: &range };
        Compiled::new(&graph, &settings)
    };
    let Ok(mut oracle) = compile(Some("scalar"), 1) else { return };
    let layers = oracle.profile(0, || Duration::ZERO);
    let work =
        layers.iter().map(|l| l.macs.max(l.out_chw.iter().product::<usize>() * 64)).fold(0, usize::saturating_add);
    if work > MOST_MACS {
        return;
    }
    let expected = values(&mut oracle);
    for threads in [1, 2] {
        let mut best = compile(None, threads).expect("a kernel refuses what another one takes");
        let found = values(&mut best);
        assert!(found == expected, "{} differs from the oracle", best.kernel());
    }
}

/// All that comes out, as bits.
fn values(compiled: &mut Compiled) -> Vec<u32> {
    let (codes, ..) = compiled.image(0);
    codes.iter_mut().enumerate().for_each(|(i, code)| *code = (i.wrapping_mul(2_654_435_761) >> 7) as u8);
    compiled.want(Some((0.25, None)));
    compiled.run(0);
    let mut all = Vec::new();
    compiled.places(&mut all);
    if let Some([rows, places]) = compiled.head_dims() {
        compiled.want(None);
        compiled.run(0);
        let first = all.len();
        all.resize(first + rows * places, 0.0);
        compiled.whole(&mut all[first..]);
    }
    for exit in compiled.exits() {
        let first = all.len();
        all.resize(first + exit.dims.iter().product::<usize>(), 0.0);
        compiled.values(exit, &mut all[first..]);
    }
    all.into_iter().map(f32::to_bits).collect()
}
