//! Gateways and the processes that they run in.

use crate::clock::Clock;
use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::slab::Name;
use crate::watch::{Entry, brief};
use crate::world::{Event, World};
use doubletick_core::frame::CloseReason;
use doubletick_core::gateway::{self, ConnId, Drain, Gateway, Input, Output, frame_cost};
use doubletick_core::id::GatewayId;
use doubletick_core::rows;
use doubletick_core::time::{Millis, Timestamp};
use std::collections::BTreeMap;

/// A place at which gateways run, one after the other, and now and then two at a time.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) clock: Clock,
    /// The gateway to which new connections go.
    pub(crate) current: Option<u32>,
    /// Occasions for bad weather so far.
    pub(crate) weather: u64,
    /// Nothing will ever run here again.
    pub(crate) dead: bool,
}

/// One gateway, from its start to its end.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) slot: u32,
    /// `None` once the process is gone.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) clock: Clock,
    pub(crate) conns: BTreeMap<ConnId, Name>,
    next_conn: u64,
    /// When its timer is to ring, in the world's time.
    armed: Option<u64>,
    /// Timers so far.
    timers: u64,
    /// When it last met anything.
    pub(crate) touched: u64,
    pub(crate) paused_until: u64,
    /// The store is out of reach.
    pub(crate) cut_until: u64,
    /// Its clients are out of reach.
    pub(crate) dark_until: u64,
    /// It is to stop.
    pub(crate) draining: bool,
    /// The latest time that its gateway was told.
    pub(crate) told: Timestamp,
    /// Transactions so far.
    pub(crate) flights: u64,
    /// Bells so far.
    pub(crate) bells: u64,
    /// Faults that have made themselves felt since they began, by the bit of their number.
    felt: u64,
}

impl Slot {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, current: None, weather: 0, dead: false }
    }
}

impl Host {
    /// The process as it is, for whoever looks at the machine by itself.
    pub(crate) fn without_machine(&self) -> Self {
        Self { gateway: None, ..self.clone() }
    }

    pub(crate) fn heal(&mut self) {
        self.paused_until = 0;
        self.cut_until = 0;
        self.dark_until = 0;
    }
}

