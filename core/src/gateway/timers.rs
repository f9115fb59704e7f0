//! What a gateway does when time passes.

use super::dispatch::{Lane, Origin};
use super::session::Phase;
use super::{ConnId, Gateway, Ticket};
use crate::command::Command;
use crate::frame::CloseReason;
use crate::id::{ConversationId, UserId};
use crate::limits;
use crate::time::{Millis, Timestamp};

/// Something that is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A look at a session: is it alive, has it acknowledged, is its dirty set to be read again.
    Session(ConnId),
    /// The end of a session's pause.
    Resume(ConnId),
    /// Another run of a transaction.
    Rerun(Ticket),
    /// The gateway's periodic work: its lease, the leases of others, wake-ups whose bell was not heard.
    Lease,
    /// The receipts of a group's members have gathered for long enough.
    Sum(ConversationId),
    /// The turn of the next client to be sent away.
    Drain,
    /// The end of a session that was to be opened elsewhere.
    Handover(ConnId),
}

/// How often the store is told that a user was heard.
const TELL_HEARD: Millis = Millis::seconds(60);

impl Gateway {
    pub(super) fn expired(&mut self, timer: Timer) {
        match timer {
            Timer::Session(conn) => self.look_at(conn),
            Timer::Resume(conn) => self.make_ready(conn),
            Timer::Rerun(ticket) => self.rerun(ticket),
            Timer::Lease => self.periodic(),
            Timer::Sum(conversation) => self.begin_sum(conversation),
            Timer::Drain => self.send_away(),
            Timer::Handover(conn) => self.not_handed_over(conn),
        }
    }

    fn look_at(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        // Set first: whatever happens below finds a timer that is where the session says.
        session.due = now + limits::HEARTBEAT;
        self.timers.insert((session.due, Timer::Session(conn)));
        if session.phase == Phase::Greeting {
            return self.close(conn, CloseReason::HandshakeTimeout);
        }
        if planted!(SilentStaysOnline if now >= session.heard + limits::DEAD_AFTER) {
            session.heard = now;
        }
        if now >= session.heard + limits::DEAD_AFTER {
            mark!(ConnectionIsDead);
            return self.close(conn, CloseReason::Dead);
        }
        if session.owed > 0 && now >= session.owed_since + self.config.ack_timeout {
            mark!(DeviceDoesNotAcknowledge);
            return self.close(conn, CloseReason::AckTimeout);
        }
        if !session.is_open() {
            return;
        }
        if session.heard >= session.told + TELL_HEARD {
            session.told = session.heard;
            let (user, heard) = (session.device.user, session.heard);
            self.hear(user, heard);
        }
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if now >= session.reread && session.rereading == 0 {
            self.read_dirty(conn, None);
        }
        self.arm(conn, now + limits::HEARTBEAT);
    }

    /// Makes sure that the session is looked at no later than then, or when something of it is due before.
    pub(super) fn arm(&mut self, conn: ConnId, at: Timestamp) {
        let ack_timeout = self.config.ack_timeout;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let dead = session.heard + limits::DEAD_AFTER;
        let mut at = if planted!(SilentStaysOnline if self.now >= dead) { at } else { at.min(dead) };
        if session.owed > 0 {
            at = at.min(session.owed_since + ack_timeout);
        }
        if at < session.due {
            self.timers.remove(&(session.due, Timer::Session(conn)));
            session.due = at;
            self.timers.insert((at, Timer::Session(conn)));
        }
    }

    fn periodic(&mut self) {
        self.timers.insert((self.now + limits::LEASE_RENEWAL, Timer::Lease));
        // What is still under way from the last time is not asked for again, however long the store takes.
        if !core::mem::replace(&mut self.renewing, true) {
            self.enqueue(Lane::Session, Origin::Lease, Command::RenewLease { gateway: self.id });
        }
        if self.judging == 0 {
            self.judging = 1;
            self.enqueue(Lane::Read, Origin::Leases, Command::ReadLeases);
        }
        self.look_for_fan_outs();
        self.look_for_sums();
        self.look_for_untrimmed();
        self.report_heard();
        if !planted!(BellIsTrusted) {
            self.take_wakes();
        }
    }

    pub(super) fn hear(&mut self, user: UserId, at: Timestamp) {
        let heard = self.heard.entry(user).or_default();
        *heard = at.max(*heard);
        if self.heard.len() >= self.config.batch {
            self.report_heard();
        }
    }

    /// One report at a time; who is heard meanwhile stands in the next.
    pub(super) fn report_heard(&mut self) {
        if !self.heard.is_empty() && !core::mem::replace(&mut self.reporting, true) {
            let users = core::iter::from_fn(|| self.heard.pop_first()).take(self.config.batch).collect();
            self.enqueue(Lane::Durable, Origin::Heard, Command::Heard { users });
        }
    }
}
