//! The bytes of Doubletick's wire protocol.
//!
//! Core deals in frames as values ([`doubletick_core::frame`]); `proto/` says how they look in Protobuf, and `docs/protocol.md` what
//! they are for. Here the two meet. Everything that a peer can send is checked here and nowhere else: what comes out of
//! [`decode_client`] and [`decode_server`] is right, within the limits of [`doubletick_core::limits`].
//!
//! The types that stand for the schema are in the repository, so that a build needs neither `protoc` nor a reader of schemas; a test
//! keeps them equal to `proto/`.
//!
//! Reading order: [`client`](decode_client), [`server`](decode_server), the parts that both are made of, [`WireError`], [`Token`].

mod client;
mod error;
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all, reason = "written by prost-build, also for bodies, which core reads by itself")]
#[rustfmt::skip]
mod generated;
mod parts;
mod server;
mod token;

pub use client::{decode_client, encode_client};
pub use error::{Problem, WireError};
pub use server::{decode_server, encode_server};
pub use token::{Token, TokenError, parse_secret, secret_text};

/// The WebSocket sub-protocol (RFC 6455 §1.9) that names this protocol and its version.
pub const SUBPROTOCOL: &str = "doubletick.v1";
