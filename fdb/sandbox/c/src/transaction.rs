//! Transactions.

use std::ffi::c_int;

use bytes::Bytes;
use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{ConflictRange, Future, Limits, Mode, Selector, Transaction, Value};

use crate::future::{self, FdbFuture};
use crate::handles::{Bool, Code, bytes, code, drop_handle, option_value, shared};

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_destroy(transaction: *mut Transaction) {
    // SAFETY: the handle is good, and this is its end.
    drop(unsafe { drop_handle(transaction) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_cancel(transaction: *mut Transaction) {
    // SAFETY: the handle is good.
    unsafe { shared(transaction) }.cancel();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_reset(transaction: *mut Transaction) {
    // SAFETY: the handle is good.
    unsafe { shared(transaction) }.reset();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set_option(transaction: *mut Transaction, option: c_int, value: *const u8, length: c_int) -> Code {
    // SAFETY: the handle is good, and the value has that length.
    code(unsafe { shared(transaction).set_option(option, option_value(value, length)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set_read_version(transaction: *mut Transaction, version: i64) {
    // SAFETY: the handle is good.
    unsafe { shared(transaction) }.set_read_version(version);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_read_version(transaction: *mut Transaction) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.read_version())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get(transaction: *mut Transaction, key: *const u8, length: c_int, snapshot: Bool) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the key has that length.
    future::new(unsafe { shared(transaction).get(bytes(key, length), snapshot != 0) })
}

/// A selector.
///
/// # Safety
/// The key has that length.
unsafe fn selector(key: *const u8, length: c_int, or_equal: Bool, offset: c_int) -> Selector {
    // SAFETY: the caller's promise.
    Selector { key: Bytes::copy_from_slice(unsafe { bytes(key, length) }), or_equal: or_equal != 0, offset }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_key(
    transaction: *mut Transaction,
    key: *const u8,
    length: c_int,
    or_equal: Bool,
    offset: c_int,
    snapshot: Bool,
) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the key has that length.
    future::new(unsafe { shared(transaction).get_key(&selector(key, length, or_equal, offset), snapshot != 0) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: Bool,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: Bool,
    end_offset: c_int,
    limit: c_int,
    target_bytes: c_int,
    mode: c_int,
    iteration: c_int,
    snapshot: Bool,
    reverse: Bool,
) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the keys have those lengths.
    let (transaction, begin, end) = unsafe {
        (
            shared(transaction),
            selector(begin, begin_length, begin_or_equal, begin_offset),
            selector(end, end_length, end_or_equal, end_offset),
        )
    };
    let mode = Mode::from_code(mode).ok_or(Error::CLIENT_INVALID_OPERATION);
    match mode.and_then(|mode| Limits::new(limit, target_bytes, mode, iteration)) {
        Ok(limits) => future::new(transaction.get_range(&begin, &end, limits, snapshot != 0, reverse != 0)),
        Err(error) => future::new(Future::of(transaction.network(), Err(error))),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_addresses_for_key(transaction: *mut Transaction, key: *const u8, length: c_int) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the key has that length.
    future::new(unsafe { shared(transaction).addresses_for_key(bytes(key, length)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_estimated_range_size_bytes(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the keys have those lengths.
    future::new(unsafe { shared(transaction).estimated_size(bytes(begin, begin_length), bytes(end, end_length)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_range_split_points(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    chunk: i64,
) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the keys have those lengths.
    future::new(unsafe { shared(transaction).split_points(bytes(begin, begin_length), bytes(end, end_length), chunk) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set(
    transaction: *mut Transaction,
    key: *const u8,
    length: c_int,
    value: *const u8,
    value_length: c_int,
) {
    // SAFETY: the handle is good, and key and value have those lengths.
    unsafe { shared(transaction).set(bytes(key, length), bytes(value, value_length)) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_atomic_op(
    transaction: *mut Transaction,
    key: *const u8,
    length: c_int,
    operand: *const u8,
    operand_length: c_int,
    operation: c_int,
) {
    // SAFETY: the handle is good, and key and operand have those lengths.
    unsafe { shared(transaction).atomic(operation, bytes(key, length), bytes(operand, operand_length)) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear(transaction: *mut Transaction, key: *const u8, length: c_int) {
    // SAFETY: the handle is good, and the key has that length.
    unsafe { shared(transaction).clear(bytes(key, length)) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) {
    // SAFETY: the handle is good, and the keys have those lengths.
    unsafe { shared(transaction).clear_range(bytes(begin, begin_length), bytes(end, end_length)) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_add_conflict_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    kind: c_int,
) -> Code {
    let kind = match kind {
        0 => ConflictRange::Read,
        1 => ConflictRange::Write,
        _ => return code(Err(Error::CLIENT_INVALID_OPERATION)),
    };
    // SAFETY: the handle is good, and the keys have those lengths.
    code(unsafe { shared(transaction).add_conflict_range(bytes(begin, begin_length), bytes(end, end_length), kind) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_watch(transaction: *mut Transaction, key: *const u8, length: c_int) -> *mut FdbFuture {
    // SAFETY: the handle is good, and the key has that length.
    future::new(unsafe { shared(transaction).watch(bytes(key, length)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_commit(transaction: *mut Transaction) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.commit())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_committed_version(transaction: *mut Transaction, out: *mut i64) -> Code {
    // SAFETY: the handle is good, and results may be written to the pointer.
    unsafe { out.write(shared(transaction).committed_version().map_or(-1, |version| version.0)) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_versionstamp(transaction: *mut Transaction) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.versionstamp())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_approximate_size(transaction: *mut Transaction) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.approximate_size())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_total_cost(transaction: *mut Transaction) -> *mut FdbFuture {
    // What a transaction costs is counted in bytes, and the sandbox charges nobody.
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.approximate_size())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_tag_throttled_duration(transaction: *mut Transaction) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(Future::of(unsafe { shared(transaction) }.network(), Ok(Value::Seconds(0.0))))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_on_error(transaction: *mut Transaction, error: Code) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(unsafe { shared(transaction) }.on_error(Error::from_code(error)))
}
