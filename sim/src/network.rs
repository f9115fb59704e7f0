//! Links between apps and gateways: in order, as TCP is, and as unreliable.

use crate::draw::{What, Who};
use crate::fault::FaultKind;
use crate::oracle::Flow;
use crate::slab::Name;
use crate::traffic::{End, Journey};
use crate::world::{Event, World};
use doubletick_core::client;
use doubletick_core::frame::{ClientFrame, CloseReason, ServerFrame};
use doubletick_core::gateway::{ConnId, Input};
use doubletick_core::time::Millis;
use std::collections::VecDeque;

/// How long an app waits for a connection to be made.
const DIAL_PATIENCE_MS: u64 = 15_000;
/// What a sending machine takes from its process for a connection that swallows everything.
const SOCKET_BUFFER: u32 = 64 * 1024;
/// How soon after a blackout what was lost in it is sent again.
const RETRANSMIT_MS: u64 = 300;

/// A connection, or the attempt to make one.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) device: u32,
    run: u32,
    host: u32,
    conn: Option<ConnId>,
    up: VecDeque<Item<ClientFrame>>,
    down: VecDeque<Item<Down>>,
    /// What is sent from here on never arrives.
    mute_up: bool,
    mute_down: bool,
    client_gone: bool,
    host_gone: bool,
    open: bool,
    /// When the last thing on its way arrives.
    last_up: u64,
    last_down: u64,
    /// The client reads slowly.
    slow: bool,
    /// Bytes that the gateway's machine took for it while it was mute.
    swallowed: u32,
    flow: Flow,
}

#[derive(Clone, Debug)]
struct Item<T> {
    /// Its number among the frames of its device.
    number: u64,
    at: u64,
    /// When it would have arrived without a fault of its own.
    due: u64,
    what: T,
}

#[derive(Clone, Debug)]
enum Down {
    /// A frame, and the bytes that count as unflushed until it arrives.
    Frame(ServerFrame, u32),
    /// The end, with the close code if it gets through.
    Close(Option<CloseReason>),
}

impl Link {
    /// Its end at the server.
    pub(crate) fn gateway(&self) -> Who {
        Who::Host(self.host)
    }

    /// Its end at the app.
    pub(crate) fn app(&self) -> Who {
        Who::Device(self.device)
    }
}

