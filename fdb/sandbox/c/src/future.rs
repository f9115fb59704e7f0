//! Futures.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{Future, Value};

use crate::handles::{Bool, Code, Parameter, code, drop_handle, handle, shared};

/// `FDBFuture`: a future, and the arrays that point into its result.
pub(crate) struct FdbFuture {
    future: Arc<Future>,
    released: AtomicBool,
    arrays: OnceLock<Arrays>,
}

/// The results that C reads as arrays.
enum Arrays {
    Rows(Vec<FdbKeyValue>),
    Keys(Vec<FdbKey>),
    Strings(Vec<*const c_char>),
}

// SAFETY: the pointers lead into the result of `future`, which is set once, never changes, and lives as long as this.
unsafe impl Send for FdbFuture {}
// SAFETY: as above; nothing here changes through a shared reference but what synchronizes itself.
unsafe impl Sync for FdbFuture {}

/// `FDBKeyValue` of `fdb_c.h`, which packs it to four bytes.
#[repr(C, packed(4))]
pub(crate) struct FdbKeyValue {
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
}

/// `FDBKey` of `fdb_c.h`, which packs it to four bytes.
#[repr(C, packed(4))]
pub(crate) struct FdbKey {
    key: *const u8,
    key_length: c_int,
}

/// `FDBCallback`.
type Callback = extern "C" fn(*mut FdbFuture, *mut c_void);

/// A future for C.
pub(crate) fn new(future: Arc<Future>) -> *mut FdbFuture {
    handle(Arc::new(FdbFuture { future, released: AtomicBool::new(false), arrays: OnceLock::new() }))
}

fn length(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).expect("limits keep every result far below two billion bytes")
}

fn count<T>(items: &[T]) -> c_int {
    c_int::try_from(items.len()).expect("limits keep every result far below two billion items")
}

impl FdbFuture {
    fn result(&self) -> Result<&Value, Error> {
        if self.released.load(Ordering::Acquire) {
            return Err(Error::FUTURE_RELEASED);
        }
        self.future.result().ok_or(Error::FUTURE_NOT_SET)?.as_ref().map_err(|error| *error)
    }

    fn arrays(&self, value: &Value) -> &Arrays {
        self.arrays.get_or_init(|| match value {
            Value::Rows(rows, _) => Arrays::Rows(rows.iter().map(key_value).collect()),
            Value::Keys(keys) => Arrays::Keys(keys.iter().map(|key| FdbKey { key: key.as_ptr(), key_length: length(key) }).collect()),
            Value::Addresses(addresses) => Arrays::Strings(addresses.iter().map(|address: &CString| address.as_ptr()).collect()),
            Value::Done | Value::Number(_) | Value::Protocol(_) | Value::Seconds(_) | Value::Key(_) | Value::Row(_) => {
                Arrays::Strings(Vec::new())
            }
        })
    }
}

fn key_value((key, value): &(Bytes, Bytes)) -> FdbKeyValue {
    FdbKeyValue { key: key.as_ptr(), key_length: length(key), value: value.as_ptr(), value_length: length(value) }
}

