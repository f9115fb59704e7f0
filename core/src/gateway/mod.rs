//! The gateway: the sessions of one shard of connections, as a pure machine.
//!
//! ```text
//! adapter ── handle_input(now, Input) ──▶ Gateway ── poll_output() ──▶ Output ──▶ adapter
//! ```
//!
//! Whoever drives it hands in what happened with [`Gateway::handle_input`], and at the time that [`Gateway::poll_timeout`] names calls
//! [`Gateway::handle_timeout`]; after either it takes what is to be done from [`Gateway::poll_output`] until there is nothing more.
//! The gateway speaks frames on one side and asks for transactions on the other. It has no durable state: kill it, and its devices
//! connect elsewhere and lose nothing.
//!
//! - **Order in**: the durable commands of one session go into one transaction after the other, never two at a time, so what a device
//!   sends stands in the order in which it was sent. A message that is refused *for the moment* raises the session's `attempt`, and what
//!   was sent with a lower one is refused too, so nothing overtakes it.
//! - **Order out**: each conversation is delivered as contiguous pages of its log from the device's cursor. A live entry is passed on
//!   directly only if it is the very next position; else the log is read.
//! - **Nothing is lost with a hint**: a wake-up says where to look; the dirty set is read at the opening of the session, and again from
//!   time to time.
//! - **Bounds**: sends under way ([`Config::window`]), requests ([`Config::requests`]), unacknowledged entries ([`Config::deliveries`]),
//!   bytes that the peer does not read ([`Config::unflushed`]), handles, watches, connections.
//!
//! What it does *not* do: bytes, sockets, TLS, clocks, HTTP; all of that is the adapter's.

mod bounds;
mod config;
mod deliver;
mod dispatch;
mod drain;
mod fan_out;
mod port;
mod receive;
mod replies;
mod retention;
mod session;
mod sums;
mod timers;

pub use config::{Config, Retention};
pub use drain::Drain;
pub use port::{ConnId, Input, Output, Ticket};

use crate::command::{Command, SeenWake};
use crate::draw::{Draws, Purpose};
use crate::frame::{CloseReason, ServerFrame};
use crate::id::{ConversationId, DeviceId, GatewayId, SessionEpoch, UserId};
use crate::limits;
use crate::time::{Millis, Timestamp};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use dispatch::{Flight, Lane, Line, Origin};
use drain::{Draining, Parted};
use retention::Walk;
use session::Session;
use sums::Sums;
use timers::Timer;

/// The sessions of one shard of connections. See the [module's documentation](self).
#[derive(Clone, Debug)]
pub struct Gateway {
    id: GatewayId,
    config: Config,
    draws: Draws,
    /// The time of the input that is being handled. Never goes back, even if the clock does.
    now: Timestamp,
    /// How many random lengths were drawn for closed clients.
    closes: u64,
    sessions: BTreeMap<ConnId, Session>,
    /// The connection of each device's open session. Of two sessions of one device, the later one.
    open: BTreeMap<DeviceId, ConnId>,
    /// Those whose opening is under way: of one device there may be several, and not all of them need be who they say they are.
    opening: BTreeSet<(DeviceId, ConnId)>,
    /// What is due when. Each session has exactly one [`Timer::Session`] here.
    timers: BTreeSet<(Timestamp, Timer)>,
    lines: [Line; 6],
    /// Sessions with durable commands that wait and none under way. Each at most once.
    ready: VecDeque<ConnId>,
    flights: BTreeMap<Ticket, Flight>,
    tickets: u64,
    /// Users to be reported as heard, and whether a report is under way.
    heard: BTreeMap<UserId, Timestamp>,
    reporting: bool,
    /// Wake-ups that were seen to and are not cleared yet.
    seen: Vec<SeenWake>,
    /// Whether wake-ups are being taken, and whether the bell rang meanwhile.
    taking: bool,
    rung: bool,
    /// How often it was asked what is to be seen of somebody.
    questions: u64,
    /// How often wake-ups were asked for.
    takes: u64,
    /// Whether the lease is being renewed, and how many questions about the leases of others are under way.
    renewing: bool,
    judging: usize,
    /// The renewals of other gateways: the count, and since when it has not changed, by this gateway's clock.
    leases: BTreeMap<GatewayId, (u64, Timestamp)>,
    /// Large groups whose devices this gateway is marking, and whether more was sent since the last of it began.
    fanning: BTreeMap<ConversationId, bool>,
    /// Jobs of that kind as they were last seen in the store, and whether they are being looked at.
    jobs: BTreeMap<ConversationId, u64>,
    looking: bool,
    sums: Sums,
    /// The walk over all conversations for what need not be kept, and when the next one is due.
    walk: Option<Walk>,
    walk_due: Timestamp,
    draining: Option<Draining>,
    /// Sessions of clients that were sent away, until they are opened elsewhere.
    parted: BTreeMap<ConnId, Parted>,
    ended: bool,
    outputs: VecDeque<Output>,
}

