//! The server over real sockets on the loopback.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind of frame and passes over the others")]
#![allow(clippy::unwrap_used, reason = "a panic in what tests share is the report too")]

mod world;

mod hostile;
mod http;
mod messages;
mod metrics;
mod sessions;
mod stop;
mod tls;
