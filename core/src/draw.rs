//! Keyed draws: numbers that look random and are a function of a seed, a purpose and a counter.
//!
//! There is no stream to be shared, so leaving one draw out does not shift the others, and two machines with one seed draw alike.

use crate::time::Millis;

/// What a number is drawn for. Draws for different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// How long a client waits before it connects again.
    Reconnect = 1,
    /// How long a closed client is told to stay away.
    RetryAfter = 2,
    /// How long a gateway waits before it runs a transaction again.
    Rerun = 3,
    /// When in its period a gateway does its periodic work.
    Period = 4,
    /// How long a client waits before it sends a refused request again.
    Resend = 5,
}

/// A source of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The `counter`-th number for a purpose, evenly spread over all of `u64`.
    pub fn number(self, purpose: Purpose, counter: u64) -> u64 {
        mix(mix(self.seed ^ (purpose as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(counter.wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    /// A length from 0 up to, but not including, `limit`; zero if that is zero.
    pub fn below(self, purpose: Purpose, counter: u64, limit: Millis) -> Millis {
        let wide = u128::from(self.number(purpose, counter)) * u128::from(limit.0);
        Millis((wide >> 64) as u64)
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let draws = Draws::new(42);
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first output of SplitMix64 with seed 0");
        assert_eq!(draws.number(Purpose::Reconnect, 0), draws.number(Purpose::Reconnect, 0));
        assert_ne!(draws.number(Purpose::Reconnect, 0), draws.number(Purpose::Rerun, 0));
        assert_ne!(draws.number(Purpose::Reconnect, 0), draws.number(Purpose::Reconnect, 1));
    }

    #[test]
    fn lengths_stay_below_their_limit_and_are_spread() {
        let draws = Draws::new(7);
        let lengths: alloc::vec::Vec<u64> = (0..1000).map(|n| draws.below(Purpose::RetryAfter, n, Millis(100)).0).collect();
        assert!(lengths.iter().all(|length| *length < 100));
        assert!((0..10).all(|tenth| lengths.iter().filter(|length| **length / 10 == tenth).count() > 50));
        assert_eq!(draws.below(Purpose::RetryAfter, 0, Millis(0)), Millis(0));
    }
}
