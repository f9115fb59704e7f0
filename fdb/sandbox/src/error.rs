//! The errors of FoundationDB, by their codes.

use std::ffi::CStr;
use std::fmt;

/// An error of FoundationDB: a code, the same for every client in every language.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Error(i32);

/// The groups of errors that a client can ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Running the transaction again may help.
    Retryable,
    /// The transaction may have been committed.
    MaybeCommitted,
    /// Running the transaction again may help, and it was not committed.
    RetryableNotCommitted,
}

macro_rules! errors {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl Error {
            $(
                #[doc = concat!($text, ".")]
                pub const $name: Self = Self($code);
            )*

            /// Every error that the sandbox knows.
            pub const ALL: &[Self] = &[$(Self($code)),*];

            /// What FoundationDB says of it.
            pub fn text(self) -> &'static CStr {
                #[allow(clippy::manual_c_str_literals, reason = "the text is put together")]
                match self.0 {
                    0 => c"Success",
                    $($code => const {
                        match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                            Ok(text) => text,
                            Err(_) => panic!("a text without a zero in it"),
                        }
                    },)*
                    _ => c"UNKNOWN_ERROR",
                }
            }
        }
    };
}

errors! {
    TRANSACTION_TOO_OLD = 1007, "Transaction is too old to perform reads or be committed";
    FUTURE_VERSION = 1009, "Request for future version";
    NOT_COMMITTED = 1020, "Transaction not committed due to conflict with another transaction";
    COMMIT_UNKNOWN_RESULT = 1021, "Transaction may or may not have committed";
    TRANSACTION_CANCELLED = 1025, "Operation aborted because the transaction was cancelled";
    TRANSACTION_TIMED_OUT = 1031, "Operation aborted because the transaction timed out";
    TOO_MANY_WATCHES = 1032, "Too many watches currently set";
    WATCHES_DISABLED = 1034, "Watches cannot be set if read your writes is disabled";
    ACCESSED_UNREADABLE = 1036, "Read or wrote an unreadable key";
    PROCESS_BEHIND = 1037, "Storage process does not have recent mutations";
    DATABASE_LOCKED = 1038, "Database is locked";
    CLUSTER_VERSION_CHANGED = 1039, "The protocol version of the cluster has changed";
    COMMIT_PROXY_MEMORY_LIMIT_EXCEEDED = 1042, "CommitProxy commit memory limit exceeded";
    BATCH_TRANSACTION_THROTTLED = 1051, "Batch GRV request rate limit exceeded";
    GRV_PROXY_MEMORY_LIMIT_EXCEEDED = 1078, "GetReadVersion proxy memory limit exceeded";
    OPERATION_CANCELLED = 1101, "Asynchronous operation cancelled";
    FUTURE_RELEASED = 1102, "Future has been released";
    TAG_THROTTLED = 1213, "Transaction tag is being throttled";
    NO_CLUSTER_FILE_FOUND = 1515, "No cluster file found in current directory or default location";
    CLIENT_INVALID_OPERATION = 2000, "Invalid API call";
    KEY_OUTSIDE_LEGAL_RANGE = 2004, "Key outside legal range";
    INVERTED_RANGE = 2005, "Range begin key larger than end key";
    INVALID_OPTION_VALUE = 2006, "Option set with an invalid value";
    INVALID_OPTION = 2007, "Option not valid in this context";
    NETWORK_NOT_SETUP = 2008, "Action not possible before the network is configured";
    NETWORK_ALREADY_SETUP = 2009, "Network can be configured only once";
    READ_VERSION_ALREADY_SET = 2010, "Transaction already has a read version set";
    VERSION_INVALID = 2011, "Version not valid";
    RANGE_LIMITS_INVALID = 2012, "Range limits not valid";
    FUTURE_NOT_SET = 2015, "Future not ready";
    USED_DURING_COMMIT = 2017, "Operation issued while a commit was outstanding";
    INVALID_MUTATION_TYPE = 2018, "Unrecognized atomic mutation type";
    NO_COMMIT_VERSION = 2021, "Transaction is read-only and therefore does not have a commit version";
    NETWORK_CANNOT_BE_RESTARTED = 2025, "Network can only be started once";
    BLOCKED_FROM_NETWORK_THREAD = 2026, "Detected a deadlock in a callback called from the network thread";
    TRANSACTION_TOO_LARGE = 2101, "Transaction exceeds byte limit";
    KEY_TOO_LARGE = 2102, "Key length exceeds limit";
    VALUE_TOO_LARGE = 2103, "Value length exceeds limit";
    CONNECTION_STRING_INVALID = 2104, "Connection string invalid";
    UNSUPPORTED_OPERATION = 2108, "Operation is not supported";
    SPECIAL_KEYS_CROSS_MODULE_READ = 2112, "Special key space range read crosses modules";
    SPECIAL_KEYS_NO_MODULE_FOUND = 2113, "Special key space range read does not intersect a module";
    SPECIAL_KEYS_WRITE_DISABLED = 2114, "Special Key space is not allowed to write by default";
    SPECIAL_KEYS_NO_WRITE_MODULE_FOUND = 2115, "Special key space key or keyrange in set or clear does not intersect a module";
    SPECIAL_KEYS_API_FAILURE = 2117, "Api call through special keys failed";
    API_VERSION_UNSET = 2200, "API version is not set";
    API_VERSION_ALREADY_SET = 2201, "API version may be set only once";
    API_VERSION_INVALID = 2202, "API version not valid";
    API_VERSION_NOT_SUPPORTED = 2203, "API version not supported";
    EXACT_MODE_WITHOUT_LIMITS = 2210, "EXACT streaming mode requires limits, but none were given";
}

