//! A little randomness, for pauses that must not fall together. Not for secrets.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A number in 0..1, good enough to keep cameras and brokers from being knocked at in step: the standard library's hash seeds.
pub fn share() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_lies_between_0_and_1_and_differs_from_the_last() {
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&share()));
        }
        assert_ne!(share(), share());
    }
}
