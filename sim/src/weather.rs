//! What goes wrong by itself, now and then: with gateways and their machines, with apps and theirs.

use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::slab::Name;
use crate::world::{Event, WEATHER_MS, World};
use doubletick_core::client;
use doubletick_core::gateway::{ConnId, Drain};
use doubletick_core::time::Millis;

/// How long a gateway that stops waits for a session to be opened elsewhere.
const HANDOVER: Millis = Millis::seconds(10);
/// Clients of a gateway that stops are told to come back within this time.
const SPREAD_MS: u64 = 5_000;

impl World<'_> {
    /// Something may go wrong with a slot.
    pub(crate) fn slot_weather(&mut self, slot: u32) {
        if self.healed {
            return;
        }
        self.after(WEATHER_MS, Event::SlotWeather(slot));
        self.slots[slot as usize].weather += 1;
        let (who, counter) = (Who::Slot(slot), self.slots[slot as usize].weather);
        if slot == 0 && self.fault(FaultKind::Overload, who, counter) {
            self.overloaded_until = self.now + self.size(FaultKind::Overload, who, counter);
            self.overload_felt = false;
        }
        if self.fault(FaultKind::GatewayClock, who, counter) {
            self.set_gateway_clocks(slot, counter);
        }
        let Some(host) = self.slots[slot as usize].current else { return };
        if self.fault(FaultKind::Crash, who, counter) {
            return self.crash(host, FaultKind::Crash, who, counter);
        }
        if self.fault(FaultKind::TwoIncarnations, who, counter) {
            self.fired(FaultKind::TwoIncarnations);
            self.slots[slot as usize].current = None;
            let wait = self.size(FaultKind::TwoIncarnations, who, counter);
            self.after(wait, Event::HostEnds(host));
            return self.start_host(slot);
        }
        if self.fault(FaultKind::Drain, who, counter) {
            self.fired(FaultKind::Drain);
            let drawn = self.draws.number(who, What::Detail(11), counter);
            // Some have nowhere to hand their sessions over to, as on one machine.
            let handover = if drawn.is_multiple_of(4) { Millis(0) } else { HANDOVER };
            let over = Millis(self.size(FaultKind::Drain, who, counter));
            self.drain(host, Drain { over, spread: Millis(drawn % SPREAD_MS), handover });
            return self.start_host(slot);
        }
        self.host_weather(host, who, counter);
    }

    /// A gateway's process is gone, and another follows after a while if none has taken its place.
    pub(crate) fn crash(&mut self, host: u32, kind: FaultKind, who: Who, counter: u64) {
        self.fired(kind);
        let word = self.draws.chance(who, What::Detail(3), counter, 500_000);
        let slot = self.hosts[host as usize].slot;
        let follows = self.slots[slot as usize].current == Some(host);
        self.kill_host(host, word);
        if follows {
            let wait = self.size(kind, who, counter);
            self.after(wait, Event::Start(slot));
        }
    }

    fn host_weather(&mut self, host: u32, who: Who, counter: u64) {
        if self.fault(FaultKind::Pause, who, counter) {
            self.host_befalls(host, FaultKind::Pause);
            self.hosts[host as usize].paused_until = self.now + self.size(FaultKind::Pause, who, counter);
        }
        if self.fault(FaultKind::Partition, who, counter) {
            self.host_befalls(host, FaultKind::Partition);
            self.hosts[host as usize].cut_until = self.now + self.size(FaultKind::Partition, who, counter);
        }
        if self.fault(FaultKind::Blackout, who, counter) {
            self.host_befalls(host, FaultKind::Blackout);
            self.hosts[host as usize].dark_until = self.now + self.size(FaultKind::Blackout, who, counter);
        }
        if self.fault(FaultKind::BellSpurious, who, counter) {
            self.fired(FaultKind::BellSpurious);
            self.after(1, Event::Bell(host, self.now + 1));
        }
        if self.fault(FaultKind::ReconnectStorm, who, counter) {
            let links: Vec<(ConnId, Name)> = self.hosts[host as usize].conns.iter().map(|(conn, link)| (*conn, *link)).collect();
            if !links.is_empty() {
                self.fired(FaultKind::ReconnectStorm);
            }
            links.into_iter().for_each(|(_, link)| self.break_link(link));
        }
    }

    /// Half of all times forwards, half of all back.
    fn clock_step(&self, kind: FaultKind, who: Who, counter: u64) -> i64 {
        let size = self.size(kind, who, counter) as i64;
        if self.draws.chance(who, What::Detail(6), counter, 500_000) { size } else { -size }
    }

    fn set_gateway_clocks(&mut self, slot: u32, counter: u64) {
        let step = self.clock_step(FaultKind::GatewayClock, Who::Slot(slot), counter);
        self.slots[slot as usize].clock.step(step);
        for host in 0..self.hosts.len() {
            if self.hosts[host].slot == slot && self.hosts[host].gateway.is_some() {
                self.hosts[host].clock.step(step);
                self.host_befalls(host as u32, FaultKind::GatewayClock);
                self.host_feels(host as u32, FaultKind::GatewayClock);
                self.arm_host(host as u32);
            }
        }
    }

    /// Something may go wrong with a device.
    pub(crate) fn device_weather(&mut self, device: u32) {
        if self.healed {
            return;
        }
        self.after(WEATHER_MS, Event::DeviceWeather(device));
        self.devices[device as usize].weather += 1;
        let (who, counter) = (Who::Device(device), self.devices[device as usize].weather);
        if self.devices[device as usize].machine.is_none() {
            return;
        }
        if self.mishap(device, who, counter) {
            return;
        }
        if self.fault(FaultKind::DeviceClock, who, counter) {
            self.fired(FaultKind::DeviceClock);
            let step = self.clock_step(FaultKind::DeviceClock, who, counter);
            self.devices[device as usize].clock.step(step);
            self.arm_device(device);
        }
        if self.fault(FaultKind::Offline, who, counter) {
            self.device_befalls(device, FaultKind::Offline);
            self.devices[device as usize].offline_until = self.now + self.size(FaultKind::Offline, who, counter);
            if let Some(link) = self.devices[device as usize].link {
                self.device_feels(device, FaultKind::Offline);
                self.mute(link);
                if self.draws.chance(who, What::Detail(7), counter, 500_000) {
                    self.after(10, Event::ClientHears(link));
                }
            }
        }
        if let Some(link) = self.devices[device as usize].link
            && self.fault(FaultKind::Suspended, who, counter)
        {
            // The path dies while the app sleeps; it wakes, finds its socket dead, and the server does not know yet.
            self.fired(FaultKind::Suspended);
            self.mute(link);
            let wait = self.size(FaultKind::Suspended, who, counter);
            self.after(wait, Event::ClientHears(link));
            let run = self.devices[device as usize].run;
            self.tell_device(device, run, client::Input::Hurry);
        }
    }
}
