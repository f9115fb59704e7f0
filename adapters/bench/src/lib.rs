//! `doubletick bench`: a load generator that checks while it measures.
//!
//! It drives real sockets with the client machine of [`doubletick_core::client`], as many devices as there are connections, in pairs that
//! write to each other. Every message carries when it was meant to be sent and the how-manieth of its sender it is, so that a receiver
//! sees at once what is missing, doubled or out of order; at the end the books of both sides are compared. A run in which they
//! differ fails, however fast it was.
//!
//! - `load`: messages per second, latencies, bytes on the wire;
//! - `group`: how long until every member of a group has a message;
//! - `idle`: the server's memory per idle connection;
//! - `sessions`: the memory of the gateway machine alone, per session;
//! - `server`: the server under test, started for the run or given;
//! - `device`: one device of a pair; `line`: one connection and its client machine; `counting`: how many bytes go over it; `report`: what came of it.

mod accounts;
mod costs;
mod counting;
mod device;
mod group;
mod idle;
mod line;
mod load;
mod report;
mod server;
mod sessions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// What to measure, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Without --server, a server with a store in a temporary directory is started for the run, and stopped after it.")]
pub struct BenchArgs {
    /// The server to load, as ADDRESS:PORT. It must take the verification code that --code says
    #[arg(long)]
    pub server: Option<SocketAddr>,
    /// Where that server tells its metrics (`metrics_listen`), to report what its commands have cost its store
    #[arg(long, requires = "server")]
    pub metrics: Option<SocketAddr>,
    /// The verification code that the server takes for every phone number
    #[arg(long, default_value = "000000")]
    pub code: String,
    /// Connections; each is a device of a user of its own, and writes to the next one and back
    #[arg(long, short, default_value_t = 200)]
    pub connections: u32,
    /// Messages per second, all connections together; 0 sends as fast as answers come back. With --group, 5 unless it is said
    #[arg(long, short, default_value_t = 1000, default_value_if("group", clap::builder::ArgPredicate::IsPresent, Some("5")))]
    pub rate: u32,
    /// With --rate 0: messages that a connection has sent and not heard of
    #[arg(long, default_value_t = 8)]
    pub in_flight: u32,
    /// Bytes of each message's body, at least 16
    #[arg(long, short, default_value_t = 32)]
    pub body: usize,
    /// Seconds of measuring
    #[arg(long, short, default_value = "10", value_parser = seconds)]
    pub duration: Duration,
    /// Seconds of the same load before that
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub warm_up: Duration,
    /// Kill the server (SIGKILL) so many times during the measuring, at random moments, and start it again on its data
    #[arg(long, default_value_t = 0, conflicts_with_all = ["server", "idle", "sessions"])]
    pub kills: u32,
    /// Measure a group of so many members instead, all of them connected: how long until every one has a message
    #[arg(long, value_name = "MEMBERS", conflicts_with_all = ["idle", "sessions", "kills", "connections", "in_flight"])]
    pub group: Option<u32>,
    /// Measure the server's memory per idle connection instead, with this many
    #[arg(long, conflicts_with_all = ["rate", "sessions"])]
    pub idle: Option<u32>,
    /// Measure the memory of the gateway machine alone instead, with this many sessions
    #[arg(long)]
    pub sessions: Option<u64>,
    /// Where to write the figures as JSON; - is standard output
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// The program to start as the server; this one by default
    #[arg(long, hide = true)]
    pub program: Option<PathBuf>,
    /// The store of the server that is started
    #[arg(long, default_value = "embedded")]
    pub store: String,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches('s').parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected a number of seconds from 0 to 86400".to_owned()),
    }
}

/// Measures, and prints what it has measured.
///
/// # Errors
/// If the arguments make no sense, the server cannot be reached, or a message was lost, doubled, or out of order.
pub async fn run(args: BenchArgs) -> Result<()> {
    ensure!(args.body >= device::STAMP, "--body {}: a message needs {} bytes to be checked", args.body, device::STAMP);
    ensure!(
        args.body <= doubletick_core::limits::CONTENT_BYTES,
        "--body {}: a message has at most {} bytes",
        args.body,
        doubletick_core::limits::CONTENT_BYTES
    );
    ensure!(args.connections >= 2 && args.connections.is_multiple_of(2), "--connections {}: connections come in pairs", args.connections);
    let report = if let Some(count) = args.sessions {
        sessions::measure(count)?
    } else if let Some(count) = args.idle {
        idle::measure(&args, count).await?
    } else if let Some(members) = args.group {
        group::measure(&args, members).await?
    } else {
        load::measure(&args).await?
    };
    match args.json.as_deref() {
        Some(path) if path.as_os_str() == "-" => println!("{}", report.json()),
        Some(path) => std::fs::write(path, report.json()).with_context(|| format!("writing {}", path.display()))?,
        None => {}
    }
    if args.json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        print!("{}", report.text());
    }
    report.verdict()
}
