//! The server over real sockets on the loopback.

mod world;

mod messages;
