//! What goes wrong on purpose, and how often it has.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::Error;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in settings and counts.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

faults! {
    /// A commit is refused as if another transaction had written what it read (1020).
    Conflict = "conflict";
    /// A read or a commit is told that its version is too old (1007).
    TooOld = "too_old";
    /// A read is told that its version has not come yet (1009).
    FutureVersion = "future_version";
    /// A read is told that the storage process lags behind (1037).
    Behind = "behind";
    /// A commit's result is unknown (1021), and it is committed.
    UnknownCommitted = "unknown_committed";
    /// A commit's result is unknown (1021), and it is not committed.
    UnknownLost = "unknown_lost";
    /// A commit that is committed ends with 1039, as on an upgrade of the cluster.
    VersionChangedCommitted = "version_changed_committed";
    /// A read, or a commit that is not committed, ends with 1039.
    VersionChangedLost = "version_changed_lost";
    /// The transaction times out (1031) while it commits, and is committed.
    TimedOutCommitted = "timed_out_committed";
    /// The transaction times out (1031) while it reads or commits, and is not committed.
    TimedOutLost = "timed_out_lost";
    /// An answer comes late, by up to `stall_ms`.
    StallAnswer = "stall_answer";
    /// A commit reaches the database late, by up to `stall_ms`, and is judged there and then, even if nobody waits for it any more.
    StallCommit = "stall_commit";
    /// A watch fires late, by up to `watch_late_ms`.
    WatchLate = "watch_late";
    /// A watch fires although nothing has changed.
    WatchSpurious = "watch_spurious";
    /// A watch ends with an error (1039).
    WatchFailed = "watch_failed";
}

impl Fault {
    /// What a client is told; nothing it can tell from a success for those that only come late.
    pub(crate) fn error(self) -> Option<Error> {
        match self {
            Self::Conflict => Some(Error::NOT_COMMITTED),
            Self::TooOld => Some(Error::TRANSACTION_TOO_OLD),
            Self::FutureVersion => Some(Error::FUTURE_VERSION),
            Self::Behind => Some(Error::PROCESS_BEHIND),
            Self::UnknownCommitted | Self::UnknownLost => Some(Error::COMMIT_UNKNOWN_RESULT),
            Self::VersionChangedCommitted | Self::VersionChangedLost | Self::WatchFailed => Some(Error::CLUSTER_VERSION_CHANGED),
            Self::TimedOutCommitted | Self::TimedOutLost => Some(Error::TRANSACTION_TIMED_OUT),
            Self::StallAnswer | Self::StallCommit | Self::WatchLate | Self::WatchSpurious => None,
        }
    }

    /// Whether a commit that it befalls is committed all the same.
    pub(crate) fn commits(self) -> bool {
        matches!(self, Self::UnknownCommitted | Self::VersionChangedCommitted | Self::TimedOutCommitted)
    }
}

/// Which faults there are, and how probable each is.
///
/// Written as words `name=value`, in any order: `seed=7 conflict=0.02 stall_answer=0.01 stall_ms=20`. The n-th occasion for a kind of fault
/// has it or not by seed, kind and n alone, so a client that does the same in the same order meets the same faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    probability: BTreeMap<Fault, f64>,
    numbers: BTreeMap<Number, u64>,
}

/// A setting that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Seed,
    StallMs,
    WatchLateMs,
    LatencyUs,
    Unreachable,
}

impl Number {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Seed, "seed"),
        (Self::StallMs, "stall_ms"),
        (Self::WatchLateMs, "watch_late_ms"),
        (Self::LatencyUs, "latency_us"),
        (Self::Unreachable, "unreachable"),
    ];
}

/// What is wrong with settings of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl Faults {
    /// The settings that a text says.
    ///
    /// # Errors
    /// If a word is no setting, or its value none.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut faults = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| Malformed(format!("{word:?} is not name=value")))?;
            if let Some(fault) = Fault::ALL.iter().find(|fault| fault.name() == name) {
                let probability = value.parse::<f64>().ok().filter(|p| (0.0..=1.0).contains(p));
                let probability = probability.ok_or_else(|| Malformed(format!("{word:?} needs a probability from 0 to 1")))?;
                faults.probability.insert(*fault, probability);
            } else if let Some((number, _)) = Number::ALL.iter().find(|(_, known)| *known == name) {
                faults.numbers.insert(*number, value.parse().map_err(|_| Malformed(format!("{word:?} needs a whole number")))?);
            } else {
                return Err(Malformed(format!("there is no setting {name:?}")));
            }
        }
        Ok(faults)
    }

    /// Whether the cluster answers nobody.
    pub fn unreachable(&self) -> bool {
        self.number(Number::Unreachable, 0) != 0
    }

    /// How long every answer takes at least.
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.number(Number::LatencyUs, 0))
    }

    fn number(&self, number: Number, otherwise: u64) -> u64 {
        self.numbers.get(&number).copied().unwrap_or(otherwise)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = Number::ALL.iter().filter_map(|(number, name)| Some(format!("{name}={}", self.numbers.get(number)?)));
        let probabilities = self.probability.iter().map(|(fault, probability)| format!("{}={probability}", fault.name()));
        f.write_str(&numbers.chain(probabilities).collect::<Vec<_>>().join(" "))
    }
}

