//! A shard: one task that drives one gateway machine.
//!
//! It takes what has gathered (inputs of its connections, transactions that have ended, the bell, the time), hands it to the machine, and
//! then carries out what the machine wants until that wants nothing more.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use doubletick_core::frame::ServerFrame;
use doubletick_core::gateway::{self, ConnId, Drain, Gateway, Input, Output, Ticket, frame_cost};
use doubletick_core::id::GatewayId;
use doubletick_core::rows;
use doubletick_core::store::{Failure, Key};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::{Batch, Outcome};
use doubletick_store::Store;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::costs::{self, Costs};
use crate::operator::Holds;
use crate::outbox::Outbox;
use crate::seam::{self, Clock};

/// Inputs that wait for a shard. Connections whose input finds no room stop reading their sockets.
const QUEUE: usize = 1024;

/// Inputs that are handled before the machine is asked what it wants done.
const AT_ONCE: usize = 256;

/// The longest sleep: a clock that was set forwards is noticed after this time.
const LONGEST_SLEEP: Millis = Millis::seconds(1);

/// What comes to a shard from outside.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has finished its WebSocket handshake.
    Opened(ConnId, Arc<Outbox>),
    /// Anything else that has happened to a connection, or a drain.
    Input(Input),
}

/// The way to a shard.
pub(crate) type Inbox = mpsc::Sender<Event>;

/// One gateway and what surrounds it.
pub(crate) struct Shard<S: Store> {
    store: S,
    config: gateway::Config,
    clock: Clock,
    events: mpsc::Receiver<Event>,
    gateway: Gateway,
    rope: Rope<S>,
    /// Transactions under way. The machine bounds them.
    flights: FuturesUnordered<Flight>,
    outboxes: Outboxes,
    draining: bool,
    costs: Option<Arc<Costs>>,
    holds: Arc<Holds>,
}

type Flight = Pin<Box<dyn Future<Output = (Ticket, Result<Outcome, Failure>)> + Send>>;

/// The connections of a shard. When it goes, they go.
#[derive(Default)]
struct Outboxes(BTreeMap<ConnId, Arc<Outbox>>);

/// What has gathered since the machine was last fed.
#[derive(Default)]
struct Gathered {
    events: Vec<Event>,
    landed: Vec<(Ticket, Result<Outcome, Failure>)>,
    rung: bool,
}

impl<S: Store> Shard<S> {
    /// A shard without connections, and the way to it.
    pub(crate) fn new(store: S, config: gateway::Config, costs: Option<Arc<Costs>>, holds: Arc<Holds>) -> (Self, Inbox) {
        let (inbox, events) = mpsc::channel(QUEUE);
        let mut clock = Clock::default();
        let gateway = fresh_gateway(config, clock.now());
        let rope = Rope::new(&store, gateway.id());
        let shard = Self {
            store,
            config,
            clock,
            events,
            gateway,
            rope,
            flights: FuturesUnordered::new(),
            outboxes: Outboxes::default(),
            draining: false,
            costs,
            holds,
        };
        (shard, inbox)
    }

    /// Drives the gateway until it was drained.
    pub(crate) async fn run(mut self) {
        let mut gathered = Gathered::default();
        loop {
            self.carry_out();
            self.holds.connections.store(self.gateway.connections() as u64, Ordering::Relaxed);
            self.holds.sessions.store(self.gateway.sessions() as u64, Ordering::Relaxed);
            if self.draining && self.gateway.is_idle() {
                return;
            }
            self.gather(&mut gathered).await;
            self.feed(&mut gathered);
        }
    }

    /// Waits until there is something to be fed. All sources are looked at each time, so that a busy one does not hide the others.
    async fn gather(&mut self, gathered: &mut Gathered) {
        let now = self.clock.now();
        let sleep = self.gateway.poll_timeout().map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        let ready = std::future::poll_fn(|cx| self.poll_sources(cx, gathered));
        tokio::select! {
            biased;
            () = ready => {}
            () = seam::sleep(sleep) => {}
        }
    }

    fn poll_sources(&mut self, cx: &mut Context<'_>, gathered: &mut Gathered) -> Poll<()> {
        let mut found = false;
        if let Poll::Ready(count) = self.events.poll_recv_many(cx, &mut gathered.events, AT_ONCE) {
            // None are ready only when all ways to this shard are gone, and then no more will come.
            found |= count > 0;
        }
        while let Poll::Ready(Some(landed)) = self.flights.poll_next_unpin(cx) {
            gathered.landed.push(landed);
            found = true;
        }
        if self.rope.poll_rung(cx).is_ready() {
            gathered.rung = true;
            found = true;
        }
        if found { Poll::Ready(()) } else { Poll::Pending }
    }

