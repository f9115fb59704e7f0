//! A server that runs: its start, its accept loop, its stop.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use doubletick_core::gateway::{self, ConnId, Input};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_store::Store;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::arrivals::Arrivals;
use crate::config::{Config, Stop};
use crate::connection::{self, Connection};
use crate::head::{Head, NoHead, Replayed};
use crate::http;
use crate::meters::Meters;
use crate::operator::{self, Holds, Metrics};
use crate::phase::{Pass, Passes, Phase};
use crate::proxied;
use crate::seam::{self, Clock, Task, TcpListener, TcpStream};
use crate::shard::{Event, Inbox, Shard};
use crate::sms::{LogSms, SmsSender};
use crate::tls;
use crate::upgrade::{self, Refusal};

/// Connections beyond the limit that are told so at one time; the ones beyond these are dropped.
const REFUSALS: usize = 64;

/// How long a connection that is refused may take to hear of it.
const REFUSAL_TIME: Millis = Millis::seconds(1);

/// How long the server rests after it could not accept a connection, which most often means that it has no file left for it.
pub(crate) const ACCEPT_REST: Millis = Millis(100);

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// A server that runs until it is stopped or killed. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    phase: Arc<Phase>,
    stop: Stop,
    /// Of the connections.
    passes: Passes,
    /// Of what the tasks have in common.
    holds: Passes,
    inboxes: Vec<Inbox>,
    shards: Vec<Task<()>>,
    acceptor: Task<()>,
    /// Where operators are answered, and by what.
    operator: Option<(SocketAddr, Task<()>)>,
}

/// Why a server did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The files for TLS are no good: a sentence that names the file.
    Tls(String),
}

/// What the tasks of a server have in common.
pub(crate) struct Shared<S: Store> {
    pub(crate) config: Config,
    pub(crate) store: S,
    pub(crate) phase: Arc<Phase>,
    pub(crate) sms: Arc<dyn SmsSender>,
    pub(crate) metrics: Metrics,
    clock: Mutex<Clock>,
    meters: Mutex<Meters>,
    arrivals: Mutex<Arrivals>,
    inboxes: Vec<Inbox>,
    next_conn: AtomicU64,
    tls: Option<TlsAcceptor>,
    /// Gone when this is, and the store's handle with it.
    _hold: Pass,
}

/// What a connection holds as long as it lives: a place under the limit, and a pass if it began before the server was to stop.
type Place = (OwnedSemaphorePermit, Option<Pass>);

impl Server {
    /// Starts a server that writes verification codes to the log.
    ///
    /// # Errors
    /// If it cannot listen, or its TLS files are no good.
    pub async fn start<S: Store>(config: Config, store: S) -> Result<Running, StartError> {
        Self::start_with(config, store, Arc::new(LogSms)).await
    }

    /// Starts a server that sends verification codes through `sms`.
    ///
    /// # Errors
    /// If it cannot listen, or its TLS files are no good.
    pub async fn start_with<S: Store>(config: Config, store: S, sms: Arc<dyn SmsSender>) -> Result<Running, StartError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(StartError::Tls)?;
        let (addr, listener) = listen(config.listen).await?;
        let operator = match config.metrics {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };

        // Any gateway may come to hold nearly all connections; the limit for all of them is at the door.
        let gateway = gateway::Config { connections: config.connections, ..config.gateway };
        let metrics = Metrics::new((0..config.shards.max(1)).map(|_| Arc::default()).collect(), operator.is_some());
        let shard = |holds: &Arc<Holds>| Shard::new(store.clone(), gateway, metrics.costs.clone(), holds.clone());
        let (shards, inboxes): (Vec<_>, Vec<_>) = metrics.shards.iter().map(shard).unzip();
        let places = Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS)));
        let (phase, passes) = Phase::new();
        let phase = Arc::new(phase);
        let (hold, holds) = Passes::new();
        let stop = config.stop;
        let meters = Meters::new(config.registration.per_address, config.registration.overall);
        let arrivals = Arrivals::new(config.arrivals);
        let shared = Arc::new(Shared {
            config,
            store,
            phase: phase.clone(),
            sms,
            metrics,
            clock: Mutex::default(),
            meters: Mutex::new(meters),
            arrivals: Mutex::new(arrivals),
            inboxes: inboxes.clone(),
            next_conn: AtomicU64::new(1),
            tls,
            _hold: hold,
        });
        let shards = shards.into_iter().map(|shard| seam::spawn(shard.run())).collect();
        let operator = operator.map(|(addr, listener)| (addr, seam::spawn(operator::serve(shared.clone(), listener))));
        let acceptor = seam::spawn(accept(shared, listener, places));
        Ok(Running { addr, phase, stop, passes, holds, inboxes, shards, acceptor, operator })
    }
}

