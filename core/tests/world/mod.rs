//! A store in a map, people with devices, and gateways without sockets: what the tests of transactions are told in.
//!
//! Every batch is run several times over the same rows, at once and with rows fetched in rounds, and must come to the same outcome.

#![allow(dead_code, unreachable_pub, reason = "shared by test programs that each use a part of it")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

mod at_hand;
pub mod cases;
pub mod group;

pub(crate) use at_hand::{AtHand, Rows, write};

use doubletick_core::command::{Command, DirtyPage, Reply, SeenWake, Wake, code_digest};
use doubletick_core::content::{Content, Entry};
use doubletick_core::event::Event;
use doubletick_core::frame::{Chat, Presence, Privacy, UserList};
use doubletick_core::id::{ConversationId, DeviceId, Digest, GatewayId, MessageId, Phone, Seq, SessionEpoch, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::rows::{At, Receipt, Row};
use doubletick_core::store::{Commit, Key, LentRows, Missing, NotFetched, Read, Scan, Snapshot};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_core::transact::{Batch, Outcome, transact};
use doubletick_core::{rows, verify};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// An answer.
pub type Answer = Result<Reply, Reject>;

/// When every story begins.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Gateways of the stories.
pub const WEST: GatewayId = GatewayId(0xa);
pub const EAST: GatewayId = GatewayId(0xb);

/// A store, a clock, and all that has happened.
#[derive(Clone)]
pub struct World {
    pub rows: Rows,
    pub now: Timestamp,
    pub events: Vec<Event>,
    pub damaged: Vec<Key>,
}

impl World {
    /// Two gateways with their leases, and nobody there.
    pub fn new() -> Self {
        let mut world = Self { rows: Rows::new(), now: START, events: vec![], damaged: vec![] };
        for gateway in [WEST, EAST] {
            world.run(Command::Begin { gateway }).unwrap();
        }
        world
    }

    /// A world in which these users have one device each.
    pub fn of<const N: usize>(users: [u64; N]) -> (Self, [DeviceId; N]) {
        let mut world = Self::new();
        let devices = users.map(|user| world.link(user));
        (world, devices)
    }

    /// Carries out one command.
    pub fn run(&mut self, command: Command) -> Answer {
        self.batch([command]).pop().unwrap()
    }

    /// Carries out commands in one transaction.
    pub fn batch(&mut self, commands: impl IntoIterator<Item = Command>) -> Vec<Answer> {
        let batch = Batch { now: self.now, commands: commands.into_iter().collect() };
        let commit = same_however_often(&self.rows, &batch);
        self.commit(commit)
    }

    /// Carries out a batch once, without proving that it is pure: for worlds that are enumerated.
    pub fn batch_once(&mut self, commands: impl IntoIterator<Item = Command>) -> Vec<Answer> {
        let batch = Batch { now: self.now, commands: commands.into_iter().collect() };
        let commit = at_once(&self.rows, &batch);
        self.commit(commit)
    }

    fn commit(&mut self, commit: Commit<Outcome>) -> Vec<Answer> {
        write(&mut self.rows, &commit.writes);
        self.events.extend(commit.answer.events);
        self.damaged.extend(commit.answer.damaged);
        commit.answer.replies
    }

    /// Time passes.
    pub fn wait(&mut self, length: Millis) {
        self.now = self.now + length;
    }

    /// Links one more device of a user, who gets an account with the first.
    pub fn link(&mut self, user: u64) -> DeviceId {
        // Nobody in a story waits until they may ask for another code.
        self.rows.remove(&rows::verification(&phone(user)).key);
        let linked = |event: &&Event| matches!(event, Event::DeviceChanged { device, .. } if device.user.0 == user);
        let serial = 1 + self.events.iter().filter(linked).count() as u64;
        self.run(Command::RequestCode { phone: phone(user), code: code(user, "123456") }).unwrap();
        match self.run(register(user, "123456", token(user, serial))) {
            Ok(Reply::Registered { device, .. }) => device,
            other => panic!("{other:?}"),
        }
    }

    /// A text under a name of its own; the position that it gets.
    pub fn send(&mut self, from: DeviceId, to: DeviceId, text: &str) -> Seq {
        match self.run(send(from, to.user, text)) {
            Ok(Reply::Sent { seq, .. }) => seq,
            other => panic!("{other:?}"),
        }
    }

    pub fn acknowledge(&mut self, device: DeviceId, with: DeviceId, delivered: u64, read: u64) -> Answer {
        self.run(acknowledge(device, with.user, delivered, read))
    }

    /// Connects a device; what it has to catch up with.
    pub fn open(&mut self, device: DeviceId, gateway: GatewayId, epoch: u64) -> Vec<(ConversationId, Seq)> {
        let secret = token(device.user.0, device.serial.into());
        match self.run(open(device, secret, gateway, epoch)) {
            Ok(Reply::Opened { dirty: DirtyPage { conversations, more: false }, .. }) => conversations,
            other => panic!("{other:?}"),
        }
    }

    /// Ends a session, its device heard just now.
    pub fn end(&mut self, device: DeviceId, gateway: GatewayId, epoch: u64) {
        let heard = self.now;
        self.run(Command::EndSession { device, gateway, epoch: SessionEpoch(epoch), heard }).unwrap();
    }

    /// What waits for a gateway, without having seen to it.
    pub fn peek(&mut self, gateway: GatewayId) -> (Vec<(DeviceId, Wake)>, Vec<SeenWake>) {
        self.take(gateway, vec![])
    }

    pub fn take(&mut self, gateway: GatewayId, seen: Vec<SeenWake>) -> (Vec<(DeviceId, Wake)>, Vec<SeenWake>) {
        match self.run(Command::TakeWakes { gateway, seen }) {
            Ok(Reply::Wakes { wakes, seen, more: false }) => (wakes, seen),
            other => panic!("{other:?}"),
        }
    }

    /// What waits for a gateway, seen to.
    pub fn wakes(&mut self, gateway: GatewayId) -> Vec<(DeviceId, Wake)> {
        let (wakes, seen) = self.peek(gateway);
        assert_eq!(self.take(gateway, seen).0, []);
        wakes
    }

    /// What waits for a gateway about presence, seen to.
    pub fn told(&mut self, gateway: GatewayId) -> Vec<(DeviceId, UserId, Presence)> {
        let told = self.wakes(gateway).into_iter().map(|(device, wake)| match wake {
            Wake::Presence { user, presence } => (device, user, presence),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    /// A device's dirty set.
    pub fn dirty(&mut self, device: DeviceId) -> Vec<(ConversationId, Seq)> {
        match self.run(Command::ReadDirty { device, after: None }) {
            Ok(Reply::Dirty(DirtyPage { conversations, more: false })) => conversations,
            other => panic!("{other:?}"),
        }
    }

    /// The log from a position, or from the device's cursor, to the head.
    pub fn log(&mut self, device: DeviceId, with: DeviceId, after: Option<u64>) -> Vec<Entry> {
        let conversation = talk(device.user, with.user);
        let (mut log, mut after) = (vec![], after.map(Seq));
        loop {
            match self.run(Command::ReadLog { device, conversation, after }) {
                Ok(Reply::Page { entries, head, after: from, .. }) => {
                    after = Some(entries.last().map_or(from, |entry| entry.seq));
                    log.extend(entries);
                    if after == Some(head) {
                        return log;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The texts of the log as a device gets it.
    pub fn texts(&mut self, device: DeviceId, with: DeviceId, after: Option<u64>) -> Vec<String> {
        self.log(device, with, after).into_iter().map(|entry| text(&entry)).collect()
    }

    /// How far a user has got with another: delivered, read.
    pub fn receipt(&self, user: DeviceId, with: DeviceId) -> (u64, u64) {
        let Receipt { delivered, read } = self.row(&rows::receipt(talk(user.user, with.user), user.user)).unwrap_or_default();
        (delivered.0, read.0)
    }

    pub fn chats(&mut self, user: DeviceId) -> Vec<Chat> {
        match self.run(Command::ListChats { user: user.user, after: None }) {
            Ok(Reply::Chats { chats, more: false }) => chats,
            other => panic!("{other:?}"),
        }
    }

    /// Messages that a user has not read in a conversation.
    pub fn unread(&mut self, user: DeviceId, with: DeviceId) -> u64 {
        let conversation = talk(user.user, with.user);
        self.chats(user).into_iter().find(|chat| chat.conversation == conversation).map_or(0, |chat| chat.unread)
    }

    pub fn watch(&mut self, device: DeviceId, gateway: GatewayId, whom: DeviceId) -> Presence {
        match self.run(Command::Watch { device, gateway, user: whom.user }) {
            Ok(Reply::Presence(presence)) => presence,
            other => panic!("{other:?}"),
        }
    }

    pub fn list(&mut self, owner: DeviceId, list: UserList, user: DeviceId, listed: bool) {
        let command = Command::SetListed { owner: owner.user, list, user: user.user, listed };
        assert_eq!(self.run(command), Ok(Reply::Done));
    }

    pub fn privacy(&mut self, user: DeviceId, privacy: Privacy) {
        assert_eq!(self.run(Command::SetPrivacy { user: user.user, privacy }), Ok(Reply::Done));
    }

    pub fn row<R: Row>(&self, at: &At<R>) -> Option<R> {
        self.rows.get(&at.key).map(|bytes| R::decode(bytes).unwrap())
    }

    pub fn set<R: Row>(&mut self, at: &At<R>, row: &R) {
        self.rows.insert(at.key, row.encode());
    }

    /// A row's value becomes something that is none.
    pub fn damage(&mut self, key: Key) {
        assert!(self.rows.insert(key, b"\x01\x00".to_vec()).is_some(), "there was no such row");
    }

    /// Every conversation proves whole.
    pub fn prove(&self) {
        let report = verify::verify(self.rows.iter().map(|(key, value)| (*key, value.clone())));
        assert!(report.problems.is_empty(), "{:#?}", report.problems);
    }
}

/// The conversation of two users.
pub fn talk(one: UserId, other: UserId) -> ConversationId {
    ConversationId::direct(one, other).unwrap()
}

/// A user's phone number.
pub fn phone(user: u64) -> Phone {
    Phone::parse(&format!("+4915{user:08}")).unwrap()
}

pub fn code(user: u64, digits: &str) -> Digest {
    code_digest(&phone(user), digits)
}

/// The digest of a secret of one device.
pub fn token(user: u64, number: u64) -> Digest {
    Digest([(user * 16 + number) as u8; 32])
}

pub fn register(user: u64, digits: &str, secret: Digest) -> Command {
    Command::Register { phone: phone(user), code: code(user, digits), secret, new_user: UserId(user), name: "phone".into() }
}

/// A text whose name is its content's: sending it again is a retry.
pub fn send(from: DeviceId, to: UserId, text: &str) -> Command {
    send_as(from, to, id_of(text), text)
}

pub fn send_as(from: DeviceId, to: UserId, id: MessageId, text: &str) -> Command {
    let content = Content::shared(1, text.as_bytes()).unwrap();
    Command::Send { from, conversation: talk(from.user, to), id, content, roster: 0 }
}

pub fn id_of(text: &str) -> MessageId {
    let mut id = [0; 16];
    let len = text.len().min(16);
    id[..len].copy_from_slice(&text.as_bytes()[..len]);
    MessageId(id)
}

pub fn acknowledge(device: DeviceId, with: UserId, delivered: u64, read: u64) -> Command {
    Command::Acknowledge { device, conversation: talk(device.user, with), delivered: Seq(delivered), read: Seq(read) }
}

pub fn open(device: DeviceId, secret: Digest, gateway: GatewayId, epoch: u64) -> Command {
    Command::OpenSession { device, secret, gateway, epoch: SessionEpoch(epoch), run: 1 }
}

/// What a device wants in a session at the western gateway.
pub fn in_session(device: DeviceId, epoch: u64, command: Command) -> Command {
    Command::InSession { device, gateway: WEST, epoch: SessionEpoch(epoch), command: Box::new(command) }
}

/// The exchange of a token by such a session.
pub fn renew(device: DeviceId, epoch: u64, secret: Digest) -> Command {
    in_session(device, epoch, Command::Renew { device, secret })
}

/// What an entry says; a dash for nothing.
pub fn text(entry: &Entry) -> String {
    entry.body.as_ref().map_or_else(|| "-".into(), |body| String::from_utf8(body.bytes.to_vec()).unwrap())
}

/// A snapshot that has only what was asked for in an earlier round.
pub struct Fetched<'a> {
    rows: AtHand<'a>,
    pub fetched: BTreeSet<Read>,
}

impl Snapshot for Fetched<'_> {
    fn has(&self, key: &Key) -> bool {
        self.fetched.contains(&Read::Row(*key))
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        if self.fetched.contains(&Read::Row(*key)) { self.rows.get(key) } else { Err(NotFetched) }
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        if self.fetched.contains(&Read::Rows(*scan)) { self.rows.scan(scan) } else { Err(NotFetched) }
    }
}

/// What a batch comes to with everything at hand.
pub fn at_once(rows: &Rows, batch: &Batch) -> Commit<Outcome> {
    transact(&mut AtHand(rows), batch).expect("everything is at hand")
}

/// What a batch comes to, how many rounds of fetching it took, and what was fetched.
pub fn in_rounds(rows: &Rows, batch: &Batch) -> (Commit<Outcome>, u32, BTreeSet<Read>) {
    let mut snapshot = Fetched { rows: AtHand(rows), fetched: BTreeSet::new() };
    for rounds in 0..64 {
        match transact(&mut snapshot, batch) {
            Ok(commit) => return (commit, rounds, snapshot.fetched),
            Err(Missing(reads)) => {
                let before = snapshot.fetched.len();
                snapshot.fetched.extend(reads);
                assert!(snapshot.fetched.len() > before, "a round that asks for nothing new never ends");
            }
        }
    }
    panic!("64 rounds of fetching were not enough");
}

/// Runs a batch at once, again, and in rounds: the outcome is the same.
pub fn same_however_often(rows: &Rows, batch: &Batch) -> Commit<Outcome> {
    let first = at_once(rows, batch);
    assert_eq!(first, at_once(rows, batch), "the second run");
    assert_eq!(first, in_rounds(rows, batch).0, "the run in rounds of fetching");
    first
}
