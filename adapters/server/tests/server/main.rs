//! The server over real sockets on the loopback.

mod world;

mod hostile;
mod http;
mod messages;
mod sessions;
mod stop;
mod tls;
