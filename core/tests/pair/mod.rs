//! A world small enough to be read: gateways, clients and a store on one thread, in virtual time. Nothing takes time unless a test says so.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

mod disk;
mod rows;

use self::rows::Rows;
use disk::Disk;
use doubletick_core::client::{self, Client, Notice, Outgoing, Record, SaveId, Stored};
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::content::Content;
use doubletick_core::frame::{ClientFrame, CloseReason, ServerFrame};
use doubletick_core::gateway::{self, Config, ConnId, Gateway};
use doubletick_core::id::{ConversationId, DeviceId, GatewayId, MessageId, Phone, Secret, UserId};
use doubletick_core::store::Failure;
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::Batch;
use std::collections::VecDeque;
use std::sync::Arc;

/// A device with what it has stored and what it shows.
pub(crate) struct Handset {
    pub(crate) machine: Client,
    pub(crate) device: DeviceId,
    pub(crate) secret: Secret,
    /// What survives a crash.
    pub(crate) stored: Disk,
    /// Records that were handed over and are not stored yet. Stored at once unless the test holds them.
    pub(crate) unsaved: VecDeque<(SaveId, Record)>,
    pub(crate) holds_saves: bool,
    pub(crate) conn: Option<(usize, ConnId)>,
    pub(crate) wants_connection: bool,
    pub(crate) gateway: usize,
    pub(crate) notices: Vec<Notice>,
    /// Frames that came in, in order.
    pub(crate) frames: Vec<ServerFrame>,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) rows: Rows,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) phones: Vec<Handset>,
    conns: u64,
    runs: u64,
    /// What the store says instead of running the next transactions; a committed one is run all the same.
    pub(crate) failures: VecDeque<(Failure, bool)>,
    /// With every bell lost.
    pub(crate) deaf: bool,
    /// Gateways that are gone.
    pub(crate) dead: Vec<bool>,
}

