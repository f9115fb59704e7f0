//! BOUNDED: how long each queue is and may be, and what else must hold between the parts of a gateway.

use super::dispatch::Lane;
use super::session::{Phase, Session};
use super::timers::Timer;
use super::{Gateway, MAX_PAGES};
use crate::limits;

impl Gateway {
    /// Shows everything that gathers: what it is called, how much of it there is, and how much there may be. For tests and the simulator.
    ///
    /// Nothing gathers but in proportion to the connections, whatever the store does.
    pub fn queues(&self, visit: &mut dyn FnMut(&'static str, usize, usize)) {
        let config = &self.config;
        let connections = self.sessions.len();
        visit("connections", connections, config.connections);
        for session in self.sessions.values() {
            session.queues(config, visit);
        }
        visit("timers", self.timers.len(), 2 * connections + self.parted.len() + self.flights.len() + self.sums.len() + 2);
        visit("sessions to be handed over", self.parted.len(), config.connections);
        visit("sessions with something to be done", self.ready.len(), connections);
        visit("transactions under way", self.flights.len(), Lane::ALL.iter().map(|lane| lane.at_once(config.in_flight)).sum());
        visit("opening sessions", self.opening.len(), connections);
        visit("open sessions", self.open.len(), connections);
        visit("leases of others", self.leases.len(), limits::GATEWAYS as usize);
        visit("wake-ups seen to", self.seen.len(), limits::PAGE_WAKES as usize);
        let groups = connections * limits::CHATS_PER_SESSION + limits::PAGE_CONVERSATIONS as usize;
        visit("groups whose receipts are summed up", self.sums.len(), groups);
        visit("questions about leases", self.judging, limits::GATEWAYS as usize);
        let waiting = |lane: Lane| self.lines[lane as usize].waiting.len();
        let asked = config.connections * (config.requests as usize + MAX_PAGES as usize + 3);
        visit("reads that wait", waiting(Lane::Read), asked + 3);
        visit("questions for wake-ups that wait", waiting(Lane::Wake), 1);
        visit("steps of trimming that wait", waiting(Lane::Retention), 1);
        visit("reports that wait", waiting(Lane::Durable), 1);
        let ends = config.connections * (limits::WATCHES_PER_SESSION + config.requests as usize + 2);
        visit("comings and goings that wait", waiting(Lane::Session), 2 * ends + self.leases.len() + 2);
    }

    /// Panics if the gateway contradicts itself. For tests and the simulator: it looks at everything.
    pub fn check(&self) {
        self.queues(&mut |name, len, limit| assert!(len <= limit, "{name}: {len}, and the limit is {limit}"));
        for (conn, session) in &self.sessions {
            session.check();
            assert!(self.timers.contains(&(session.due, Timer::Session(*conn))), "{conn:?} has its timer");
            assert_eq!(session.ready, self.ready.contains(conn), "{conn:?} stands in line when it says so");
        }
        let timers = self.timers.iter().filter(|(_, timer)| matches!(timer, Timer::Session(_))).count();
        assert_eq!(timers, self.sessions.len(), "one timer a session");
        let resuming = self.timers.iter().filter(|(_, timer)| matches!(timer, Timer::Resume(_))).count();
        assert!(resuming <= self.sessions.len(), "one pause a session");
        for (conn, parted) in &self.parted {
            assert!(self.timers.contains(&(parted.until, Timer::Handover(*conn))), "{conn:?} is handed over in time, or ended");
        }
        for (device, conn) in &self.open {
            assert!(self.sessions.get(conn).is_some_and(|session| session.is_open() && session.device == *device));
        }
        for (device, conn) in &self.opening {
            let opening = |session: &Session| matches!(session.phase, Phase::Opening { .. }) && session.device == *device;
            assert!(self.sessions.get(conn).is_some_and(opening));
        }
    }
}

impl Session {
    fn queues(&self, config: &super::Config, visit: &mut dyn FnMut(&'static str, usize, usize)) {
        visit("unflushed bytes", self.unflushed as usize, config.unflushed as usize);
        visit("messages under way", self.sends as usize, config.window as usize);
        visit("requests under way", self.requests as usize, config.requests as usize);
        visit("commands of a session that wait", self.queue.len(), (config.window + config.requests) as usize);
        visit("entries not acknowledged", self.owed as usize, (config.deliveries + limits::PAGE_ENTRIES * MAX_PAGES) as usize);
        visit("pages that are read for a session", self.reading as usize, MAX_PAGES as usize);
        visit("handles", self.handles.len(), limits::HANDLES_PER_SESSION);
        visit("watches", self.watches.len(), limits::WATCHES_PER_SESSION);
        visit("acknowledgements that wait", self.acks.len(), limits::HANDLES_PER_SESSION);
        let kept = limits::CHATS_PER_SESSION + limits::HANDLES_PER_SESSION + self.acks.len();
        visit("conversations of a session", self.chats.len(), kept);
        visit("conversations to be read on", self.backlog.len(), self.chats.len());
    }
}
