//! Results that are delivered later.

use std::ffi::CString;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::network::Network;
use crate::error::Error;

/// What a future delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// That it is done.
    Done,
    /// A version or a size.
    Number(i64),
    /// A protocol version.
    Protocol(u64),
    /// A duration in seconds.
    Seconds(f64),
    /// A key, or a status text.
    Key(Bytes),
    /// The value of a row, if there is one.
    Row(Option<Bytes>),
    /// Rows, and whether there may be more of them.
    Rows(Vec<(Bytes, Bytes)>, bool),
    /// Keys.
    Keys(Vec<Bytes>),
    /// Addresses of machines.
    Addresses(Vec<CString>),
}

/// What is run once a future is ready.
type Callback = Box<dyn FnOnce() + Send>;

/// A result that is delivered later, once.
///
/// Callbacks run on the network thread, or at once where the future is ready already.
pub struct Future {
    network: Arc<Network>,
    result: OnceLock<Result<Value, Error>>,
    waiting: Mutex<Vec<Callback>>,
    ready: Condvar,
}

impl Future {
    pub(super) fn new(network: &Arc<Network>) -> Arc<Self> {
        Arc::new(Self { network: Arc::clone(network), result: OnceLock::new(), waiting: Mutex::default(), ready: Condvar::new() })
    }

    /// A future that has its result.
    pub fn of(network: &Arc<Network>, result: Result<Value, Error>) -> Arc<Self> {
        let future = Self::new(network);
        // Nobody else has it yet, so nothing else can have set it.
        let _ = future.result.set(result);
        future
    }

    /// The result, if it is there.
    pub fn result(&self) -> Option<&Result<Value, Error>> {
        self.result.get()
    }

    /// Whether the result is there.
    pub fn is_ready(&self) -> bool {
        self.result.get().is_some()
    }

    /// Runs something once the result is there: at once if it is.
    pub fn on_ready(&self, callback: Callback) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_ready() {
            drop(waiting);
            callback();
        } else {
            waiting.push(callback);
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::BLOCKED_FROM_NETWORK_THREAD`] where waiting would keep the result from coming.
    pub fn wait(&self) -> Result<&Result<Value, Error>, Error> {
        if let Some(result) = self.result() {
            return Ok(result);
        }
        if self.network.is_current_thread() {
            return Err(Error::BLOCKED_FROM_NETWORK_THREAD);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = self.result() {
                return Ok(result);
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the result up: it is [`Error::OPERATION_CANCELLED`] unless it is there already.
    pub fn cancel(&self) {
        self.fail(Error::OPERATION_CANCELLED);
    }

    /// Sets the error, and leaves the callbacks to the network thread.
    pub(super) fn fail(&self, error: Error) {
        let callbacks = self.set(Err(error));
        if !callbacks.is_empty() {
            self.network.post(Box::new(move || callbacks.into_iter().for_each(|callback| callback())));
        }
    }

    /// Sets the result and runs the callbacks. For the network thread.
    pub(super) fn complete(&self, result: Result<Value, Error>) {
        self.set(result).into_iter().for_each(|callback| callback());
    }

    /// Sets the result unless there is one. Gives the callbacks that now are to be run.
    fn set(&self, result: Result<Value, Error>) -> Vec<Callback> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.result.set(result).is_err() {
            return Vec::new();
        }
        self.ready.notify_all();
        std::mem::take(&mut *waiting)
    }
}

impl fmt::Debug for Future {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Future").field(&self.result()).finish()
    }
}
