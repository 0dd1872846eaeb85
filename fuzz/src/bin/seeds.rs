//! Writes models to begin with: `seeds FOLDER [COUNT]`. All of them are valid; the same every time.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "corpus/onnx".to_owned());
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(40);
    for seed in 0..count {
        let mut state = seed;
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let bytes: Vec<u8> = bytes.take(600).collect();
        std::fs::write(Path::new(&folder).join(format!("drawn-{seed}.onnx")), peregrine_fuzz::seed(&bytes))?;
    }
    Ok(())
}
