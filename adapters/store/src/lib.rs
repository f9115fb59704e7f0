//! What every store of Doubletick promises, and how to show that one keeps it.
//!
//! The vocabulary (keys, writes, transactions) is [`doubletick_core::store`]; it is pure. This crate adds the one trait that does
//! something, [`Store`], and what its implementers share. In reading order, after [`limits`] (how large a transaction may be):
//!
//! - [`Store`]: run a transaction, watch a key;
//! - [`bells`]: who waits for which key, for stores that hold that in memory;
//! - [`fetched`]: the snapshot of a store that must fetch, and its rounds;
//! - [`readable`]: the same stores for whoever must not change them;
//! - [`waiting`]: for a future, without a runtime;
//! - [`memory`]: a store in memory, for tests, which can fail on demand;
//! - `conformance` (feature of that name): the suite that every store runs.
//!
//! # What is promised
//!
//! To the caller of [`Store::execute`]:
//!
//! 1. **Atomic.** All writes of a transaction are there, durable and ephemeral ones together, or none is.
//! 2. **Serializable, in real time.** The outcome is that of one transaction after the other; one that was submitted after another was
//!    answered comes after it. All reads of one run see one state.
//! 3. **Durable.** An answer is given only once the durable writes, and all that the answer was computed from, outlive the process and
//!    the machine's power. Ephemeral rows ([`Key::is_ephemeral`]) may die with the process that keeps them.
//! 4. **One effect.** However often the function was run, an answer stands for one commit. After a [`Failure`] there may have been one
//!    ([`Failure::Unknown`]) or none ([`Failure::Retry`]).
//! 5. **Bounded.** A store that has too much to do makes callers wait or refuses; it does not grow.
//!
//! Not promised: that a bell rings ([`Store::watch`]); any order among transactions that run at the same time; that a transaction whose
//! future was dropped does not happen.

use std::future::Future;

pub use doubletick_core::store::limits;
use doubletick_core::store::{Failure, Key, Transaction};

pub mod bells;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod fetched;
pub mod memory;
pub mod readable;
pub mod waiting;

/// A store: a handle that is cheap to clone, and whose clones are the same store.
///
/// Futures are `'static`, so that they can be handed to any runtime, and need none of their own.
pub trait Store: Clone + Send + Sync + 'static {
    /// Resolves when the watched key was changed.
    type Bell: Future<Output = ()> + Send + Unpin + 'static;

    /// Runs the transaction and commits what it wants written.
    ///
    /// The store runs the function as often as it must: to fetch what a run found missing, and again from the start when another
    /// transaction got in between. Nothing happens before the future is first polled. Dropping it afterwards does not undo what was
    /// submitted: the transaction may be committed all the same.
    ///
    /// # Errors
    /// [`Failure`] tells the three ways in which there is no answer. Whoever runs a transaction again waits a little first, and longer
    /// each time.
    ///
    /// # Panics
    /// When the transaction panics, or breaks one of the [`limits`]: both are our mistakes, and touch nobody else's transaction.
    fn execute<T: Transaction>(&self, transaction: T) -> impl Future<Output = Result<T::Answer, Failure>> + Send + 'static + use<Self, T>;

    /// Arms a bell: once this future has resolved, a commit that writes the key rings the bell that it resolved to.
    ///
    /// In two steps, because a store over a network must tell its servers first. The way to lose no wake-up is to arm the bell, then read
    /// what it announces, then wait for it. It rings once; arm another to hear the next change.
    ///
    /// A bell is a hint. It may ring late, twice for one change, without any change, or (a server was lost, and the watch with it)
    /// never; so whoever waits also looks again after a while.
    fn watch(&self, key: &Key) -> impl Future<Output = Self::Bell> + Send + 'static + use<Self>;
}
