//! How property tests are run: the same cases every time, and no files beside the sources.

#![allow(unreachable_pub, reason = "shared by test programs that each are a crate of their own")]

use proptest::test_runner::{Config, RngSeed};

/// So many cases, the same ones on every run.
pub fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(0xd0b1_e71c), failure_persistence: None, ..Config::default() }
}