impl World<'_> {
    /// Another gateway starts, unless one is there.
    pub(crate) fn start_host(&mut self, slot: u32) {
        if self.slots[slot as usize].dead || self.slots[slot as usize].current.is_some() {
            return;
        }
        let host = self.hosts.len() as u32;
        let id = GatewayId(self.draws.number(Who::Host(host), What::Id(0), 0));
        let mut clock = self.slots[slot as usize].clock;
        clock.restart();
        let config = gateway::Config { seed: self.draws.number(Who::Host(host), What::Id(1), 0), ..self.options.config };
        let clock_now = clock.read(self.now);
        let gateway = Gateway::new(id, config, clock_now);
        self.bells.insert(rows::bell(id).key, host);
        self.hosts.push(Host {
            slot,
            gateway: Some(gateway),
            clock,
            conns: BTreeMap::new(),
            next_conn: 0,
            armed: None,
            timers: 0,
            touched: 0,
            paused_until: 0,
            cut_until: 0,
            dark_until: 0,
            draining: false,
            told: clock_now,
            flights: 0,
            bells: 0,
            felt: 0,
        });
        self.slots[slot as usize].current = Some(host);
        self.drive_host(host);
    }

    /// Something happens to a gateway, and it does what is to be done about it.
    pub(crate) fn tell_host(&mut self, host: u32, input: Input) {
        let it = &mut self.hosts[host as usize];
        let now = it.clock.read(self.now);
        if it.gateway.is_none() {
            return;
        }
        it.touched = self.now;
        it.told = it.told.max(now);
        self.note_words(|| Entry::In(Who::Host(host), brief(&input)));
        if let Some(gateway) = &mut self.hosts[host as usize].gateway {
            gateway.handle_input(now, input);
            self.drive_host(host);
        }
    }

    /// Whether a timer that was set has been set anew since, to an earlier time.
    pub(crate) fn host_timer_is_stale(&self, host: u32, due: u64) -> bool {
        let it = &self.hosts[host as usize];
        it.gateway.is_none() || it.armed != Some(due)
    }

    pub(crate) fn host_due(&mut self, host: u32, due: u64) {
        if self.is_paused(host, Event::HostDue(host, due)) {
            return;
        }
        self.moved(FaultKind::TimerLate, due, self.hosts[host as usize].touched);
        let it = &mut self.hosts[host as usize];
        it.armed = None;
        let now = it.clock.read(self.now);
        let Some(gateway) = &mut it.gateway else { return };
        if gateway.poll_timeout().is_some_and(|due| due <= now) {
            it.told = it.told.max(now);
            gateway.handle_timeout(now);
        }
        self.drive_host(host);
    }

    /// Whether the process stands still; the event then comes again when it goes on.
    pub(crate) fn is_paused(&mut self, host: u32, event: Event) -> bool {
        let until = self.hosts[host as usize].paused_until;
        let paused = until > self.now;
        if paused {
            self.host_feels(host, FaultKind::Pause);
            self.at(until, event);
        }
        paused
    }

    fn drive_host(&mut self, host: u32) {
        while let Some(output) = self.hosts[host as usize].gateway.as_mut().and_then(Gateway::poll_output) {
            self.host_output(host, output);
        }
        let it = &mut self.hosts[host as usize];
        let Some(gateway) = &it.gateway else { return };
        if it.draining && gateway.is_idle() {
            return self.host_gone(host);
        }
        self.arm_host(host);
    }

    pub(crate) fn arm_host(&mut self, host: u32) {
        let it = &mut self.hosts[host as usize];
        let Some(due) = it.gateway.as_ref().and_then(Gateway::poll_timeout) else { return };
        let due = self.now + it.clock.until(self.now, due);
        if it.armed.is_none_or(|armed| due < armed) {
            it.armed = Some(due);
            it.timers += 1;
            let timers = it.timers;
            let late = self.timer_late(Who::Host(host), timers);
            self.at(due + late, Event::HostDue(host, due));
        }
    }

    fn host_output(&mut self, host: u32, output: Output) {
        self.note_words(|| Entry::Out(Who::Host(host), brief(&output)));
        match output {
            Output::Frame(conn, frame) => {
                let cost = frame_cost(&frame);
                self.trace.number(0x01 | conn.0 << 8);
                let link = self.hosts[host as usize].conns.get(&conn).copied();
                if link.is_none_or(|link| self.send_down(link, frame, cost)) {
                    let it = &mut self.hosts[host as usize];
                    let now = it.clock.read(self.now);
                    if let Some(gateway) = &mut it.gateway {
                        gateway.handle_input(now, Input::Flushed(conn, cost));
                    }
                }
            }
            Output::Close { conn, reason, retry_after } => {
                self.trace.number(0x02 | conn.0 << 8);
                if reason == CloseReason::Restarting {
                    self.sent_away(host, conn, retry_after);
                }
                if let Some(link) = self.hosts[host as usize].conns.remove(&conn) {
                    self.sent_off(link, reason);
                    self.host_closes(link, reason, retry_after);
                }
            }
            Output::Transact(ticket, batch) => {
                self.trace.number(0x03 | ticket.0 << 8);
                self.oracles.ending(host, &batch, self.hosts[host as usize].told);
                self.submit_for_host(host, ticket, batch);
            }
            Output::Ended => {
                self.trace.number(0x04);
                self.host_gone(host);
            }
        }
    }

    /// The adapter numbers a connection that it has accepted.
    pub(crate) fn accept(&mut self, host: u32, link: Name) -> ConnId {
        let it = &mut self.hosts[host as usize];
        it.next_conn += 1;
        let conn = ConnId(it.next_conn);
        it.conns.insert(conn, link);
        conn
    }

    pub(crate) fn drain(&mut self, host: u32, plan: Drain) {
        let it = &mut self.hosts[host as usize];
        it.draining = true;
        let told = it.told.max(it.clock.read(self.now));
        let connections = it.gateway.as_ref().map_or(0, Gateway::connections);
        let slot = it.slot as usize;
        self.slots[slot].current = self.slots[slot].current.filter(|current| *current != host);
        self.oracles.stopping(host, plan, connections as u64, told);
        self.tell_host(host, Input::Drain(plan));
    }

    /// A client was told to connect elsewhere.
    fn sent_away(&mut self, host: u32, conn: ConnId, retry_after: Millis) {
        let it = &self.hosts[host as usize];
        let (Some(gateway), Some(link)) = (&it.gateway, it.conns.get(&conn).and_then(|link| self.links.get(*link))) else { return };
        self.oracles.sent_away((host, conn), gateway.id(), link.device, retry_after, it.told, &self.store);
    }

    pub(crate) fn host_ends(&mut self, host: u32) {
        if self.hosts[host as usize].gateway.is_some() {
            self.host_gone(host);
        }
    }

    /// The process is gone; its machine's network says so to those who are connected. If it was the one that new connections go to,
    /// another follows at once.
    fn host_gone(&mut self, host: u32) {
        self.kill_host(host, true);
        let slot = self.hosts[host as usize].slot;
        self.start_host(slot);
    }

    /// The process is gone, with or without a word to those who are connected.
    pub(crate) fn kill_host(&mut self, host: u32, word: bool) {
        let it = &mut self.hosts[host as usize];
        let Some(gateway) = it.gateway.take() else { return };
        self.bells.remove(&rows::bell(gateway.id()).key);
        let conns = core::mem::take(&mut it.conns);
        let slot = it.slot as usize;
        self.slots[slot].current = self.slots[slot].current.filter(|current| *current != host);
        for link in conns.into_values() {
            self.host_vanishes(link, word);
        }
    }

    pub(crate) fn bell(&mut self, host: u32, due: u64) {
        if self.hosts[host as usize].gateway.is_some() && !self.is_paused(host, Event::Bell(host, due)) {
            self.moved(FaultKind::BellLate, due, self.hosts[host as usize].touched);
            self.bell_arrives(host, due);
            self.tell_host(host, Input::Bell);
        }
    }

    pub(crate) fn bell_again(&mut self, host: u32) {
        if self.hosts[host as usize].gateway.is_some() {
            self.fired(FaultKind::BellTwice);
            self.bell(host, self.now);
        }
    }

    /// A fault begins; it counts as fired once it is felt.
    pub(crate) fn host_befalls(&mut self, host: u32, kind: FaultKind) {
        self.hosts[host as usize].felt &= !(1 << kind as u64);
    }

    /// A fault that lasts has changed what happens next.
    pub(crate) fn host_feels(&mut self, host: u32, kind: FaultKind) {
        let felt = &mut self.hosts[host as usize].felt;
        if *felt & (1 << kind as u64) == 0 {
            *felt |= 1 << kind as u64;
            self.fired(kind);
        }
    }
}
