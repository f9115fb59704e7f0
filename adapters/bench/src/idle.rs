//! The server's memory per idle connection.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use doubletick_core::frame::{ClientFrame, ServerFrame};
use doubletick_wire::{Token, decode_server, encode_client};
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::report::Report;
use crate::server::Server;
use crate::{BenchArgs, accounts, line};

/// Connections that are made at a time.
const AT_ONCE: usize = 64;
/// How long the connections stand before the memory is read.
const REST: Duration = Duration::from_secs(3);

pub(crate) async fn measure(args: &BenchArgs, count: u32) -> Result<Report> {
    let server = Server::find_or_start(args, count)?;
    ensure!(server.resident().is_some(), "the memory of a server that was not started for the run cannot be read");
    eprintln!("registering {count} accounts");
    let tokens = accounts::register(server.address, &args.code, count).await?;
    tokio::time::sleep(REST).await;
    let before = server.resident().context("the server's memory")?;
    eprintln!("connecting {count} devices");
    let mut connected = Vec::with_capacity(count as usize);
    let mut under_way = JoinSet::new();
    for (index, token) in (0..).zip(tokens) {
        let address = server.address;
        under_way.spawn(async move { greet(address, index, &token).await });
        if under_way.len() >= AT_ONCE
            && let Some(done) = under_way.join_next().await
        {
            connected.push(done??);
        }
    }
    while let Some(done) = under_way.join_next().await {
        connected.push(done??);
    }
    tokio::time::sleep(REST).await;
    let after = server.resident().context("the server's memory")?;
    let mut report = Report::default();
    report.count("connections", "idle connections", connected.len() as u64);
    report.amount("resident_before_mib", "server's memory before", before as f64 / 1_048_576.0, "MiB");
    report.amount("resident_after_mib", "server's memory with them", after as f64 / 1_048_576.0, "MiB");
    report.amount("bytes_per_connection", "per connection", after.saturating_sub(before) as f64 / f64::from(count), "bytes");
    Ok(report)
}

/// Opens a session and keeps its socket.
async fn greet(server: std::net::SocketAddr, index: u32, token: &Token) -> Result<impl Sized + use<>> {
    let mut socket = line::open(server, index, Arc::new(AtomicU64::new(0))).await?;
    let mut hello = Vec::new();
    encode_client(&ClientFrame::Hello { device: token.device, secret: token.secret, run: u64::from(index) + 1 }, &mut hello);
    socket.send(Message::Binary(Bytes::from(hello))).await?;
    let answer = socket.next().await.context("the server has closed the connection")??;
    let frame = decode_server(&answer.into_data()).map_err(|error| anyhow::anyhow!("the server sent no frame: {error}"))?;
    ensure!(matches!(frame, ServerFrame::Welcome { .. }), "the server answered {frame:?}");
    Ok(socket)
}