/// Takes the result of a future apart. One of another kind than was asked for is the caller's mistake.
///
/// # Safety
/// The handle is good.
unsafe fn take(future: *mut FdbFuture, out: impl FnOnce(&FdbFuture, &Value) -> Option<()>) -> Code {
    // SAFETY: the caller's promise. The result lives as long as the handle, beyond the reference that is held here.
    let future = unsafe { shared(future) };
    code(future.result().and_then(|value| out(&future, value).ok_or(Error::CLIENT_INVALID_OPERATION)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_cancel(future: *mut FdbFuture) {
    // SAFETY: the handle is good.
    unsafe { shared(future) }.future.cancel();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_release_memory(future: *mut FdbFuture) {
    // SAFETY: the handle is good. The memory itself goes with the future, since a callback may still hold it.
    unsafe { shared(future) }.released.store(true, Ordering::Release);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_destroy(future: *mut FdbFuture) {
    // SAFETY: the handle is good, and this is its end. A callback that is still to run holds a reference of its own.
    unsafe { drop_handle(future) }.future.cancel();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_block_until_ready(future: *mut FdbFuture) -> Code {
    // SAFETY: the handle is good.
    let future = unsafe { shared(future) };
    code(future.future.wait().map(|_| ()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_is_ready(future: *mut FdbFuture) -> Bool {
    // SAFETY: the handle is good.
    unsafe { shared(future) }.future.is_ready().into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_set_callback(future: *mut FdbFuture, callback: Option<Callback>, parameter: *mut c_void) -> Code {
    let Some(callback) = callback else { return code(Err(Error::CLIENT_INVALID_OPERATION)) };
    // SAFETY: the handle is good. The callback keeps what it is called with alive, even if the handle is destroyed first.
    let held = unsafe { shared(future) };
    let parameter = Parameter(parameter);
    held.future.on_ready(Box::new({
        let held = Arc::clone(&held);
        move || callback(Arc::as_ptr(&held).cast_mut(), parameter.pointer())
    }));
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_error(future: *mut FdbFuture) -> Code {
    // SAFETY: the handle is good.
    unsafe { take(future, |_, _| Some(())) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_int64(future: *mut FdbFuture, out: *mut i64) -> Code {
    let get = |_: &FdbFuture, value: &Value| {
        let Value::Number(number) = value else { return None };
        // SAFETY: results may be written there.
        unsafe { out.write(*number) };
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_uint64(future: *mut FdbFuture, out: *mut u64) -> Code {
    let get = |_: &FdbFuture, value: &Value| {
        let Value::Protocol(number) = value else { return None };
        // SAFETY: results may be written there.
        unsafe { out.write(*number) };
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_double(future: *mut FdbFuture, out: *mut f64) -> Code {
    let get = |_: &FdbFuture, value: &Value| {
        let Value::Seconds(seconds) = value else { return None };
        // SAFETY: results may be written there.
        unsafe { out.write(*seconds) };
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_key(future: *mut FdbFuture, out: *mut *const u8, out_length: *mut c_int) -> Code {
    let get = |_: &FdbFuture, value: &Value| {
        let Value::Key(key) = value else { return None };
        // SAFETY: results may be written there.
        unsafe {
            out.write(key.as_ptr());
            out_length.write(length(key));
        }
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_value(future: *mut FdbFuture, present: *mut Bool, out: *mut *const u8, out_length: *mut c_int) -> Code {
    let get = |_: &FdbFuture, value: &Value| {
        let Value::Row(row) = value else { return None };
        let bytes: &[u8] = row.as_deref().unwrap_or_default();
        // SAFETY: results may be written there.
        unsafe {
            present.write(row.is_some().into());
            out.write(bytes.as_ptr());
            out_length.write(length(bytes));
        }
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_keyvalue_array(
    future: *mut FdbFuture,
    out: *mut *const FdbKeyValue,
    out_count: *mut c_int,
    out_more: *mut Bool,
) -> Code {
    let get = |future: &FdbFuture, value: &Value| {
        let Value::Rows(_, more) = value else { return None };
        let Arrays::Rows(rows) = future.arrays(value) else { return None };
        // SAFETY: results may be written there.
        unsafe {
            out.write(rows.as_ptr());
            out_count.write(count(rows));
            out_more.write((*more).into());
        }
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_key_array(future: *mut FdbFuture, out: *mut *const FdbKey, out_count: *mut c_int) -> Code {
    let get = |future: &FdbFuture, value: &Value| {
        let Value::Keys(_) = value else { return None };
        let Arrays::Keys(keys) = future.arrays(value) else { return None };
        // SAFETY: results may be written there.
        unsafe {
            out.write(keys.as_ptr());
            out_count.write(count(keys));
        }
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_string_array(future: *mut FdbFuture, out: *mut *const *const c_char, out_count: *mut c_int) -> Code {
    let get = |future: &FdbFuture, value: &Value| {
        let Value::Addresses(_) = value else { return None };
        let Arrays::Strings(strings) = future.arrays(value) else { return None };
        // SAFETY: results may be written there.
        unsafe {
            out.write(strings.as_ptr());
            out_count.write(count(strings));
        }
        Some(())
    };
    // SAFETY: the handle is good.
    unsafe { take(future, get) }
}
