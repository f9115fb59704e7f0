//! Databases.

use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{Database, Future, Transaction, Value};

use crate::future::{self, FdbFuture};
use crate::handles::{Code, code, drop_handle, handle, option_value, shared, text};
use crate::network::ready_client;

/// The protocol of FoundationDB 7.4.
const PROTOCOL: u64 = 0x0fdb_00b0_7400_0000;

/// Hands a database out.
///
/// # Safety
/// The pointer may be written to.
unsafe fn give(result: Result<Arc<Database>, Error>, out: *mut *mut Database) -> Code {
    // SAFETY: the caller's promise.
    code(result.map(|database| unsafe { out.write(handle(database)) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_create_database(cluster_file: *const c_char, out: *mut *mut Database) -> Code {
    // SAFETY: the pointer names a text or is null, and results may be written to the other.
    unsafe {
        let file = text(cluster_file).map(|file| Path::new(OsStr::from_bytes(file)));
        give(ready_client().and_then(|client| client.open(file)), out)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_create_database_from_connection_string(connection: *const c_char, out: *mut *mut Database) -> Code {
    // SAFETY: the pointer names a text or is null, and results may be written to the other.
    unsafe {
        let connection = text(connection).and_then(|text| std::str::from_utf8(text).ok()).ok_or(Error::CONNECTION_STRING_INVALID);
        give(ready_client().and_then(|client| client.open_text(connection?)), out)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_destroy(database: *mut Database) {
    // SAFETY: the handle is good, and this is its end.
    drop(unsafe { drop_handle(database) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_set_option(database: *mut Database, option: c_int, value: *const u8, length: c_int) -> Code {
    // SAFETY: the handle is good, and the value has that length.
    code(unsafe { shared(database).set_option(option, option_value(value, length)) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_create_transaction(database: *mut Database, out: *mut *mut Transaction) -> Code {
    // SAFETY: the handle is good, and results may be written to the pointer.
    unsafe { out.write(handle(shared(database).transaction())) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_get_main_thread_busyness(_database: *mut Database) -> f64 {
    0.0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_get_server_protocol(database: *mut Database, _expected: u64) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    future::new(Future::of(unsafe { shared(database) }.network(), Ok(Value::Protocol(PROTOCOL))))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_get_client_status(database: *mut Database) -> *mut FdbFuture {
    // SAFETY: the handle is good.
    let database = unsafe { shared(database) };
    future::new(Future::of(database.network(), Ok(Value::Key(database.client_status().into()))))
}
