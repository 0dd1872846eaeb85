//! Writes what the fuzzer begins with: `seeds ONNX-FOLDER DICE-FOLDER`. Valid models for the one target, the bytes that drew them for the other.

use std::path::PathBuf;

/// How many of each.
const COUNT: u64 = 40;

fn main() -> std::io::Result<()> {
    let mut folders = std::env::args().skip(1).map(PathBuf::from);
    let (Some(models), Some(dice)) = (folders.next(), folders.next()) else {
        return Err(std::io::Error::other("usage: seeds ONNX-FOLDER DICE-FOLDER"));
    };
    for seed in 0..COUNT {
        let mut state = seed;
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let bytes: Vec<u8> = bytes.take(600).collect();
        std::fs::write(models.join(format!("drawn-{seed}.onnx")), peregrine_fuzz::seed(&bytes))?;
        std::fs::write(dice.join(format!("drawn-{seed}")), bytes)?;
    }
    Ok(())
}
