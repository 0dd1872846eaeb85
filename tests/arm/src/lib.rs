//! The convolution kernels of the int8 engine as a crate of their own, so that their tests run for processors other than the builder's.
//!
//! Belongs here: what makes the kernels build apart from the daemon, and that an emulated processor has those that it should have. Does not:
//! tests of what kernels compute, which lie beside the code.
#![allow(dead_code, unused_imports, reason = "who calls the kernels is not part of this crate")]

#[path = "../../../src/infer"]
mod infer {
    pub(crate) mod int8 {
        pub(crate) mod kernel;

        /// Without this, a processor whose features go unnoticed would pass all tests with the oracle alone.
        #[cfg(test)]
        #[test]
        fn the_processor_has_the_kernels_that_it_should_have() {
            let names: Vec<_> = kernel::all().iter().map(|k| kernel::Kernel::name(*k)).collect();
            let Ok(want) = std::env::var("PEREGRINE_TEST_KERNELS") else {
                eprintln!("skipped: PEREGRINE_TEST_KERNELS does not say which kernels are expected; here are {names:?}");
                return;
            };
            assert_eq!(names.join(" "), want);
        }
    }
}