/// Decides at each occasion whether a fault happens, and counts.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    faults: Faults,
    occasions: BTreeMap<Fault, u64>,
    backoffs: u64,
    fired: BTreeMap<Fault, u64>,
}

impl Chance {
    /// Changes what goes wrong from now on. Counts go on.
    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How often each kind of fault has happened, as words `name=count`.
    pub(crate) fn counts(&self) -> String {
        let count = |fault: &Fault| format!("{}={}", fault.name(), self.fired.get(fault).copied().unwrap_or(0));
        Fault::ALL.iter().map(count).collect::<Vec<_>>().join(" ")
    }

    /// Whether a fault happens at this occasion.
    pub(crate) fn happens(&mut self, fault: Fault) -> bool {
        let Some(probability) = self.faults.probability.get(&fault).copied() else { return false };
        let happens = self.draw(fault) < probability;
        if happens {
            *self.fired.entry(fault).or_default() += 1;
        }
        happens
    }

    /// The first of these that happens at this occasion.
    pub(crate) fn first(&mut self, faults: &[Fault]) -> Option<Fault> {
        faults.iter().copied().find(|fault| self.happens(*fault))
    }

    /// How late something is that a fault holds up.
    pub(crate) fn delay(&mut self, fault: Fault) -> Duration {
        let watch = fault == Fault::WatchLate;
        let most = if watch { self.faults.number(Number::WatchLateMs, 100) } else { self.faults.number(Number::StallMs, 20) };
        Duration::from_millis(most).mul_f64(self.draw(fault))
    }

    /// How long one waits before it tries again, of the most that it may be.
    pub(crate) fn backoff(&mut self, most: Duration) -> Duration {
        self.backoffs += 1;
        most.mul_f64(self.uniform((u64::MAX << 48) ^ self.backoffs))
    }

    /// A number from 0 to 1 by seed, kind and occasion.
    fn draw(&mut self, fault: Fault) -> f64 {
        let occasion = self.occasions.entry(fault).or_default();
        *occasion += 1;
        let key = ((fault as u64) << 48) ^ *occasion;
        self.uniform(key)
    }

    fn uniform(&self, key: u64) -> f64 {
        let bits = mix(mix(self.faults.number(Number::Seed, 0)) ^ mix(key));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finalizer of SplitMix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_written_alike_and_nonsense_is_refused() {
        let text = "seed=7 stall_ms=5 unreachable=1 conflict=0.25 watch_failed=1";
        let faults = Faults::parse(text).unwrap();
        assert_eq!(faults.to_string(), text);
        assert!(faults.unreachable());
        for bad in ["conflict", "conflict=2", "conflict=x", "seed=-1", "thunder=0.5"] {
            let error = Faults::parse(bad).unwrap_err();
            assert!(error.to_string().contains(bad.split('=').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn every_kind_of_fault_happens_about_as_often_as_it_should_and_alike_for_the_same_seed() {
        let all = Fault::ALL.iter().map(|fault| format!("{}=0.25", fault.name())).collect::<Vec<_>>().join(" ");
        let run = |seed: u64| {
            let mut chance = Chance::default();
            chance.set(Faults::parse(&format!("seed={seed} {all}")).unwrap());
            let draws = Fault::ALL.iter().map(|fault| (0..1_000).map(|_| chance.happens(*fault)).collect::<Vec<_>>());
            (draws.collect::<Vec<_>>(), chance.counts())
        };
        let (draws, counts) = run(1);
        assert_eq!((draws.clone(), counts), run(1));
        assert_ne!(draws, run(2).0);
        for (fault, draws) in Fault::ALL.iter().zip(draws) {
            let happened = draws.iter().filter(|happens| **happens).count();
            assert!((200..300).contains(&happened), "{fault:?} {happened}");
        }
    }
}