impl Gateway {
    /// A gateway without connections. Its first transaction begins its lease.
    pub fn new(id: GatewayId, config: Config, now: Timestamp) -> Self {
        let mut gateway = Self {
            id,
            config,
            draws: Draws::new(config.seed ^ id.0),
            now,
            closes: 0,
            sessions: BTreeMap::new(),
            open: BTreeMap::new(),
            opening: BTreeSet::new(),
            timers: BTreeSet::new(),
            lines: Default::default(),
            ready: VecDeque::new(),
            flights: BTreeMap::new(),
            tickets: 0,
            heard: BTreeMap::new(),
            reporting: false,
            renewing: false,
            judging: 0,
            seen: Vec::new(),
            taking: false,
            rung: false,
            questions: 0,
            takes: 0,
            leases: BTreeMap::new(),
            fanning: BTreeMap::new(),
            jobs: BTreeMap::new(),
            looking: false,
            sums: Sums::default(),
            walk: None,
            // By then the other gateways are known.
            walk_due: now + limits::LEASE,
            draining: None,
            parted: BTreeMap::new(),
            ended: false,
            outputs: VecDeque::new(),
        };
        gateway.enqueue(Lane::Session, Origin::Nobody, Command::Begin { gateway: id });
        // Gateways that start together do not do their periodic work together.
        let first = gateway.draws.below(Purpose::Period, 0, limits::LEASE_RENEWAL);
        gateway.timers.insert((now + first, Timer::Lease));
        gateway
    }

    /// The name under which the store knows it.
    pub fn id(&self) -> GatewayId {
        self.id
    }

