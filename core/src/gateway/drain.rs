//! The end of a gateway that is told to stop: its clients leave one after the other, and their sessions are handed over.
//!
//! The first client is sent away at once and the others at even distances, so that the gateways that take them meet a steady stream and not
//! a storm. A session that is handed over stands in the store while its client changes gateways: the opening of the next one replaces it
//! there, and nobody who watches its user sees them go. Only where the client does not come in time is the session ended, and then with the
//! time at which the device was last heard.

use super::session::Phase;
use super::timers::Timer;
use super::{ConnId, Gateway, Output};
use crate::frame::CloseReason;
use crate::id::DeviceId;
use crate::limits;
use crate::time::{Millis, Timestamp};

/// How a gateway stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// The clients are sent away evenly over this time; all at once if it is zero.
    pub over: Millis,
    /// Each is told to come back after a time between nothing and this.
    pub spread: Millis,
    /// How long after that its session waits to be opened elsewhere. Zero where there is nowhere else: then it ends at once.
    pub handover: Millis,
}

/// A drain that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    plan: Drain,
    since: Timestamp,
    /// Connections when it began, and how many of them it has sent away.
    total: u64,
    sent: u64,
}

/// A session whose client was sent away and which is not opened elsewhere yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parted {
    pub(super) device: DeviceId,
    /// When something last came from its device.
    pub(super) heard: Timestamp,
    /// It is ended then.
    pub(super) until: Timestamp,
}

impl Draining {
    /// How many may have been sent away by now.
    fn due(&self, now: Timestamp) -> u64 {
        if self.plan.over == Millis(0) || planted!(DrainAtOnce if self.total > 1) {
            return self.total;
        }
        let passed = now.since(self.since).min(self.plan.over);
        (self.total * passed.0 / self.plan.over.0 + 1).min(self.total)
    }

    /// When the next one is due.
    fn next(&self) -> Timestamp {
        self.since + Millis((self.plan.over.0 * self.sent).div_ceil(self.total.max(1)))
    }
}

impl Gateway {
    pub(super) fn drain(&mut self, plan: Drain) {
        self.draining = Some(Draining { plan, since: self.now, total: self.sessions.len() as u64, sent: 0 });
        self.timers.retain(|(_, timer)| *timer != Timer::Drain);
        self.report_heard();
        self.send_away();
    }

    /// Sends those away whose turn has come.
    pub(super) fn send_away(&mut self) {
        while let Some(mut draining) = self.draining
            && let Some(conn) = self.sessions.keys().next().copied()
        {
            if draining.sent >= draining.due(self.now) {
                self.timers.insert((draining.next(), Timer::Drain));
                return;
            }
            draining.sent += 1;
            self.draining = Some(draining);
            let retry_after = self.spread(draining.plan.spread);
            self.part(conn, retry_after, draining.plan.handover);
            self.outputs.push_back(Output::Close { conn, reason: CloseReason::Restarting, retry_after });
        }
    }

    /// Lets a session stand in the store until its client has come elsewhere, or was long enough in coming.
    fn part(&mut self, conn: ConnId, retry_after: Millis, handover: Millis) {
        let Some((device, heard)) = self.take_out(conn) else { return };
        if handover == Millis(0) || planted!(EndedAtHandover) {
            return self.end_session(conn, device, heard);
        }
        let mut until = (self.now + retry_after + handover).min(heard + limits::DEAD_AFTER);
        if planted!(HandoverWaitsForEver) {
            until = self.now + Millis::days(365);
        }
        self.parted.insert(conn, Parted { device, heard, until });
        self.timers.insert((until, Timer::Handover(conn)));
    }

    /// A client that was sent away has opened its session elsewhere.
    pub(super) fn handed_over(&mut self, conn: ConnId) {
        if let Some(parted) = self.parted.remove(&conn) {
            self.timers.remove(&(parted.until, Timer::Handover(conn)));
        }
    }

    /// A client that was sent away has not come anywhere.
    pub(super) fn not_handed_over(&mut self, conn: ConnId) {
        if let Some(parted) = self.parted.remove(&conn) {
            self.end_session(conn, parted.device, parted.heard);
        }
    }

    /// Takes a connection out of everything here. If the store may have a session of it, says whose it is and when that was last heard.
    pub(super) fn take_out(&mut self, conn: ConnId) -> Option<(DeviceId, Timestamp)> {
        let session = self.sessions.remove(&conn)?;
        self.timers.remove(&(session.due, Timer::Session(conn)));
        self.timers.remove(&(session.paused, Timer::Resume(conn)));
        if session.ready {
            self.ready.retain(|ready| *ready != conn);
        }
        let device = session.device;
        match session.phase {
            Phase::Greeting => return None,
            Phase::Opening { .. } => {
                self.opening.remove(&(device, conn));
                if !session.begun || planted!(OpeningLeftBehind) {
                    return None;
                }
            }
            Phase::Open => {
                if self.open.get(&device) == Some(&conn) {
                    self.open.remove(&device);
                }
            }
        }
        for watch in session.watches {
            self.unwatch(device, watch.user);
        }
        Some((device, if planted!(LastSeenIsNow if session.heard < self.now) { self.now } else { session.heard }))
    }
}
