//! How large a transaction may be. The limits are FoundationDB's, rounded to the safe side, and hold for every store, so that what passes
//! on one machine, or in the simulator, passes on a cluster.
//!
//! Core makes its rows and batches so that they fit; a transaction that does not is a mistake of ours and panics.

use super::{Key, Scan, Write};

/// The most bytes a value has (FoundationDB: 100,000).
pub const MAX_VALUE: usize = 100_000;

/// The most bytes of keys and values that one transaction writes (FoundationDB refuses 10,000,000 and advises against 1,000,000).
pub const MAX_WRITTEN: usize = 1_000_000;

/// Checks the writes of one transaction and returns how many bytes they are.
///
/// # Panics
/// If a value is longer than [`MAX_VALUE`], or all together are more than [`MAX_WRITTEN`].
pub fn check_writes(writes: &[Write]) -> usize {
    let mut bytes = 0;
    for write in writes {
        let value = match write {
            Write::Set(key, value) => {
                assert!(value.len() <= MAX_VALUE, "a value of {} bytes for {key:?}", value.len());
                value.len()
            }
            Write::Clear(_) => 0,
            Write::Max(..) | Write::Add(..) => size_of::<u64>(),
        };
        bytes += write.key().as_bytes().len() + value;
    }
    assert!(bytes <= MAX_WRITTEN, "a transaction that writes {bytes} bytes");
    bytes
}

/// Checks a scan, and tells whether any key can be in it.
///
/// # Panics
/// If it asks for no rows, or crosses from durable into ephemeral keys: where those two live apart no one state holds both ends.
pub fn check_scan(scan: &Scan) -> bool {
    assert!(scan.limit > 0, "a scan for no rows: {scan:?}");
    if scan.from >= scan.to {
        return false;
    }
    let crosses = !scan.from.is_ephemeral() && scan.to > Key::new(&[Key::EPHEMERAL]);
    assert!(!crosses, "a scan from durable into ephemeral keys: {scan:?}");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(from: &[u8], to: &[u8]) -> Scan {
        Scan { from: Key::new(from), to: Key::new(to), limit: 1, reverse: false }
    }

    #[test]
    fn a_scan_may_end_where_the_ephemeral_keys_begin_but_not_beyond() {
        assert!(check_scan(&scan(b"", &[0x80])));
        assert!(check_scan(&scan(&[0x80], &[0xff])));
        assert!(!check_scan(&scan(b"b", b"a")));
        std::panic::catch_unwind(|| check_scan(&scan(b"a", &[0x80, 0]))).expect_err("it crosses");
    }

    #[test]
    fn keys_and_values_are_counted() {
        let key = Key::new(b"key");
        assert_eq!(check_writes(&[Write::Set(key, vec![0; 10]), Write::Clear(key), Write::Add(key, 1)]), 13 + 3 + 11);
    }
}
