//! A world in which everything takes its time: frames, transactions, answers, bells and saves wait in queues, and dice decide which moves next.

pub(crate) mod checks;
pub(crate) mod faults;
mod moves;

use crate::disk::Disk;
use crate::memory::Rows;
use doubletick_core::client::{self, Client, Notice, Record, SaveId, Stored};
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::frame::{ClientFrame, CloseReason, Presence, Privacy, ServerFrame};
use doubletick_core::gateway::{self, Config, ConnId, Gateway, Ticket};
use doubletick_core::id::{ConversationId, DeviceId, GatewayId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::rate::Rate;
use doubletick_core::store::Failure;
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::{Batch, Outcome};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Numbers that look random and follow from a seed: the output function of SplitMix64 over a counter.
pub(crate) struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, rolled: 0 }
    }

    /// From 0 up to, but not including, `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.rolled += 1;
        let z = self.seed.wrapping_mul(0xd1b5_4a32_d192_ed03).wrapping_add(self.rolled.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

/// A device, and what it stores and shows.
pub(crate) struct Handset {
    pub(crate) machine: Client,
    pub(crate) device: DeviceId,
    secret: Secret,
    pub(crate) disk: Disk,
    /// Records that are not stored yet.
    unsaved: VecDeque<(SaveId, Record)>,
    /// Nothing is stored for the time being.
    pub(crate) holds_saves: bool,
    link: Option<usize>,
    wants_connection: bool,
    /// It is switched off, and will not come back.
    pub(crate) off: bool,
    /// The head of each conversation when it was linked, if that was in the middle of everything.
    pub(crate) came_at: Option<BTreeMap<ConversationId, Seq>>,
    /// What it wrote and stored, in order.
    pub(crate) wrote: Vec<(ConversationId, MessageId)>,
    /// What it heard to be accepted.
    pub(crate) accepted: BTreeMap<MessageId, Seq>,
    pub(crate) watches: BTreeSet<UserId>,
    /// The last that it heard of each user it watches.
    pub(crate) presence: BTreeMap<UserId, Presence>,
    pub(crate) stopped: Option<CloseReason>,
    /// Up to where its user was shown each conversation.
    pub(crate) seen: BTreeMap<ConversationId, Seq>,
}

/// A place where a gateway runs.
pub(crate) struct Server {
    pub(crate) machine: Gateway,
    /// How far its clock is ahead.
    ahead: u64,
    /// It does nothing for the time being; its transactions go on.
    pub(crate) paused: bool,
    /// There is no process.
    pub(crate) down: bool,
    /// Transactions that the store has, and has not run.
    jobs: Vec<(Ticket, Arc<Batch>)>,
    /// What the store has said and the gateway has not heard.
    answers: Vec<(Ticket, Result<Outcome, Failure>)>,
}

enum Down {
    Frame(ServerFrame),
    Closed(Option<CloseReason>),
}

enum Up {
    Frame(ClientFrame),
    Closed,
}

/// A connection with what is on its way.
struct Link {
    server: usize,
    /// The incarnation at the other end.
    gateway: GatewayId,
    conn: ConnId,
    phone: usize,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    /// Nothing comes through any more, and nobody is told.
    silent: bool,
}

pub(crate) struct Storm {
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    pub(crate) rows: Rows,
    pub(crate) servers: Vec<Server>,
    pub(crate) phones: Vec<Handset>,
    links: BTreeMap<usize, Link>,
    /// Transactions of which nobody waits for an answer, and that the store may yet run.
    late: Vec<Arc<Batch>>,
    pub(crate) users: usize,
    config: Config,
    counter: u64,
    /// How many of a hundred transactions fail.
    pub(crate) failures: usize,
    /// How many of a hundred bells are lost.
    pub(crate) deaf: usize,
    pub(crate) log: VecDeque<String>,
}

impl Storm {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut config = Config { seed, connections: 24, ..Config::default() };
        if dice.chance(50) {
            config.window = 1 + dice.roll(6) as u32;
            config.deliveries = 1 + dice.roll(8) as u32;
            config.batch = 1 + dice.roll(6);
            config.in_flight = 1 + dice.roll(3);
            config.send_rate = Rate { per_second: 5, burst: 3 };
        }
        let mut storm = Self {
            now: START,
            dice,
            rows: Rows::default(),
            servers: vec![],
            phones: vec![],
            links: BTreeMap::new(),
            late: vec![],
            users: 0,
            config,
            counter: 0,
            failures: 0,
            deaf: 0,
            log: VecDeque::new(),
        };
        for _ in 0..1 + storm.dice.roll(3) {
            let machine = storm.gateway(0);
            storm.servers.push(Server { machine, ahead: 0, paused: false, down: false, jobs: vec![], answers: vec![] });
        }
        storm.users = 2 + storm.dice.roll(4);
        for user in 0..storm.users {
            for _ in 0..1 + storm.dice.roll(2) {
                storm.link_device(user, false);
            }
        }
        storm
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if self.log.len() == 60 {
            self.log.pop_front();
        }
        let line = format!("{:>7} {}", self.now.since(START).0, what());
        if std::env::var_os("STORM_VERBOSE").is_some() {
            println!("{line}");
        }
        self.log.push_back(line);
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn gateway(&mut self, ahead: u64) -> Gateway {
        let id = GatewayId(self.next());
        Gateway::new(id, self.config, self.now + Millis(ahead))
    }

    /// Registers a device of a user.
    pub(crate) fn link_device(&mut self, user: usize, late: bool) {
        let phone = Phone::parse(&format!("+49151000000{user:02}")).expect("a phone number");
        let secret = Secret([self.phones.len() as u8 + 1; 32]);
        let code = code_digest(&phone, &format!("{}", self.phones.len()));
        let commands = vec![
            Command::RequestCode { phone: phone.clone(), code },
            Command::Register { phone, code, secret: secret.digest(), new_user: UserId(100 + user as u64), name: String::new() },
            Command::SetPrivacy { user: UserId(100 + user as u64), privacy: Privacy::Everyone },
        ];
        let outcome = self.rows.execute(&Arc::new(Batch { now: self.now, commands }));
        // Of many devices in one hour, the later ones get no code.
        let Ok(Reply::Registered { device, .. }) = outcome.replies[1] else { return };
        let came_at = late.then(|| self.heads());
        let disk = Disk::default();
        let machine = self.client(device, secret, &disk);
        let place = self.phones.len();
        self.say(|| format!("phone {place} is linked: {device}"));
        self.phones.push(Handset {
            machine,
            device,
            secret,
            disk,
            unsaved: VecDeque::new(),
            holds_saves: false,
            link: None,
            wants_connection: false,
            off: false,
            came_at,
            wrote: vec![],
            accepted: BTreeMap::new(),
            watches: BTreeSet::new(),
            presence: BTreeMap::new(),
            stopped: None,
            seen: BTreeMap::new(),
        });
        self.drain_phone(place);
    }

    fn client(&mut self, device: DeviceId, secret: Secret, disk: &Disk) -> Client {
        let (outbox, chats) = (disk.outbox.clone(), disk.chats.values().copied().collect());
        let stored = Stored { device, secret, starts: disk.starts, outbox, chats };
        Client::new(stored, self.next(), self.now)
    }

    pub(crate) fn phone_input(&mut self, phone: usize, input: client::Input) {
        self.phones[phone].machine.handle_input(self.now, input);
        self.drain_phone(phone);
    }

    pub(crate) fn server_input(&mut self, server: usize, input: gateway::Input) {
        let at = self.server_time(server);
        self.servers[server].machine.handle_input(at, input);
        // As under load: several inputs come before what they lead to is looked at.
        if self.dice.chance(70) {
            self.drain_server(server);
        }
    }

    fn server_time(&self, server: usize) -> Timestamp {
        self.now + Millis(self.servers[server].ahead)
    }

    fn drain_phone(&mut self, phone: usize) {
        let it = &mut self.phones[phone];
        while let Some(output) = it.machine.poll_output() {
            match output {
                client::Output::Connect => it.wants_connection = true,
                client::Output::Disconnect => {
                    if let Some(link) = it.link.take() {
                        self.links.get_mut(&link).unwrap().up.push_back(Up::Closed);
                    }
                }
                client::Output::Frame(frame) => {
                    if let Some(link) = it.link {
                        self.links.get_mut(&link).unwrap().up.push_back(Up::Frame(frame));
                    }
                }
                client::Output::Save(save, record) => it.unsaved.push_back((save, record)),
                client::Output::Notice(Notice::Presence { user, presence }) => {
                    it.presence.insert(user, presence);
                }
                client::Output::Notice(Notice::Stopped(reason)) => it.stopped = Some(reason),
                client::Output::Notice(_) => {}
            }
        }
        it.machine.check();
    }

    pub(crate) fn drain_server(&mut self, server: usize) {
        if self.servers[server].down {
            return;
        }
        while let Some(output) = self.servers[server].machine.poll_output() {
            match output {
                gateway::Output::Frame(conn, frame) => {
                    if let Some(link) = self.link_of(server, conn) {
                        link.down.push_back(Down::Frame(frame));
                    }
                }
                gateway::Output::Close { conn, reason, retry_after } => {
                    self.say(|| format!("server {server} closes {conn:?}: {reason:?}"));
                    if let Some(link) = self.link_of(server, conn) {
                        link.down.push_back(Down::Frame(ServerFrame::Goodbye { reason, retry_after }));
                        link.down.push_back(Down::Closed(Some(reason)));
                    }
                }
                gateway::Output::Transact(ticket, batch) => self.servers[server].jobs.push((ticket, batch)),
                gateway::Output::Ended => {
                    self.say(|| format!("server {server} has lost its lease"));
                    self.replace(server);
                    return self.drain_server(server);
                }
            }
        }
        self.servers[server].machine.check();
    }

    /// Another incarnation takes the place of a gateway. What the store has of the older one it may yet run.
    pub(crate) fn replace(&mut self, server: usize) {
        let machine = self.gateway(self.servers[server].ahead);
        let it = &mut self.servers[server];
        it.machine = machine;
        it.answers.clear();
        let jobs = std::mem::take(&mut it.jobs);
        for (_, batch) in jobs {
            if self.dice.chance(50) {
                self.late.push(batch);
            }
        }
    }

    fn link_of(&mut self, server: usize, conn: ConnId) -> Option<&mut Link> {
        let gateway = self.servers[server].machine.id();
        self.links.get_mut(&(conn.0 as usize)).filter(|link| link.gateway == gateway)
    }

    /// Time passes. What falls due meanwhile happens when it is due, and in between up to so many things move.
    pub(crate) fn pass(&mut self, length: Millis, between: usize) {
        let end = self.now + length;
        loop {
            for _ in 0..between {
                if !self.step() {
                    break;
                }
            }
            let phones = self.phones.iter().filter(|phone| !phone.off).filter_map(|phone| phone.machine.poll_timeout());
            let servers = self.servers.iter().filter(|server| !server.paused && !server.down);
            let servers = servers.filter_map(|server| Some(server.machine.poll_timeout()? - Millis(server.ahead)));
            match phones.chain(servers).min() {
                Some(next) if next < end => self.now = self.now.max(next),
                _ => break,
            }
            self.timeouts();
        }
        self.now = end;
        self.timeouts();
    }

    pub(crate) fn timeouts(&mut self) {
        for server in 0..self.servers.len() {
            if !self.servers[server].paused && !self.servers[server].down {
                let at = self.server_time(server);
                self.servers[server].machine.handle_timeout(at);
                self.drain_server(server);
            }
        }
        for phone in 0..self.phones.len() {
            if !self.phones[phone].off {
                self.phones[phone].machine.handle_timeout(self.now);
                self.drain_phone(phone);
            }
        }
    }
}
