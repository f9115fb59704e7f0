//! Time and events: one thread, one heap, one step after the other.

use crate::clock::Clock;
use crate::device::Device;
use crate::draw::{Draws, MILLION, What, Who};
use crate::fault::{FaultKind, Ledger};
use crate::flight::Flight;
use crate::host::{Host, Slot};
use crate::judge::Progress;
use crate::network::Link;
use crate::options::Options;
use crate::oracle::{Oracle, Oracles};
use crate::plan::FaultId;
use crate::run::{Failure, FailureKind, Run, Verdict, Work};
use crate::scenario::{Sabotage, Scenario};
use crate::slab::{Name, Slab};
use crate::store::{Reads, Store};
use crate::trace::Trace;
use crate::watch::{Entry, Recorder, rarely};
use core::cmp::Ordering;
use doubletick_core::id::UserId;
use doubletick_core::store::Key;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that is due at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A gateway starts in a slot.
    Start(u32),
    /// A gateway's timer, and when it was due.
    HostDue(u32, u64),
    /// A gateway's process ends, if it has not yet.
    HostEnds(u32),
    /// A gateway's bell, and when it would have rung without a fault.
    Bell(u32, u64),
    /// The same bell again.
    Again(u32),
    /// Something may go wrong with a slot by itself.
    SlotWeather(u32),
    /// The same for a device.
    DeviceWeather(u32),
    /// A transaction's next stage.
    Flight(Name),
    /// A connection attempt reaches the gateway.
    Dial(Name),
    /// The client has its connection.
    Dialed(Name),
    /// The client gives an attempt up.
    DialEnds(Name),
    /// A frame reaches the gateway.
    Up(Name),
    /// A frame reaches the client.
    Down(Name),
    /// The gateway learns that a connection is gone.
    HostHears(Name),
    /// The client learns that a connection is gone.
    ClientHears(Name),
    /// A device is to be registered.
    Register(u32),
    /// An app starts.
    Boot(u32),
    /// An app that has stopped is opened again by its user.
    Reopen(u32),
    /// An app's timer, in one of its runs, and when it was due.
    DeviceDue(u32, u32, u64),
    /// A sync has ended, in one of the app's runs.
    Saved(u32, u32),
    /// Somebody does something.
    Act(u32),
    /// Nothing goes wrong any more.
    Heal,
    /// Has everything converged?
    Look,
}

/// An event in the order in which events come. The greatest is due first, as the heap wants it; no two have the same number.
#[derive(Clone)]
struct Due {
    at: u64,
    sequence: u64,
    event: Event,
}

impl Due {
    fn order(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.sequence)
    }
}

impl Ord for Due {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

impl PartialOrd for Due {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl Event {
    /// For the hash chain: which event it is, and of whom.
    fn code(self) -> (u8, u64) {
        match self {
            Self::Start(slot) => (1, slot.into()),
            Self::HostDue(host, _) => (2, host.into()),
            Self::HostEnds(host) => (3, host.into()),
            Self::Bell(host, _) => (4, host.into()),
            Self::SlotWeather(slot) => (5, slot.into()),
            Self::DeviceWeather(device) => (6, device.into()),
            Self::Flight(flight) => (7, flight.code()),
            Self::Dial(link) => (8, link.code()),
            Self::Dialed(link) => (9, link.code()),
            Self::DialEnds(link) => (10, link.code()),
            Self::Up(link) => (11, link.code()),
            Self::Down(link) => (12, link.code()),
            Self::HostHears(link) => (13, link.code()),
            Self::ClientHears(link) => (14, link.code()),
            Self::Register(device) => (15, device.into()),
            Self::Boot(device) => (16, device.into()),
            Self::DeviceDue(device, run, _) => (17, u64::from(device) << 32 | u64::from(run)),
            Self::Saved(device, run) => (18, u64::from(device) << 32 | u64::from(run)),
            Self::Act(device) => (19, device.into()),
            Self::Heal => (20, 0),
            Self::Look => (21, 0),
            Self::Again(host) => (22, host.into()),
            Self::Reopen(device) => (23, device.into()),
        }
    }
}

/// How often something may go wrong by itself.
pub(crate) const WEATHER_MS: u64 = 8_000;
/// Share of runs in which all durable rows are rebuilt from what has happened.
const REBUILT: u32 = MILLION / 16;

/// Everything. A clone of it goes on as it would.
#[derive(Clone)]
pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    /// Writes down what happens, if anybody wants to know.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) options: Options,
    pub(crate) draws: Draws,
    pub(crate) now: u64,
    /// When something was last committed.
    pub(crate) committed: u64,
    sequence: u64,
    heap: BinaryHeap<Due>,
    pub(crate) trace: Trace<Event>,
    pub(crate) ledger: Ledger,
    pub(crate) work: Work,
    pub(crate) oracles: Oracles,
    pub(crate) store: Store,
    pub(crate) flights: Slab<Flight>,
    /// What ended transactions have noted their reads in, for the next ones.
    pub(crate) notes: Vec<Reads>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) bells: BTreeMap<Key, u32>,
    pub(crate) links: Slab<Link>,
    pub(crate) devices: Vec<Device>,
    /// People who are never there.
    pub(crate) crowd: Vec<UserId>,
    pub(crate) overloaded_until: u64,
    pub(crate) overload_felt: bool,
    pub(crate) healed: bool,
    pub(crate) deadline: u64,
    pub(crate) progress: Progress,
    /// By how much all clocks were set forwards together, in milliseconds.
    pub(crate) leapt: u64,
    pub(crate) done: bool,
    failure: Option<(FailureKind, Oracle, String)>,
}

