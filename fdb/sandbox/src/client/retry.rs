//! Running a transaction again.

use std::sync::Arc;
use std::time::Duration;

use super::future::{Future, Value};
use super::transaction::{State, Transaction};
use crate::error::{Error, Predicate};

/// How long one waits for a version to come, or a new one to begin with.
const VERSION_DELAY: Duration = Duration::from_millis(10);

/// The most that the back-off grows to where the cluster is short of something.
const SHORTAGE_BACKOFF: Duration = Duration::from_secs(30);

impl Transaction {
    /// Says what went wrong, in order to run the transaction again: ready after a back-off, or an error if that would not help.
    ///
    /// An error that cannot be helped makes the transaction useless until it is reset.
    pub fn on_error(self: &Arc<Self>, error: Option<Error>) -> Arc<Future> {
        let mut state = self.lock();
        if let Some(error) = state.failed {
            return self.refuse(error);
        }
        let Some(error) = error else { return self.refuse(Error::CLIENT_INVALID_OPERATION) };
        if !error.is(Predicate::Retryable) || state.options.retry_limit.is_some_and(|limit| state.retries >= limit) {
            state.fail(Error::TRANSACTION_CANCELLED);
            return self.refuse(error);
        }
        state.retries += 1;
        let most = state.next_delay(error);
        let before = state.deadline;
        state.begin_again();
        let future = Future::new(self.database.network());
        state.wait_for(&future);
        self.arm_timeout(&mut state, before);
        drop(state);
        let delay = if most == VERSION_DELAY { most } else { self.database.cluster.lock().chance.backoff(most) };
        let ready = Arc::clone(&future);
        self.database.network().post_after(delay, Box::new(move || ready.complete(Ok(Value::Done))));
        future
    }
}

impl State {
    /// The most to wait before the transaction is run again after this error. Next time it is more.
    fn next_delay(&mut self, error: Error) -> Duration {
        if matches!(error, Error::TRANSACTION_TOO_OLD | Error::FUTURE_VERSION) {
            return VERSION_DELAY.min(self.options.max_retry_delay);
        }
        let shortage = matches!(error, Error::COMMIT_PROXY_MEMORY_LIMIT_EXCEEDED | Error::GRV_PROXY_MEMORY_LIMIT_EXCEEDED);
        let limit = if shortage { SHORTAGE_BACKOFF } else { self.options.max_retry_delay };
        let most = self.backoff.min(limit);
        self.backoff = (self.backoff * 2).min(limit);
        most
    }
}