impl Error {
    /// The error with a code, whether the sandbox knows it or not; `None` for zero, which is success.
    pub fn from_code(code: i32) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// Its code: never zero.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Whether it belongs to a group.
    pub fn is(self, predicate: Predicate) -> bool {
        let maybe_committed = matches!(self, Self::COMMIT_UNKNOWN_RESULT | Self::CLUSTER_VERSION_CHANGED);
        let not_committed = matches!(
            self,
            Self::NOT_COMMITTED
                | Self::TRANSACTION_TOO_OLD
                | Self::FUTURE_VERSION
                | Self::DATABASE_LOCKED
                | Self::GRV_PROXY_MEMORY_LIMIT_EXCEEDED
                | Self::COMMIT_PROXY_MEMORY_LIMIT_EXCEEDED
                | Self::BATCH_TRANSACTION_THROTTLED
                | Self::PROCESS_BEHIND
                | Self::TAG_THROTTLED
        );
        match predicate {
            Predicate::Retryable => maybe_committed || not_committed,
            Predicate::MaybeCommitted => maybe_committed,
            Predicate::RetryableNotCommitted => not_committed,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text().to_string_lossy(), self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_text_and_a_code_of_its_own() {
        let mut codes: Vec<_> = Error::ALL.iter().map(|error| error.code()).collect();
        assert!(Error::ALL.iter().all(|error| error.text() != c"UNKNOWN_ERROR"));
        codes.dedup();
        assert_eq!(codes.len(), Error::ALL.len());
        assert!(codes.is_sorted());
        assert_eq!(Error(9_999).text(), c"UNKNOWN_ERROR");
    }

    #[test]
    fn an_error_that_may_have_committed_is_retryable_and_nothing_is_in_both_groups() {
        for error in Error::ALL {
            let groups = [Predicate::MaybeCommitted, Predicate::RetryableNotCommitted].map(|group| error.is(group));
            assert_eq!(error.is(Predicate::Retryable), groups != [false, false], "{error}");
            assert_ne!(groups, [true, true], "{error}");
        }
        assert!(Error::COMMIT_UNKNOWN_RESULT.is(Predicate::MaybeCommitted));
        assert!(!Error::TRANSACTION_TIMED_OUT.is(Predicate::Retryable));
    }
}
