//! What the program's exit code says.

use crate::run::FailureKind;
use std::process::ExitCode;

/// What a run of many seeds came to. The later ones are worse: of several, the worst is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything held.
    Clean,
    /// It was ended by a signal before it had done what it was asked for, and everything held so far.
    Interrupted,
    /// Faults or oracles did nothing, or nothing was delivered: the run says nothing.
    Inert,
    /// Something did not happen that must in the end.
    Liveness,
    /// The core panicked.
    Crash,
    /// Something happened that must never happen.
    Safety,
    /// The same seed gave two different runs, so nothing that any run says can be relied upon.
    Nondeterminism,
}

/// The arguments make no sense, or a file that they name cannot be read or written. Nothing was run.
pub const USAGE: u8 = 64;
/// A report could not be written in the end.
pub const UNWRITTEN: u8 = 74;

impl Outcome {
    /// Every outcome, from the best to the worst.
    pub const ALL: [Self; 7] =
        [Self::Clean, Self::Interrupted, Self::Inert, Self::Liveness, Self::Crash, Self::Safety, Self::Nondeterminism];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Safety => 10,
            Self::Liveness => 11,
            Self::Crash => 12,
            Self::Nondeterminism => 13,
            Self::Inert => 14,
            Self::Interrupted => 130,
        }
    }

    /// The name by which reports know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Interrupted => "interrupted",
            Self::Inert => "inert",
            Self::Liveness => "liveness",
            Self::Crash => "crash",
            Self::Safety => "safety",
            Self::Nondeterminism => "nondeterminism",
        }
    }
}

impl From<FailureKind> for Outcome {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Safety => Self::Safety,
            FailureKind::Liveness => Self::Liveness,
            FailureKind::Crash => Self::Crash,
            FailureKind::Inert => Self::Inert,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_code_of_its_own_and_they_stand_in_order() {
        assert!(Outcome::ALL.is_sorted());
        let mut codes: Vec<u8> = Outcome::ALL.map(Outcome::code).into_iter().chain([USAGE, UNWRITTEN]).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Outcome::ALL.len() + 2);
        // 1 and 2 are what shells and other programs say, 101 is a panic, 137 is killed (out of memory): none of them is ours.
        assert!(codes.iter().all(|code| ![1, 2, 101, 137].contains(code)), "{codes:?}");
    }
}
