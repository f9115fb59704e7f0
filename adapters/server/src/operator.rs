//! What operators ask a server, at an address of its own: metrics, and the health that the other port tells too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doubletick_store::Store;

use crate::costs::{Costs, head, line};
use crate::http;
use crate::seam::{self, TcpListener};
use crate::server::Shared;

/// What a server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Only where somebody can ask for it: it is counted with every row that is read.
    pub(crate) costs: Option<Arc<Costs>>,
    /// What each shard holds.
    pub(crate) shards: Vec<Arc<Holds>>,
}

/// What a shard holds, and what has happened to it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pub(crate) connections: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) leases_lost: AtomicU64,
    pub(crate) damaged: AtomicU64,
}

impl Metrics {
    pub(crate) fn new(shards: Vec<Arc<Holds>>, can_be_asked: bool) -> Self {
        Self { costs: can_be_asked.then(Arc::default), shards }
    }

    /// Everything in the text format of Prometheus.
    pub(crate) fn text(&self, ready: bool, limit: usize) -> String {
        let sum = |of: fn(&Holds) -> &AtomicU64| self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum::<u64>() as f64;
        let mut text = String::new();
        for (name, help, kind, value) in [
            ("ready", "Whether the server wants connections: 0 once it is to stop.", "gauge", f64::from(u8::from(ready))),
            ("connections", "WebSockets that are open.", "gauge", sum(|shard| &shard.connections)),
            ("connections_limit", "Connections that it takes at the most.", "gauge", limit as f64),
            ("sessions", "Devices that are connected.", "gauge", sum(|shard| &shard.sessions)),
            ("leases_lost_total", "Gateways that were taken for dead while they lived.", "counter", sum(|shard| &shard.leases_lost)),
            ("damaged_rows_total", "Times that a stored row did not decode.", "counter", sum(|shard| &shard.damaged)),
        ] {
            head(&mut text, name, help, kind);
            line(&mut text, name, &[], value);
        }
        if let Some(costs) = &self.costs {
            costs.write_to(&mut text);
        }
        text
    }
}

/// Answers operators until it is aborted.
pub(crate) async fn serve<S: Store>(shared: Arc<Shared<S>>, listener: TcpListener) {
    loop {
        match seam::accept(&listener).await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                seam::spawn(async move {
                    let limit = shared.config.handshake;
                    seam::within(limit, http::serve_operator(shared, stream, peer.ip())).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the metrics' address could not be accepted");
                seam::sleep(crate::server::ACCEPT_REST).await;
            }
        }
    }
}