impl World<'_> {
    /// The app wants a connection.
    pub(crate) fn dial(&mut self, device: u32) {
        let it = &mut self.devices[device as usize];
        it.dials += 1;
        let (run, dial) = (it.run, it.dials);
        let who = Who::Device(device);
        // Places that stay dead are taken out of what devices are told to try, as the health check of a load balancer does.
        let slots: Vec<_> = self.slots.iter().filter(|slot| !slot.dead).collect();
        let host = slots[self.draws.below(who, What::Detail(2), dial, slots.len() as u64) as usize].current;
        let slow = self.fault(FaultKind::SlowReader, who, dial);
        let link = self.links.insert(Link {
            device,
            run,
            host: host.unwrap_or(u32::MAX),
            conn: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            mute_up: false,
            mute_down: false,
            client_gone: false,
            host_gone: true,
            open: false,
            last_up: 0,
            last_down: 0,
            slow,
            swallowed: 0,
            flow: Flow::default(),
        });
        self.devices[device as usize].link = Some(link);
        let latency = self.latency(who, dial << 32);
        if self.devices[device as usize].offline_until > self.now {
            self.device_feels(device, FaultKind::Offline);
            self.after(100, Event::DialEnds(link));
        } else if host.is_none() {
            self.after(2 * latency, Event::DialEnds(link));
        } else if self.fault(FaultKind::Refused, who, dial) {
            self.fired(FaultKind::Refused);
            self.dial_leaves(device, host, None);
            self.after(2 * latency, Event::DialEnds(link));
        } else if self.fault(FaultKind::DialLost, who, dial) {
            self.fired(FaultKind::DialLost);
            self.dial_leaves(device, host, None);
            self.after(DIAL_PATIENCE_MS, Event::DialEnds(link));
        } else {
            self.after(latency, Event::Dial(link));
            self.dial_leaves(device, host, Some(link));
        }
    }

    /// An attempt reaches the gateway.
    pub(crate) fn dial_arrives(&mut self, name: Name) {
        let Some(link) = self.links.get(name).filter(|link| !link.client_gone) else { return };
        let (device, host) = (link.device, link.host);
        let it = &self.hosts[host as usize];
        let journey = Journey::Dial(device, name.code());
        if it.gateway.is_none() {
            self.lost(journey);
            return self.after(1, Event::DialEnds(name));
        }
        if it.dark_until > self.now {
            self.lost(journey);
            self.host_feels(host, FaultKind::Blackout);
            return self.after(DIAL_PATIENCE_MS, Event::DialEnds(name));
        }
        if it.paused_until > self.now {
            // The machine takes the connection, and the process does not answer.
            self.after(DIAL_PATIENCE_MS, Event::DialEnds(name));
        }
        if self.is_paused(host, Event::Dial(name)) {
            return;
        }
        self.arrives(journey);
        let conn = self.accept(host, name);
        if let Some(link) = self.links.get_mut(name) {
            link.conn = Some(conn);
            link.host_gone = false;
        }
        let latency = self.latency(Who::Device(device), (conn.0 << 32) | 1);
        self.after(latency, Event::Dialed(name));
        self.leaves(Journey::Accept(device, name.code()), End::Gateway(host), End::Device(device), || "Connected".into());
        self.tell_host(host, Input::Connected(conn));
    }

    /// The client has its connection.
    pub(crate) fn dialed(&mut self, name: Name) {
        let Some(link) = self.links.get_mut(name).filter(|link| !link.client_gone && !link.open) else { return };
        link.open = true;
        let (device, run) = (link.device, link.run);
        self.arrives(Journey::Accept(device, name.code()));
        if self.devices[device as usize].hostile {
            return self.hostile_greets(device);
        }
        let fresh = self.secret(Who::Device(device), 1 + self.devices[device as usize].dials);
        self.tell_device(device, run, client::Input::Connected { fresh });
    }

    /// Whether the client has its connection.
    pub(crate) fn is_connected_link(&self, name: Name) -> bool {
        self.links.get(name).is_some_and(|link| link.open)
    }

    /// An attempt has failed.
    pub(crate) fn dial_ends(&mut self, name: Name) {
        if self.links.get(name).is_some_and(|link| !link.open) {
            self.after(1, Event::HostHears(name));
            self.client_hears(name);
        }
    }

    fn latency(&self, who: Who, counter: u64) -> u64 {
        self.draws.within(who, What::Latency, counter, self.options.latency_ms)
    }

    /// What goes wrong with a frame on its way: `None` if it is lost, else how much later it arrives.
    fn mishaps(&mut self, name: Name, device: u32, counter: u64, up: bool) -> Option<(u64, bool)> {
        let who = Who::Device(device);
        if self.fault(FaultKind::Reset, who, counter) {
            self.fired(FaultKind::Reset);
            self.break_link(name);
            return None;
        }
        let half = self.fault(FaultKind::HalfOpen, who, counter);
        let one = self.fault(FaultKind::OneWay, who, counter);
        if half || one {
            self.fired(if half { FaultKind::HalfOpen } else { FaultKind::OneWay });
            if let Some(link) = self.links.get_mut(name) {
                link.mute_up |= half || up;
                link.mute_down |= half || !up;
            }
            return None;
        }
        let mut more = 0;
        let mut delayed = false;
        if self.fault(FaultKind::Delay, who, counter) {
            more += self.size(FaultKind::Delay, who, counter);
            delayed = true;
        }
        if self.fault(FaultKind::Stall, who, counter) {
            self.fired(FaultKind::Stall);
            more += self.size(FaultKind::Stall, who, counter);
        }
        Some((more, delayed))
    }

    /// The next number of a device's frames, for draws.
    fn frame_number(&mut self, device: u32) -> u64 {
        let it = &mut self.devices[device as usize];
        it.frames += 1;
        it.frames
    }

    pub(crate) fn send_up(&mut self, name: Name, frame: ClientFrame) {
        let Some(link) = self.links.get(name) else { return };
        let (device, host) = (link.device, link.host);
        let counter = self.frame_number(device);
        if link_is_mute(self.links.get(name), true) {
            return self.frame_leaves(name, device, host, None, &frame);
        }
        let Some((more, delayed)) = self.mishaps(name, device, counter, true) else {
            return self.frame_leaves(name, device, host, None, &frame);
        };
        self.frame_leaves(name, device, host, Some(counter), &frame);
        let due = self.now + self.latency(Who::Device(device), counter);
        let Some(link) = self.links.get_mut(name) else { return };
        let due = due.max(link.last_up);
        let at = due + more;
        link.last_up = at;
        link.up.push_back(Item { number: counter, at, due: if delayed { due } else { at }, what: frame });
        self.at(at, Event::Up(name));
    }

    /// Sends a frame; says whether it counts as handed to the network at once.
    pub(crate) fn send_down(&mut self, name: Name, frame: ServerFrame, cost: u32) -> bool {
        let Some(link) = self.links.get_mut(name) else { return true };
        let (device, host, slow) = (link.device, link.host, link.slow);
        link.flow.says(&frame);
        if let ServerFrame::Presence { user, presence } = frame {
            self.oracles.news_passed_on(device, user, presence, &mut link.flow);
        }
        if link.mute_down {
            link.swallowed = link.swallowed.saturating_add(cost);
            let room = link.swallowed < SOCKET_BUFFER;
            self.reply_leaves(name, device, host, None, Some(&frame));
            return room;
        }
        let unflushed = if slow { cost } else { 0 };
        self.push_down(name, device, Down::Frame(frame, unflushed));
        !slow
    }

    fn push_down(&mut self, name: Name, device: u32, what: Down) {
        let counter = self.frame_number(device);
        let passes = self.mishaps(name, device, counter, false);
        let frame = if let Down::Frame(frame, _) = &what { Some(frame) } else { None };
        let host = self.links.get(name).map_or(u32::MAX, |link| link.host);
        self.reply_leaves(name, device, host, passes.map(|_| counter), frame);
        let Some((mut more, delayed)) = passes else { return };
        if self.links.get(name).is_some_and(|link| link.slow) && !self.healed {
            let pause = self.size(FaultKind::SlowReader, Who::Device(device), counter);
            if pause > 0 {
                self.fired(FaultKind::SlowReader);
            }
            more += pause;
        }
        let due = self.now + self.latency(Who::Device(device), counter);
        let Some(link) = self.links.get_mut(name) else { return };
        let due = due.max(link.last_down);
        let at = due + more;
        link.last_down = at;
        link.down.push_back(Item { number: counter, at, due: if delayed { due } else { at }, what });
        self.at(at, Event::Down(name));
    }

    fn delayed<T>(&mut self, item: &Item<T>, touched: u64) {
        if item.due < item.at {
            self.moved(FaultKind::Delay, item.due, touched);
        }
    }

    /// A frame reaches the gateway's machine.
    pub(crate) fn up(&mut self, name: Name) {
        let Some(link) = self.links.get(name).filter(|link| !link.host_gone && !link.up.is_empty()) else { return };
        let (device, host) = (link.device, link.host);
        if self.is_paused(host, Event::Up(name)) || self.is_dark(host, Event::Up(name)) {
            return;
        }
        let Some(link) = self.links.get_mut(name) else { return };
        let (Some(item), Some(conn)) = (link.up.pop_front(), link.conn) else { return };
        self.arrives(Journey::Frame(device, item.number));
        self.delayed(&item, self.hosts[host as usize].touched);
        let who = Who::Device(device);
        let counter = self.devices[device as usize].frames;
        if self.fault(FaultKind::Garbage, who, counter) {
            self.fired(FaultKind::Garbage);
            let reason =
                if self.size(FaultKind::Garbage, who, counter).is_multiple_of(2) { CloseReason::Protocol } else { CloseReason::TooLarge };
            return self.tell_host(host, Input::Broken(conn, reason));
        }
        if let Some(link) = self.links.get_mut(name) {
            link.flow.hears(&item.what);
        }
        let heard = self.hosts[host as usize].clock.read(self.now);
        self.oracles.heard(device, heard, self.now);
        self.tell_host(host, Input::Frame(conn, item.what));
    }

    fn is_dark(&mut self, host: u32, event: Event) -> bool {
        let until = self.hosts[host as usize].dark_until;
        let dark = until > self.now;
        if dark {
            self.host_feels(host, FaultKind::Blackout);
            self.at(until + RETRANSMIT_MS, event);
        }
        dark
    }

    /// A frame reaches the client.
    pub(crate) fn down(&mut self, name: Name) {
        let Some(link) = self.links.get(name).filter(|link| !link.down.is_empty()) else { return };
        let host = link.host;
        if self.is_dark(host, Event::Down(name)) {
            return;
        }
        let Some(link) = self.links.get_mut(name) else { return };
        let Some(item) = link.down.pop_front() else { return };
        let (device, run, conn, client_gone, host_gone) = (link.device, link.run, link.conn, link.client_gone, link.host_gone);
        let journey = Journey::Frame(device, item.number);
        if client_gone {
            self.lost(journey)
        } else {
            self.arrives(journey)
        }
        self.delayed(&item, self.devices[device as usize].touched);
        match item.what {
            Down::Frame(frame, unflushed) => {
                if unflushed > 0
                    && !host_gone
                    && let Some(conn) = conn
                {
                    self.tell_host(host, Input::Flushed(conn, unflushed));
                }
                if !client_gone {
                    self.frame_comes(device, run, frame);
                }
            }
            Down::Close(reason) if !client_gone => {
                if let Some(link) = self.links.get_mut(name) {
                    link.client_gone = true;
                }
                self.forget_link(device, name);
                self.tell_device(device, run, client::Input::Disconnected { reason });
                self.tidy(name);
            }
            Down::Close(_) => self.tidy(name),
        }
    }

    /// A gateway's core sends a device away: rightly, as far as can be judged from what has passed over the connection.
    pub(crate) fn sent_off(&mut self, name: Name, reason: CloseReason) {
        if let Some(link) = self.links.get(name) {
            self.oracles.closed(link.device, reason, &link.flow, self.options.config.window);
        }
    }

    /// The gateway closes a connection, with a goodbye.
    pub(crate) fn host_closes(&mut self, name: Name, reason: CloseReason, retry_after: Millis) {
        let Some(link) = self.links.get_mut(name) else { return };
        link.host_gone = true;
        let device = link.device;
        if link.mute_down {
            return self.tidy(name);
        }
        let counter = self.devices[device as usize].frames;
        if self.fault(FaultKind::GoodbyeLost, Who::Device(device), counter) {
            self.fired(FaultKind::GoodbyeLost);
            return self.push_down(name, device, Down::Close(None));
        }
        self.push_down(name, device, Down::Frame(ServerFrame::Goodbye { reason, retry_after }, 0));
        if !link_is_mute(self.links.get(name), false) {
            self.push_down(name, device, Down::Close(Some(reason)));
        }
    }

    /// The gateway's process is gone.
    pub(crate) fn host_vanishes(&mut self, name: Name, word: bool) {
        let Some(link) = self.links.get_mut(name) else { return };
        link.host_gone = true;
        if word && !link.mute_down {
            let device = link.device;
            let latency = self.latency(Who::Device(device), u64::MAX);
            self.after(latency, Event::ClientHears(name));
        } else {
            link.mute_down = true;
        }
        self.tidy(name);
    }

    /// The app is gone, or wants no more of this connection.
    pub(crate) fn client_vanishes(&mut self, name: Name, word: bool) {
        let Some(link) = self.links.get_mut(name) else { return };
        link.client_gone = true;
        let (device, last) = (link.device, link.last_up);
        if word && !link.mute_up {
            let at = last.max(self.now + self.latency(Who::Device(device), u64::MAX));
            self.at(at, Event::HostHears(name));
        } else {
            link.mute_up = true;
        }
        self.forget_link(device, name);
        self.tidy(name);
    }

    /// Both ends learn that the connection is gone, each in its time; what was under way is lost.
    pub(crate) fn break_link(&mut self, name: Name) {
        let Some(link) = self.links.get(name) else { return };
        let device = link.device;
        self.mute(name);
        let latency = self.latency(Who::Device(device), u64::MAX);
        self.after(latency, Event::ClientHears(name));
        self.after(latency + 1, Event::HostHears(name));
    }

    /// Nothing passes any more, and nobody is told.
    pub(crate) fn mute(&mut self, name: Name) {
        if let Some(link) = self.links.get_mut(name) {
            (link.mute_up, link.mute_down) = (true, true);
        }
        self.lose(name);
    }

    /// What is on its way is lost.
    fn lose(&mut self, name: Name) {
        let Some(link) = self.links.get_mut(name) else { return };
        let (device, up, down) = (link.device, core::mem::take(&mut link.up), core::mem::take(&mut link.down));
        for number in up.iter().map(|item| item.number).chain(down.iter().map(|item| item.number)) {
            self.lost(Journey::Frame(device, number));
        }
    }

    pub(crate) fn client_hears(&mut self, name: Name) {
        let Some(link) = self.links.get_mut(name).filter(|link| !link.client_gone) else { return };
        link.client_gone = true;
        let (device, run) = (link.device, link.run);
        self.forget_link(device, name);
        self.tell_device(device, run, client::Input::Disconnected { reason: None });
        self.tidy(name);
    }

    pub(crate) fn host_hears(&mut self, name: Name) {
        let Some(link) = self.links.get(name).filter(|link| !link.host_gone) else { return };
        let (host, conn) = (link.host, link.conn);
        if self.is_paused(host, Event::HostHears(name)) {
            return;
        }
        if let Some(link) = self.links.get_mut(name) {
            link.host_gone = true;
        }
        if let Some(conn) = conn {
            self.hosts[host as usize].conns.remove(&conn);
            self.tell_host(host, Input::Closed(conn));
        }
        self.tidy(name);
    }

    fn forget_link(&mut self, device: u32, name: Name) {
        let held = &mut self.devices[device as usize].link;
        *held = held.filter(|held| *held != name);
    }

    /// Forgets a link that both ends have left.
    fn tidy(&mut self, name: Name) {
        if self.links.get(name).is_some_and(|link| link.client_gone && link.host_gone) {
            self.lose(name);
            self.links.remove(name);
        }
    }
}

fn link_is_mute(link: Option<&Link>, up: bool) -> bool {
    link.is_none_or(|link| if up { link.mute_up } else { link.mute_down })
}
