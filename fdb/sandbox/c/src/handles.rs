//! Handles, and what passes between C and Rust.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use doubletick_fdb_sandbox::Error;

/// An error code; zero for success.
pub(crate) type Code = c_int;

/// A yes or no.
pub(crate) type Bool = c_int;

/// The code of a result.
pub(crate) fn code(result: Result<(), Error>) -> Code {
    result.map_or_else(Error::code, |()| 0)
}

/// A handle for C, to be given back to [`drop_handle`] once.
pub(crate) fn handle<T>(value: Arc<T>) -> *mut T {
    Arc::into_raw(value).cast_mut()
}

/// What a handle stands for.
///
/// # Safety
/// The handle is from [`handle`], and has not been dropped.
pub(crate) unsafe fn shared<T>(handle: *mut T) -> Arc<T> {
    // SAFETY: the caller's promise; the count is raised first, so the handle stays good.
    unsafe {
        Arc::increment_strong_count(handle);
        Arc::from_raw(handle)
    }
}

/// Ends a handle.
///
/// # Safety
/// The handle is from [`handle`], and is not used again.
pub(crate) unsafe fn drop_handle<T>(handle: *mut T) -> Arc<T> {
    // SAFETY: the caller's promise.
    unsafe { Arc::from_raw(handle) }
}

/// The bytes that a pointer and a length name.
///
/// # Safety
/// They do, and stay as they are for as long as the slice is used. A null pointer names none.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's promise.
        Ok(length @ 1..) if !pointer.is_null() => unsafe { std::slice::from_raw_parts(pointer, length) },
        _ => &[],
    }
}

/// The value of an option; none where the pointer is null.
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn option_value<'a>(pointer: *const u8, length: c_int) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { bytes(pointer, length) })
}

/// The text that a pointer names, without its zero; none where it is null.
///
/// # Safety
/// It is null, or names bytes up to a zero that stay as they are for as long as the slice is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(pointer) }.to_bytes())
}

/// A pointer of the caller's that is handed back to it, on whatever thread.
#[derive(Clone, Copy)]
pub(crate) struct Parameter(pub(crate) *mut c_void);

// SAFETY: it is never followed here; the caller asks for it to be handed to a callback on the network thread.
unsafe impl Send for Parameter {}

impl Parameter {
    pub(crate) fn pointer(self) -> *mut c_void {
        self.0
    }
}
