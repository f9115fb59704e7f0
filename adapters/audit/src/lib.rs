//! Proves, counts, copies and tells what a store holds, and changes nothing in it.
//!
//! There is one proof, [`doubletick_core::verify`], which the simulator uses too. What is here brings it the rows of real stores. A store may
//! be larger than memory, and in use; so a conversation is read by itself: what is short about it from one state of the store, then its log
//! and index page by page up to where they ended in that state. Entries never change, so all of it is of one moment. Reading order:
//!
//! - [`source`]: a data directory or a cluster, open to be read;
//! - [`conversation`]: all rows about one conversation, as of one moment;
//! - [`check`]: the proof of a whole store, and [`findings`], what it shows;
//! - [`stats`]: how much there is of what;
//! - [`export`]: a file with the rows of conversations, to be looked at elsewhere, and [`anonymise`], which keeps people out of it;
//! - [`story`]: what the log of a conversation tells, and how everybody stands.

pub mod anonymise;
pub mod check;
pub mod conversation;
pub mod export;
pub mod findings;
pub mod source;
pub mod stats;
pub mod story;