async fn listen(addr: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let listening = |error| StartError::Listen { addr, error };
    let listener = seam::listen(addr).await.map_err(listening)?;
    Ok((listener.local_addr().map_err(listening)?, listener))
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it tells operators what is counted.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.operator.as_ref().map(|(addr, _)| *addr)
    }

    /// Stops it gracefully, as [`Config::stop`] says: it is not ready any more, then takes nothing new and sends one client after the other
    /// away, finishes what is under way, and is gone. What has not ended by the deadline is cut off.
    pub async fn stop(mut self) {
        self.phase.leave();
        let Stop { notice, deadline, .. } = self.stop;
        let stopping = async {
            seam::sleep(notice).await;
            self.phase.drain();
            self.drain().await;
        };
        if seam::within(deadline, stopping).await.is_none() {
            tracing::warn!("the deadline for stopping has passed; what was still under way is cut off");
        }
        self.kill().await;
    }

    /// Ends it at once, as a crash would: connections break off without a word. When this has resolved the server holds its store no
    /// more, so that another one can open what that keeps.
    pub async fn kill(mut self) {
        self.cut_off();
        let operator = self.operator.iter_mut().map(|(_, task)| task);
        for task in self.shards.iter_mut().chain([&mut self.acceptor]).chain(operator) {
            if !task.is_finished() {
                // It ends by being cut off, which is no news.
                let _cut_off = task.await;
            }
        }
        self.holds.all_gone().await;
    }

    /// Resolves when a part of the server has failed, which is a mistake in this program: the server is of no use any more.
    pub async fn failed(&mut self) {
        std::future::poll_fn(|cx| {
            let mut tasks = self.shards.iter_mut().chain([&mut self.acceptor]);
            if tasks.any(|task| task.is_finished() || std::pin::Pin::new(task).poll(cx).is_ready()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    fn cut_off(&self) {
        self.phase.stop();
        self.acceptor.abort();
        self.operator.iter().for_each(|(_, task)| task.abort());
        self.shards.iter().for_each(Task::abort);
    }

    async fn drain(&mut self) {
        for inbox in &self.inboxes {
            // An error means that the shard is gone already.
            let _gone = inbox.send(Event::Input(Input::Drain(self.stop.drain))).await;
        }
        for shard in &mut self.shards {
            if !shard.is_finished()
                && let Err(error) = shard.await
            {
                tracing::error!(%error, "a shard had failed");
            }
        }
        // Until the last goodbye has been read, or given up.
        self.passes.all_gone().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cut_off();
    }
}

impl<S: Store> Shared<S> {
    /// The time, for what happens outside a shard.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    /// Counts a request for registration, or says how long to wait.
    pub(crate) fn admit_registration(&self, peer: IpAddr) -> Result<(), Millis> {
        let now = self.now();
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).admit(peer, now)
    }

    /// Counts a WebSocket that is about to be opened, or says how long its client is to stay away.
    fn admit_arrival(&self) -> Result<(), Millis> {
        let now = self.now();
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).admit(now)
    }

    /// A number for a connection, never given twice, and its shard. Connections are dealt out in turn.
    fn deal(&self) -> (ConnId, Inbox) {
        let number = self.next_conn.fetch_add(1, Ordering::Relaxed);
        let shard = usize::try_from(number % self.inboxes.len() as u64).expect("it is below a length");
        (ConnId(number), self.inboxes[shard].clone())
    }
}

/// Takes connections until it is aborted. Also a server that drains takes them, to say that it does.
async fn accept<S: Store>(shared: Arc<Shared<S>>, listener: TcpListener, places: Arc<Semaphore>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let (stream, peer) = match seam::accept(&listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                seam::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        if let Ok(permit) = places.clone().try_acquire_owned() {
            let place = (permit, shared.phase.pass());
            seam::spawn(admitted(shared.clone(), stream, peer.ip(), place));
        } else if let Ok(slot) = refusals.clone().try_acquire_owned()
            && shared.tls.is_none()
        {
            seam::spawn(async move {
                seam::within(REFUSAL_TIME, turn_away(stream, &upgrade::busy(upgrade::A_MOMENT))).await;
                drop(slot);
            });
        }
    }
}

async fn admitted<S: Store>(shared: Arc<Shared<S>>, mut stream: TcpStream, mut peer: IpAddr, place: Place) {
    if shared.config.proxied {
        match Box::pin(seam::within(shared.config.handshake, proxied::client(&mut stream))).await {
            Some(Ok(client)) => peer = client.unwrap_or(peer),
            Some(Err(error)) => return tracing::debug!(%peer, %error, "a connection was closed"),
            None => return tracing::debug!(%peer, "a PROXY protocol header took too long"),
        }
    }
    match shared.tls.clone() {
        None => serve(shared, stream, peer).await,
        Some(tls) => Box::pin(serve_tls(shared, tls, stream, peer)).await,
    }
    drop(place);
}

async fn serve_tls<S: Store>(shared: Arc<Shared<S>>, tls: TlsAcceptor, stream: TcpStream, peer: IpAddr) {
    let handshake = Box::pin(async {
        tokio::select! {
            biased;
            () = shared.phase.stopped() => None,
            shaken = seam::within(shared.config.handshake, tls.accept(stream)) => shaken,
        }
    });
    match handshake.await {
        Some(Ok(stream)) => serve(shared, Box::new(stream), peer).await,
        Some(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        None => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Serves a byte stream, whatever carries it, to its end.
async fn serve<S: Store, IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(shared: Arc<Shared<S>>, stream: IO, peer: IpAddr) {
    // On the heap, because it is large and over soon, and the task lives as long as the connection.
    let opened = Box::pin(async {
        tokio::select! {
            biased;
            () = shared.phase.stopped() => None,
            opened = open(&shared, stream, peer) => opened,
        }
    });
    let opened = opened.await;
    drop(shared);
    if let Some(connection) = opened {
        connection.run().await;
    }
}

/// Reads the first request. A WebSocket comes back as a connection; everything else is answered.
async fn open<S: Store, IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: &Arc<Shared<S>>,
    mut stream: IO,
    peer: IpAddr,
) -> Option<Box<Connection<IO>>> {
    let limit = shared.config.handshake;
    let refusal = match seam::within(limit, Head::read(&mut stream)).await {
        Some(Ok(head)) if head.path != upgrade::PATH => {
            let replayed = Replayed::new(head.read, stream);
            if seam::within(limit, http::serve(shared.clone(), replayed, peer)).await.is_none() {
                tracing::debug!(%peer, "an HTTP request took too long");
            }
            return None;
        }
        Some(Ok(_)) if !shared.phase.is_serving() => upgrade::busy(upgrade::A_MOMENT),
        Some(Ok(mut head)) => {
            match upgrade::accept(&head).and_then(|answer| shared.admit_arrival().map_err(upgrade::busy).map(|()| answer)) {
                Ok(answer) => {
                    seam::within(limit, stream.write_all(&answer)).await?.ok()?;
                    seam::within(limit, stream.flush()).await?.ok()?;
                    let (id, inbox) = shared.deal();
                    let limits = connection::Limits { linger: shared.config.linger, unflushed: shared.config.gateway.unflushed };
                    let rest = head.read.split_off(head.len);
                    return Some(Box::new(Connection::new(id, stream, rest, inbox, limits).await));
                }
                Err(refusal) => refusal,
            }
        }
        Some(Err(NoHead::Gone)) => return None,
        Some(Err(NoHead::TooLarge)) => upgrade::LONG,
        Some(Err(NoHead::Malformed)) => upgrade::NOT_HTTP,
        None => upgrade::LATE,
    };
    tracing::debug!(%peer, ?refusal, "no WebSocket");
    seam::within(REFUSAL_TIME, turn_away(stream, &refusal)).await;
    None
}

/// Answers, and waits for the peer to close, so that what it has sent and nobody reads does not tear the answer away from it.
async fn turn_away<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO, refusal: &Refusal) -> Option<()> {
    stream.write_all(&refusal.to_bytes()).await.ok()?;
    stream.shutdown().await.ok()?;
    connection::discard_all(stream).await.ok()
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { addr, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{addr} is in use by another program (is a server running already?)")
            }
            Self::Listen { addr, error } => write!(f, "cannot listen on {addr}: {error}"),
            Self::Tls(sentence) => write!(f, "TLS: {sentence}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } => Some(error),
            Self::Tls(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doubletick_store::memory::Memory;

    fn size_of_future<F>(_: impl Fn(Arc<Shared<Memory>>, TcpStream, IpAddr, Place) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_has_no_room_for_its_beginnings() {
        let task = size_of_future(admitted::<Memory>);
        assert!(task <= 1224, "{task} bytes");
    }
}