/// What a panic said.
pub(crate) type Panic = String;

pub(crate) fn run(scenario: &Scenario, seed: u64) -> Run {
    let mut world = World::new(scenario, seed, None);
    let panic = world.live(u64::MAX);
    world.verdict(seed, panic)
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, seed: u64, recorder: Option<Recorder>) -> Self {
        let options = Options::draw(scenario, seed);
        let mut ledger = Ledger::default();
        for (count, setting) in ledger.0.iter_mut().zip(&options.faults) {
            count.configured = u64::from(setting.per_million > 0);
        }
        let mut world = Self {
            scenario,
            recorder,
            draws: Draws::new(seed),
            now: 0,
            committed: 0,
            sequence: 0,
            heap: BinaryHeap::new(),
            trace: Trace::new(scenario.checkpoint_every),
            ledger,
            work: Work::default(),
            oracles: Oracles::default(),
            store: Store::default(),
            flights: Slab::new(),
            notes: Vec::new(),
            slots: Vec::new(),
            hosts: Vec::new(),
            bells: BTreeMap::new(),
            links: Slab::new(),
            devices: Vec::new(),
            crowd: Vec::new(),
            overloaded_until: 0,
            overload_felt: false,
            healed: false,
            deadline: options.trouble_ms + scenario.settle_ms,
            progress: Progress::default(),
            leapt: 0,
            done: false,
            failure: None,
            options,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        for slot in 0..self.options.gateways as u32 {
            let clock = self.clock(Who::Slot(slot));
            self.slots.push(Slot::new(clock));
            self.at(0, Event::Start(slot));
            self.at(WEATHER_MS, Event::SlotWeather(slot));
        }
        for user in 0..self.options.users as u32 {
            let devices = self.draws.within(Who::User(user), What::Constant(1), 0, self.options.devices);
            for nth in 0..devices {
                let device = self.devices.len() as u32;
                // Some of the later devices are linked when there is something to be missed.
                let late = nth > 0 && self.draws.chance(Who::Device(device), What::Constant(2), 0, MILLION / 2);
                let most = if late { self.options.trouble_ms } else { 500 };
                let at = self.draws.below(Who::Device(device), What::Constant(3), 0, most);
                self.add_device(user, at, false);
            }
        }
        let hostile = self.options.setting(FaultKind::Hostile).per_million > 0;
        if hostile {
            self.add_device(self.options.users as u32, 200, true);
        }
        if self.draws.chance(Who::World, What::Constant(64), 0, REBUILT) {
            self.oracles.rebuilt = Some(Default::default());
        }
        self.populate_crowd();
        self.at(self.options.trouble_ms, Event::Heal);
    }

    pub(crate) fn clock(&self, who: Who) -> Clock {
        let skew = self.scenario.skew_ms;
        let drift = u64::from(self.scenario.drift_per_million);
        let off = self.draws.within(who, What::Constant(4), 0, (0, 2 * skew)) as i64 - skew as i64;
        let rate = self.draws.within(who, What::Constant(5), 0, (0, 2 * drift)) as i64 - drift as i64;
        Clock::new(off, rate)
    }

    /// Lives up to a step, or to the end. Says what the core said, if it panicked: then it is not to live on.
    pub(crate) fn live(&mut self, until: u64) -> Option<Panic> {
        let lived = catch_unwind(AssertUnwindSafe(|| while self.trace.steps < until && self.step() {}));
        let panic = lived.err()?;
        self.done = true;
        let told = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|told| (*told).to_owned()));
        Some(told.unwrap_or_else(|| "a panic without words".into()))
    }

    /// Makes the next step. Says whether there was one.
    fn step(&mut self) -> bool {
        let Some((at, nth, event)) = self.next() else { return false };
        self.now = at;
        if self.recorder.is_some() {
            self.record_step(self.trace.steps + 1, at, nth, &event, self.whom(event));
        }
        self.trace.step(at, event, event.code());
        if let Some((from, sabotage)) = self.scenario.sabotage
            && self.trace.steps >= from
        {
            match sabotage {
                Sabotage::Impure(outside) => self.trace.number(outside),
                Sabotage::Panic => panic!("a test has asked for this"),
            }
        }
        self.handle(event);
        if self.recorder.is_some() {
            self.stand();
        }
        if self.trace.steps.is_multiple_of(self.scenario.sample_every) {
            self.sample();
        }
        if let Some((oracle, detail)) = self.oracles.broken() {
            self.fail(FailureKind::Safety, oracle, detail);
        } else if self.trace.steps >= self.scenario.max_steps {
            self.exhausted();
        }
        true
    }

    /// All that is due, in no order: when, in which order within that time, and what.
    pub(crate) fn due(&self) -> impl Iterator<Item = (u64, u64, Event)> + '_ {
        self.heap.iter().filter(|due| !self.is_stale(due.event)).map(|due| (due.at, due.sequence, due.event))
    }

    /// What is due next: when, its number, and what.
    fn next(&mut self) -> Option<(u64, u64, Event)> {
        while !self.done {
            let Due { at, sequence: nth, event } = self.heap.pop()?;
            if !self.is_stale(event) {
                return Some((at, nth, event));
            }
        }
        None
    }

    /// A timer that was set for nothing is no step.
    fn is_stale(&self, event: Event) -> bool {
        if let Event::HostDue(host, due) = event {
            self.host_timer_is_stale(host, due)
        } else if let Event::DeviceDue(device, run, due) = event {
            self.device_timer_is_stale(device, run, due)
        } else {
            false
        }
    }

    /// To whom something happens.
    fn whom(&self, event: Event) -> Who {
        match event {
            Event::Start(slot) | Event::SlotWeather(slot) => Who::Slot(slot),
            Event::HostDue(host, _) | Event::HostEnds(host) | Event::Bell(host, _) | Event::Again(host) => Who::Host(host),
            Event::DeviceWeather(device)
            | Event::Register(device)
            | Event::Boot(device)
            | Event::Reopen(device)
            | Event::DeviceDue(device, ..)
            | Event::Saved(device, _)
            | Event::Act(device) => Who::Device(device),
            Event::Flight(flight) => self.flights.get(flight).map_or(Who::World, Flight::who),
            Event::Dial(link) | Event::Up(link) | Event::HostHears(link) => self.links.get(link).map_or(Who::World, Link::gateway),
            Event::Dialed(link) | Event::DialEnds(link) | Event::Down(link) | Event::ClientHears(link) => {
                self.links.get(link).map_or(Who::World, Link::app)
            }
            Event::Heal | Event::Look => Who::World,
        }
    }

    pub(crate) fn fail(&mut self, kind: FailureKind, oracle: Oracle, detail: String) {
        self.failure.get_or_insert((kind, oracle, detail));
        self.done = true;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Start(slot) => self.start_host(slot),
            Event::HostDue(host, due) => self.host_due(host, due),
            Event::HostEnds(host) => self.host_ends(host),
            Event::Bell(host, due) => self.bell(host, due),
            Event::Again(host) => self.bell_again(host),
            Event::SlotWeather(slot) => self.slot_weather(slot),
            Event::DeviceWeather(device) => self.device_weather(device),
            Event::Flight(flight) => self.fly(flight),
            Event::Dial(link) => self.dial_arrives(link),
            Event::Dialed(link) => self.dialed(link),
            Event::DialEnds(link) => self.dial_ends(link),
            Event::Up(link) => self.up(link),
            Event::Down(link) => self.down(link),
            Event::HostHears(link) => self.host_hears(link),
            Event::ClientHears(link) => self.client_hears(link),
            Event::Register(device) => self.register(device),
            Event::Boot(device) => self.boot(device),
            Event::Reopen(device) => self.reopen(device),
            Event::DeviceDue(device, _, due) => self.device_due(device, due),
            Event::Saved(device, run) => self.saved(device, run),
            Event::Act(device) => self.act(device),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
        }
    }

    /// Something will happen in so many milliseconds.
    pub(crate) fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now + millis, event);
    }

    /// Something will happen at a time; after whatever else happens then.
    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        if let Some(recorder) = &mut self.recorder {
            rarely(|| recorder.due(self.sequence));
        }
        self.heap.push(Due { at: at.max(self.now), sequence: self.sequence, event });
    }

    /// Whether a fault happens on this occasion, the `counter`-th of its kind for somebody.
    pub(crate) fn fault(&mut self, kind: FaultKind, who: Who, counter: u64) -> bool {
        let setting = self.options.setting(kind);
        if setting.per_million == 0 || self.healed {
            return false;
        }
        self.ledger.0[kind as usize].offered += 1;
        let id = FaultId { kind, who, counter };
        let happens = match &self.scenario.plan.faults {
            None => self.draws.chance(who, What::Fault(kind), counter, setting.per_million),
            Some(left) => left.contains(&id),
        };
        if happens {
            self.note(|| Entry::Fault(id));
        }
        happens
    }

    /// How long or how large the fault of such an occasion is.
    pub(crate) fn size(&self, kind: FaultKind, who: Who, counter: u64) -> u64 {
        self.draws.within(who, What::Size(kind), counter, self.options.setting(kind).length)
    }

    /// Something that was delayed happens at last. That has changed what happens next if whoever it happens to was met by something else
    /// since it was due; `touched` is when that last was.
    pub(crate) fn moved(&mut self, kind: FaultKind, due: u64, touched: u64) {
        if touched > due {
            self.fired(kind);
        }
    }

    /// How much later a timer is seen to, for the `counter`-th time.
    pub(crate) fn timer_late(&mut self, who: Who, counter: u64) -> u64 {
        if self.fault(FaultKind::TimerLate, who, counter) { self.size(FaultKind::TimerLate, who, counter) } else { 0 }
    }

    /// A fault has changed what happens next.
    pub(crate) fn fired(&mut self, kind: FaultKind) {
        self.ledger.0[kind as usize].fired += 1;
        self.trace.number(0xfa00 | kind as u64);
        self.note(|| Entry::Fired(kind));
    }

    /// What the run came to.
    pub(crate) fn verdict(&mut self, seed: u64, panic: Option<Panic>) -> Run {
        let failed = match panic {
            Some(told) => Some((FailureKind::Crash, "PANIC", told)),
            None => self.failure.take().map(|(kind, oracle, detail)| (kind, oracle.name(), detail)),
        };
        let inert = self.work.stored == 0;
        let failed = failed.or_else(|| inert.then(|| (FailureKind::Inert, "CONVERGENCE", "nothing was delivered".into())));
        let hash = self.trace.seal();
        let steps = self.trace.steps;
        let verdict = match failed {
            None => Verdict::Clean,
            Some((kind, oracle, detail)) => {
                Verdict::Failed(Failure { kind, oracle, step: steps, detail, last_steps: self.trace.last_steps() })
            }
        };
        Run {
            seed,
            hash,
            checkpoints: core::mem::take(&mut self.trace.checkpoints),
            steps,
            virtual_ms: self.now,
            ledger: self.ledger,
            oracles: self.oracles.counts,
            work: self.work,
            verdict,
        }
    }
}
