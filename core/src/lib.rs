//! The pure state machine of Doubletick: everything that decides anything, and nothing that does I/O.
//!
//! There are three machines here, and each is a function of what is handed to it. None reads a clock, draws a random number, opens a
//! file or starts a thread; `no_std` sees to that. The same inputs give the same bytes on every machine.
//!
//! Reading order, as a message travels:
//!
//! 1. [`client`]: the sending device. Stores the message in its outbox, sends it, and sends it again until it is answered.
//! 2. [`frame`]: what devices and gateways say to each other, as values. ([`content`] is what a message carries, [`change`] what happens to a group.)
//! 3. [`gateway`]: the sessions of one shard of connections. Turns frames into commands, batches them, passes on what comes back.
//! 4. [`command`]: what may be asked of the store's machine, and what it answers. [`reject`] says what a device did wrong.
//! 5. [`transact`]: from rows and commands to events, row writes and replies: decide, project, react. [`event`]: what has happened.
//! 6. [`rows`]: the row table, its keys and values. [`view`]: rows as a transaction sees them. [`store`]: what a store promises.
//! 7. Back up again: a wake-up in the receiving gateway's rows, a page of the log, a delivery, and [`client`] stores and acknowledges it.
//!
//! Beside them: [`id`], [`time`], [`limits`] (a limit on everything, in one file), [`rate`] and [`draw`] (limits of rates and keyed
//! randomness as pure state), [`chain`] and [`verify`] (the log's hash chain, and the proof of a whole store).
//!
//! With the feature `probes`, for the simulator only, there is also `probe`: bugs to plant, and marks at rare branches. Without it,
//! `planted!` and `mark!` are nothing.

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "probes"))]
#[macro_use]
extern crate std;

#[macro_use]
mod probe_macros;

pub mod chain;
pub mod change;
pub mod client;
pub mod command;
pub mod content;
pub mod draw;
pub mod event;
pub mod frame;
pub mod gateway;
pub mod id;
pub mod limits;
#[cfg(feature = "probes")]
pub mod probe;
pub mod rate;
pub mod reject;
pub mod rows;
pub mod store;
pub mod time;
pub mod transact;
pub mod verify;
pub mod view;