    /// Connections that it holds.
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing waits and nothing is under way. After [`Input::Drain`] it can be dropped then.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.parted.is_empty() && self.commands_left() == 0 && self.outputs.is_empty()
    }

    /// Takes in something that has happened.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        if self.ended {
            return;
        }
        match input {
            Input::Connected(conn) => self.connected(conn),
            Input::Frame(conn, frame) => self.received(conn, frame),
            Input::Broken(conn, reason) => self.close(conn, reason),
            Input::Closed(conn) => self.forget(conn),
            Input::Flushed(conn, bytes) => self.flushed(conn, bytes),
            Input::Transacted(ticket, result) => self.transacted(ticket, result),
            Input::Bell => self.take_wakes(),
            Input::Drain(plan) => self.drain(plan),
        }
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= self.now
            && !self.ended
        {
            self.timers.remove(&(at, timer));
            self.expired(timer);
        }
    }

    /// What is to be done next; `None` until there is another input or timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.dispatch();
        }
        self.outputs.pop_front()
    }

    fn connected(&mut self, conn: ConnId) {
        let refusal = match () {
            () if self.draining.is_some() => CloseReason::Restarting,
            () if self.sessions.len() >= self.config.connections => CloseReason::Overloaded,
            // The store cannot follow: every further session would leave its end behind in the line.
            () if self.lines[Lane::Session as usize].waiting.len() > self.config.connections => CloseReason::Overloaded,
            () => {
                let due = self.now + self.config.handshake;
                self.sessions.insert(conn, Session::new(self.now, due));
                self.timers.insert((due, Timer::Session(conn)));
                return;
            }
        };
        let retry_after = self.spread(Millis::seconds(10));
        self.outputs.push_back(Output::Close { conn, reason: refusal, retry_after });
    }

    /// Gives a frame to a connection, unless it does not read what it is given.
    fn tell(&mut self, conn: ConnId, frame: ServerFrame) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let unflushed = session.unflushed.saturating_add(frame_cost(&frame));
        if unflushed > self.config.unflushed {
            mark!(ReaderIsTooSlow);
            self.close(conn, CloseReason::SlowReader);
            return;
        }
        session.unflushed = unflushed;
        self.outputs.push_back(Output::Frame(conn, frame));
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        // Those whom the gateway sends away come back spread over a while; the others have their own back-off.
        let sent_away = matches!(reason, CloseReason::Overloaded | CloseReason::Unavailable);
        let longest = if sent_away { Millis::seconds(10) } else { Millis(0) };
        let retry_after = self.spread(longest);
        if self.sessions.contains_key(&conn) {
            self.forget(conn);
            self.outputs.push_back(Output::Close { conn, reason, retry_after });
        }
    }

    /// Ends a connection's session, if it had one.
    fn forget(&mut self, conn: ConnId) {
        if let Some((device, heard)) = self.take_out(conn) {
            self.end_session(conn, device, heard);
        }
    }

    /// Also for an opening whose outcome is not known: this stands behind that in the same lane, and ends what that began.
    fn end_session(&mut self, conn: ConnId, device: DeviceId, heard: Timestamp) {
        let end = Command::EndSession { device, gateway: self.id, epoch: SessionEpoch(conn.0), heard };
        self.enqueue(Lane::Session, Origin::Nobody, end);
    }

    /// The lease is gone: whoever ended it has ended every session too.
    fn end(&mut self) {
        self.ended = true;
        mark!(LeaseEndsSessions if !self.open.is_empty());
        self.drop_flights();
        let conns: Vec<ConnId> = self.sessions.keys().copied().collect();
        for conn in conns {
            let retry_after = self.spread(Millis::seconds(10));
            self.outputs.push_back(Output::Close { conn, reason: CloseReason::Unavailable, retry_after });
        }
        self.sessions.clear();
        self.parted.clear();
        self.open.clear();
        self.opening.clear();
        self.heard.clear();
        self.timers.clear();
        self.outputs.push_back(Output::Ended);
    }

    fn spread(&mut self, longest: Millis) -> Millis {
        self.closes += 1;
        self.draws.below(Purpose::RetryAfter, self.closes, longest)
    }
}

/// Log pages that are read for one session at a time.
const MAX_PAGES: u32 = 4;

/// What a log page costs at the most on its way to a connection.
const PAGE_COST: u32 = limits::PAGE_BYTES as u32 + 64 * limits::PAGE_ENTRIES;

/// How many bytes a frame counts for on its way to a connection: about what it takes on the wire, and never nothing.
pub fn frame_cost(frame: &ServerFrame) -> u32 {
    let body = |deliveries: &[crate::frame::Delivery]| -> usize {
        deliveries.iter().map(|delivery| 48 + delivery.body.as_ref().map_or(0, |body| body.bytes.len())).sum()
    };
    let bytes = match frame {
        ServerFrame::Deliver { entries, .. } | ServerFrame::Page { entries, .. } => 32 + body(entries),
        ServerFrame::Users { users, .. } => 16 + users.len() * 64,
        ServerFrame::Roster { members, .. } => 48 + members.len() * 32,
        ServerFrame::Chats { chats, .. } => 16 + chats.len() * 48,
        ServerFrame::Welcome { .. }
        | ServerFrame::Accepted { .. }
        | ServerFrame::Refused { .. }
        | ServerFrame::Receipt { .. }
        | ServerFrame::Typing { .. }
        | ServerFrame::Presence { .. }
        | ServerFrame::Done { .. }
        | ServerFrame::Pong
        | ServerFrame::Goodbye { .. } => 32,
    };
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