    fn feed(&mut self, gathered: &mut Gathered) {
        let now = self.clock.now();
        for (ticket, result) in gathered.landed.drain(..) {
            let damaged = result.as_ref().map_or(&[][..], |outcome| &outcome.damaged);
            self.holds.damaged.fetch_add(damaged.len() as u64, Ordering::Relaxed);
            report_damaged(damaged);
            self.gateway.handle_input(now, Input::Transacted(ticket, result));
        }
        if std::mem::take(&mut gathered.rung) {
            self.gateway.handle_input(now, Input::Bell);
        }
        for event in gathered.events.drain(..) {
            match event {
                Event::Opened(conn, outbox) => {
                    self.outboxes.0.insert(conn, outbox);
                    self.gateway.handle_input(now, Input::Connected(conn));
                }
                Event::Input(input) => {
                    match input {
                        Input::Closed(conn) => drop(self.outboxes.0.remove(&conn)),
                        Input::Drain(_) => self.draining = true,
                        Input::Connected(_)
                        | Input::Frame(..)
                        | Input::Broken(..)
                        | Input::Flushed(..)
                        | Input::Transacted(..)
                        | Input::Bell => {}
                    }
                    self.gateway.handle_input(now, input);
                }
            }
        }
        if self.gateway.poll_timeout().is_some_and(|at| at <= now) {
            self.gateway.handle_timeout(now);
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Frame(conn, frame) => self.send(conn, &frame),
                Output::Close { conn, reason, retry_after } => {
                    if let Some(outbox) = self.outboxes.0.remove(&conn) {
                        tracing::debug!(conn = conn.0, ?reason, "closing");
                        outbox.close(reason, retry_after);
                    }
                }
                Output::Transact(ticket, batch) => self.start(ticket, batch),
                Output::Ended => self.begin_again(),
            }
        }
    }

    fn send(&self, conn: ConnId, frame: &ServerFrame) {
        if let Some(outbox) = self.outboxes.0.get(&conn) {
            outbox.push(frame, frame_cost(frame));
        }
    }

    fn start(&self, ticket: Ticket, batch: Arc<Batch>) {
        let execution = costs::execute(self.costs.clone(), self.store.clone(), batch);
        self.flights.push(Box::pin(async move { (ticket, execution.await) }));
    }

    /// The lease is lost, and every connection has been closed with it.
    fn begin_again(&mut self) {
        let lost = self.gateway.id();
        self.holds.leases_lost.fetch_add(1, Ordering::Relaxed);
        self.gateway = fresh_gateway(self.config, self.clock.now());
        tracing::warn!(lost = lost.0, fresh = self.gateway.id().0, "a gateway lost its lease; its clients will connect again");
        self.rope = Rope::new(&self.store, self.gateway.id());
        self.flights = FuturesUnordered::new();
        if self.draining {
            let now = self.clock.now();
            self.gateway.handle_input(now, Input::Drain(Drain::default()));
        }
    }
}

impl Drop for Outboxes {
    fn drop(&mut self) {
        self.0.values().for_each(|outbox| outbox.abandon());
    }
}

fn fresh_gateway(config: gateway::Config, now: Timestamp) -> Gateway {
    let config = gateway::Config { seed: u64::from_le_bytes(seam::random()), ..config };
    Gateway::new(GatewayId(u64::from_le_bytes(seam::random())), config, now)
}

/// Rows that do not decode are for the operator; the machine has gone on without them.
pub(crate) fn report_damaged(keys: &[Key]) {
    for key in keys {
        tracing::error!(?key, "a stored row does not decode; it was left as it is");
    }
}

/// A gateway's bell, armed again whenever it has rung.
struct Rope<S: Store> {
    store: S,
    key: Key,
    state: Pull<S::Bell>,
}

enum Pull<B> {
    Arming(Pin<Box<dyn Future<Output = B> + Send>>),
    Armed(B),
}

impl<S: Store> Rope<S> {
    fn new(store: &S, gateway: GatewayId) -> Self {
        let key = rows::bell(gateway).key;
        Self { store: store.clone(), key, state: Pull::Arming(Box::pin(store.watch(&key))) }
    }

    /// Ready each time that there is something to be looked at: not when the bell has rung, but when it is armed again after that, so
    /// that nothing that comes after the look goes unheard.
    fn poll_rung(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                Pull::Armed(bell) => match Pin::new(bell).poll(cx) {
                    Poll::Ready(()) => self.state = Pull::Arming(Box::pin(self.store.watch(&self.key))),
                    Poll::Pending => return Poll::Pending,
                },
                Pull::Arming(arming) => match arming.as_mut().poll(cx) {
                    Poll::Ready(bell) => {
                        self.state = Pull::Armed(bell);
                        // Looked at in the next round; a bell that was never polled would not wake this task.
                        cx.waker().wake_by_ref();
                        return Poll::Ready(());
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}
