//! The convolution kernels of the int8 engine as a crate of their own, so that they can be tested and measured for processors other than
//! the builder's.
//!
//! Belongs here: what makes the kernels build apart from the daemon, that an emulated processor has those that it should have, and one
//! convolution to measure. Does not: tests of what kernels compute, which lie beside the code.
#![allow(dead_code, unused_imports, reason = "most of what the engine needs of the kernels is not part of this crate")]

pub use infer::int8::{Shape, kernels, measure};

#[path = "../../../src/infer"]
mod infer {
    pub(crate) mod int8 {
        pub(crate) mod kernel;

        use std::time::Instant;

        use kernel::{Call, Dest, Mix, Residual, Run, pack};

        /// A convolution; height and width are those of its output.
        #[derive(Debug, Clone, Copy)]
        #[allow(missing_docs, reason = "the names say it")]
        pub struct Shape {
            pub height: usize,
            pub width: usize,
            pub channels_in: usize,
            pub channels_out: usize,
            pub size: usize,
            pub stride: usize,
            /// Whether another tensor is added to the output.
            pub adds: bool,
        }

        /// The names of the kernels that this processor runs, the best first.
        pub fn kernels() -> Vec<&'static str> {
            kernel::all().iter().map(|k| kernel::Kernel::name(*k)).collect()
        }

        /// Computes a convolution `times` times, each code through a table, and says how many products one takes and how many nanoseconds.
        ///
        /// # Errors
        /// When this processor has no kernel of that name.
        #[allow(clippy::disallowed_methods, reason = "a measurement, not the daemon")]
        pub fn measure(name: &str, shape: Shape, times: usize) -> Result<(usize, u128), String> {
            let kernel = kernel::choose(Some(name))?;
            // Three channels lie as four, so that a row of taps is a whole number of groups.
            let pixel = if shape.channels_in == 3 { 4 } else { shape.channels_in };
            let row = (shape.width * shape.stride + shape.size) * pixel;
            let runs: Vec<_> = (0..shape.size).map(|y| Run { offset: y * row, bytes: shape.size * pixel }).collect();
            let depth = shape.size * shape.size * pixel;
            let weights: Vec<i8> =
                (0..depth * shape.channels_out).map(|i| (i * 37 % 255) as i8).map(|w| w.max(-127)).collect();
            let (bias, scale) = (vec![0i32; shape.channels_out], vec![1e-4f32; shape.channels_out]);
            let packed = pack(kernel, &runs, &weights, &bias, &scale);
            let input: Vec<u8> =
                (0..row * (shape.height * shape.stride + shape.size) + 64).map(|i| (i * 91) as u8).collect();
            let mut output = vec![0u8; shape.height * shape.width * shape.channels_out];
            let table: [u8; 256] = std::array::from_fn(|i| 255 - i as u8);
            let mix = Mix::new(std::array::from_fn(|i| i as f32 * 0.02), (0.03, 5), (0.05, 7));
            let other = vec![9u8; shape.width * shape.channels_out];
            let start = Instant::now();
            for y in (0..times).flat_map(|_| 0..shape.height) {
                for block in &packed.blocks {
                    let out = output[y * shape.width * shape.channels_out + block.first..].as_mut_ptr();
                    let codes = other[block.first..].as_ptr();
                    let residual = Residual { codes, step: shape.channels_out, mix: &mix };
                    let dest = Dest {
                        table: &table,
                        out,
                        step: shape.channels_out,
                        from: 0,
                        to: block.channels,
                        residual: shape.adds.then_some(residual),
                    };
                    let call = Call { runs: &runs, block, step: pixel * shape.stride, zero: 3, dests: &[dest] };
                    // SAFETY: input and output have room for every row, and 64 bytes more are there to be read.
                    unsafe { kernel.row(&call, input[y * shape.stride * row..].as_ptr(), shape.width) };
                }
            }
            let products =
                shape.height * shape.width * shape.channels_out * shape.channels_in * shape.size * shape.size;
            Ok((products, start.elapsed().as_nanos() / times.max(1) as u128))
        }

        /// Without this, a processor whose features go unnoticed would pass all tests with the oracle alone.
        #[cfg(test)]
        #[test]
        #[allow(clippy::disallowed_methods, reason = "the daemon's home of the environment is not part of this crate")]
        fn the_processor_has_the_kernels_that_it_should_have() {
            let names = kernels();
            let Ok(want) = std::env::var("PEREGRINE_TEST_KERNELS") else {
                eprintln!(
                    "skipped: PEREGRINE_TEST_KERNELS does not say which kernels are expected; here are {names:?}"
                );
                return;
            };
            assert_eq!(names.join(" "), want);
        }
    }
}
