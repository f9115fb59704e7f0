//! Keyed randomness: a draw is a function of the seed, who it is for, what it is for and a counter.
//!
//! There is no stream, so taking one fault away does not shift what the others draw. Integers only.

use crate::fault::FaultKind;

/// Something that happens so often in a million.
pub type PerMillion = u32;

/// All of a million.
pub const MILLION: PerMillion = 1_000_000;

/// Whom a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The world as a whole.
    World,
    /// A place at which gateways run, one after the other.
    Slot(u32),
    /// One gateway, from its start to its end.
    Host(u32),
    /// A device.
    Device(u32),
    /// A user.
    User(u32),
}

/// What a draw is for. Draws for different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether a fault happens.
    Fault(FaultKind),
    /// How long it lasts, or how large it is.
    Size(FaultKind),
    /// Whether a fault is on for this seed.
    FaultOn(FaultKind),
    /// How much more or less likely a fault is for this seed.
    FaultScale(FaultKind),
    /// Whether people do such a thing in this seed.
    OperationOn(u32),
    /// A constant of the world.
    Constant(u32),
    /// What somebody does next.
    Operation,
    /// With whom, or how.
    Detail(u32),
    /// When somebody does something again.
    Pace,
    /// The latency of a frame.
    Latency,
    /// The latency of a step of a transaction.
    Store,
    /// Whether a transaction fetches in rounds.
    Rounds,
    /// How long a sync of a device's disk takes.
    Sync,
    /// An id or a secret; several draws make a long one.
    Id(u32),
}

/// The draws of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
    /// What is no constant of the world is drawn from this one.
    rest: u64,
}

impl Draws {
    /// The draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, rest: seed }
    }

    /// The constants of this seed, and everything else of another.
    pub const fn with_rest_of(self, other: u64) -> Self {
        Self { seed: self.seed, rest: other }
    }

    /// The `counter`-th number, evenly spread over all of `u64`.
    pub fn number(self, who: Who, what: What, counter: u64) -> u64 {
        let seed = if what.is_constant() { self.seed } else { self.rest };
        let keyed = mix(seed ^ who.code().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keyed = mix(keyed.wrapping_add(what.code().wrapping_mul(0xd1b5_4a32_d192_ed03)));
        mix(keyed ^ counter.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7))
    }

    /// A number from 0 up to, but not including, `limit`; zero if that is zero.
    pub fn below(self, who: Who, what: What, counter: u64, limit: u64) -> u64 {
        ((u128::from(self.number(who, what, counter)) * u128::from(limit)) >> 64) as u64
    }

    /// Whether something happens that does so `share` times in a million.
    pub fn chance(self, who: Who, what: What, counter: u64, share: PerMillion) -> bool {
        share > 0 && self.below(who, what, counter, u64::from(MILLION)) < u64::from(share)
    }

    /// A number from `least` to `most`, both included.
    pub fn within(self, who: Who, what: What, counter: u64, (least, most): (u64, u64)) -> u64 {
        least + self.below(who, what, counter, most.saturating_sub(least).saturating_add(1))
    }
}

impl Who {
    fn code(self) -> u64 {
        match self {
            Self::World => 1 << 40,
            Self::Slot(n) => (2 << 40) | u64::from(n),
            Self::Host(n) => (3 << 40) | u64::from(n),
            Self::Device(n) => (4 << 40) | u64::from(n),
            Self::User(n) => (5 << 40) | u64::from(n),
        }
    }
}

impl What {
    /// Whether it is settled before anything happens, by the seed.
    fn is_constant(self) -> bool {
        matches!(self, Self::Constant(_) | Self::FaultOn(_) | Self::FaultScale(_) | Self::OperationOn(_))
    }

    fn code(self) -> u64 {
        match self {
            Self::Fault(kind) => (1 << 40) | kind as u64,
            Self::Size(kind) => (2 << 40) | kind as u64,
            Self::FaultOn(kind) => (3 << 40) | kind as u64,
            Self::FaultScale(kind) => (4 << 40) | kind as u64,
            Self::OperationOn(n) => (5 << 40) | u64::from(n),
            Self::Constant(n) => (6 << 40) | u64::from(n),
            Self::Operation => 7 << 40,
            Self::Detail(n) => (8 << 40) | u64::from(n),
            Self::Pace => 9 << 40,
            Self::Latency => 10 << 40,
            Self::Store => 11 << 40,
            Self::Rounds => 12 << 40,
            Self::Sync => 13 << 40,
            Self::Id(n) => (14 << 40) | u64::from(n),
        }
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
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first output of SplitMix64 with seed 0");
        let draws = Draws::new(42);
        let golden = [
            draws.number(Who::World, What::Constant(0), 0),
            draws.number(Who::Device(3), What::Latency, 7),
            draws.number(Who::Host(3), What::Fault(FaultKind::Conflict), 7),
        ];
        assert_eq!(golden, [12_062_160_626_421_216_198, 13_435_829_114_440_864_977, 13_507_087_776_934_444_270]);
    }

    #[test]
    fn what_is_drawn_for_one_purpose_says_nothing_of_another() {
        let draws = Draws::new(1);
        let all = [
            draws.number(Who::Device(1), What::Latency, 1),
            draws.number(Who::Device(2), What::Latency, 1),
            draws.number(Who::Host(1), What::Latency, 1),
            draws.number(Who::Device(1), What::Pace, 1),
            draws.number(Who::Device(1), What::Latency, 2),
        ];
        assert!((0..5).all(|a| (0..a).all(|b| all[a] != all[b])));
    }

    #[test]
    fn with_the_rest_of_another_seed_only_constants_stay() {
        let (one, other) = (Draws::new(1), Draws::new(2));
        let mixed = one.with_rest_of(2);
        for what in [What::Constant(5), What::FaultOn(FaultKind::Reset), What::OperationOn(3)] {
            assert_eq!(mixed.number(Who::World, what, 3), one.number(Who::World, what, 3));
        }
        for what in [What::Fault(FaultKind::Reset), What::Latency, What::Pace, What::Id(0)] {
            assert_eq!(mixed.number(Who::World, what, 3), other.number(Who::World, what, 3));
        }
    }

    #[test]
    fn shares_and_bounds_are_kept() {
        let draws = Draws::new(5);
        let hits = (0..100_000).filter(|n| draws.chance(Who::World, What::Pace, *n, 250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!((0..1000).all(|n| (3..=5).contains(&draws.within(Who::World, What::Pace, n, (3, 5)))));
        assert!(!draws.chance(Who::World, What::Pace, 0, 0) && draws.chance(Who::World, What::Pace, 0, MILLION));
    }
}
