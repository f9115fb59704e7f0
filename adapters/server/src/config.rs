//! What an operator may choose about a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use doubletick_core::gateway::{self, Drain};
use doubletick_core::rate::Rate;
use doubletick_core::time::Millis;

/// Limits, times and places of one server. The values are taken as they are: whoever reads them from a user has checked them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to tell operators what is counted, over plain HTTP at `/metrics`, and whether all is well, at `/live` and `/ready`.
    pub metrics: Option<SocketAddr>,
    /// Whether every connection begins with a PROXY protocol header of version 2, which says whose it is. Only where nobody but a load
    /// balancer can reach the port: whoever can may be anyone.
    pub proxied: bool,
    /// Gateways, each a task of its own; at least 1. One for each core is best.
    pub shards: usize,
    /// Limits and times of each gateway. Its `connections` and `seed` are set by the server.
    pub gateway: gateway::Config,
    /// Sockets that are open at a time, whatever they speak; at least 1.
    pub connections: usize,
    /// How fast new WebSockets are taken. Whoever comes faster is told when to come back.
    pub arrivals: Rate,
    /// How long a connection may take for its TLS handshake, for its first request, and for everything else before it is a WebSocket.
    pub handshake: Millis,
    /// How long a connection is kept open after the server has said goodbye, so that the peer can read it.
    pub linger: Millis,
    /// How it stops.
    pub stop: Stop,
    /// With TLS, where its files are.
    pub tls: Option<Tls>,
    /// Limits of registration.
    pub registration: Registration,
}

/// How a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// For so long it says that it is not ready and goes on as before, so that load balancers turn to others first.
    pub notice: Millis,
    /// How its clients are sent away after that.
    pub drain: Drain,
    /// How long it may take in all. What has not ended by then is cut off.
    pub deadline: Millis,
}

impl Stop {
    /// For a server that is the only one on its store: clients come back to its successor.
    pub const ALONE: Self = Self {
        notice: Millis(0),
        drain: Drain { over: Millis(0), spread: Millis::seconds(10), handover: Millis(0) },
        deadline: Millis::seconds(10),
    };

    /// For one of several: clients go to the others.
    pub const AMONG_OTHERS: Self = Self {
        notice: Millis::seconds(5),
        drain: Drain { over: Millis::seconds(20), spread: Millis::seconds(2), handover: Millis::seconds(15) },
        deadline: Millis::seconds(60),
    };

    /// How long it takes at the most if the store does what it is asked.
    pub fn length(&self) -> Millis {
        let Drain { over, spread, handover } = self.drain;
        let last = if handover == Millis(0) { 0 } else { spread.0 + handover.0 };
        Millis(self.notice.0 + over.0 + last)
    }
}

/// Files of a TLS server, in PEM encoding (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// Limits of registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Requests from one address (IPv4), or one network of 64 bits (IPv6).
    pub per_address: PerMinute,
    /// Requests from everywhere.
    pub overall: PerMinute,
    /// The code of every verification, known in advance. For tests and measurements only: with it anyone can take any number.
    pub insecure_fixed_code: Option<String>,
}

/// How often something may happen that people do seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerMinute {
    /// So many a minute on average; at least 1.
    pub per_minute: u32,
    /// So many at once after a rest; at least 1.
    pub burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7410)),
            metrics: None,
            proxied: false,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            gateway: gateway::Config::default(),
            connections: 16_000,
            arrivals: Rate { per_second: 1_000, burst: 2_000 },
            handshake: Millis::seconds(10),
            linger: Millis::seconds(2),
            stop: Stop::ALONE,
            tls: None,
            registration: Registration::default(),
        }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            per_address: PerMinute { per_minute: 30, burst: 20 },
            overall: PerMinute { per_minute: 6_000, burst: 200 },
            insecure_fixed_code: None,
        }
    }
}
