//! What every error of FoundationDB means for a transaction of ours: one table.
//!
//! | code | name | while reading | while committing |
//! |---|---|---|---|
//! | 1007 | transaction_too_old | again | again |
//! | 1009 | future_version | again | again |
//! | 1020 | not_committed | again | again |
//! | 1037 | process_behind | again | again |
//! | 1051, 1078, 1213 | throttled | again | again |
//! | 1021 | commit_unknown_result | again | unknown |
//! | 1039 | cluster_version_changed | again | unknown |
//! | 1025 | transaction_cancelled | unavailable | unknown |
//! | 1031 | transaction_timed_out | unavailable | unknown |
//! | 1038 | database_locked | unavailable | unavailable |
//! | 2000 to 2999 | a mistake of the caller's, such as a size or a key out of bounds | panic | panic |
//! | any other | by the library's own predicates: again if it may be repeated, unknown if it may be committed | again or unavailable | again, unknown or unavailable |
//!
//! Where nothing is known to be committed nothing is told to be, and where something may be it is unknown: both are safe to run again.

use foundationdb::FdbError;

/// What becomes of a transaction that met an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing was written; it may be run again.
    Again,
    /// It may have been committed.
    Unknown,
    /// Nothing was written, and it makes no sense to try at once.
    Unavailable,
    /// It is our mistake.
    Mistake,
}

/// The table's line for an error. `committing`: the commit had been sent.
pub(crate) fn fate(error: FdbError, committing: bool) -> Fate {
    let unless_sent = |fate| if committing { Fate::Unknown } else { fate };
    match error.code() {
        1007 | 1009 | 1020 | 1037 | 1051 | 1078 | 1213 => Fate::Again,
        1021 | 1039 => unless_sent(Fate::Again),
        1025 | 1031 => unless_sent(Fate::Unavailable),
        1038 => Fate::Unavailable,
        2000..=2999 => Fate::Mistake,
        _ if committing && error.is_maybe_committed() => Fate::Unknown,
        _ if error.is_retryable() => Fate::Again,
        _ => unless_sent(Fate::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_may_have_happened_is_never_told_to_have_failed() {
        for code in [1021, 1025, 1031, 1039] {
            assert_eq!(fate(FdbError::from_code(code), true), Fate::Unknown, "{code}");
            assert_ne!(fate(FdbError::from_code(code), false), Fate::Unknown, "{code}");
        }
    }

    #[test]
    fn what_was_certainly_not_committed_is_run_again() {
        for code in [1007, 1009, 1020, 1037, 1051, 1078, 1213] {
            for committing in [false, true] {
                assert_eq!(fate(FdbError::from_code(code), committing), Fate::Again, "{code}");
            }
        }
    }

    #[test]
    fn what_we_did_wrong_is_our_mistake() {
        for code in [2004, 2017, 2101, 2102, 2103] {
            assert_eq!(fate(FdbError::from_code(code), true), Fate::Mistake, "{code}");
        }
    }
}
