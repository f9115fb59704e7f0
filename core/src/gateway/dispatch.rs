//! Transactions on their way: lines of waiting commands, batches under way, and what to do when the store says no.

use super::session::PendingAck;
use super::{ConnId, Gateway, Output, Ticket, Timer};
use crate::command::{Command, Reply};
use crate::draw::Purpose;
use crate::frame::RequestId;
use crate::id::{ConversationId, GatewayId, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::store::Failure;
use crate::time::{Millis, Timestamp};
use crate::transact::{Batch, Outcome};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Whom a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The opening of a session.
    Open(ConnId),
    /// A message.
    Send(ConnId, RequestId, u32, ConversationId),
    /// An acknowledgement, with the number under which the device wants to hear of it.
    Ack(ConnId, ConversationId, Option<RequestId>),
    /// A page to be delivered.
    Page(ConnId, ConversationId),
    /// A page of a dirty set.
    Dirty(ConnId),
    /// A question for receipts.
    Receipts(ConnId),
    /// A watch, with the number of the question.
    Watch(ConnId, UserId, u64),
    /// A request whose reply carries its number.
    Request(ConnId, RequestId),
    /// A request of a session's that has no reply.
    Quiet(ConnId),
    /// Nobody waits for the reply.
    Nobody,
    /// Users that were heard.
    Heard,
    /// The gateway's own wake-ups.
    Wakes,
    /// The gateway's own lease.
    Lease,
    /// The leases of all gateways.
    Leases,
    /// The end of a dead gateway, last seen with so many renewals.
    Reap(GatewayId, u64),
    /// The marking of a large group's devices.
    FanOut(ConversationId),
    /// The jobs of that kind.
    FanOuts,
    /// The sum of a group's receipts.
    Sum(ConversationId),
    /// The sums that are due.
    Sums,
    /// Conversations in which there may be something to trim.
    Untrimmed,
    /// Up to where all devices have a conversation.
    Delivered(ConversationId),
    /// The trimming of a conversation.
    Trim(ConversationId),
}

impl Origin {
    /// Whether the command is tried again for as long as the store refuses work: nobody else would.
    fn waits(&self) -> bool {
        match self {
            Self::Page(..) | Self::Dirty(_) | Self::Receipts(_) | Self::Watch(..) => true,
            Self::Nobody | Self::Heard | Self::Wakes | Self::Lease | Self::Leases | Self::Reap(..) => true,
            Self::FanOut(_) | Self::FanOuts | Self::Sum(_) | Self::Sums => true,
            Self::Untrimmed | Self::Delivered(_) | Self::Trim(_) => true,
            Self::Open(_) | Self::Send(..) | Self::Ack(..) | Self::Request(..) | Self::Quiet(_) => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) origin: Origin,
    pub(super) command: Command,
}

/// Kinds of transactions that do not share a batch, because they run into different conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Writes of sessions, in the order of each session.
    Durable,
    /// Comings and goings, leases, watches. One transaction at a time, in order: a gateway's lease begins before its first session.
    Session,
    /// Reads.
    Read,
    /// Wake-ups. One transaction at a time.
    Wake,
    /// What is done for whole groups, one part of one group in a transaction, so that none grows with the number of groups.
    FanOut,
    /// Trimming, one step in a transaction.
    Retention,
}

impl Lane {
    pub(super) const ALL: [Self; 6] = [Self::Wake, Self::Session, Self::Read, Self::Durable, Self::FanOut, Self::Retention];

    /// How many of its transactions are under way at a time.
    pub(super) fn at_once(self, in_flight: usize) -> usize {
        match self {
            Self::Durable | Self::Read => in_flight,
            Self::Session | Self::Wake | Self::FanOut | Self::Retention => 1,
        }
    }
}

/// One lane's waiting commands. Sessions' durable commands wait in the sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) waiting: VecDeque<Queued>,
    pub(super) under_way: usize,
}

/// A transaction under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    lane: Lane,
    batch: Arc<Batch>,
    origins: Vec<Origin>,
    /// How often it was run in vain.
    failures: u32,
    /// An earlier run of it may yet be committed.
    in_doubt: bool,
}

impl Gateway {
    pub(super) fn enqueue(&mut self, lane: Lane, origin: Origin, command: Command) {
        self.lines[lane as usize].waiting.push_back(Queued { origin, command });
    }

    /// Puts a session in line, if it has something to be done and nothing holds it back.
    pub(super) fn make_ready(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let waits = !session.acks.is_empty() || !session.queue.is_empty();
        if waits && session.paused <= now && !session.busy && !session.ready {
            session.ready = true;
            self.ready.push_back(conn);
        }
    }

