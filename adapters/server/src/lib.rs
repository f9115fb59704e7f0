//! The server of Doubletick as a library: everything around the gateway machines that touches the world.
//!
//! One TCP port serves it all: devices over WebSocket, registration and health over HTTP, both over TLS if there is a certificate. In
//! reading order, as a message travels:
//!
//! - [`Server`] and [`Running`] (`server`): start, accept, stop;
//! - `proxied`: whom a load balancer speaks for;
//! - `head`, `upgrade`: the first request of a connection, and how a WebSocket is made of it;
//! - `connection`: the task of one device, between its socket and its shard;
//! - `shard`: the task of one [`Gateway`](doubletick_core::gateway::Gateway), with the store on its other side;
//! - `outbox`: frames on the way back;
//! - `http`: registration and health; `meters` limits the former, [`SmsSender`] delivers its codes;
//! - `operator`, `costs`: what is counted, and where operators read it;
//! - [`Config`], `tls`, `phase`; [`seam`]: the few names by which all of this reaches sockets, time and tasks.
//!
//! Nothing is decided here: that is core's. Everything that a hostile peer can make grow has a limit: the head of its request
//! (8 KiB), its frames ([`limits::FRAME_BYTES`](doubletick_core::limits::FRAME_BYTES)), the bytes from one frame to the next, its time,
//! what it does not read ([`Config::gateway`]), its number ([`Config::connections`]), its registrations ([`Registration`]).

mod arrivals;
mod config;
mod connection;
mod costs;
mod head;
mod http;
mod meters;
mod operator;
mod outbox;
mod phase;
mod proxied;
pub mod seam;
mod server;
mod shard;
mod sms;
mod tls;
mod upgrade;

pub use config::{Config, PerMinute, Registration, Stop, Tls};
pub use server::{Running, Server, StartError};
pub use sms::{LogSms, SmsError, SmsSender};
