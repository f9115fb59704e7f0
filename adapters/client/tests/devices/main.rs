//! Devices and a server over real sockets on the loopback.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind of event and passes over the others")]
#![allow(clippy::unwrap_used, reason = "a panic in what tests share is the report too")]

#[allow(dead_code, reason = "shared with the tests of the storage, which use more of it")]
mod disk;
mod faults;

mod registration;
mod talk;
mod wide;
mod world;
