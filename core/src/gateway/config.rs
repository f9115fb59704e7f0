//! What an operator may choose about a gateway.

use crate::limits;
use crate::rate::Rate;
use crate::time::Millis;

/// How long the server keeps what was said. Whatever it is, that something was said, by whom and when, is kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// For ever.
    #[default]
    Forever,
    /// Until every device that it is for has it.
    UntilDelivered,
    /// For so long, whether or not every device has it by then.
    For(Millis),
}

/// Limits and times of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connections that it holds at the most.
    pub connections: usize,
    /// How long a connection may take to greet.
    pub handshake: Millis,
    /// Messages that a session may have sent without having heard of them.
    pub window: u32,
    /// Other requests that a session may have under way.
    pub requests: u32,
    /// Entries that a session may have been sent without having acknowledged them.
    pub deliveries: u32,
    /// How long a device may take to acknowledge.
    pub ack_timeout: Millis,
    /// Bytes on their way to a connection above which it is taken for one that does not read. Deliveries stop at half of it.
    pub unflushed: u32,
    /// How often a session's dirty set is read again, in case a wake-up was lost.
    pub reread: Millis,
    /// Messages that a session may send. One that sends more is slowed down.
    pub send_rate: Rate,
    /// Look-ups of users that a session may make.
    pub lookup_rate: Rate,
    /// Commands in one transaction.
    pub batch: usize,
    /// Transactions of one kind that are under way at a time.
    pub in_flight: usize,
    /// How long contents are kept.
    pub retention: Retention,
    /// How long after all conversations were looked at for what need not be kept they are looked at again.
    pub retention_walk: Millis,
    /// Seeds what is spread at random.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 100_000,
            handshake: Millis::seconds(10),
            window: 64,
            requests: 2 * limits::REQUESTS_AT_ONCE as u32,
            deliveries: 256,
            ack_timeout: Millis::seconds(30),
            unflushed: 512 * 1024,
            reread: Millis::seconds(60),
            send_rate: Rate { per_second: 50, burst: 100 },
            lookup_rate: Rate { per_second: 2, burst: 20 },
            batch: limits::COMMANDS_PER_TRANSACTION,
            in_flight: 4,
            retention: Retention::Forever,
            retention_walk: Millis::seconds(10 * 60),
            seed: 0,
        }
    }
}