    /// Starts what may be started.
    pub(super) fn dispatch(&mut self) {
        if self.ended {
            return;
        }
        for lane in Lane::ALL {
            while self.lines[lane as usize].under_way < lane.at_once(self.config.in_flight) {
                let batch = self.next_batch(lane);
                if batch.is_empty() {
                    break;
                }
                self.start(lane, batch);
            }
        }
    }

    fn next_batch(&mut self, lane: Lane) -> Vec<Queued> {
        let mut batch = Vec::new();
        let mut room = limits::TRANSACTION_BYTES;
        let most = if matches!(lane, Lane::FanOut | Lane::Retention) { 1 } else { self.config.batch };
        while batch.len() < most
            && let Some(queued) = self.lines[lane as usize].waiting.pop_front()
        {
            if let Origin::Open(conn) = queued.origin {
                // Who has gone meanwhile is not let in any more.
                let Some(session) = self.sessions.get_mut(&conn) else {
                    mark!(GoneBeforeTheOpening);
                    continue;
                };
                session.begun = true;
            }
            batch.push(queued);
        }
        while lane == Lane::Durable
            && batch.len() < self.config.batch
            && room > 0
            && let Some(conn) = self.ready.pop_front()
        {
            self.take_from(conn, &mut batch, &mut room);
        }
        batch
    }

