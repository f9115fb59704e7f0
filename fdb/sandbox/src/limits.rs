//! The limits of FoundationDB that the sandbox keeps.

/// The most bytes of a key.
pub const KEY: usize = 10_000;

/// The most bytes of a key in the system's space, from `\xff` on.
pub const SYSTEM_KEY: usize = 30_000;

/// The most bytes of a value.
pub const VALUE: usize = 100_000;

/// The most bytes of a transaction, and the most that its `size_limit` option may allow.
pub const TRANSACTION: i64 = 10_000_000;

/// The least that the `size_limit` option may allow.
pub const LEAST_SIZE_LIMIT: i64 = 32;

/// The watches that one database handle may have set unless its `max_watches` option says otherwise.
pub const WATCHES: usize = 10_000;

/// The most that the `max_watches` option may allow.
pub const MOST_WATCHES: i64 = 1_000_000;

/// The keys that applications may use end here.
pub const SYSTEM: &[u8] = b"\xff";

/// The system's keys end here, and the special ones begin.
pub const SPECIAL: &[u8] = b"\xff\xff";

/// The one key of the system that applications read and write: who caches what the database says of itself changes its value.
pub const METADATA_VERSION: &[u8] = b"\xff/metadataVersion";

/// The most bytes that this key may have.
pub fn of_key(key: &[u8]) -> usize {
    if key.starts_with(SYSTEM) { SYSTEM_KEY } else { KEY }
}