impl World {
    pub(crate) fn new(gateways: usize) -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let gateways: Vec<_> = (1..=gateways).map(|n| Gateway::new(GatewayId(n as u64), Config::default(), now)).collect();
        let dead = vec![false; gateways.len()];
        Self { now, rows: Rows::default(), gateways, phones: vec![], conns: 0, runs: 0, failures: VecDeque::new(), deaf: false, dead }
    }

    /// Registers a device and starts its client, connected to one gateway. Devices with one number belong to one user.
    pub(crate) fn phone(&mut self, number: &str, gateway: usize) -> usize {
        let phone = Phone::parse(number).expect("the test gives a phone number");
        let secret = Secret([self.phones.len() as u8 + 1; 32]);
        let code = code_digest(&phone, &format!("{}", self.phones.len()));
        let new_user = UserId(100 + self.phones.len() as u64);
        let commands = vec![
            Command::RequestCode { phone: phone.clone(), code },
            Command::Register { phone, code, secret: secret.digest(), new_user, name: "phone".into() },
        ];
        let outcome = self.rows.execute(&Arc::new(Batch { now: self.now, commands }));
        let Ok(Reply::Registered { device, .. }) = outcome.replies[1] else { panic!("{outcome:?}") };
        let machine = self.machine(device, secret, &Disk::default());
        self.phones.push(Handset {
            machine,
            device,
            secret,
            stored: Disk::default(),
            unsaved: VecDeque::new(),
            holds_saves: false,
            conn: None,
            wants_connection: false,
            gateway,
            notices: vec![],
            frames: vec![],
        });
        self.phones.len() - 1
    }

    fn machine(&mut self, device: DeviceId, secret: Secret, disk: &Disk) -> Client {
        self.runs += 1;
        let (outbox, chats) = (disk.outbox.clone(), disk.chats.values().copied().collect());
        let stored = Stored { device, secret, starts: disk.starts, outbox, chats };
        Client::new(stored, self.runs, self.now)
    }

    /// The app is killed, and started again from what it had stored.
    pub(crate) fn crash_phone(&mut self, phone: usize) {
        self.cut(phone);
        let (device, secret, disk) = (self.phones[phone].device, self.phones[phone].secret, self.phones[phone].stored.clone());
        self.phones[phone].machine = self.machine(device, secret, &disk);
        self.phones[phone].unsaved.clear();
        self.phones[phone].wants_connection = false;
    }

    /// The connection breaks, and both sides notice.
    pub(crate) fn cut(&mut self, phone: usize) {
        if let Some((gateway, conn)) = self.phones[phone].conn.take() {
            self.gateways[gateway].handle_input(self.now, gateway::Input::Closed(conn));
            self.phones[phone].machine.handle_input(self.now, client::Input::Disconnected { reason: None });
        }
    }

    /// The gateway is gone without a word; its connections break. Another incarnation takes its place.
    pub(crate) fn crash_gateway(&mut self, gateway: usize) {
        for phone in 0..self.phones.len() {
            if self.phones[phone].conn.is_some_and(|(at, _)| at == gateway) {
                self.phones[phone].conn = None;
                self.phones[phone].machine.handle_input(self.now, client::Input::Disconnected { reason: None });
            }
        }
        let id = GatewayId(self.gateways[gateway].id().0 + 1000);
        self.gateways[gateway] = Gateway::new(id, Config::default(), self.now);
    }

    pub(crate) fn chat(&self, one: usize, other: usize) -> ConversationId {
        ConversationId::direct(self.phones[one].device.user, self.phones[other].device.user).expect("two different users")
    }

    /// Writes a message whose id is derived from its text.
    pub(crate) fn write(&mut self, from: usize, to: usize, text: &str) -> MessageId {
        let conversation = self.chat(from, to);
        let mut id = [0; 16];
        id[..text.len().min(16)].copy_from_slice(&text.as_bytes()[..text.len().min(16)]);
        let outgoing = Outgoing { conversation, id: MessageId(id), content: Content::shared(1, text.as_bytes()).unwrap() };
        self.phones[from].machine.handle_input(self.now, client::Input::Compose(outgoing));
        while let Some(output) = self.phones[from].machine.poll_output() {
            self.phone_output(from, output);
        }
        MessageId(id)
    }

    /// Everything that can happen without time passing happens.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                self.gateways.iter().for_each(Gateway::check);
                self.phones.iter().for_each(|phone| phone.machine.check());
                self.phones.iter().for_each(|phone| phone.stored.check(false));
                return;
            }
        }
        panic!("the world does not settle");
    }

    /// Time passes, and everything that falls due happens.
    pub(crate) fn pass(&mut self, length: Millis) {
        let end = self.now + length;
        loop {
            self.settle();
            let gateways =
                self.gateways.iter().zip(&self.dead).filter(|(_, dead)| !**dead).filter_map(|(gateway, _)| gateway.poll_timeout());
            let next = gateways.chain(self.phones.iter().filter_map(|phone| phone.machine.poll_timeout())).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            for (gateway, dead) in self.gateways.iter_mut().zip(&self.dead) {
                if !dead {
                    gateway.handle_timeout(self.now);
                }
            }
            for phone in &mut self.phones {
                phone.machine.handle_timeout(self.now);
            }
        }
        self.now = end;
        self.settle();
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for gateway in 0..self.gateways.len() {
            while !self.dead[gateway]
                && let Some(output) = self.gateways[gateway].poll_output()
            {
                busy = true;
                self.gateway_output(gateway, output);
            }
        }
        for phone in 0..self.phones.len() {
            while let Some(output) = self.phones[phone].machine.poll_output() {
                busy = true;
                self.phone_output(phone, output);
            }
            if !self.phones[phone].holds_saves {
                busy |= self.store_records(phone);
            }
            if self.phones[phone].wants_connection && !self.dead[self.phones[phone].gateway] {
                busy = true;
                self.connect(phone);
            }
        }
        busy
    }

    fn connect(&mut self, phone: usize) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let gateway = self.phones[phone].gateway;
        self.phones[phone].wants_connection = false;
        self.phones[phone].conn = Some((gateway, conn));
        self.gateways[gateway].handle_input(self.now, gateway::Input::Connected(conn));
        let fresh = Secret([self.conns as u8 ^ 0x80; 32]);
        self.phones[phone].machine.handle_input(self.now, client::Input::Connected { fresh });
    }

    fn gateway_output(&mut self, gateway: usize, output: gateway::Output) {
        match output {
            gateway::Output::Frame(conn, frame) => {
                let cost = gateway::frame_cost(&frame);
                self.gateways[gateway].handle_input(self.now, gateway::Input::Flushed(conn, cost));
                if let Some(phone) = self.phones.iter_mut().find(|phone| phone.conn == Some((gateway, conn))) {
                    phone.frames.push(frame.clone());
                    phone.machine.handle_input(self.now, client::Input::Frame(frame));
                }
            }
            gateway::Output::Close { conn, reason, retry_after } => {
                if let Some(phone) = self.phones.iter_mut().find(|phone| phone.conn == Some((gateway, conn))) {
                    phone.conn = None;
                    phone.machine.handle_input(self.now, client::Input::Frame(ServerFrame::Goodbye { reason, retry_after }));
                }
            }
            gateway::Output::Transact(ticket, batch) => {
                let result = match self.failures.pop_front() {
                    Some((failure, committed)) => {
                        if committed {
                            self.rows.execute(&batch);
                        }
                        Err(failure)
                    }
                    None => Ok(self.rows.execute(&batch)),
                };
                self.gateways[gateway].handle_input(self.now, gateway::Input::Transacted(ticket, result));
                self.ring();
            }
            gateway::Output::Ended => {
                let id = GatewayId(self.gateways[gateway].id().0 + 1000);
                self.gateways[gateway] = Gateway::new(id, Config::default(), self.now);
            }
        }
    }

    /// Rings the bells of those for whom something has gathered.
    fn ring(&mut self) {
        for (gateway, dead) in self.gateways.iter_mut().zip(&self.dead) {
            let id = gateway.id();
            if !self.deaf && !dead && self.rows.0.remove(&doubletick_core::rows::bell(id).key).is_some() {
                gateway.handle_input(self.now, gateway::Input::Bell);
            }
        }
    }

    fn phone_output(&mut self, phone: usize, output: client::Output) {
        let it = &mut self.phones[phone];
        match output {
            client::Output::Connect => it.wants_connection = true,
            client::Output::Disconnect => {
                if let Some((gateway, conn)) = it.conn.take() {
                    self.gateways[gateway].handle_input(self.now, gateway::Input::Closed(conn));
                }
            }
            client::Output::Frame(frame) => {
                if let Some((gateway, conn)) = it.conn {
                    self.frame_to_gateway(gateway, conn, frame);
                }
            }
            client::Output::Save(save, record) => it.unsaved.push_back((save, record)),
            client::Output::Notice(notice) => it.notices.push(notice),
        }
    }

    pub(crate) fn frame_to_gateway(&mut self, gateway: usize, conn: ConnId, frame: ClientFrame) {
        self.gateways[gateway].handle_input(self.now, gateway::Input::Frame(conn, frame));
    }

    /// The device stores what waits to be stored.
    pub(crate) fn store_records(&mut self, phone: usize) -> bool {
        let it = &mut self.phones[phone];
        let mut new_after_all = vec![];
        let mut last = None;
        while let Some((save, record)) = it.unsaved.pop_front() {
            last = Some(save);
            if it.stored.apply(record) {
                new_after_all.push(save);
            }
        }
        let Some(upto) = last else { return false };
        it.machine.handle_input(self.now, client::Input::Saved { upto, new_after_all });
        true
    }

    /// What a phone shows of one conversation, in the order in which it came.
    pub(crate) fn texts(&self, phone: usize, conversation: ConversationId) -> Vec<&str> {
        self.phones[phone].stored.shown.iter().filter(|shown| shown.conversation == conversation).map(|shown| shown.text.as_str()).collect()
    }

    pub(crate) fn stopped(&self, phone: usize) -> Option<CloseReason> {
        self.phones[phone].notices.iter().find_map(|notice| match notice {
            Notice::Stopped(reason) => Some(*reason),
            _ => None,
        })
    }
}