    /// Moves a session's waiting commands into a batch, as many as there is room for.
    fn take_from(&mut self, conn: ConnId, batch: &mut Vec<Queued>, room: &mut usize) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let before = batch.len();
        while batch.len() < self.config.batch
            && let Some(conversation) = session.acks.pop()
        {
            let chat = session.chats.get_mut(&conversation).expect("a chat with a waiting acknowledgement is kept");
            let PendingAck { delivered, read, request } = chat.ack.take().expect("it waits");
            let command = Command::Acknowledge { device: session.device, conversation, delivered, read };
            batch.push(Queued { origin: Origin::Ack(conn, conversation, request), command });
            session.forget_if_idle(conversation);
        }
        while batch.len() < self.config.batch
            && let Some(queued) = session.queue.pop_front_if(|queued| queued.command.size() <= *room)
        {
            *room -= queued.command.size();
            batch.push(queued);
        }
        session.busy = batch.len() > before && !planted!(TwoTransactionsAtATime if !session.queue.is_empty());
        // What stood in line may have been refused meanwhile: then there is nothing left to be done for it.
        session.ready = !session.busy && !session.queue.is_empty();
        if session.ready {
            mark!(NoRoomInTheBatch);
            // Its next message does not fit any more: it is first in the next batch.
            self.ready.push_front(conn);
            *room = 0;
        }
    }

    fn start(&mut self, lane: Lane, batch: Vec<Queued>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut origins = Vec::with_capacity(batch.len());
        let mut commands = Vec::with_capacity(batch.len());
        for Queued { origin, command } in batch {
            origins.push(origin);
            commands.push(command);
        }
        let batch = Arc::new(Batch { now: self.now, commands });
        self.outputs.push_back(Output::Transact(ticket, Arc::clone(&batch)));
        self.flights.insert(ticket, Flight { lane, batch, origins, failures: 0, in_doubt: false });
        self.lines[lane as usize].under_way += 1;
    }

    pub(super) fn transacted(&mut self, ticket: Ticket, result: Result<Outcome, Failure>) {
        match result {
            Ok(outcome) => {
                let Some(flight) = self.land(ticket) else { return };
                mark!(DoubtIsOver if flight.in_doubt);
                for (origin, reply) in flight.origins.iter().zip(outcome.replies) {
                    self.replied(*origin, reply);
                }
                self.release(&flight);
            }
            // Every command is safe to run again, so whether it was committed or not makes no difference here.
            Err(Failure::Retry) => self.run_again(ticket, Millis(20)),
            Err(Failure::Unknown) if planted!(UnknownIsRefused if self.are_all(ticket, |origin| matches!(origin, Origin::Send(..) | Origin::Ack(..)))) =>
            {
                let Some(flight) = self.land(ticket) else { return };
                flight.origins.iter().for_each(|origin| self.replied(*origin, Err(Reject::NotAllowed)));
                self.release(&flight);
            }
            Err(Failure::Unknown) if planted!(UnknownIsCommitted if self.are_all(ticket, |origin| matches!(origin, Origin::Nobody | Origin::Ack(..)))) =>
            {
                let Some(flight) = self.land(ticket) else { return };
                flight.origins.iter().for_each(|origin| self.replied(*origin, Ok(Reply::Done)));
                self.release(&flight);
            }
            Err(Failure::Unknown) => {
                if let Some(flight) = self.flights.get_mut(&ticket) {
                    flight.in_doubt = true;
                    mark!(ResultUnknown);
                }
                self.run_again(ticket, Millis(20));
            }
            Err(Failure::Unavailable) => self.unavailable(ticket),
        }
    }

    /// Runs a transaction again after a while: at once after the first failure, then after longer and longer times.
    fn run_again(&mut self, ticket: Ticket, step: Millis) {
        let Some(flight) = self.flights.get_mut(&ticket) else { return };
        flight.failures += 1;
        let failures = flight.failures;
        let longest = Millis((step.0 << failures.min(6)) * u64::from(failures > 1));
        let wait = self.draws.below(Purpose::Rerun, ticket.0 ^ (u64::from(failures) << 48), longest);
        self.timers.insert((self.now + wait, Timer::Rerun(ticket)));
    }

    pub(super) fn rerun(&mut self, ticket: Ticket) {
        if let Some(flight) = self.flights.get(&ticket) {
            self.outputs.push_back(Output::Transact(ticket, Arc::clone(&flight.batch)));
        }
    }

    /// The store refuses work. Clients hear of it and keep what they have; what the gateway itself wants is tried again.
    fn unavailable(&mut self, ticket: Ticket) {
        let Some(flight) = self.flights.get(&ticket) else { return };
        // An opening that is given up in doubt could come after the end of its session, and nobody would ever end it.
        let may_open = flight.in_doubt && flight.origins.iter().any(|origin| matches!(origin, Origin::Open(_)));
        mark!(OpeningInDoubtIsRunAgain if may_open);
        let may_open = may_open && !planted!(DoubtfulOpeningGivenUp);
        if may_open || flight.origins.iter().all(Origin::waits) {
            self.run_again(ticket, Millis(200));
            return;
        }
        let Some(flight) = self.land(ticket) else { return };
        let commands = || flight.origins.iter().zip(&flight.batch.commands);
        // In front of what waits, so that the end of a session never comes after the beginning of the next one.
        for (origin, command) in commands().rev().filter(|(origin, _)| origin.waits()) {
            self.lines[flight.lane as usize].waiting.push_front(Queued { origin: *origin, command: command.clone() });
        }
        for (origin, command) in commands().filter(|(origin, _)| !origin.waits()) {
            self.refused_for_now(*origin, command);
        }
        self.release(&flight);
    }

    /// Whether all that a transaction is for is of some kind.
    fn are_all(&self, ticket: Ticket, kind: impl Fn(&Origin) -> bool) -> bool {
        self.flights.get(&ticket).is_some_and(|flight| flight.origins.iter().all(kind))
    }

    fn land(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.flights.remove(&ticket)?;
        self.lines[flight.lane as usize].under_way -= 1;
        Some(flight)
    }

    /// Lets the sessions of a transaction that has ended go on.
    fn release(&mut self, flight: &Flight) {
        if flight.lane != Lane::Durable {
            return;
        }
        for origin in &flight.origins {
            if let Origin::Send(conn, ..) | Origin::Ack(conn, ..) | Origin::Request(conn, _) = origin
                && let Some(session) = self.sessions.get_mut(conn)
            {
                session.busy = false;
                self.make_ready(*conn);
            }
        }
    }

    fn refused_for_now(&mut self, origin: Origin, command: &Command) {
        match (origin, command) {
            (Origin::Ack(..), _) if planted!(AcknowledgementDroppedInOverload) => {}
            // An acknowledgement is no request: the device will not say it again, so it is kept.
            (Origin::Ack(conn, conversation, request), Command::Acknowledge { delivered, read, .. }) => {
                mark!(AcknowledgementIsKept);
                self.pause(conn, self.now + Millis::seconds(1));
                self.acknowledge_later(conn, conversation, PendingAck { delivered: *delivered, read: *read, request });
            }
            _ => self.replied(origin, Err(Reject::Unavailable)),
        }
    }

    /// What was under way when the lease ended is of no interest any more.
    pub(super) fn drop_flights(&mut self) {
        self.flights.clear();
        self.lines = Default::default();
        self.sums.clear();
        self.ready.clear();
    }

    /// Commands that wait or are under way.
    pub(super) fn commands_left(&self) -> usize {
        let waiting: usize = self.lines.iter().map(|line| line.waiting.len()).sum();
        let queued: usize = self.sessions.values().map(|session| session.queue.len() + session.acks.len()).sum();
        waiting + queued + self.flights.len()
    }

    pub(super) fn pause(&mut self, conn: ConnId, until: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&conn)
            && session.paused < until
        {
            self.timers.remove(&(session.paused, Timer::Resume(conn)));
            session.paused = until;
            self.timers.insert((until, Timer::Resume(conn)));
        }
    }

    pub(super) fn reaped(&mut self, gateway: GatewayId, renewals: u64, reply: Result<Reply, Reject>) {
        self.judging -= 1;
        if reply == Ok(Reply::Reaped { more: true }) {
            self.judging += 1;
            self.enqueue(Lane::Session, Origin::Reap(gateway, renewals), Command::Reap { gateway, renewals });
        }
    }
}
